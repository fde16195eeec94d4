#!/usr/bin/env python3
"""Answers real AdmissionReviews with the binary, applies each patch, and holds it to the rule: a node takes the pod exactly where it did before
and its os and architecture are among what all images run on. Once offline, once over TLS.

    tests/admission.py ARCHWAY
"""
import base64, copy, http.client, http.server, json, os, pathlib, random, shutil, ssl, subprocess, sys, tempfile, threading

VECTORS = pathlib.Path(__file__).resolve().parent.parent.parent / "shared" / "vectors" / "kubernetes" / "admission"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
TAINT = {"key": "arch", "value": "arm64", "effect": "NoSchedule"}
failures = []


def check(holds, what):
    if not holds:
        failures.append(what)
        print("FAILED " + what)


def tokens(pointer):
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def apply_patch(document, patch):
    document = copy.deepcopy(document)
    for operation in patch:
        assert operation["op"] == "add", operation
        *path, last = tokens(operation["path"])
        at = document
        for token in path:
            at = at[int(token)] if isinstance(at, list) else at[token]
        if isinstance(at, list):
            at.insert(len(at) if last == "-" else int(last), operation["value"])
        else:
            at[last] = operation["value"]
    return document


def requirement_holds(requirement, labels):
    value, op, values = labels.get(requirement["key"]), requirement["operator"], requirement.get("values") or []
    if op == "In":
        return value in values
    if op == "NotIn":
        return value not in values
    if op == "Exists":
        return value is not None
    if op == "DoesNotExist":
        return value is None
    return value is not None and value.isdigit() and (int(value) > int(values[0])) == (op == "Gt")


def term_holds(term, name, labels):
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    return all(requirement_holds(e, labels) for e in expressions) and all(requirement_holds(f, {"metadata.name": name}) for f in fields)


def matches(spec, name, labels):
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED)
    return required is None or any(term_holds(term, name, labels) for term in required.get("nodeSelectorTerms") or [])


def tolerates(spec):
    for each in spec.get("tolerations") or []:
        if each.get("effect", TAINT["effect"]) != TAINT["effect"] or each.get("key", TAINT["key"]) != TAINT["key"]:
            continue
        if each.get("operator", "Equal") == "Exists" or each.get("value", "") == TAINT["value"]:
            return True
    return False


