#!/usr/bin/env python3
"""Kustomizations as archway reads them, held against what `kubectl kustomize` builds: the same workloads, images and placement.

    tests/kustomize.py ARCHWAY [--random N] [--seed S] [CASE...]

Each case is a folder. What kubectl makes of it is audited, and the folder itself; both reports must say the same, but for the places. The
places are held against the files: the bytes there are the image, or the part of it that was written there.
"""
import json, os, pathlib, random, re, shutil, subprocess, sys, tempfile

ARM = ["linux/amd64", "linux/arm64"]


def deployment(name, image, spec="", kind="Deployment", version="apps/v1", meta=""):
    return """apiVersion: %s
kind: %s
metadata:
  name: %s%s
spec:
  template:
    spec:
      containers:
      - name: main
        image: %s
%s""" % (version, kind, name, meta, image, spec)


SELECTOR = "      nodeSelector:\n        kubernetes.io/arch: amd64\n"
BASE = {"base/kustomization.yaml": "resources: [web.yaml]\n", "base/web.yaml": deployment("web", "quay.io/a/web:1", SELECTOR)}


def overlay(text, **more):
    return {**BASE, "kustomization.yaml": "resources: [base]\n" + text, **more}


CASES = {
    "a patch that changes the image": overlay("patches:\n- path: p.yaml\n", **{"p.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: main, image: 'quay.io/a/web:2'}]}}}\n"}),
    "a patch that removes the selector": overlay("patches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web}\n    spec: {template: {spec: {nodeSelector: null}}}\n"),
    "a patch that removes one label": overlay("patches:\n- target: {kind: Deployment}\n  patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: x}\n    spec: {template: {spec: {nodeSelector: {kubernetes.io/arch: null, disk: ssd}}}}\n"),
    "a JSON patch": overlay("patches:\n- target: {kind: Deployment, name: w.b}\n  patch: |-\n    - op: replace\n      path: /spec/template/spec/containers/0/image\n      value: quay.io/a/json:1\n    - op: remove\n      path: /spec/template/spec/nodeSelector/kubernetes.io~1arch\n"),
    "a JSON patch as JSON": overlay("patches:\n- target: {kind: Deployment}\n  patch: '[{\"op\": \"add\", \"path\": \"/spec/template/spec/containers/-\", \"value\": {\"name\": \"side\", \"image\": \"quay.io/a/side:1\"}}]'\n"),
    "patchesJson6902": overlay("patchesJson6902:\n- target: {group: apps, version: v1, kind: Deployment, name: web}\n  path: p.json\n", **{"p.json": '[{"op": "copy", "from": "/spec/template/spec/containers/0", "path": "/spec/template/spec/containers/0"}, {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "quay.io/a/copy:1"}, {"op": "test", "path": "/kind", "value": "Deployment"}]'}),
    "patchesStrategicMerge": overlay("patchesStrategicMerge:\n- p.yaml\n- |-\n  apiVersion: apps/v1\n  kind: Deployment\n  metadata: {name: web}\n  spec: {replicas: 7}\n", **{"p.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {initContainers: [{name: i, image: 'quay.io/a/init:1'}], tolerations: [{key: arch, operator: Equal, value: arm64, effect: NoSchedule}]}}}\n"}),
    "a container is deleted": {**overlay("patches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web}\n    spec: {template: {spec: {containers: [{name: side, $patch: delete}]}}}\n"),
                               "base/web.yaml": deployment("web", "quay.io/a/web:1", "      - name: side\n        image: quay.io/a/side:1\n")},
    "an object is deleted": {**overlay("patches:\n- patch: |-\n    $patch: delete\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web}\n"), "base/web.yaml": deployment("web", "quay.io/a/web:1") + "---\n" + deployment("db", "quay.io/a/db:1")},
    "a list is replaced": overlay("patches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web}\n    spec: {template: {spec: {containers: [{$patch: replace}, {name: other, image: 'quay.io/a/other:1'}]}}}\n"),
    "a mapping is replaced": overlay("patches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web}\n    spec: {template: {spec: {nodeSelector: {$patch: replace, kubernetes.io/os: linux}}}}\n"),
    "custom resources have their lists replaced": {**overlay("patches:\n- patch: |-\n    apiVersion: argoproj.io/v1alpha1\n    kind: Rollout\n    metadata: {name: web}\n    spec: {template: {spec: {containers: [{name: other, image: 'quay.io/a/other:1'}]}}}\n"), "base/web.yaml": deployment("web", "quay.io/a/web:1", SELECTOR, "Rollout", "argoproj.io/v1alpha1")},
    "tolerations are one": {**overlay("patches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web}\n    spec: {template: {spec: {tolerations: [{key: b, operator: Exists}]}}}\n"), "base/web.yaml": deployment("web", "quay.io/a/web:1", "      tolerations: [{key: arch, operator: Exists}]\n")},
    "images": overlay("images:\n- name: quay.io/a/web\n  newName: ghcr.io/b/web\n  newTag: '3'\n"),
    "images: a digest": overlay("images:\n- {name: quay.io/a/web, digest: 'sha256:%s'}\n" % ("ab" * 32)),
    "images: a name is a pattern": overlay("images:\n- {name: 'quay.io/a/.*', newTag: '4'}\n"),
    "images: a port": {**overlay("images:\n- {name: 'host:5000/a/web', newTag: '4'}\n"), "base/web.yaml": deployment("web", "host:5000/a/web:1@sha256:" + "ab" * 32)},
    "images: twice": {**overlay("images:\n- {name: quay.io/a/web, newName: web}\n- {name: web, newTag: '9'}\n")},
    "replicas, prefix, suffix, namespace": overlay("namespace: prod\nnamePrefix: a-\nnameSuffix: -z\nreplicas: [{name: web, count: 5}]\n"),
    "a patch of what was renamed": {"kustomization.yaml": "resources: [mid]\npatches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web}\n    spec: {template: {spec: {nodeSelector: null}}}\n", "mid/kustomization.yaml": "resources: [../base]\nnamePrefix: mid-\n", **BASE},
    "target by labels": {"kustomization.yaml": "resources: [a.yaml]\npatches:\n- target: {labelSelector: 'app in (x,y),!off', annotationSelector: note=1}\n  patch: |-\n    - {op: replace, path: /spec/template/spec/containers/0/image, value: 'quay.io/a/new:1'}\n",
                         "a.yaml": "---\n".join([deployment("a", "quay.io/a/a:1", meta="\n  labels: {app: x}\n  annotations: {note: '1'}"), deployment("b", "quay.io/a/b:1", meta="\n  labels: {app: x, off: 'y'}\n  annotations: {note: '1'}"), deployment("c", "quay.io/a/c:1", meta="\n  labels: {app: z}")])},
    "target by namespace": {"kustomization.yaml": "resources: [a.yaml]\npatches:\n- target: {namespace: default}\n  patch: |-\n    - {op: replace, path: /spec/template/spec/containers/0/image, value: 'quay.io/a/new:1'}\n",
                            "a.yaml": deployment("a", "quay.io/a/a:1") + "---\n" + deployment("b", "quay.io/a/b:1", meta="\n  namespace: other")},
    "a component": {**overlay("components: [comp]\nimages: [{name: quay.io/a/side, newTag: '8'}]\n"), "comp/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [extra.yaml]\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: add, path: /spec/template/spec/containers/0, value: {name: side, image: 'quay.io/a/side:1'}}\n", "comp/extra.yaml": deployment("extra", "quay.io/a/extra:1")},
    "a List": {"kustomization.yaml": "resources: [a.yaml]\nimages: [{name: quay.io/a/a, newTag: '2'}]\n", "a.yaml": "apiVersion: v1\nkind: List\nitems:\n" + "".join("- " + deployment(n, "quay.io/a/a:1").replace("\n", "\n  ").rstrip() + "\n" for n in "ab")},
    "bases, anchors and merge keys": {"kustomization.yaml": "bases: [base]\npatchesStrategicMerge: [p.yaml]\n", "base/kustomization.yaml": "resources: [web.yaml]\n",
                                      "base/web.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      initContainers:\n      - &c {name: i, image: 'quay.io/a/web:1', env: [{name: A, value: b}]}\n      containers:\n      - {<<: *c, name: main}\n",
                                      "p.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: main, image: 'quay.io/a/web:2'}]}}}\n"},
    "a generated ConfigMap": {"kustomization.yaml": "configMapGenerator:\n- name: conf\n  literals: [SIDECAR_IMAGE=quay.io/a/side:1, 'other=\"quay.io/a/quoted:2\"']\n  files: [conf.txt, named=other.txt]\n  envs: [x.env]\ngeneratorOptions: {disableNameSuffixHash: true}\n",
                              "conf.txt": "# comment\na: 1\nimage: quay.io/a/file:1\n", "other.txt": "quay.io/a/whole:1", "x.env": "A_IMAGE=quay.io/a/env:1\n"},
    "a merged ConfigMap": {"base/kustomization.yaml": "configMapGenerator: [{name: conf, literals: ['A_IMAGE=quay.io/a/a:1', 'B_IMAGE=quay.io/a/b:1']}]\n", "kustomization.yaml": "resources: [base]\nconfigMapGenerator: [{name: conf, behavior: merge, literals: ['A_IMAGE=quay.io/a/a:2']}]\ngeneratorOptions: {disableNameSuffixHash: true}\n"},
    "replacements": {"kustomization.yaml": "resources: [a.yaml, c.yaml]\nreplacements:\n- source: {kind: ConfigMap, name: c, fieldPath: data.tag}\n  targets:\n  - select: {kind: Deployment}\n    fieldPaths: ['spec.template.spec.containers.[name=main].image']\n    options: {delimiter: ':', index: 1}\n- source: {kind: ConfigMap, name: c, fieldPath: data.side}\n  targets:\n  - select: {kind: Deployment, name: a}\n    fieldPaths: [spec.template.spec.initContainers.0.image, 'metadata.annotations.[x.y/image]']\n    options: {create: true}\n",
                     "a.yaml": deployment("a", "quay.io/a/a:1", "      initContainers: [{name: i, image: 'quay.io/a/i:1'}]\n") + "---\n" + deployment("b", "quay.io/a/b:1"), "c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {tag: '7', side: 'quay.io/a/side:9'}\n"},
    "vars": {"kustomization.yaml": "resources: [a.yaml, c.yaml]\nvars:\n- name: SIDE\n  objref: {kind: ConfigMap, name: c, apiVersion: v1}\n  fieldref: {fieldpath: data.side}\n", "a.yaml": deployment("a", "quay.io/a/a:1", "        args: ['--sidecar-image=$(SIDE)', '$(OTHER)']\n"), "c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {side: 'quay.io/a/side:9'}\n"},
    "image fields of custom resources": {"kustomization.yaml": "resources: [a.yaml]\nconfigurations: [c.yaml]\nimages: [{name: quay.io/a/a, newTag: '2'}]\n", "c.yaml": "images:\n- {path: spec/runLatest/container/image, kind: Task}\n- {path: spec/list/image}\n",
                                         "a.yaml": "apiVersion: x.y/v1\nkind: Task\nmetadata: {name: t}\nspec: {runLatest: {container: {image: 'quay.io/a/a:1'}}, list: [{image: 'quay.io/a/a:1'}, {image: 'quay.io/a/b:1'}], other: {image: 'quay.io/a/a:1'}}\n"},
    "what is local is not deployed": {"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": deployment("a", "quay.io/a/a:1", meta="\n  annotations: {config.kubernetes.io/local-config: 'true'}") + "---\n" + deployment("b", "quay.io/a/b:1")},
    "a new name and kind": overlay("patches:\n- target: {name: web}\n  options: {allowNameChange: true, allowKindChange: true}\n  patch: |-\n    apiVersion: apps/v1\n    kind: StatefulSet\n    metadata: {name: db}\n"),
    "cluster objects have no namespace": {"kustomization.yaml": "namespace: prod\nresources: [a.yaml]\npatches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: a, namespace: old}\n    spec: {replicas: 3}\n", "a.yaml": deployment("a", "quay.io/a/a:1", meta="\n  namespace: old") + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: old}\n"},
}


