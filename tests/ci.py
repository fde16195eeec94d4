#!/usr/bin/python3
"""`archway ci` with the real binary: what it writes is read again as YAML, its scripts by a shell, its jobs hang together; where the
systems' published schemas are at hand ($ARCHWAY_CI_SCHEMAS, else ../shared/vectors/ci: gitlab-ci.json, github-workflows.json, circle-ci.json)
they hold; and for several systems the jobs are run, against a registry of archway's own. `archway ci check` finds what it is there to find.
    tests/ci.py ARCHWAY"""
import itertools, json, os, pathlib, pty, re, shutil, subprocess, sys, tempfile

try:
    import yaml
except ImportError:
    print("skipped: python3-yaml is not installed")
    sys.exit(0)
try:
    import jsonschema
except ImportError:
    jsonschema = None

archway = os.path.realpath(sys.argv[1])
here = pathlib.Path(__file__).resolve().parent
folder = pathlib.Path(tempfile.mkdtemp(prefix="archway-ci-"))
passed = failed = 0
SYSTEMS = ["gitlab", "github", "codebuild", "jenkins", "circleci", "tekton"]
IMAGE = "registry.example.com/team/app"


def check(what, truth, detail=""):
    global passed, failed
    if truth:
        passed += 1
    else:
        failed += 1
        print(f"FAILED: {what}: {detail}"[:3000])
    return truth


