#!/usr/bin/env python3
"""archway audit, whole: manifests, dumps, standard input, a made-up API server and a registry with every kind of image.

    tests/audit.py ARCHWAY [GROUP...]      all groups, or those named: see the end

Expected images are worked out here, from the same files, by rules of their own.
"""
import base64, gzip, hashlib, http.server, io, json, os, pathlib, re, shutil, socket, struct, subprocess, sys, tarfile, tempfile, threading, time, urllib.request

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
VECTORS = pathlib.Path(__file__).resolve().parent.parent.parent / "shared/vectors/kubernetes/cluster"
TOP = pathlib.Path(__file__).resolve().parent.parent
MACHINES = {"amd64": 62, "arm64": 183}


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def elf(machine):
    """The least that is a program: header and one loadable segment."""
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0x400078, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 128, 128, 4096) + bytes(8)


def layer(machine):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("app")
        content = elf(machine)
        info.size, info.mode = len(content), 0o755
        tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Registry:
    """archway registry serve, filled by hand."""

    def __init__(self, archway, folder, *flags):
        self.server = subprocess.Popen([archway, "registry", "serve", "--root", folder, "--listen", "127.0.0.1:0", *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.host = self.server.stdout.readline().strip().rsplit("/", 1)[1]
        self.header = {}

    def close(self):
        self.server.terminate()
        self.server.wait()

    def put(self, path, data, media):
        request = urllib.request.Request("http://%s/v2/%s" % (self.host, path), data=data, method="PUT", headers={"Content-Type": media, **self.header})
        with urllib.request.urlopen(request) as answer:
            return answer.headers

    def blob(self, repository, data, media):
        request = urllib.request.Request("http://%s/v2/%s/blobs/uploads/" % (self.host, repository), data=b"", method="POST", headers=self.header)
        with urllib.request.urlopen(request) as answer:
            where = answer.headers["Location"]
        where = where if where.startswith("http") else "http://" + self.host + where
        request = urllib.request.Request(where + ("&" if "?" in where else "?") + "digest=" + sha256(data), data=data, method="PUT", headers={"Content-Type": "application/octet-stream", **self.header})
        urllib.request.urlopen(request).close()
        return {"mediaType": media, "digest": sha256(data), "size": len(data)}

    def image(self, repository, architecture, holds=None, os_name="linux", tag=None):
        """One platform's image; `holds` is the architecture of its program."""
        raw = layer(MACHINES[holds or architecture])
        config = {"os": os_name, "architecture": architecture, "config": {"Entrypoint": ["/app"]}, "rootfs": {"type": "layers", "diff_ids": [sha256(raw)]}}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": self.blob(repository, json.dumps(config).encode(), CONFIG),
                    "layers": [self.blob(repository, gzip.compress(raw, mtime=0), LAYER)]}
        data = json.dumps(manifest).encode()
        self.put("%s/manifests/%s" % (repository, tag or sha256(data)), data, MANIFEST)
        return {"mediaType": MANIFEST, "digest": sha256(data), "size": len(data), "platform": {"os": os_name, "architecture": architecture}}

    def index(self, repository, tag, *images):
        data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(images)}).encode()
        self.put("%s/manifests/%s" % (repository, tag), data, INDEX)
        return sha256(data)

    def both(self, repository, tag):
        return self.index(repository, tag, self.image(repository, "amd64"), self.image(repository, "arm64"))


