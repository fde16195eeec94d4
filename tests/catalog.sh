#!/usr/bin/env bash
# The catalog with the real binary: every row of the articles' tables is found, users' files outrank, and `catalog check` asks a registry
# that this test fills.
set -uo pipefail
archway=$1
. "$(dirname "$0")/base.sh"
folder=$(mktemp -d)
trap 'stop_servers; rm -rf "$folder"' EXIT
export ARCHWAY_ROOT=$folder/state
command -v python3 >/dev/null || skip_all "python3 is needed"

query() { python3 -c "import json,sys; d=json.load(sys.stdin); print($1)"; }

# ---- list, show, search
equal "54 products" 54 "$("$archway" catalog list --json | query 'len(d["products"])')"
equal "and a line for each" 55 "$("$archway" catalog list | wc -l)"
says "others with --all" 0 "Fluentd" "$archway" catalog list --all
says "by category" 0 "Cilium" "$archway" catalog list --category cni
says "moves" 0 "registry.k8s.io/**" "$archway" catalog list --moves
says "who says what" 0 "arm64 since 1.15.0" "$archway" catalog show istio
says "conflicts are shown" 0 "These disagree" "$archway" catalog show istio
says "Korean notes stay" 0 "도커 허브에서 arm64용 컨테이너 이미지 제공" "$archway" catalog show istio
says "by an image" 0 "support arm64 since 1.15.0" "$archway" catalog show istio/pilot:1.14.3
says "a newer version" 0 "istio/pilot:1.15.0" "$archway" catalog show istio/pilot:1.14.3
says "a renamed image" 0 "registry.k8s.io/pause:3.2" "$archway" catalog show k8s.gcr.io/pause:3.2
says "no product" 2 "did you mean istio?" "$archway" catalog show istoi
says "nothing found" 1 "does not mean that it does not run" "$archway" catalog search "no such thing"
says "search in Korean" 0 "istio" "$archway" catalog search 도커 허브
articles=$(dirname "$0")/../../shared/articles
if [ -d "$articles" ]; then
  check "every row of the articles" python3 - "$archway" "$articles" <<'PYTHON'
import json, pathlib, subprocess, sys
archway, articles = sys.argv[1], pathlib.Path(sys.argv[2])
run = lambda *words: json.loads(subprocess.run([archway, "catalog", *words, "--json"], stdout=subprocess.PIPE).stdout)
have = {(row["name"], row["url"]): product["id"] for product in run("list", "--all")["products"] for row in product["rows"]}
rows = 0
for file in articles.glob("*.txt"):
    for line in file.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().split("|")[1:]]
        if not line.strip().startswith("|") or len(cells) < 2 or "URL" in cells or set(cells[0]) <= set(":-"):
            continue
        rows += 1
        assert (cells[0], cells[1]) in have, f"{file.name}: {cells[:2]}"
        found = [product["id"] for product in run("search", cells[0])["products"]]
        assert have[cells[0], cells[1]] in found[:3], f"{cells[0]}: {found}"
assert rows == 137, rows
PYTHON
fi

# ---- users' files
cat >"$folder/ours.yaml" <<'YAML'
schema: archway.catalog/v1
products:
- id: istio
  claims:
  - {applies_to: image, since: "1.14.0", date: "2026-01"}
moves:
- {from: "k8s.gcr.io/**", to: "mirror.example.com/k8s/**", why: our mirror, date: "2026-01"}
YAML
says "a user's claim outranks" 0 "support arm64 since 1.14.0 ($folder/ours.yaml, 2026-01)" "$archway" catalog show --catalog "$folder/ours.yaml" istio/pilot:1.14.3
says "a user's move outranks" 0 "mirror.example.com/k8s/pause:3.2" "$archway" catalog show --catalog "$folder/ours.yaml" k8s.gcr.io/pause:3.2
printf 'schema: archway.catalog/v1\nproducts:\n- id: x\n  nmae: X\n' >"$folder/wrong.yaml"
says "mistakes have a place" 2 "wrong.yaml:4:3: unknown key nmae (did you mean name?)" "$archway" catalog list --catalog "$folder/wrong.yaml"
says "a file that is not there" 2 "reading the catalog" "$archway" catalog list --catalog "$folder/none.yaml"

# ---- check
serve
mkdir "$folder/context"
printf 'FROM scratch\nCOPY Dockerfile /\n' >"$folder/context/Dockerfile"
push() { # NAME PLATFORMS
  "$archway" build -q --platform "$2" -t "$registry/$1" --push "$folder/context" >/dev/null 2>"$folder/push.err" || { cat "$folder/push.err"; exit 1; }
}
for tag in v1.0.0 v1.1.0; do push "team/app:$tag" linux/amd64; done
for tag in v1.2.0 v1.3.0; do push "team/app:$tag" linux/amd64,linux/arm64; done
claim() { # SINCE...: a catalog with this one product
  printf 'schema: archway.catalog/v1\nproducts:\n- {id: ours, name: Ours, images: [%s/team/app], claims: [{applies_to: image, %s, date: "2026-01"}]}\n' "$registry" "$1" >"$folder/check.yaml"
}
asks() { "$archway" catalog check --catalog "$folder/check.yaml" "$@" ours; }
claim 'since: "1.2.0"'
says "what holds" 0 "1 hold, 0 held earlier" asks
says "what holds, told" 0 "v1.2.0 holds arm64, as does v1.3.0" asks --all
claim 'since: "1.3.0"'
says "held earlier" 0 "v1.2.0 did already" asks
claim 'since: "1.1.0"'
says "never held" 1 "v1.1.0 holds no arm64" asks
claim 'supports: no'
says "a no that became a yes" 1 "v1.3.0 holds arm64 now" asks
push team/app:v1.4.0 linux/amd64
claim 'since: "1.2.0"'
says "no longer holds" 1 "v1.4.0 holds no arm64" asks
equal "as JSON" "no-longer" "$(asks --json | query 'd["checks"][0]["verdict"]')"
stop_servers
says "nobody answers" 2 "1 unknown" env ARCHWAY_ROOT="$folder/other" "$archway" catalog check --catalog "$folder/check.yaml" ours
finish
