#!/usr/bin/env python3
"""Helm charts as archway reads them, with the real helm.

    tests/charts.py ARCHWAY
"""
import io, json, os, pathlib, shutil, subprocess, sys, tarfile, tempfile

POD = """apiVersion: apps/v1
kind: Deployment
metadata: {name: %s}
spec:
  template:
    spec:
%s      containers:
      - name: main
        image: %s
"""
CHART = "apiVersion: v2\nname: %s\nversion: 1.0.0\nappVersion: '7.1'\n"


class World:
    def __init__(self, archway):
        self.archway = os.path.realpath(archway)
        self.folder = tempfile.mkdtemp(prefix="archway-charts.")
        self.checks = self.failed = 0
        self.known = os.path.join(self.folder, "known.json")
        json.dump({}, open(self.known, "w"))

    def check(self, true, what):
        self.checks += 1
        if not true:
            self.failed += 1
            print("FAILED: " + what)

    def equal(self, got, want, what):
        self.check(got == want, "%s\n  is   %r\n  want %r" % (what, got, want))

    def chart(self, files, name="c"):
        folder = os.path.join(self.folder, name)
        shutil.rmtree(folder, ignore_errors=True)
        for file, text in files.items():
            path = pathlib.Path(folder, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder

    def run(self, *words, **environment):
        return subprocess.run([self.archway, *words], capture_output=True, text=True, timeout=200, cwd=self.folder, env={**os.environ, "ARCHWAY_ROOT": self.folder + "/root", "NO_COLOR": "1", **environment})

    def audit(self, *words, **environment):
        run = self.run("audit", "--json", "--offline", "--images", self.known, *words, **environment)
        try:
            return json.loads(run.stdout)
        except ValueError:
            self.check(False, "no JSON: " + run.stdout[:200] + run.stderr[-500:])
            return {"images": [], "unseen": [], "skipped": [], "workloads": [], "findings": []}


def images(report):
    return sorted({use["image"] for image in report["images"] for use in image["uses"]})


def use_of(report, image):
    return next((use for each in report["images"] for use in each["uses"] if use["image"] == image), {})


def archive(files, top):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(top + "/" + name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def rendered(world):
    """What decides an image is named: the line of values, or the template."""
    folder = world.chart({
        "Chart.yaml": CHART % "c", ".helmignore": "templates/ignored.yaml\n", "templates/ignored.yaml": POD % ("ignored", "", "quay.io/a/ignored:1"), "templates/NOTES.txt": "image: quay.io/a/notes:1\n",
        "values.yaml": "# ü\nimage:\n  repository: quay.io/a/web\n  tag: \"1.2\"  # theirs\nside: quay.io/a/side:3\nown: {image: {repository: quay.io/a/own, tag: ''}}\nnodeSelector:\n  kubernetes.io/arch: amd64\nunused: {tag: '9'}\n",
        "templates/web.yaml": POD % ("web", "      nodeSelector: {{ toJson .Values.nodeSelector }}\n", "\"{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}\"") + "      - name: side\n        image: {{ .Values.side }}\n      - name: own\n        image: {{ .Values.own.image.repository }}:{{ .Values.own.image.tag | default .Chart.AppVersion }}\n      - name: fixed\n        image: quay.io/a/fixed:1\n      - name: prefixed\n        image: quay.io/a/prefixed:v{{ .Values.image.tag }}\n",
        "templates/hook.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: hook, annotations: {helm.sh/hook: pre-install}}\nspec: {template: {spec: {containers: [{name: h, image: 'quay.io/a/hook:1'}]}}}\n",
        "templates/tests/t.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: t, annotations: {helm.sh/hook: test}}\nspec: {containers: [{name: t, image: 'quay.io/a/test:1'}]}\n",
        "crds/crd.yaml": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\nspec: {x: {image: quay.io/not/this:1}}\n",
        "Dockerfile": "FROM debian:12\n"})
    report = world.audit(folder)
    world.equal(images(report), ["debian:12", "quay.io/a/fixed:1", "quay.io/a/hook:1", "quay.io/a/own:7.1", "quay.io/a/prefixed:v1.2", "quay.io/a/side:3", "quay.io/a/test:1", "quay.io/a/web:1.2"], "images")
    world.equal(report["unseen"], [], "all was seen")
    place = lambda image: (os.path.relpath(use_of(report, image).get("source", "/"), folder), use_of(report, image).get("line"))
    world.equal(place("quay.io/a/web:1.2"), ("values.yaml", 4), "a tag's line")
    world.equal(place("quay.io/a/side:3"), ("values.yaml", 5), "an image's line")
    world.equal(place("quay.io/a/own:7.1"), ("values.yaml", 6), "an empty tag's line")
    world.equal(place("quay.io/a/fixed:1"), ("templates/web.yaml", None), "a template")
    world.equal(place("quay.io/a/prefixed:v1.2"), ("values.yaml", 4), "a part of a tag")
    world.check(any(w.get("hook") == "Helm hook pre-install" for w in report["workloads"]), "hooks are known as such")
    selector = [f for f in report["findings"] if f["rule"] == "arch-selector"]
    world.equal([(os.path.relpath(f["place"]["source"], folder), f["place"].get("line")) for f in selector], [("values.yaml", 8)], "a selector's line")
    # Files and settings that the user names, which outrank the chart's.
    values = os.path.join(world.folder, "v.yaml")
    open(values, "w").write("image: {tag: '2.0'}\n")
    report = world.audit("--values", values, "--set", "side=quay.io/a/set:1", "--set-string", "own.image.tag=5", folder)
    world.check({"quay.io/a/web:2.0", "quay.io/a/set:1", "quay.io/a/own:5"} <= set(images(report)), "--values and --set: %r" % images(report))
    world.equal((use_of(report, "quay.io/a/web:2.0").get("source"), use_of(report, "quay.io/a/web:2.0").get("line")), (values, 1), "the user's file")
    world.equal("line" in use_of(report, "quay.io/a/set:1"), False, "--set is no file")
    # And fix edits there.
    known = os.path.join(world.folder, "both.json")
    json.dump({image: {"platforms": ["linux/amd64", "linux/arm64"]} for image in images(world.audit(folder))}, open(known, "w"))
    before = open(folder + "/values.yaml").read()
    run = world.run("fix", "--offline", "--images", known, folder)
    world.equal(open(folder + "/values.yaml").read().replace("nodeSelector: {}\n", "").replace("nodeSelector:\n", ""), before.replace("nodeSelector:\n  kubernetes.io/arch: amd64\n", ""), "fix: %s %s" % (run.stdout, run.stderr))


def dependencies(world):
    sub = {"Chart.yaml": CHART % "sub", "values.yaml": "image: {repository: quay.io/a/sub, tag: '1'}\n", "templates/s.yaml": POD % ("s-{{ .Chart.Name }}", "", "{{ .Values.image.repository }}:{{ .Values.image.tag }}")}
    packed = {**sub, "Chart.yaml": CHART % "packed", "values.yaml": "image: {repository: quay.io/a/packed, tag: '1'}\n"}
    library = {"Chart.yaml": CHART % "lib" + "type: library\n", "templates/_l.tpl": "{{- define \"lib.image\" -}}quay.io/a/lib:1{{- end -}}\n"}
    chart = {"Chart.yaml": CHART % "c" + "dependencies:\n- {name: sub, version: 1.0.0, alias: first, condition: first.enabled}\n- {name: sub, version: 1.0.0, alias: second, condition: second.enabled}\n- {name: packed, version: 1.0.0}\n- {name: lib, version: 1.0.0}\n",
             "values.yaml": "first: {enabled: true, image: {tag: '2'}}\nsecond: {enabled: false}\n", "templates/c.yaml": POD % ("c", "", "{{ include \"lib.image\" . }}"), "charts/packed-1.0.0.tgz": archive(packed, "packed")}
    for name, files in (("sub", sub), ("lib", library)):
        chart.update({"charts/%s/%s" % (name, file): text for file, text in files.items()})
    folder = world.chart(chart)
    report = world.audit(folder)
    world.equal((images(report), report["unseen"]), (["quay.io/a/lib:1", "quay.io/a/packed:1", "quay.io/a/sub:2"], []), "aliases, conditions, archives, libraries")
    world.equal((os.path.relpath(use_of(report, "quay.io/a/sub:2").get("source", "/"), folder), use_of(report, "quay.io/a/sub:2").get("line")), ("values.yaml", 1), "the parent's values decide")
    report = world.audit("--set", "second.enabled=true", folder)
    world.equal((os.path.relpath(use_of(report, "quay.io/a/sub:1").get("source", "/"), folder)), "charts/sub/values.yaml", "the subchart's values decide")
    world.equal(sorted(os.path.relpath(s["what"], folder) for s in world.audit(folder + "/charts/lib")["skipped"]), ["charts/lib"], "a library is no workload")
    # Dependencies that are not there: named, and the rest is rendered.
    shutil.rmtree(folder + "/charts/sub")
    pathlib.Path(folder, "Chart.yaml").write_text(open(folder + "/Chart.yaml").read() + "- {name: gone, version: 17.x, repository: 'https://charts.example.org', condition: gone.enabled}\n")
    report = world.audit(folder)
    world.equal(images(report), ["quay.io/a/lib:1", "quay.io/a/packed:1"], "the rest of a chart")
    world.check(any("gone 17.x" in u["why"] and "helm dependency build" in u["why"] and "charts.example.org" in u["why"] for u in report["unseen"]), "what is absent: %r" % report["unseen"])
    world.check(any("second.enabled" in s["why"] for s in report["skipped"]), "what is switched off: %r" % report["skipped"])
    # A neighbour's folder is as good.
    local = world.chart({"app/Chart.yaml": CHART % "app" + "dependencies: [{name: sub, version: 1.0.0, repository: 'file://../sub'}]\n", **{"sub/" + k: v for k, v in sub.items()}}, "local")
    world.equal(images(world.audit(local + "/app")), ["quay.io/a/sub:1"], "file:// dependencies")
    # An archive by itself, and in a folder.
    folder = world.chart({"packed-1.0.0.tgz": archive(packed, "packed"), "other.tgz": b"no gzip"}, "archives")
    world.equal(images(world.audit(folder)), ["quay.io/a/packed:1"], "an archive in a folder")
    world.equal(images(world.audit(folder + "/packed-1.0.0.tgz")), ["quay.io/a/packed:1"], "an archive")
    world.equal(images(world.audit("--no-helm", folder)), ["quay.io/a/packed:1"], "an archive, guessed")
    evil = world.chart({"evil-1.0.0.tgz": archive({"Chart.yaml": CHART % "evil", "../../../../tmp/archway-evil": "x"}, "evil")}, "evil")
    world.check(any("leads out of it" in u["why"] for u in world.audit(evil)["unseen"]) and not os.path.exists("/tmp/archway-evil"), "an archive that leads out of itself")


def failing(world):
    """Where helm cannot, its message is passed on, and images are guessed."""
    folder = world.chart({"Chart.yaml": CHART % "c", "values.yaml": "image: {repository: quay.io/a/web, tag: '1'}\n", "templates/w.yaml": POD % ("w", "", "{{ required \"say .Values.must\" .Values.must }}")})
    report = world.audit(folder)
    world.equal(images(report), ["quay.io/a/web:1"], "guessed")
    world.check(any("say .Values.must" in u["why"] and "guessed" in u["why"] and "w.yaml:9:" in u["why"] for u in report["unseen"]), "helm's message: %r" % report["unseen"])
    world.equal(images(world.audit("--set", "must=quay.io/a/must:1", folder)), ["quay.io/a/must:1"], "with what is required")
    for constraint, text in ((">= 1.99.0-0", "newer"), ("~1.20", "older")):
        folder = world.chart({"Chart.yaml": CHART % "c" + "kubeVersion: '%s'\n" % constraint, "templates/w.yaml": POD % ("w", "", "quay.io/a/%s:1" % text)})
        report = world.audit(folder)
        world.equal((images(report), report["unseen"]), (["quay.io/a/%s:1" % text], []), "a chart for " + constraint)
    folder = world.chart({"Chart.yaml": CHART % "c", "templates/w.yaml": "{{ if .Capabilities.APIVersions.Has \"x.y/v1\" }}" + POD % ("w", "", "quay.io/a/has:1") + "{{ else }}" + POD % ("w", "", "quay.io/a/old:{{ .Capabilities.KubeVersion.Minor }}") + "{{ end }}"})
    world.equal(images(world.audit("--kube-version", "1.27", folder)), ["quay.io/a/old:27"], "--kube-version")
    world.equal(images(world.audit("--api-versions", "x.y/v1", folder)), ["quay.io/a/has:1"], "--api-versions")
    # Nothing of the user's is used, and nothing is asked of a network.
    plugins = world.chart({"p/plugin.yaml": "name: p\nversion: 1\nhooks: {}\ncommand: /bin/false\n"}, "plugins")
    world.equal(images(world.audit("--kube-version", "1.27", folder, HELM_PLUGINS=plugins, HELM_NAMESPACE="x", HELM_DEBUG="true", KUBECONFIG="/nonexistent", HELM_KUBEAPISERVER="http://127.0.0.1:1")), ["quay.io/a/old:27"], "the user's environment")
    folder = world.chart({"Chart.yaml": CHART % "c", "templates/w.yaml": "{{ range $i, $e := until 12000000 }}{{ $i }}{{ end }}" + POD % ("w", "", "quay.io/a/w:1")})
    report = world.audit(folder)
    world.check(len(report["unseen"]) == 1, "a chart that prints without end: %r" % report["unseen"])


def kustomized(world):
    sub = {"Chart.yaml": CHART % "sub", "values.yaml": "image: {repository: quay.io/a/sub, tag: '1'}\n", "extra.yaml": "image: {tag: '2'}\n", "templates/s.yaml": POD % ("s", "", "{{ .Values.image.repository }}:{{ .Values.image.tag }}{{ .Values.more }}")}
    folder = world.chart({"kustomization.yaml": "helmCharts:\n- name: sub\n  releaseName: r\n  additionalValuesFiles: [charts/sub/extra.yaml]\n  valuesInline: {more: '-alpine'}\nimages: [{name: quay.io/a/sub, newName: mirror.io/sub}]\n", **{"charts/sub/" + k: v for k, v in sub.items()}}, "kustomized")
    report = world.audit(folder)
    world.equal((images(report), report["unseen"]), (["mirror.io/sub:2-alpine"], []), "a chart in a kustomization")
    world.check("not rendered" in json.dumps(world.audit("--no-helm", folder)["skipped"]), "and without helm")


def main():
    if not shutil.which("helm"):
        return print("skipped: charts, without helm") or 0
    world = World(sys.argv[1])
    try:
        for group in (rendered, dependencies, failing, kustomized):
            group(world)
    finally:
        shutil.rmtree(world.folder, ignore_errors=True)
    print("charts: %d checks, %d failed" % (world.checks, world.failed))
    return 1 if world.failed else 0


if __name__ == "__main__":
    sys.exit(main())
