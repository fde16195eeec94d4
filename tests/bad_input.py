#!/usr/bin/env python3
"""Bad input: broken Dockerfiles, contexts, platforms, registries, disks, layers and images, and being stopped at any moment. Each case
runs the real binary and asks for the exit status, a message that names the thing and the place, a bounded time, and nothing half-made.

    tests/bad_input.py ARCHWAY [GROUP...]      all groups, or those named: see GROUPS at the end

Needs busybox-static; the full disk needs root (a tmpfs in a mount namespace of its own).
"""
import base64, contextlib, copy, gzip, hashlib, http.server, io, json, os, pathlib, random, re, shutil, signal, socket, struct, subprocess
import sys, tarfile, tempfile, threading, time

BUSYBOX = "/bin/busybox"
PATIENCE = 120  # seconds; a case that takes longer hangs
SEED = int(os.environ.get("SEED", "7"))
CRASHES = ["Sanitizer", "runtime error:", "terminate called", "what():", "stack trace", "CHECK failed", "Assertion", "core dumped", "internal error"]
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
HOST_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
OTHER_ARCHITECTURE = "arm64" if HOST_ARCHITECTURE == "amd64" else "amd64"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Result:
    def __init__(self, status, out, err, seconds):
        self.status, self.out, self.err, self.seconds = status, out, err, seconds


class World:
    """The binary, a cache, a registry, and a count of what was asked."""

    def __init__(self, archway):
        self.archway = archway
        self.passed = self.failed = self.skipped = 0
        self.folder = tempfile.mkdtemp(prefix="archway-bad.")
        self.cache = os.path.join(self.folder, "cache")
        self.canary = os.path.join(self.folder, "canary")
        pathlib.Path(self.canary).write_text("untouched")
        self.environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self.environment.update(ARCHWAY_ROOT=self.cache, DOCKER_CONFIG=os.path.join(self.folder, "docker"), NO_COLOR="1")
        self.environment.pop("SOURCE_DATE_EPOCH", None)
        self.number = 0
        self.server = subprocess.Popen([archway, "registry", "serve", "--root", self.path("registry"), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        self.registry = self.server.stdout.readline().strip().rsplit("/", 1)[1]
        self.base = self.path("base")
        write_layout(self.base, [busybox_image(HOST_ARCHITECTURE)])

    def path(self, name):
        return os.path.join(self.folder, name)

    def fresh(self, name="dir"):
        self.number += 1
        path = self.path("%s%d" % (name, self.number))
        os.makedirs(path)
        return path

    def close(self):
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *words, environment={}, cwd=None, stdin=None):
        begun = time.monotonic()
        try:
            done = subprocess.run([self.archway, *words], capture_output=True, text=True, errors="replace", timeout=PATIENCE, cwd=cwd or self.folder,
                                  env={**self.environment, **environment}, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL)
            return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)
        except subprocess.TimeoutExpired as late:
            return Result(-999, "", "still running after %d s\n%s" % (PATIENCE, (late.stderr or b"")[-2000:]), PATIENCE)

    def context(self, dockerfile, files={}):
        folder = self.fresh("context")
        if dockerfile is not None:
            pathlib.Path(folder, "Dockerfile").write_bytes(dockerfile if isinstance(dockerfile, bytes) else dockerfile.encode())
        for name, data in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder

    def build(self, dockerfile, *flags, files={}, base=None, environment={}):
        folder = self.context(dockerfile, files)
        return self.run("build", "--progress", "plain", "--build-context", "busybox=oci-layout://" + (base or self.base), *flags, folder, environment=environment)

    def check(self, good, what, detail=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print("FAILED: %s%s" % (what, "\n    " + detail.strip().replace("\n", "\n    ")[-1500:] if detail else ""), flush=True)
        return good

    def skip(self, what):
        self.skipped += 1
        print("skipped: " + what, flush=True)

    def refused(self, what, result, *words, status=2, seconds=60, absent=()):
        """The command failed as it should: the status, each word in the message (a tuple: one of them), no crash, in time."""
        told = result.out + result.err
        wrong = []
        if result.status != status:
            wrong.append("status %d, not %d" % (result.status, status))
        for word in words:
            if not any(w in result.err for w in (word if isinstance(word, tuple) else (word,))):
                wrong.append("%r is not in the message" % (word,))
        wrong += ["%r is in the message" % word for word in [*CRASHES, *absent] if word in told]
        if "archway: " not in result.err and status in (2, 125):
            wrong.append("no line that begins with archway:")
        if result.seconds > seconds:
            wrong.append("took %.1f s" % result.seconds)
        return self.check(not wrong, what, "; ".join(wrong) + "\n" + result.err)

    def works(self, what, result):
        return self.check(result.status == 0, what, "status %d\n%s" % (result.status, result.err))

    def still_works(self, what):
        """The cache is usable after what just went wrong."""
        self.number += 1
        self.works(what + ": a good build afterwards", self.build("FROM busybox\nRUN echo %d > /made\nCOPY a /a\n" % self.number, files={"a": b"a"}))

    def nothing_left(self, what, *folders):
        """No temporary file beside an output, none in the cache, no process, no mount of ours, and the canary unharmed."""
        left = []
        for at, _, files in (found for folder in folders for found in os.walk(folder)):
            left += [os.path.join(at, f) for f in files if "/fs/" not in at and f != "tmp" and re.search(r"tmp|\.partial|\.part$", f)]
        for store in ("layers/tmp", "blobs/tmp", "tmp", "runtime/private"):
            at = os.path.join(self.cache, store)
            left += [os.path.join(at, f) for f in os.listdir(at)] if os.path.isdir(at) else []
        with open("/proc/self/mountinfo") as mounts:
            left += [line for line in mounts if self.cache in line]
        left += self.processes()
        self.check(not left, what + ": nothing left", "\n".join(left[:20]))
        self.check(pathlib.Path(self.canary).read_text() == "untouched", what + ": nothing written outside")

    def processes(self):
        """Those of our builds: containers and their keepers. Their cache is in their environment, or their root below it."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if int(pid) in (os.getpid(), self.server.pid):
                continue
            with contextlib.suppress(OSError):
                words = pathlib.Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                environment = pathlib.Path("/proc", pid, "environ").read_bytes()
                state = pathlib.Path("/proc", pid, "stat").read_text().rsplit(")", 1)[1].split()[0]
                if state != "Z" and (self.cache.encode() in environment or MARK in words or SLEEP in words or self.cache in words):
                    found.append("process %s: %s" % (pid, words))
        return found


MARK = "archway-bad-input-%d" % os.getpid()  # in the command lines of what RUN starts

SLEEP = "sleep %d" % (1_000_000 + os.getpid())  # a container's environment is not ours: its programs are known by their words


# --- Images made by hand.

def tar_of(entries):
    """entries: (name, type, data or link target, mode)"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, data, mode in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, mode
            if kind == tarfile.REGTYPE:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            else:
                info.linkname = data or ""
                if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
                    info.devmajor, info.devminor = 1, 3
                tar.addfile(info)
    return out.getvalue()


def folder(name, mode=0o755):
    return (name, tarfile.DIRTYPE, "", mode)


def file(name, data=b"x", mode=0o644):
    return (name, tarfile.REGTYPE, data, mode)


def link(name, to):
    return (name, tarfile.SYMTYPE, to, 0o777)


def hard(name, to):
    return (name, tarfile.LNKTYPE, to, 0o644)


class Image:
    """One image: layers as (blob, diff_id, descriptor changes); anything may be made to lie."""

    def __init__(self, architecture, layers, config_changes={}, manifest_changes={}, os_name="linux"):
        self.blobs, self.architecture = {}, architecture
        descriptors, diff_ids = [], []
        for layer in layers:
            blob, diff_id = layer["blob"], layer["diff_id"]
            descriptor = {"mediaType": OCI_LAYER, "digest": sha256(blob), "size": len(blob), **layer.get("descriptor", {})}
            self.blobs[descriptor["digest"]] = blob
            descriptors.append(descriptor)
            diff_ids.append(diff_id)
        config = {"architecture": architecture, "os": os_name, "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
                  "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": [{"created_by": "by hand"} for _ in layers], **config_changes}
        raw_config = json.dumps(config).encode()
        self.blobs[sha256(raw_config)] = raw_config
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {"mediaType": OCI_CONFIG, "digest": sha256(raw_config), "size": len(raw_config)},
                    "layers": descriptors, **manifest_changes}
        self.raw = json.dumps(manifest).encode()
        self.blobs[sha256(self.raw)] = self.raw
        self.descriptor = {"mediaType": OCI_MANIFEST, "digest": sha256(self.raw), "size": len(self.raw), "platform": {"os": os_name, "architecture": architecture}}


