#include "scheduler/node_group_tags.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/text.h"

namespace archway::scheduler {

namespace {

constexpr std::string_view kEksMark = "eks:";

bool known_effect(std::string_view effect) { return effect == kube::kNoSchedule || effect == kube::kNoExecute || effect == kube::kPreferNoSchedule; }

// The second part of Go's strings.Split(text, separator): what stands between the first separator and the next.
std::optional<std::string> behind(std::string_view text, std::string_view separator) {
  size_t at = text.find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = text.substr(at + separator.size());
  return std::string(rest.substr(0, rest.find(separator)));
}

// `(.*):(?:NoSchedule|NoExecute|PreferNoSchedule)`, anchored nowhere.
bool looks_like_taint(std::string_view value) {
  for (std::string_view effect : {kube::kNoSchedule, kube::kNoExecute, kube::kPreferNoSchedule}) {
    if (value.find(":" + std::string(effect)) != std::string_view::npos) return true;
  }
  return false;
}

class Reader {
 public:
  explicit Reader(const std::vector<GroupTag>& tags) : tags_(tags) {}

  TemplateTags read() {
    for (at_ = 0; at_ < tags_.size(); ++at_) {
      label();
      taint();
      resource();
      option();
      prefix();
      duplicate();
    }
    return std::move(result_);
  }

 private:
  const GroupTag& tag() const { return tags_[at_]; }

  void defect(std::string rule, std::string message, std::string advice) {
    result_.defects.push_back({at_, std::move(rule), std::move(message), std::move(advice)});
  }

  void label() {
    auto key = behind(tag().key, kLabelTag);
    bool eks = !key;
    if (!key) key = behind(tag().key, kEksMark);
    if (!key) return;
    if (key->empty()) {
      if (!eks) defect("label-key-empty", "the tag " + tag().key + " names no label and is dropped", "write " + std::string(kLabelTag) + "KEY");
      return;
    }
    result_.labels[*key] = tag().value;
    if (eks && !tag().key.starts_with(kEksMark)) {
      defect("eks-tag-label", "the tag " + tag().key + " holds \"eks:\", so the autoscaler takes it for the label " + *key, "rename the tag unless the label is meant");
      return;
    }
    if (eks) return;
    if (!kube::valid_label_key(*key)) {
      defect("label-key-invalid", "the label key \"" + *key + "\" is one that no node can have", "write [PREFIX/]NAME of letters, digits, '-', '_' and '.'");
    } else if (!kube::valid_label_value(tag().value)) {
      defect("label-value-invalid", "the label " + *key + " has the value \"" + tag().value + "\", which no node can have",
             "use at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends");
    }
  }

  void taint() {
    auto key = behind(tag().key, kTaintTag);
    if (!key) return;
    const std::string& value = tag().value;
    std::string shape = "write VALUE:NoSchedule, VALUE:NoExecute or VALUE:PreferNoSchedule; :NoSchedule for a taint without a value";
    if (!looks_like_taint(value)) {
      bool lone = known_effect(value);
      bool colon = value.find(':') != std::string::npos;
      std::string why = lone ? "has an effect and no colon in front of it" : colon ? "has an effect that is none" : "has no effect";
      return defect(colon && !lone ? "taint-effect-unknown" : "taint-malformed",
                    "the taint " + *key + " is dropped without a word: its value \"" + value + "\" " + why + ", so from zero the group counts as untainted",
                    lone ? "write \":" + value + "\"" : shape);
    }
    auto [taint_value, effect] = cut(value, ':');
    result_.taints.push_back({*key, std::string(taint_value), std::string(*effect)});
    if (!known_effect(*effect)) {
      defect("taint-effect-unknown",
             "the taint " + *key + " gets the effect \"" + std::string(*effect) + "\" (all behind the first colon of \"" + value + "\"), which repels no pod", shape);
    } else if (key->empty() || !kube::valid_label_key(*key)) {
      defect("taint-key-invalid", "the taint key \"" + *key + "\" is one that no node can have", "write [PREFIX/]NAME of letters, digits, '-', '_' and '.'");
    } else if (!kube::valid_label_value(taint_value)) {
      defect("taint-value-invalid", "the taint " + *key + " has the value \"" + std::string(taint_value) + "\", which no node can have",
             "use at most 63 letters, digits, '-', '_' and '.'");
    }
  }

