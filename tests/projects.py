#!/usr/bin/env python3
"""Compose projects and pipelines as archway reads them: which images, and where each stands.

    tests/projects.py ARCHWAY
"""
import json, os, pathlib, shutil, subprocess, sys, tempfile

# Files, what to audit, and the images with the files that they stand in.
CASES = {
    "an override is part of the project": ({"compose.yaml": "services:\n  web: {image: 'quay.io/a/web:1', platform: linux/amd64}\n  db: {image: 'quay.io/a/db:1'}\n", "compose.override.yaml": "services:\n  web: {image: 'quay.io/a/web:2'}\n"},
                                           {"quay.io/a/web:2": "compose.override.yaml", "quay.io/a/db:1": "compose.yaml"}),
    "extends, here and elsewhere": ({"docker-compose.yml": "services:\n  base: {image: 'quay.io/a/base:1'}\n  a: {extends: base, command: x}\n  b: {extends: {service: base}, image: 'quay.io/a/b:1'}\n  c: {extends: {file: sub/common.yaml, service: c}}\n",
                                     "sub/common.yaml": "services:\n  c: {extends: d}\n  d: {image: 'quay.io/a/d:1'}\n"},
                                    {"quay.io/a/base:1": "docker-compose.yml", "quay.io/a/b:1": "docker-compose.yml", "quay.io/a/d:1": "sub/common.yaml"}),
    "includes with their own variables": ({"compose.yaml": "include:\n- sub/infra.yaml\n- {path: [sub/two.yaml, sub/over.yaml], env_file: two.env}\n- oci://registry.example.org/x:1\n- compose.yaml\nservices: {web: {image: 'quay.io/a/web:${TAG}'}}\n", ".env": "TAG=top # comment\n",
                                           "sub/.env": "export TAG='sub'\n", "sub/infra.yaml": "services: {infra: {image: 'quay.io/a/infra:${TAG}'}}\n", "sub/two.yaml": "services: {two: {image: 'quay.io/a/two:${TAG:-none}'}}\n",
                                           "sub/over.yaml": "services: {two: {platform: linux/amd64}}\n", "two.env": "V=2\nTAG=${V}.0\n"},
                                          {"quay.io/a/web:top": "compose.yaml", "quay.io/a/infra:sub": "sub/infra.yaml", "quay.io/a/two:2.0": "sub/two.yaml"}),
    "variables of all forms": ({"compose.yaml": "services:\n  a: {image: 'x/a:${A:-1}'}\n  b: {image: 'x/b:${A-2}'}\n  c: {image: 'x/c:${B:?say}'}\n  d: {image: 'x/d:${B+3}'}\n  e: {image: 'x/e:${A+no}4'}\n  f: {image: 'x/f:$$'}\n  g: {image: '${REG:-quay.io}/g:${X:-${B}}'}\n", ".env": "B=b\n"},
                               {"x/a:1": "compose.yaml", "x/b:2": "compose.yaml", "x/c:b": "compose.yaml", "x/d:3": "compose.yaml", "x/e:4": "compose.yaml", "x/f:$": "compose.yaml", "quay.io/g:b": "compose.yaml"}),
    "COMPOSE_FILE": ({"compose.yaml": "services: {web: {image: 'quay.io/a/web:1'}}\n", "compose.prod.yaml": "services: {web: {image: 'quay.io/a/web:3'}}\n", ".env": "COMPOSE_FILE=compose.yaml:compose.prod.yaml\n"}, {"quay.io/a/web:3": "compose.prod.yaml"}),
    "fragments, profiles, builds": ({"compose.yaml": "x-app: &app\n  image: quay.io/a/app:1\nservices:\n  a: {<<: *app, profiles: [debug]}\n  b:\n    build:\n      context: .\n      platforms: [linux/amd64]\n      additional_contexts: {base: 'docker-image://quay.io/a/context:1'}\n      dockerfile_inline: |\n        FROM quay.io/a/inline:1\n"},
                                    {"quay.io/a/app:1": "compose.yaml", "quay.io/a/context:1": "compose.yaml", "quay.io/a/inline:1": "compose.yaml"}),
    "a manifest that is called so": ({"compose-x.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: 'quay.io/a/pod:1'}]}\n"}, {"quay.io/a/pod:1": "compose-x.yaml"}),
    "services that extend themselves": ({"compose.yaml": "services:\n  a: {extends: b, image: 'quay.io/a/a:1'}\n  b: {extends: a}\n"}, {"quay.io/a/a:1": "compose.yaml"}),
    "GitLab: local includes, globs, extends": ({".gitlab-ci.yml": "include:\n- local: /ci/*.yml\n- 'ci/deep/**.yml'\n- {project: a/b, file: x.yml}\n- https://example.org/x.yml\ndefault: {image: quay.io/a/default:1}\njob: {extends: [.one, .two], script: [x]}\nplain: {script: [x]}\nown: {image: {name: 'quay.io/a/own:1', entrypoint: ['']}, script: [x], services: [{name: 'quay.io/a/dind:1'}, 'quay.io/a/redis:1']}\n",
                                                "ci/a.yml": ".one: {image: quay.io/a/one:1}\n.unused: {image: quay.io/a/unused:1}\n", "ci/b.yml": ".two: {extends: .one, image: 'quay.io/a/two:$V', variables: {V: '2'}}\nfrom-b: {script: [x], image: quay.io/a/b:1}\n", "ci/deep/er/c.yml": "c: {script: [x], image: quay.io/a/c:1}\n"},
                                               {"quay.io/a/default:1": ".gitlab-ci.yml", "quay.io/a/two:2": "ci/b.yml", "quay.io/a/own:1": ".gitlab-ci.yml", "quay.io/a/dind:1": ".gitlab-ci.yml", "quay.io/a/redis:1": ".gitlab-ci.yml", "quay.io/a/b:1": "ci/b.yml", "quay.io/a/c:1": "ci/deep/er/c.yml"}),
    "GitLab: variables, references, matrices": ({".gitlab-ci.yml": "variables: {REG: quay.io/a, BASE: {value: '$REG/base', description: x}, V: '1'}\n.t: {image: '$BASE:ref'}\na: {script: [x], image: '${BASE}:$V'}\nb: {script: [x], image: '$BASE:$V', variables: {V: '2'}}\nc: {script: [x], image: !reference [.t, image]}\n"
                                                 "d: {script: [x], image: '$REG/m:$OS-$N', parallel: {matrix: [{OS: [deb, alp], N: ['1', '2']}, {OS: rhel, N: '9'}]}}\ne: {script: [x], image: '$CI_REGISTRY_IMAGE:x'}\n"},
                                                {"quay.io/a/base:1": ".gitlab-ci.yml", "quay.io/a/base:2": ".gitlab-ci.yml", "quay.io/a/base:ref": ".gitlab-ci.yml", **{"quay.io/a/m:" + m: ".gitlab-ci.yml" for m in ("deb-1", "deb-2", "alp-1", "alp-2", "rhel-9")}, "$CI_REGISTRY_IMAGE:x": ".gitlab-ci.yml"}),
    "GitLab: inputs, children, a template": ({".gitlab-ci.yml": "include: [{local: t.yml, inputs: {tag: '7'}}]\nchild: {trigger: {include: child.yml}}\n", "t.yml": "spec: {inputs: {tag: {default: '1'}, os: {default: deb}}}\n---\nj: {script: [x], image: 'quay.io/a/$[[ inputs.os ]]:$[[ inputs.tag ]]'}\n", "child.yml": "j: {script: [x], image: quay.io/a/child:1}\n", "lib.gitlab-ci.yml": ".t: {image: quay.io/a/template:1}\n"},
                                             {"quay.io/a/deb:7": "t.yml", "quay.io/a/child:1": "child.yml", "quay.io/a/template:1": "lib.gitlab-ci.yml"}),
    "GitLab: includes in a circle": ({".gitlab-ci.yml": "include: a.yml\nj: {script: [x], image: quay.io/a/j:1, extends: j}\n", "a.yml": "include: .gitlab-ci.yml\n"}, {"quay.io/a/j:1": ".gitlab-ci.yml"}),
    "GitHub: matrices, environment, inputs": ({".github/workflows/w.yml": "on: {workflow_call: {inputs: {tag: {default: '5'}}}}\nenv: {REG: quay.io/a}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    strategy: {matrix: {os: [deb, alp], include: [{os: rhel}], db: [{image: 'quay.io/a/db:1'}]}}\n    container: '${{ env.REG }}/${{ matrix.os }}:1'\n    services: {db: {image: '${{ matrix.db.image }}'}}\n    steps: [{uses: 'docker://quay.io/a/step:1'}]\n  b:\n    runs-on: x\n    container: {image: 'quay.io/a/in:${{ inputs.tag }}'}\n  c:\n    runs-on: x\n    container: 'quay.io/a/secret:${{ secrets.X }}'\n",
                                               "action.yml": "runs: {using: docker, image: 'docker://quay.io/a/action:1'}\n"},
                                              {**{"quay.io/a/%s:1" % o: ".github/workflows/w.yml" for o in ("deb", "alp", "rhel", "db", "step")}, "quay.io/a/in:5": ".github/workflows/w.yml", "quay.io/a/secret:${{ secrets.X }}": ".github/workflows/w.yml", "quay.io/a/action:1": "action.yml"}),
}


