#include "dockerfile/run_mount.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/text.h"
#include "dockerfile/unicode.h"

namespace archway::dockerfile {
namespace {

Error invalid(std::string message) { return Error{Code::Invalid, std::move(message)}; }

const std::vector<std::string>& type_names() {
  static const std::vector<std::string> kNames = {"bind", "cache", "tmpfs", "secret", "ssh"};  // in the order of MountType
  return kNames;
}
const std::vector<std::string>& sharing_names() {
  static const std::vector<std::string> kNames = {"shared", "private", "locked"};  // in the order of CacheSharing
  return kNames;
}
const std::vector<std::string>& field_names() {
  static const std::vector<std::string> kNames = {"type", "from", "source", "src",  "target", "dst", "destination", "readonly", "ro", "readwrite",
                                                  "rw",   "id",   "sharing", "required", "size", "mode", "uid", "gid", "env"};
  return kNames;
}

Error with_guess(std::string message, const std::string& word, const std::vector<std::string>& known) {
  auto guess = nearest(word, known);
  // The beginning of a word may be far from the whole of it.
  for (const std::string& one : known) {
    if (!guess && word.size() > 1 && one.starts_with(word)) guess = one;
  }
  if (guess) message += " (did you mean " + *guess + "?)";
  return invalid(std::move(message));
}

Result<size_t> index_of(const std::string& value, const std::vector<std::string>& names, std::string_view what) {
  const std::string lower = to_lower(value);
  for (size_t i = 0; i < names.size(); i++) {
    if (names[i] == lower) return i;
  }
  return with_guess("unsupported " + std::string(what) + " " + go_quote(value), lower, names);
}

Result<bool> parse_bool(const std::string& key, const std::string& value) {
  for (std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (value == yes) return true;
  }
  for (std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (value == no) return false;
  }
  return invalid("invalid value for " + key + ": " + value);
}

Result<uint32_t> parse_id(const std::string& key, const std::string& value, int base) {
  const auto number = parse_uint(value, base);
  if (!number || *number > UINT32_MAX) return invalid("invalid value " + value + " for " + key);
  return static_cast<uint32_t>(*number);
}

// "64m", "1.5GiB", "100": powers of 1024.
Result<int64_t> parse_size(const std::string& value) {
  const size_t end = value.find_first_not_of("0123456789.");
  const std::string digits = value.substr(0, end);
  std::string unit = to_lower(trim(end == std::string::npos ? "" : std::string_view(value).substr(end)));
  if (unit.ends_with("ib")) unit.resize(unit.size() - 2);
  else if (unit.ends_with('b')) unit.pop_back();
  static constexpr std::string_view kUnits = "kmgtp";
  const size_t power = unit.empty() ? 0 : kUnits.find(unit) + 1;
  char* rest = nullptr;
  const double number = digits.empty() || digits == "." ? NAN : std::strtod(digits.c_str(), &rest);
  const double bytes = number * std::pow(1024.0, static_cast<double>(power));
  const bool unit_fits = unit.empty() || (unit.size() == 1 && power != 0);
  if (!unit_fits || std::isnan(bytes) || *rest != '\0' || bytes >= 9.2e18) return invalid("invalid value for size: " + value);
  return static_cast<int64_t>(bytes);
}

// Gathers the fields of one mount, which come in any order; what fits together is judged at the end.
class MountReader {
 public:
  Result<void> read(const std::string& field, const ExpandField& expand) {
    const auto [key_view, value_view] = cut(field, '=');
    const std::string key = to_lower(key_view);
    if (!value_view) return word(key, field);
    const std::string value = TRY(expand(std::string(*value_view)));
    return key_and_value(key, value, field);
  }

  Result<RunMount> finish() && {
    const std::string& type = type_names()[static_cast<size_t>(mount_.type)];
    const bool has_owner = mount_.type == MountType::Secret || mount_.type == MountType::Ssh || mount_.type == MountType::Cache;
    if (!has_owner && mount_.mode) return invalid("mode not allowed for " + type + " mounts");
    if (!has_owner && mount_.uid) return invalid("uid not allowed for " + type + " mounts");
    if (!has_owner && mount_.gid) return invalid("gid not allowed for " + type + " mounts");
    if (!access_given_) mount_.read_only = mount_.type != MountType::Cache && mount_.type != MountType::Tmpfs;
    if (mount_.sharing && mount_.type != MountType::Cache) return invalid("sharing not allowed for " + type + " mounts");
    if (mount_.type == MountType::Secret) {
      if (!mount_.from.empty()) return invalid("secret mount should not have a from");
      if (mount_.source.empty() && mount_.target.empty() && mount_.id.empty()) return invalid("invalid secret mount. one of source, target required");
      if (!mount_.source.empty() && !mount_.id.empty()) return invalid("both source and id can't be set");
    }
    return std::move(mount_);
  }

