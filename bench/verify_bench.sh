#!/usr/bin/env bash
# Verifying the two-platform base of the quickstart (Debian's python3-minimal, extracted for amd64 and arm64) against `igzip -dc` of the
# same two layers, two at a time. Needs mmdebstrap, igzip and Debian's package mirror.
#   bench/verify_bench.sh build/release [ROUNDS]     (first: ninja -C build/release verify_bench)
set -euo pipefail
build=${1:?usage: bench/verify_bench.sh BUILD_FOLDER [ROUNDS]}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
hook=/usr/share/mmdebstrap/hooks/merged-usr
for arch in amd64 arm64; do
  mmdebstrap --quiet --architectures=$arch --variant=extract --include=python3-minimal,dash,base-files,coreutils \
    ${hook:+--hook-dir=$hook} bookworm "$work/$arch.tar"
  igzip -1 -c "$work/$arch.tar" >"$work/$arch.tar.gz"
done
python3 - "$work" <<'PY'
import hashlib, json, os, sys
work = sys.argv[1]
out = os.path.join(work, "layout")
os.makedirs(os.path.join(out, "blobs/sha256"))
def put(data, media_type, **more):
    digest = hashlib.sha256(data).hexdigest()
    with open(os.path.join(out, "blobs/sha256", digest), "wb") as f: f.write(data)
    return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data), **more}
def put_json(value, kind, **more): return put(json.dumps(value).encode(), "application/vnd.oci.image." + kind + "+json", **more)
entries = []
for arch in ("amd64", "arm64"):
    with open(f"{work}/{arch}.tar", "rb") as f: diff_id = "sha256:" + hashlib.file_digest(f, "sha256").hexdigest()
    with open(f"{work}/{arch}.tar.gz", "rb") as f: layer = put(f.read(), "application/vnd.oci.image.layer.v1.tar+gzip")
    config = put_json({"os": "linux", "architecture": arch, "config": {"Cmd": ["python3"]}, "rootfs": {"type": "layers", "diff_ids": [diff_id]}}, "config.v1")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer]}
    entries.append(put_json(manifest, "manifest.v1", platform={"os": "linux", "architecture": arch}))
index = put_json({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}, "index.v1")
with open(os.path.join(out, "index.json"), "w") as f: json.dump({"schemaVersion": 2, "manifests": [index]}, f)
with open(os.path.join(out, "oci-layout"), "w") as f: f.write('{"imageLayoutVersion":"1.0.0"}')
PY
"$build/verify_bench" "$work/layout" "${2:-10}"
