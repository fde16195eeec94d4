#!/usr/bin/env python3
"""archway audit where a registry counts: what Docker Hub's headers say is read, shown and planned around.

    tests/rate_limits.py ARCHWAY
"""
import hashlib, http.server, json, os, re, shutil, subprocess, sys, tempfile, threading

INDEX = "application/vnd.oci.image.index.v1+json"


class Hub(http.server.BaseHTTPRequestHandler):
    """Every image is there, for both platforms. GETs of manifests count, HEADs do not; when none is left, 429."""
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    left, limit, retry_after, says, log = 10 ** 6, 100, "21600", True, []
    busy = 0  # so many requests are refused first, whatever is left

    def do_GET(self):
        self.answer(True)

    def do_HEAD(self):
        self.answer(False)

    def answer(self, counts):
        name = re.fullmatch(r"/v2/(.*)/manifests/(.*)", self.path)
        with Hub.lock:
            refused = Hub.busy > 0
            Hub.busy -= refused
            if name and counts and not refused:
                refused = Hub.left <= 0
                Hub.left -= not refused
            Hub.log.append(("429 " if refused else "") + self.command + " " + self.path)
            left = Hub.left
        if not name:
            return self.send(404, b"{}", {})
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "annotations": {"name": self.path}, "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 2, "digest": "sha256:" + hashlib.sha256((self.path + a).encode()).hexdigest(), "platform": {"os": "linux", "architecture": a}}
            for a in ("amd64", "arm64")]}).encode()
        headers = {"RateLimit-Limit": "%d;w=21600" % Hub.limit, "RateLimit-Remaining": "%d;w=21600" % left} if Hub.says else {}
        if refused:
            return self.send(429, b'{"errors": [{"code": "TOOMANYREQUESTS"}]}', dict(headers, **{"Retry-After": Hub.retry_after}))
        self.send(200, body, dict(headers, **{"Content-Type": INDEX, "Docker-Content-Digest": "sha256:" + hashlib.sha256(body).hexdigest()}))

    def send(self, status, body, headers):
        self.send_response(status)
        for key, value in dict(headers, **{"Content-Length": str(len(body))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args):
        pass


class World:
    def __init__(self, archway):
        self.archway, self.folder = os.path.realpath(archway), tempfile.mkdtemp(prefix="archway-limits.")
        self.environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self.environment.update(DOCKER_CONFIG=self.folder + "/docker", HOME=self.folder, NO_COLOR="1")
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.passed = self.failed = 0

    def check(self, true, what):
        self.passed += bool(true)
        self.failed += not true
        if not true:
            print("FAILED: %s" % what)

    def equal(self, got, want, what):
        self.check(got == want, "%s\n  is   %r\n  want %r" % (what, got, want))

    def audit(self, root, *words, **hub):
        """The report, what was said beside it, and what the registry was asked."""
        Hub.log = []
        for key, value in hub.items():
            setattr(Hub, key, value)
        run = subprocess.run([self.archway, "audit", "--progress", "quiet", "--mirror", "docker.io=http://127.0.0.1:%d" % self.server.server_port, *words],
                             capture_output=True, text=True, timeout=120, env=dict(self.environment, ARCHWAY_ROOT=os.path.join(self.folder, root)))
        return run, list(Hub.log)


def gets(log):
    return [line for line in log if line.startswith("GET") and "/manifests/" in line]


def main():
    world = World(sys.argv[1])
    images = os.path.join(world.folder, "images.txt")
    open(images, "w").write("".join("team/app%d:1.0\n" % i for i in range(60)))

    # 60 images and 20 requests: said before the wall, which is never run into.
    run, log = world.audit("few", "--json", images, left=20)
    report = json.loads(run.stdout)
    ready = {i["image"] for i in report["images"] if i["verdicts"][0]["verdict"] == "ready"}
    world.equal((len(ready), len(gets(log)), [l for l in log if l.startswith("429")]), (20, 20, []), "as many as there were left, and no more")
    # It is said as soon as more are known to wait than are left; some may be on their way from the queue to the registry at that moment.
    told = re.search(r"it lets (\d+) more requests through, of 100 in 6 hours, and (\d+) images wait to be looked up: (\d+) will not be", run.stderr)
    left, waiting, lost = map(int, told.groups()) if told else (0, 0, 0)
    world.check(0 < left < 20 and left < waiting < 60 and lost == waiting - left, "the plan: %s" % run.stderr)
    world.equal(run.stderr.count("wait to be looked up"), 1, "is told once")
    world.equal(run.returncode, 2, "what could not be looked at is no success")
    unknown = [i for i in report["images"] if i["verdicts"][0]["verdict"] == "unknown"]
    world.equal(len(unknown), 40, "the others are named")
    world.check(all("rate limit" in i["verdicts"][0]["reason"] for i in unknown), "with the reason")
    # What is left is as the answers told it, of which one may overtake another.
    world.check(report["rateLimits"][0].pop("remaining") < 8, "what is left, in the report")
    world.equal(report["rateLimits"], [{"host": "docker.io", "limit": 100, "windowSeconds": 21600, "notLookedUp": 40}], "the limit, in the report")
    run, log = world.audit("few", images, left=0)
    world.check("40 images were not looked up" in run.stdout and "run it again" in run.stdout, "and in its text: %s" % run.stdout[-600:])
    world.check(len(log) <= 1, "a registry that has said so is not asked forty times: %r" % log[:5])

    # Later it goes on where it was.
    run, log = world.audit("few", "--json", images, left=100)
    report = json.loads(run.stdout)
    world.equal(({i["verdicts"][0]["verdict"] for i in report["images"]}, len(gets(log))), ({"ready"}, 40), "the rest, and only the rest")
    world.equal((run.returncode, run.stderr), (0, ""), "and that is that")
    run, log = world.audit("few", "--json", images, left=0)
    world.equal((run.returncode, log), (0, []), "nobody is asked again within the hour")

    # What runs comes before what is merely mentioned.
    manifest = os.path.join(world.folder, "web.yaml")
    mentions = "".join("    a%d: docker.io/team/mentioned%d:1\n" % (i, i) for i in range(30))
    open(manifest, "w").write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n%s---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n%s" % (
        mentions, "".join("  - {name: c%d, image: 'team/run%d:1'}\n" % (i, i) for i in range(5))))
    run, log = world.audit("first", "--json", manifest, left=16)
    found = {i["image"]: i["verdicts"][0]["verdict"] for i in json.loads(run.stdout)["images"]}
    world.equal({v for k, v in found.items() if "/run" in k}, {"ready"}, "what runs is looked up first")

    # HEADs cost nothing: tags that were seen long ago are asked for so.
    database = os.path.join(world.folder, "few", "lookups", "lookups.sqlite")
    import sqlite3
    with sqlite3.connect(database) as store:
        table, column = next((t, c[1]) for t, in store.execute("select name from sqlite_master where type = 'table'").fetchall() for c in store.execute("pragma table_info(%s)" % t) if c[1] == "checked")
        store.execute("update %s set %s = 1" % (table, column))
    run, log = world.audit("few", "--json", images, left=0)
    world.equal((run.returncode, len(log), {l.split()[0] for l in log}), (0, 60, {"HEAD"}), "HEADs where GETs count")

    # One that says nothing of limits, and refuses: it is obeyed.
    run, log = world.audit("busy", "--json", images, left=10 ** 6, says=False, busy=3, retry_after="1")
    world.equal((run.returncode, {i["verdicts"][0]["verdict"] for i in json.loads(run.stdout)["images"]}), (0, {"ready"}), "Retry-After is waited for")
    run, log = world.audit("closed", "--json", images, left=10 ** 6, says=False, busy=10 ** 6, retry_after="21600")
    report = json.loads(run.stdout)
    world.check(run.returncode == 2 and len(log) <= 16 and all("rate limit of docker.io is used up" in i["verdicts"][0]["reason"] for i in report["images"]), "but not for hours: %d requests" % len(log))

    world.server.shutdown()
    shutil.rmtree(world.folder, ignore_errors=True)
    print("%d passed, %d failed" % (world.passed, world.failed))
    return world.failed > 0


sys.exit(main())
