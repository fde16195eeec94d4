#include "ci/image_command.h"

#include <algorithm>

#include "base/text.h"

namespace archway::ci {

namespace {

// The value of "--flag value", "--flag=value" or "-f value" at `i`, which moves to its last word.
std::optional<std::string> flag_value(const std::vector<std::string>& words, size_t& i, std::string_view flag) {
  const std::string& word = words[i];
  if (word == flag) {
    if (i + 1 >= words.size()) return std::nullopt;
    return words[++i];
  }
  if (flag.starts_with("--") && word.size() > flag.size() && word.starts_with(flag) && word[flag.size()] == '=') return word.substr(flag.size() + 1);
  return std::nullopt;
}

// Words without the program and its own flags: {buildx, build, ...} of "docker --context x buildx --builder y build ...".
std::vector<std::string> subcommands(const std::vector<std::string>& words, size_t most) {
  std::vector<std::string> found;
  for (size_t i = 1; i < words.size() && found.size() < most; ++i) {
    if (!words[i].starts_with("-")) {
      found.push_back(words[i]);
    } else if (words[i] == "--context" || words[i] == "-c" || words[i] == "--builder" || words[i] == "-H" || words[i] == "--host" || words[i] == "--config") {
      ++i;
    }
  }
  return found;
}

bool is_builder_only(const std::vector<std::string>& sub, std::initializer_list<std::string_view> names) {
  return sub.size() >= names.size() && std::equal(names.begin(), names.end(), sub.begin());
}

void read_build_flags(ImageCommand& found) {
  const auto& words = found.words;
  for (size_t i = 1; i < words.size(); ++i) {
    if (auto value = flag_value(words, i, "--platform")) {
      for (std::string& platform : split(*value, ',')) {
        if (!platform.empty()) found.platforms.push_back(std::move(platform));
      }
    } else if (auto opt = flag_value(words, i, "--opt"); opt && opt->starts_with("platform=")) {
      for (std::string& platform : split(opt->substr(9), ',')) found.platforms.push_back(std::move(platform));
    } else if (auto tag = flag_value(words, i, "--tag")) {
      found.tags.push_back(*tag);
    } else if (auto short_tag = flag_value(words, i, "-t")) {
      found.tags.push_back(*short_tag);
    } else if (auto output = flag_value(words, i, "--output")) {
      found.outputs.push_back(*output);
    } else if (auto short_output = flag_value(words, i, "-o")) {
      found.outputs.push_back(*short_output);
    } else if (auto provenance = flag_value(words, i, "--provenance")) {
      found.provenance = *provenance != "false";
    } else if (words[i] == "--push" || words[i] == "--push=true") {
      found.push = true;
    } else if (words[i] == "--load" || words[i] == "--load=true") {
      found.load = true;
    }
  }
  for (const std::string& output : found.outputs) found.push = found.push || output.find("push=true") != output.npos || output.find("type=registry") != output.npos;
}

std::optional<ImageCommand::Kind> docker_kind(const std::vector<std::string>& sub, ImageCommand& found) {
  using Kind = ImageCommand::Kind;
  if (is_builder_only(sub, {"buildx", "build"}) || is_builder_only(sub, {"buildx", "b"})) {
    found.program = "docker buildx", found.attests = true;
    return Kind::Build;
  }
  if (is_builder_only(sub, {"build"}) || is_builder_only(sub, {"image", "build"}) || is_builder_only(sub, {"builder", "build"})) return Kind::Build;
  if (is_builder_only(sub, {"buildx", "create"})) return Kind::CreateBuilder;
  if (is_builder_only(sub, {"buildx", "imagetools", "create"})) return Kind::JoinIndex;
  if (is_builder_only(sub, {"manifest", "create"})) return Kind::JoinManifest;
  if (is_builder_only(sub, {"login"})) return Kind::Login;
  return std::nullopt;
}

bool registers_emulators(const ShellCommand& command) {
  for (const std::string& word : command.words) {
    if (word.find("tonistiigi/binfmt") != word.npos || word.find("qemu-user-static") != word.npos || word.find("linuxkit/binfmt") != word.npos ||
        word.find("docker/binfmt") != word.npos || word == "update-binfmts" || word.find("qemu-binfmt-conf") != word.npos) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool ImageCommand::has_word(std::string_view word) const {
  return std::any_of(words.begin(), words.end(), [&](const std::string& other) { return other.find(word) != other.npos; });
}

std::optional<ImageCommand> image_command(const ShellCommand& command) {
  using Kind = ImageCommand::Kind;
  ImageCommand found;
  found.line = command.line;
  found.words = command.words;
  if (command.words.empty()) return std::nullopt;
  found.program = command.words[0].substr(command.words[0].rfind('/') + 1);
  std::vector<std::string> sub = subcommands(command.words, 3);
  std::optional<Kind> kind;
  if (registers_emulators(command)) kind = Kind::Emulator;
  else if (command.is("docker")) kind = docker_kind(sub, found);
  else if (command.is("podman") || command.is("buildah") || command.is("nerdctl")) {
    if (is_builder_only(sub, {"build"}) || is_builder_only(sub, {"bud"})) kind = Kind::Build;
    if (is_builder_only(sub, {"login"})) kind = Kind::Login;
    if (is_builder_only(sub, {"manifest", "create"})) kind = Kind::JoinIndex;  // theirs takes indexes
  } else if (command.is("buildctl") || command.is("buildctl-daemonless.sh")) {
    if (is_builder_only(sub, {"build"})) kind = Kind::Build;
  } else if (command.is("archway")) {
    if (is_builder_only(sub, {"build"})) kind = Kind::Build;
    if (is_builder_only(sub, {"index", "create"})) kind = Kind::JoinIndex;
    if (is_builder_only(sub, {"login"})) kind = Kind::Login;
    if (is_builder_only(sub, {"verify"})) kind = Kind::Verify;
  }
  if (!kind) return std::nullopt;
  found.kind = *kind;
  if (found.kind == Kind::Build) read_build_flags(found);
  return found;
}

std::vector<ImageCommand> image_commands(const std::vector<ShellCommand>& commands) {
  std::vector<ImageCommand> found;
  for (const ShellCommand& command : commands) {
    if (auto one = image_command(command)) {
      found.push_back(std::move(*one));
      continue;
    }
    // sh -c "docker build ...": one level, which is what people write.
    for (size_t i = 0; i + 1 < command.words.size(); ++i) {
      if (command.words[i] != "-c" || !(command.is("sh") || command.is("bash") || command.is("docker"))) continue;
      for (const ShellCommand& inner : read_shell(command.words[i + 1])) {
        if (auto one = image_command(inner)) {
          one->line += command.line;
          found.push_back(std::move(*one));
        }
      }
    }
  }
  return found;
}

bool sets_up_other_platforms(const ImageCommand& command) {
  if (command.kind == ImageCommand::Kind::Emulator) return true;
  if (command.kind != ImageCommand::Kind::CreateBuilder) return false;
  if (command.has_word("--append") || command.has_word("ssh://")) return true;
  for (size_t i = 0; i < command.words.size(); ++i) {
    std::string_view word = command.words[i];
    std::string_view driver = word == "--driver" && i + 1 < command.words.size() ? std::string_view(command.words[i + 1]) : word.starts_with("--driver=") ? word.substr(9) : std::string_view();
    if (driver == "cloud" || driver == "remote" || driver == "kubernetes") return true;
  }
  return false;
}

bool has_tag(std::string_view reference) {
  if (reference.find('@') != reference.npos) return true;
  std::string_view name = reference;
  // A ':' inside ${NAME:-default} is none of the reference's.
  std::string flat;
  int depth = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name.substr(i).starts_with("${") || name.substr(i).starts_with("$(")) ++depth;
    if (depth == 0) flat += name[i];
    if (depth > 0 && (name[i] == '}' || name[i] == ')')) --depth;
  }
  size_t colon = flat.rfind(':'), slash = flat.rfind('/');
  return colon != flat.npos && (slash == flat.npos || colon > slash);
}

bool is_architecture(std::string_view platform, std::string_view architecture) {
  std::string lower = to_lower(platform);
  bool arm = lower.find("arm64") != lower.npos || lower.find("aarch64") != lower.npos;
  bool amd = lower.find("amd64") != lower.npos || lower.find("x86_64") != lower.npos || lower.find("x86-64") != lower.npos;
  return architecture == "arm64" ? arm : architecture == "amd64" && amd;
}

}  // namespace archway::ci
