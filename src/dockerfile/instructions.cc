#include "dockerfile/instructions.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "dockerfile/instruction_reader.h"
#include "dockerfile/syntax.h"
#include "dockerfile/unicode.h"

namespace archway::dockerfile {
namespace {

std::string to_upper(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return upper;
}

// `# check=skip=A,B;error=true`: which warnings are wanted, and whether one ends the build.
class Checks {
 public:
  static Result<Checks> parse(std::string_view text) {
    Checks checks;
    if (text.empty()) return checks;
    for (const std::string& option : split(cut(text, ' ').first, ';')) {
      const auto [key_view, value_view] = cut(option, '=');
      const std::string key(trim(key_view)), value(trim(value_view.value_or("")));
      if (key == "skip" && value_view) {
        for (const std::string& rule : split(value, ',')) checks.skipped_.insert(to_lower(trim(rule)));
      } else if (key == "error" && (value == "true" || value == "1" || value == "false" || value == "0")) {
        checks.errors_ = value == "true" || value == "1";
      } else if (key != "experimental" || !value_view) {
        return Error{Code::Invalid, "invalid check option " + go_quote(option)};
      }
    }
    return checks;
  }
  bool wanted(std::string_view rule) const { return !skipped_.count("all") && !skipped_.count(to_lower(rule)); }
  bool errors() const { return errors_; }

 private:
  std::set<std::string> skipped_;
  bool errors_ = false;
};

// From the tree to stages, with a warning here and there. Rule names are BuildKit's.
class Builder {
 public:
  Builder(Tree tree, std::string_view name) : tree_(std::move(tree)), name_(name) {
    file_.syntax = tree_.syntax;
    file_.check = tree_.check;
    file_.escape = tree_.escape;
    file_.lines = std::move(tree_.lines);
  }

  Result<Dockerfile> run() {
    auto checks = Checks::parse(file_.check);
    if (!checks.ok()) return complain(file_.lines, name_, {{1, static_cast<int>(file_.lines.size()), 1}, checks.error().message, "check"});
    checks_ = std::move(*checks);
    for (int line : tree_.empty_continuations) warn(line, "NoEmptyContinuation", "Empty continuation line");
    for (const Node& node : tree_.nodes) {
      TRY(is_from(node) ? add_stage(node) : add_instruction(node));
    }
    if (file_.stages.empty()) return Error{Code::Invalid, std::string(name_) + ": dockerfile contains no stages to build: there is no FROM"};
    if (checks_.errors() && !file_.warnings.empty()) {
      return Error{Code::Invalid, file_.warnings.front(), "the Dockerfile asks with `# check=error=true` that warnings be errors"};
    }
    return std::move(file_);
  }

 private:
  Error complain_about(const Node& node, Error error, const std::string& culprit) const {
    Error placed = complain(file_.lines, name_, {node.where, std::move(error.message), culprit});
    placed.hint = std::move(error.hint);
    return placed;
  }

  void warn(int line, std::string_view rule, const std::string& message) {
    if (!checks_.wanted(rule)) return;
    file_.warnings.push_back(std::string(name_) + ":" + std::to_string(line) + ": " + std::string(rule) + ": " + message);
  }

  Result<void> add_stage(const Node& node) {
    std::string culprit;
    auto from = read_from(node, culprit);
    if (!from.ok()) return complain_about(node, std::move(from).error(), culprit);
    if (file_.stages.size() == kMaxStages) {
      return complain_about(node, Error{Code::Invalid, "more than " + std::to_string(kMaxStages) + " stages"}, "");
    }
    warn_about_stage(node, *from);
    Stage stage;
    stage.name = std::move(from->name);
    stage.base = std::move(from->base);
    stage.platform = std::move(from->platform);
    stage.where = node.where;
    stage.original = trim_space(node.original);
    file_.stages.push_back(std::move(stage));
    shell_set_ = false;
    return {};
  }