class Random:
    """Kustomizations of all sorts: objects, some layers, and in each layer some of what kustomize can do."""

    KINDS = [("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"), ("batch/v1", "Job"), ("batch/v1", "CronJob"), ("v1", "Pod"), ("argoproj.io/v1alpha1", "Rollout")]

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.files, self.objects = {}, []

    def image(self):
        r = self.r
        name = r.choice(["nginx", "quay.io/a/web", "quay.io/a/db", "ghcr.io/x/y/tool", "host:5000/p/q", "busybox"])
        return name + r.choice(["", ":1", ":1.2-alpine", ":v2", "@sha256:" + "cd" * 32, ":1@sha256:" + "ef" * 32])

    def container(self, name):
        c = {"name": name, "image": self.image()}
        if self.r.random() < .3:
            c["env"] = [{"name": n, "value": self.r.choice(["x", "quay.io/env/%s:1" % n.lower().replace("_", "-")])} for n in self.r.sample(["A", "B_IMAGE", "C"], self.r.randint(1, 3))]
        if self.r.random() < .2:
            c["args"] = ["--image=" + self.image(), "-v"]
        return c

    def placement(self):
        r, spec = self.r, {}
        if r.random() < .5:
            spec["nodeSelector"] = {k: r.choice(["amd64", "arm64"]) if "arch" in k else "x" for k in r.sample(["kubernetes.io/arch", "beta.kubernetes.io/arch", "disk"], r.randint(1, 2))}
        if r.random() < .4:
            terms = [{"matchExpressions": [{"key": r.choice(["kubernetes.io/arch", "zone"]), "operator": r.choice(["In", "NotIn"]), "values": r.sample(["amd64", "arm64", "s390x"], r.randint(1, 2))}]} for _ in range(r.randint(1, 2))]
            spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
        if r.random() < .4:
            spec["tolerations"] = [r.choice([{"key": "arch", "operator": "Exists"}, {"key": "arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}, {"key": "b", "operator": "Exists"}]) for _ in range(r.randint(1, 2))]
        return spec

    def pod(self):
        spec = {"containers": [self.container(n) for n in self.r.sample(["main", "side", "log"], self.r.randint(1, 3))], **self.placement()}
        if self.r.random() < .3:
            spec["initContainers"] = [self.container(n) for n in self.r.sample(["init", "wait"], self.r.randint(1, 2))]
        return spec

    @staticmethod
    def wrap(version, kind, name, pod, meta=None):
        spec = pod if kind == "Pod" else {"template": {"spec": pod}}
        if kind == "CronJob":
            spec = {"schedule": "* * * * *", "jobTemplate": {"spec": spec}}
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **(meta or {})}, "spec": spec}

    PATHS = {"Pod": "/spec", "CronJob": "/spec/jobTemplate/spec/template/spec"}

    def base(self, folder):
        names = []
        for i in range(self.r.randint(1, 3)):
            version, kind = self.r.choice(self.KINDS)
            name = "%s%d" % (folder.replace("/", ""), i)
            meta = {"labels": {"app": self.r.choice("xy"), "tier": name}} if self.r.random() < .6 else {}
            self.files["%s/o%d.yaml" % (folder, i)] = self.wrap(version, kind, name, self.pod(), meta)
            self.objects.append((version, kind, name, None))
            names.append("o%d.yaml" % i)
        self.files[folder + "/kustomization.yaml"] = {"resources": names}

    def strategic(self, kind):
        """Part of a pod's spec, with directives."""
        r, spec = self.r, {}
        if r.random() < .6:
            spec["containers"] = [r.choice([{"name": n, "image": self.image()}, {"name": n, "image": self.image()}, {"name": n, "$patch": "delete"}, {"name": n, "env": [{"name": "A", "value": self.image()}]}, {"name": n, "image": self.image(), "env": None}]) for n in r.sample(["main", "side", "log", "new"], r.randint(1, 2))]
            if kind not in ("Rollout",) and r.random() < .15:
                spec["containers"] = [{"$patch": "replace"}, self.container("only")]
        for member in ("nodeSelector", "affinity", "tolerations"):
            if r.random() < .25:
                spec[member] = r.choice([None, self.placement().get(member)])
        if r.random() < .2:
            spec["nodeSelector"] = {"kubernetes.io/arch": r.choice([None, "arm64"]), "new": "x"}
        if r.random() < .1:
            spec["nodeSelector"] = {"$patch": r.choice(["replace", "delete"]), "only": "x"}
        return spec or {"terminationGracePeriodSeconds": 5}

    def operations(self, kind):
        path, r, ops = self.PATHS.get(kind, "/spec/template/spec"), self.r, []
        for _ in range(r.randint(1, 2)):
            ops.append(r.choice([
                {"op": "replace", "path": path + "/containers/0/image", "value": self.image()},
                {"op": "add", "path": path + "/containers/-", "value": self.container("json%d" % r.randint(0, 9**6))},
                {"op": "add", "path": path + "/containers/0", "value": self.container("head%d" % r.randint(0, 9**6))},
                {"op": "add", "path": path + "/nodeSelector", "value": {"kubernetes.io/arch": "arm64"}},
                {"op": "add", "path": path + "/tolerations", "value": [{"key": "arch", "operator": "Exists"}]},
                {"op": "copy", "from": path + "/containers/0/image", "path": path + "/containers/0/image"},
            ]))
        return ops

    def layer(self, folder, bases):
        r, k = self.r, {"resources": bases}
        patches = []
        for n in range(r.randint(0, 3)):
            version, kind, name, space = r.choice(self.objects)
            inline = r.random() < .5
            if r.random() < .5:
                body = self.wrap(version, kind, name, self.strategic(kind))
                if space:
                    body["metadata"]["namespace"] = space
                target = r.choice([None, {"kind": kind, "name": name}])
            else:
                body, target = self.operations(kind), r.choice([{"kind": kind, "name": name}, {"name": name}, {"kind": kind, "name": name[:-1] + ".", "labelSelector": "tier=" + name}])
            entry = {"target": target} if target else {}
            if inline:
                entry["patch"] = Text(body) if r.random() < .7 else json.dumps(body)
            else:
                entry["path"] = "p%d.yaml" % n
                self.files["%s/p%d.yaml" % (folder, n)] = body
            patches.append(entry)
        if patches:
            k["patches"] = patches
        if r.random() < .5:
            k["images"] = [{"name": self.image().split("@")[0].rsplit(":", 1)[0] if r.random() < .3 else r.choice(["nginx", "quay.io/a/web", "quay.io/a/.*", "host:5000/p/q"]), **r.choice([{"newTag": "9"}, {"newName": "mirror.io/n/n"}, {"newName": "nginx", "newTag": "8"}, {"digest": "sha256:" + "01" * 32}])} for _ in range(r.randint(1, 2))]
        if r.random() < .2:
            k["namePrefix"] = "p-"
        if r.random() < .2:
            k["nameSuffix"] = "-s"
        if r.random() < .2:
            k["namespace"] = r.choice(["prod", "dev"])
        if r.random() < .2:
            k["commonLabels" if r.random() < .5 else "labels"] = {"layer": "l"} if "labels" in k else None
            k = {a: b for a, b in k.items() if b is not None}
        if r.random() < .2:
            version, kind, name, _ = r.choice(self.objects)
            if kind in ("Deployment", "StatefulSet"):
                k["replicas"] = [{"name": name, "count": r.randint(0, 9)}]
        self.files[folder + "/kustomization.yaml"] = k

    def case(self):
        bases = []
        for i in range(self.r.randint(1, 2)):
            self.base("b%d" % i)
            bases.append("b%d" % i)
        depth = self.r.randint(1, 3)
        for level in range(depth):
            last = level == depth - 1
            folder = "." if last else "l%d" % level
            self.layer(folder, [b if last else "../" + b for b in bases])
            bases = [folder]
        return {os.path.normpath(name): body if isinstance(body, str) else dump(body) for name, body in self.files.items()}


class Text:
    def __init__(self, value):
        self.value = value


def dump(value, indent=0):
    """YAML in block style: lines that edits can be made in."""
    pad = "  " * indent
    if isinstance(value, Text):
        return "|-\n" + "".join(pad + line + "\n" for line in dump(value.value).rstrip("\n").split("\n"))
    if isinstance(value, dict) and value:
        out = ""
        for key, member in value.items():
            nested = isinstance(member, (dict, list, Text)) and member
            out += "%s%s:%s" % (pad, json.dumps(key) if key.startswith("$") else key, (" " if isinstance(member, Text) else "\n") + dump(member, indent + 1) if nested else " " + json.dumps(member) + "\n")
        return out
    if isinstance(value, list) and value:
        return "".join(pad + "- " + dump(item, indent + 1).lstrip(" ") if isinstance(item, (dict, list)) and item else "%s- %s\n" % (pad, json.dumps(item)) for item in value)
    return json.dumps(value) + "\n"


class World:
    def __init__(self, archway):
        self.archway = os.path.realpath(archway)
        self.folder = tempfile.mkdtemp(prefix="archway-kustomize.")
        self.checks = self.failed = self.refused = 0
        known = os.path.join(self.folder, "known.json")
        open(known, "w").write("{}")
        self.words = ["--json", "--no-helm", "--offline", "--images", known, "--no-updates", "--taint", "arch=arm64:NoSchedule", "--for", "linux/arm64,linux/amd64"]

    def check(self, true, what):
        self.checks += 1
        if not true:
            self.failed += 1
            print("FAILED: " + what)
        return true

    def audit(self, where, input=None):
        run = subprocess.run([self.archway, "audit", *self.words, where], input=input, capture_output=True, timeout=60, cwd=self.folder, env={**os.environ, "ARCHWAY_ROOT": self.folder + "/root", "NO_COLOR": "1"})
        try:
            return json.loads(run.stdout)
        except ValueError:
            self.check(False, "no JSON of %s: %s %s" % (where, run.stdout[:200], run.stderr[-500:]))
            return None

    def write(self, name, files):
        folder = os.path.join(self.folder, name)
        shutil.rmtree(folder, ignore_errors=True)
        for file, text in files.items():
            path = pathlib.Path(folder, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder

    def case(self, title, files, must=True):
        folder = self.write("case", files)
        built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, timeout=60)
        if built.returncode != 0:
            self.check(not must, "%s: kubectl refuses it: %s" % (title, built.stderr.decode()[-300:]))
            self.refused += 1
            self.audit(folder)
            return
        want, got = self.audit("-", built.stdout), self.audit(folder)
        if not want or not got:
            return
        ok = True
        for what, of in (("workloads", workloads), ("uses", uses), ("findings", findings), ("unseen", lambda report: report["unseen"])):
            ok = self.check(of(want) == of(got), "%s: %s\n  kubectl %s\n  archway %s" % (title, what, *different(of(want), of(got)))) and ok
        ok = self.places(title, got) and ok
        if not ok:
            print("\n".join("--- %s\n%s" % (name, text) for name, text in files.items()) + "--- built\n" + built.stdout.decode())

    # The bytes at a place are the image, or what of it was written there.
    def places(self, title, report):
        ok = True
        for image in report["images"]:
            for use in image["uses"]:
                if not self.check(not use["source"] in ("", "-"), "%s: %s stands nowhere" % (title, use["image"])):
                    ok = False
                if "line" not in use:
                    continue
                line = open(use["source"]).read().split("\n")[use["line"] - 1]
                name, tag, digest = re.fullmatch(r"(.+?)(?::([^:/@]+))?(?:@(.+))?", use["image"]).groups()
                ok = self.check(any(part and part in line for part in (name, tag, digest)), "%s: %s is not at %s:%d: %s" % (title, use["image"], use["source"], use["line"], line)) and ok
        return ok


def different(a, b):
    return [x for x in a if x not in b], [x for x in b if x not in a]


def workloads(report):
    images = {}
    for image in report["images"]:
        for use in image["uses"]:
            if use["role"] != "mention":
                images.setdefault(use.get("object"), set()).add((use["image"], use.get("container"), use["role"]))
    return sorted((w["object"], w.get("pods"), sorted(images[w["object"]], key=str)) for w in report["workloads"] if w["object"] in images)


def uses(report):
    return sorted({(use["image"], use.get("object", ""), use["role"], use["confidence"], use.get("container", "")) for image in report["images"] for use in image["uses"]})


def findings(report):
    return sorted({(f["rule"], f["place"].get("object", ""), f["message"]) for f in report["findings"] if "image" not in f or not f["image"]})


def fixing(world):
    """What archway fix edits is the file that decides."""
    files = overlay("images:\n- name: quay.io/a/web\n  newTag: '1' # theirs\npatches:\n- path: p.yaml\n", **{"p.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      nodeSelector:\n        kubernetes.io/arch: amd64\n        disk: ssd\n"})
    folder = world.write("fix", files)
    known = os.path.join(world.folder, "both.json")
    json.dump({"quay.io/a/web:1": {"platforms": ARM}}, open(known, "w"))
    run = subprocess.run([world.archway, "fix", "--offline", "--images", known, folder], capture_output=True, text=True, env={**os.environ, "ARCHWAY_ROOT": world.folder + "/root"})
    patch, base = open(folder + "/p.yaml").read(), open(folder + "/base/web.yaml").read()
    world.check(patch == files["p.yaml"].replace("        kubernetes.io/arch: amd64\n", ""), "fix takes the label out of the patch that sets it:\n%s%s%s" % (patch, run.stdout, run.stderr))
    world.check("amd64" in base, "and leaves the base alone, whose label the patch replaces")


def main():
    words = sys.argv[2:]
    count, seed = 60, 1
    if "--random" in words:
        at = words.index("--random")
        count = int(words[at + 1])
        del words[at:at + 2]
    if "--seed" in words:
        at = words.index("--seed")
        seed = int(words[at + 1])
        del words[at:at + 2]
    if not shutil.which("kubectl"):
        return print("skipped: kustomizations against kubectl, which is not here") or 0
    world = World(sys.argv[1])
    try:
        for title, files in CASES.items():
            if not words or any(word in title for word in words):
                world.case(title, files)
        for number in range(seed, seed + count):
            if not words:
                world.case("random %d" % number, Random(number).case(), must=False)
        if not words:
            fixing(world)
            world.check(count < 20 or world.refused < count // 2, "kubectl refused %d of %d random kustomizations" % (world.refused, count))
    finally:
        shutil.rmtree(world.folder, ignore_errors=True)
    print("kustomize: %d checks, %d failed; %d random kustomizations, of which kubectl refused %d" % (world.checks, world.failed, count, world.refused))
    return 1 if world.failed else 0


if __name__ == "__main__":
    sys.exit(main())
