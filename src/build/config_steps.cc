#include "build/config_steps.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "dockerfile/ignore.h"

namespace archway::build {

std::string normalize_workdir(std::string_view old, std::string_view path) {
  std::string joined = path.starts_with('/') ? std::string(path) : std::string(old.empty() ? "/" : old) + "/" + std::string(path);
  std::string clean = dockerfile::clean_path("/" + joined);
  return clean;
}

std::vector<std::string> with_shell(const ImageConfig& config, std::string text) {
  std::vector<std::string> words = config.shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : config.shell;
  words.push_back(std::move(text));
  return words;
}

std::vector<std::string> command_words(const ImageConfig& config, const dockerfile::CommandLine& command) {
  return command.shell ? with_shell(config, join(command.words, " ")) : command.words;
}

namespace {

// Go's strconv.Quote, for text that is valid UTF-8: printable characters stay.
std::string go_quote(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (unsigned char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\a': out += "\\a"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\v': out += "\\v"; break;
      default:
        if (c < 0x20 || c == 0x7f) {
          out += "\\x";
          out += kHex[c >> 4];
          out += kHex[c & 15];
        } else {
          out += static_cast<char>(c);
        }
    }
  }
  return out + "\"";
}

}  // namespace

std::string quoted_list(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const std::string& word : words) quoted.push_back(go_quote(word));
  return "[" + join(quoted, " ") + "]";
}

