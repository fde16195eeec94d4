#!/usr/bin/env python3
"""Builds each case of shared/vectors/builder with the real binary and holds the image against what BuildKit made of it.

    tests/builder_vectors.py ARCHWAY [CASE...]      all cases, or those named

Needs root (contexts are unpacked with owners), Debian's package mirror (for busybox-static) and the vectors beside the checkout;
says "skipped" otherwise. Compared: configuration, history, and every layer entry but the times of what the build itself makes.
"""
import gzip, hashlib, io, json, os, pathlib, re, shutil, subprocess, sys, tarfile, tempfile

TYPES = {tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink",
         tarfile.FIFOTYPE: "fifo", tarfile.CHRTYPE: "char", tarfile.BLKTYPE: "block"}
CONTEXT_NAMES = ["busybox", "alpine", "mirror.gcr.io/busybox", "mirror.gcr.io/alpine", "quay.io/libpod/centos:7"]
RECORDED_AFTER = 1_790_000_000  # later times are the recording's own


def layer_entries(data):
    entries = []
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
        for member in tar:
            entry = {"path": member.name.rstrip("/"), "type": TYPES[member.type], "mode": f"{member.mode:04o}", "uid": member.uid,
                     "gid": member.gid, "mtime": member.mtime}
            if member.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                entry["link"] = member.linkname
            if entry["type"] == "file":
                content = tar.extractfile(member).read()
                entry["size"], entry["sha256"] = len(content), hashlib.sha256(content).hexdigest()
            entries.append(entry)
    return entries


def read_image(archive, architecture):
    """Configuration and layers of one platform out of an oci-archive."""
    with tarfile.open(archive) as tar:
        blob = lambda digest: tar.extractfile("blobs/" + digest.replace(":", "/")).read()
        manifest = json.load(tar.extractfile("index.json"))["manifests"][0]
        body = json.loads(blob(manifest["digest"]))
        while "manifests" in body:
            body = json.loads(blob(next(m for m in body["manifests"] if m["platform"]["architecture"] == architecture)["digest"]))
        config = json.loads(blob(body["config"]["digest"]))
        return config, [blob(layer["digest"]) for layer in body["layers"]]


def differences(expected, config, layers):
    found = []
    # An empty list or map and an absent one are the same in an image's configuration.
    clean = lambda c: {k: v for k, v in (c or {}).items() if v not in (None, "", [], {}, False)}
    if clean(expected["config"]) != clean(config.get("config")):
        found.append(f"config: expected {json.dumps(clean(expected['config']), sort_keys=True)}\n          got      {json.dumps(clean(config.get('config')), sort_keys=True)}")
    for key in ("architecture", "os", "variant", "author"):
        if key in expected and expected[key] != config.get(key):
            found.append(f"{key}: expected {expected[key]}, got {config.get(key)}")
    history = [{k: v for k, v in h.items() if k in ("created_by", "comment", "empty_layer") and v} for h in config["history"]]
    wanted = [{k: v for k, v in h.items() if v} for h in expected["history"]]
    base = sum(1 for h in wanted if not h)
    if wanted[base:] != history[base:] or len(wanted) != len(history):
        for i in range(max(len(wanted), len(history))):
            a, b = wanted[i] if i < len(wanted) else None, history[i] if i < len(history) else None
            if a != b and (i >= base or a is None):
                found.append(f"history {i}: expected {a}\n          got      {b}")
    if len(expected["layers"]) != len(layers):
        found.append(f"layers: expected {len(expected['layers'])}, got {len(layers)}")
        return found
    for number, (want, data) in enumerate(zip(expected["layers"], layers)):
        if want == "base":
            continue
        got = layer_entries(data)
        if [e["path"] for e in got] != [e["path"] for e in want["entries"]]:
            found.append(f"layer {number}: expected paths {[e['path'] for e in want['entries']]}\n          got      {[e['path'] for e in got]}")
            continue
        for a, b in zip(want["entries"], got):
            a, b = dict(a), dict(b)
            if a["mtime"] >= RECORDED_AFTER:
                a.pop("mtime"), b.pop("mtime")
            if "size" not in a:
                b.pop("size", None)
            if a != b:
                found.append(f"layer {number} {a['path']}: expected {a}\n          got      {b}")
    return found


def run_case(archway, folder, expected_file, layout, work):
    expected = json.loads(expected_file.read_text())
    context = work / "context"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir()
    subprocess.run(["tar", "--xattrs", "--xattrs-include=*", "-xpf", folder / "context.tar", "-C", context], check=True)
    out = work / "out.tar"
    command = [archway, "build", "--no-cache", "--progress=plain", "--platform", expected["platform"], "-f", str(context / expected["dockerfile"]),
               "-o", f"type=oci,dest={out}"]
    for key, value in expected["buildArgs"].items():
        command += ["--build-arg", f"{key}={value}"]
    for name in CONTEXT_NAMES:
        command += ["--build-context", f"{name}=oci-layout://{layout}"]
    done = subprocess.run(command + [str(context)], capture_output=True, text=True, timeout=300)
    if "error" in expected:
        return [] if done.returncode == 2 else [f"expected an error ({expected['error']}), got exit status {done.returncode}"]
    if done.returncode == 2 and re.search(r"^archway: Dockerfile:\d+:\d+: .* is not supported by this version", done.stderr, re.M):
        return None
    if done.returncode != 0:
        return [f"exit status {done.returncode}: " + "\n          ".join(done.stderr.strip().splitlines()[-6:])]
    return differences(expected, *read_image(out, expected["architecture"]))


def main():
    archway = os.path.abspath(sys.argv[1])
    top = pathlib.Path(__file__).resolve().parent.parent
    vectors = top.parent / "shared" / "vectors"
    if not vectors.is_dir() or os.getuid() != 0:
        print("skipped: needs root and the vectors beside the checkout")
        return 0
    passed = failed = skipped = 0
    with tempfile.TemporaryDirectory(prefix="archway-vectors-") as name:
        work = pathlib.Path(name)
        layout = work / "busybox"
        if subprocess.run([sys.executable, vectors / "make-busybox-layout.py", layout], capture_output=True).returncode != 0:
            print("skipped: busybox-static could not be fetched")
            return 0
        for folder in sorted((vectors / "builder").iterdir()):
            for expected in sorted(folder.glob("expected.*.json")):
                label = f"{folder.name} {expected.suffixes[-2][1:]}"
                if len(sys.argv) > 2 and folder.name not in sys.argv[2:]:
                    continue
                # Each case begins with nothing known: a layer that an earlier one left could stand in for an equal one of its own.
                os.environ["ARCHWAY_ROOT"] = str(work / "state" / expected.stem / folder.name)
                found = run_case(archway, folder, expected, layout, work)
                if found is None:
                    skipped += 1
                    print(f"skipped {label}: an instruction that is not there yet, refused with file and line")
                    continue
                passed += not found
                failed += bool(found)
                for line in found:
                    print(f"FAILED {label}: {line}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
