#!/usr/bin/env python3
"""Clusters that are wrong: what the API server would refuse, quantities of every form, references to nothing, contradictory priorities,
dumps that were cut off. Each is named by kind, namespace/name and field, and the rest is still simulated.

    tests/bad_cluster.py ARCHWAY
"""
import copy, json, os, pathlib, shutil, subprocess, sys, tempfile

GOOD_NODE = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "good", "labels": {"kubernetes.io/arch": "amd64", "kubernetes.io/hostname": "good"}}, "spec": {},
             "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "20"}}}


def pod(name="bad", **changes):
    value = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "shop"}, "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m"}}}]},
             "status": {"phase": "Pending"}}
    for path, change in changes.items():
        at, parts = value, path.split("__")
        for part in parts[:-1]:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        at[int(parts[-1]) if isinstance(at, list) else parts[-1]] = change
    return value


def node(**changes):
    value = copy.deepcopy(GOOD_NODE)
    value["metadata"]["name"] = "bad"
    for path, change in changes.items():
        at, parts = value, path.split("__")
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        at[parts[-1]] = change
    return value


def required(expression):
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}}


def anti(term):
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


CPU = "spec__containers__0__resources__requests__cpu"
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
# what is wrong, the object, where it is named, words of the field and of the reason
REFUSED = [
    ("a quantity that is none", pod(**{CPU: "lots"}), "Pod shop/bad", ["containers[0]", "resources.requests", "cpu"]),
    ("a quantity with a blank", pod(**{CPU: "1 "}), "Pod shop/bad", ["requests", "cpu"]),
    ("a quantity with two suffixes", pod(**{CPU: "1kM"}), "Pod shop/bad", ["requests", "cpu"]),
    ("an empty quantity", pod(**{CPU: ""}), "Pod shop/bad", ["requests", "cpu"]),
    ("a negative request", pod(**{CPU: "-1"}), "Pod shop/bad", ["requests", "cpu", "negative"]),
    ("requests that are a list", pod(spec__containers__0__resources__requests=["cpu"]), "Pod shop/bad", ["requests"]),
    ("no containers", pod(spec__containers=[]), "Pod shop/bad", ["containers", "empty"]),
    ("containers that are an object", pod(spec__containers={"name": "c"}), "Pod shop/bad", ["containers"]),
    ("a nodeSelector that is a string", pod(spec__nodeSelector="arm64"), "Pod shop/bad", ["nodeSelector"]),
    ("a label value that is a number", pod(metadata__labels={"version": 1}), "Pod shop/bad", ["labels", "version", "string"]),
    ("an unknown operator", pod(spec__affinity=required({"key": "a", "operator": "Is", "values": ["b"]})), "Pod shop/bad", ["nodeSelectorTerms[0]", "matchExpressions[0]", "operator", "Is"]),
    ("In without values", pod(spec__affinity=required({"key": "a", "operator": "In"})), "Pod shop/bad", ["matchExpressions[0]", "values"]),
    ("Exists with values", pod(spec__affinity=required({"key": "a", "operator": "Exists", "values": ["b"]})), "Pod shop/bad", ["values"]),
    ("a key that is none", pod(spec__affinity=required({"key": "a b", "operator": "Exists"})), "Pod shop/bad", ["key", "a b"]),
    ("a preferred term of weight 0", pod(spec__affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 0, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}]}}),
     "Pod shop/bad", ["weight", "1 and 100"]),
    ("anti-affinity without a topology key", pod(spec__affinity=anti({"labelSelector": {"matchLabels": {"a": "b"}}})), "Pod shop/bad", ["podAntiAffinity", "topologyKey"]),
    ("a toleration without key and operator", pod(spec__tolerations=[{"effect": "NoSchedule"}]), "Pod shop/bad", ["tolerations[0]", "operator"]),
    ("a toleration that exists and has a value", pod(spec__tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]), "Pod shop/bad", ["tolerations[0]", "value"]),
    ("an unknown toleration operator", pod(spec__tolerations=[{"key": "a", "operator": "Like"}]), "Pod shop/bad", ["tolerations[0]", "Like"]),
    ("a skew of 0", pod(spec__topologySpreadConstraints=[{**SPREAD, "maxSkew": 0}]), "Pod shop/bad", ["topologySpreadConstraints[0]", "maxSkew"]),
    ("an unknown whenUnsatisfiable", pod(spec__topologySpreadConstraints=[{**SPREAD, "whenUnsatisfiable": "Cry"}]), "Pod shop/bad", ["topologySpreadConstraints[0]", "Cry"]),
    ("minDomains of 0", pod(spec__topologySpreadConstraints=[{**SPREAD, "minDomains": 0}]), "Pod shop/bad", ["minDomains"]),
    ("a host port out of range", pod(spec__containers__0__ports=[{"containerPort": 1, "hostPort": 70000}]), "Pod shop/bad", ["hostPort", "70000"]),
    ("a priority that is a word", pod(spec__priority="high"), "Pod shop/bad", ["priority"]),
    ("a start time that is none", pod(status__startTime="yesterday"), "Pod shop/bad", ["status.startTime", "yesterday"]),
    ("a pod without a name", pod(metadata__name=""), "Pod", ["metadata.name"]),
    ("a name that is a number", pod(metadata__name=7), "Pod", ["metadata.name", "string"]),
    ("a namespace that is a boolean (n, in YAML)", pod(metadata__namespace=False), "Pod", ["metadata.namespace", "string"]),
    ("a node with a taint without key", node(spec__taints=[{"effect": "NoSchedule"}]), "Node bad", ["taints[0]", "key"]),
    ("a node's quantity that is none", node(status__allocatable={"cpu": "four"}), "Node bad", ["allocatable", "cpu"]),
    ("a Deployment of -1 replicas", {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "bad", "namespace": "shop"}, "spec": {"replicas": -1, "selector": {"matchLabels": {"a": "b"}}}},
     "Deployment shop/bad", ["replicas"]),
    ("a selector with an unknown operator", {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "bad", "namespace": "shop"},
                                             "spec": {"selector": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}}}, "Deployment shop/bad", ["selector", "operator", "Gt"]),
    ("a PriorityClass without a value", {"kind": "PriorityClass", "apiVersion": "scheduling.k8s.io/v1", "metadata": {"name": "bad"}}, "PriorityClass bad", ["value"]),
    ("an object without a kind", {"metadata": {"name": "bad"}}, "bad", ["kind"]),
    # References to nothing.
    ("a priority class that is not there", pod(spec__priorityClassName="none"), "Pod shop/bad", ["spec.priorityClassName", "none"]),
    ("a node that is not there", pod(spec__nodeName="gone", status__phase="Running"), "Pod shop/bad", ["spec.nodeName", "gone"]),
]