def run(*words, status=0, **more):
    result = subprocess.run([archway, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, **more)
    check(f"archway {' '.join(words)} ends with {status}", result.returncode == status, f"{result.returncode}: {result.stdout}{result.stderr}")
    return result


class Loader(yaml.SafeLoader):
    """YAML as the systems read it: `on` is a word, not true."""


Loader.yaml_implicit_resolvers = {first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"] for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def shell_reads(what, script, shell="dash"):
    result = subprocess.run([shutil.which(shell) or "sh", "-n"], input=script, stderr=subprocess.PIPE, text=True)
    check(f"a shell reads the scripts of {what}", result.returncode == 0, f"{result.stderr}\n{script}")


# ---- what hangs together in each system's file

def look_at_gitlab(what, text):
    data = yaml.load(text, Loader)
    words = {"workflow", "stages", "variables"}
    jobs = {name: job for name, job in data.items() if name not in words and not name.startswith(".")}
    for name, job in jobs.items():
        check(f"{what}: {name}", job["stage"] in data["stages"] and job["extends"] in data, job)
        shell_reads(what, "\n".join(data[job["extends"]].get("before_script", []) + job["script"]))
    check(what, list(jobs)[-2:] == ["verify", "publish"], list(jobs))
    return data


def look_at_github(what, text):
    data = yaml.load(text, Loader)
    check(what, data["permissions"] == {"contents": "read", "packages": "write"} and data["jobs"]["publish"]["needs"] in data["jobs"])
    for job in data["jobs"].values():
        for step in job["steps"]:
            check(what, ("run" in step) != ("uses" in step), step)
            if "run" in step:
                shell_reads(what, re.sub(r"\$\{\{.*?\}\}", "x", step["run"]), "bash")
    return data


def look_at_codebuild(what, text):
    data = yaml.load(text, Loader)
    builds = {build["identifier"]: build for build in data.get("batch", {}).get("build-graph", [])}
    for build in builds.values():
        check(what, set(build.get("depend-on", [])) <= set(builds), build)
        check(what, ("aarch64" in build["env"]["image"]) == (build["env"]["type"] == "ARM_CONTAINER"), build)
    shell_reads(what, "\n".join(data["phases"]["pre_build"]["commands"] + data["phases"]["build"]["commands"]), "bash")
    return data


def groovy_strings(text):
    return [one.replace("\\'", "'").replace("\\\\", "\\") for one in re.findall(r"'''(.*?)(?<!\\)'''", text, re.S)]


def look_at_jenkins(what, text):
    code = re.sub(r"'''.*?'''|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\\n]|\\.)*'", "''", text, flags=re.S)
    code = re.sub(r"//[^\n]*", "", code)
    for open_, close in ("{}", "()", "[]"):
        check(f"{what}: {open_}{close}", code.count(open_) == code.count(close), code)
    depth = 0
    for c in code:
        depth += (c == "{") - (c == "}")
        check(what, depth >= 0, code) if depth < 0 else None
    scripts = groovy_strings(text)
    check(what, len(scripts) in (1, 2), len(scripts))
    for script in scripts:
        shell_reads(what, script)


def look_at_circleci(what, text):
    data = yaml.load(text, Loader)
    names = set()
    for use in data["workflows"]["image"]["jobs"]:
        name, settings = (use, {}) if isinstance(use, str) else next(iter(use.items()))
        job = data["jobs"][name]
        check(what, set(job.get("parameters", {})) <= set(settings), use)
        check(what, set(settings.get("requires", [])) <= names, use)
        names.add(settings.get("name", name))
    for job in data["jobs"].values():
        for step in job["steps"]:
            if isinstance(step, dict) and "run" in step:
                shell_reads(what, step["run"]["command"], "bash")
    return data


def look_at_tekton(what, text):
    objects = list(yaml.load_all(text, Loader))
    tasks = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "Task"}
    pipeline = next(one["spec"] for one in objects if one["kind"] == "Pipeline")
    runs = next(one["spec"] for one in objects if one["kind"] == "PipelineRun")
    names = {task["name"] for task in pipeline["tasks"]}
    for task in pipeline["tasks"]:
        spec = tasks[task["taskRef"]["name"]]
        wanted = {param["name"] for param in spec.get("params", []) if "default" not in param}
        given = {param["name"] for param in task.get("params", [])}
        check(f"{what}: {task['name']}", wanted == given, (wanted, given))
        check(f"{what}: {task['name']}", {one["name"] for one in spec.get("workspaces", [])} == {one["name"] for one in task.get("workspaces", [])}, task)
        check(f"{what}: {task['name']}", set(task.get("runAfter", [])) <= names, task)
    declared = {param["name"] for param in pipeline["params"]}
    check(what, set(re.findall(r"\$\(params\.([\w-]+)\)", yaml.dump(pipeline))) <= declared)
    check(what, {param["name"] for param in pipeline["params"] if "default" not in param} <= {param["name"] for param in runs["params"]} <= declared, runs)
    check(what, {spec["pipelineTaskName"] for spec in runs.get("taskRunSpecs", [])} <= names)
    for spec in tasks.values():
        own = {param["name"] for param in spec.get("params", [])}
        check(what, set(re.findall(r"\$\(params\.([\w-]+)(?:\[\*\])?\)", yaml.dump(spec))) <= own, spec)
        for step in spec["steps"]:
            if "script" in step:
                shell_reads(what, re.sub(r"\$\((params|results)\.[^)]*\)", "x", step["script"]))


LOOKS = {"gitlab": look_at_gitlab, "github": look_at_github, "codebuild": look_at_codebuild, "jenkins": look_at_jenkins, "circleci": look_at_circleci, "tekton": look_at_tekton}
SCHEMAS = {"gitlab": "gitlab-ci.json", "github": "github-workflows.json", "circleci": "circle-ci.json"}
schema_folder = pathlib.Path(os.environ.get("ARCHWAY_CI_SCHEMAS", here.parent.parent / "shared/vectors/ci"))
validators, validated = {}, 0
if jsonschema:
    for system, name in SCHEMAS.items():
        if (schema_folder / name).exists():
            schema = json.loads((schema_folder / name).read_text())
            validators[system] = jsonschema.validators.validator_for(schema)(schema)


def every_combination():
    global validated
    froms = ["", "registry.example.com/tools/archway:1", "https://example.com/archway-{arch}"]
    for system, builder, machines, where, smoke, image in itertools.product(SYSTEMS, ["archway", "buildx"], ["--native", "--emulate"], froms, ["", "sh -c 'app --version'"], ["", IMAGE]):
        if system == "jenkins" and not image:
            continue
        words = ["ci", system, "--builder", builder, machines]
        words += ["--archway-from", where] if where else []
        words += ["--smoke-test", smoke] if smoke else []
        words += ["--image", image] if image else []
        what = " ".join(words[1:])
        text = subprocess.run([archway, *words], stdout=subprocess.PIPE, text=True).stdout
        data = LOOKS[system](what, text)
        check(f"{what} proves the image", "archway verify --platform linux/amd64,linux/arm64" in text)
        check(f"{what} moves the tag last", text.rindex("archway copy") > text.rindex("archway verify --platform"))
        check(f"{what} tries the image", not smoke or "app --version" in text)
        if system in validators:
            validated += 1
            errors = [f"{list(error.path)}: {error.message}" for error in validators[system].iter_errors(data)]
            check(f"{what} by the schema", not errors, "\n".join(errors)[:1500] + text)


# ---- the scripts at work

def serve():
    server = subprocess.Popen([archway, "registry", "serve", "--root", str(folder / "registry"), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    return server, server.stdout.readline().strip().removeprefix("listening on http://")


def fake(name, script):
    path = folder / "bin" / name
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)


def machine():
    """Programs that CI's machines have: docker runs nothing but archway's image, and nobody needs to log in."""
    (folder / "bin").mkdir()
    (folder / "work").mkdir()
    (folder / "work/Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nLABEL for=$TARGETARCH\nCOPY Dockerfile /\n")
    fake("docker", 'case "$1" in login) cat >/dev/null; exit 0 ;; run) ;; *) echo "docker $*" >&2; exit 9 ;; esac\n'
         'while [ "$1" != --entrypoint ]; do shift; done; shift 3\nexec ' + archway + ' "$@"\n')
    fake("archway", 'if [ "$1" = login ]; then cat >/dev/null; exit 0; fi\nexec ' + archway + ' "$@"\n')
    fake("aws", "echo secret\n")
    subprocess.run(["sh", "-c", "git init -q && git add . && git -c user.name=a -c user.email=a@b commit -qm x"], cwd=folder / "work", check=True)


def job(what, script, shell="bash", status=0, **variables):
    environment = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder), "ARCHWAY_ROOT": str(folder / "state"), "no_proxy": "127.0.0.1", "ARCHWAY_IMAGE": "archway", **variables}
    result = subprocess.run([shell, "-c", script], cwd=folder / "work", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(f"{what} runs", result.returncode == status, result.stdout + script)


def platforms(reference):
    out = subprocess.run([archway, "inspect", "--json", reference], stdout=subprocess.PIPE, text=True).stdout
    return out.count('"linux/amd64"') > 0 and out.count('"linux/arm64"') > 0


def run_gitlab(registry):
    data = yaml.load(run("ci", "gitlab", "--builder", "archway", "--image", f"{registry}/gitlab/app").stdout, Loader)
    variables = {"CI_COMMIT_SHORT_SHA": "abc1234", "IMAGE": f"{registry}/gitlab/app", "REGISTRY": registry, "REGISTRY_USER": "u", "REGISTRY_PASSWORD": "p", "BUILD_TAG": "build-abc1234", "TAG": "latest"}
    script = lambda name: "set -e\n" + "\n".join(data[data[name]["extends"]]["before_script"] + data[name]["script"])
    job("gitlab build of a merge request", script("build"), "sh", ARCH="arm64", CI_PIPELINE_SOURCE="merge_request_event", **variables)
    check("a merge request pushes nothing", not platforms(f"{registry}/gitlab/app:build-abc1234"))
    for arch in "amd64", "arm64":
        job(f"gitlab build {arch}", script("build"), "sh", ARCH=arch, CI_PIPELINE_SOURCE="push", **variables)
    for name in "join", "verify":
        job(f"gitlab {name}", script(name), "sh", **variables)
    check("the tag moves last", not platforms(f"{registry}/gitlab/app:latest"))
    job("gitlab publish", script("publish"), "sh", **variables)
    check("gitlab: both platforms under the tag", platforms(f"{registry}/gitlab/app:latest"))
    shutil.rmtree(folder / "work/digests")


def run_codebuild(registry):
    data = yaml.load(run("ci", "codebuild", "--builder", "archway", "--image", f"{registry}/codebuild/app").stdout, Loader)
    script = "\n".join(data["phases"]["pre_build"]["commands"] + data["phases"]["build"]["commands"])
    variables = {**data["env"]["variables"], "CODEBUILD_RESOLVED_SOURCE_VERSION": "0123456789abcdef", "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/main", "CODEBUILD_WEBHOOK_EVENT": "PUSH"}
    job("codebuild: a pull request", script, JOB="amd64", **{**variables, "CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_CREATED"})
    job("codebuild: a pull request joins nothing", script, JOB="join", **{**variables, "CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_CREATED"})
    for name in "amd64", "arm64", "join":
        job(f"codebuild {name}", script, JOB=name, **variables)
    check("codebuild: both platforms under the tag", platforms(f"{registry}/codebuild/app:latest"))


def run_circleci(registry):
    data = yaml.load(run("ci", "circleci", "--builder", "archway", "--emulate", "--image", f"{registry}/circleci/app").stdout, Loader)
    command = lambda name: next(step["run"]["command"] for step in data["jobs"][name]["steps"] if isinstance(step, dict) and "run" in step)
    variables = {"CIRCLE_SHA1": "abcdef", "IMAGE": f"{registry}/circleci/app", "TAG": "latest", "MAIN_BRANCH": "main", "REGISTRY_USER": "u", "REGISTRY_PASSWORD": "p"}
    job("circleci on a branch", command("build"), CIRCLE_BRANCH="feature", **variables)
    job("circleci build", command("build"), CIRCLE_BRANCH="main", **variables)
    job("circleci publish", command("publish"), **variables)
    check("circleci: both platforms under the tag", platforms(f"{registry}/circleci/app:latest"))


def run_jenkins(registry):
    build, publish = groovy_strings(run("ci", "jenkins", "--builder", "archway", "--image", f"{registry}/jenkins/app").stdout)
    variables = {"IMAGE": f"{registry}/jenkins/app", "TAG": "latest", "REGISTRY_USER": "u", "REGISTRY_PASSWORD": "p"}
    job("jenkins: a change request", build, "sh", ARCH="arm64", CHANGE_ID="7", **variables)
    for arch in "amd64", "arm64":
        job(f"jenkins {arch}", build, "sh", ARCH=arch, **variables)
    job("jenkins publish", publish, "sh", BRANCH_NAME="main", **variables)
    check("jenkins: both platforms under the tag", platforms(f"{registry}/jenkins/app:latest"))


def run_github(registry):
    data = yaml.load(run("ci", "github", "--builder", "archway", "--image", f"{registry}/github/app").stdout, Loader)
    variables = {"IMAGE": f"{registry}/github/app", "REGISTRY": registry, "BUILD_TAG": "build-1", "TAG": "latest", "REGISTRY_USER": "u", "REGISTRY_PASSWORD": "p"}
    for arch in "amd64", "arm64":
        step = next(step["run"] for step in data["jobs"]["build"]["steps"] if step.get("name") == "Build and push")
        job(f"github {arch}", "set -e\n" + step.replace("${{ matrix.arch }}", arch), **variables)
    job("github publish", "set -e\n" + "\n".join(step["run"] for step in data["jobs"]["publish"]["steps"] if "run" in step), **variables)
    check("github: both platforms under the tag", platforms(f"{registry}/github/app:latest"))


# ---- check, refuse, ask

ARTICLE = """stages:
  - docker
docker-build:
  image: docker:latest
  stage: docker
  tags:
    - docker
  services:
    - name: docker:23.0-dind
      alias: docker
  script:
    - docker buildx create --use --driver-opt network=host --buildkitd-flags '--debug --allow-insecure-entitlement network.host'
    - echo $CI_REGISTRY_PASSWORD | docker login -u $CI_REGISTRY_USER $CI_REGISTRY --password-stdin
    - docker buildx build --platform linux/amd64,linux/arm64 --provenance false -t $CI_REGISTRY_IMAGE resources/python-code --push
"""


def checks():
    article = folder / ".gitlab-ci.yml"
    article.write_text(ARTICLE)
    found = run("ci", "gitlab", "--check", str(article), status=1).stdout
    check("the article's job", f"{article}:14:7: error: " in found and "[ci-no-emulator]" in found and "[ci-untagged-image]" in found, found)
    data = json.loads(run("ci", "check", "--json", str(article), status=1).stdout)
    rules = [finding["rule"] for finding in data["files"][0]["findings"]]
    check("as JSON", data["files"][0]["system"] == "gitlab" and data["summary"] == {"errors": 1, "warnings": 5, "notes": 2} and len(rules) == 8, data)
    fine = folder / "fine.yml"
    run("ci", "github", "--builder", "buildx", "-o", str(fine))
    run("ci", "check", str(fine))
    other = folder / "labeler.yml"
    other.write_text("documentation: docs/*\n")
    beside = run("ci", "check", str(other), str(article), "--json", status=1)
    check("a file of no system hides nothing of the others", [u["file"] for u in json.loads(beside.stdout)["unseen"]] == [str(other)] and len(json.loads(beside.stdout)["files"]) == 1, beside.stdout)
    check("and says so", "labeler.yml: no file of a system" in run("ci", "check", str(fine), str(other), status=2).stderr)
    nothing = folder / "nothing.yml"
    nothing.write_text("a: 1\n")
    check("no pipeline", "no file of a system" in run("ci", "check", str(nothing), status=2).stderr)
    run("ci", "check", str(folder / "none.yml"), status=2)
    run("ci", "check", "--system", "travis", str(fine), status=64)
    run("ci", "gitlab", "--native", "--emulate", status=64)
    run("ci", "gitlab", "--image", "registry.example.com/App", status=2)
    run("ci", "gitlab", "--image", "registry.example.com/app:1", status=64)
    run("ci", "jenkins", status=2)
    bad = folder / "Dockerfile.bad"
    bad.write_text("FROM debian:12\nARG TARGETARCH=amd64\nRUN echo $TARGETARCH\n")
    refused = run("ci", "gitlab", "--builder", "buildx", "--dockerfile", str(bad), status=1)
    check("a Dockerfile that cannot be built for both", f"{bad}:2:" in refused.stderr and "archway fix" in refused.stderr and not refused.stdout, refused)
    bad.write_text("FROM debian:12\nARG TARGETARCH\nRUN echo $TARGETARCH\n")
    run("ci", "gitlab", "--builder", "buildx", "--dockerfile", str(bad))
    master, slave = pty.openpty()
    asked = subprocess.Popen([archway, "ci", "gitlab"], stdin=slave, stderr=slave, stdout=subprocess.PIPE, text=True)
    os.write(master, b"archway\n")
    check("asks on a terminal", "archway build" in asked.communicate(timeout=60)[0])


every_combination()
checks()
machine()
server, registry = serve()
try:
    for one in run_gitlab, run_codebuild, run_circleci, run_jenkins, run_github:
        one(registry)
finally:
    server.terminate()
    server.wait()
shutil.rmtree(folder)
if len(validators) < len(SCHEMAS):
    print("skipped: the systems' schemas are not at hand" if not validators else f"schemas at hand: {sorted(validators)}")
else:
    print(f"{validated} pipelines by their systems' schemas")
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
