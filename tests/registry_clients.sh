#!/bin/bash
# Other people's clients against `archway registry serve`: skopeo in and out, umoci on the folder, buildah push and pull,
# curl with passwords and TLS.
#     tests/registry_clients.sh ARCHWAY
set -u
archway=$(realpath "$1")
folder=$(mktemp -d /tmp/archway-clients-XXXXXX)
passed=0 failed=0 server=
stop() { [ -n "$server" ] && kill "$server" && wait "$server"; server=; }
trap 'stop 2>/dev/null; rm -rf "$folder"' EXIT
export no_proxy=127.0.0.1,localhost

check() { # WHAT COMMAND...: passes where the command does
  local what=$1; shift
  if "$@" >"$folder/out" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1)); echo "FAILED: $what: $*"; cat "$folder/out"
  fi
}
refuse() { # WHAT COMMAND...: passes where the command does not
  local what=$1; shift
  if "$@" >"$folder/out" 2>&1; then failed=$((failed + 1)); echo "FAILED: $what was let through"; else passed=$((passed + 1)); fi
}
serve() { # FLAGS...: starts a server; $url is where
  rm -f "$folder/address"
  "$archway" registry serve --root "$folder/store" --listen 127.0.0.1:0 --access-log "$folder/log" "$@" >"$folder/address" &
  server=$!
  until [ -s "$folder/address" ]; do kill -0 "$server" || exit 1; sleep 0.01; done
  url=$(sed -n '1s/listening on //p' "$folder/address")
  host=${url#*://}
}
need() { command -v "$1" >/dev/null || { echo "skipped: $2 ($1 is absent)"; return 1; }; }

# An image for two architectures, made by hand: a layer with one file each, and an index over them.
blob() { # FILE: into the layout by its digest, which it prints
  local digest; digest=$(sha256sum "$1" | cut -d' ' -f1)
  cp "$1" "$folder/layout/blobs/sha256/$digest"; echo "$digest"
}
image() { # ARCHITECTURE: prints the index's entry for it
  mkdir -p "$folder/rootfs"; echo "$1" >"$folder/rootfs/architecture"
  tar -C "$folder/rootfs" --owner=0 --group=0 --mtime=@0 -cf "$folder/layer" architecture
  local diff_id layer config manifest
  diff_id=$(sha256sum "$folder/layer" | cut -d' ' -f1)
  gzip -n -f "$folder/layer"; layer=$(blob "$folder/layer.gz")
  printf '{"architecture":"%s","os":"linux","config":{"Cmd":["/x"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$1" "$diff_id" >"$folder/config"
  config=$(blob "$folder/config")
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:%s","size":%d}]}' \
    "$config" "$(stat -c %s "$folder/config")" "$layer" "$(stat -c %s "$folder/layer.gz")" >"$folder/manifest"
  manifest=$(blob "$folder/manifest")
  printf '{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%d,"platform":{"os":"linux","architecture":"%s"}}' \
    "$manifest" "$(stat -c %s "$folder/manifest")" "$1"
}
mkdir -p "$folder/layout/blobs/sha256"
printf '{"imageLayoutVersion":"1.0.0"}' >"$folder/layout/oci-layout"
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s,%s]}' "$(image amd64)" "$(image arm64)" >"$folder/index"
index=$(blob "$folder/index")
printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:%s","size":%d,"annotations":{"org.opencontainers.image.ref.name":"1.0"}}]}' \
  "$index" "$(stat -c %s "$folder/index")" >"$folder/layout/index.json"