def layer(tar, **lies):
    blob = lies.pop("blob", None) or gzip.compress(tar, 1, mtime=0)
    return {"blob": blob, "diff_id": lies.pop("diff_id", sha256(tar)), "descriptor": lies}


_busybox = None


def busybox_layer():
    global _busybox
    if not _busybox:
        names = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
        entries = [folder(d) for d in ("bin", "etc", "dev", "proc", "sys", "root", "usr", "var")] + [folder("tmp", 0o1777)]
        entries += [file("bin/busybox", pathlib.Path(BUSYBOX).read_bytes(), 0o755)]
        entries += [link("bin/" + name, "busybox") for name in names if name != "busybox"]
        entries += [file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"), file("etc/group", b"root:x:0:\n")]
        _busybox = layer(tar_of(entries))
    return _busybox


def busybox_image(architecture, extra=(), **changes):
    return Image(architecture, [busybox_layer(), *extra], **changes)


def write_layout(path, images, index=None):
    blobs = pathlib.Path(path, "blobs/sha256")
    blobs.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path, "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for image in images:
        for digest, data in image.blobs.items():
            (blobs / digest.split(":")[1]).write_bytes(data)
    if index is None:
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [image.descriptor for image in images]}
        if len(images) > 1:
            raw = json.dumps(index).encode()
            (blobs / sha256(raw)[7:]).write_bytes(raw)
            index = {"schemaVersion": 2, "manifests": [{"mediaType": OCI_INDEX, "digest": sha256(raw), "size": len(raw)}]}
    pathlib.Path(path, "index.json").write_bytes(index if isinstance(index, bytes) else json.dumps(index).encode())


def raw_layout(path, media_type, raw, others=()):
    """A layout whose one entry is these bytes."""
    write_layout(path, others, {"schemaVersion": 2, "manifests": [{"mediaType": media_type, "digest": sha256(raw), "size": len(raw)}]})
    pathlib.Path(path, "blobs/sha256", sha256(raw)[7:]).write_bytes(raw)
    return path


# --- Broken Dockerfiles.

DOCKERFILES = [
    # name, text, words of the message
    ("an unknown instruction", "FROM busybox\nCOPPY a b\n", ["Dockerfile:2:1", "COPPY a b", "COPY"]),
    ("an unknown instruction before FROM", "FORM busybox\n", ["Dockerfile:1:1", "FORM busybox", "FROM"]),
    ("an unknown flag", "FROM busybox\nCOPY --form=x a b\n", ["Dockerfile:2:", "COPY --form=x a b", "from"]),
    ("a flag on an instruction without flags", "FROM busybox\nENV --x=1 a=b\n", ["Dockerfile:2:", "ENV --x=1 a=b"]),
    ("a flag twice", "FROM busybox\nCOPY --chown=1 --chown=2 a b\n", ["Dockerfile:2:", "duplicate flag", "chown"]),
    ("FROM without a name", "FROM\n", ["Dockerfile:1:", "FROM"]),
    ("FROM blank", "ARG x\nFROM ${x}\n", ["Dockerfile:2:", "FROM ${x}", "blank"]),
    ("FROM of an invalid name", "FROM Busy_Box:/x\n", ["Dockerfile:1:", "Busy_Box"]),
    ("FROM x AS", "FROM busybox AS\n", ["Dockerfile:1:", "FROM"]),
    ("an invalid stage name", "FROM busybox AS $x\n", ["Dockerfile:1:", "$x"]),
    ("COPY without a destination", "FROM busybox\nCOPY a\n", ["Dockerfile:2:", "COPY"]),
    ("WORKDIR of nothing", "FROM busybox\nWORKDIR\n", ["Dockerfile:2:", "WORKDIR"]),
    ("ENV without a value", "FROM busybox\nENV a\n", ["Dockerfile:2:", "ENV a"]),
    ("an instruction before FROM", "RUN true\nFROM busybox\n", ["Dockerfile:1:", "RUN true", "FROM"]),
    ("an empty file", "", ["Dockerfile:1:", "no instructions"]),
    ("comments only", "# nothing\n", ["Dockerfile:", "no instructions"]),
    ("only ARG", "ARG a=1\n", ["Dockerfile", "FROM"]),
    ("an unterminated quote", 'FROM busybox\nENV a="b\n', ["Dockerfile:2:", 'ENV a="b']),
    ("an unterminated expansion", "FROM busybox\nENV a=${b\n", ["Dockerfile:2:", "ENV a=${b"]),
    ("an unknown modifier", "FROM busybox\nENV a=${b!c}\n", ["Dockerfile:2:", "ENV a=${b!c}"]),
    ("an unterminated heredoc", "FROM busybox\nRUN <<EOF\necho\n", ["Dockerfile:2:", "EOF", "heredoc"]),
    ("SHELL that is no JSON", "FROM busybox\nSHELL [\"/bin/sh\", -c]\n", ["Dockerfile:2:", "SHELL"]),
    ("SHELL in the shell form", "FROM busybox\nSHELL /bin/sh\n", ["Dockerfile:2:", "SHELL", "JSON"]),
    ("a chmod that is none", "FROM busybox\nCOPY --chmod=9z a b\n", ["Dockerfile:2:", "COPY --chmod=9z a b", "chmod", "octal"]),
    ("an invalid port", "FROM busybox\nEXPOSE 99999\n", ["Dockerfile:2:", "EXPOSE 99999", "port"]),
    ("an invalid signal", "FROM busybox\nSTOPSIGNAL SIGFOO\n", ["Dockerfile:2:", "SIGFOO"]),
    ("an unknown network", "FROM busybox\nRUN --network=moon true\n", ["Dockerfile:2:", "moon", "none"]),
    ("a stage that comes later", "FROM busybox AS a\nCOPY --from=b /bin /x\nFROM busybox AS b\nFROM a\n", ["Dockerfile:2:", "COPY --from=b", "before"]),
    ("a stage that copies from itself", "FROM busybox AS a\nCOPY --from=a /bin /x\n", ["Dockerfile:2:", "COPY --from=a"]),
    ("a stage number out of range", "FROM busybox\nCOPY --from=7 /bin /x\n", ["Dockerfile:2:", "7"]),
    ("an unknown platform in FROM", "FROM --platform=plan/nine/from/outer busybox\n", ["Dockerfile:1:", "plan/nine"]),
    ("COPY of a missing file", "FROM busybox\nCOPY missing.txt /x\n", ["Dockerfile:2:", "COPY missing.txt /x", "missing.txt", "not found"]),
    ("COPY of a missing file from a stage", "FROM busybox AS a\nFROM busybox\nCOPY --from=a /no/such /x\n", ["Dockerfile:3:", "/no/such", "not found"]),
    ("ADD of a missing file", "FROM busybox\nADD missing.tar /x\n", ["Dockerfile:2:", "missing.tar"]),
    ("COPY of a URL", "FROM busybox\nCOPY https://example.org/x /x\n", ["Dockerfile:2:", "https://example.org/x"]),
    ("a failing RUN", "FROM busybox\nRUN echo said; exit 37\n", ["Dockerfile:2:", "RUN echo said; exit 37", "exit code: 37", "said"]),
    ("a RUN killed by a signal", "FROM busybox\nRUN sh -c 'kill -9 $$'; exit $?\n", ["Dockerfile:2:", "exit code: 137"]),
    ("RUN of a missing program", 'FROM busybox\nRUN ["/no/such/program"]\n', ["Dockerfile:2:", "/no/such/program"]),
    ("RUN as an unknown user", "FROM busybox\nUSER frobnicate\nRUN true\n", ["Dockerfile:3:", "frobnicate", "/etc/passwd"]),
    ("RUN as an unknown group", "FROM busybox\nUSER 0:frobnicate\nRUN true\n", ["Dockerfile:3:", "frobnicate", "/etc/group"]),
    ("RUN without a shell", "FROM scratch\nRUN true\n", ["Dockerfile:2:", "RUN true", "/bin/sh"]),
    ("RUN --mount of what is not there", "FROM busybox\nRUN --mount=source=absent,target=/x true\n", ["Dockerfile:2:", '"/absent": not found']),
    ("RUN --security", "FROM busybox\nRUN --security=insecure true\n", ["Dockerfile:2:", "--security"]),
    ("ADD of a URL that nobody serves", "FROM busybox\nADD http://127.0.0.1:1/x /x\n", ["Dockerfile:2:", "fetching http://127.0.0.1:1/x"]),
    ("ADD of a git repository", "FROM busybox\nADD https://example.org/x.git /x\n", ["Dockerfile:2:", "not supported"]),
    ("ADD --checksum", "FROM busybox\nADD --checksum=sha256:" + "0" * 64 + " a /x\n", ["Dockerfile:2:", "checksum"]),
    ("HEALTHCHECK of nonsense", "FROM busybox\nHEALTHCHECK --interval=soon CMD true\n", ["Dockerfile:2:", "HEALTHCHECK"]),
    ("a line that is too long", "FROM busybox\nRUN " + "x" * 70000 + "\n", ["Dockerfile:2", "line"]),
    ("bytes that are no text", b"FROM busybox\nRUN \xff\xfe\x00\x01\n", ["Dockerfile:2"]),
    ("a binary", b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 10, ["Dockerfile:1"]),
    ("FROM in a folder's name", "FROM ./dir\n", ["Dockerfile:1:", "./dir"]),
]