QUANTITIES = ["0", "1", "100m", "0.1", ".5", "5.", "+1", "1e-1", "1E2", "1e3", "12Ki", "0.5Gi", "1Ti", "1k", "2M", "1n", "1u", "9223372036854775807", "1Ei", "0.000000001", "1e-20", 2, 0.5, 1e3]


class World:
    def __init__(self, archway):
        self.archway, self.passed, self.failed = archway, 0, 0
        self.folder = tempfile.mkdtemp(prefix="archway-cluster.")

    def check(self, good, what, detail=""):
        self.passed += bool(good)
        self.failed += not good
        if not good:
            print("FAILED: %s\n    %s" % (what, detail[-1500:]))

    def simulate(self, content, *flags, name="cluster.json"):
        path = os.path.join(self.folder, name)
        pathlib.Path(path).write_text(content if isinstance(content, str) else json.dumps(content))
        done = subprocess.run([self.archway, "simulate", path, "--json", *flags], capture_output=True, text=True, timeout=60, env={**os.environ, "ARCHWAY_ROOT": self.folder})
        try:
            return done, json.loads(done.stdout)
        except ValueError:
            return done, {"pods": [], "problems": []}

    def no_crash(self, what, done):
        self.check(done.returncode in (0, 1, 2, 64) and not any(w in done.stderr for w in ("Sanitizer", "runtime error", "terminate called", "CHECK failed")), what + ": no crash", done.stderr)


def a_list(*items):
    return {"kind": "List", "apiVersion": "v1", "items": list(items)}


def placed(answer, name):
    return [p.get("after") for p in answer["pods"] if p["pod"] == name]


def refused(world):
    for what, thing, where, words in REFUSED:
        done, answer = world.simulate(a_list(GOOD_NODE, thing, pod("fine")))
        world.no_crash(what, done)
        told = ["%s: %s" % (p["object"], p["message"]) for p in answer["problems"]]
        world.check(any(where in t and all(w in t for w in words) for t in told), "%s is named by kind, name and field" % what, "%s\nwanted %s %s in %s" % (done.stderr, where, words, told))
        world.check(placed(answer, "shop/fine") == ["good"], "%s: the rest is simulated" % what, done.stdout)
        if thing.get("kind") == "Pod" and "priority class" not in what:
            world.check(not any(placed(answer, "shop/bad")), "%s: it is left out" % what, done.stdout)


def quantities(world):
    for text in QUANTITIES:
        done, answer = world.simulate(a_list(GOOD_NODE, pod(**{CPU: text})))
        world.check(done.returncode in (0, 1) and answer["problems"] == [], "the quantity %r is read" % (text,), done.stdout + done.stderr)
        fits = text not in ("5.", "1E2", "1e3", "12Ki", "0.5Gi", "1Ti", "1k", "2M", "9223372036854775807", "1Ei", 1e3)
        world.check(placed(answer, "shop/bad") == (["good"] if fits else [None]), "the quantity %r counts for what it is" % (text,), done.stdout)


