#include <algorithm>
#include <array>
#include <map>

#include "audit/dockerfile_text.h"
#include "audit/finding_id.h"
#include "audit/readers.h"
#include "audit/written_image.h"
#include "base/text.h"
#include "dockerfile/expand.h"
#include "dockerfile/instructions.h"
#include "dockerfile/run_mount.h"

namespace archway::audit {

namespace {

using dockerfile::Dockerfile;
using dockerfile::Instruction;
using dockerfile::Stage;

constexpr std::array<std::string_view, 8> kPlatformArgs = {"BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT", "TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT"};

bool is_platform_arg(std::string_view name) { return std::find(kPlatformArgs.begin(), kPlatformArgs.end(), name) != kPlatformArgs.end(); }

bool names_platform_arg(std::string_view text, std::string_view name) {
  return text.find("$" + std::string(name)) != text.npos || text.find("${" + std::string(name)) != text.npos;
}

class Reader {
 public:
  Reader(const Dockerfile& file, std::string_view text, const std::string& source, Collection& out) : file_(file), text_(text, source), out_(out) {}

  void read() {
    syntax();
    for (const Instruction& instruction : file_.global_args) global_arg(instruction);
    for (size_t i = 0; i < file_.stages.size(); ++i) {
      stage(i);
      if (!file_.stages[i].name.empty()) stages_[file_.stages[i].name] = i;
    }
    final_stage();
  }

 private:
  void syntax() {
    if (file_.syntax.empty()) return;
    std::string image = file_.syntax.substr(0, file_.syntax.find(' '));
    ImageUse& use = add(image, {1, static_cast<int>(file_.lines.size())}, image, "syntax");
    use.role = ImageUse::Role::Mention;
    use.skip = "the builder's own front end, which runs where the builder does";
  }

  // ARG before FROM: its default is what FROM sees. An automatic platform argument with a default loses its automatic value.
  void global_arg(const Instruction& instruction) {
    const auto* arg = std::get_if<dockerfile::Arg>(&instruction.what);
    if (!arg) return;
    for (const auto& [name, value] : arg->args) {
      if (!value) continue;
      if (is_platform_arg(name)) platform_default(instruction, name, *value, "the whole file");
      auto expanded = dockerfile::expand_word(*value, lookup(), file_.escape);
      args_[name] = expanded.ok() ? expanded->text : *value;
    }
  }

  dockerfile::Lookup lookup() const {
    return [this](std::string_view name) -> std::optional<std::string> {
      auto at = args_.find(name);
      return at == args_.end() ? std::nullopt : std::optional(at->second);
    };
  }

  void platform_default(const Instruction& instruction, const std::string& name, const std::string& value, const std::string& scope) {
    Finding finding;
    finding.rule = "dockerfile-platform-default";
    finding.severity = Finding::Severity::Error;
    finding.place = text_.find(instruction.where, name + "=" + value);
    finding.message = "ARG " + name + "=" + value + ": the default takes the place of the value that the builder gives, so that " + scope + " is built for " + value + " on every platform";
    finding.advice = "write ARG " + name;
    finding.remedy.kind = Remedy::Kind::DropDockerfileDefault;
    finding.remedy.replacement = name;
    finding.remedy.why = "a default beats the automatic value";
    report(std::move(finding));
  }

  void stage(size_t index) {
    const Stage& stage = file_.stages[index];
    auto expanded = dockerfile::expand_word(stage.base, lookup(), file_.escape);
    // What has no value anywhere stays as written, to be seen as a template.
    std::string base = expanded.ok() && expanded->unset.empty() ? expanded->text : stage.base;
    if (expanded.ok() && !expanded->unset.empty() && stage.base.find(":-") != std::string::npos) base = expanded->text;
    auto known = stages_.find(to_lower(base));
    parent_.push_back(known == stages_.end() ? std::nullopt : std::optional(known->second));
    if (known == stages_.end() && base != "scratch") {
      ImageUse& use = add(base, stage.where, stage.base, stage.name.empty() ? "stage " + std::to_string(index) : stage.name);
      use.role = ImageUse::Role::Stage;
      platform_of(stage, use);
    } else if (!stage.platform.empty()) {
      ImageUse unused;
      platform_of(stage, unused);
    }
    declared_.clear();
    for (const Instruction& instruction : stage.instructions) this->instruction(instruction, stage);
  }

  void platform_of(const Stage& stage, ImageUse& use) {
    if (stage.platform.empty()) return;
    auto expanded = dockerfile::expand_word(stage.platform, lookup(), file_.escape);
    if (names_platform_arg(stage.platform, "BUILDPLATFORM") && !args_.contains("BUILDPLATFORM")) {
      use.builder = true;
      return;
    }
    if (!expanded.ok() || expanded->text.empty() || names_platform_arg(stage.platform, "TARGETPLATFORM")) return;
    auto platform = parse_platform(expanded->text);
    if (!platform.ok()) return;
    use.pinned = {*platform};
    // A stage that is named for its architecture is meant to be of it (BuildKit, FromPlatformFlagConstDisallowed).
    bool meant = stage.name.find(platform->architecture) != std::string::npos || stage.platform.find('$') != std::string::npos;
    if (meant) return;
    Finding finding;
    finding.rule = "dockerfile-constant-platform";
    finding.severity = Finding::Severity::Warning;
    finding.place = text_.find(stage.where, "--platform=" + stage.platform);
    finding.message = "FROM --platform=" + stage.platform + ": this stage is " + platform->str() + " whatever the image is built for";
    finding.advice = "remove the flag";
    finding.remedy.kind = Remedy::Kind::DropPlatform;
    finding.remedy.why = "each platform gets its own base image";
    report(std::move(finding));
  }