def dockerfiles(world):
    for name, text, words in DOCKERFILES:
        world.refused("Dockerfile: " + name, world.build(text, "-o", "type=oci,dest=" + world.path("never.tar"), files={"a": b"a"}), *words)
        world.check(not os.path.exists(world.path("never.tar")), "Dockerfile: %s: no output" % name)
        pathlib.Path(world.path("never.tar")).unlink(missing_ok=True)
    two = "FROM busybox AS one\nFROM busybox AS two\n"
    world.refused("an unknown target", world.build(two, "--target", "tow"), "tow", ("two", "one"))
    world.refused("a target number out of range", world.build(two, "--target", "9"), "9")
    world.refused("no Dockerfile", world.run("build", world.context(None)), "no Dockerfile", "-f")
    world.refused("-f of a missing file", world.run("build", "-f", world.path("no/such"), world.context(two)), "no/such")
    world.refused("-f of a folder", world.run("build", "-f", world.folder, world.context(two)), world.folder)
    world.refused("a missing context", world.run("build", world.path("no-such-context")), "no-such-context")
    world.refused("a context that is a file", world.run("build", "-f", os.path.join(world.context(two), "Dockerfile"), world.canary), "canary")
    world.refused("a named context that is missing", world.build("FROM busybox\nCOPY --from=more a b\n", "--build-context", "more=/no/such"), "more", "/no/such")
    world.refused("a bad .dockerignore", world.build("FROM busybox\nCOPY a b\n", files={"a": b"", ".dockerignore": b"!\n[a-\n"}), ".dockerignore")
    world.refused("an output folder that is missing", world.build("FROM busybox\n", "-o", "type=oci,dest=" + world.path("no/such/out.tar")), "no/such/out.tar")
    world.refused("an output that is a folder", world.build("FROM busybox\n", "-o", "type=oci,dest=" + world.fresh("out")), "out")
    world.refused("an iidfile in a missing folder", world.build("FROM busybox\n", "--iidfile", world.path("no/such/iid")), "no/such/iid")
    world.nothing_left("broken Dockerfiles", world.folder)
    world.still_works("broken Dockerfiles")


def context_links(world):
    """A symlink that leads out of the context is followed inside it, or refused; never outside."""
    secret = pathlib.Path(world.path("secret"))
    secret.write_text("SECRET")
    for target in (str(secret), "../" + secret.name):
        for words in ("COPY out /x\n", "COPY dir/file /x\n", "ADD out /x/\n", "COPY o* /x/\n"):
            folder_path = world.context("FROM scratch\n" + words)
            os.symlink(target, os.path.join(folder_path, "out"))
            os.symlink(os.path.dirname(str(secret)) if target.startswith("/") else "..", os.path.join(folder_path, "dir"))
            dest = world.fresh("local")
            result = world.run("build", "--progress", "plain", "-o", "type=local,dest=" + dest, folder_path)
            leaked = [f for at, _, files in os.walk(dest) for f in files if not os.path.islink(os.path.join(at, f)) and b"SECRET" in open(os.path.join(at, f), "rb").read()]
            world.check(not leaked, "symlink to %s, %s: nothing from outside the context" % (target, words.strip()))
            if result.status != 0:
                world.refused("symlink to %s, %s" % (target, words.strip()), result, "Dockerfile:2:", words.strip())


def platforms(world):
    scratch = "FROM scratch\nCOPY a /\n"
    world.refused("an unknown platform", world.build(scratch, "--platform", "linux/arm65", files={"a": b""}), "linux/arm65", status=64)
    world.refused("a platform that is no word", world.build(scratch, "--platform", "linux/", files={"a": b""}), "linux/", status=64)
    world.refused("an empty platform", world.build(scratch, "--platform", ",", files={"a": b""}), "platform", status=64)
    two = world.fresh("two")
    write_layout(two, [busybox_image(HOST_ARCHITECTURE), busybox_image(OTHER_ARCHITECTURE)])
    world.refused("an image without the platform", world.build("FROM busybox\n", "--platform", "linux/s390x", base=two), "Dockerfile:1:", "linux/s390x", "linux/amd64",
                  "linux/arm64")
    one = world.fresh("one")
    write_layout(one, [busybox_image(OTHER_ARCHITECTURE)])
    world.refused("a base of the other architecture", world.build("FROM busybox\nRUN true\n", "--platform", "linux/" + HOST_ARCHITECTURE, base=one), "Dockerfile:1:",
                  "linux/" + HOST_ARCHITECTURE, "linux/" + OTHER_ARCHITECTURE)
    bare = world.fresh("bare")
    image = busybox_image(OTHER_ARCHITECTURE)
    del image.descriptor["platform"]
    write_layout(bare, [image])
    world.refused("the same, known by its configuration alone", world.build("FROM busybox\n", "--platform", "linux/" + HOST_ARCHITECTURE, base=bare), "Dockerfile:1:",
                  "linux/" + OTHER_ARCHITECTURE)
    world.refused("inspect of a platform that is not there", world.run("inspect", "--platform", "linux/s390x", "oci:" + two), "linux/s390x", "linux/amd64")
    world.refused("copy of a platform that is not there", world.run("copy", "--platform", "linux/s390x", "oci:" + two, "oci:" + world.path("copied")), "linux/s390x", "linux/amd64")
    world.refused("no emulation", world.build("FROM busybox\nRUN true\n", "--platform", "linux/" + OTHER_ARCHITECTURE, "--emulation", "none", base=two), "Dockerfile:2:",
                  OTHER_ARCHITECTURE)
    world.refused("run of a platform that is not there", world.run("run", "--platform", "linux/s390x", world.registry + "/none:1"), "none", status=125)


def usage(world):
    for words, told in [(["buidl"], "build"), (["build"], "CONTEXT"), (["build", "a", "b"], ""), (["build", "--platfrom", "x", "."], "--platform"), (["build", "-t"], "tag"),
                        (["build", "--output", "type=tra", "."], "tra"), (["build", "-o", "type=local", "."], "dest"), (["build", "--build-arg", "=x", "."], "name"),
                        (["build", "--cache-size", "lots", "."], "lots"), (["build", "--emulation", "maybe", "."], "maybe"), (["build", "--progress", "slow", "."], "slow"),
                        (["build", "-"], "-f -"), (["build", "https://example.org/x.git"], "folder"), (["registry"], "registry serve"), (["cache"], "cache du"),
                        (["copy", "oci:x"], ""), (["copy", "docker-daemon:x", "oci:y"], "docker-daemon"), (["inspect", "oci:"], "path"),
                        (["build", "--platform"], "--platform wants PLATFORMS"), (["build", "--push=maybe", "."], "true or false"),
                        (["registry", "serve", "--root", world.path("r"), "--listen", "nowhere"], "nowhere")]:
        world.refused("usage: archway " + " ".join(words), world.run(*words), *([told] if told else []), "see archway ", " --help", status=64)
    world.refused("a push without a name", world.build("FROM scratch\nCOPY a /\n", "--push", files={"a": b""}), "-t")
    world.refused("an invalid tag", world.build("FROM scratch\nCOPY a /\n", "-t", "Not A Name", files={"a": b""}), "Not A Name", status=2)
    world.refused("a docker archive of two platforms", world.build("FROM scratch\nCOPY a /\n", "--platform", "linux/amd64,linux/arm64", "-o", "type=docker,dest=x.tar",
                                                                  files={"a": b""}), "docker", "one platform")


