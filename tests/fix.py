#!/usr/bin/env python3
"""archway fix with the real binary: manifests in every style that people write, edited, and read back by another YAML library and a model
of what was asked for, written apart from archway's; diffs applied by git, patches by kubectl; the audit's findings cured.

    tests/fix.py ARCHWAY

Needs python3-yaml. SEED picks other manifests.
"""
import copy, hashlib, http.server, json, os, pathlib, random, re, shutil, stat, subprocess, sys, tempfile, threading, time

try:
    import yaml
except ImportError:
    print("skipped: python3-yaml is not installed")
    sys.exit(0)

SEED = int(os.environ.get("SEED", "11"))
COUNT = int(os.environ.get("COUNT", "300"))
ARCHES = ["amd64", "arm64"]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
LABELS = ("kubernetes.io/arch", "beta.kubernetes.io/arch")
archway = os.path.realpath(sys.argv[1])
folder = pathlib.Path(tempfile.mkdtemp(prefix="archway-fix."))
passed = failed = skipped = 0
environment = {**{k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}, "ARCHWAY_ROOT": str(folder / "root"), "NO_COLOR": "1", "no_proxy": "127.0.0.1"}


def check(good, what, detail=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print("FAILED: " + what + ("\n    " + str(detail).replace("\n", "\n    ")[-3000:] if detail else ""), flush=True)
    return good


def skip(what):
    global skipped
    skipped += 1
    print("skipped: " + what)


def run(*words, status=None, stdin=None, cwd=None):
    done = subprocess.run([archway, *map(str, words)], capture_output=True, cwd=cwd or folder, env=environment, input=stdin, timeout=300)
    done.out, done.err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    if status is not None:
        check(done.returncode == status, "archway %s: status %d" % (" ".join(map(str, words))[:200], status), "got %d\n%s%s" % (done.returncode, done.out[-1500:], done.err))
    return done


# ---- manifests in many styles

class Writer:
    """One way of writing YAML: indentation, quotes, comments and line ends, chosen at random."""

    def __init__(self, chance):
        self.chance = chance
        self.step = chance.choice([2, 2, 2, 4, 3])
        self.flush = chance.random() < 0.5
        self.gap = chance.choice([1, 1, 1, 3])
        self.quote = chance.choice(["", "", '"', "'"])
        self.comments = chance.random() < 0.7
        self.flow = chance.choice([0, 0, 0.2])
        self.count = 0

    def comment(self, rate):
        if not self.comments or self.chance.random() > rate:
            return ""
        self.count += 1
        return "# c%d %s" % (self.count, self.chance.choice(["why", "주석 ü", "a: b", "- x", "'q\"", "{}", "🙂"]))

    def scalar(self, value):
        if isinstance(value, bool):
            return "true" if value else "false"
        if value is None:
            return self.chance.choice(["", "~", "null"])
        if not isinstance(value, str):
            return str(value)
        safe = re.fullmatch(r"[A-Za-z/][A-Za-z0-9./:@-]*", value) and not value.endswith(":") and value.lower() not in ("true", "yes", "no", "on", "off", "y", "n", "null", "false")
        if safe and not self.quote:
            return value
        if self.quote == "'":
            return "'" + value.replace("'", "''") + "'"
        return json.dumps(value, ensure_ascii=False)

    def inline(self, value):
        if isinstance(value, dict):
            return "{" + ", ".join(self.scalar(k) + ": " + self.inline(v) for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(self.inline(v) for v in value) + "]"
        if value is None:
            return "null"
        return self.scalar(value)

    def lines(self, value, indent):
        """Of a mapping or sequence that is not empty, each line with its indentation."""
        out = []
        pad = " " * indent
        if isinstance(value, dict):
            for key, inner in value.items():
                if self.chance.random() < 0.08:
                    above = self.comment(1)
                    out += [pad + above] if above else [""]
                if not inner or not isinstance(inner, (dict, list)) or self.chance.random() < self.flow:
                    word = self.inline(inner) if isinstance(inner, (dict, list)) else self.scalar(inner)
                    behind = self.comment(0.1)
                    out.append((pad + self.scalar(key) + ": " + word + (("  " if word else " ") + behind if behind else "")).rstrip())
                    continue
                behind = self.comment(0.1)
                out.append(pad + self.scalar(key) + ":" + (" " + behind if behind else ""))
                out += self.lines(inner, indent + (self.step if isinstance(inner, dict) or not self.flush else 0))
            return out
        for item in value:
            dash = pad + "-" + " " * self.gap
            if isinstance(item, (dict, list)) and item:
                inner = self.lines(item, len(dash))
                first = next(i for i, line in enumerate(inner) if line.strip() and not line.strip().startswith("#"))
                out += [pad + line.strip() if line.strip() else "" for line in inner[:first]]
                out.append(dash + inner[first][len(dash):])
                out += inner[first + 1:]
            else:
                out.append(dash + (self.inline(item) if isinstance(item, (dict, list)) else self.scalar(item)))
        return out


def random_expression(chance):
    key = chance.choice(["kubernetes.io/arch", "zone", "beta.kubernetes.io/arch", "disk"])
    op = chance.choice(["In", "NotIn", "Exists"])
    values = chance.sample(["amd64", "arm64", "s390x"] if "arch" in key else ["a", "b"], chance.choice([1, 2]))
    return {"key": key, "operator": op, **({} if op == "Exists" else {"values": values})}


def random_spec(chance):
    spec = {"containers": [{"name": "c%d" % i, "image": chance.choice(["nginx:1.19", "nginx", "docker.io/library/redis:6", "reg:5000/a/nginx:1", "nginx@sha256:" + "0" * 64])} for i in range(chance.choice([1, 1, 2]))]}
    spec["containers"][0]["args"] = chance.choice([["-x"], ["--a=b", "c"], []])
    if chance.random() < 0.3:
        spec["initContainers"] = [{"image": "nginx:1.19", "name": "i"}]
    choice = chance.random()
    if choice < 0.2:
        spec["tolerations"] = chance.choice([[], None, [{"operator": "Exists"}], [{"key": "arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}]])
    elif choice < 0.5:
        spec["tolerations"] = [{"key": "other", "operator": "Exists", "effect": "NoExecute"}]
    choice = chance.random()
    if choice < 0.15:
        spec["affinity"] = chance.choice([{}, None, {"podAntiAffinity": {"x": 1}}, {"nodeAffinity": {}}])
    elif choice < 0.5:
        terms = [chance.choice([{"matchExpressions": [random_expression(chance) for _ in range(chance.choice([1, 2]))]}, {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}, {}])
                 for _ in range(chance.choice([1, 2, 3]))]
        spec["affinity"] = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}
    if chance.random() < 0.2:
        spec["nodeSelector"] = chance.choice([{"disk": "ssd"}, {"kubernetes.io/arch": "amd64"}, {"kubernetes.io/arch": "s390x", "disk": "ssd"}])
    if chance.random() < 0.4:
        spec["restartPolicy"] = "Always"
    items = list(spec.items())
    chance.shuffle(items)
    return dict(items)


def random_object(chance, number):
    kind = chance.choice(["Pod", "Deployment", "DaemonSet", "CronJob", "ConfigMap"])
    api = {"Pod": "v1", "ConfigMap": "v1", "CronJob": "batch/v1"}.get(kind, "apps/v1")
    value = {"apiVersion": api, "kind": kind, "metadata": {"name": "o%d" % number, "annotations": {"note": chance.choice(["한국어 ü", "x: y", "it's", "1.10", "true"])}}}
    if kind == "ConfigMap":
        return {**value, "data": {"text": "containers\nimage: nothing\n", "n": "1"}}
    spec = random_spec(chance)
    if kind == "Pod":
        return {**value, "spec": spec}
    if kind == "CronJob":
        return {**value, "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": spec}}}}}
    return {**value, "spec": {"replicas": 1, "template": {"metadata": {"labels": {"app": "x"}}, "spec": spec}}}


def random_file(chance, number):
    objects = [random_object(chance, number * 10 + i) for i in range(chance.choice([1, 1, 1, 2, 3]))]
    if chance.random() < 0.1:
        value = objects[0] if len(objects) == 1 else {"apiVersion": "v1", "kind": "List", "items": objects}
        text = json.dumps(value, indent=chance.choice([None, 2, 4, "\t"]), ensure_ascii=chance.random() < 0.5) + chance.choice(["", "\n"])
        return number, "json", text.encode()
    writer = Writer(chance)
    text = ""
    for i, one in enumerate(objects):
        if i or chance.random() < 0.3:
            text += "---" + chance.choice(["", " # next"]) + "\n"
        if chance.random() < 0.3:
            text += "# Source: x\n\n"
        text += "\n".join(writer.lines(one, 0)) + "\n"
        if chance.random() < 0.3:
            text += "\n" + (writer.comment(1) + "\n" if writer.comments else "")
    if chance.random() < 0.2:
        text = text.rstrip("\n")
    if chance.random() < 0.2:
        text = text.replace("\n", "\r\n")
    return number, "yaml", (("\ufeff" if chance.random() < 0.1 else "") + text).encode()


# ---- the model: what was asked for, on values

def pod_specs(value):
    if value.get("kind") == "List":
        for item in value["items"]:
            yield from pod_specs(item)
        return
    path = {"Pod": ["spec"], "CronJob": ["spec", "jobTemplate", "spec", "template", "spec"]}.get(value.get("kind"), ["spec", "template", "spec"])
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, dict):
        yield value


