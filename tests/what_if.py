#!/usr/bin/env python3
"""What-if scenarios whose right answer is known: each folder of tests/golden has a cluster, a command (`run`), what it prints (`expected.txt`,
whose last line is the exit status) and what a reader learns from it (`lesson.txt`). Beside the text, what makes the answer right is checked
on the JSON, so that a golden file cannot be renewed into a wrong one.

    tests/what_if.py ARCHWAY [--update] [NAME...]      ARCHWAY may be a command: "qemu-aarch64-static -L SYSROOT ARCHWAY"
"""
import json, pathlib, shlex, subprocess, sys

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"


class Answer:
    def __init__(self, json_, status):
        self.json, self.status = json_, status
        self.pods = {pod["pod"]: pod for pod in json_.get("pods", [])}
        self.arch = {node["node"]: node["architecture"] for node in json_.get("nodes", [])}

    def at(self, prefix):  # architectures of the pods whose name begins so; None for those without a node
        return [self.arch.get(p.get("after", ""), None) for name, p in sorted(self.pods.items()) if name.startswith(prefix) and p["fate"] != "gone"]

    def fates(self, prefix):
        return [p["fate"] for name, p in sorted(self.pods.items()) if name.startswith(prefix)]

    def crash(self):
        return sorted({p["image"] for p in self.pods.values() if p.get("runs") in ("exec format error", "no match for platform")})


def tainted_group(a):
    return a.status == 0 and len(a.at("shop/")) == 12 and set(a.at("shop/")) == {"amd64"}

def group_without_taint(a):
    return a.status == 1 and "arm64" in a.at("shop/") and a.crash() and set(a.crash()) <= {"registry.example.org/boutique/%s:v0.10.6" % n for n in ("emailservice", "loadgenerator")}

def tolerations_from_images(a):
    return a.status == 0 and "arm64" in a.at("shop/") and not a.crash() and set(a.at("shop/emailservice") + a.at("shop/loadgenerator")) == {"amd64"}

def daemon_sets(a):
    return a.status == 0 and sorted(a.at("monitoring/")) == ["amd64", "amd64", "arm64", "arm64"] and a.at("logging/") == ["amd64", "amd64"]

def spread(a):
    placed = [p["after"] for p in a.pods.values() if p.get("after")]
    return a.status == 1 and sorted(placed) == ["amd-1", "amd-2", "amd-3"] and a.fates("shop/web").count("pending") == 3

def prefer(a):
    return a.status == 0 and sorted(a.at("batch/")) == ["amd64", "amd64", "arm64", "arm64"]

def volume(a):
    db = a.pods["data/db-0"] if a.pods["data/db-0"]["fate"] != "gone" else next(p for p in a.json["pods"] if p["pod"] == "data/db-0" and p["fate"] == "pending")
    return a.status == 1 and db["fate"] == "pending" and "2 node(s) didn't match PersistentVolume's node affinity" in db["reason"]

def preemption(a):
    return a.status == 1 and a.fates("batch/filler") == ["stays", "stays"] and a.fates("batch/urgent") == ["pending"]

def node_selector(a):
    return (a.status == 1 and a.at("default/busybox-arm64") == ["arm64"] and a.at("default/print-platform-info") == ["arm64"] and a.at("default/print-on-amd64") == ["amd64"]
            and a.crash() == ["amd64/busybox"])

def affinity(a):
    return a.at("default/only-amd64").count("amd64") >= 1 and set(a.at("default/only-amd64")) <= {"amd64", None} and "riscv64" in a.at("default/not-arm64") and "arm64" not in a.at("default/not-arm64")

def taints(a):
    return (sorted(a.at("kube-system/kube-proxy")) == ["amd64", "arm64"] and sorted(a.at("logging/fluentd")) == ["amd64", "arm64"] and a.at("tracing/jaeger-agent") == ["amd64"]
            and a.at("legacy/old-chart") == ["amd64"] and a.at("default/moved") == ["arm64"] and a.fates("default/not-yet") == ["pending"])


RIGHT = {
    "01-tainted-group": tainted_group, "02-group-without-taint": group_without_taint, "03-tolerations-from-images": tolerations_from_images, "04-daemon-sets": daemon_sets,
    "05-spread-over-tainted-nodes": spread, "06-prefer-no-schedule": prefer, "11-volume-in-another-zone": volume, "12-preemption-that-cannot-help": preemption,
    "article-node-selector": node_selector, "article-affinity": affinity, "article-taints-and-daemon-sets": taints,
}

# What the autoscaler's answers must say, and must not.
SAYS = {
    "07-group-at-zero": (["arm grows from 0 to 1", "3 of the 3 pods for which it grew still wait", "x86 grows from 0 to 1", "status 0"], []),
    "08-priorities-that-never-count": (["pattern-matches-nothing", "priority-tie", "priority-negative", "status 1"], []),
    "09-mixed-architectures": (["mixed-architectures", "m7g.xlarge", "m7i.xlarge", "status 1"], []),
    "10-karpenter-without-architecture": (["m7g.xlarge", "exec format error: registry.example.org/legacy:1", "status 1"], ["m7i.xlarge"]),
    "10b-karpenter-weights": (["arm-1", "exec format error", "status 1"], ["x86-1"]),
    "10c-karpenter-ored-affinity": (["x86-1", "amd64", "status 0"], ["arm-1"]),
    "06b-prefer-no-schedule-explained": (["300 TaintToleration", "0 TaintToleration", "goes to amd-1"], []),
}


def run(archway, folder, *more):
    words = shlex.split((folder / "run").read_text())
    done = subprocess.run([*shlex.split(archway), *words, *more], cwd=folder, capture_output=True, text=True, timeout=60)
    return done


def main():
    archway, update, names = sys.argv[1], "--update" in sys.argv, [w for w in sys.argv[2:] if not w.startswith("-")]
    passed = failed = 0
    for folder in sorted(p for p in GOLDEN.iterdir() if (p / "run").exists() and (not names or p.name in names)):
        done = run(archway, folder)
        text = done.stdout + "status %d\n" % done.returncode
        expected = folder / "expected.txt"
        if update:
            expected.write_text(text)
        wrong = []
        if done.stderr:
            wrong.append("it wrote to standard error: " + done.stderr)
        if text != (expected.read_text() if expected.exists() else ""):
            wrong.append("it says\n%s\nexpected was\n%s" % (text, expected.read_text() if expected.exists() else "nothing"))
        if not (folder / "lesson.txt").read_text().strip():
            wrong.append("no lesson")
        if folder.name in RIGHT:
            again = run(archway, folder, "--json")
            if not RIGHT[folder.name](Answer(json.loads(again.stdout), again.returncode)):
                wrong.append("the answer is not the right one:\n" + done.stdout)
        wanted, unwanted = SAYS.get(folder.name, ([], []))
        if not all(w in text for w in wanted) or any(w in text for w in unwanted):
            wrong.append("the answer is not the right one: wanted %s without %s in\n%s" % (wanted, unwanted, text))
        if folder.name not in RIGHT and folder.name not in SAYS:
            wrong.append("nobody says what makes its answer right")
        if wrong:
            failed += 1
            print("FAILED: %s: %s" % (folder.name, "\n".join(wrong)))
        else:
            passed += 1
    missing = [name for name in [*RIGHT, *SAYS] if not (GOLDEN / name).exists()]
    failed += len(missing)
    print("".join("FAILED: %s is missing\n" % name for name in missing) + "%d passed, %d failed" % (passed, failed))
    return failed > 0


sys.exit(main())