class World:
    def __init__(self, archway):
        self.archway = os.path.realpath(archway)
        self.folder = tempfile.mkdtemp(prefix="archway-audit.")
        self.environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self.environment.update(ARCHWAY_ROOT=self.path("cache"), DOCKER_CONFIG=self.path("docker"), NO_COLOR="1", HOME=self.folder, ARCHWAY_STALL_TIMEOUT="2")
        for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
            self.environment.pop(name, None)
        self.registry = Registry(self.archway, self.path("registry"))
        self.number = self.checks = self.failed = 0

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text):
        path = pathlib.Path(self.path("in%d" % self.number, name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.replace("REGISTRY", self.registry.host).encode())
        return str(path)

    def fresh(self):
        self.number += 1
        os.makedirs(self.path("in%d" % self.number))
        return self.path("in%d" % self.number)

    def run(self, *words, input=None, **environment):
        return subprocess.run([self.archway, "audit", *words], input=input, capture_output=True, env={**self.environment, **environment}, timeout=120)

    def audit(self, *words, input=None, status=None, **environment):
        run = self.run("--json", *words, input=input, **environment)
        if status is not None:
            self.check(run.returncode == status, "exit status %d, not %d: %s" % (run.returncode, status, run.stderr.decode()[-500:]))
        try:
            return json.loads(run.stdout)
        except ValueError:
            self.check(False, "no JSON: %s %s" % (run.stdout[:300], run.stderr.decode()[-600:]))
            return {"images": [], "findings": [], "workloads": [], "unseen": [], "skipped": [], "summary": {}}

    def check(self, true, what):
        self.checks += 1
        if not true:
            self.failed += 1
            print("FAILED (%s): %s" % (self.group, what))

    def equal(self, got, want, what):
        self.check(got == want, "%s\n  is   %r\n  want %r" % (what, got, want))


def verdicts(report, platform="linux/arm64"):
    found = {}
    for image in report["images"]:
        for verdict in image["verdicts"]:
            if verdict["platform"] == platform:
                for use in image["uses"]:
                    found[use["image"]] = verdict["verdict"]
    return found


def rules(report):
    return sorted((f["rule"], f["place"].get("object", ""), f["place"].get("path", "")) for f in report["findings"] if "image" not in f)


def deployment(name, image, spec="", kind="Deployment", version="apps/v1"):
    return """apiVersion: %s
kind: %s
metadata: {name: %s, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: main
        image: %s
%s---
""" % (version, kind, name, image, spec)


def fill(world):
    registry = world.registry
    registry.both("team/ready", "1.0")
    registry.image("team/x86", "amd64", tag="1.0")
    registry.image("team/arm", "arm64", tag="1.0")
    registry.image("team/windows", "arm64", os_name="windows", tag="1.0")
    registry.index("team/liar", "1.0", registry.image("team/liar", "amd64"), registry.image("team/liar", "arm64", holds="amd64"))
    for tag in ("1.0", "1.1", "1.1-alpine", "2.0-rc1"):
        registry.image("team/later", "amd64", tag=tag)
    for tag in ("1.2", "1.3", "2.0", "1.2-alpine", "1.2.1", "3.0-beta1"):
        registry.both("team/later", tag)
    child = registry.image("team/pinned", "amd64")
    world.pinned_index = registry.index("team/pinned", "1.0", child, registry.image("team/pinned", "arm64"))
    world.pinned_child = child["digest"]
    attested = registry.image("team/attested", "amd64")
    attestation = dict(registry.image("team/attested", "arm64"), platform={"os": "unknown", "architecture": "unknown"}, annotations={"vnd.docker.reference.type": "attestation-manifest"})
    registry.index("team/attested", "1.0", attested, attestation)


def group_verdicts(world):
    """One image of each kind, in manifests; every verdict and its remedy."""
    folder, host = world.fresh(), world.registry.host
    names = ["ready:1.0", "x86:1.0", "arm:1.0", "windows:1.0", "liar:1.0", "later:1.0", "later:1.0-alpine", "pinned:1.0@" + world.pinned_child, "attested:1.0", "gone:1.0"]
    world.write("all.yaml", "".join(deployment("d%d" % i, "REGISTRY/team/" + name) for i, name in enumerate(names)))
    world.write("more.yaml", deployment("template", "'{{ .Values.image }}'") + deployment("placeholder", "<image-registry>/<image-name>:<image-tag>") + deployment("dead", "127.0.0.1:1/x:1"))
    report = world.audit(folder, status=1)
    want = {"ready:1.0": "ready", "x86:1.0": "not-ready", "arm:1.0": "ready", "windows:1.0": "not-ready", "liar:1.0": "ready", "later:1.0": "ready-after-update", "later:1.0-alpine": "unknown",
            "pinned:1.0@" + world.pinned_child: "ready-after-repin", "attested:1.0": "not-ready", "gone:1.0": "unknown"}
    got = verdicts(report)
    for name, verdict in want.items():
        world.equal(got.get("%s/team/%s" % (host, name)), verdict, name)
    world.equal(got["{{ .Values.image }}"], "skipped", "a template")
    world.equal(got["<image-registry>/<image-name>:<image-tag>"], "skipped", "a placeholder")
    world.equal(got["127.0.0.1:1/x:1"], "unknown", "a host that does not answer")
    remedies = {f["image"]: f["remedy"]["replacement"] for f in report["findings"] if f.get("remedy", {}).get("kind") == "replace-image"}
    world.equal(remedies, {host + "/team/later:1.0": host + "/team/later:1.2", host + "/team/pinned:1.0@" + world.pinned_child: host + "/team/pinned:1.0@" + world.pinned_index}, "remedies")
    # Unknown is never ready, and has a status of its own.
    world.audit("--images", world.write("none.json", "{}"), host + "/team/gone:1.0", status=2)
    world.audit(host + "/team/ready:1.0", status=0)
    world.audit("--fail-on", "unknown", host + "/team/gone:1.0", status=1)
    world.audit("--fail-on", "never", host + "/team/x86:1.0", status=0)
    # What an image holds outranks what it declares; and is remembered.
    report = world.audit("--verify", host + "/team/liar:1.0", status=1)
    world.equal(verdicts(report), {host + "/team/liar:1.0": "wrong-content"}, "a lying image")
    report = world.audit("--for", "linux/amd64,linux/arm64", host + "/team/x86:1.0", host + "/team/arm:1.0")
    world.equal(verdicts(report, "linux/amd64"), {host + "/team/x86:1.0": "ready", host + "/team/arm:1.0": "not-ready"}, "two platforms")
    truths = world.path("truths.json")
    world.audit("--write-images", truths, host + "/team/ready:1.0", host + "/team/x86:1.0")
    learnt = json.load(open(truths))
    world.equal({k.split("/")[-1]: v["platforms"] for k, v in learnt.items()}, {"ready:1.0": ["linux/amd64", "linux/arm64"], "x86:1.0": ["linux/amd64"]}, "what was learnt")
    world.equal(verdicts(world.audit("--offline", "--images", truths, host + "/team/x86:1.0", ARCHWAY_ROOT=world.path("empty"))), {host + "/team/x86:1.0": "not-ready"}, "what was learnt, read back")


def expected_images(objects):
    """Every image of every pod template, by a walk of its own: lists named containers, initContainers, ephemeralContainers below spec."""
    found = {}

    def pods(value):
        if isinstance(value, dict):
            for key in ("containers", "initContainers", "ephemeralContainers"):
                for container in value.get(key) or []:
                    if isinstance(container, dict) and "image" in container:
                        yield container["image"]
            for key, child in value.items():
                if key not in ("status", "metadata", "containers", "initContainers", "ephemeralContainers"):
                    yield from pods(child)
        elif isinstance(value, list):
            for child in value:
                yield from pods(child)

    for kind, item in objects:
        meta = item["metadata"]
        found["%s %s/%s" % (kind, meta.get("namespace"), meta["name"])] = set(pods({"spec": item.get("spec")}))
    return found


def group_cluster(world):
    """The recorded cluster: every image of every workload."""
    if not VECTORS.is_dir():
        return print("skipped: no recorded cluster")
    objects = []
    for file in sorted(VECTORS.glob("*.json")):
        data = json.loads(file.read_text())
        objects += [(data["kind"][:-4], item) for item in data["items"]]
    want = expected_images(objects)
    truths = {}
    for images in want.values():
        for image in images:
            truths[image] = {"platforms": ["linux/amd64"] + (["linux/arm64"] if hash_bit(image) else [])}
    known = world.path("known.json")
    json.dump(truths, open(known, "w"))
    report = world.audit("--offline", "--images", known, str(VECTORS))
    found = {}
    for image in report["images"]:
        for use in image["uses"]:
            if use["role"] != "mention":
                found.setdefault(use["object"], set()).add(use["image"])
    controlled = {k: v for k, v in want.items() if v}
    for owner in ("Deployment", "DaemonSet", "StatefulSet", "CronJob"):
        for name in [n for n in controlled if n.startswith(owner + " ")]:
            world.equal(found.get(name, set()), controlled[name], "images of " + name)
    everything = set().union(*controlled.values())
    world.equal(set().union(*found.values()), everything, "all images")
    # Pods and ReplicaSets are their owners' and nobody is counted twice.
    kinds = sorted({w["kind"] for w in report["workloads"]})
    world.check("ReplicaSet" not in kinds, "ReplicaSets are Deployments': %r" % kinds)
    want_verdict = {image: "ready" if "linux/arm64" in truth["platforms"] else "not-ready" for image, truth in truths.items()}
    got = verdicts(report)
    world.equal({k: got.get(k) for k in want_verdict}, want_verdict, "verdicts")
    for workload in report["workloads"]:
        images = want.get("%s %s/%s" % (workload["kind"], workload["namespace"], workload["name"]))
        if images:
            world.equal(workload["verdicts"]["linux/arm64"], "ready" if all(want_verdict[i] == "ready" for i in images) else "not-ready", workload["object"])
    # The arm64 nodes are tainted: whoever is ready and does not tolerate that is told so.
    nodes = [n for n in objects if n[0] == "Node"]
    world.equal(report["summary"]["objects"] > len(nodes), True, "nodes are read")
    world.check(any(f["rule"] in ("missing-toleration", "daemonset-leaves-out-nodes") for f in report["findings"]), "taints of the recorded nodes")
    # The same from standard input, as one List.
    everything_list = json.dumps({"apiVersion": "v1", "kind": "List", "items": [dict(item, kind=kind, apiVersion=item.get("apiVersion", "v1")) for kind, item in objects]}).encode()
    again = world.audit("--offline", "--images", known, "-", input=everything_list)
    world.equal(verdicts(again), got, "standard input")


def hash_bit(text):
    return hashlib.sha256(text.encode()).digest()[0] & 1


def images_found(report):
    return sorted((use["image"], use["role"], use["confidence"]) for image in report["images"] for use in image["uses"])


def found_in(world, *words):
    report = world.audit("--offline", "--no-updates", *words)
    return {use["image"] for image in report["images"] for use in image["uses"]}


def group_sources(world):
    """Where images hide: every kind of file."""
    folder = world.fresh()
    world.write("Dockerfile", "# syntax=docker/dockerfile:1\nARG BASE=debian:12\nFROM --platform=$BUILDPLATFORM golang:1.22 AS build\nRUN --mount=type=bind,from=alpine:3.19,target=/x true\n"
                "FROM build AS test\nFROM scratch AS none\nFROM ${BASE}\nCOPY --from=build /a /a\nCOPY --from=ghcr.io/x/y:1 /b /b\n")
    world.write("compose.yaml", "services:\n  web:\n    image: nginx:${TAG:-1.25}\n    platform: linux/amd64\n  own:\n    build: .\n    image: own/app:1\n")
    world.write(".gitlab-ci.yml", "variables: {GO: '1.22'}\ndefault: {image: python:3}\njob:\n  image: {name: 'golang:${GO}'}\n  services: [docker:23.0-dind, {name: redis:7}]\n  script: [echo image: no:1]\n")
    world.write(".github/workflows/ci.yml", "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    container: node:20\n    services: {db: {image: postgres:16}}\n    steps: [{uses: docker://alpine:3.8}, {run: echo}]\n")
    world.write("images.txt", "# all\nlonghornio/longhorn-engine:v1.6.0\nrook/ceph:v1.14.0\n")
    world.write("task.yaml", "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: t}\nspec:\n  params:\n  - {name: IMAGE, default: quay.io/a/param:1}\n  steps:\n  - image: quay.io/a/step:1\n  sidecars: [{image: quay.io/a/side:1}]\n")
    world.write("wf.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  templates:\n  - {name: a, container: {image: quay.io/a/container:1}}\n  - {name: b, script: {image: quay.io/a/script:1}}\n")
    world.write("ds.yaml", "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: m}\nspec:\n  template:\n    spec:\n      initContainers: [{name: i, image: quay.io/a/init:1}]\n      containers:\n      - name: m\n"
                "        image: longhornio/manager:v1\n        command: [manager, --engine-image, longhornio/engine:v1, '--side-image=ghcr.io/x/side:2', --listen=0.0.0.0:80]\n"
                "        env:\n        - {name: PROXY_IMAGE, value: ghcr.io/x/proxy:3}\n        - {name: URL, value: 'https://quay.io/v2/x:1'}\n        - {name: ADDR, value: 'redis:6379'}\n"
                "      volumes: [{name: v, image: {reference: quay.io/a/volume:1}}]\n")
    world.write("cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  queue-sidecar-image: gcr.io/k/queue@sha256:%s\n  conf: |\n    a: 1\n    image: quay.io/a/conf:1\n" % ("a" * 64))
    world.write("crd.yaml", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\nspec: {versions: [{schema: {image: quay.io/not/this:1}}]}\n")
    world.write("kserve.yaml", "apiVersion: serving.kserve.io/v1alpha1\nkind: ClusterServingRuntime\nmetadata: {name: k}\nspec:\n  containers: [{name: c, image: quay.io/a/runtime:1}]\n")
    world.write("hr.yaml", "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: h}\nspec:\n  values:\n    image: {repository: ghcr.io/a/app, tag: v1.2.3@sha256:%s}\n" % ("b" * 64))
    world.write("chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1\nappVersion: '7.1'\n")
    world.write("chart/values.yaml", "image: {registry: quay.io, repository: a/chart, tag: ''}\nsidecar:\n  image: {repository: a/sidecar, tag: '2'}\n  url: https://x.y/z:1\nicon: {image: logo.png}\n")
    world.write("chart/templates/web.yaml", "{{ if .Values.x }}\nimage: {{ .Values.image }}\n{{ end }}\n- image: quay.io/a/fixed:1\n")
    want = {"docker/dockerfile:1", "golang:1.22", "alpine:3.19", "debian:12", "ghcr.io/x/y:1", "nginx:1.25", "own/app:1", "python:3", "docker:23.0-dind", "redis:7", "node:20", "postgres:16", "alpine:3.8",
            "longhornio/longhorn-engine:v1.6.0", "rook/ceph:v1.14.0", "quay.io/a/param:1", "quay.io/a/step:1", "quay.io/a/side:1", "quay.io/a/container:1", "quay.io/a/script:1", "quay.io/a/init:1",
            "longhornio/manager:v1", "longhornio/engine:v1", "ghcr.io/x/side:2", "ghcr.io/x/proxy:3", "quay.io/a/volume:1", "gcr.io/k/queue@sha256:" + "a" * 64, "quay.io/a/conf:1", "quay.io/a/runtime:1",
            "ghcr.io/a/app:v1.2.3@sha256:" + "b" * 64, "quay.io/a/chart:7.1", "a/sidecar:2", "quay.io/a/fixed:1"}
    got = found_in(world, "--no-helm", folder)
    world.equal(sorted(got - want), [], "found, and should not")
    world.equal(sorted(want - got), [], "not found")
    # Each place is where the text says.
    report = world.audit("--offline", "--no-helm", folder)
    for image in report["images"]:
        for use in image["uses"]:
            if "line" in use and use["source"].endswith((".yaml", "Dockerfile")) and "$" not in open(use["source"]).read().splitlines()[use["line"] - 1]:
                line = open(use["source"]).read().splitlines()[use["line"] - 1]
                last = re.split("[:/@]", use["image"])[-1]
                world.check(last in line or use["role"] == "mention", "%s is not in line %d of %s: %s" % (use["image"], use["line"], use["source"], line))
    world.check(any("helm is not to be run" in s["why"] for s in report["skipped"]), "a chart without helm is called a guess")


def group_kustomize(world):
    folder = world.fresh()
    world.write("base/kustomization.yaml", "resources: [web.yaml]\n")
    world.write("base/web.yaml", deployment("web", "web") + deployment("db", "postgres:15"))
    world.write("prod/kustomization.yaml", "namespace: prod\nresources: [../base]\nimages:\n- name: web\n  newName: ghcr.io/a/web\n  newTag: v2\n- {name: postgres, newTag: '16'}\n")
    report = world.audit("--offline", folder)
    world.equal({u["image"] for i in report["images"] for u in i["uses"]}, {"ghcr.io/a/web:v2", "postgres:16"}, "images of a kustomization")
    world.equal({w["object"] for w in report["workloads"]}, {"Deployment prod/web", "Deployment prod/db"}, "namespace of a kustomization")
    use = [u for i in report["images"] for u in i["uses"] if u["image"] == "postgres:16"][0]
    world.equal((use["source"].endswith("prod/kustomization.yaml"), use["line"]), (True, 7), "where to mend it")
    folder = world.fresh()
    world.write("a/kustomization.yaml", "resources: [../b]\n")
    world.write("b/kustomization.yaml", "resources: [../a, missing.yaml, 'https://example.org/x']\n")
    report = world.audit("--offline", folder)
    world.check(any("names itself" in u["why"] for u in report["unseen"]), "a cycle is named")
    world.check(any("missing.yaml" in u["what"] for u in report["unseen"]), "a missing resource is named")


def group_placement(world):
    """Selectors, affinities, taints, DaemonSets."""
    folder = world.fresh()
    images = world.write("../ok.json", json.dumps({"ok:1": {"platforms": ["linux/amd64", "linux/arm64"]}, "x86:1": {"platforms": ["linux/amd64"]}}))
    affinity = lambda terms: "      affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [%s]}}}\n" % terms
    amd = "{matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [amd64]}]}"
    notarm = "{matchExpressions: [{key: kubernetes.io/arch, operator: NotIn, values: [arm64]}]}"
    zone = "{matchExpressions: [{key: zone, operator: In, values: [a]}]}"
    cases = {
        "stale": ("ok:1", "      nodeSelector: {kubernetes.io/arch: amd64}\n", ["arch-selector"]),
        "old": ("ok:1", "      nodeSelector: {beta.kubernetes.io/arch: amd64}\n", ["arch-selector", "deprecated-arch-label"]),
        "in": ("ok:1", affinity(amd), ["arch-selector"]),
        "notin": ("ok:1", affinity(notarm), ["arch-selector"]),
        "either": ("ok:1", affinity(amd + ", " + zone), []),
        "empty": ("ok:1", affinity(amd + ", {}"), ["arch-selector"]),
        "right": ("x86:1", "      nodeSelector: {kubernetes.io/arch: amd64}\n", []),
        "demands": ("x86:1", "      nodeSelector: {kubernetes.io/arch: arm64}\n", ["selector-demands-missing-platform"]),
        "free": ("x86:1", "", ["no-arch-affinity"]),
        "fine": ("ok:1", "", []),
        "windows": ("ok:1", "      nodeSelector: {kubernetes.io/os: windows}\n", []),
    }
    for name, (image, spec, want) in cases.items():
        path = world.write(name + ".yaml", deployment(name, image, spec))
        report = world.audit("--offline", "--images", images, path)
        world.equal(sorted(f["rule"] for f in report["findings"] if "image" not in f), want, name)
    taint = ["--taint", "arch=arm64:NoSchedule"]
    tolerations = {
        "": ["missing-toleration"],
        "      tolerations: [{key: arch, operator: Equal, value: arm64, effect: NoSchedule}]\n": [],
        "      tolerations: [{effect: NoSchedule, operator: Exists}]\n": [],
        "      tolerations: [{key: arch, operator: Equal, value: '', effect: NoSchedule}]\n": ["missing-toleration"],
        "      tolerations: [{key: kubernetes.io/arch, operator: Equal, value: arm64, effect: NoSchedule}]\n": ["missing-toleration"],
    }
    for spec, want in tolerations.items():
        path = world.write("t.yaml", deployment("t", "ok:1", spec))
        report = world.audit("--offline", "--images", images, *taint, path)
        world.equal([f["rule"] for f in report["findings"]], want, "tolerations " + spec)
        if want:
            world.equal(report["findings"][0]["remedy"], {"kind": "add-toleration", "replacement": "arch=arm64:NoSchedule", "platforms": ["linux/arm64"], "why": "its images are ready for linux/arm64"}, "remedy")
    node = lambda name, arch, taints="": "apiVersion: v1\nkind: Node\nmetadata: {name: %s, labels: {kubernetes.io/arch: %s, kubernetes.io/os: linux, pool: %s}}\nspec: {%s}\nstatus: {allocatable: {cpu: '4', memory: 8Gi, pods: '110'}}\n---\n" % (name, arch, arch, taints)
    nodes = node("a", "amd64") + node("b", "arm64", "taints: [{key: arm, value: 'true', effect: NoSchedule}]")
    for kind, spec, want in [("DaemonSet", "", ["daemonset-leaves-out-nodes"]), ("DaemonSet", "      tolerations: [{operator: Exists}]\n", []), ("Deployment", "", ["missing-toleration"]),
                             ("DaemonSet", "      nodeSelector: {kubernetes.io/arch: amd64}\n", ["daemonset-leaves-out-nodes"]),
                             ("Deployment", "      nodeSelector: {pool: amd64}\n      tolerations: [{operator: Exists}]\n", ["selector-leaves-out-nodes"])]:
        path = world.write("n.yaml", nodes + deployment("n", "ok:1", spec, kind))
        report = world.audit("--offline", "--images", images, path)
        world.equal([f["rule"] for f in report["findings"]], want, "nodes, %s %s" % (kind, spec))
    hook = deployment("hook", "ok:1", "      restartPolicy: Never\n", "Job", "batch/v1").replace("namespace: shop}", "namespace: shop, annotations: {helm.sh/hook: pre-install}}")
    report = world.audit("--offline", "--images", images, *taint, world.write("hook.yaml", hook))
    world.equal([(f["rule"], "Helm hook pre-install" in f["advice"]) for f in report["findings"]], [("missing-toleration", True)], "a hook Job")


def group_defects(world):
    """audit.md 1.3: what other tools get wrong."""
    host = world.registry.host
    world.registry.both("app", "1.0")
    digest = world.registry.both("app", "1.0")
    # D1, D2, D13: a port, a tag and a digest in one reference.
    report = world.audit("%s/app:1.0@%s" % (host, digest), status=0)
    world.equal([(i["digest"], i["platforms"]) for i in report["images"]], [(digest, ["linux/amd64", "linux/arm64"])], "D1")
    # D3: a host that cannot be reached is no matter of credentials.
    report = world.audit("auth.invalid/x:1", status=2)
    world.check("login" not in json.dumps(report["findings"]), "D3: " + json.dumps(report["findings"])[:300])
    # D4: the same processor under another system.
    world.equal(verdicts(world.audit(host + "/team/windows:1.0")), {host + "/team/windows:1.0": "not-ready"}, "D4")
    # D5: one image under three names is one row and one question.
    names = world.write("d5.json", json.dumps({"nginx": {"platforms": ["linux/arm64"]}}))
    report = world.audit("--images", names, "nginx", "docker.io/nginx", "docker.io/library/nginx:latest", status=0)
    world.equal([(i["image"], len(i["uses"])) for i in report["images"]], [("docker.io/library/nginx:latest", 3)], "D5")
    # D6, D7, D8: FROM's flags, stages and arguments.
    folder = world.fresh()
    path = world.write("Dockerfile", "ARG BASE=debian:12\nFROM --platform=$BUILDPLATFORM golang:1.22 AS builder\nFROM builder AS test\nFROM scratch AS s\nFROM ${BASE}\n")
    world.equal(found_in(world, path), {"golang:1.22", "debian:12"}, "D6 to D8")
    # D9: OCI indexes, open registries (the whole of this test). D10: errors are no answers.
    world.equal(verdicts(world.audit("127.0.0.1:1/x:1", status=2)), {"127.0.0.1:1/x:1": "unknown"}, "D10")
    # D11, D17: a lone image says by its configuration what it is for.
    world.equal(verdicts(world.audit(host + "/team/arm:1.0", status=0)), {host + "/team/arm:1.0": "ready"}, "D11, D17")
    # D12: attestations are no platforms.
    report = world.audit(host + "/team/attested:1.0")
    world.equal(report["images"][0]["platforms"], ["linux/amd64"], "D12")
    # D15: names without a slash.
    path = world.write("d15.yaml", deployment("a", "nginx:1.25") + deployment("b", '"busybox"'))
    world.equal(found_in(world, path), {"nginx:1.25", "busybox"}, "D15")
    # D16: ready and not ready are told apart, and neither is an error.
    report = world.audit(host + "/team/ready:1.0", host + "/team/x86:1.0", host + "/team/gone:1")
    world.equal(sorted(verdicts(report).values()), ["not-ready", "ready", "unknown"], "D16")
    # D18: the article's Pod, whose selector stands beside spec.
    path = str(TOP / "examples/articles/busybox-arm64.yaml")
    report = world.audit("--offline", "--images", world.write("d18.json", json.dumps({"arm64v8/busybox": {"platforms": ["linux/arm64"]}})), path)
    world.equal([(f["rule"], f["place"]["path"], f["place"]["line"]) for f in report["findings"]], [("placement-outside-pod-spec", "/nodeSelector", 15)], "D18")
    # D19: both images of the article's pipeline.
    world.equal(found_in(world, str(TOP / "examples/articles/gitlab-ci.yml")), {"docker:latest", "docker:23.0-dind"}, "D19")
    # D20: an image for arm64 alone is no error for whoever asks for arm64, and is one for whoever asks for amd64.
    world.equal(verdicts(world.audit("--for", "linux/amd64", host + "/team/arm:1.0", status=1), "linux/amd64"), {host + "/team/arm:1.0": "not-ready"}, "D20")


def group_dockerfile(world):
    folder = world.fresh()
    cases = [
        ("FROM alpine:3\nARG TARGETARCH=amd64\n", ["dockerfile-platform-default"]),
        ("ARG BUILDPLATFORM=linux/amd64\nFROM --platform=$BUILDPLATFORM golang:1 AS b\nFROM alpine:3\n", ["dockerfile-platform-default"]),
        ("FROM --platform=$BUILDPLATFORM python:3 AS base\nFROM base\n", ["dockerfile-final-build-platform"]),
        ("FROM --platform=$BUILDPLATFORM golang:1 AS b\nFROM alpine:3\nCOPY --from=b /a /a\n", []),
        ("FROM --platform=linux/amd64 alpine:3\n", ["dockerfile-constant-platform"]),
        ("FROM --platform=linux/amd64 alpine:3 AS tools-amd64\nFROM alpine:3\n", []),
        ("FROM alpine:3\nRUN curl -LO https://example.org/tool_linux_amd64.tar.gz\n", ["dockerfile-architecture-in-url"]),
        ("FROM alpine:3\nARG TARGETARCH\nRUN curl -LO https://example.org/tool_linux_${TARGETARCH}.tar.gz\n", []),
        ("FROM alpine:3\nRUN echo $TARGETARCH\n", ["dockerfile-undeclared-platform-arg"]),
        ("FROM golang:1\nRUN CGO_ENABLED=0 GOARCH=amd64 go build\n", ["dockerfile-goarch"]),
        ("FROM gcc:1\nRUN gcc -mavx2 x.c\n", ["dockerfile-cpu-flag"]),
    ]
    for text, want in cases:
        report = world.audit("--offline", world.write("Dockerfile", text))
        world.equal([f["rule"] for f in report["findings"] if "image" not in f], want, text)


def group_reports(world):
    """Every form, the baseline and the ignore list."""
    folder, host = world.fresh(), world.registry.host
    evil = "</script><img src=x onerror=alert(1)>|`\x1b[2J"
    world.write("a.yaml", deployment("a", "REGISTRY/team/x86:1.0") + deployment("b", "REGISTRY/team/later:1.0") + "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {containers: [{name: c, image: %s}]}\n" % (json.dumps(evil), json.dumps(evil)))
    sarif = json.loads(world.run("-o", "sarif", folder).stdout)
    results = sarif["runs"][0]["results"]
    world.equal((sarif["version"], len(results) > 2, all(r["partialFingerprints"]["archwayFindingId/v1"] for r in results)), ("2.1.0", True, True), "SARIF")
    declared = [r["id"] for r in sarif["runs"][0]["tool"]["driver"]["rules"]]
    world.check(all(declared[r["ruleIndex"]] == r["ruleId"] for r in results), "SARIF rules")
    html = world.run("-o", "html", folder).stdout.decode()
    world.check("<img" not in html and html.count("<script>") == 1 and "http://" not in html.replace("http://www.w3.org", "") and "src=" not in html.replace("src=x", ""), "HTML holds nothing of others")
    script = re.search("<script>(.*?)</script>", html, re.S).group(1)
    world.check("'sha256-%s'" % base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in html, "the page's policy names its script")
    markdown = world.run("-o", "markdown", folder).stdout.decode()
    rows = [line for line in markdown.splitlines() if line.startswith("| error") or line.startswith("| warning")]
    world.check(rows and all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows), "Markdown cells: %r" % rows)
    text = world.run(folder).stdout
    world.check(b"\x1b" not in text and b"ready after an update" in text, "text")
    import csv
    table = list(csv.reader(io.StringIO(world.run("-o", "csv", folder).stdout.decode())))
    world.check(len({len(row) for row in table}) == 1 and table[0][0] == "image", "CSV")
    baseline = world.path("baseline.json")
    world.run("--write-baseline", baseline, folder)
    world.equal(world.run("--baseline", baseline, folder).returncode, 0, "all is in the baseline")
    world.write("new.yaml", deployment("new", "REGISTRY/team/windows:1.0"))
    world.equal(world.run("--baseline", baseline, folder).returncode, 1, "what is new counts")
    world.write("a.yaml", "# a line above\n" + open(world.path("in%d" % world.number, "a.yaml")).read())
    os.remove(world.path("in%d" % world.number, "new.yaml"))
    world.equal(world.run("--baseline", baseline, folder).returncode, 0, "ids outlive moved lines")
    ignore = world.write("../ignore.yaml", "ignore:\n- {image: '*/team/x86:*', reason: upstream, until: 2999-01-01}\n- {rule: 'image-needs-update', reason: soon}\n- {rule: no-arch-affinity, reason: ok}\n- {object: 'Pod*', reason: evil}\n- {image: '*script*', reason: evil}\n")
    report = world.audit("--ignore-file", ignore, folder)
    world.equal(sorted({f["rule"] for f in report["findings"] if "suppressed" not in f and f["severity"] != "note"}), [], "ignored")
    expired = world.write("../expired.yaml", "ignore:\n- {image: '*', reason: long ago, until: 2020-01-01}\n")
    report = world.audit("--ignore-file", expired, folder, status=1)
    world.check(any("expired" in r for r in report["remarks"]), "an expired entry is told")
    for bad in ("ignore:\n- {id: x}\n", "ignore:\n- {reason: x}\n", "ignore:\n- {id: x, reason: y, until: soon}\n", "ignore:\n- {id: x, reason: y, untill: 2020-01-01}\n", "[]"):
        run = world.run("--ignore-file", world.write("../bad.yaml", bad), folder)
        world.check(run.returncode == 2 and b"line" in run.stderr, "ignore list %r: %s" % (bad, run.stderr))


def group_bad_input(world):
    """Nothing hangs, crashes or hides; the rest is still reported."""
    folder = world.fresh()
    world.write("good.yaml", deployment("good", "quay.io/a/good:1"))
    world.write("tabs.yaml", "spec:\n\timage: x/y:1\n")
    bomb = "a0: &a0 [image/x:1, x]\n" + "".join("a%d: &a%d [%s]\n" % (i, i, ", ".join(["*a%d" % (i - 1)] * 9)) for i in range(1, 30))
    world.write("bomb.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\n" + bomb)
    world.write("loop.yaml", "a: &a\n  image: *a\n")
    world.write("deep.yaml", "image: " + "[" * 5000 + "]" * 5000)
    world.write("binary.yaml", b"image: \xff\xfe\x00\x01")
    world.write("anchors.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: anchors}\nbase: &c {image: quay.io/a/anchored:1}\nspec:\n  containers:\n  - {<<: *c, name: a}\n  - {name: b, image: quay.io/a/plain:1}\n")
    os.mkfifo(os.path.join(folder, "pipe.yaml"))
    os.symlink(folder, os.path.join(folder, "circle"))
    started = time.monotonic()
    report = world.audit("--offline", folder)
    world.check(time.monotonic() - started < 60, "bombs take no time")
    found = {u["image"] for i in report["images"] for u in i["uses"]}
    world.check({"quay.io/a/good:1", "quay.io/a/anchored:1", "quay.io/a/plain:1"} <= found, "the rest is still reported: %r" % found)
    unseen = {os.path.basename(u["what"]): u["why"] for u in report["unseen"]}
    for name in ("tabs.yaml", "loop.yaml", "deep.yaml", "binary.yaml", "pipe.yaml"):
        world.check(name in unseen, "%s is named: %r" % (name, sorted(unseen)))
    world.check("line 2" in unseen.get("tabs.yaml", ""), "the line is named")
    long = world.write("../long.yaml", deployment("long", "quay.io/a/long:1") + "".join("# line\nk%d: v/x:%d\n" % (i, i) for i in range(300000)))
    world.check("quay.io/a/long:1" in found_in(world, long), "a file of many lines")
    world.equal(world.run("/no/such/file.yaml").returncode, 2, "a missing file")
    world.equal(world.run("--kubeconfig", "/no/such").returncode, 2, "a missing kubeconfig")
    world.equal(world.run("-o", "xml", folder).returncode, 64, "an unknown form")
    world.equal(world.run("--fail-on", "nonsense", folder).returncode, 64, "an unknown condition")
    run = world.run("--offline", "-", input=b"nginx:1\nbusybox\n")
    world.check(b"2 images" in run.stdout, "a list by standard input: %r" % run.stdout)
    run = subprocess.run([world.archway, "audit", "--help"], capture_output=True)
    world.check(run.returncode == 0 and b"archway audit -A" in run.stdout, "help")
    plugin = world.path("kubectl-archway")
    os.symlink(world.archway, plugin)
    world.equal(subprocess.run([plugin, "audit", "--print-role"], capture_output=True).stdout[:6], b"# What", "as a plugin of kubectl")


class Api(http.server.BaseHTTPRequestHandler):
    """As much of an API server as an audit asks; namespace "secret" is for nobody, lists of all namespaces of Deployments neither."""
    lists, refused, log = {}, set(), []

    def do_GET(self):
        path = self.path.split("?")[0]
        Api.log.append(path)
        if path in Api.refused:
            return self.answer(403, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "deployments.apps is forbidden", "reason": "Forbidden", "code": 403})
        if path in Api.lists:
            return self.answer(200, Api.lists[path])
        self.answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not found", "reason": "NotFound", "code": 404})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def pod_list(kind, version, items):
    return {"kind": kind + "List", "apiVersion": version, "metadata": {"resourceVersion": "1"}, "items": items}