 private:
  Error unexpected(const std::string& key) const {
    return invalid("unexpected key '" + key + "' for mount type '" + type_names()[static_cast<size_t>(mount_.type)] + "'");
  }
  bool may_be_required() const { return mount_.type == MountType::Secret || mount_.type == MountType::Ssh; }

  Result<void> word(const std::string& key, const std::string& field) {
    if (key == "readonly" || key == "ro" || key == "readwrite" || key == "rw") {
      mount_.read_only = key == "readonly" || key == "ro";
      access_given_ = true;
      return {};
    }
    if (key != "required") return invalid("invalid field '" + field + "' must be a key=value pair");
    if (!may_be_required()) return unexpected(key);
    mount_.required = true;
    return {};
  }

  Result<void> key_and_value(const std::string& key, const std::string& value, const std::string& field) {
    if (key == "type") {
      mount_.type = static_cast<MountType>(TRY(index_of(value, type_names(), "mount type")));
    } else if (key == "from") {
      mount_.from = value;
    } else if (key == "source" || key == "src") {
      mount_.source = value;
    } else if (key == "target" || key == "dst" || key == "destination") {
      mount_.target = value;
    } else if (key == "readonly" || key == "ro" || key == "readwrite" || key == "rw") {
      const bool on = TRY(parse_bool(key, value));
      mount_.read_only = (key == "readonly" || key == "ro") == on;
      access_given_ = true;
    } else if (key == "required") {
      if (!may_be_required()) return unexpected(key);
      mount_.required = TRY(parse_bool(key, value));
    } else if (key == "size") {
      if (mount_.type != MountType::Tmpfs) return unexpected(key);
      mount_.size_bytes = TRY(parse_size(value));
    } else if (key == "id") {
      mount_.id = value;
    } else if (key == "sharing") {
      mount_.sharing = static_cast<CacheSharing>(TRY(index_of(value, sharing_names(), "sharing value")));
    } else if (key == "mode") {
      mount_.mode = TRY(parse_id(key, value, 8));
    } else if (key == "uid") {
      mount_.uid = TRY(parse_id(key, value, 10));
    } else if (key == "gid") {
      mount_.gid = TRY(parse_id(key, value, 10));
    } else if (key == "env") {
      mount_.env = value;
    } else {
      return with_guess("unexpected key '" + key + "' in '" + field + "'", key, field_names());
    }
    return {};
  }

  RunMount mount_;
  bool access_given_ = false;
};

}  // namespace

Result<std::vector<std::string>> csv_fields(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) return invalid("an empty list of fields");
  std::vector<std::string> fields;
  for (size_t position = 0;;) {
    std::string field;
    if (position < line.size() && line[position] == '"') {
      for (position++;; position++) {
        const size_t quote = line.find('"', position);
        if (quote == std::string_view::npos) return invalid("a quoted field is not closed");
        field += line.substr(position, quote - position);
        position = quote + 1;
        if (position >= line.size() || line[position] != '"') break;
        field += '"';
      }
      if (position < line.size() && line[position] != ',') return invalid("text after the closing quote of a field");
    } else {
      const size_t end = std::min(line.find(',', position), line.size());
      field = line.substr(position, end - position);
      if (field.find('"') != std::string::npos) return invalid("a quote inside a field that is not quoted");
      position = end;
    }
    fields.push_back(std::move(field));
    if (position >= line.size()) return fields;
    position++;  // the comma
  }
}

Result<void> check_run_mount(std::string_view text) {
  auto fields = csv_fields(text);
  if (!fields.ok()) return std::move(fields).error().within("reading --mount=" + std::string(text));
  for (const std::string& field : *fields) {
    const auto [key, value] = cut(field, '=');
    if (!value || to_lower(key) != "from") continue;
    const size_t dollar = value->find('$');
    if (dollar != std::string_view::npos && dollar + 1 != value->size()) {
      return invalid("'from' doesn't support variable expansion, define alias stage instead");
    }
  }
  return {};
}

Result<RunMount> parse_run_mount(std::string_view text, const ExpandField& expand) {
  auto fields = csv_fields(text);
  if (!fields.ok()) return std::move(fields).error().within("reading --mount=" + std::string(text));
  MountReader reader;
  for (const std::string& field : *fields) TRY(reader.read(field, expand));
  return std::move(reader).finish();
}

}  // namespace archway::dockerfile
