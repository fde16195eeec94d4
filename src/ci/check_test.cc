#include "ci/check.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace archway::ci {
namespace {

using Rules = std::vector<std::string>;

// "7 ci-no-emulator"
Rules rules(System system, std::string_view text) {
  auto findings = check_pipeline(system, text);
  EXPECT_TRUE(findings.ok()) << findings.error().message;
  Rules out;
  if (!findings.ok()) return out;
  for (const Finding& finding : *findings) out.push_back(std::to_string(finding.line) + " " + finding.rule);
  return out;
}
bool has(const Rules& found, std::string_view rule) {
  return std::any_of(found.begin(), found.end(), [&](const std::string& one) { return one.substr(one.find(' ') + 1) == rule; });
}

// The job of the article "Modernize your pipeline to be ARM-ready" (audit.md, D19), as it stands there.
constexpr std::string_view kArticle = R"(stages:
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
)";

TEST(CheckGitLab, FindsAllThatTheArticleGetsWrong) {
  EXPECT_EQ(rules(System::GitLab, kArticle), (Rules{"4 ci-unpinned-image", "9 ci-client-and-daemon", "12 ci-needless-entitlement", "12 ci-tls-context", "14 ci-no-emulator", "14 ci-no-verify",
                                                    "14 ci-provenance-off", "14 ci-untagged-image"}));
}

TEST(CheckGitLab, FollowsExtendsDefaultsAnchorsAndMatrices) {
  constexpr std::string_view kText = R"(default:
  image: docker:28
  services: [docker:28-dind]
.setup: &setup
  - docker run --privileged --rm tonistiigi/binfmt --install arm64
.base:
  before_script:
    - *setup
    - docker context create c
    - docker buildx create --use c
emulated:
  extends: .base
  script:
    - docker buildx build --platform linux/amd64,linux/arm64 -t $I:$T --push .
    - archway verify $I:$T
native:
  parallel:
    matrix:
      - {ARCH: amd64, RUNNER: saas-linux-small-amd64}
      - {ARCH: arm64, RUNNER: saas-linux-small-arm64}
  tags: [$RUNNER]
  script:
    - docker build --platform linux/$ARCH -t $I:$T-$ARCH .
)";
  EXPECT_EQ(rules(System::GitLab, kText), Rules{});
}

TEST(CheckGitLab, LooksIntoVariablesForATag) {
  auto text = [](std::string_view image) { return "variables: {IMAGE: \"" + std::string(image) + "\"}\na: {tags: [arm64], script: ['docker build -t $IMAGE . && docker push $IMAGE']}\n"; };
  EXPECT_FALSE(has(rules(System::GitLab, text("$CI_REGISTRY_IMAGE:$CI_COMMIT_SHA")), "ci-untagged-image"));
  EXPECT_TRUE(has(rules(System::GitLab, text("registry.example.com:5000/app")), "ci-untagged-image"));
  EXPECT_FALSE(has(rules(System::GitLab, "a: {tags: [arm64], script: ['I=x:1', 'docker build -t $I .']}\n"), "ci-untagged-image"));
}

TEST(CheckGitLab, KnowsTheHostedRunners) {
  EXPECT_TRUE(has(rules(System::GitLab, "a: {tags: [saas-linux-xlarge-arm64], script: [x]}\n"), "ci-unknown-runner"));
  EXPECT_FALSE(has(rules(System::GitLab, "a: {tags: [saas-linux-small-arm64, saas-linux-medium-amd64-gpu-standard], script: [x]}\n"), "ci-unknown-runner"));
}

TEST(CheckGitHub, FindsWhatPeopleGetWrong) {
  constexpr std::string_view kText = R"(name: image
on: [push, pull_request]
permissions:
  contents: read
jobs:
  build:
    strategy:
      matrix:
        include:
          - {platform: linux/amd64, runner: ubuntu-24.04}
          - {platform: linux/arm64, runner: ubuntu-24.04-arm64}
    runs-on: ${{ matrix.runner }}
    steps:
      - uses: docker/login-action@v3
        with: {registry: ghcr.io, username: "${{ github.actor }}", password: "${{ secrets.GITHUB_TOKEN }}"}
      - uses: docker/build-push-action@v6
        with:
          platforms: ${{ matrix.platform }}
          tags: ghcr.io/MyTeam/app:1
          cache-to: type=gha,mode=max
          outputs: type=image,name=ghcr.io/${{ github.repository }},push-by-digest=true,push=true
      - uses: actions/upload-artifact@v4
        with: {name: digests, path: x}
)";
  EXPECT_EQ(rules(System::GitHub, kText), (Rules{"12 ci-unknown-runner", "14 ci-missing-permission", "16 ci-no-verify", "16 ci-pull-request-pushes", "16 ci-shared-cache", "16 ci-tag-with-digest",
                                                 "16 ci-upper-case", "16 ci-upper-case", "22 ci-artifact-collision"}));
}