  void warn_about_stage(const Node& node, const From& from) {
    if (from.name.empty()) return;
    const int line = node.where.first_line;
    if (from.name != from.written_name) {
      warn(line, "StageNameCasing", "Stage name '" + from.written_name + "' should be lowercase");
    }
    const std::string& as = node.arguments[1];
    const bool lower = node.keyword == to_lower(node.keyword), upper = node.keyword == to_upper(node.keyword);
    if ((lower && as != to_lower(as)) || (upper && as != to_upper(as))) {
      warn(line, "FromAsCasing", "'" + as + "' and '" + node.keyword + "' keywords' casing do not match");
    }
    if (from.name == "scratch" || from.name == "context") {
      warn(line, "ReservedStageName", "Stage name should not use the same name as reserved stage " + go_quote(from.name));
    }
    if (!stage_names_.insert(from.name).second) {
      warn(line, "DuplicateStageName", "Duplicate stage name " + go_quote(from.name) + ", stage names should be unique");
    }
  }

  Result<void> add_instruction(const Node& node) {
    std::string culprit;
    auto instruction = read_instruction(node, culprit);
    if (!instruction.ok()) return complain_about(node, std::move(instruction).error(), culprit);
    warn_about(node, *instruction);
    if (!file_.stages.empty()) {
      file_.stages.back().instructions.push_back(std::move(*instruction));
    } else if (std::holds_alternative<Arg>(instruction->what)) {
      file_.global_args.push_back(std::move(*instruction));
    } else {
      return complain_about(node, Error{Code::Invalid, "no build stage in current context: only ARG may come before the first FROM, not " + to_upper(node.keyword)}, "");
    }
    return {};
  }

  void warn_about(const Node& node, const Instruction& instruction) {
    const int line = node.where.first_line;
    const std::string keyword = to_upper(node.keyword);
    if (std::holds_alternative<Maintainer>(instruction.what)) {
      warn(line, "MaintainerDeprecated",
           "Maintainer instruction is deprecated in favor of using label \"org.opencontainers.image.authors\"");
    }
    const bool pairs = std::holds_alternative<Env>(instruction.what) || std::holds_alternative<Label>(instruction.what);
    if (pairs && node.arguments.size() == 3 && node.arguments[2].empty()) {
      warn(line, "LegacyKeyValueFormat", "\"" + keyword + " key=value\" should be used instead of legacy \"" + keyword + " key value\" format");
    }
    if (std::holds_alternative<Shell>(instruction.what)) shell_set_ = true;
    const bool command = std::holds_alternative<Cmd>(instruction.what) || std::holds_alternative<Entrypoint>(instruction.what);
    if (command && !node.json && !shell_set_) {
      warn(line, "JSONArgsRecommended", "JSON arguments recommended for " + keyword + " to prevent unintended behavior related to OS signals");
    }
    const bool ignores_flags = std::holds_alternative<Arg>(instruction.what);
    if (ignores_flags && !node.flags.empty()) warn(line, "UnknownFlag", keyword + " takes no flags; " + node.flags[0] + " has no effect");
  }

  Tree tree_;
  std::string_view name_;
  Dockerfile file_;
  Checks checks_;
  std::set<std::string> stage_names_;
  bool shell_set_ = false;  // in this stage: then shell form is what was wanted
};

}  // namespace

Result<Dockerfile> parse(std::string_view text, std::string_view name) {
  Tree tree;
  Complaint complaint;
  if (!parse_syntax(text, '\\', tree, complaint)) return complain(tree.lines, name, complaint);
  return Builder(std::move(tree), name).run();
}

Result<Instruction> parse_instruction(std::string_view text, std::string_view name, char escape) {
  Tree tree;
  Complaint complaint;
  if (!parse_syntax(text, escape, tree, complaint)) return complain(tree.lines, name, complaint);
  const Node& node = tree.nodes[0];
  if (tree.nodes.size() != 1) return complain(tree.lines, name, {tree.nodes[1].where, "expected a single instruction, and there is another"});
  if (is_from(node)) return complain(tree.lines, name, {node.where, "FROM cannot stand here, only an instruction of a stage"});
  std::string culprit;
  auto instruction = read_instruction(node, culprit);
  if (!instruction.ok()) return complain(tree.lines, name, {node.where, instruction.error().message, culprit});
  return instruction;
}

Error error_at(const Dockerfile& file, std::string_view name, const Location& where, std::string_view message) {
  return complain(file.lines, name, {where, std::string(message)});
}

}  // namespace archway::dockerfile
