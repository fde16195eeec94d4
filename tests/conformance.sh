#!/bin/bash
# The OCI distribution-spec's own conformance program against `archway registry serve`: all that 1.1 says, and what the next version
# will. $OCI_CONFORMANCE is that program (`go build` in its repository's folder conformance/).
#     tests/conformance.sh ARCHWAY
set -u
archway=$(realpath "$1")
. "$(dirname "$0")/base.sh"
[ -x "${OCI_CONFORMANCE:-}" ] || skip_all "no conformance program: \$OCI_CONFORMANCE must name it"
program=$(realpath "$OCI_CONFORMANCE")
folder=$(mktemp -d /tmp/archway-conformance-XXXXXX)
end() { stop_servers; rm -rf "$folder"; }
trap end EXIT

serve
conform() { # NAME SETTING...: runs all tests; none may fail, and there must have been some
  local name=$1 failed_there total; shift
  (cd "$folder" && env OCI_REGISTRY="$registry" OCI_TLS=disabled OCI_REPO1="$name/one" OCI_REPO2="$name/two" OCI_RESULTS_DIR="$folder/results-$name" "$@" timeout 300 "$program") >"$folder/$name.txt" 2>&1
  equal "$name: its exit status" 0 $?
  failed_there=$(grep -E '^ *(FAIL|Error)\.+: +[0-9]+$' "$folder/$name.txt" | awk '{sum += $NF} END {print sum + 0}')
  total=$(grep -E '^ *Total\.+: +[0-9]+$' "$folder/$name.txt" | awk '{print $NF}')
  equal "$name: tests that fail" 0 "$failed_there"
  [ "$failed_there" = 0 ] || grep -E ': (FAIL|Error)$' "$folder/$name.txt" | head -n 20
  check "$name: enough tests ran (${total:-none})" test "${total:-0}" -gt 500
}
conform stable OCI_VERSION=1.1
# Image manifests without their layers are refused on purpose (docs/registry-server.md); all else that can be chosen is on.
conform next OCI_VERSION=dev OCI_API_BLOBS_UPLOAD_CANCEL=true OCI_API_BLOBS_DIGEST_HEADER=true OCI_API_MANIFESTS_DIGEST_HEADER=true
htpasswd -bBn somebody secret >"$folder/users" 2>/dev/null && {
  serve --htpasswd "$folder/users"
  conform private OCI_VERSION=1.1 OCI_USERNAME=somebody OCI_PASSWORD=secret
}
finish
