#!/usr/bin/env bash
# The same bytes on arm64 as here: build/arm64/archway (tools/cross-build), under QEMU, against the binary given.
set -uo pipefail
archway=$1
. "$(dirname "$0")/base.sh"
top=$(cd "$(dirname "$0")/.." && pwd)
[ -x "$top/build/arm64/archway" ] || skip_all "there is no build/arm64/archway; tools/cross-build makes it"
command -v qemu-aarch64-static >/dev/null || skip_all "qemu-aarch64-static is needed"
[ "$(uname -m)" = x86_64 ] || skip_all "this machine is no x86-64"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '#!/bin/sh\nexec qemu-aarch64-static -L "%s" "%s" "$@"\n' "$top/build/sysroot-arm64" "$top/build/arm64/archway" >"$folder/archway"
chmod +x "$folder/archway"

same() { # WHAT ARGUMENTS...
  local what=$1; shift
  "$archway" "$@" >"$folder/here" 2>&1; local here=$?
  "$folder/archway" "$@" >"$folder/there" 2>&1
  equal "$what: exit status" "$here" "$?"
  check "$what: the same bytes" cmp "$folder/here" "$folder/there"
}
same "the version" --version
check "the what-ifs have their recorded answers there, too" "$top/tests/what_if.py" "$folder/archway"
vectors=$top/../shared/vectors
if [ -d "$vectors/scheduler" ]; then
  for case in "$vectors"/scheduler/*.json; do same "$(basename "$case")" simulate --replay "$case" --json; done
  same "a cluster" simulate --add-nodes arm64=2,type=m7g.xlarge --recreate all --assume linux/amd64 --json "$vectors/kubernetes/cluster"
  same "its page" simulate --add-nodes arm64=2,type=m7g.xlarge --recreate all --assume linux/amd64 --html "$folder/page.html" "$vectors/kubernetes/cluster"
fi
finish
