"""What tests/audit_cluster.sh puts into a real cluster and into registries, and what must be found there, by rules of its own.

    python3 tests/cluster_objects.py COMMAND [ARGUMENT...]      see the end
"""
import base64, json, os, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import audit

# Whose objects they are; nobody can make those by hand, or the API server makes them itself.
NOT_LOADED = {"Namespace": ("default", "kube-system", "kube-public", "kube-node-lease"), "PriorityClass": ("system-cluster-critical", "system-node-critical"), "Service": ("kubernetes",)}
ORDER = ["namespaces", "priorityclasses", "nodes", "serviceaccounts", "daemonsets", "deployments", "statefulsets", "replicasets", "jobs", "cronjobs", "pods"]


def recorded(cron_version="batch/v1"):
    """The objects of the recorded cluster, as one may create them."""
    for name in ORDER:
        file = audit.VECTORS / (name + ".json")
        if not file.exists():
            continue
        data = json.loads(file.read_text())
        for item in data["items"]:
            meta = item["metadata"]
            if meta["name"] in NOT_LOADED.get(data["kind"][:-4], ()):
                continue
            for key in ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields", "selfLink", "deletionTimestamp", "generateName"):
                meta.pop(key, None)
            item.pop("status", None)
            if data["kind"] == "JobList":  # the API server makes both of them up
                item["spec"].pop("selector", None)
                for labels in (meta.get("labels", {}), item["spec"]["template"]["metadata"].get("labels", {})):
                    for key in ("controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name"):
                        labels.pop(key, None)
            if "spec" in item:
                item["spec"] = loadable(item["spec"])
            yield dict(item, kind=data["kind"][:-4], apiVersion=cron_version if data["kind"] == "CronJobList" else data["apiVersion"])