# --- Registries.

class Registry(http.server.ThreadingHTTPServer):
    """Serves one image from memory; how it misbehaves is the first part of the repository's name."""
    daemon_threads = True

    def __init__(self, image):
        super().__init__(("127.0.0.1", 0), Misbehaving)
        self.image, self.asked, self.seen, self.lock = image, [], {}, threading.Lock()
        self.other = None  # host:port of another one
        self.name = "127.0.0.1:%d" % self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, address):
        pass  # clients that go are what this is about

    def count(self, key):
        with self.lock:
            self.seen[key] = self.seen.get(key, 0) + 1
            return self.seen[key]


class Misbehaving(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers={}):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code, message, headers={}):
        self.answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), {"Content-Type": "application/json", **headers})

    def stall(self):
        time.sleep(30)
        self.close_connection = True

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        way = self.path.split("/")[2]
        length = int(self.headers.get("Content-Length", "0"))
        self.rfile.read(length)
        if way == "denied":
            return self.error(403, "DENIED", "no pushes on Sunday")
        if way == "full":
            return self.error(507, "UNKNOWN", "no space left on device")
        self.answer(202, b"", {"Location": self.path + "session"})

    def do_PATCH(self):
        self.do_PUT()

    def do_PUT(self):
        way = self.path.split("/")[2]
        if way == "upload500":
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return self.error(500, "UNKNOWN", "the disk is on fire")
        if way == "uploadcut":
            self.rfile.read(1000)
            self.connection.close()
            return
        if way == "uploadstall":
            return self.stall()
        if way == "notag" and "/manifests/" in self.path:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return self.error(400, "MANIFEST_INVALID", "no such thing")
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.answer(201, b"", {"Location": self.path})

    def do_GET(self):
        server, image = self.server, self.server.image
        server.asked.append((self.command, self.path, self.headers.get("Authorization")))
        if self.path in ("/v2/", "/v2"):
            return self.answer(200, b"{}")
        if self.path.startswith("/token"):
            return self.answer(401, b"no")
        words = self.path.split("/")
        way, kind, name = words[2], words[-2], words[-1]
        manifest = kind == "manifests"
        if way == "unauthorized":
            return self.error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="x"'})
        if way == "badtoken":
            return self.error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Bearer realm="http://%s/token",service="x"' % server.name})
        if way == "forbidden":
            return self.error(403, "DENIED", "not for you")
        if way == "gone" or kind == "uploads":
            return self.error(404, "NAME_UNKNOWN", "no such repository")
        if way == "busy" and server.count((self.command, self.path)) <= 2:
            return self.error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "0"})
        if way == "patience":
            return self.error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "86400"})
        if way == "broken":
            return self.error(500, "UNKNOWN", "out of order\x1b[31m" + "x" * 5000)
        if way == "html":
            return self.answer(200, b"<html>sign in to the hotel's network</html>", {"Content-Type": "text/html"})
        if way == "loop" or (way == "blobloop" and not manifest):
            return self.answer(307, b"", {"Location": self.path + "?again=%d" % server.count("loop")})
        if way == "fileurl" and not manifest:
            return self.answer(307, b"", {"Location": "file:///etc/passwd"})
        if way == "elsewhere" and not manifest:
            if not (self.headers.get("Authorization") or "").startswith("Basic"):
                return self.error(401, "UNAUTHORIZED", "who are you?", {"WWW-Authenticate": 'Basic realm="x"'})
            return self.answer(307, b"", {"Location": "http://%s/v2/good/app/blobs/%s" % (server.other, name)})
        if way == "stall" or (way == "blobstall" and not manifest):
            return self.stall()
        data = image.raw if manifest else image.blobs.get(name)
        if data is None:
            return self.error(404, "BLOB_UNKNOWN", "no such blob")
        headers = {"Content-Type": image.descriptor["mediaType"] if manifest else "application/octet-stream"}
        if manifest:
            headers["Docker-Content-Digest"] = sha256(data)
        layer_blob = not manifest and data == busybox_layer()["blob"]
        if way == "wrongtype":
            headers["Content-Type"] = "text/plain"
        if way == "liemanifest" and manifest:
            data = data.replace(b"schemaVersion", b"schemaversion")
        if way == "notjson" and manifest:
            data = b"{" * 100000
            headers["Docker-Content-Digest"] = sha256(data)
        if way == "hugemanifest" and manifest:
            data += b" " * (9 << 20)
            headers["Docker-Content-Digest"] = sha256(data)
        if way == "lieconfig" and not manifest and not layer_blob:
            data = data.replace(b"linux", b"Linux")
        if way == "lielayer" and layer_blob:
            data = data[:1000] + bytes([data[1000] ^ 1]) + data[1001:]
        if way == "shortlayer" and layer_blob:
            data = data[:-100]
        if way == "endless" and layer_blob:
            self.answer(200, b"", {**headers, "Content-Length": None, "Transfer-Encoding": "chunked"})
            with contextlib.suppress(OSError):
                for _ in range(100000):
                    self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            self.close_connection = True
            return
        if way == "dies" and layer_blob or way == "slowdeath" and layer_blob:
            start = 0
            if way == "slowdeath" and (self.headers.get("Range") or "").startswith("bytes="):
                start = int(self.headers["Range"][6:].split("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            if start:
                self.send_header("Content-Range", "bytes %d-%d/%d" % (start, len(data) - 1, len(data)))
            self.end_headers()
            part = data[start:start + 10000] if server.count(self.path) < 2 else b""
            self.wfile.write(part)
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if way == "midstall" and layer_blob:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:5000])
            self.wfile.flush()
            return self.stall()
        self.answer(200, data, headers)


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


PULLS = [
    # behaviour, words of the message, message names the place
    ("unauthorized", ["archway login", ("unauthorized", "authentication")]),
    ("badtoken", ["archway login"]),
    ("forbidden", ["not for you"]),
    ("gone", ["no such repository"]),
    ("patience", ["come back in"]),
    ("broken", ["out of order"]),
    ("html", [("text/html", "manifest", "JSON")]),
    ("wrongtype", [("text/plain", "manifest")]),
    ("loop", ["redirect"]),
    ("blobloop", ["redirect"]),
    ("fileurl", [("file", "redirect")]),
    ("stall", ["no byte came for 1.0s"]),
    ("blobstall", ["no byte came for 1.0s"]),
    ("midstall", ["no byte came for 1.0s"]),
    ("dies", [("ended early", "closed", "reset", "broke", "cut", "transfer", "bytes")]),
    ("slowdeath", [("ended early", "closed", "reset", "broke", "cut", "transfer", "bytes")]),
    ("endless", ["more bytes", "sha256:"]),
    ("shortlayer", ["bytes", "sha256:"]),
    ("lielayer", ["sha256:"]),
    ("lieconfig", ["sha256:"]),
    ("liemanifest", ["digest"]),
    ("notjson", [("JSON", "json", "nest")]),
    ("hugemanifest", [("larger", "limit", "MiB", "bytes")]),
]


def registries(world):
    image = busybox_image(HOST_ARCHITECTURE)
    with contextlib.closing(Registry(image)) as server:
        with contextlib.closing(Registry(image)) as other:
            server.other = other.name
            pulls(world, server, other)
            pushes(world, server)