TEST(CheckGitHub, WantsAnEmulatorWhereTheMachineIsAnothers) {
  auto text = [](std::string_view runner, std::string_view steps, std::string_view platforms) {
    return "on: push\njobs:\n  b:\n    strategy: {matrix: {p: [linux/amd64, linux/arm64]}}\n    runs-on: " + std::string(runner) + "\n    steps:\n" + std::string(steps) +
           "      - uses: docker/build-push-action@v6\n        with: {platforms: '" + std::string(platforms) + "'}\n";
  };
  EXPECT_TRUE(has(rules(System::GitHub, text("ubuntu-24.04", "", "linux/amd64,linux/arm64")), "ci-no-emulator"));
  EXPECT_TRUE(has(rules(System::GitHub, text("ubuntu-24.04", "", "${{ matrix.p }}")), "ci-no-emulator"));
  EXPECT_TRUE(has(rules(System::GitHub, text("ubuntu-24.04-arm", "", "linux/amd64")), "ci-no-emulator"));
  EXPECT_FALSE(has(rules(System::GitHub, text("ubuntu-24.04-arm", "", "linux/arm64")), "ci-no-emulator"));
  EXPECT_FALSE(has(rules(System::GitHub, text("ubuntu-24.04", "      - uses: docker/setup-qemu-action@v3\n", "linux/amd64,linux/arm64")), "ci-no-emulator"));
}

TEST(Check, KnowsBuildersWithMachinesOfTheirOwn) {
  auto text = [](std::string_view create) { return "a: {script: ['docker buildx create " + std::string(create) + "', 'docker buildx build --platform linux/amd64,linux/arm64 -t a:1 --push .']}\n"; };
  EXPECT_TRUE(has(rules(System::GitLab, text("--use")), "ci-no-emulator"));
  EXPECT_FALSE(has(rules(System::GitLab, text("--append ssh://arm.example.com")), "ci-no-emulator"));
  EXPECT_FALSE(has(rules(System::GitLab, text("--driver cloud team/builder")), "ci-no-emulator"));
  EXPECT_FALSE(has(rules(System::GitLab, text("--driver=kubernetes")), "ci-no-emulator"));
}

TEST(CheckGitHub, KnowsWhereSeveralPlatformsCanBeLoaded) {
  auto text = [](std::string_view setup) {
    return "on: push\njobs:\n  b:\n    runs-on: ubuntu-24.04\n    steps:\n" + std::string(setup) +
           "      - uses: docker/setup-qemu-action@v3\n      - uses: docker/build-push-action@v6\n        with: {load: true, platforms: 'linux/amd64,linux/arm64'}\n";
  };
  EXPECT_TRUE(has(rules(System::GitHub, text("")), "ci-load-multi-platform"));
  EXPECT_FALSE(has(rules(System::GitHub, text("      - uses: docker/setup-docker-action@v4\n")), "ci-load-multi-platform"));
}

TEST(CheckCodeBuild, FindsWhatPeopleGetWrong) {
  constexpr std::string_view kText = R"(version: 0.2
batch:
  build-list:
    - identifier: amd64
      env: {type: LINUX_CONTAINER, image: "aws/codebuild/amazonlinux2-x86_64-standard:3.0", privileged-mode: true}
    - identifier: arm64
      env: {type: ARM_CONTAINER, image: "aws/codebuild/amazonlinux-x86_64-standard:5.0"}
phases:
  pre_build:
    commands:
      - docker login -u AWS -p $(aws ecr get-login-password) $REPO
  build:
    commands:
      - docker buildx build -t $REPO:$CODEBUILD_SOURCE_VERSION-$ARCH --push .
  post_build:
    commands:
      - |
        set -e
        docker manifest create $REPO:1 $REPO:1-amd64 $REPO:1-arm64
)";
  EXPECT_EQ(rules(System::CodeBuild, kText), (Rules{"5 ci-old-image", "7 ci-unprivileged", "7 ci-image-and-machine", "11 ci-password-argument", "14 ci-branch-as-tag", "14 ci-no-verify", "19 ci-manifest-of-index",
                                                    "19 ci-racing-join"}));
}

TEST(CheckJenkins, FindsWhatPeopleGetWrong) {
  constexpr std::string_view kText = R"(// docker build in a comment
pipeline {
  agent none
  environment { TAG = "${env.GIT_COMMIT.take(12)}"; IMAGE = 'example.org/app' }
  stages {
    stage('x') {
      agent { label 'docker && amd64' }
      steps {
        script { docker.build("app:arm64", "--platform linux/arm64 .") }
        sh '''
          docker build --provenance=false -t "$IMAGE" .
          docker build -t "$ELSEWHERE" .
          docker manifest create a:1 a:1-amd64 a:1-arm64
        '''
      }
    }
  }
}
)";
  EXPECT_EQ(rules(System::Jenkins, kText), (Rules{"4 ci-commit-before-checkout", "9 ci-no-emulator", "9 ci-no-verify", "11 ci-provenance-off", "11 ci-untagged-image", "13 ci-manifest-create"}));
}

