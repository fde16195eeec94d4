#!/usr/bin/env python3
"""`simulate` and `explain pod` against a live cluster: an API server and a registry, both made here, both of which note what they are asked.

    tests/live_cluster.py ARCHWAY
"""
import base64, hashlib, http.server, json, os, pathlib, shutil, subprocess, sys, tempfile, threading

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class Server:
    """Answers by path; `asked` is what came."""

    def __init__(self, answer):
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.asked.append(self.command + " " + self.path)
                status, headers, body = answer(self)
                body = body.encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = "127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Registry(Server):
    """Images by name; `private` ones for who has the password."""

    def __init__(self):
        self.images, self.private = {}, {}
        super().__init__(self.answer)

    def add(self, name, platforms, password=None):
        entries = []
        for platform in platforms:
            system, architecture = platform.split("/")
            entries.append({"mediaType": MANIFEST, "digest": digest(name + platform), "size": 100, "platform": {"os": system, "architecture": architecture}})
        self.images[name] = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
        if password:
            self.private[name] = "Basic " + base64.b64encode(("puller:" + password).encode()).decode()

    def answer(self, request):
        name = request.path.split("/")[2] if request.path.startswith("/v2/") else ""
        if name in self.private and request.headers.get("Authorization") != self.private[name]:
            return 401, {"WWW-Authenticate": "Basic realm=\"here\""}, ""
        if name not in self.images:
            return 404, {}, "{}"
        return 200, {"Content-Type": INDEX, "Docker-Content-Digest": digest(self.images[name])}, self.images[name]


class Cluster(Server):
    def __init__(self, version="v1.36.0"):
        self.objects, self.version, self.forbidden = {}, version, set()
        super().__init__(self.answer)

    def add(self, plural, value):
        self.objects.setdefault(plural, []).append(value)

    def answer(self, request):
        path, _, query = request.path.partition("?")
        parts = path.strip("/").split("/")
        if parts == ["version"]:
            return 200, {"Content-Type": "application/json"}, json.dumps({"gitVersion": self.version})
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        name_space = None
        if parts[0] == "namespaces" and len(parts) > 2:
            name_space, parts = parts[1], parts[2:]
        if parts[0] in self.forbidden:
            return 403, {"Content-Type": "application/json"}, json.dumps({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": parts[0] + " is forbidden"})
        items = [o for o in self.objects.get(parts[0], []) if name_space in (None, o["metadata"].get("namespace"))]
        if len(parts) > 1:
            for item in items:
                if item["metadata"]["name"] == parts[1]:
                    return 200, {"Content-Type": "application/json"}, json.dumps(item)
            return 404, {"Content-Type": "application/json"}, json.dumps({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": parts[1] + " not found"})
        bare = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items]
        return 200, {"Content-Type": "application/json"}, json.dumps({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": bare})


def node(name, architecture):
    labels = {"kubernetes.io/arch": architecture, "kubernetes.io/os": "linux", "kubernetes.io/hostname": name}
    return {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name, "labels": labels}, "spec": {}, "status": {"allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"}}}


def pod(name, image, where=None, **spec):
    spec = {"containers": [{"name": "c", "image": image, "resources": {"requests": {"cpu": "100m"}}}], **({"nodeName": where} if where else {}), **spec}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "shop", "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": name, "controller": True}]},
            "spec": spec, "status": {"phase": "Running" if where else "Pending"}}