def pulls(world, server, other):
    pull = lambda name, *flags, **more: world.run("build", "--progress", "plain", "--no-cache", *flags, world.context("FROM %s\nRUN true\n" % name), **more)
    world.works("a pull from the test's registry", pull(server.name + "/good/app:1"))
    for way, words in PULLS:
        # A cache of its own: what another case left must not help.
        cache = world.fresh("cache")
        name = "%s/%s/app:1" % (server.name, way)
        out = world.path("pulled-%s.tar" % way)
        environment = {"ARCHWAY_ROOT": cache, **({"ARCHWAY_STALL_TIMEOUT": "1"} if "stall" in way else {})}
        lazy = way in ("blobstall", "midstall", "dies", "slowdeath", "endless", "shortlayer", "lielayer", "blobloop", "fileurl")
        result = pull(name, "-o", "type=oci,dest=" + out, environment=environment)
        if way == "wrongtype" and result.status == 0:
            world.works("registry: a Content-Type that says nothing is seen through", result)
            continue
        world.refused("registry: build on one that does %s" % way, result, server.name, way + "/app", *words, "Dockerfile:", absent=["\x1b"])
        if not lazy or way in ("lielayer", "dies", "endless", "midstall"):
            copied = world.path("copied-" + way)
            result = world.run("copy", name, "oci-archive:" + copied, environment=environment)
            world.refused("registry: copy from one that does %s" % way, result, server.name, way + "/app", *words, absent=["\x1b"])
            world.check(not os.path.exists(copied), "registry: %s leaves no archive" % way)
        # Nothing of a blob that did not arrive whole: every file is what its name says.
        for at, _, files in os.walk(os.path.join(cache, "blobs")):
            for name_ in files:
                if re.fullmatch("[0-9a-f]{64}", name_):
                    data = pathlib.Path(at, name_).read_bytes()
                    world.check(hashlib.sha256(data).hexdigest() == name_, "registry: %s left half a blob" % way)
                else:
                    world.check(False, "registry: %s left %s" % (way, name_))
        world.works("registry: after %s the cache works" % way, pull(server.name + "/good/app:1", environment=environment))
        shutil.rmtree(cache)
    world.works("registry: 429 and then well", pull(server.name + "/busy/app:1", environment={"ARCHWAY_ROOT": world.fresh("cache")}))
    refused = "127.0.0.1:%d" % closed_port()
    world.refused("registry: nobody listens", pull(refused + "/app:1"), refused, ("refused", "connect"))
    world.refused("registry: no such host", pull("no-such-host.invalid/app:1"), "no-such-host.invalid")
    credentials_stay(world, pull, server, other)
    world.nothing_left("registries", world.folder)


def credentials_stay(world, pull, server, other):
    config = world.fresh("docker")
    auth = base64.b64encode(b"user:hunter2").decode()
    pathlib.Path(config, "config.json").write_text(json.dumps({"auths": {server.name: {"auth": auth}}}))
    other.asked.clear()
    result = pull(server.name + "/elsewhere/app:1", environment={"DOCKER_CONFIG": config, "ARCHWAY_ROOT": world.fresh("cache")})
    world.works("registry: redirected to another host", result)
    world.check(other.asked and not any(authorization for _, _, authorization in other.asked), "registry: no credentials for another host", str(other.asked))
    world.check("hunter2" not in result.err and auth not in result.err, "registry: no secrets in the messages", result.err)
    pathlib.Path(config, "config.json").write_text('{"auths": ')
    world.refused("a docker config that is no JSON", pull(server.name + "/good/app:1", environment={"DOCKER_CONFIG": config}), "config.json")


def pushes(world, server):
    for way, words in [("denied", ["no pushes on Sunday"]), ("full", ["no space left"]), ("upload500", ["the disk is on fire"]), ("uploadcut", [server.name]),
                       ("uploadstall", ["no byte came for 10.0s"]), ("notag", ["no such thing"])]:
        result = world.build("FROM scratch\nCOPY a /%s\n" % way, "-t", "%s/%s/app:1" % (server.name, way), "--push", files={"a": os.urandom(100000)},
                             environment={"ARCHWAY_STALL_TIMEOUT": "1"} if "stall" in way else {})
        world.refused("registry: push to one that does %s" % way, result, server.name, way + "/app", *words)
        world.check(not result.out.strip(), "registry: no digest is printed of what was not pushed (%s)" % way, result.out)
    refused = "127.0.0.1:%d" % closed_port()
    world.refused("registry: push to nobody", world.build("FROM scratch\nCOPY a /\n", "-t", refused + "/app:1", "--push", files={"a": b"1"}), refused, ("refused", "connect"))
    world.refused("registry: index create of what is not there", world.run("index", "create", "-t", world.registry + "/a:1", world.registry + "/none:1"), "none:1")
    world.refused("registry: verify of what is not there", world.run("verify", world.registry + "/none:1"), "none:1")
    world.refused("registry: inspect of an invalid name", world.run("inspect", "a b c"), "a b c")


# --- Layers.