def spec_of(review, obj):
    kind = review["request"]["kind"]["kind"]
    if kind == "Pod":
        return obj["spec"]
    if kind == "CronJob":
        return obj["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return obj["spec"]["template"]["spec"]


def images_of(spec):
    names = [c["image"] for part in ("initContainers", "containers", "ephemeralContainers") for c in spec.get(part) or []]
    return names + [v["image"]["reference"] for v in spec.get("volumes") or [] if v.get("image")]


def common_of(truths, spec):
    sets = []
    for image in images_of(spec):
        wrong = {w["platform"] for w in truths[image].get("wrong", [])}
        sets.append({tuple(p.split("/")[:2]) for p in truths[image]["platforms"] if p not in wrong})
    return set.intersection(*sets)


def random_truths(images, dice):
    truths = {}
    for image in images:
        platforms = dice.choice([["linux/amd64", "linux/arm64"], ["linux/amd64", "linux/arm64"], ["linux/amd64"], ["linux/arm64"],
                                 ["linux/amd64", "linux/arm/v7", "linux/arm64", "linux/s390x"], ["linux/amd64", "linux/arm64", "windows/amd64"]])
        truths[image] = {"platforms": platforms}
        if dice.random() < 0.2:
            truths[image]["wrong"] = [{"platform": platforms[-1], "why": "it holds x86-64"}]
    return truths


def nodes():
    for os_name in ("linux", "windows"):
        for arch in ("amd64", "arm64", "arm", "s390x"):
            for zone in ("us-east-1a", "us-east-1b"):
                for number in range(0, 8):
                    name = f"ip-10-0-{number}-17.ec2.internal"
                    yield name, {"kubernetes.io/arch": arch, "beta.kubernetes.io/arch": arch, "kubernetes.io/os": os_name, "kubernetes.io/hostname": name,
                                 "topology.kubernetes.io/zone": zone, "node.kubernetes.io/instance-type": "m7g.xlarge"}


NODES = list(nodes())


def hold_to_the_rule(name, review, response, truths):
    request = review["request"]
    check(response["uid"] == request["uid"], f"{name}: uid")
    check(response["allowed"] is True, f"{name}: allowed")
    patch = json.loads(base64.b64decode(response.get("patch", "") or "W10="))
    check(bool(patch) == (response.get("patchType") == "JSONPatch"), f"{name}: patchType")
    before = spec_of(review, request["object"])
    after = spec_of(review, apply_patch(request["object"], patch))
    common = common_of(truths, before)
    old = request.get("oldObject") and spec_of(review, request["oldObject"])
    if request["namespace"] == "kube-system" or (request["operation"] == "UPDATE" and not before.get("schedulingGates")):
        check(patch == [], f"{name}: left alone")
        return
    if not common:
        check(patch == [] and any("no platform in common" in w for w in response.get("warnings", [])), f"{name}: warns where nothing is in common")
        return
    somewhere = False
    for node, labels in NODES:
        was, runs = matches(before, node, labels), (labels["kubernetes.io/os"], labels["kubernetes.io/arch"]) in common
        somewhere |= was and runs
        if matches(after, node, labels) != (was and runs):
            check(False, f"{name}: {node} {labels['kubernetes.io/os']}/{labels['kubernetes.io/arch']} was {was}, images run {runs}: {json.dumps(patch)}")
            return
    if somewhere:
        check(tolerates(after) == (tolerates(before) or ("linux", "arm64") in common), f"{name}: toleration")
    else:
        check(bool(response.get("warnings")), f"{name}: warns where pod and images contradict each other")
    again = dict(review, request=dict(request, object=apply_patch(request["object"], patch)))
    return again if patch else None


def review_offline(archway, review, flags):
    done = subprocess.run([archway, "admission", "review", *flags], input=json.dumps(review), capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        check(False, f"review: exit status {done.returncode}: {done.stderr.strip()}")
        return {"uid": "", "allowed": False}
    return json.loads(done.stdout)["response"]


class Served:
    """archway admission serve, with a certificate of its own."""

    def __init__(self, archway, folder, flags):
        self.cert, self.key = folder / "tls.crt", folder / "tls.key"
        self.make_certificate()
        self.process = subprocess.Popen([archway, "admission", "serve", "--listen", "127.0.0.1:0", "--tls-cert-file", self.cert, "--tls-private-key-file", self.key,
                                         "--cache", "none", "--json", *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.connection = self.connect()

    def make_certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=webhook",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.key, "-out", self.cert], check=True, capture_output=True)

    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=ssl.create_default_context(cafile=str(self.cert)), timeout=30)

    def send(self, method, path, body=None):
        self.connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def review(self, review):
        status, text = self.send("POST", "/mutate?timeout=10s", json.dumps(review))
        check(status == 200, f"serve: status {status}")
        return json.loads(text)["response"]

    def stop(self):
        self.process.terminate()
        check(self.process.wait(timeout=30) == 0, "serve: ends with status 0 when told to")


def main():
    archway = os.path.abspath(sys.argv[1])
    if not VECTORS.is_dir():
        print("skipped: the vectors are not beside the checkout")
        return 0
    if not shutil.which("openssl"):
        print("skipped: needs openssl")
        return 0
    cases = {path.name: json.loads(path.read_text()) for path in sorted(VECTORS.glob("*.json"))}
    images = sorted({image for review in cases.values() for image in images_of(spec_of(review, review["request"]["object"]))})
    dice = random.Random(5)
    checked = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for round_number in range(6):
            truths = random_truths(images, dice) if round_number else {image: {"platforms": ["linux/amd64", "linux/arm64"]} for image in images}
            known = folder / "images.json"
            known.write_text(json.dumps(truths))
            flags = ["--images", str(known), "--prefer", "arm64", "--tolerate", "arch=arm64:NoSchedule"]
            served = Served(archway, folder, flags)
            for name, review in cases.items():
                response = served.review(review)
                again = hold_to_the_rule(f"{name} round {round_number}", review, response, truths)
                if again:
                    check("patch" not in served.review(again), f"{name} round {round_number}: twice is once")
                # A process for each takes its time: in one round all are, in the others some.
                if round_number == 1 or dice.random() < 0.05:
                    check(review_offline(archway, review, flags) == response, f"{name} round {round_number}: offline answers as the server does")
                checked += 1
            if round_number == 0:
                server_itself(served)
            served.stop()
        refusals(archway, folder)
        explained(archway, folder)
        asks_registries(archway, folder)
    print(f"{checked} reviews answered, {len(failures)} failed")
    return 1 if failures else 0


def server_itself(served):
    check(served.send("GET", "/healthz")[0] == 200 and served.send("GET", "/readyz")[0] == 200, "serve: health and readiness")
    metrics = served.send("GET", "/metrics")[1]
    check('archway_admission_reviews_total{decision="changed"}' in metrics and "archway_admission_review_seconds_bucket" in metrics, "serve: metrics")
    check(served.send("POST", "/mutate", "{}")[0] == 400, "serve: refuses what is no review")
    # What is not known, and not to be asked: passes, soon.
    pod = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
           "request": {"uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE", "namespace": "default",
                       "object": {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "169.254.169.254/latest/meta-data:1"}]}}}}
    response = served.review(pod)
    check(response["allowed"] and "patch" not in response and response["warnings"], "serve: passes a pod of an address that is not asked")


