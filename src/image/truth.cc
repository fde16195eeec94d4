#include "image/truth.h"

#include <algorithm>

#include "image/reference.h"

namespace archway {

namespace {

Error wrong(std::string why) { return Error{Code::Invalid, std::move(why)}; }

Result<Platform> platform_of(const Json& json) {
  if (!json.is_string()) return wrong("a platform is a string like \"linux/arm64\"");
  if (json.string().find('/') == std::string::npos) return wrong("\"" + json.string() + "\" is not a whole platform: write linux/" + json.string());
  return parse_platform(json.string());
}

Result<WrongPlatform> wrong_platform_of(const Json& json) {
  if (!json.is_string() && !json.is_object()) return wrong("\"wrong\" lists platforms, or objects with \"platform\" and \"why\"");
  for (const JsonMember& member : json.members()) {
    if (member.key != "platform" && member.key != "why") return wrong("unknown member \"" + member.key + "\"");
  }
  if (json.has("why") && !json["why"].is_string()) return wrong("\"why\" is not a string");
  Platform platform = TRY(platform_of(json.is_object() ? json["platform"] : json));
  return WrongPlatform{std::move(platform), json["why"].string()};
}

Result<ImageTruth> truth_of(const Json& json) {
  if (!json.is_object()) return wrong("what is known of an image is an object");
  ImageTruth truth;
  for (const JsonMember& member : json.members()) {
    if (member.key == "digest") {
      if (!member.value.is_string()) return wrong("\"digest\" is not a string");
      truth.digest = TRY(Digest::parse(member.value.string()));
    } else if (member.key == "platforms" || member.key == "wrong") {
      if (!member.value.is_array()) return wrong("\"" + member.key + "\" is not a list");
    } else {
      return wrong("unknown member \"" + member.key + "\"; there are \"digest\", \"platforms\" and \"wrong\"");
    }
  }
  for (const Json& item : json["platforms"].items()) truth.platforms.push_back(TRY(platform_of(item)));
  for (const Json& item : json["wrong"].items()) truth.wrong.push_back(TRY(wrong_platform_of(item)));
  return truth;
}

// The line on which the member `key` of the root stands. Values do not know where they were, so the text is read once
// more, this time for strings and braces only; it is known to be JSON.
size_t line_of_member(std::string_view text, std::string_view key) {
  size_t line = 1, depth = 0, found = 1;
  bool name_next = true;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\n') ++line;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c == ',' && depth == 1) name_next = true;
    if (c != '"') continue;
    size_t begin = i;
    for (++i; i < text.size() && text[i] != '"'; ++i) i += text[i] == '\\';
    if (depth == 1 && name_next) {
      auto name = parse_json(text.substr(begin, i + 1 - begin));
      if (name.ok() && name->string() == key) found = line;  // the last of equal names is the one that counts
      name_next = false;
    }
  }
  return found;
}

}  // namespace

bool ImageTruth::runs_on(const Platform& want, Fallback fallback) const {
  return std::any_of(platforms.begin(), platforms.end(), [&](const Platform& have) {
    bool lie = std::any_of(wrong.begin(), wrong.end(), [&](const WrongPlatform& w) { return w.platform == have; });
    return !lie && have.os != "unknown" && platform_matches(want, have, fallback);
  });
}

const ImageTruth* ImageTruths::find(std::string_view reference) const {
  if (auto found = images.find(reference); found != images.end()) return &found->second;
  auto wanted = Reference::parse(reference);
  if (!wanted.ok()) return nullptr;
  for (std::string text : {wanted->str(), wanted->familiar()}) {
    if (auto found = images.find(text); found != images.end()) return &found->second;
  }
  // All spellings of a name end its path alike; parsing every other text would take a hundred times as long.
  std::string leaf = wanted->repository().substr(wanted->repository().rfind('/') + 1);
  for (const auto& [text, truth] : images) {
    if (text.find(leaf) == std::string::npos) continue;
    auto known = Reference::parse(text);
    if (known.ok() && *known == *wanted) return &truth;
  }
  return nullptr;
}

Result<ImageTruths> parse_truths(std::string_view text) {
  if (text.size() > kMaxTruthBytes) return wrong("more than " + std::to_string(kMaxTruthBytes) + " bytes");
  Json json = TRY(parse_json(text));
  if (!json.is_object()) return wrong("line 1: an object with one member per image is expected");
  ImageTruths truths;
  for (const JsonMember& member : json.members()) {
    auto at = [&](Error error) {
      return std::move(error).within("line " + std::to_string(line_of_member(text, member.key)) + ": image \"" + member.key.substr(0, 300) + "\"");
    };
    auto reference = Reference::parse(member.key);
    if (!reference.ok()) return at(std::move(reference).error());
    auto truth = truth_of(member.value);
    if (!truth.ok()) return at(std::move(truth).error());
    truths.images.emplace(member.key, std::move(truth).value());
  }
  return truths;
}

std::string write_truths(const ImageTruths& truths) {
  Json json = Json::object();
  for (const auto& [reference, truth] : truths.images) {
    Json image = Json::object();
    if (truth.digest) image.set("digest", truth.digest->str());
    Json platforms = Json::array();
    for (const Platform& platform : truth.platforms) platforms.push(platform.str());
    image.set("platforms", std::move(platforms));
    if (!truth.wrong.empty()) {
      Json list = Json::array();
      for (const WrongPlatform& w : truth.wrong) {
        list.push(w.why.empty() ? Json(w.platform.str()) : Json::object({{"platform", w.platform.str()}, {"why", w.why}}));
      }
      image.set("wrong", std::move(list));
    }
    json.mutable_members().push_back({reference, std::move(image)});
  }
  return to_json(json, {.indent = 2}) + "\n";
}

}  // namespace archway