def hostile_layers(outside):
    """name, layer, words of the message or None: refused; else where COPY must have put what it copied, and what is shown of it."""
    deep = "/".join(["d"] * 2000)
    yield "..", layer(tar_of([file("../../../../canary", b"harm")])), ["../../../../canary"]
    yield ".. inside", layer(tar_of([file("a/../../canary", b"harm")])), ["a/../../canary"]
    yield "a symlink and a file through it", layer(tar_of([link("out", outside), file("out/canary", b"harm")])), None
    yield "a symlink in its own layer, written through by a hard link", layer(tar_of([link("out", outside), hard("x", "out/canary")])), "any"
    yield "a hard link to ..", layer(tar_of([hard("x", "../../../../../canary")])), "any"
    yield "a hard link to an absolute path", layer(tar_of([hard("x", outside + "/canary")])), "any"
    yield "a hard link to nothing", layer(tar_of([hard("x", "no/such")])), "any"
    yield "an absolute path", layer(tar_of([file(outside + "/canary", b"harm")])), "any"
    yield "a device", layer(tar_of([("dev/mine", tarfile.CHRTYPE, "", 0o666)])), "any"
    yield "a file where a folder is needed", layer(tar_of([file("a"), file("a/b")])), "any"
    yield "duplicates", layer(tar_of([file("a", b"1"), folder("a"), file("a", b"2"), link("a", "/etc/passwd"), file("a", b"3")])), "any"
    yield "a whiteout of ..", layer(tar_of([file("a/.wh..")])), "any"
    yield "a whiteout that is a path", layer(tar_of([file(".wh.")])), "any"
    yield "too deep", layer(tar_of([file(deep + "/x")])), "any"
    yield "a name with a NUL", layer(tar_of([file("a")]).replace(b"a\0", b"a\0", 1)), "any"
    good = tar_of([folder("good"), file("good/file", os.urandom(200000))])
    packed = gzip.compress(good, 1)
    yield "truncated gzip", layer(good, blob=packed[:len(packed) // 2]), ["cut short"]
    yield "truncated tar", layer(good[:150000]), [("cut short", "ended", "ends")]
    corrupt = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    yield "a corrupt checksum", layer(good, blob=corrupt), [("checksum", "CRC", "crc")]
    yield "corrupt deflate", layer(good, blob=packed[:50] + b"\xff" * 200 + packed[250:]), [("gzip", "deflate", "corrupt", "inflat", "invalid")]
    yield "no gzip at all", layer(good, blob=b"hello, world" * 100), [("gzip", "compress", "tar", "header", "checksum")]
    yield "a wrong diff_id", layer(good, diff_id="sha256:" + "1" * 64), ["sha256:111111"]
    yield "a size that is too small", layer(good, size=1000), ["1000"]
    yield "a size that is too large", layer(good, size=len(packed) + 5), [str(len(packed))]
    yield "a digest of other bytes", layer(good, digest="sha256:" + "2" * 64), ["sha256:22"]
    header = bytearray(good[:512])
    header[0] ^= 1
    yield "a corrupt header", layer(bytes(header) + good[512:]), [("checksum", "header")]
    big = tarfile.TarInfo("big")
    big.size = 1 << 60
    yield "a size beyond all disks", layer(big.tobuf(tarfile.GNU_FORMAT) + bytes(1024)), "refused"
    yield "a giant pax header", layer(pax(200 << 20)), [("pax", "header")]
    yield "endless pax headers", layer(pax_chain(20000)), "any"
    yield "an endless name", layer(long_name(3 << 20)), "refused"
    yield "an unknown compression", layer(good, mediaType="application/vnd.oci.image.layer.v1.tar+brotli"), ["brotli"]


def pax(size):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, size
    return info.tobuf() + b"30 comment=" + bytes(size - 11) + bytes(-size % 512) + tar_of([file("x")])


def pax_chain(count):
    info = tarfile.TarInfo("x")
    record = b"12 path=abc\n"
    info.type, info.size = tarfile.XHDTYPE, len(record)
    return (info.tobuf() + record + bytes(500)) * count + tar_of([file("x")])


def long_name(size):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, size
    return info.tobuf() + b"n" * size + bytes(-size % 512) + tar_of([file("x")])


def layers(world):
    for name, bad, words in hostile_layers(world.folder):
        base = world.fresh("hostile")
        write_layout(base, [busybox_image(HOST_ARCHITECTURE, [bad])])
        cache = world.fresh("cache")
        environment = {"ARCHWAY_ROOT": cache}
        for step in ("RUN ls / > /made; echo harm > /out/canary || true", "COPY a /out/canary"):
            result = world.build("FROM busybox\n%s\n" % step, "--no-cache", base=base, files={"a": b"harm"}, environment=environment)
            what = "layer: %s, %s" % (name, step.split()[0])
            if isinstance(words, list) or words == "refused":
                # Every message names the layer; the words name the entry.
                world.refused(what, result, ("layer", "sha256:"), *(words if isinstance(words, list) else []))
            elif result.status != 0:
                world.refused(what, result, ("layer", "sha256:", "Dockerfile:2"))
            else:
                world.works(what, result)
            world.check(pathlib.Path(world.canary).read_text() == "untouched", what + ": nothing written outside")
            leftovers = [os.path.join(at, f) for at, _, files in os.walk(cache) for f in files if "/tmp" in at[len(cache):] and "layers/sha256" not in at]
            world.check(not leftovers, what + ": nothing half-made", "\n".join(leftovers))
        result = world.run("verify", "oci:" + base)
        world.check(result.status in (0, 1, 2) and not any(c in result.err + result.out for c in CRASHES), "layer: %s, verify" % name, result.err)
        world.works("layer: %s: the cache works afterwards" % name, world.build("FROM busybox\nRUN true\n", environment=environment))
        subprocess.run(["rm", "-rf", cache, base])
    bombs(world)
    world.nothing_left("hostile layers", world.folder)


def bombs(world):
    """Small files that become large ones."""
    nested = io.BytesIO()
    with tarfile.open(fileobj=nested, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for depth in range(1, 101):
            for wide in range(1000 if depth == 50 else 1):
                info = tarfile.TarInfo("/".join(["n"] * depth) + "%d" % wide)
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
    chain = io.BytesIO()
    path = "n"
    for depth in range(100000):
        # 100,000 folders, each in the one before, as a path could only be told in pieces: each entry is longer than its parent's.
        if depth and len(path) > 60000:
            break
        path += "/n"
    info = tarfile.TarInfo("x")
    info.type, record = tarfile.XHDTYPE, b"path=" + b"n/" * 100000 + b"\n"
    size = len(record) + 7
    record = b"%d " % size + record
    info.size = len(record)
    chain.write(info.tobuf() + record + bytes(-len(record) % 512))
    chain.write(tar_of([folder("x")]))
    for name, data, must_refuse in [("folders within folders", nested.getvalue(), False), ("100,000 nested folders", chain.getvalue(), True)]:
        base = world.fresh("bomb")
        write_layout(base, [busybox_image(HOST_ARCHITECTURE, [layer(data)])])
        result = world.build("FROM busybox\nRUN true\n", base=base)
        if must_refuse:
            world.refused("layer: " + name, result, ("layer", "sha256:"), ("deep", "path", "nest", "long"))
        else:
            world.works("layer: " + name, result)
    # 1 TiB of zeros in 1 GiB is too slow to make; one entry that says it is 1 TiB, and 300 MiB of zeros that end, are refused early.
    info = tarfile.TarInfo("zeros")
    info.size = 1 << 40
    squeezed = io.BytesIO()
    with gzip.GzipFile(fileobj=squeezed, mode="wb", compresslevel=9, mtime=0) as packed:
        packed.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(300):
            packed.write(bytes(1 << 20))
    base = world.fresh("bomb")
    blob = squeezed.getvalue()
    write_layout(base, [busybox_image(HOST_ARCHITECTURE, [layer(b"", blob=blob, diff_id="sha256:" + "3" * 64)])])
    result = world.build("FROM busybox\nRUN true\n", base=base)
    world.refused("layer: a bomb", result, ("layer", "sha256:"))
    used = int(subprocess.run(["du", "-sm", world.cache], capture_output=True, text=True).stdout.split()[0])
    world.check(used < 200, "layer: a bomb leaves nothing", "%d MiB in the cache" % used)


# --- Images.

def images(world):
    image = busybox_image(HOST_ARCHITECTURE)
    manifest = json.loads(image.raw)
    big = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    level = image.descriptor
    nests = []
    for _ in range(20):
        raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [level]}).encode()
        nests.append(raw)
        level = {"mediaType": OCI_INDEX, "digest": sha256(raw), "size": len(raw)}
    entry = {k: v for k, v in image.descriptor.items()}
    cases = [
        ("layers and manifests", OCI_MANIFEST, json.dumps({**manifest, "manifests": [entry]}).encode(), ["at once"]),
        ("100,000 entries", OCI_INDEX, json.dumps({**big, "manifests": [entry] * 100000}).encode(), [("10000", "MiB", "limit", "bytes")]),
        ("20,000 small entries", OCI_INDEX, json.dumps({**big, "manifests": [{"mediaType": OCI_MANIFEST, "digest": entry["digest"], "size": 1}] * 20000}).encode(),
         ["10000"]),
        ("a manifest over the limit", OCI_MANIFEST, json.dumps({**manifest, "annotations": {"a": "x" * (9 << 20)}}).encode(), [("8 MiB", "8388608", "limit", "larger")]),
        ("indexes nested too deep", OCI_INDEX, nests[-1], [("deep", "nest")]),
        ("no JSON", OCI_MANIFEST, b"\x00\x01\x02", [("JSON", "json")]),
        ("JSON nested too deep", OCI_MANIFEST, b"[" * 100000, [("deep", "nest")]),
        ("an array", OCI_MANIFEST, b"[]", ["manifest"]),
        ("a missing blob", OCI_INDEX, json.dumps({**big, "manifests": [{**entry, "digest": "sha256:" + "4" * 64}]}).encode(), ["sha256:4444"]),
        ("a digest that is a path", OCI_INDEX, json.dumps({**big, "manifests": [{**entry, "digest": "sha256:../../../canary"}]}).encode(), ["digest"]),
        ("a negative size", OCI_INDEX, json.dumps({**big, "manifests": [{**entry, "size": -1}]}).encode(), ["size"]),
        ("a size with a fraction", OCI_INDEX, json.dumps({**big, "manifests": [{**entry, "size": 1.5}]}).encode(), ["size"]),
        ("schema version 1", "application/vnd.docker.distribution.manifest.v1+json", json.dumps({"schemaVersion": 1, "fsLayers": []}).encode(), [("schema", "v1")]),
        ("an unknown media type", "application/x-frobnicate", b"{}", [("frobnicate", "schemaVersion")]),
    ]
    for name, media_type, raw, words in cases:
        layout = world.fresh("image")
        raw_layout(layout, media_type, raw, [image])
        for nest in nests:
            pathlib.Path(layout, "blobs/sha256", sha256(nest)[7:]).write_bytes(nest)
        each_verb(world, name, layout, words)
    types = [("an architecture that is a number", {"architecture": 7}), ("rootfs that is a list", {"rootfs": []}), ("diff_ids of nonsense", {"rootfs": {"type": "layers", "diff_ids": ["x"]}}),
             ("too few diff_ids", {"rootfs": {"type": "layers", "diff_ids": []}}), ("config that is a string", {"config": "x"}), ("Env that is a map", {"config": {"Env": {"a": 1}}}),
             ("history that is a number", {"history": 3}), ("created that is no time", {"created": "yesterday"})]
    for name, change in types:
        layout = world.fresh("image")
        write_layout(layout, [busybox_image(HOST_ARCHITECTURE, config_changes=change)])
        each_verb(world, name, layout, [("config", "diff_id", "created")], strict=False)
    for name, data, words in [("no index.json", None, ["holds no image"]), ("an index.json that is no JSON", b"{", ["index.json"]), ("an empty index.json", b'{"schemaVersion":2,"manifests":[]}', [])]:
        layout = world.fresh("image")
        write_layout(layout, [image], data or b"")
        if data is None:
            os.unlink(os.path.join(layout, "index.json"))
        each_verb(world, name, layout, words)
    world.refused("a layout that is not there", world.run("inspect", "oci:/no/such"), "/no/such")
    world.refused("an archive that is none", world.run("inspect", "oci-archive:" + world.canary), "canary")
    world.refused("a docker archive that is none", world.run("inspect", "docker-archive:" + world.canary), "canary")
    world.refused("an archive that is a folder", world.run("inspect", "oci-archive:" + world.folder), world.folder)
    hostile_archives(world)
    world.nothing_left("hostile images", world.folder)


def each_verb(world, name, layout, words, strict=True):
    to = world.path("to-" + os.path.basename(layout))
    for verb in (["inspect", "oci:" + layout], ["inspect", "--json", "oci:" + layout], ["copy", "oci:" + layout, "oci-archive:" + to], ["verify", "oci:" + layout],
                 ["copy", "oci:" + layout, world.registry + "/hostile:1"], ["build", "--build-context", "busybox=oci-layout://" + layout, "build"]):
        if verb[-1] == "build":
            result = world.build("FROM busybox\nCOPY a /\n", *verb[1:-1][:0], base=layout, files={"a": b""})
        else:
            result = world.run(*verb)
        what = "image: %s: %s" % (name, " ".join(verb[:2] if verb[1] == "--json" else verb[:1]))
        if verb[0] == "verify" and result.status == 2:
            # What could not be checked of one platform stands in the report.
            result.err += "\narchway: " + result.out
        if strict or result.status not in (0, 1):
            world.refused(what, result, *words, seconds=20)
        else:
            world.check(not any(c in result.err + result.out for c in CRASHES), what, result.err)
        if result.status != 0:
            world.check(not os.path.exists(to), what + ": nothing half-made")
        with contextlib.suppress(OSError):
            os.unlink(to)


def hostile_archives(world):
    for name, entries in [("links in a circle", [link("index.json", "index.json"), link("oci-layout", "index.json")]), ("a link out", [link("index.json", "/etc/passwd"), file("oci-layout", b"{}")]),
                          ("index.json twice", [file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), file("index.json", b"{"), file("index.json", b"[")]),
                          ("an empty archive", []), ("a device for a manifest", [("manifest.json", tarfile.CHRTYPE, "", 0o600), ("index.json", tarfile.FIFOTYPE, "", 0o600)])]:
        path = world.path("archive.tar")
        pathlib.Path(path).write_bytes(tar_of(entries))
        for kind in ("oci-archive", "docker-archive"):
            world.refused("%s: %s" % (kind, name), world.run("inspect", "%s:%s" % (kind, path)), "archive.tar", seconds=20)