class World:
    def __init__(self, archway):
        self.archway, self.passed, self.failed = archway, 0, 0
        self.folder = tempfile.mkdtemp(prefix="archway-live.")
        self.environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and k != "KUBECONFIG"}
        self.environment.update(ARCHWAY_ROOT=self.path("cache"), DOCKER_CONFIG=self.path("docker"), HOME=self.folder, NO_COLOR="1")

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *words, **environment):
        return subprocess.run([self.archway, *words], capture_output=True, text=True, timeout=60, cwd=self.folder, env={**self.environment, **environment})

    def check(self, good, what, done=None):
        self.passed += bool(good)
        self.failed += not good
        if not good:
            print("FAILED: %s\n%s" % (what, (done.stdout + done.stderr)[-3000:] if done else ""))

    def kubeconfig(self, server):
        text = json.dumps({"kind": "Config", "apiVersion": "v1", "current-context": "here", "clusters": [{"name": "c", "cluster": {"server": server}}], "users": [{"name": "u", "user": {}}],
                           "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}, {"name": "broken", "context": {"cluster": "none", "user": "u"}}]})
        pathlib.Path(self.path("kubeconfig")).write_text(text)
        return self.path("kubeconfig")


def fill(cluster, registry):
    for each in (node("amd-1", "amd64"), node("arm-1", "arm64")):
        cluster.add("nodes", each)
    registry.add("both", ["linux/amd64", "linux/arm64"])
    registry.add("amd", ["linux/amd64", "linux/386"])
    registry.add("secret", ["linux/amd64", "linux/arm64"], password="pass")
    arm = {"nodeSelector": {"kubernetes.io/arch": "arm64"}}
    image = lambda name: registry.host + "/" + name + ":1"
    cluster.add("pods", pod("runs", image("both"), "amd-1"))
    cluster.add("pods", pod("good", image("both"), **arm))
    cluster.add("pods", pod("bad", image("amd"), **arm))
    cluster.add("pods", pod("private", image("secret"), **arm, imagePullSecrets=[{"name": "pull"}]))
    cluster.add("pods", pod("missing", image("missing"), **arm))
    config = json.dumps({"auths": {registry.host: {"username": "puller", "password": "pass"}}})
    cluster.add("secrets", {"kind": "Secret", "apiVersion": "v1", "type": "kubernetes.io/dockerconfigjson", "metadata": {"name": "pull", "namespace": "shop"},
                            "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()}})


def main():
    world, registry, cluster = World(sys.argv[1]), Registry(), Cluster()
    fill(cluster, registry)
    flags = ["--kubeconfig", world.kubeconfig("http://" + cluster.host), "--plain-http", registry.host]

    done = world.run("simulate", *flags, "--json")
    answer = json.loads(done.stdout or "{}")
    pods = {p["pod"]: p for p in answer.get("pods", [])}
    world.check(done.returncode == 1, "an image that crashes is exit status 1", done)
    world.check(pods.get("shop/runs", {}).get("fate") == "stays", "a running pod stays", done)
    world.check(pods.get("shop/good", {}).get("runs") == "runs", "a multi-platform image runs on arm64", done)
    world.check(pods.get("shop/bad", {}).get("runs") == "no match for platform", "one without arm64 does not", done)
    world.check(pods.get("shop/private", {}).get("runs") == "runs", "a private image is looked up with the pod's pull secret", done)
    world.check(pods.get("shop/missing", {}).get("runs") == "unknown", "nothing is said of an image that is not there", done)
    world.check([u["image"] for u in answer.get("unknownImages", [])] == [registry.host + "/missing:1"], "but it is named", done)
    world.check("missing" in done.stderr and "archway: " in done.stderr, "also on standard error", done)
    world.check("GET /version" in cluster.asked, "the scheduler's rules are those of the cluster's version")
    world.check(all(a.startswith("GET") for a in cluster.asked), "nothing in the cluster is changed: " + str([a for a in cluster.asked if not a.startswith("GET")]))

    before = len(registry.asked)
    again = world.run("simulate", *flags, "--json")
    world.check(again.stdout == done.stdout, "the same bytes the second time", again)
    asked = [a for a in registry.asked[before:] if "/missing/" not in a and "/secret/" not in a]
    world.check(asked == [], "and what is known is not asked for again: " + str(asked))
    before = len(registry.asked)
    offline = world.run("simulate", *flags, "--offline", "--json")
    world.check(len(registry.asked) == before, "offline no registry is asked")
    world.check({p["pod"]: p for p in json.loads(offline.stdout)["pods"]}["shop/bad"]["runs"] == "no match for platform", "and the cache is enough", offline)
    none = world.run("simulate", *flags, "--look-up=false", "--json")
    world.check({p["pod"]: p for p in json.loads(none.stdout)["pods"]}["shop/bad"]["runs"] == "unknown" and none.returncode == 0, "--look-up=false asks nobody", none)

    explained = world.run("explain", "pod", "shop/bad", *flags)
    world.check("arm-1" in explained.stdout and "no match for platform" in explained.stdout, "explain tells what the image does on the node", explained)
    absent = world.run("explain", "pod", "shop/absent", *flags)
    world.check(absent.returncode == 2 and "no pod shop/absent in http://" in absent.stderr, "a pod that is not there", absent)

    before = len(cluster.asked)
    plan = world.run("plan", *flags, "--json", "--cloud", "aws", "--region", "us-east-1")
    world.check(plan.returncode in (0, 1) and "shop/" in plan.stdout, "plan reads the live cluster", plan)
    world.check(len(cluster.asked) > before and all(a.startswith("GET") for a in cluster.asked[before:]), "and changes nothing in it", plan)

    files = world.run("simulate", "--kubeconfig", flags[1], world.folder)
    world.check(files.returncode == 64, "files and a live cluster at once are wrong usage", files)
    nowhere = world.run("simulate")
    world.check(nowhere.returncode == 64 and "which cluster" in nowhere.stderr, "neither is wrong usage, too", nowhere)
    broken = world.run("simulate", "--kubeconfig", flags[1], "--context", "broken")
    world.check(broken.returncode == 2 and "none" in broken.stderr, "a context without its cluster is named", broken)
    by_variable = world.run("simulate", "--plain-http", registry.host, "--json", KUBECONFIG=flags[1])
    world.check(by_variable.stdout == done.stdout, "KUBECONFIG counts", by_variable)

    cluster.forbidden = {"storageclasses", "csinodes"}
    lesser = world.run("simulate", *flags, "--json")
    told = json.dumps(json.loads(lesser.stdout or "{}").get("problems"))
    world.check("StorageClass" in told and "forbidden" in told and "CSINode" in told, "kinds that may not be listed are named, and the rest is simulated", lesser)
    cluster.forbidden = {"pods"}
    world.check(world.run("simulate", *flags).returncode == 2, "without pods there is nothing to simulate")
    cluster.forbidden = set()
    cluster.version = "v1.29.3-eks-1"
    old = world.run("simulate", *flags)
    world.check("v1.29.3" in old.stdout and "1.34" in old.stdout, "a version that is not known is told, and the nearest taken", old)
    cluster.server.shutdown()
    cluster.server.server_close()
    gone = world.run("simulate", *flags)
    world.check(gone.returncode == 2 and cluster.host in gone.stderr, "a cluster that does not answer", gone)

    shutil.rmtree(world.folder, ignore_errors=True)
    print("%d passed, %d failed" % (world.passed, world.failed))
    return world.failed > 0


sys.exit(main())
