// Jenkinsfile: Groovy, of which only strings and what stands before them are looked at.
#include <algorithm>

#include "base/text.h"
#include "ci/model.h"

namespace archway::ci {

namespace {

struct GroovyString {
  std::string text;
  std::string before;       // the code between the string before it and this one, comments left out, blanks trimmed
  uint32_t line = 0;        // of its first character
  size_t braces = 0;        // how deep in { } it stands
  bool several_lines = false;
};

// Strings of all four kinds, and the code without strings and comments.
class GroovyScanner {
 public:
  explicit GroovyScanner(std::string_view text) : text_(text) {}

  void scan() {
    while (at_ < text_.size()) step();
  }

  std::vector<GroovyString> strings;
  std::string code;                  // with '' for each string; lines as in the file

 private:
  bool starts(std::string_view what) const { return text_.substr(at_).starts_with(what); }

  void step() {
    if (starts("//")) {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (starts("/*")) {
      size_t end = text_.find("*/", at_ + 2);
      skip(end == text_.npos ? text_.size() : end + 2);
    } else if (starts("'''") || starts("\"\"\"")) {
      string(text_.substr(at_, 3));
    } else if (starts("'") || starts("\"")) {
      string(text_.substr(at_, 1));
    } else {
      char c = text_[at_++];
      if (c == '{') ++braces_;
      if (c == '}' && braces_ > 0) --braces_;
      if (c == '\n') ++line_;
      code += c;
      before_ += c;
    }
  }

  void skip(size_t end) {
    for (; at_ < end; ++at_) {
      if (text_[at_] != '\n') continue;
      ++line_;
      code += '\n';
    }
  }

  void string(std::string_view quote) {
    GroovyString found{.text = {}, .before = std::string(trim(before_)), .line = line_, .braces = braces_, .several_lines = quote.size() == 3};
    code += "''";
    at_ += quote.size();
    while (at_ < text_.size() && !starts(quote)) {
      if (quote.size() == 1 && text_[at_] == '\n') break;  // not closed: not ours to mend
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
        char escaped = text_[++at_];
        found.text += escaped == 'n' ? "\n" : escaped == '\n' ? "\\\n" : std::string(1, escaped);
      } else {
        found.text += text_[at_];
      }
      if (text_[at_] == '\n') ++line_, code += '\n';
      ++at_;
    }
    if (starts(quote)) at_ += quote.size();
    before_.clear();
    if (strings.size() < kMaxCommands) strings.push_back(std::move(found));
  }

  std::string_view text_;
  size_t at_ = 0, braces_ = 0;
  uint32_t line_ = 1;
  std::string before_;
};

bool ends_with_word(std::string_view text, std::string_view word) {
  if (!text.ends_with(word)) return false;
  if (text.size() == word.size()) return true;
  char before = text[text.size() - word.size() - 1];
  return !((before >= 'a' && before <= 'z') || (before >= 'A' && before <= 'Z') || (before >= '0' && before <= '9') || before == '_');
}

// sh '...', sh("..."), sh(script: '...', ...), sh label: 'x', script: '...'
bool is_script(const GroovyString& string) {
  std::string_view before = string.before;
  if (before.ends_with("(")) before = trim(before.substr(0, before.size() - 1));
  if (ends_with_word(before, "sh") || ends_with_word(before, "bat") || ends_with_word(before, "powershell")) return true;
  return before.ends_with(":") && ends_with_word(trim(before.substr(0, before.size() - 1)), "script");
}

// NAME = '...' of an environment block: the name; "" where it is something else.
std::string_view assigned_name(std::string_view before) {
  if (!before.ends_with("=")) return {};
  before = trim(before.substr(0, before.size() - 1));
  size_t begin = before.find_last_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
  return before.substr(begin == before.npos ? 0 : begin + 1);
}

// docker.build("name", "--platform linux/arm64 .")
void docker_build(const std::vector<GroovyString>& strings, size_t i, Job& job) {
  std::string script = "docker build -t " + strings[i].text;
  bool more = i + 1 < strings.size() && trim(strings[i + 1].before) == ",";
  script += " " + (more ? strings[i + 1].text : std::string("."));
  add_script(script, strings[i].line, 1, false, job);
}

// The block `name { ... }` directly inside the pipeline; "" where there is none.
std::string top_block(const std::string& code, std::string_view name) {
  size_t depth = 0;
  for (size_t i = 0; i < code.size(); ++i) {
    if (code[i] == '}' && depth > 0) --depth;
    if (code[i] != '{') continue;
    if (depth++ != 1 || !ends_with_word(trim(std::string_view(code).substr(0, i)), name)) continue;
    size_t end = i + 1, open = 1;
    for (; end < code.size() && open > 0; ++end) open += code[end] == '{' ? 1 : code[end] == '}' ? -1 : 0;
    return code.substr(i, end - i);
  }
  return "";
}

void commit_too_early(const GroovyScanner& scanner, Model& model) {
  if (scanner.code.find("agent none") == scanner.code.npos) return;
  std::string block = top_block(scanner.code, "environment");
  bool named = block.find("GIT_COMMIT") != block.npos;
  // In a "${env.GIT_COMMIT}" of that block, the strings of which the code lacks.
  size_t at = scanner.code.find(block), line = 1 + static_cast<size_t>(std::count(scanner.code.begin(), scanner.code.begin() + static_cast<long>(block.empty() ? 0 : at), '\n'));
  size_t lines = static_cast<size_t>(std::count(block.begin(), block.end(), '\n'));
  for (const GroovyString& string : scanner.strings) {
    if (block.empty() || string.line < line || string.line > line + lines || string.text.find("GIT_COMMIT") == std::string::npos) continue;
    named = true, line = string.line;
    break;
  }
  if (!named) return;
  report(model, "ci-commit-before-checkout", Severity::Warning, {static_cast<uint32_t>(line), 1}, "pipeline", "with `agent none` the environment is made before anything is checked out, and GIT_COMMIT is null there",
         "git rev-parse HEAD in the steps, or an environment block in each stage");
}

}  // namespace

Result<Model> read_jenkins(std::string_view text) {
  GroovyScanner scanner(text);
  scanner.scan();
  if (scanner.code.find('{') == scanner.code.npos) return Error{Code::Invalid, "no pipeline { } and no node { }"};
  Model model;
  Job job;
  job.name = "pipeline";
  job.place = {1, 1};
  bool labels = false;  // in a list of an axis' values
  for (size_t i = 0; i < scanner.strings.size(); ++i) {
    const GroovyString& string = scanner.strings[i];
    std::string_view before = string.before;
    labels = before.find("label") != before.npos || before.find("values") != before.npos || before.ends_with("node(") || (labels && before == ",");
    if (is_script(string)) {
      add_script(string.text, string.line, 1, string.several_lines, job);
    } else if (before.ends_with("docker.build(") || before.ends_with("docker.build (")) {
      docker_build(scanner.strings, i, job);
    } else if (std::string_view name = assigned_name(before); !name.empty()) {
      job.variables.insert_or_assign(std::string(name), string.text);
    } else if (labels) {
      for (const char* architecture : {"amd64", "arm64"}) {
        bool x64 = std::string_view(architecture) == "amd64" && string.text.find("x64") != std::string::npos;
        if (x64 || is_architecture(string.text, architecture)) job.architectures.insert(architecture);
      }
    }
  }
  commit_too_early(scanner, model);
  model.jobs.push_back(std::move(job));
  return model;
}

}  // namespace archway::ci