serve
if need skopeo "skopeo copy in and out"; then
  skopeo() { command skopeo --insecure-policy "$@"; }
  check "skopeo pushes an index" skopeo copy -q --all --dest-tls-verify=false "oci:$folder/layout:1.0" "docker://$host/team/app:1.0"
  check "skopeo pulls it" skopeo copy -q --all --src-tls-verify=false "docker://$host/team/app:1.0" "oci:$folder/pulled:1.0"
  check "the index is the same, byte for byte" cmp "$folder/index" "$folder/pulled/blobs/sha256/$index"
  check "skopeo reads the folder" skopeo copy -q --all "oci:$folder/store/team/app:1.0" "oci:$folder/copied:1.0"
  check "that index is the same too" cmp "$folder/index" "$folder/copied/blobs/sha256/$index"
  check "skopeo finds the other architecture" skopeo inspect --override-arch arm64 --tls-verify=false "docker://$host/team/app:1.0"
  : >"$folder/log"
  check "skopeo pushes again" skopeo copy -q --all --dest-tls-verify=false "oci:$folder/layout:1.0" "docker://$host/team/app:1.0"
  check "and sends no blob" bash -c "! grep -E ' (POST|PUT|PATCH) .*/blobs/' '$folder/log' | grep -v ' in=0 '"
  check "skopeo lists tags" bash -c "skopeo list-tags --tls-verify=false docker://$host/team/app | grep -q '\"1.0\"'"
  check "skopeo copies between repositories" skopeo copy -q --all --src-tls-verify=false --dest-tls-verify=false "docker://$host/team/app:1.0" "docker://$host/other:1.0"
  check "skopeo pushes one image" skopeo copy -q --override-arch arm64 --dest-tls-verify=false "oci:$folder/layout:1.0" "docker://$host/team/app:arm64"
  check "skopeo deletes" skopeo delete --tls-verify=false "docker://$host/other:1.0"
  refuse "what was deleted" skopeo inspect --tls-verify=false "docker://$host/other:1.0"
  if need umoci "umoci on the folder"; then
    check "umoci lists the folder's tags" bash -c "umoci ls --layout '$folder/store/team/app' | grep -qx arm64"
    check "umoci unpacks from the folder" umoci unpack --rootless --image "$folder/store/team/app:arm64" "$folder/bundle"
    check "and finds the file" grep -qx arm64 "$folder/bundle/rootfs/architecture"
    check "umoci tags in the folder" umoci tag --image "$folder/store/team/app:arm64" by-umoci
    check "and the server serves that tag" skopeo inspect --override-arch arm64 --tls-verify=false "docker://$host/team/app:by-umoci"
  fi
fi
if need buildah "buildah push and pull"; then
  buildah() { command buildah --root "$folder/containers" --runroot "$folder/run" --storage-driver vfs "$@"; }
  printf '{"default":[{"type":"insecureAcceptAnything"}]}' >"$folder/policy"
  if container=$(buildah from scratch 2>"$folder/out"); then
    check "buildah copies a file" buildah copy "$container" "$folder/rootfs/architecture" /architecture
    check "buildah commits" buildah commit --signature-policy "$folder/policy" "$container" made
    check "buildah pushes" buildah push --signature-policy "$folder/policy" --tls-verify=false made "docker://$host/by-buildah:1"
    check "buildah pushes in Docker's format" buildah push --signature-policy "$folder/policy" --format v2s2 --tls-verify=false made "docker://$host/by-buildah:docker"
    check "buildah forgets" buildah rmi -f made
    check "buildah pulls" buildah pull --signature-policy "$folder/policy" --tls-verify=false "docker://$host/by-buildah:1"
    check "buildah pulls Docker's format" buildah pull --signature-policy "$folder/policy" --tls-verify=false "docker://$host/by-buildah:docker"
  else
    echo "skipped: buildah push and pull (buildah does not run here: $(head -1 "$folder/out"))"
  fi
fi
stop
check "the server ended by itself" test -z "$(pgrep -f "$folder/store" || true)"

if need openssl "TLS" && need htpasswd "passwords" && need curl "TLS and passwords"; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost -addext "subjectAltName=IP:127.0.0.1" \
    -keyout "$folder/key.pem" -out "$folder/cert.pem" 2>/dev/null
  htpasswd -Bbc "$folder/users" ann secret 2>/dev/null
  serve --tls-cert "$folder/cert.pem" --tls-key "$folder/key.pem" --htpasswd "$folder/users"
  check "it says https" test "${url%%:*}" = https
  check "a password lets in over TLS" curl -sSf --cacert "$folder/cert.pem" -u ann:secret "$url/v2/"
  refuse "a wrong password" curl -sSf --cacert "$folder/cert.pem" -u ann:wrong "$url/v2/"
  refuse "nobody" curl -sSf --cacert "$folder/cert.pem" "$url/v2/"
  refuse "an unknown certificate" curl -sSf -u ann:secret "$url/v2/"
  mkdir -p "$folder/certs" && cp "$folder/cert.pem" "$folder/certs/ca.crt"
  if need skopeo "skopeo over TLS"; then
    check "skopeo pushes over TLS" skopeo copy -q --all --dest-cert-dir "$folder/certs" --dest-creds ann:secret "oci:$folder/layout:1.0" "docker://$host/tls/app:1.0"
    check "skopeo pulls over TLS" skopeo copy -q --all --src-cert-dir "$folder/certs" --src-creds ann:secret "docker://$host/tls/app:1.0" "oci:$folder/pulled-tls:1.0"
  fi
  stop
fi
refuse "listening beyond loopback" "$archway" registry serve --root "$folder/store" --listen 0.0.0.0:0
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