std::string go_duration(int64_t nanoseconds) {
  if (nanoseconds == 0) return "0s";
  auto decimals = [](int64_t value, int64_t unit) {
    std::string text = std::to_string(value / unit);
    int64_t rest = value % unit;
    if (rest == 0) return text;
    std::string digits = std::to_string(unit + rest).substr(1);
    return text + "." + digits.substr(0, digits.find_last_not_of('0') + 1);
  };
  std::string sign = nanoseconds < 0 ? "-" : "";
  int64_t value = nanoseconds < 0 ? -nanoseconds : nanoseconds;
  if (value < 1'000) return sign + std::to_string(value) + "ns";
  if (value < 1'000'000) return sign + decimals(value, 1'000) + "µs";
  if (value < 1'000'000'000) return sign + decimals(value, 1'000'000) + "ms";
  int64_t minutes = value / 60'000'000'000, seconds = value % 60'000'000'000;
  std::string text = decimals(seconds, 1'000'000'000) + "s";
  if (minutes > 0) text = std::to_string(minutes % 60) + "m" + text;
  if (minutes >= 60) text = std::to_string(minutes / 60) + "h" + text;
  return sign + text;
}

std::string healthcheck_text(const Healthcheck& check) {
  return "{Test:[" + join(check.test, " ") + "] Interval:" + go_duration(check.interval) + " Timeout:" + go_duration(check.timeout) +
         " StartPeriod:" + go_duration(check.start_period) + " StartInterval:" + go_duration(check.start_interval) +
         " Retries:" + std::to_string(check.retries) + "}";
}

namespace {

Result<std::pair<uint64_t, uint64_t>> port_range(std::string_view text, std::string_view whole) {
  auto [first, last] = cut(text, '-');
  auto start = parse_uint(first), end = last ? parse_uint(*last) : start;
  if (!start || !end || *start > 65535 || *end > 65535) return Error{Code::Invalid, "invalid port: \"" + std::string(whole) + "\"; ports are 0 to 65535"};
  if (*end < *start) return Error{Code::Invalid, "invalid port range: \"" + std::string(whole) + "\""};
  return std::pair(*start, *end);
}

}  // namespace

Result<std::vector<std::string>> parse_exposed_port(std::string_view text) {
  // [ip:][host:]container: only the container's port counts.
  std::string_view host, container = text;
  size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    container = text.substr(colon + 1);
    host = text.substr(0, colon);
    size_t before = host.rfind(':');
    if (before != std::string_view::npos) host = host.substr(before + 1);
  }
  auto [ports, protocol] = cut(container, '/');
  std::string name = to_lower(protocol.value_or("tcp"));
  if (name.empty()) name = "tcp";
  if (ports.empty()) return Error{Code::Invalid, "invalid port: \"" + std::string(text) + "\": no port specified"};
  if (name != "tcp" && name != "udp" && name != "sctp") return Error{Code::Invalid, "invalid port: \"" + std::string(text) + "\": invalid proto: " + name};
  auto [start, end] = TRY(port_range(ports, text));
  if (!host.empty()) {
    auto [host_start, host_end] = TRY(port_range(host, text));
    if (end - start != host_end - host_start && end != start) return Error{Code::Invalid, "invalid ranges specified for container and host ports: " + std::string(text)};
  }
  std::vector<std::string> exposed;
  for (uint64_t port = start; port <= end; ++port) exposed.push_back(std::to_string(port) + "/" + name);
  return exposed;
}

bool is_signal(std::string_view text) {
  static const std::array<std::string_view, 36> kNames = {
      "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT",
      "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX"};
  if (auto number = parse_uint(text)) return *number > 0 && *number <= 64;
  std::string upper(text);
  for (char& c : upper) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  std::string_view name = upper;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  if (std::find(kNames.begin(), kNames.end(), name) != kNames.end()) return true;
  // RTMIN+1 ... RTMIN+15, RTMAX-14 ... RTMAX-1
  auto within = [&](std::string_view prefix, uint64_t most) {
    if (!name.starts_with(prefix)) return false;
    auto offset = parse_uint(name.substr(prefix.size()));
    return offset && *offset >= 1 && *offset <= most;
  };
  return within("RTMIN+", 15) || within("RTMAX-", 14);
}

namespace {

struct ModeClause {
  std::string_view who;   // of "ugoa"
  char operation;         // + - =
  std::string_view what;  // of "rwxXst" or one of "ugo"
};

// chmod(1)'s symbolic form: clauses by commas, several operations in a clause.
Result<std::vector<ModeClause>> parse_symbolic(std::string_view text) {
  std::vector<ModeClause> clauses;
  auto refuse = [&] { return Error{Code::Invalid, "invalid chmod parameter: '" + std::string(text) + "'; it should be octal, 0 to 07777, or symbolic such as u=rwX,go=rX"}; };
  for (size_t at = 0; at <= text.size();) {
    size_t end = std::min(text.find(',', at), text.size());
    std::string_view clause = text.substr(at, end - at);
    size_t who_end = clause.find_first_not_of("ugoa");
    if (who_end == std::string_view::npos) return refuse();
    std::string_view who = clause.substr(0, who_end);
    clause.remove_prefix(who_end);
    while (!clause.empty()) {
      if (clause[0] != '+' && clause[0] != '-' && clause[0] != '=') return refuse();
      size_t what_end = std::min(clause.find_first_of("+-=", 1), clause.size());
      std::string_view what = clause.substr(1, what_end - 1);
      bool copies = what.size() == 1 && (what[0] == 'u' || what[0] == 'g' || what[0] == 'o');
      if (!copies && what.find_first_not_of("rwxXst") != std::string_view::npos) return refuse();
      clauses.push_back({who, clause[0], what});
      clause.remove_prefix(what_end);
    }
    if (end == text.size()) break;
    at = end + 1;
  }
  return clauses;
}

uint32_t apply_clause(const ModeClause& clause, uint32_t mode, bool folder) {
  bool all = clause.who.empty() || clause.who.find('a') != std::string_view::npos;
  uint32_t affected = 0, special = 0;
  if (all || clause.who.find('u') != std::string_view::npos) affected |= 0700, special |= 04000;
  if (all || clause.who.find('g') != std::string_view::npos) affected |= 0070, special |= 02000;
  if (all || clause.who.find('o') != std::string_view::npos) affected |= 0007;
  uint32_t bits = 0;
  for (char c : clause.what) {
    switch (c) {
      case 'r': bits |= 0444 & affected; break;
      case 'w': bits |= 0222 & affected; break;
      case 'x': bits |= 0111 & affected; break;
      case 'X':
        if (folder || (mode & 0111)) bits |= 0111 & affected;
        break;
      case 's': bits |= special; break;
      case 't': bits |= all || clause.who.empty() ? 01000u : 0u; break;
      case 'u': bits |= (mode >> 6 & 7) * 0111 & affected; break;
      case 'g': bits |= (mode >> 3 & 7) * 0111 & affected; break;
      case 'o': bits |= (mode & 7) * 0111 & affected; break;
      default: break;
    }
  }
  if (clause.operation == '+') return mode | bits;
  if (clause.operation == '-') return mode & ~bits;
  return (mode & ~(affected | special)) | bits;
}

}  // namespace

Result<void> check_chmod(std::string_view text) {
  if (text.empty()) return {};
  if (text.find_first_not_of("0123456789") == std::string_view::npos) {
    auto mode = parse_uint(text, 8);
    if (mode && *mode <= 07777) return {};
    return Error{Code::Invalid, "invalid chmod parameter: '" + std::string(text) + "'; it should be octal string and between 0 and 07777"};
  }
  TRY(parse_symbolic(text));
  return {};
}

uint32_t apply_chmod(std::string_view text, uint32_t mode, bool folder) {
  if (text.empty()) return mode;
  if (auto octal = parse_uint(text, 8)) return static_cast<uint32_t>(*octal) & 07777;
  auto clauses = parse_symbolic(text);
  if (!clauses.ok()) return mode;  // check_chmod() refused it before
  for (const ModeClause& clause : *clauses) mode = apply_clause(clause, mode, folder);
  return mode;
}

void set_variable(std::vector<std::string>& env, std::string_view name, std::string_view value) {
  std::string whole = std::string(name) + "=" + std::string(value);
  for (std::string& variable : env) {
    if (cut(variable, '=').first == name) {
      variable = std::move(whole);
      return;
    }
  }
  env.push_back(std::move(whole));
}

void insert_sorted(std::vector<std::string>& list, const std::string& item) {
  auto place = std::lower_bound(list.begin(), list.end(), item);
  if (place == list.end() || *place != item) list.insert(place, item);
}

std::string strip_leading_tabs(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (char c : text) {
    if (line_start && c == '\t') continue;
    line_start = c == '\n';
    out += c;
  }
  return out;
}

}  // namespace archway::build