def loadable(value):
    """Without what only later versions know (probes by gRPC), and what cannot be created (ephemeral containers)."""
    if isinstance(value, list):
        return [loadable(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {k: loadable(v) for k, v in value.items() if k not in ("ephemeralContainers", "livenessProbe", "readinessProbe", "startupProbe")}


def fill(registry, private, user):
    """Images of every kind; `private` lets in whom `user` ("NAME:PASSWORD") names."""
    def at(host, header={}):
        one = audit.Registry.__new__(audit.Registry)
        one.host, one.header = host, header
        return one
    public = at(registry)
    for name in ("ready", "custom", "volume"):
        public.both("team/" + name, "1.0")
    for name in ("x86", "job"):
        public.image("team/" + name, "amd64", tag="1.0")
    public.image("team/arm", "arm64", tag="1.0")
    public.image("team/later", "amd64", tag="1.0")
    public.both("team/later", "1.1")
    child = public.image("team/pinned", "amd64")
    index = public.index("team/pinned", "1.0", child, public.image("team/pinned", "arm64"))
    closed = at(private, {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()})
    for name in ("app", "account", "nobody", "default"):
        closed.both(name, "1.0")
    return {"child": child["digest"], "index": index}


def container(image, name="main"):
    return {"name": name, "image": image}


def template(image, **spec):
    return {"metadata": {"labels": {"app": "x"}}, "spec": dict({"containers": [container(image)]}, **spec)}


def meta(name, namespace=None, **more):
    return dict({"name": name, **({"namespace": namespace} if namespace else {})}, **more)


def workload(kind, name, namespace, image, version="apps/v1", spec={}, **pod):
    body = dict({"template": template(image, **pod)}, **spec)
    if kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"):
        body["selector"] = {"matchLabels": {"app": "x"}}
    if kind == "ReplicationController":
        body["selector"] = {"app": "x"}
    if kind == "StatefulSet":
        body["serviceName"] = "x"
    if kind == "Job":
        body["template"]["spec"].setdefault("restartPolicy", "Never")
    return {"apiVersion": version, "kind": kind, "metadata": meta(name, namespace), "spec": body}


def own(registry, private, dead, digests, cron_version):
    """Objects with every way to hold a pod. Their images tell what becomes of them."""
    team = lambda name, tag="1.0": "%s/team/%s:%s" % (registry, name, tag)
    node = lambda name, arch, **spec: {"apiVersion": "v1", "kind": "Node", "metadata": meta(name, labels={"kubernetes.io/arch": arch, "kubernetes.io/os": "linux"}), "spec": spec}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "metadata": meta("regcred", "private"),
              "data": {".dockerconfigjson": base64.b64encode(json.dumps({"auths": {private: {"username": "ann", "password": "secret"}}}).encode()).decode()}}
    job = workload("Job", "once", "shop", team("job"), "batch/v1", nodeSelector={"kubernetes.io/arch": "amd64"})
    tick = workload("Job", "tick", "shop", team("later"), "batch/v1")
    custom = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": meta("w", "shop"), "spec": {"template": template(team("custom"))}}
    rollout = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": meta("canary", "shop"), "spec": {"template": template(team("custom"))}}
    fleet = {"apiVersion": "example.org/v1", "kind": "Fleet", "metadata": meta("f"), "spec": {"image": team("x86")}}
    objects = [{"apiVersion": "v1", "kind": "Namespace", "metadata": meta(name)} for name in ("shop", "team", "private", "locked")]
    objects += [node("own-amd64", "amd64"), node("own-arm64", "arm64", taints=[{"key": "arch", "value": "arm64", "effect": "NoSchedule"}])]
    objects += [secret, dict(secret, metadata=meta("regcred", "shop")),
                {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("puller", "private"), "imagePullSecrets": [{"name": "regcred"}]},
                {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("default", "shop"), "imagePullSecrets": [{"name": "regcred"}]}]
    objects += [workload("Deployment", "web", "shop", team("ready"), spec={"replicas": 2}),
                workload("Deployment", "zero", "shop", team("x86"), spec={"replicas": 0}),
                workload("Deployment", "by-default-account", "shop", private + "/default:1.0"),
                workload("ReplicaSet", "bare", "shop", team("arm")),
                dict(tick, apiVersion=cron_version, kind="CronJob", spec={"schedule": "* * * * *", "jobTemplate": {"spec": tick["spec"]}}),
                job,
                workload("Job", "stale", "shop", team("ready"), "batch/v1", nodeSelector={"kubernetes.io/arch": "amd64"}),
                {"apiVersion": "v1", "kind": "Pod", "metadata": meta("stale", "shop"), "spec": {"containers": [container(team("ready"))], "nodeSelector": {"kubernetes.io/arch": "amd64"}}},
                {"apiVersion": "v1", "kind": "Pod", "metadata": meta("untolerant", "shop"), "spec": {"containers": [container(team("ready"))]}},
                workload("DaemonSet", "agent", "team", team("ready"), initContainers=[container(team("x86"), "init")]),
                workload("StatefulSet", "db", "team", "%s/team/pinned:1.0@%s" % (registry, digests["child"])),
                workload("ReplicationController", "old", "team", team("x86"), "v1"),
                {"apiVersion": "v1", "kind": "PodTemplate", "metadata": meta("kept", "team"), "template": template(team("later"))},
                {"apiVersion": "v1", "kind": "Pod", "metadata": meta("lone", "team"), "spec": {"containers": [container(team("ready"))], "tolerations": [{"key": "arch", "value": "arm64", "effect": "NoSchedule"}]}},
                workload("Deployment", "dead", "team", dead + "/gone:1.0"),
                workload("Deployment", "hidden", "locked", team("arm")),
                workload("Deployment", "app", "private", private + "/app:1.0", imagePullSecrets=[{"name": "missing"}, {"name": "regcred"}]),
                workload("Deployment", "account", "private", private + "/account:1.0", serviceAccountName="puller"),
                workload("Deployment", "nobody", "private", private + "/nobody:1.0"),
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("operator", "shop"), "data": {"sidecar-image": team("ready")}},
                custom, rollout, fleet]
    return objects


def definitions():
    """CustomResourceDefinitions: one with two served versions, one of the whole cluster, one in a group that is well known."""
    def one(group, kind, versions, scope="Namespaced"):
        plural = kind.lower() + "s"
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": meta(plural + "." + group),
                "spec": {"group": group, "scope": scope, "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": kind + "List"},
                         "versions": [{"name": v, "served": True, "storage": v == versions[-1], "schema": schema} for v in versions]}}
    return [one("example.org", "Widget", ["v1alpha1", "v1beta1", "v1"]), one("example.org", "Fleet", ["v1"], "Cluster"), one("argoproj.io", "Rollout", ["v1alpha1"])]