  void resource() {
    auto name = behind(tag().key, kResourceTag);
    if (!name) return;
    if (name->empty()) return defect("resource-name-empty", "the tag " + tag().key + " names no resource and is dropped", "write " + std::string(kResourceTag) + "NAME");
    auto quantity = kube::Quantity::parse(tag().value);
    if (!quantity.ok()) {
      return defect("resource-unparsable", "the amount of " + *name + " is dropped without a word: " + quantity.error().message, "write a quantity such as 4, 3500m or 16Gi");
    }
    result_.resources.push_back({*name, quantity->nanos()});
  }

  void option() {
    if (!tag().key.starts_with(kOptionTag)) return;
    std::string name = tag().key.substr(kOptionTag.size());
    constexpr std::string_view ratios[] = {"scaledownutilizationthreshold", "scaledowngpuutilizationthreshold"};
    constexpr std::string_view durations[] = {"scaledownunneededtime", "scaledownunreadytime"};
    auto among = [&](const auto& list) { return std::find(std::begin(list), std::end(list), name) != std::end(list); };
    bool good = true;
    if (among(ratios)) {
      char* end = nullptr;
      good = !tag().value.empty() && (std::strtod(tag().value.c_str(), &end), *end == '\0');
    } else if (among(durations)) {
      good = is_duration(tag().value);
    } else if (name == "ignoredaemonsetsutilization") {
      constexpr std::string_view booleans[] = {"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"};
      good = std::find(std::begin(booleans), std::end(booleans), tag().value) != std::end(booleans);
    } else {
      return defect("option-unknown", "no option is named \"" + name + "\"; the tag has no effect",
                    "the options are scaledownutilizationthreshold, scaledowngpuutilizationthreshold, scaledownunneededtime, scaledownunreadytime and ignoredaemonsetsutilization");
    }
    if (good) {
      result_.options[name] = tag().value;
    } else {
      defect("option-unparsable", "the option " + name + " has the value \"" + tag().value + "\", which is dropped", among(durations) ? "write a duration such as 10m" : "");
    }
  }

  // Go's time.ParseDuration: 10m, 1h30m, 1.5h; a lone 0.
  static bool is_duration(std::string_view text) {
    if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
    if (text == "0") return true;
    if (text.empty()) return false;
    while (!text.empty()) {
      size_t digits = 0, points = 0;
      while (digits < text.size() && ((text[digits] >= '0' && text[digits] <= '9') || text[digits] == '.')) points += text[digits++] == '.';
      if (digits == points || points > 1) return false;
      text.remove_prefix(digits);
      size_t unit = 0;
      for (std::string_view each : {"ns", "us", "\xc2\xb5s", "ms", "s", "m", "h"}) {
        if (text.starts_with(each)) unit = std::max(unit, each.size());
      }
      if (unit == 0) return false;
      text.remove_prefix(unit);
    }
    return true;
  }

  // Keys that were meant to be a template's, and are not.
  void prefix() {
    const std::string& key = tag().key;
    if (key.find(kLabelTag) != std::string::npos || key.find(kTaintTag) != std::string::npos || key.find(kResourceTag) != std::string::npos ||
        key.starts_with(kOptionTag)) {
      return;
    }
    std::string lower = to_lower(key);
    bool meant = lower.find("node-template") != std::string::npos || lower.find("nodetemplate") != std::string::npos;
    if (!meant && lower.find("cluster-autoscaler/") != std::string::npos) {
      for (std::string_view part : {"label/", "labels/", "taint/", "taints/", "resource/", "resources/"}) meant = meant || lower.find(part) != std::string::npos;
    }
    if (!meant) return;
    std::string kind = lower.find("taint") != std::string::npos ? "taint/" : lower.find("resource") != std::string::npos ? "resources/" : lower.find("option") != std::string::npos ? "autoscaling-options/" : "label/";
    defect("tag-prefix", "the tag " + key + " is none that the autoscaler reads", "write " + std::string(kTemplatePrefix) + kind + "KEY");
  }

  void duplicate() {
    if (!seen_.insert(tag().key).second) defect("tag-duplicate", "the tag " + tag().key + " is there twice; the later value counts for labels, both for taints", "keep one");
  }

  const std::vector<GroupTag>& tags_;
  size_t at_ = 0;
  std::set<std::string> seen_;
  TemplateTags result_;
};

}  // namespace

TemplateTags read_template_tags(const std::vector<GroupTag>& tags) { return Reader(tags).read(); }

}  // namespace archway::scheduler
