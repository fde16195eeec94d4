#include "audit/pod_reader.h"
#include "audit/readers.h"
#include "audit/written_image.h"

namespace archway::audit {

namespace {

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
    size_t index = 0;
    self.each_item([&](const Value& item) { value(item, path + "/" + std::to_string(index++), depth + 1); });
    self.each_member([&](const Value& key, const Value& member) { keyed(key.scalar(), member, path + "/" + std::string(key.scalar()), depth + 1); });
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
    std::string text = expand_variables(at.scalar(), [this](std::string_view name) { return variable(name); });
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
  size_t walked_ = 0;
};

}  // namespace

void read_pipeline(const Value& root, const Where& where, Collection& out) { Walk(root, where, out).run(); }

}  // namespace archway::audit
