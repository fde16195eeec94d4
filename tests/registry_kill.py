#!/usr/bin/env python3
"""200 times kill -9 at random moments of `archway registry serve` while clients push: afterwards each blob that was
answered 201 hashes right, each tag that was answered 201 names a manifest that was pushed for it, nothing in the store
is half a blob, and skopeo copies every tag.

    tests/registry_kill.py ARCHWAY [SEED]
"""

import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

KILLS = 200
PUSHERS = 3
REPOSITORIES = ["app", "team/app"]
TAGS = ["t%d" % i for i in range(8)]
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Server:
    def __init__(self, archway, root):
        self.process = subprocess.Popen(
            [archway, "registry", "serve", "--root", root, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on http://"):
            raise SystemExit("the server did not start: %r" % line)
        self.port = int(line.strip().rsplit(":", 1)[1])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


class Pusher(threading.Thread):
    """Pushes images until the server is gone; remembers what was promised to it."""

    def __init__(self, port, rng, shared_blobs):
        super().__init__()
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self.rng = rng
        self.shared_blobs = shared_blobs
        self.blobs = []  # (repository, digest) answered 201
        self.tried = []  # (repository, tag, digest) sent
        self.tagged = []  # (repository, tag, digest) answered 201

    def run(self):
        try:
            while True:
                self.push_image()
        except (OSError, http.client.HTTPException):
            pass  # killed
        finally:
            self.connection.close()

    def ask(self, method, path, body=None, headers={}):
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        response.read()
        return response

    def push_blob(self, repository, data):
        digest = sha256(data)
        way = self.rng.randrange(4)
        base = "/v2/%s/blobs/uploads/" % repository
        if way == 0:
            response = self.ask("POST", base + "?digest=" + digest, data)
        elif way == 1 and self.shared_blobs:
            # A mount of what another repository has been promised to hold.
            other, digest = self.rng.choice(self.shared_blobs)
            response = self.ask("POST", base + "?mount=%s&from=%s" % (digest, other))
            if response.status == 202:
                raise SystemExit("mounting %s from %s: the blob is gone" % (digest, other))
        else:
            location = self.ask("POST", base).getheader("Location")
            cut = self.rng.randrange(len(data) + 1) if way == 2 else 0
            if cut:
                self.ask("PATCH", location, data[:cut])
            response = self.ask("PUT", location + "?digest=" + digest, data[cut:])
        if response.status != 201:
            raise SystemExit("pushing a blob: status %d" % response.status)
        self.blobs.append((repository, digest))
        return digest

    def push_image(self):
        repository, tag = self.rng.choice(REPOSITORIES), self.rng.choice(TAGS)
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "n": self.rng.random()}).encode()
        layer = self.rng.randbytes(self.rng.choice([10, 3000, 200000]))
        self.push_blob(repository, layer)
        response = self.ask("POST", "/v2/%s/blobs/uploads/?digest=%s" % (repository, sha256(config)), config)
        if response.status != 201:
            raise SystemExit("pushing a config: status %d" % response.status)
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(config), "size": len(config)},
            "layers": []}).encode()
        self.tried.append((repository, tag, sha256(manifest)))
        response = self.ask("PUT", "/v2/%s/manifests/%s" % (repository, tag), manifest, {"Content-Type": MANIFEST_TYPE})
        if response.status != 201:
            raise SystemExit("pushing a manifest: status %d" % response.status)
        self.tagged.append(self.tried[-1])
        self.blobs.append((repository, sha256(manifest)))


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, what):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print("FAILED: " + what)


def check_store(report, root):
    """Every file below a blobs folder is what its name says: a blob is visible whole or not at all."""
    for folder, _, files in os.walk(root):
        if os.path.basename(os.path.dirname(folder)) not in ("blobs", "_blobs"):
            continue
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                report.check(hashlib.new(os.path.basename(folder), file.read()).hexdigest() == name, "%s/%s is not whole" % (folder, name))


def check_served(report, port, blobs, allowed, promised):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def get(path):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()

    for repository, digest in sorted(blobs):
        status, data = get("/v2/%s/blobs/%s" % (repository, digest))
        report.check(status == 200 and sha256(data) == digest, "blob %s of %s: status %d" % (digest, repository, status))
    for (repository, tag) in sorted(promised):
        status, data = get("/v2/%s/manifests/%s" % (repository, tag))
        report.check(status == 200 and sha256(data) in allowed[(repository, tag)], "tag %s of %s: status %d" % (tag, repository, status))
    tags = []
    for repository in REPOSITORIES:
        tags += [(repository, tag) for tag in json.loads(get("/v2/%s/tags/list" % repository)[1])["tags"]]
    connection.close()
    return tags


def main():
    archway = os.path.abspath(sys.argv[1])
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    report = Report()
    blobs = []
    allowed, promised = {}, set()  # by (repository, tag): the digests it may name; those that must name one
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="archway-kill-") as folder:
        root = os.path.join(folder, "store")
        for _ in range(KILLS):
            server = Server(archway, root)
            pushers = [Pusher(server.port, random.Random(rng.random()), blobs[-50:]) for _ in range(PUSHERS)]
            for pusher in pushers:
                pusher.start()
            time.sleep(rng.random() * 0.12)
            server.kill()
            for pusher in pushers:
                pusher.join()
                blobs += pusher.blobs
            # Of pushers side by side the order is not known, so a tag may name whatever they sent for it. But once one
            # of them was answered 201, it names nothing from before this round.
            answered = {(repository, tag) for pusher in pushers for repository, tag, _ in pusher.tagged}
            promised |= answered
            for name in answered:
                allowed[name] = set()
            for repository, tag, digest in [one for pusher in pushers for one in pusher.tried]:
                allowed.setdefault((repository, tag), set()).add(digest)
        print("%d kills in %.1f s; %d blobs and %d tags were answered 201" % (KILLS, time.monotonic() - begun, len(blobs), len(promised)))
        report.check(len(blobs) > KILLS, "too few blobs were pushed for this to prove anything")
        check_store(report, root)
        server = Server(archway, root)
        tags = check_served(report, server.port, set(blobs), allowed, promised)
        if shutil.which("skopeo"):
            for repository, tag in tags:
                for source in ("docker://127.0.0.1:%d/%s:%s" % (server.port, repository, tag), "oci:%s/%s:%s" % (root, repository, tag)):
                    done = subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", source, "dir:%s/copy" % folder], capture_output=True, text=True)
                    report.check(done.returncode == 0, "skopeo copy %s: %s" % (source, done.stderr.strip()))
                    shutil.rmtree(folder + "/copy", ignore_errors=True)
        else:
            print("skipped: skopeo copy of every tag (skopeo is absent)")
        server.process.terminate()
        report.check(server.process.wait(10) == 0, "SIGTERM did not end the server with status 0")
        server.process.stdout.close()
    print("%d passed, %d failed" % (report.passed, report.failed))
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
