#include "audit/dockerfile_edit.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/text.h"
#include "dockerfile/instructions.h"

namespace archway::audit {

namespace {

constexpr std::string_view kDeclaration = "ARG TARGETARCH";

bool ends_word(char c) { return std::string_view(" \t\n\r\"';|&()").find(c) != std::string_view::npos; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

Error stale(const Place& place) {
  return {Code::Invalid, "line " + std::to_string(place.line) + " is not what it was when it was looked at"};
}

std::string_view text_at(std::string_view text, const Place& place) {
  return place.end <= text.size() && place.begin <= place.end ? text.substr(place.begin, place.end - place.begin) : std::string_view();
}

// Of the instructions, what their lines say; and whose stage they are in.
struct Line {
  std::string original;
  dockerfile::Location where;
  const dockerfile::Instruction* instruction = nullptr;  // null: FROM
  size_t stage = 0;
};

std::vector<Line> lines_of(const dockerfile::Dockerfile& file) {
  std::vector<Line> lines;
  for (const dockerfile::Instruction& each : file.global_args) lines.push_back({each.original, each.where, &each, 0});
  for (size_t i = 0; i < file.stages.size(); ++i) {
    lines.push_back({file.stages[i].original, file.stages[i].where, nullptr, i});
    for (const dockerfile::Instruction& each : file.stages[i].instructions) lines.push_back({each.original, each.where, &each, i});
  }
  return lines;
}

bool declares_target(const Line& line) {
  const auto* arg = line.instruction ? std::get_if<dockerfile::Arg>(&line.instruction->what) : nullptr;
  return arg && std::any_of(arg->args.begin(), arg->args.end(), [](const auto& each) { return each.first == "TARGETARCH"; });
}

// Where the names of one vendor are not Go's: what a shell makes of TARGETARCH.
std::optional<std::string> shell_choice(std::string_view name) {
  if (name == "amd64") return "${TARGETARCH}";
  std::string other;
  if (name == "x86_64") other = "aarch64";
  if (name == "x64") other = "arm64";
  if (other.empty()) return std::nullopt;
  return "$(case ${TARGETARCH} in (amd64) echo " + std::string(name) + ";; (arm64) echo " + other + ";; (*) echo ${TARGETARCH};; esac)";
}

bool in_single_quotes(std::string_view text, size_t at) {
  bool single = false, twice = false;
  for (size_t i = line_begin(text, at); i < at; ++i) {
    if (text[i] == '\'' && !twice) single = !single;
    if (text[i] == '"' && !single) twice = !twice;
  }
  return single;
}

// ARG TARGETARCH above the instruction and the comments that belong to it, unless its stage has it by then.
std::optional<Edit> declaration(std::string_view text, const std::vector<Line>& lines, size_t index) {
  for (size_t i = index; i-- > 0 && lines[i].instruction && lines[i].stage == lines[index].stage;) {
    if (declares_target(lines[i])) return std::nullopt;
  }
  size_t begin = 0;
  for (int i = 1; i < lines[index].where.first_line; ++i) begin = next_line(text, begin);
  while (begin > 0) {
    size_t above = line_begin(text, begin - 1);
    if (!trim(text.substr(above, begin - above)).starts_with('#')) break;
    begin = above;
  }
  return Edit{begin, begin, std::string(kDeclaration) + std::string(line_ending(text))};
}

Result<std::vector<Edit>> architecture_in_url(std::string_view text, const Request& request) {
  const Place& place = *request.place;
  std::string_view name = text_at(text, place);
  auto parsed = dockerfile::parse(text, place.source);
  if (!parsed.ok()) return std::move(parsed).error();
  std::vector<Line> lines = lines_of(*parsed);
  int line = static_cast<int>(line_number(text, place.begin));
  auto at = std::find_if(lines.begin(), lines.end(), [&](const Line& each) { return each.where.first_line <= line && line <= each.where.last_line; });
  if (at == lines.end() || !at->instruction || name.empty()) return stale(place);
  const auto* run = std::get_if<dockerfile::Run>(&at->instruction->what);
  if (run && !run->command.shell) return Error{Code::Invalid, "no shell reads this RUN, so that nothing would replace a variable; write it in shell form"};
  if (in_single_quotes(text, place.begin)) return Error{Code::Invalid, "it stands in single quotes, where a shell replaces nothing"};
  auto choice = shell_choice(name);
  if (!choice || (!run && name != "amd64")) return Error{Code::Invalid, "what " + std::string(name) + " is called for other platforms is the vendor's choice; edit it by hand"};
  size_t begin = place.begin, end = place.end;
  while (begin > 0 && !ends_word(text[begin - 1])) --begin;
  while (end < text.size() && !ends_word(text[end])) ++end;
  std::vector<Edit> edits;
  for (size_t hit = text.find(name, begin); hit < end; hit = text.find(name, hit + name.size())) {
    size_t after = hit + name.size();
    bool apart = (hit == begin || !is_letter(text[hit - 1])) && (after >= end || !is_letter(text[after]));
    if (apart) edits.push_back({hit, after, *choice});
  }
  if (auto declared = declaration(text, lines, static_cast<size_t>(at - lines.begin()))) edits.push_back(std::move(*declared));
  return edits;
}

}  // namespace

void declare_once(std::string_view text, std::vector<Edit>& edits, const std::string& source) {
  auto parsed = dockerfile::parse(text, source);
  if (!parsed.ok()) return;
  std::set<size_t> declared;
  std::stable_sort(edits.begin(), edits.end(), [](const Edit& a, const Edit& b) { return a.begin < b.begin; });
  std::erase_if(edits, [&](const Edit& edit) {
    if (!edit.replacement.starts_with(kDeclaration) || edit.begin != edit.end) return false;
    int line = static_cast<int>(line_number(text, edit.begin));
    size_t stage = 0;
    for (const Line& each : lines_of(*parsed)) {
      if (each.where.first_line <= line || each.instruction) stage = each.stage;
      if (each.where.first_line > line) break;
    }
    return !declared.insert(stage).second;
  });
}

Result<std::vector<Edit>> edit_plain_text(std::string_view text, const Request& request) {
  const Finding& finding = *request.finding;
  std::string_view old = text_at(text, *request.place);
  const std::string& replacement = finding.remedy.replacement;
  if (old.empty()) return Error{Code::Invalid, "the image is put together from variables; edit where they are set"};
  if (old == replacement) return std::vector<Edit>{};
  if (finding.image.find(old) == std::string::npos) return stale(*request.place);
  if (replacement.empty() || std::any_of(replacement.begin(), replacement.end(), [](char c) { return ends_word(c); })) return Error{Code::Invalid, "\"" + replacement + "\" is no image"};
  return std::vector<Edit>{{request.place->begin, request.place->end, replacement}};
}

Result<std::vector<Edit>> edit_dockerfile(std::string_view text, const Request& request) {
  const Place& place = *request.place;
  const Remedy& remedy = request.finding->remedy;
  std::string_view old = text_at(text, place);
  size_t equals = old.find('=');
  switch (remedy.kind) {
    case Remedy::Kind::ReplaceImage: return edit_plain_text(text, request);
    case Remedy::Kind::ArchitectureInUrl: return architecture_in_url(text, request);
    case Remedy::Kind::DropDockerfileDefault:
      if (equals == old.npos || old.substr(0, equals) != remedy.replacement) return stale(place);
      return std::vector<Edit>{{place.begin + equals, place.end, ""}};
    case Remedy::Kind::DropBuildPlatform:
    case Remedy::Kind::DropPlatform: {
      if (!old.starts_with("--platform=")) return stale(place);
      size_t end = place.end;
      while (end < text.size() && (text[end] == ' ' || text[end] == '\t')) ++end;
      return std::vector<Edit>{{place.begin, end, ""}};
    }
    default: return Error{Code::Invalid, "there is no such edit of a Dockerfile"};
  }
}

Result<void> check_dockerfile(std::string_view before, const std::vector<Edit>& edits, std::string_view after, const std::string& source) {
  auto old_file = dockerfile::parse(before, source);
  if (!old_file.ok()) return std::move(old_file).error();
  auto new_file = dockerfile::parse(after, source);
  if (!new_file.ok()) return std::move(new_file).error().within("the edited Dockerfile would not parse");
  auto touched = [&](dockerfile::Location where) {
    return std::any_of(edits.begin(), edits.end(), [&](const Edit& edit) {
      int line = static_cast<int>(line_number(before, edit.begin));
      return edit.begin != edit.end && where.first_line <= line && line <= where.last_line;
    });
  };
  std::vector<Line> old_lines = lines_of(*old_file), new_lines = lines_of(*new_file);
  size_t at = 0;
  for (const Line& line : new_lines) {
    bool declared = line.original == kDeclaration && (at == old_lines.size() || !declares_target(old_lines[at]));
    if (declared) continue;
    if (at < old_lines.size() && (line.original == old_lines[at].original || touched(old_lines[at].where))) {
      ++at;
    } else {
      return Error{Code::Invalid, "line " + std::to_string(line.where.first_line) + " would change as well: " + line.original};
    }
  }
  if (at != old_lines.size() || old_file->stages.size() != new_file->stages.size()) return Error{Code::Invalid, "an instruction would be lost"};
  return {};
}

}  // namespace archway::audit