# --- A full disk.

def full_disk(world):
    if os.geteuid() != 0:
        return world.skip("a full disk: needs root to mount a small tmpfs")
    script = os.path.abspath(__file__)
    mountpoint = world.fresh("disk")
    done = subprocess.run(["unshare", "-m", "--propagation", "private", sys.executable, script, world.archway, "--in-small-disk", mountpoint, world.base, world.registry],
                          capture_output=True, text=True, env=world.environment, timeout=600)
    numbers = re.findall(r"^counted (\d+) (\d+)$", done.stdout, re.M)
    print(re.sub(r"^counted .*\n", "", done.stdout, flags=re.M), end="")
    if not world.check(len(numbers) == 1, "the full disk's cases ran", done.stdout + done.stderr):
        return
    world.passed += int(numbers[0][0])
    world.failed += int(numbers[0][1])


def in_small_disk(archway, mountpoint, base, registry):
    world = World.__new__(World)
    world.archway, world.folder, world.base, world.registry = archway, os.path.join(mountpoint, "work"), base, registry
    world.passed = world.failed = world.skipped = world.number = 0
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", mountpoint], check=True)
    os.makedirs(world.folder)
    world.environment = dict(os.environ)
    aside = tempfile.mkdtemp(prefix="archway-bad.")
    random_bytes = random.Random(SEED)
    big = random_bytes.randbytes(8 << 20)
    ballast = os.path.join(mountpoint, "ballast")

    def room():
        disk = os.statvfs(mountpoint)
        return disk.f_bavail * disk.f_frsize

    def fill(leave):
        # The kernel gives a container's deleted files back a moment after its last process.
        wait_for(lambda: room() > 5 << 20)
        with open(ballast, "wb") as f:
            with contextlib.suppress(OSError):
                while True:
                    f.write(bytes(1 << 16))
                    f.flush()
        os.truncate(ballast, max(0, os.path.getsize(ballast) - leave))

    try:
        context = os.path.join(aside, "context")
        os.makedirs(context)
        pathlib.Path(context, "big").write_bytes(big)
        roomy = {"ARCHWAY_ROOT": os.path.join(aside, "cache")}
        cramped = {"ARCHWAY_ROOT": os.path.join(world.folder, "cache")}
        out = os.path.join(world.folder, "out.tar")
        build = ["build", "--progress", "plain", "--build-context", "busybox=oci-layout://" + base]
        pathlib.Path(context, "Dockerfile").write_text("FROM busybox\nCOPY big /big\n")
        cases = [("COPY", ["-o", "type=oci,dest=" + os.path.join(aside, "out.tar")], "FROM busybox\nCOPY big /big\n", cramped, world.folder),
                 ("RUN", ["-o", "type=oci,dest=" + os.path.join(aside, "out.tar")], "FROM busybox\nRUN dd if=/dev/urandom of=/big bs=1M count=8\n", cramped, world.folder),
                 ("an archive", ["-o", "type=oci,dest=" + out], "FROM busybox\nCOPY big /big\n", roomy, out),
                 ("a docker archive", ["-o", "type=docker,dest=" + out], "FROM busybox\nCOPY big /big\n", roomy, out),
                 ("a tar", ["-o", "type=tar,dest=" + out], "FROM busybox\nCOPY big /big\n", roomy, out),
                 ("a layout", ["-o", "type=oci,tar=false,dest=" + out], "FROM busybox\nCOPY big /big\n", roomy, out),
                 ("a folder", ["-o", "type=local,dest=" + out], "FROM busybox\nCOPY big /big\n", roomy, out)]
        for name, flags, text, environment, place in cases:
            pathlib.Path(context, "Dockerfile").write_text(text)
            for leave in (4 << 20, 256 << 10, 0):
                fill(leave)
                result = world.run(*build, *flags, context, environment=environment, cwd=aside)
                what = "a disk with %d KiB left: %s" % (leave >> 10, name)
                world.refused(what, result, "No space left", place if place == out else mountpoint, "hint: ")
                left = [f for f in every_file(world.folder) if re.search(r"\.tmp|tmp\.|/tmp/|scratch", f) and not f.endswith("/locks/tmp") and "/fs/" not in f]
                left += [f for f in every_file(world.folder) if f.endswith("/big") and os.path.getsize(os.path.join(world.folder, f[1:])) != len(big)]
                world.check(not left, what + ": nothing half-made", "\n".join(left))
                if name in ("an archive", "a docker archive", "a tar"):
                    world.check(os.listdir(world.folder) in ([], ["cache"]), what + ": no output", str(os.listdir(world.folder)))
                os.unlink(ballast)
            world.works("a disk with room again: " + name, world.run(*build, *flags, context, environment=environment, cwd=aside))
            shutil.rmtree(world.folder)
            os.makedirs(world.folder)
        # A registry on that disk: a refused push says so, and the tag does not move.
        copy_and_serve_on(world, mountpoint, fill, ballast, base)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    print("counted %d %d" % (world.passed, world.failed))


def every_file(top):
    """Paths from the top."""
    return [os.path.join(at, f)[len(top):] for at, _, files in os.walk(top) for f in files]