def main():
    archway, failed, checks = os.path.realpath(sys.argv[1]), 0, 0
    top = tempfile.mkdtemp(prefix="archway-projects.")
    known = os.path.join(top, "known.json")
    open(known, "w").write("{}")
    reports = {}
    try:
        for title, (files, want) in CASES.items():
            folder = os.path.join(top, "case")
            shutil.rmtree(folder, ignore_errors=True)
            for name, text in files.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            run = subprocess.run([archway, "audit", "--json", "--offline", "--images", known, folder], capture_output=True, text=True, timeout=60, env={**os.environ, "ARCHWAY_ROOT": top + "/root"})
            reports[title] = report = json.loads(run.stdout)
            got = {use["image"]: os.path.relpath(use["source"], folder) for image in report["images"] for use in image["uses"]}
            checks += 2
            if got != want or report["unseen"]:
                failed += 1
                print("FAILED: %s\n  is   %r\n  want %r\n  unseen %r" % (title, got, want, report["unseen"]))
            # The bytes of what is edited are the image.
            for image in report["images"]:
                for use in image["uses"]:
                    lines = open(use["source"]).read().split("\n")
                    last = use["image"].split(":")[-1]
                    if "$" not in lines[use["line"] - 1] and last not in lines[use["line"] - 1] and "inline" not in use["image"]:
                        failed += 1
                        print("FAILED: %s: %s is not at line %d: %s" % (title, use["image"], use["line"], lines[use["line"] - 1]))
        skipped = lambda title: " ".join(s["what"] for s in reports[title]["skipped"])
        for title, what in (("includes with their own variables", "oci://registry.example.org/x:1"), ("GitLab: local includes, globs, extends", "project a/b"), ("GitLab: local includes, globs, extends", "https://example.org/x.yml")):
            checks += 1
            if what not in skipped(title):
                failed += 1
                print("FAILED: %s is named as elsewhere: %s" % (what, skipped(title)))
        rules = sorted((f["rule"], f["message"]) for f in reports["fragments, profiles, builds"]["findings"] if f["rule"] == "compose-platform")
        checks += 1
        if rules != [("compose-platform", "service b is built for linux/amd64 only")]:
            failed += 1
            print("FAILED: what is built for one platform: %r" % rules)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    print("projects: %d checks, %d failed" % (checks, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
