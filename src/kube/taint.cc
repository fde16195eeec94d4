#include "kube/taint.h"

#include <algorithm>

#include "kube/labels.h"

namespace archway::kube {

namespace {

bool known_effect(std::string_view effect) { return effect == kNoSchedule || effect == kPreferNoSchedule || effect == kNoExecute; }

Error unknown_effect(std::string_view effect) {
  return {Code::Invalid, "effect: \"" + std::string(effect) + "\" is not one of NoSchedule, PreferNoSchedule, NoExecute"};
}

}  // namespace

std::string Taint::str() const { return key + (value.empty() ? "" : "=" + value) + ":" + effect; }

bool Toleration::tolerates(const Taint& taint) const {
  if (!effect.empty() && effect != taint.effect) return false;
  if (!key.empty() && key != taint.key) return false;
  if (op.empty() || op == "Equal") return value == taint.value;
  return op == "Exists";
}

bool tolerated(const Taint& taint, const std::vector<Toleration>& tolerations) {
  return std::any_of(tolerations.begin(), tolerations.end(), [&](const Toleration& each) { return each.tolerates(taint); });
}

const Taint* first_untolerated(const std::vector<Taint>& taints, const std::vector<Toleration>& tolerations) {
  for (const Taint& taint : taints) {
    if (repels(taint) && !tolerated(taint, tolerations)) return &taint;
  }
  return nullptr;
}

Result<Taint> read_taint(const Json& object) {
  Taint taint{object["key"].string(), object["value"].string(), object["effect"].string()};
  if (!valid_label_key(taint.key)) return Error{Code::Invalid, "key: \"" + taint.key + "\" is no label key"};
  if (!known_effect(taint.effect)) return unknown_effect(taint.effect);
  return taint;
}

Result<Toleration> read_toleration(const Json& object) {
  Toleration toleration{object["key"].string(), object["operator"].string(), object["value"].string(), object["effect"].string()};
  if (!toleration.op.empty() && toleration.op != "Equal" && toleration.op != "Exists") {
    return Error{Code::Invalid, "operator: \"" + toleration.op + "\" is not Equal or Exists"};
  }
  if (toleration.key.empty() && toleration.op != "Exists") return Error{Code::Invalid, "operator: must be Exists where key is empty"};
  if (toleration.op == "Exists" && !toleration.value.empty()) return Error{Code::Invalid, "value: must be empty where operator is Exists"};
  if (!toleration.effect.empty() && !known_effect(toleration.effect)) return unknown_effect(toleration.effect);
  return toleration;
}

Result<Taint> parse_taint(std::string_view text) {
  Taint taint;
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return Error{Code::Invalid, "taint \"" + std::string(text) + "\" has no effect; write KEY=VALUE:NoSchedule"};
  }
  taint.effect = text.substr(colon + 1);
  std::string_view pair = text.substr(0, colon);
  size_t equals = pair.find('=');
  taint.key = pair.substr(0, equals);
  if (equals != std::string_view::npos) taint.value = pair.substr(equals + 1);
  if (!known_effect(taint.effect)) return unknown_effect(taint.effect).within("taint \"" + std::string(text) + "\"");
  if (!valid_label_key(taint.key) || !valid_label_value(taint.value)) {
    return Error{Code::Invalid, "taint \"" + std::string(text) + "\": key or value is not well formed"};
  }
  return taint;
}

}  // namespace archway::kube
