#!/usr/bin/env bash
# Measures `archway admission serve`: 1,000 reviews a second, then as many as there are, with recorded reviews and the generator on the same cores.
#   bench/admission_bench.sh build/release [SECONDS]
set -euo pipefail
build=$(realpath "$1") seconds=${2:-10}
vectors=$(dirname "$0")/../../shared/vectors/kubernetes/admission
[ -d "$vectors" ] || { echo "skipped: the vectors are not beside the checkout"; exit 0; }
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=webhook -keyout "$work/key" -out "$work/cert" 2>/dev/null
python3 - "$vectors" >"$work/images.json" <<'PY'
import json, pathlib, re, sys
names = {name for path in pathlib.Path(sys.argv[1]).glob("*.json") for name in re.findall(r'"image":"([^"{}]+)"', path.read_text())}
print(json.dumps({name: {"platforms": ["linux/amd64", "linux/arm64"]} for name in sorted(names)}))
PY
"$build/archway" admission serve --listen 127.0.0.1:0 --tls-cert-file "$work/cert" --tls-private-key-file "$work/key" --images "$work/images.json" --offline --cache none \
  --prefer arm64 --tolerate arch=arm64:NoSchedule --log none >"$work/out" &
server=$!
until grep -qs listening "$work/out"; do sleep 0.1; done
port=$(sed 's/.*://' "$work/out")
reviews=("$vectors"/*-create-*.json)
"$build/admission_bench" "$port" 1 4 0 "${reviews[@]}" >/dev/null
echo -n "1,000/s:     "; "$build/admission_bench" "$port" "$seconds" 4 1000 "${reviews[@]}"
for connections in 2 4 8; do echo -n "flat out:    "; "$build/admission_bench" "$port" "$seconds" "$connections" 0 "${reviews[@]}"; done
grep -E "VmRSS|VmHWM" "/proc/$server/status"
read -r _ _ _ _ _ _ _ _ _ _ _ _ _ user system _ <"/proc/$server/stat"
curl -sk "https://127.0.0.1:$port/metrics" | awk -v ticks=$((user + system)) -v hz="$(getconf CLK_TCK)" '/review_seconds_count/ {printf "%d reviews, %.1f us of processor each (server)\n", $2, ticks / hz / $2 * 1e6} /review_seconds_sum/ {s = $2} END {}'
