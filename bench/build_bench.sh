#!/usr/bin/env bash
# What builds cost, with the peer beside it where there is one.
#   bench/build_bench.sh [RUNS]          needs build/release/archway, and build/quickstart/base from ./quickstart
# Prints seconds (median of RUNS, default 3) of: the sample, cold; unchanged; COPY of 50,000 small files for two platforms, cold and
# unchanged; the sample on a 195 MB base. buildah, where installed, does the sample natively and the COPY for one platform, which is all it
# can share; buildkitd is measured where it is on the PATH. "peer absent" otherwise, and no ratio.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-3}
archway=$PWD/build/release/archway
base=$PWD/build/quickstart/base
[ -x "$archway" ] && [ -e "$base/rootfs-arm64.tar" ] || { echo "run ./quickstart first" >&2; exit 2; }
work=$(mktemp -d "${TMPDIR:-/tmp}/archway-bench.XXXXXX")
registry_pid=
cleanup() { [ -z "$registry_pid" ] || kill "$registry_pid" 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT
platforms=linux/amd64,linux/arm64
export ARCHWAY_ROOT=$work/state

"$archway" registry serve --root "$work/registry" --listen 127.0.0.1:0 >"$work/registry.out" 2>/dev/null &
registry_pid=$!
until grep -q listening "$work/registry.out" 2>/dev/null; do sleep 0.05; done
registry=localhost:$(sed -n '1s/.*:\([0-9]*\)$/\1/p' "$work/registry.out")

seconds() { local begun; begun=$(date +%s%N); "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; echo $((($(date +%s%N) - begun) / 1000000)); }
median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.3f", v[int((NR + 1) / 2)] / 1000 }'; }
report() { printf '%-66s %8s s\n' "$1" "$2"; }
# measure NAME PREPARE COMMAND...: PREPARE runs before each measured COMMAND
measure() {
  local name=$1 prepare=$2
  shift 2
  local result
  result=$(for run in $(seq "$runs"); do $prepare "$((++measured)).$run.$RANDOM"; seconds "$@"; done | median)
  report "$name" "$result"
}
# A new folder, not an emptied one: ext4 passes over inodes that were freed in the last half minute one by one, which would be measured.
fresh() { export ARCHWAY_ROOT=$work/state.$1; }
nothing() { :; }
measured=0

"$archway" build --platform $platforms -t "$registry/base:1" --push "$base" >/dev/null 2>&1
sample=("$archway" build --platform $platforms --build-arg "BASE=$registry/base:1" -t "$registry/sample:1" --push examples/print-platform-info)
measure "sample, both platforms, cold, pushed" fresh "${sample[@]}"
fresh unchanged
"${sample[@]}" >/dev/null 2>&1
measure "sample, unchanged, pushed" nothing "${sample[@]}"
# What the RUN steps cost by themselves: the same programs in containers whose layers are there already.
rerun() {
  for platform in linux/arm64 linux/amd64; do "$archway" run --platform $platform "$registry/sample:1" & done
  wait -n; wait -n
}
rerun >/dev/null 2>&1
measure "the two programs alone, side by side" nothing rerun

mkdir "$work/base195"
for arch in amd64 arm64; do
  cp "$base/rootfs-$arch.tar" "$work/base195/"
  # 195 MB in all: Debian's files again under /opt, until it is large enough
  have=$(stat -c %s "$base/rootfs-$arch.tar")
  mkdir -p "$work/fill"
  [ -e "$work/fill/done" ] || { tar -xf "$base/rootfs-amd64.tar" -C "$work/fill" ./usr; touch "$work/fill/done"; }
  for copy in 1 2 3; do
    [ "$have" -lt 185000000 ] || break
    tar --append -f "$work/base195/rootfs-$arch.tar" --transform "s,^,./opt/$copy/," -C "$work/fill" usr
    have=$(stat -c %s "$work/base195/rootfs-$arch.tar")
  done
done
cp "$base/Dockerfile" "$work/base195/"
"$archway" build --platform $platforms -t "$registry/base:195" --push "$work/base195" >/dev/null 2>&1
measure "sample on a $((have / 1000000)) MB base, cold, pushed" fresh \
  "$archway" build --platform $platforms --build-arg "BASE=$registry/base:195" -t "$registry/sample:195" --push examples/print-platform-info

python3 - "$work/many" <<'PY'
import os, random, sys
random.seed(1)
top = sys.argv[1]
text = random.randbytes(1 << 20).hex().encode()
for folder in range(500):
    path = f"{top}/files/{folder:03d}"
    os.makedirs(path)
    for file in range(100):
        start = random.randrange(len(text) - 8192)
        with open(f"{path}/{file:02d}.txt", "wb") as f:
            f.write(text[start:start + 3960])
PY
printf 'FROM scratch\nCOPY files /files\n' >"$work/many/Dockerfile"
many=("$archway" build --platform $platforms -t "$registry/many:1" --push "$work/many")
measure "COPY of 50,000 files (198 MB), both platforms, cold, pushed" fresh "${many[@]}"
fresh many
"${many[@]}" >/dev/null 2>&1
measure "the same, unchanged" nothing "${many[@]}"

if command -v buildah >/dev/null; then
  peer=(buildah --root "$work/buildah" --runroot "$work/buildah-run" --storage-driver vfs bud --isolation chroot --layers=false)
  report "peer: $(buildah --version | cut -d' ' -f1-3), COPY of the 50,000 files, one platform, not pushed" "$(seconds "${peer[@]}" -q "$work/many" | median)"
else
  echo "peer absent: buildah"
fi
if command -v buildkitd >/dev/null && command -v buildctl >/dev/null; then
  buildkitd --addr "unix://$work/buildkitd.sock" --root "$work/buildkit" >/dev/null 2>&1 &
  buildkit_pid=$!
  trap 'kill $buildkit_pid; cleanup' EXIT
  until buildctl --addr "unix://$work/buildkitd.sock" debug workers >/dev/null 2>&1; do sleep 0.1; done
  bk() { buildctl --addr "unix://$work/buildkitd.sock" build --frontend dockerfile.v0 --opt platform=$platforms --local "context=$1" --local "dockerfile=$1" \
    --opt "build-arg:BASE=$registry/base:1" --output "type=image,name=$registry/$2,push=true,registry.insecure=true" --no-cache; }
  report "peer: buildkitd, sample, cold, pushed" "$(seconds bk examples/print-platform-info bk:1 | median)"
  report "peer: buildkitd, COPY of the 50,000 files, cold, pushed" "$(seconds bk "$work/many" bk:many | median)"
else
  echo "peer absent: buildkitd"
fi