def set_images(spec):
    for name in ("containers", "initContainers"):
        for container in spec.get(name) or []:
            image = container["image"]
            if image.split("@")[0].split(":")[0] == "nginx" and not image.startswith("reg:"):
                container["image"] = "nginx:9.10"


def tolerate(spec):
    wanted = {"key": "arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}
    have = spec.get("tolerations") or []
    covers = lambda t: t.get("effect") in (None, "NoSchedule") and (t.get("operator") == "Exists" and t.get("key") in (None, "arch") or t == wanted)
    if not any(map(covers, have)):
        spec["tolerations"] = have + [wanted]


def holds(expression, labels):
    value = labels.get(expression["key"])
    return {"In": value in expression.get("values", []) and value is not None, "NotIn": value is None or value not in expression.get("values", []), "Exists": value is not None}[expression["operator"]]


def matches(spec, labels, name):
    if any(labels.get(k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED)
    if required is None:
        return True
    return any((t.get("matchExpressions") or t.get("matchFields")) and all(holds(e, labels) for e in t.get("matchExpressions") or []) and all(name in f["values"] for f in t.get("matchFields") or [])
               for t in required["nodeSelectorTerms"])


NODES = [({"kubernetes.io/arch": a, "beta.kubernetes.io/arch": a, **({"zone": z} if z else {}), **({"disk": d} if d else {})}, n)
         for a in ("amd64", "arm64", "s390x") for z in ("", "a", "b") for d in ("", "a", "ssd") for n in ("n1", "n2")]


def documents(data):
    text = data.decode("utf-8-sig")
    loaded = [json.loads(text)] if text.lstrip().startswith("{") else [d for d in yaml.safe_load_all(text) if d is not None]
    return loaded


def comments(data):
    return re.findall(r"# c\d+ .*", data.decode("utf-8-sig").replace("\r", ""))


def same_but(old, new):
    """old and new documents without what the requests may touch."""
    old, new = copy.deepcopy(old), copy.deepcopy(new)
    for value in (old, new):
        for one in value:
            for spec in pod_specs(one):
                spec.pop("affinity", None)
    return old == new


def check_file(name, before, after, refused):
    old, new = documents(before), documents(after)
    expected = copy.deepcopy(old)
    for one in expected:
        for spec in pod_specs(one):
            set_images(spec)
            tolerate(spec)
    what = name + ": "
    shown = before.decode("utf-8", "replace") + "\n=====\n" + after.decode("utf-8", "replace")
    if not check(same_but(expected, new), what + "the values that were asked for, and no others", shown):
        return
    for x, y in zip(old, new):
        for a, b in zip(pod_specs(x), pod_specs(y)):
            unchanged = a.get("affinity") == b.get("affinity")
            # Already narrower by its selector, contradictory, or matching no node: those stay.
            if unchanged and not any(matches(a, labels, n) and labels["kubernetes.io/arch"] not in ARCHES for labels, n in NODES):
                check(True, "")
                continue
            if unchanged:
                check(refused, what + "an affinity that was not added has a reason", shown)
                continue
            good = all(matches(b, labels, n) == (matches(a, labels, n) and labels["kubernetes.io/arch"] in ARCHES) for labels, n in NODES)
            check(good, what + "a node fits when it did and is of these architectures", shown)
            others = {k: v for k, v in (b.get("affinity") or {}).items() if k != "nodeAffinity"}
            check(others == {k: v for k, v in (a.get("affinity") or {}).items() if k != "nodeAffinity"}, what + "other affinity stays", shown)
    check(comments(before) == comments(after), what + "comments stay, in order", shown)
    check(before.startswith(b"\xef\xbb\xbf") == after.startswith(b"\xef\xbb\xbf"), what + "the byte order mark stays")
    check(before.endswith(b"\n") == after.endswith(b"\n"), what + "the last line end stays", shown)
    if b"\r\n" in before:
        check(after.count(b"\n") == after.count(b"\r\n"), what + "line ends stay CRLF", repr(after))
    # Every old line is still there, but for those of images and of what was narrowed or was empty.
    mine = after.replace(b"\r", b"").split(b"\n")
    gone = [line for line in before.replace(b"\r", b"").split(b"\n") if line not in mine]
    touched = [line for line in gone if not re.search(rb"nginx|tolerations|ffinity|\{\}|arch|values|required|amd64|arm64|s390x|matchExpr|containers", line)]
    if name.endswith(".yaml"):
        check(not touched, what + "no other line is touched", "%r\n%s" % (touched, shown))


def styles():
    chance = random.Random(SEED)
    root = folder / "styles"
    root.mkdir()
    files = {}
    for i in range(COUNT):
        number, ending, data = random_file(chance, i)
        name = "f%03d.%s" % (number, ending)
        try:
            documents(data)
        except Exception as error:
            check(False, "the test writes YAML that can be read", "%s\n%s" % (error, data.decode()))
            continue
        files[name] = data
        (root / name).write_bytes(data)
    words = ["fix", "--set-image", "nginx=nginx:9.10", "--add-toleration", "arch=arm64:NoSchedule", "--arch", "amd64,arm64", "--require"]
    diff = run(*words, "--diff", root)
    check(diff.returncode == 1, "a diff has status 1", diff.err)
    check(all((root / n).read_bytes() == d for n, d in files.items()), "--diff writes nothing")
    report = run(*words, "--json", root)
    reported = {os.path.basename(f["file"]): f for f in json.loads(report.out)["files"]}
    for name, file in reported.items():
        for each in file["refused"]:
            known = ("nodeSelector wants", "excludes", "terms are empty", "bound to")
            check(any(k in each["why"] for k in known), name + ": refused for a reason of Kubernetes, not of YAML", each["why"] + "\n" + files[name].decode())
    done = run(*words, root)
    check(done.returncode in (0, 1), "the edit ends well", done.err)
    for name, before in files.items():
        check_file(name, before, (root / name).read_bytes(), name in reported and reported[name]["refused"])
    states = {n: ((root / n).read_bytes(), (root / n).stat().st_mtime_ns) for n in files}
    again = run(*words, root)
    check(again.out == "", "twice is once", again.out)
    check(all(((root / n).read_bytes(), (root / n).stat().st_mtime_ns) == s for n, s in states.items()), "the second time writes nothing")
    if shutil.which("git"):
        clean = folder / "clean"
        clean.mkdir()
        for name, data in files.items():
            (clean / name).write_bytes(data)
        subprocess.run(["git", "init", "-q", "."], cwd=clean, check=True)
        patch = run(*words, "--diff", ".", cwd=clean)
        applied = subprocess.run(["git", "apply", "--whitespace=nowarn", "-"], input=patch.stdout, cwd=clean, capture_output=True)
        check(applied.returncode == 0, "git takes the diff", applied.stderr.decode())
        check(all((clean / n).read_bytes() == states[n][0] for n in files), "the diff is what the edit does")
    else:
        skip("git is not installed")
    return files


# ---- files and their ways

POD = """apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - {name: web, image: nginx:1.19}
"""


def ways():
    root = folder / "ways"
    root.mkdir()
    target, link, plain = root / "target.yaml", root / "link.yaml", root / "plain.yaml"
    target.write_text(POD)
    target.chmod(0o640)
    link.symlink_to("target.yaml")
    run("fix", "--set-image", "nginx=nginx:2", link, status=0)
    check(link.is_symlink() and "nginx:2" in target.read_text() and stat.S_IMODE(target.stat().st_mode) == 0o640, "a link stays a link, a mode a mode")
    if os.getuid() == 0:
        os.chown(target, 1234, 2345)
        run("fix", "--set-image", "nginx=nginx:3", target, status=0)
        check((target.stat().st_uid, target.stat().st_gid) == (1234, 2345), "the owner stays")
    plain.write_text(POD)
    before = plain.stat().st_mtime_ns
    run("fix", "--set-image", "redis=redis:2", plain, status=0)
    check(plain.stat().st_mtime_ns == before, "a file with nothing to fix is not written")
    check(sorted(p.name for p in root.iterdir()) == ["link.yaml", "plain.yaml", "target.yaml"], "nothing is left beside the files")
    piped = run("fix", "--set-image", "nginx=nginx:2", "-", stdin=POD.encode(), status=0)
    check(piped.out == POD.replace("1.19", "2"), "a pipe comes out edited", piped.out + piped.err)
    piped = run("fix", "--set-image", "redis=redis:2", "-", stdin=POD.encode(), status=0)
    check(piped.out == POD, "a pipe with nothing to fix comes out as it was", piped.out)
    only = root / "two.yaml"
    only.write_text(POD + "---\n" + POD.replace("web", "api"))
    run("fix", "--drop-arch-selector", "--add-toleration", "a=b:NoSchedule", "--only", "pod/api", only, status=0)
    check(only.read_text().startswith(POD + "---\n") and "tolerations" in only.read_text(), "--only keeps to its object", only.read_text())
    for words, word in ((["--set-image", "x"], "OLD=NEW"), (["--add-toleration", "x"], "--add-toleration"), (["--arch", "arm64", "--require", "--prefer"], "three ways"), (["-o", "xml"], "--output xml"), (["--only", "web"], "KIND/NAME")):
        wrong = run("fix", *words, plain)
        check(wrong.returncode in (2, 64) and word in wrong.err, "wrong usage names the flag: " + " ".join(words), "%d %s" % (wrong.returncode, wrong.err))
    check(run("fix").returncode == 64, "without a path nothing is done")


def bad_input():
    root = folder / "bad"
    root.mkdir()
    (root / "tabs.yaml").write_text("apiVersion: v1\nkind: Pod\nspec:\n\tcontainers: []\n")
    (root / "utf16.yaml").write_bytes("apiVersion: v1\n".encode("utf-16"))
    (root / "shared.yaml").write_text("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n  spec: &s\n    containers:\n    - image: nginx:1.19\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: b}\n  spec: *s\n")
    before = {p: p.read_bytes() for p in root.iterdir()}
    one = run("fix", "--add-toleration", "a=b:NoSchedule", "--only", "pod/a", root / "shared.yaml")
    both = {p: p.read_bytes() for p in root.iterdir()}
    check(before == both or "tolerations" in (root / "shared.yaml").read_text(), "a shared spec is edited for both or not at all", one.err)
    check(one.returncode in (0, 1) and (one.returncode == 0 or "*s" in one.err or "anchor" in one.err), "a shared spec is explained", one.err)
    broken = run("fix", "--add-toleration", "a=b:NoSchedule", root / "tabs.yaml", root / "utf16.yaml")
    check(broken.returncode in (0, 2), "what is no YAML is said so", broken.err)
    check(all((root / n).read_bytes() == before[root / n] for n in ("tabs.yaml", "utf16.yaml")), "what is no YAML stays")


# ---- patches

def patches():
    if not shutil.which("kubectl"):
        return skip("kubectl is not installed")
    root = folder / "patches"
    root.mkdir()
    source = root / "web.yaml"
    source.write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      nodeSelector: {kubernetes.io/arch: amd64}\n"
                      "      containers:\n      - {name: a, image: nginx:1.19}\n      tolerations:\n      - {key: x, operator: Exists}\n")
    words = ["fix", "--set-image", "nginx=nginx:2", "--drop-arch-selector", "--add-toleration", "arch=arm64:NoSchedule"]
    kustomize = run(*words, "-o", "kustomize", source, status=1).out
    commands = run(*words, "-o", "kubectl", source, status=1).out
    run(*words, source, status=0)
    wanted = yaml.safe_load(source.read_text())
    original = root / "k"
    original.mkdir()
    shutil.copy(source, original / "fixed")
    before = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      nodeSelector: {kubernetes.io/arch: amd64}\n      containers:\n      - {name: a, image: nginx:1.19}\n      tolerations:\n      - {key: x, operator: Exists}\n"
    (original / "web.yaml").write_text(before)
    (original / "kustomization.yaml").write_text(kustomize + "resources: [web.yaml]\n")
    built = subprocess.run(["kubectl", "kustomize", str(original)], capture_output=True, text=True)
    check(built.returncode == 0 and yaml.safe_load(built.stdout) == wanted, "kustomize makes the same of it", kustomize + built.stderr + built.stdout)
    ops = re.search(r"-p '(.*)'$", commands.strip(), re.S).group(1)
    patched = subprocess.run(["kubectl", "patch", "--local", "-f", str(original / "web.yaml"), "--type=json", "-p", ops, "-o", "json"], capture_output=True, text=True)
    got = json.loads(patched.stdout) if patched.returncode == 0 else {}
    check(got.get("spec", {}).get("template", {}).get("spec") == wanted["spec"]["template"]["spec"], "kubectl patch makes the same of it", commands + patched.stderr)
    check("'deployment.v1.apps' 'web'" in commands, "the command names the object", commands)
    values = root / "chart"
    values.mkdir()
    (values / "Chart.yaml").write_text("apiVersion: v2\nname: c\nversion: 1.0.0\n")
    (values / "values.yaml").write_text("# mine\nimage:\n  repository: nginx\n  tag: 1.19  # old\nreplicas: 1\n")
    overlay = run("fix", "--set-image", "nginx=nginx:1.20", "--no-helm", "-o", "helm-values", values)
    check(yaml.safe_load(overlay.out or "{}") == {"image": {"tag": "1.20"}}, "helm gets the changed values only", overlay.out + overlay.err)


# ---- driven by the audit, against a registry

class Registry(http.server.BaseHTTPRequestHandler):
    blobs, tags = {}, {}
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        kind, body, status = "application/json", b"{}", 200
        if m := re.fullmatch(r"/v2/(.+)/tags/list", path):
            names = sorted(t for r, t in self.tags if r == m[1])
            body = json.dumps({"name": m[1], "tags": names}).encode()
        elif m := re.fullmatch(r"/v2/(.+)/(manifests|blobs)/(.+)", path):
            digest = self.tags.get((m[1], m[3]), m[3])
            if digest in self.blobs:
                kind, body = self.blobs[digest]
            else:
                status, body = 404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if path != "/v2/":
            self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(body).hexdigest())
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    @classmethod
    def put(cls, kind, value):
        body = json.dumps(value).encode()
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        cls.blobs[digest] = (kind, body)
        return {"mediaType": kind, "digest": digest, "size": len(body)}

    @classmethod
    def image(cls, architecture, salt=""):
        config = cls.put("application/vnd.oci.image.config.v1+json", {"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": []}, "config": {"Labels": {"s": salt}}})
        return {**cls.put("application/vnd.oci.image.manifest.v1+json", {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []}),
                "platform": {"os": "linux", "architecture": architecture}}

    @classmethod
    def index(cls, repository, tag, *architectures):
        children = [cls.image(a, tag) for a in architectures]
        root = cls.put("application/vnd.oci.image.index.v1+json", {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": children})
        cls.tags[(repository, tag)] = root["digest"]
        return root["digest"], [c["digest"] for c in children]


def audited():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = "127.0.0.1:%d" % server.server_address[1]
    lone = Registry.image("amd64", "1.0.0")
    Registry.tags[("app", "1.0.0")] = lone["digest"]
    Registry.index("app", "1.1.0", "amd64", "arm64")
    index, children = Registry.index("pinned", "2.0.0", "amd64", "arm64")
    Registry.index("ready", "1.0.0", "amd64", "arm64")
    old = Registry.image("amd64", "old")
    Registry.tags[("stuck", "1.0.0")] = old["digest"]
    root = folder / "audited"
    root.mkdir()
    web = root / "web.yaml"
    web.write_text(f"""# The shop. Über alles.
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  template:
    spec:
      # old nodes only
      nodeSelector:
        kubernetes.io/arch: amd64  # since 2019
      containers:
        - name: "ü"
          image: "{host}/app:1.0.0"   # the app
        - name: pinned
          image: {host}/pinned:2.0.0@{children[0]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: night}}
spec:
  schedule: "0 0 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          affinity:
            nodeAffinity:
              {REQUIRED}:
                nodeSelectorTerms:
                - matchExpressions:
                  - key: kubernetes.io/arch
                    operator: In
                    values: [amd64]
          containers:
          - image: {host}/ready:1.0.0
            name: a
---
apiVersion: v1
kind: Pod
metadata: {{name: stuck}}
spec:
  containers:
  - {{name: a, image: "{host}/stuck:1.0.0"}}
""")
    expected = web.read_text().replace("app:1.0.0", "app:1.1.0").replace(children[0], index).replace("values: [amd64]", "values: [amd64, arm64]")
    expected = expected.replace("      nodeSelector:\n        kubernetes.io/arch: amd64  # since 2019\n", "")
    toleration = "tolerations:\n%s- key: arch\n%s  operator: Equal\n%s  value: arm64\n%s  effect: NoSchedule\n"
    words = ["--taint", "arch=arm64:NoSchedule", "--for", "linux/arm64", "--progress", "quiet"]
    before = json.loads(run("audit", "--json", *words, root).out)
    shown = run("fix", "--diff", *words, root)
    check("# since 2019" in shown.out and shown.returncode == 1, "the diff shows it", shown.out + shown.err)
    done = run("fix", *words, root)
    text = web.read_text()
    with_tolerations = expected.replace(f"          image: {host}/pinned:2.0.0@{index}\n", f"          image: {host}/pinned:2.0.0@{index}\n      " + toleration % (("        ",) * 4))
    with_tolerations = with_tolerations.replace("            name: a\n", "            name: a\n          " + toleration % (("          ",) * 4))
    good = text == with_tolerations or yaml_equal(text, with_tolerations)
    check(good, "the audit's remedies, and nothing else", text + "\n===== expected\n" + with_tolerations + done.out + done.err)
    check(comments_of(text) == comments_of(expected), "comments stay", text)
    after = json.loads(run("audit", "--json", *words, root).out)
    cured = ("image-needs-update", "image-needs-repin", "arch-selector", "missing-toleration")
    check(any(f["rule"] in cured for f in before["findings"]) and not [f for f in after["findings"] if f["rule"] in cured], "after a fix the audit is clean for what was fixed",
          json.dumps([f for f in after["findings"] if f["rule"] in cured], indent=1)[:2000])
    state = web.read_bytes(), web.stat().st_mtime_ns
    run("fix", *words, root)
    check(state == (web.read_bytes(), web.stat().st_mtime_ns), "twice is once")
    dockerfile = root / "Dockerfile"
    dockerfile.write_text(f"FROM --platform=$BUILDPLATFORM {host}/ready:1.0.0 AS build\nARG TARGETARCH=amd64\nRUN curl -LO https://x.example/tool_linux_amd64.tgz\n"
                          f"RUN curl -LO https://x.example/other-x86_64.tgz\n\nFROM --platform=$BUILDPLATFORM {host}/app:1.0.0\nCOPY --from=build /a /a\n")
    run("fix", *words, dockerfile)
    wanted = (f"FROM --platform=$BUILDPLATFORM {host}/ready:1.0.0 AS build\nARG TARGETARCH\nRUN curl -LO https://x.example/tool_linux_${{TARGETARCH}}.tgz\n"
              f"RUN curl -LO https://x.example/other-$(case ${{TARGETARCH}} in (amd64) echo x86_64;; (arm64) echo aarch64;; (*) echo ${{TARGETARCH}};; esac).tgz\n\nFROM {host}/app:1.1.0\nCOPY --from=build /a /a\n")
    check(dockerfile.read_text() == wanted, "a Dockerfile is mended", dockerfile.read_text())
    rest = [f["rule"] for f in json.loads(run("audit", "--json", *words, dockerfile).out)["findings"]]
    check(not [r for r in rest if r.startswith("dockerfile-")], "and the audit agrees", rest)
    server.shutdown()


def yaml_equal(a, b):
    return list(yaml.safe_load_all(a)) == list(yaml.safe_load_all(b))


def comments_of(text):
    return re.findall(r"#.*", text)


def articles():
    shared = pathlib.Path(__file__).resolve().parent.parent.parent / "shared" / "articles"
    if not shared.is_dir():
        return skip("no articles here")
    root = folder / "articles"
    root.mkdir()
    count = 0
    for article in sorted(shared.glob("*.txt")):
        for block in re.split(r"^ *```.*\n", article.read_text(), flags=re.M):
            if re.search("^apiVersion: ", block, re.M):
                (root / ("a%d.yaml" % count)).write_text(block)
                count += 1
    check(count >= 3, "the articles' manifests are there")
    pod = next((p for p in sorted(root.glob("*.yaml")) if "# busybox-arm64.yaml" in p.read_text()), None)
    if not check(pod, "the misplaced selector is there"):
        return
    before = pod.read_text()
    known = folder / "known.json"
    known.write_text(json.dumps({"arm64v8/busybox": {"platforms": ["linux/arm64"]}}))
    run("fix", "--images", known, "--offline", "--progress", "quiet", root)
    check(pod.read_text() == before.replace("nodeSelector:\n  kubernetes.io/arch: arm64\n", "").replace("    name: busybox\nrestartPolicy", "    name: busybox\n  nodeSelector:\n    kubernetes.io/arch: arm64\nrestartPolicy"),
          "the busybox Pod's selector moves to where it counts", pod.read_text())
    for path in root.glob("*.yaml"):
        check(comments_of(path.read_text()) is not None and list(yaml.safe_load_all(path.read_text())), path.name + " still reads")


try:
    for part in (styles, ways, bad_input, patches, audited, articles):
        part()
finally:
    if not os.environ.get("KEEP"):
        shutil.rmtree(folder, ignore_errors=True)
print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
sys.exit(failed != 0)