def refusals(archway, folder):
    known = folder / "images.json"
    known.write_text(json.dumps({"a": {"platforms": ["linux/amd64"]}, "b": {"platforms": ["linux/arm64"]}}))
    pod = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
           "request": {"uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE", "namespace": "default",
                       "object": {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "a"}, {"name": "b", "image": "b"}]}}}}
    denied = review_offline(archway, pod, ["--images", str(known), "--on-conflict", "deny"])
    check(denied["allowed"] is False and denied["status"]["code"] == 403, "review: refuses where it is told to")
    check(review_offline(archway, pod, ["--images", str(known), "--on-conflict", "deny", "--mode", "report"])["allowed"], "review: only reports where it is told to")
    pod["request"]["object"]["spec"]["containers"][1]["image"] = "nobody-knows"
    gated = review_offline(archway, pod, ["--images", str(known), "--on-unknown", "gate"])
    check(b"schedulingGates" in base64.b64decode(gated.get("patch", "")), "review: gates where it is told to")
    for bad in (["--mode", "maybe"], ["--tolerate", "arch"], ["--prefer", "toaster"]):
        done = subprocess.run([archway, "admission", "review", "--images", str(known), *bad], input="{}", capture_output=True, text=True, timeout=60)
        check(done.returncode == 64, f"review: {bad} is wrong usage, not {done.returncode}")
    done = subprocess.run([archway, "admission", "review", "--images", str(known)], input="{]", capture_output=True, text=True, timeout=60)
    check(done.returncode == 2 and "line 1" in done.stderr, "review: says where JSON is broken")


def explained(archway, folder):
    manifest = folder / "web.yaml"
    manifest.write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n      - {name: a, image: a}\n")
    done = subprocess.run([archway, "admission", "explain", "-f", str(manifest), "--images", str(folder / "images.json")], capture_output=True, text=True, timeout=60)
    check(done.returncode == 0 and "changed: only nodes of linux/amd64" in done.stdout, f"explain: {done.stdout}{done.stderr}")


class OneRegistry(http.server.BaseHTTPRequestHandler):
    """Every name is an index for arm64."""
    def log_message(self, *_):
        pass

    def do_GET(self):
        body = b"{}" if self.path == "/v2/" else json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1000, "digest": "sha256:" + "1" * 64, "platform": {"os": "linux", "architecture": "arm64"}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.oci.image.index.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def asks_registries(archway, folder):
    registry = http.server.ThreadingHTTPServer(("127.0.0.1", 0), OneRegistry)
    threading.Thread(target=registry.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{registry.server_port}"
    manifest = folder / "asked.yaml"
    manifest.write_text(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{containers: [{{name: a, image: '{host}/app:1'}}]}}\n")
    environment = dict(os.environ, ARCHWAY_ROOT=str(folder / "root"), no_proxy="127.0.0.1")

    def explain(*flags):
        return subprocess.run([archway, "admission", "explain", "-f", str(manifest), *flags], capture_output=True, text=True, timeout=60, env=environment)
    check("unknown:" in explain("--offline", "--plain-http", host).stdout, "explain: asks nobody when told to")
    check("unknown:" in explain("--images", str(folder / "images.json"), "--plain-http", host).stdout, "explain: asks nobody but the file that it is given")
    done = explain("--plain-http", host)
    check("only nodes of linux/arm64" in done.stdout, f"explain: asks the registry: {done.stdout}{done.stderr}")
    manifest.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, image: 'registry.example.org/app:1'}]}\n")
    done = explain("--mirror", f"registry.example.org=http://{host}")
    check("only nodes of linux/arm64" in done.stdout, f"explain: asks the mirror: {done.stdout}{done.stderr}")
    review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
              "namespace": "default", "object": {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": f"{host}/other:1"}]}}}}
    done = subprocess.run([archway, "admission", "review", "--plain-http", host], input=json.dumps(review), capture_output=True, text=True, timeout=60, env=environment)
    check(done.returncode == 0 and "patch" in json.loads(done.stdout)["response"], f"review: asks the registry: {done.stdout}{done.stderr}")
    registry.shutdown()


if __name__ == "__main__":
    sys.exit(main())