def manifests(registry, digests, cron_version):
    """Manifests, as YAML, with everything that fix mends in one: tags, digests, selectors of either kind, affinities, tolerations."""
    team = lambda name, tag="1.0": "%s/team/%s:%s" % (registry, name, tag)
    term = lambda *values: {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": list(values)}]}
    required = lambda *terms: {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}
    zone = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
    tick = workload("Job", "tick", "made", team("later"), "batch/v1", nodeSelector={"kubernetes.io/arch": "amd64"})
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": meta("made")},
            workload("Deployment", "tag", "made", team("later")),
            workload("Deployment", "digest", "made", "%s/team/pinned:1.0@%s" % (registry, digests["child"]), initContainers=[container(team("ready"), "init")]),
            workload("Deployment", "selector", "made", team("ready"), nodeSelector={"kubernetes.io/arch": "amd64", "disk": "ssd"}),
            workload("Deployment", "old-label", "made", team("ready"), nodeSelector={"beta.kubernetes.io/arch": "amd64"}),
            workload("Deployment", "affinity", "made", team("ready"), affinity=required(term("amd64"))),
            workload("Deployment", "terms", "made", team("ready"), affinity=required(term("amd64"), {"matchExpressions": term("amd64")["matchExpressions"] + zone["matchExpressions"]})),
            workload("Deployment", "unbound", "made", team("x86")),
            workload("Deployment", "bound-elsewhere", "made", team("x86"), affinity=required(zone, {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["own-amd64"]}]})),
            workload("StatefulSet", "set", "made", team("later"), tolerations=[{"key": "other", "operator": "Exists"}]),
            workload("DaemonSet", "daemon", "made", team("ready"), nodeSelector={"kubernetes.io/arch": "amd64"}),
            dict(tick, apiVersion=cron_version, kind="CronJob", spec={"schedule": "* * * * *", "jobTemplate": {"spec": tick["spec"]}})]


WANT = {"Deployment shop/web": "ready", "Deployment shop/zero": "not-ready", "ReplicaSet shop/bare": "ready", "CronJob shop/tick": "ready-after-update", "Job shop/once": "not-ready", "Job shop/stale": "ready", "Pod shop/stale": "ready", "Pod shop/untolerant": "ready",
        "DaemonSet team/agent": "not-ready", "StatefulSet team/db": "ready-after-repin", "ReplicationController team/old": "not-ready", "PodTemplate team/kept": "ready-after-update", "Pod team/lone": "ready",
        "Deployment team/dead": "unknown", "Deployment locked/hidden": "ready", "Deployment private/app": "ready", "Deployment private/account": "ready", "Deployment private/nobody": "unknown",
        "Deployment shop/by-default-account": "ready", "Widget shop/w": "ready", "Rollout shop/canary": "ready"}


def pods_below(value):
    """Images of all containers below a value: an independent walk, by names of lists alone."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key in ("containers", "initContainers", "ephemeralContainers") and isinstance(child, list):
                yield from (each["image"] for each in child if isinstance(each, dict) and "image" in each)
            elif key not in ("status", "metadata"):
                yield from pods_below(child)
    elif isinstance(value, list):
        for child in value:
            yield from pods_below(child)


def lines(words):
    print("\n".join(sorted(set(words))))


def main(command, *words):
    if command == "fill":
        print(json.dumps(fill(*words)))
    elif command == "recorded":
        print(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(recorded(*words))}))
    elif command == "definitions":
        print(json.dumps({"apiVersion": "v1", "kind": "List", "items": definitions()}))
    elif command == "own":
        print(json.dumps({"apiVersion": "v1", "kind": "List", "items": own(words[0], words[1], words[2], json.loads(words[3]), words[4])}))
    elif command == "known":  # truths for the recorded images: nobody is asked about them
        images = {image for item in recorded() for image in pods_below(item.get("spec"))}
        print(json.dumps({image: {"platforms": ["linux/amd64", "linux/arm64"]} for image in images}))
    elif command == "walk":  # of what kubectl prints
        lines(image for item in json.load(sys.stdin)["items"] for image in pods_below({k: item[k] for k in ("spec", "template") if k in item}))
    elif command == "seen":  # of a report
        lines(use["image"] for image in json.load(sys.stdin)["images"] for use in image["uses"] if use["role"] != "mention")
    elif command == "verdicts":  # of a report: what differs from WANT, in the namespaces that are given, or in all
        found = {w["object"]: w["verdicts"]["linux/arm64"] for w in json.load(sys.stdin)["workloads"]}
        for name, verdict in WANT.items():
            if (not words or name.split()[1].split("/")[0] in words) and found.get(name) != verdict:
                print("%s is %s, not %s" % (name, found.get(name), verdict))
    elif command == "manifests":
        import yaml
        print(yaml.safe_dump_all(manifests(words[0], json.loads(words[1]), words[2]), sort_keys=False, default_flow_style=False))
    elif command == "canonical":  # of YAML: its objects, in an order of their own
        import yaml
        print("\n".join(sorted(json.dumps(each, sort_keys=True) for each in yaml.safe_load_all(sys.stdin) if each)))
    elif command == "unseen":
        print("\n".join("%s: %s" % (each["what"], each["why"]) for each in json.load(sys.stdin)["unseen"]))


main(*sys.argv[1:])