TEST(CheckCircleCi, FindsWhatPeopleGetWrong) {
  constexpr std::string_view kText = R"(version: 2.1
jobs:
  build:
    parameters: {class: {type: string}}
    machine: {image: "ubuntu-2204:current", docker_layer_caching: true}
    resource_class: << parameters.class >>
    steps:
      - checkout
      - setup_remote_docker
      - run: docker build --platform linux/arm64 -t app:1 .
  both:
    docker: [{image: "cimg/base:2024.01"}]
    steps:
      - when: {condition: x, steps: [{run: {name: b, command: "docker buildx build --platform linux/amd64,linux/arm64 -t a:1 --push ."}}]}
workflows:
  w:
    jobs:
      - build: {class: arm.small}
)";
  EXPECT_EQ(rules(System::CircleCi, kText), (Rules{"5 ci-paid-caching", "6 ci-unknown-runner", "9 ci-remote-docker", "10 ci-no-verify", "14 ci-no-emulator"}));
}

TEST(CheckTekton, FindsWhatPeopleGetWrong) {
  constexpr std::string_view kText = R"(apiVersion: tekton.dev/v1
kind: Task
metadata: {name: t}
spec:
  steps:
    - {name: b, image: docker, command: [docker], args: [build, -t, example.org/app, .]}
---
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: p}
spec:
  params:
    - {name: build-platforms, type: array, default: [linux/x86_64]}
  tasks: [{name: b, taskRef: {name: t}}]
---
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: r}
spec:
  workspaces:
    - name: s
      volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce]}}
  taskRunSpecs:
    - {pipelineTaskName: b, podTemplate: {nodeSelector: {kubernetes.io/arch: $(params.ARCH)}}}
)";
  EXPECT_EQ(rules(System::Tekton, kText), (Rules{"6 ci-no-verify", "6 ci-untagged-image", "13 ci-one-platform", "22 ci-shared-volume"}));
}

TEST(Check, SaysThatOnlyOnePlatformIsBuilt) {
  EXPECT_TRUE(has(rules(System::GitLab, "a: {script: ['docker build -t x:1 .']}\n"), "ci-one-platform"));
  EXPECT_FALSE(has(rules(System::GitLab, "a: {script: ['echo hello']}\n"), "ci-one-platform"));
}

TEST(Check, RefusesWhatIsNoPipeline) {
  for (System system : all_systems()) {
    EXPECT_FALSE(check_pipeline(system, "").ok()) << system_name(system);
    EXPECT_FALSE(check_pipeline(system, "- a\n- b\n").ok()) << system_name(system);
    EXPECT_FALSE(check_pipeline(system, "a: [").ok()) << system_name(system);
    EXPECT_FALSE(check_pipeline(system, std::string(kMaxPipelineBytes + 1, '#')).ok());
  }
}

TEST(Check, SurvivesAliasesThatMultiply) {
  std::string text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char c = 'b'; c < 'k'; ++c) text += std::string(1, c) + ": &" + c + " [*" + char(c - 1) + ", *" + char(c - 1) + ", *" + char(c - 1) + ", *" + char(c - 1) + ", *" + char(c - 1) + "]\n";
  text += "job: {script: *j, extends: job}\n";
  EXPECT_TRUE(check_pipeline(System::GitLab, text).ok());
  EXPECT_TRUE(check_pipeline(System::GitLab, "x: &x {<<: *x}\njob: {<<: *x, script: [*y, docker build -t a:1 .]}\n").ok());
}

TEST(Recognize, GoesByNameThenByContent) {
  struct Case { const char *path, *text; System system; };
  for (const Case& c : {Case{"x/.gitlab-ci.yml", "", System::GitLab}, Case{"ci/Jenkinsfile.release", "", System::Jenkins}, Case{"a/.github/workflows/b.yaml", "", System::GitHub},
                        Case{".circleci/config.yml", "", System::CircleCi}, Case{"buildspec-arm.yml", "", System::CodeBuild}, Case{"x.yml", "version: 0.2\nphases: {}\n", System::CodeBuild},
                        Case{"x.yml", "on: push\njobs: {}\n", System::GitHub}, Case{"x.yml", "version: 2.1\njobs: {}\n", System::CircleCi}, Case{"x.yml", "apiVersion: tekton.dev/v1\n", System::Tekton},
                        Case{"x.yml", "build: {script: [a]}\n", System::GitLab}, Case{"-", "pipeline { }", System::Jenkins}}) {
    auto found = recognize_system(c.path, c.text);
    ASSERT_TRUE(found.ok()) << c.path;
    EXPECT_EQ(system_name(*found), system_name(c.system)) << c.path;
  }
  EXPECT_FALSE(recognize_system("x.yml", "a: 1\n").ok());
}

}  // namespace
}  // namespace archway::ci
