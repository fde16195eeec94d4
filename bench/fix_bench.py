#!/usr/bin/env python3
"""How long `fix` takes against `audit` of the same files: 10,000 manifests, 200 MB, 150,000 workloads.

    bench/fix_bench.py BUILD [FILES [BYTES [ROUNDS]]]      BUILD: a release build with archway and audit_bench, such as build/release

Two cases: nothing to do, and every workload gets a toleration. In each the two take turns, and the quickest of each counts. `fix` writes the
files (they are copied anew for each turn) and syncs them. The goal is 1.5 x.
"""
import json, os, pathlib, resource, shutil, subprocess, sys, tempfile, time

build = pathlib.Path(sys.argv[1]).resolve()
files, size, rounds = (int(sys.argv[i]) if len(sys.argv) > i else n for i, n in ((2, 10_000), (3, 200_000_000), (4, 3)))
folder = pathlib.Path(tempfile.mkdtemp(prefix="archway-fix-bench."))
environment = {**os.environ, "ARCHWAY_ROOT": str(folder / "root"), "NO_COLOR": "1"}


def timed(*words):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    with open(folder / "out", "wb") as out:
        done = subprocess.run([build / "archway", *map(str, words)], stdout=out, stderr=subprocess.PIPE, env=environment)
    wall = time.monotonic() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        sys.exit("archway %s: %d\n%s" % (words[0], done.returncode, done.stderr.decode()[-2000:]))
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def settled():
    os.sync()
    time.sleep(6)  # what is written, and inodes that ext4 will not use again for five seconds, are no part of what is measured


def case(name, images, *words):
    known = folder / "images.json"
    known.write_text(json.dumps(images))
    common = ["--progress", "quiet", "--offline", "--images", known, *words]
    audits, fixes = [], []
    for _ in range(rounds):
        shutil.rmtree(folder / "copy", ignore_errors=True)
        shutil.copytree(folder / "made", folder / "copy")
        settled()
        audits.append(timed("audit", *common, folder / "copy"))
        fixes.append(timed("fix", *common, folder / "copy"))
    changed = sum((folder / "copy" / f).read_bytes() != (folder / "made" / f).read_bytes() for f in os.listdir(folder / "made"))
    audit, fix = min(audits), min(fixes)
    print("%-12s audit %.2f s (%.2f s of processors), fix %.2f s (%.2f s), %d of %d files changed: %.2f x" % (name, *audit, *fix, changed, files, fix[0] / audit[0]), flush=True)


try:
    subprocess.run([build / "audit_bench", "make", folder / "made", str(files), str(size)], check=True, stdout=subprocess.DEVNULL)
    name = "registry.example.org/team/app-%d:v1.%d.0"
    images = {name % (i % 2000, i % 30): {"platforms": ["linux/amd64", "linux/arm64"]} for i in range(6000)}
    case("nothing", images)
    case("tolerations", images, "--taint", "arch=arm64:NoSchedule")
finally:
    shutil.rmtree(folder, ignore_errors=True)