def references(world):
    claim = pod(spec__volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "none"}}])
    done, answer = world.simulate(a_list(GOOD_NODE, claim, pod("fine")))
    world.check(any("persistentvolumeclaim \"none\" not found" in p.get("reason", "") for p in answer["pods"]), "a claim that is not there: the pod stays Pending, and says so", done.stdout)
    owned = pod("owned")
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gone", "uid": "1", "controller": True}]
    done, answer = world.simulate(a_list(GOOD_NODE, owned, pod("fine")))
    world.check(placed(answer, "shop/owned") == ["good"], "an owner that is not there is no obstacle", done.stdout)
    loop = [{"kind": "ReplicaSet", "apiVersion": "apps/v1", "metadata": {"name": a, "namespace": "shop", "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": b, "uid": b, "controller": True}]},
             "spec": {"replicas": 1, "selector": {"matchLabels": {"x": a}}}} for a, b in (("a", "b"), ("b", "a"))]
    owned["metadata"]["ownerReferences"][0]["name"] = "a"
    done, answer = world.simulate(a_list(GOOD_NODE, *loop, owned))
    world.check(placed(answer, "shop/owned") == ["good"], "owners in a circle end", done.stdout + done.stderr)


def priorities(world):
    """Classes that contradict each other, and pods that would push one another out for ever."""
    classes = [{"kind": "PriorityClass", "apiVersion": "scheduling.k8s.io/v1", "metadata": {"name": n}, "value": v, "globalDefault": True} for n, v in (("a", 5), ("b", 7))]
    done, answer = world.simulate(a_list(GOOD_NODE, *classes, pod("fine")))
    world.check(done.returncode == 0 and placed(answer, "shop/fine") == ["good"], "two global defaults", done.stdout + done.stderr)
    small = copy.deepcopy(GOOD_NODE)
    small["status"]["allocatable"]["cpu"] = "1"
    ranks = []
    for i in range(12):
        one = pod("p%d" % i, spec__priority=i, **{CPU: "900m"})
        one["metadata"]["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r%d" % i, "uid": "r%d" % i, "controller": True}]
        ranks.append(one)
    ranks[0]["spec"]["nodeName"], ranks[0]["status"]["phase"] = "good", "Running"
    done, answer = world.simulate(a_list(small, *ranks))
    world.check([p["pod"] for p in answer["pods"] if p.get("after")] == ["shop/p11"], "of many that preempt one another the most important stays, and the simulation ends", done.stdout + done.stderr)
    done, answer = world.simulate(a_list(GOOD_NODE, pod(spec__priority=2 ** 70), pod("fine")))
    world.no_crash("a priority beyond all bounds", done)
    world.check(placed(answer, "shop/fine") == ["good"], "a priority beyond all bounds: the rest is simulated", done.stdout)


def dumps(world):
    whole = json.dumps(a_list(GOOD_NODE, *[pod("fine-%d" % i) for i in range(5)]))
    done, answer = world.simulate(whole)
    world.check(len(answer["pods"]) == 5, "a whole dump")
    cut = whole[: whole.index("fine-3")]
    done, answer = world.simulate(cut)
    told = [p["object"] + ": " + p["message"] for p in answer["problems"]]
    world.check(len(answer["pods"]) == 3 and any("cluster.json" in t for t in told), "a dump that was cut off counts as far as it goes, and is named", done.stdout + done.stderr)
    for text, what in (("", "an empty file"), ("{", "a lone brace"), ("[1, 2]", "a list of numbers"), ("null", "null"), ("\x00\x01", "bytes"), (whole[:20], "a dump cut off before anything"), ("[" * 5000, "a deep nest"),
                       ('{"kind": "List", "items": 7}', "items that are a number"), ('{"kind": "PodList", "items": [1, "x", null, []]}', "items that are no objects")):
        done, answer = world.simulate(text)
        world.no_crash(what, done)
        world.check(done.returncode in (0, 2) and (done.returncode == 0 or "cluster.json" in done.stderr), what + " is told, with the file", "%d %s %s" % (done.returncode, done.stdout, done.stderr))
    for text, what in (("kind: Node\nmetadata: {name: [}\n", "broken YAML"), ("&a [*a]\n", "YAML that contains itself"), ("kind: Node\n\tname: x\n", "YAML with a tab")):
        done, _ = world.simulate(text, name="cluster.yaml")
        world.no_crash(what, done)
        world.check(done.returncode == 2 and "cluster.yaml" in done.stderr, what + " is told, with the file", "%d %s" % (done.returncode, done.stderr))


def main():
    world = World(sys.argv[1])
    for group in (refused, quantities, references, priorities, dumps):
        group(world)
    shutil.rmtree(world.folder, ignore_errors=True)
    print("%d passed, %d failed" % (world.passed, world.failed))
    return world.failed > 0


sys.exit(main())