  void instruction(const Instruction& instruction, const Stage& stage) {
    if (const auto* arg = std::get_if<dockerfile::Arg>(&instruction.what)) {
      for (const auto& [name, value] : arg->args) {
        declared_.insert(name);
        if (value && is_platform_arg(name)) platform_default(instruction, name, *value, "this stage");
      }
    } else if (const auto* env = std::get_if<dockerfile::Env>(&instruction.what)) {
      for (const auto& [name, value] : env->values) declared_.insert(name);
    } else if (const auto* copy = std::get_if<dockerfile::Copy>(&instruction.what)) {
      if (!copy->from.empty()) from(copy->from, instruction, "COPY --from");
    } else if (const auto* run = std::get_if<dockerfile::Run>(&instruction.what)) {
      mounts(*run, instruction);
    }
    words(instruction, stage);
  }

  void from(const std::string& name, const Instruction& instruction, const std::string& what) {
    if (stages_.contains(to_lower(name)) || parse_uint(name) || name == "scratch") return;
    ImageUse& use = add(name, instruction.where, name, what);
    use.role = ImageUse::Role::Stage;
  }

  void mounts(const dockerfile::Run& run, const Instruction& instruction) {
    for (const std::string& text : run.mounts) {
      auto mount = dockerfile::parse_run_mount(text, [](const std::string& value) -> Result<std::string> { return value; });
      if (mount.ok() && !mount->from.empty()) from(mount->from, instruction, "RUN --mount");
    }
  }

  // What a text alone shows (audit.md 5.6): URLs, compiler flags and variables of one architecture.
  void words(const Instruction& instruction, const Stage&) {
    bool shell = std::holds_alternative<dockerfile::Run>(instruction.what) || std::holds_alternative<dockerfile::Env>(instruction.what) ||
                 std::holds_alternative<dockerfile::Copy>(instruction.what);
    if (!shell) return;
    for (const DockerfileWord& word : text_.architecture_words(instruction.where)) {
      Finding finding;
      finding.rule = word.rule;
      finding.severity = Finding::Severity::Warning;
      finding.place = word.place;
      finding.message = word.message;
      finding.advice = word.advice;
      if (word.url) {
        finding.remedy.kind = Remedy::Kind::ArchitectureInUrl;
        finding.remedy.replacement = word.text == "amd64" ? "${TARGETARCH}" : "";
        finding.remedy.why = "each platform downloads its own";
      }
      report(std::move(finding));
    }
    undeclared(instruction);
  }

  void undeclared(const Instruction& instruction) {
    for (std::string_view name : kPlatformArgs) {
      if (declared_.contains(name) || !names_platform_arg(instruction.original, name)) continue;
      declared_.insert(std::string(name));  // once per stage
      Finding finding;
      finding.rule = "dockerfile-undeclared-platform-arg";
      finding.severity = Finding::Severity::Warning;
      finding.place = text_.find(instruction.where, "$");
      finding.message = std::string(name) + " is used in a stage that does not declare it, and is empty there";
      finding.advice = "write ARG " + std::string(name) + " after FROM";
      report(std::move(finding));
    }
  }

  // The last stage is what becomes the image: on the builder's platform it holds the builder's programs for everybody.
  void final_stage() {
    if (file_.stages.empty()) return;
    size_t at = file_.stages.size() - 1;
    for (size_t steps = 0; steps <= file_.stages.size(); ++steps) {
      const Stage& stage = file_.stages[at];
      if (names_platform_arg(stage.platform, "BUILDPLATFORM")) return final_on_builder(stage, at + 1 == file_.stages.size());
      if (!stage.platform.empty() || !parent_[at]) return;
      at = *parent_[at];
    }
  }

  void final_on_builder(const Stage& stage, bool last) {
    Finding finding;
    finding.rule = "dockerfile-final-build-platform";
    finding.severity = Finding::Severity::Error;
    finding.place = text_.find(stage.where, "--platform=" + stage.platform);
    finding.message = std::string("the final stage is ") + (last ? "" : "made from one that is ") + "pinned to " + stage.platform +
                      ": every platform's image holds the programs of the machine that built it";
    finding.advice = last ? "remove --platform from the last FROM" : "give the final stage a base of its own, without --platform";
    if (last) finding.remedy.kind = Remedy::Kind::DropBuildPlatform;
    finding.remedy.why = "only stages that cross-compile belong on the build platform";
    report(std::move(finding));
  }

  ImageUse& add(const std::string& image, dockerfile::Location where, const std::string& written, const std::string& name) {
    ImageUse use;
    use.image = image;
    use.place = text_.find(where, written);
    if (written != image) use.place.begin = use.place.end = 0;
    use.name = name;
    out_.uses.push_back(std::move(use));
    return out_.uses.back();
  }

  void report(Finding finding) {
    // Of rules that may hit twice in a line, each has an identity.
    if (finding.place.path.empty()) finding.place.path = std::to_string(counts_[finding.rule]++);
    finding.id = finding_id(finding);
    finding.place.path.clear();
    out_.findings.push_back(std::move(finding));
  }

  const Dockerfile& file_;
  DockerfileText text_;
  Collection& out_;
  std::map<std::string, std::string, std::less<>> args_;
  std::map<std::string, size_t, std::less<>> stages_;
  std::vector<std::optional<size_t>> parent_;   // of each stage, where it is made from another
  std::set<std::string, std::less<>> declared_;
  std::map<std::string, size_t> counts_;
};

}  // namespace

void read_dockerfile(std::string_view text, const std::string& source, Collection& out) {
  auto file = dockerfile::parse(text, source);
  if (!file.ok()) {
    out.unseen.push_back({source, std::string(file.error().message.substr(0, file.error().message.find('\n')))});
    return;
  }
  Reader(*file, text, source, out).read();
}

}  // namespace archway::audit