def workload(name, namespace, image, secret=None):
    spec = {"containers": [{"name": "c", "image": image}]}
    if secret:
        spec["imagePullSecrets"] = [{"name": secret}]
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"replicas": 0, "template": {"spec": spec}}}


def group_live(world):
    """A cluster by its API: Deployments at zero, CronJobs, custom resources, pull secrets, and what may not be seen."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = world.registry.host
    resource = lambda name, kind, namespaced=True: {"name": name, "kind": kind, "namespaced": namespaced, "verbs": ["get", "list"], "singularName": ""}
    cron = workload("tick", "shop", host + "/team/x86:1.0")
    cron["spec"] = {"jobTemplate": {"spec": cron["spec"]}}
    Api.lists = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [{"name": g, "versions": [{"groupVersion": g + "/v1", "version": "v1"}], "preferredVersion": {"groupVersion": g + "/v1", "version": "v1"}} for g in ("apps", "batch", "example.org")]},
        "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [resource("pods", "Pod"), resource("nodes", "Node", False), resource("secrets", "Secret"), resource("configmaps", "ConfigMap")]},
        "/apis/apps/v1": {"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [resource("deployments", "Deployment")]},
        "/apis/batch/v1": {"kind": "APIResourceList", "groupVersion": "batch/v1", "resources": [resource("cronjobs", "CronJob")]},
        "/apis/example.org/v1": {"kind": "APIResourceList", "groupVersion": "example.org/v1", "resources": [resource("things", "Thing")]},
        "/api/v1/namespaces": pod_list("Namespace", "v1", [{"metadata": {"name": "shop"}}, {"metadata": {"name": "secret"}}]),
        "/api/v1/pods": pod_list("Pod", "v1", [{"metadata": {"name": "bare", "namespace": "shop"}, "spec": {"containers": [{"name": "c", "image": host + "/team/arm:1.0"}]}}]),
        "/api/v1/nodes": pod_list("Node", "v1", []), "/api/v1/configmaps": pod_list("ConfigMap", "v1", []),
        "/apis/apps/v1/namespaces/shop/deployments": pod_list("Deployment", "apps/v1", [workload("web", "shop", host + "/team/ready:1.0", "regcred")]),
        "/apis/batch/v1/cronjobs": pod_list("CronJob", "batch/v1", [cron]),
        "/apis/example.org/v1/things": pod_list("Thing", "example.org/v1", [{"metadata": {"name": "t", "namespace": "shop"}, "spec": {"pod": {"spec": {"containers": [{"name": "c", "image": host + "/team/later:1.0"}]}}}}]),
        "/api/v1/namespaces/shop/secrets/regcred": {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "regcred", "namespace": "shop"}, "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": base64.b64encode(b'{"auths":{}}').decode()}},
        "/api/v1/namespaces/shop/serviceaccounts/default": {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": "shop"}},
    }
    Api.refused = {"/apis/apps/v1/deployments", "/apis/apps/v1/namespaces/secret/deployments"}
    config = world.write("kubeconfig", json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                         "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:%d" % server.server_port}}], "users": [{"name": "u", "user": {"token": "t"}}]}))
    report = world.audit("--kubeconfig", config, status=1)
    world.equal({w["object"]: w["verdicts"]["linux/arm64"] for w in report["workloads"]},
                {"Deployment shop/web": "ready", "CronJob shop/tick": "not-ready", "Pod shop/bare": "ready", "Thing shop/t": "ready-after-update"}, "workloads of a live cluster")
    world.equal([u for u in report["unseen"] if "secret" in u["what"]], [{"what": "namespace secret", "why": "deployments.apps: not allowed"}], "what was not seen is named")
    world.check("/api/v1/namespaces/shop/secrets/regcred" in Api.log, "pull secrets are read")
    world.check(not any(p.endswith("/secrets") for p in Api.log), "secrets are never listed")
    report = world.audit("--kubeconfig", config, KUBECONFIG=config)
    report = world.audit("-A", KUBECONFIG=config)
    world.equal(len(report["workloads"]), 4, "KUBECONFIG")
    Api.refused = set()
    Api.lists["/apis/apps/v1/deployments"] = pod_list("Deployment", "apps/v1", [])
    world.equal(world.audit("-A", KUBECONFIG=config)["unseen"], [], "nothing hidden")
    if not shutil.which("htpasswd"):
        return print("skipped: private images, without htpasswd")
    # A private image: seen with the pod's secret, unknown without.
    users = world.path("users")
    subprocess.run(["htpasswd", "-Bbc", users, "ann", "secret"], check=True, capture_output=True)
    private = Registry(world.archway, world.path("private"), "--htpasswd", users)
    private.header = {"Authorization": "Basic " + base64.b64encode(b"ann:secret").decode()}
    private.both("app", "1.0")
    document = {"auths": {private.host: {"username": "ann", "password": "secret"}}}
    Api.lists["/apis/apps/v1/deployments"] = pod_list("Deployment", "apps/v1", [workload("mine", "shop", private.host + "/app:1.0", "regcred"), workload("theirs", "shop", private.host + "/app:1.0")])
    Api.lists["/api/v1/namespaces/shop/secrets/regcred"]["data"][".dockerconfigjson"] = base64.b64encode(json.dumps(document).encode()).decode()
    report = world.audit("-A", KUBECONFIG=config)
    world.equal(verdicts(report).get(private.host + "/app:1.0"), "ready", "a private image, with the pod's secret")
    report = world.audit(private.host + "/app:1.0", status=2, ARCHWAY_ROOT=world.path("other"))
    world.check("archway login " + private.host in json.dumps(report["findings"]), "a private image, without")
    private.close()
    server.shutdown()


GROUPS = [group_verdicts, group_cluster, group_sources, group_kustomize, group_placement, group_defects, group_dockerfile, group_reports, group_bad_input, group_live]


def main():
    world = World(sys.argv[1])
    try:
        world.group = "fill"
        fill(world)
        for group in GROUPS:
            world.group = group.__name__[6:]
            if len(sys.argv) > 2 and world.group not in sys.argv[2:]:
                continue
            world.fresh()
            try:
                group(world)
            except Exception as error:
                import traceback
                world.check(False, traceback.format_exc())
    finally:
        world.registry.close()
        shutil.rmtree(world.folder, ignore_errors=True)
    print("audit: %d checks, %d failed" % (world.checks, world.failed))
    return 1 if world.failed else 0


if __name__ == "__main__":
    sys.exit(main())
