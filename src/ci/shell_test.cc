#include "ci/shell.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "ci/image_command.h"

namespace archway::ci {
namespace {

std::vector<std::string> read(std::string_view script) {
  std::vector<std::string> out;
  for (const ShellCommand& command : read_shell(script)) {
    std::string text = std::to_string(command.line) + ":";
    for (const auto& [name, value] : command.assignments) text += " " + name + ":=" + value;
    for (const std::string& word : command.words) text += " [" + word + "]";
    out.push_back(text);
  }
  return out;
}

TEST(Shell, FindsCommands) {
  using Lines = std::vector<std::string>;
  struct Case { const char* script; Lines commands; };
  for (const Case& c : {
           Case{"docker build -t x .", {"0: [docker] [build] [-t] [x] [.]"}},
           Case{"a && b || c; d | e & f", {"0: [a]", "0: [b]", "0: [c]", "0: [d]", "0: [e]", "0: [f]"}},
           Case{"a \\\n  b\nc", {"0: [a] [b]", "2: [c]"}},
           Case{"A=1 B='x y' sudo docker push \"$I:$T\"", {"0: A:=1 B:=x y [docker] [push] [$I:$T]"}},
           Case{"export TAG=$(git rev-parse HEAD)", {"0: [git] [rev-parse] [HEAD]", "0: TAG:=$(git rev-parse HEAD)"}},
           Case{"if [ -n \"$X\" ]; then a; else b; fi", {"0: [[] [-n] [$X] []]", "0: [a]", "0: [b]", "0: [fi]"}},
           Case{"a # b\n# c\nd#e", {"0: [a]", "2: [d#e]"}},
           Case{"cat <<EOF >f\ndocker build .\nEOF\na", {"0: [cat]", "3: [a]"}},
           Case{"grep x <<<\"$y\" 2>/dev/null", {"0: [grep] [x]"}},
           Case{"a >f b", {"0: [a] [b]"}},
           Case{"echo ${a:-b c} \"q\\\"r\"", {"0: [echo] [${a:-b c}] [q\"r]"}},
           Case{"(a; b)", {"0: [a]", "0: [b]"}},
           Case{"'unclosed", {"0: [unclosed]"}},
           Case{"$(", {"0: [$(]"}},
           Case{"${", {"0: [${]"}},
           Case{"", {}},
       }) {
    EXPECT_EQ(read(c.script), c.commands) << c.script;
  }
}

TEST(Shell, TakesCircleCisParametersForNoHereDocument) {
  auto commands = read("echo << parameters.arch >>\ndocker build .");
  ASSERT_EQ(commands.size(), 2u);
  EXPECT_EQ(commands[1], "1: [docker] [build] [.]");
}

TEST(Shell, HasLimits) {
  std::string many;
  for (size_t i = 0; i <= kMaxShellCommands; ++i) many += "a\n";
  EXPECT_EQ(read_shell(many).size(), kMaxShellCommands);
  auto nested = [](size_t depth) {
    std::string script = "deep";
    for (size_t i = 0; i < depth; ++i) script = "$(" + script + ")";
    return read(script);
  };
  EXPECT_EQ(nested(kMaxSubstitutionDepth).size(), kMaxSubstitutionDepth + 1);
  EXPECT_EQ(nested(kMaxSubstitutionDepth + 1).size(), kMaxSubstitutionDepth + 1);
  std::string large(kMaxScriptBytes, ' ');
  EXPECT_EQ(read_shell(large.substr(2) + "ab").size(), 1u);
  EXPECT_EQ(read_shell(large + "ab").size(), 0u);
}

TEST(ImageCommand, KnowsWhatBuildsAndForWhom) {
  auto command = [](const char* script) { return image_commands(read_shell(script)); };
  auto build = command("docker --context x buildx build --platform linux/amd64,linux/arm64 --provenance false -t $I --tag=b:1 --push .");
  ASSERT_EQ(build.size(), 1u);
  EXPECT_EQ(build[0].kind, ImageCommand::Kind::Build);
  EXPECT_EQ(build[0].platforms, (std::vector<std::string>{"linux/amd64", "linux/arm64"}));
  EXPECT_EQ(build[0].tags, (std::vector<std::string>{"$I", "b:1"}));
  EXPECT_TRUE(build[0].push);
  EXPECT_TRUE(build[0].attests);
  EXPECT_EQ(build[0].provenance, false);
  EXPECT_TRUE(command("docker buildx build --output type=image,push=true,name=x .")[0].push);
  struct Case { const char* script; ImageCommand::Kind kind; };
  using Kind = ImageCommand::Kind;
  for (const Case& c : {Case{"docker build .", Kind::Build}, Case{"podman build .", Kind::Build}, Case{"buildah bud .", Kind::Build}, Case{"archway build .", Kind::Build},
                        Case{"buildctl-daemonless.sh build --opt platform=linux/arm64", Kind::Build}, Case{"docker buildx create --use", Kind::CreateBuilder},
                        Case{"docker manifest create a b", Kind::JoinManifest}, Case{"docker buildx imagetools create -t a b", Kind::JoinIndex}, Case{"archway index create -t a b", Kind::JoinIndex},
                        Case{"docker login -u x", Kind::Login}, Case{"docker run --privileged --rm tonistiigi/binfmt --install all", Kind::Emulator},
                        Case{"apt-get install -y qemu-user-static", Kind::Emulator}, Case{"archway verify x", Kind::Verify}, Case{"sh -c 'docker build .'", Kind::Build}}) {
    auto found = command(c.script);
    ASSERT_EQ(found.size(), 1u) << c.script;
    EXPECT_EQ(found[0].kind, c.kind) << c.script;
  }
  EXPECT_TRUE(command("docker ps; echo docker build").empty());
}

TEST(ImageCommand, KnowsATag) {
  for (const char* text : {"app:1", "host:5000/app:1", "app@sha256:abc", "$I:$T", "${I}:${T:-x}", "$(name):1"}) EXPECT_TRUE(has_tag(text)) << text;
  for (const char* text : {"app", "host:5000/app", "$CI_REGISTRY_IMAGE", "${I:-a:b}", "$I/app"}) EXPECT_FALSE(has_tag(text)) << text;
}

}  // namespace
}  // namespace archway::ci