def copy_and_serve_on(world, mountpoint, fill, ballast, base):
    to = os.path.join(world.folder, "copied.tar")
    fill(100 << 10)
    result = world.run("copy", "oci:" + base, "oci-archive:" + to)
    world.refused("a full disk: copy to an archive", result, "No space left", "copied.tar", "hint: ")
    world.check(not os.listdir(world.folder), "a full disk: copy leaves nothing", str(os.listdir(world.folder)))
    os.unlink(ballast)
    server = subprocess.Popen([world.archway, "registry", "serve", "--root", os.path.join(world.folder, "registry"), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    try:
        name = server.stdout.readline().strip().rsplit("/", 1)[1]
        fill(100 << 10)
        result = world.run("copy", "oci:" + base, name + "/app:1")
        world.refused("a full disk: push to a registry on it", result, name, "app", ("No space left", "no space left", "507", "500", "full"))
        world.refused("a full disk: the tag did not move", world.run("inspect", name + "/app:1"), "app:1")
        os.unlink(ballast)
        world.works("a disk with room again: push to a registry on it", world.run("copy", "oci:" + base, name + "/app:1"))
    finally:
        server.terminate()
        server.wait()


# --- Being stopped.

def tag_of(world, name):
    result = world.run("inspect", "--json", name)
    return json.loads(result.out).get("digest") if result.status == 0 else None


def interrupted(world):
    rng = random.Random(SEED)
    name = world.registry + "/stopped:1"
    base = world.build("FROM busybox\nCOPY a /\n", "-t", name, "--push", files={"a": b"first"})
    world.works("a first image under the tag", base)
    before = tag_of(world, name)
    late = 0
    for turn in range(20):
        sig = rng.choice([signal.SIGINT, signal.SIGTERM])
        wait = rng.uniform(0, 1.5) if turn else 0.0
        text = "FROM busybox\nCOPY a /a\nRUN echo %s >/dev/null; sleep 0.3; echo %d > /x; sh -c 'sleep 1'\nRUN --network=none true\n" % (MARK, turn)
        context = world.context(text, {"a": rng.randbytes(2_000_000)})
        words = [world.archway, "build", "--progress", "plain", "--build-context", "busybox=oci-layout://" + world.base, "--no-cache", "-t", name, "--push",
                 "--metadata-file", world.path("metadata.json"), context]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=world.environment, start_new_session=True)
        time.sleep(wait)
        begun = time.monotonic()
        process.send_signal(sig)
        try:
            out, err = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        seconds = time.monotonic() - begun
        what = "%s after %.2f s" % (sig.name, wait)
        world.check(seconds <= 3, what + ": ends at once", "took %.1f s\n%s" % (seconds, err))
        if process.returncode == 0:
            late += 1
            before = tag_of(world, name)
        else:
            # In its first milliseconds the program has no handler yet: then the signal itself ends it.
            world.check(process.returncode in (2, 130, 143) or process.returncode == -sig, what + ": says that it failed", "status %d\n%s" % (process.returncode, err))
            world.check(not any(c in err for c in CRASHES), what + ": no crash", err)
            if process.returncode > 0:
                world.check("archway: " in err and ("cancel" in err or "stopped" in err), what + ": a message", err)
            world.check(tag_of(world, name) == before, what + ": the tag stays")
            world.check(not os.path.exists(world.path("metadata.json")), what + ": no metadata")
        with contextlib.suppress(OSError):
            os.unlink(world.path("metadata.json"))
        settle(world)
        world.nothing_left(what, world.path("registry"))
    world.check(late < 10, "most signals came in time", "%d of 20 came late" % late)
    world.still_works("being stopped")
    stopped_outputs(world, rng)


def settle(world):
    """A killed container is gone when the kernel has buried it: give it a moment."""
    for _ in range(30):
        if not world.processes():
            return
        time.sleep(0.1)


def stopped_outputs(world, rng):
    """Stopped while an archive is written, and while a registry stalls."""
    big = rng.randbytes(30_000_000)
    folder_path = world.context("FROM scratch\nCOPY big /\n", {"big": big})
    world.works("a big image", world.run("build", "-q", folder_path))
    for kind in ("oci", "docker", "tar"):
        out = world.fresh("stopped")
        process = subprocess.Popen([world.archway, "build", "-q", "-o", "type=%s,dest=%s/out" % (kind, out), folder_path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   env=world.environment)
        deadline = time.monotonic() + 10
        while not os.listdir(out) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        process.communicate()
        left = os.listdir(out)
        world.check(left == ([] if process.returncode else ["out"]), "SIGINT while writing type=%s: no half of it" % kind, str(left))
    with contextlib.closing(Registry(busybox_image(HOST_ARCHITECTURE))) as server:
        for words in (["inspect", server.name + "/stall/app:1"], ["verify", server.name + "/midstall/app:1"], ["copy", server.name + "/midstall/app:1", "oci:" + world.path("stalled")],
                      ["build", world.context("FROM %s/midstall/app:1\nRUN true\n" % server.name)], ["run", server.name + "/stall/app:1"]):
            process = subprocess.Popen([world.archway, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                       env={**world.environment, "ARCHWAY_STALL_TIMEOUT": "60", "ARCHWAY_ROOT": world.fresh("cache")})
            time.sleep(1)
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            try:
                _, err = process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                _, err = process.communicate()
            seconds = time.monotonic() - begun
            world.check(seconds <= 3 and process.returncode not in (0, -9), "SIGINT: %s while a registry stalls" % words[0], "%.1f s, status %s\n%s" % (seconds, process.returncode, err))


def killed(world):
    rng = random.Random(SEED)
    before = tag_of(world, world.registry + "/stopped:1")
    for turn in range(8):
        context = world.context("FROM busybox\nRUN echo %d; (%s &) ; setsid %s & %s\n" % (turn, SLEEP, SLEEP, SLEEP))
        process = subprocess.Popen([world.archway, "build", "--progress", "plain", "--build-context", "busybox=oci-layout://" + world.base, "--no-cache", "-t",
                                    world.registry + "/stopped:1", "--push", context], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=world.environment)
        if turn % 2 == 0:
            wait_for(lambda: [p for p in world.processes() if SLEEP in p])
        else:
            time.sleep(rng.uniform(0, 0.5))
        if turn % 2 == 0:
            world.check(any(SLEEP in p for p in world.processes()), "kill -9 during RUN, turn %d: it runs" % turn)
        process.kill()
        process.communicate()
        wait_for(lambda: not world.processes())
        world.check(not world.processes(), "kill -9 during RUN, turn %d: nothing runs on" % turn, "\n".join(world.processes()))
        with open("/proc/self/mountinfo") as mounts:
            left = [line for line in mounts if world.cache in line]
        world.check(not left, "kill -9 during RUN, turn %d: nothing stays mounted" % turn, "\n".join(left))
        world.still_works("kill -9, turn %d" % turn)
    world.check(tag_of(world, world.registry + "/stopped:1") == before, "kill -9: the tag stays")
    world.works("cache prune after kill -9", world.run("cache", "prune", "--all"))
    left = [os.path.join(at, f) for at, _, files in os.walk(world.cache) for f in files if not re.search(r"results\.sqlite|lock|/locks/|/runtime/", os.path.join(at, f))]
    world.check(not left, "kill -9: prune leaves nothing", "\n".join(left[:10]))
    world.still_works("cache prune")


def wait_for(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


GROUPS = {"dockerfiles": dockerfiles, "context_links": context_links, "platforms": platforms, "usage": usage, "registries": registries, "layers": layers, "images": images,
          "full_disk": full_disk, "interrupted": interrupted, "killed": killed}


def main():
    archway = os.path.realpath(sys.argv[1])
    if sys.argv[2:3] == ["--in-small-disk"]:
        return in_small_disk(archway, *sys.argv[3:])
    if not os.path.exists(BUSYBOX) or b"statically linked" not in subprocess.run(["file", "-b", BUSYBOX], capture_output=True).stdout and not is_static(BUSYBOX):
        print("skipped: busybox-static is not installed")
        return
    world = World(archway)
    try:
        for name in sys.argv[2:] or GROUPS:
            begun = time.monotonic()
            GROUPS[name](world)
            print("%s: %.1f s" % (name, time.monotonic() - begun), flush=True)
    finally:
        world.close()
    print("%d passed, %d failed" % (world.passed, world.failed) + (", %d skipped" % world.skipped if world.skipped else ""))
    sys.exit(world.failed > 0)


def is_static(path):
    """No PT_INTERP among the program headers (ELF64)."""
    data = pathlib.Path(path).read_bytes()[:4096]
    offset, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    return all(struct.unpack_from("<I", data, offset + i * size)[0] != 3 for i in range(count))


if __name__ == "__main__":
    main()
