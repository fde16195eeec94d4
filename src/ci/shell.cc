#include "ci/shell.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace archway::ci {

namespace {

// Words that stand before a command and are none.
constexpr std::array<std::string_view, 17> kBefore = {"if", "then", "else", "elif", "while", "until", "do", "!", "{", "(", "time", "sudo", "exec", "command", "env", "nohup", "-"};

bool is_name(std::string_view text) {
  return !text.empty() && !(text[0] >= '0' && text[0] <= '9') && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

class ShellReader {
 public:
  ShellReader(std::string_view text, uint32_t line, size_t depth, std::vector<ShellCommand>& out) : text_(text), line_(line), depth_(depth), out_(out) {}

  void read() {
    while (at_ < text_.size() && out_.size() < kMaxShellCommands) step();
    end_command();
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void step() {
    char c = peek();
    if (c == '\\' && peek(1) == '\n') {
      at_ += 2, ++line_;
    } else if (c == '\n') {
      end_command();
      ++at_, ++line_;
      if (!heredocs_.empty()) pass_heredocs();
    } else if (c == ' ' || c == '\t' || c == '\r') {
      end_word();
      ++at_;
    } else if (c == '#' && !in_word_) {
      while (at_ < text_.size() && peek() != '\n') ++at_;
    } else if (c == ';' || c == '&' || c == '|' || c == '(' || c == ')') {
      end_command();
      ++at_;
    } else if (c == '<' && peek(1) == '<' && peek(2) != '<' && heredoc()) {
      // taken
    } else if (c == '<' || c == '>') {
      redirection();
    } else {
      word_part();
    }
  }

  void start_word() {
    if (!in_word_ && words_.empty()) command_line_ = line_;
    in_word_ = true;
  }

  void word_part() {
    start_word();
    char c = peek();
    if (c == '\\') {
      if (at_ + 1 < text_.size()) word_ += text_[at_ + 1];
      at_ = std::min(at_ + 2, text_.size());
    } else if (c == '\'') {
      size_t end = std::min(text_.find('\'', at_ + 1), text_.size());
      take(at_ + 1, end);
      at_ = std::min(end + 1, text_.size());
    } else if (c == '"') {
      double_quoted();
    } else if (c == '$' && peek(1) == '(') {
      substitution();
    } else if (c == '$' && peek(1) == '{') {
      size_t end = std::min(text_.find('}', at_), text_.size() - 1);
      take(at_, end + 1);
      at_ = end + 1;
    } else {
      word_ += c;
      ++at_;
    }
  }

  void take(size_t begin, size_t end) {
    std::string_view part = text_.substr(begin, end - begin);
    line_ += static_cast<uint32_t>(std::count(part.begin(), part.end(), '\n'));
    word_ += part;
  }

  void double_quoted() {
    for (++at_; at_ < text_.size() && peek() != '"';) {
      if (peek() == '$' && peek(1) == '(') {
        substitution();
        continue;
      }
      if (peek() == '\\' && at_ + 1 < text_.size()) {
        ++at_;
        if (peek() == '\n') {
          ++line_, ++at_;
          continue;
        }
      }
      if (peek() == '\n') ++line_;
      word_ += text_[at_++];
    }
    if (at_ < text_.size()) ++at_;
  }

  // $(...): its commands are read, its text stays part of the word.
  void substitution() {
    size_t begin = at_ + 2, at = begin, open = 1;
    char quote = 0;
    for (; at < text_.size() && open > 0; ++at) {
      char c = text_[at];
      if (c == '\\') ++at;
      else if (quote) quote = c == quote ? 0 : quote;
      else if (c == '\'' || c == '"') quote = c;
      else if (c == '(') ++open;
      else if (c == ')') --open;
    }
    size_t end = std::min(at, text_.size());
    std::string_view inner = text_.substr(begin, std::max(begin, end - (open == 0 ? 1 : 0)) - begin);
    if (depth_ < kMaxSubstitutionDepth) ShellReader(inner, line_, depth_ + 1, out_).read();
    take(at_, end);
    at_ = end;
  }

  // "<<EOF", "<<-'EOF'"; not CircleCI's "<< parameters.x >>".
  bool heredoc() {
    size_t at = at_ + 2;
    if (at < text_.size() && text_[at] == '-') ++at;
    while (at < text_.size() && (text_[at] == ' ' || text_[at] == '\t')) ++at;
    std::string name;
    while (at < text_.size() && std::string_view(" \t\r\n;&|<>()").find(text_[at]) == std::string_view::npos) {
      if (text_[at] != '\'' && text_[at] != '"' && text_[at] != '\\') name += text_[at];
      ++at;
    }
    size_t next = text_.find_first_not_of(" \t", at);
    if (name.empty() || (next != text_.npos && text_.substr(next).starts_with(">>"))) return false;
    heredocs_.push_back(name);
    at_ = at;
    return true;
  }

  void pass_heredocs() {
    for (const std::string& name : heredocs_) {
      while (at_ < text_.size()) {
        size_t end = std::min(text_.find('\n', at_), text_.size());
        bool last = trim(text_.substr(at_, end - at_)) == name;
        at_ = std::min(end + 1, text_.size());
        ++line_;
        if (last) break;
      }
    }
    heredocs_.clear();
  }

  // ">file", "2>&1": neither they nor their file are words of the command.
  void redirection() {
    bool number = in_word_ && std::all_of(word_.begin(), word_.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (number) word_.clear(), in_word_ = false;
    end_word();
    while (peek() == '<' || peek() == '>' || peek() == '&') ++at_;
    skip_next_ = true;
  }

  void end_word() {
    if (!in_word_) return;
    if (!skip_next_) words_.push_back(std::move(word_));
    word_.clear();
    in_word_ = skip_next_ = false;
  }

  void end_command() {
    end_word();
    skip_next_ = false;
    if (words_.empty()) return;
    ShellCommand command{.words = {}, .assignments = {}, .line = command_line_};
    size_t first = 0;
    for (; first < words_.size(); ++first) {
      auto [name, value] = cut(words_[first], '=');
      if (value && is_name(name)) command.assignments.emplace_back(name, *value);
      else if (words_[first] != "export" && std::find(kBefore.begin(), kBefore.end(), words_[first]) == kBefore.end()) break;
    }
    command.words.assign(std::make_move_iterator(words_.begin() + static_cast<long>(first)), std::make_move_iterator(words_.end()));
    words_.clear();
    if (!command.words.empty() || !command.assignments.empty()) out_.push_back(std::move(command));
  }

  std::string_view text_;
  size_t at_ = 0;
  uint32_t line_, command_line_ = 0;
  size_t depth_;
  std::vector<ShellCommand>& out_;
  std::string word_;
  std::vector<std::string> words_, heredocs_;
  bool in_word_ = false, skip_next_ = false;
};

}  // namespace

bool ShellCommand::is(std::string_view program) const {
  if (words.empty()) return false;
  std::string_view name = words[0];
  return name.substr(name.rfind('/') + 1) == program;
}

std::vector<ShellCommand> read_shell(std::string_view script) {
  std::vector<ShellCommand> out;
  ShellReader(script.substr(0, kMaxScriptBytes), 0, 0, out).read();
  return out;
}

}  // namespace archway::ci
