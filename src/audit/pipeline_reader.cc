#include <algorithm>

#include "audit/pod_reader.h"
#include "audit/readers.h"
#include "audit/written_image.h"
#include "base/text.h"

namespace archway::audit {

namespace {

constexpr size_t kMaxExpressions = 8;          // in one text
constexpr size_t kMaxExpressionBytes = 4096;  // of a value that is put in
constexpr size_t kMaxMatrix = 256;  // jobs of one matrix, as GitHub has it

// What "${{ matrix.a.b }}" may be in one job: members of the matrix's lists, and of what it includes.
std::vector<std::string> matrix_values(const Value& job, std::string_view path) {
  std::vector<std::string> found;
  auto [name, below] = cut(path, '.');
  auto add = [&](const Value& item) {
    const Value& value = below ? item[*below] : item;
    if (value.is_scalar() && !value.is_null() && found.size() < kMaxMatrix && std::find(found.begin(), found.end(), value.scalar()) == found.end()) found.emplace_back(value.scalar());
  };
  const Value& matrix = job["strategy"]["matrix"];
  matrix[name].each_item(add);
  matrix["include"].each_item([&, key = name](const Value& item) {
    if (const Value* value = item.find(key)) add(*value);
  });
  return found;
}

// One walk for all systems: they differ in where jobs are, hardly in what an image is called.
class Walk {
 public:
  Walk(const Value& root, const Where& where, Collection& out) : root_(root), where_(where), out_(out) {}

  void run() { value(root_, "", 0); }

 private:
  // GitLab's `variables:`, with {value: x} too.
  std::optional<std::string> variable(std::string_view name) const {
    const Value& found = root_["variables"][name];
    if (found.is_mapping()) return std::string(found["value"].scalar());
    if (!root_["variables"].find(name) || !found.is_scalar()) return std::nullopt;
    return std::string(found.scalar());
  }

  void value(const Value& at, const std::string& path, size_t depth) {
    if (depth > kMaxDepthWalked || ++walked_ > kMaxValuesWalked) return;
    const Value& self = at.followed();
    const Value* before = job_;
    if (self.find("strategy") || self.find("runs-on")) job_ = &self;
    size_t index = 0;
    self.each_item([&](const Value& item) { value(item, path + "/" + std::to_string(index++), depth + 1); });
    self.each_member([&](const Value& key, const Value& member) { keyed(key.scalar(), member, path + "/" + std::string(key.scalar()), depth + 1); });
    job_ = before;
  }

  // GitHub's expressions: what the matrix, the environment and defaults of inputs say. What they do not say stays as written.
  std::vector<std::string> expressions(const std::string& text, size_t depth) const {
    size_t open = text.find("${{"), close = open == text.npos ? text.npos : text.find("}}", open);
    if (close == text.npos || depth > kMaxExpressions) return {text};
    std::string_view name = trim(std::string_view(text).substr(open + 3, close - open - 3));
    std::vector<std::string> values;
    if (name.starts_with("matrix.") && job_) values = matrix_values(*job_, name.substr(7));
    if (name.starts_with("env.")) {
      const Value* own = job_ ? (*job_)["env"].find(name.substr(4)) : nullptr;
      if (!own) own = root_["env"].find(name.substr(4));
      if (own && own->is_scalar()) values = {std::string(own->scalar())};
    }
    if (name.starts_with("inputs.")) {
      for (std::string_view how : {"workflow_call", "workflow_dispatch"}) {
        const Value* given = root_["on"][how]["inputs"][name.substr(7)].find("default");
        if (given && values.empty()) values = {std::string(given->scalar())};
      }
      const Value* given = root_["inputs"][name.substr(7)].find("default");
      if (given && values.empty()) values = {std::string(given->scalar())};
    }
    std::vector<std::string> found;
    std::erase_if(values, [](const std::string& value) { return value.size() > kMaxExpressionBytes; });
    if (values.empty()) values = {text.substr(open, close + 2 - open)};
    const std::vector<std::string> behind = expressions(text.substr(close + 2), depth + 1);
    for (const std::string& value : values) {
      for (const std::string& rest : behind) {
        if (found.size() < kMaxMatrix) found.push_back(text.substr(0, open) + value + rest);
      }
    }
    return found;
  }

  void keyed(std::string_view key, const Value& member, const std::string& path, size_t depth) {
    if (key == "image") {
      if (member.is_scalar()) return image(member, path, true);
      if (const Value* name = member.find("name")) return image(*name, path + "/name", true);
    }
    if (key == "container" && member.is_scalar()) return image(member, path, true);
    if (key == "uses" && member.scalar().starts_with("docker://")) return image(member, path, true);
    if (key == "services" && member.is_sequence()) return services(member, path);
    if (key == "script" || key == "run" || key == "rules" || key == "variables") return;
    value(member, path, depth);
  }

  void services(const Value& list, const std::string& path) {
    size_t index = 0;
    list.each_item([&](const Value& item) {
      std::string at = path + "/" + std::to_string(index++);
      if (item.is_scalar()) image(item, at, true);
      for (std::string_view key : {"name", "image"}) {
        if (const Value* name = item.find(key)) {
          image(*name, at + "/" + std::string(key), true);
          return;
        }
      }
    });
  }

  void image(const Value& at, const std::string& path, bool certain) {
    for (const std::string& text : expressions(std::string(at.scalar()), 0)) image(at, text, path, certain);
  }

  void image(const Value& at, const std::string& written, const std::string& path, bool certain) {
    std::string text = expand_variables(written, [this](std::string_view name) { return variable(name); });
    if (text.empty() || at.is_null() || text == "scratch" || text == "Dockerfile" || text.ends_with("/Dockerfile")) return;
    if (text.starts_with("docker://")) text.erase(0, 9);
    ImageUse use;
    Place base;
    base.source = where_.source;
    base.document = where_.document;
    use.place = place_of(base, at.followed(), path);
    use.image = std::move(text);
    use.role = ImageUse::Role::Job;
    use.confidence = certain ? Confidence::Certain : Confidence::Likely;
    if (use.image != at.scalar()) use.place.begin = use.place.end = 0;  // what stands there is not the whole of it
    out_.uses.push_back(std::move(use));
  }

  const Value& root_;
  const Where& where_;
  Collection& out_;
  const Value* job_ = nullptr;
  size_t walked_ = 0;
};

}  // namespace

void read_pipeline(const Value& root, const Where& where, Collection& out) { Walk(root, where, out).run(); }

}  // namespace archway::audit
