#include "audit/written_image.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/text.h"

namespace archway::audit {

namespace {

constexpr size_t kMaxImageBytes = 1024;

// Docker Hub namespaces that images in arguments and variables are seen with (audit.md 3.3 and 4.2). A namespace that is not here
// needs a host, or a name that says "image".
constexpr std::array<std::string_view, 45> kKnownNamespaces = {
    "alpine", "amazon", "apache", "aquasec", "argoproj", "bitnami", "bitnamilegacy", "calico", "ceph", "cilium", "coredns", "curlimages", "datadog",
    "docker", "envoyproxy", "falcosecurity", "fluent", "goharbor", "grafana", "hashicorp", "istio", "jaegertracing", "jenkins", "kiwigrid", "kong", "kubeflow",
    "library", "linkerd", "longhornio", "minio", "moby", "nginx", "nvidia", "openebs", "openpolicyagent", "otel", "percona", "prom", "rancher", "rook",
    "strimzi", "velero", "victoriametrics", "weaveworks", "zalando"};

bool is_upper_placeholder(std::string_view text) {
  bool upper = false;
  for (char c : text) {
    if (c >= 'a' && c <= 'z') return false;
    upper = upper || (c >= 'A' && c <= 'Z');
  }
  return upper;
}

bool is_templated(std::string_view text) {
  for (std::string_view mark : {"$", "{{", "}}", "<", ">", "%s", "__", "@@", "%(", "[["}) {
    size_t at = text.find(mark);
    if (at == text.npos) continue;
    if (mark == "__" && text.find("__", at + 2) == text.npos) continue;  // a__b may be a name; __TAG__ is a gap
    return true;
  }
  return is_upper_placeholder(text.substr(0, text.find('@')));
}

bool has_host(const Reference& reference, std::string_view text) {
  std::string_view first = text.substr(0, text.find('/'));
  if (first.size() == text.size()) return false;
  return reference.host() != "docker.io" || first.find('.') != first.npos || first.find(':') != first.npos || first == "localhost";
}

bool has_known_namespace(const Reference& reference, std::string_view text) {
  if (reference.host() != "docker.io" || text.find('/') == text.npos) return false;
  std::string_view space = std::string_view(reference.repository()).substr(0, reference.repository().find('/'));
  return std::binary_search(kKnownNamespaces.begin(), kKnownNamespaces.end(), space);
}

// Names of files, sites and versions are written like images.
bool looks_like_something_else(std::string_view text) {
  static constexpr std::array<std::string_view, 21> kEndings = {".png", ".jpg", ".jpeg", ".gif", ".svg", ".ico", ".webp", ".yaml", ".yml", ".json", ".conf",
                                                                ".sh", ".txt", ".md", ".html", ".js", ".css", ".iso", ".qcow2", ".img", ".git"};
  if (std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view ending) { return text.ends_with(ending); })) return true;
  return text.find("://") != text.npos || text.starts_with("/") || text.starts_with("./") || text.find("..") != text.npos;
}

// host:8080 and db:5432 are addresses.
bool is_address(const Reference& reference, std::string_view text) {
  if (text.find('/') != text.npos || reference.digest()) return false;
  const std::string tag = reference.tag().value_or("");
  return !tag.empty() && tag.size() <= 5 && tag.size() >= 2 && std::all_of(tag.begin(), tag.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool image_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' || c == '/' || c == ':' || c == '@' || c == '+';
}

// Where the value in `key: value`, `key=value` begins, if the key names an image.
std::optional<size_t> hinted_value(std::string_view line) {
  size_t colon = line.find_first_of(":=");
  if (colon == line.npos || !names_image(trim(line.substr(0, colon)))) return std::nullopt;
  size_t at = line.find_first_not_of(" \t\"'", colon + 1);
  if (at == line.npos) return std::nullopt;
  return at;
}

void words_of_line(std::string_view line, size_t base, std::vector<LooseImage>& out) {
  std::optional<size_t> hinted = hinted_value(line);
  for (size_t at = 0; at < line.size();) {
    if (!image_character(line[at])) {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < line.size() && image_character(line[end])) ++end;
    // A word that goes on with $ or { is a template, one before "//" the scheme of a URL.
    bool whole = (at == 0 || std::strchr("${<%", line[at - 1]) == nullptr) && (end == line.size() || std::strchr("${<%(", line[end]) == nullptr);
    std::string_view word = line.substr(at, end - at);
    while (!word.empty() && std::strchr(".,:-", word.back())) word.remove_suffix(1);
    bool said = hinted && *hinted >= at && *hinted < end;
    if (whole && word.size() > 2) {
      if (auto found = loose_image(word, said)) {
        found->offset += base + at;
        out.push_back(std::move(*found));
      }
    }
    at = end;
  }
}

}  // namespace

WrittenImage read_image(std::string_view text) {
  WrittenImage written;
  std::string_view image = trim(text);
  if (image.starts_with("docker://")) image.remove_prefix(9);
  if (image.starts_with("docker.io/") && image.size() == 10) image = {};
  if (image.empty()) {
    written.why = "the image is empty";
    return written;
  }
  if (image.starts_with("ko://")) {
    written.templated = true;
    written.why = "ko builds it from source";
    return written;
  }
  if (image.size() > kMaxImageBytes) {
    written.why = "longer than " + std::to_string(kMaxImageBytes) + " bytes";
    return written;
  }
  auto parsed = Reference::parse(image);
  // __TAG__ is a gap for sed to fill, though the grammar would let it be a tag.
  bool gap = parsed.ok() && parsed->tag() && parsed->tag()->size() > 4 && parsed->tag()->starts_with("__") && parsed->tag()->ends_with("__");
  if (parsed.ok() && !gap) {
    written.reference = std::move(*parsed);
    return written;
  }
  written.templated = is_templated(image);
  written.templated = written.templated || gap;
  written.why = written.templated ? "a template: its value is not known here" : parsed.error().message;
  return written;
}

namespace {

bool holds_mage(std::string_view name) {
  for (size_t i = 0; i + 4 <= name.size(); ++i) {
    if ((name[i] | 0x20) == 'm' && (name[i + 1] | 0x20) == 'a' && (name[i + 2] | 0x20) == 'g' && (name[i + 3] | 0x20) == 'e') return true;
  }
  return false;
}

}  // namespace

bool names_image(std::string_view name) {
  while (!name.empty() && name.front() == '-') name.remove_prefix(1);
  // Whatever names an image has this in it, and hardly any other key.
  if (name.size() < 5 || !holds_mage(name)) return false;
  std::string lower = to_lower(name);
  for (std::string_view ending : {"image", "imagename", "image_name", "image-name", "imageref", "imageurl", "dockerimage", "container_image", "baseimage"}) {
    if (lower.ends_with(ending)) return true;
  }
  // RELATED_IMAGE_ETCD, IMAGE_OPERATOR: operators' conventions.
  return name.starts_with("RELATED_IMAGE_") || name.find("_IMAGE_") != name.npos || name.starts_with("IMAGE_");
}

std::optional<LooseImage> loose_image(std::string_view text, bool hinted) {
  std::string_view word = trim(text);
  // What is wanted of it below cannot be there without one of these.
  if (word.find_first_of(hinted ? ":@/" : ":@") == word.npos) return std::nullopt;
  if (word.size() < 3 || word.size() > kMaxImageBytes || looks_like_something_else(word)) return std::nullopt;
  auto parsed = Reference::parse(word);
  if (!parsed.ok()) return std::nullopt;
  std::string_view name = word.substr(0, word.find('@'));
  bool tagged = parsed->digest() || name.substr(name.rfind('/') == name.npos ? 0 : name.rfind('/') + 1).find(':') != name.npos;
  LooseImage found{std::string(word), static_cast<size_t>(word.data() - text.data()), Confidence::Possible};
  if (hinted) {
    if (!tagged && word.find('/') == word.npos) return std::nullopt;
    if (is_address(*parsed, word)) return std::nullopt;
    found.confidence = Confidence::Likely;
    return found;
  }
  if (!tagged || (!has_host(*parsed, word) && !has_known_namespace(*parsed, word))) return std::nullopt;
  return found;
}

std::optional<LooseImage> argument_image(std::string_view argument, std::string_view previous) {
  size_t equals = argument.find('=');
  if (argument.starts_with("-") && equals != argument.npos) {
    auto found = loose_image(argument.substr(equals + 1), names_image(argument.substr(0, equals)));
    if (found) found->offset += equals + 1;
    return found;
  }
  bool hinted = previous.starts_with("-") && previous.find('=') == previous.npos && names_image(previous);
  return loose_image(argument, hinted);
}

std::vector<LooseImage> images_in_text(std::string_view text) {
  std::vector<LooseImage> found;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    std::string_view shown = trim(line);
    if (!shown.starts_with('#') && !shown.starts_with("//")) words_of_line(line, at, found);
    at = end + 1;
  }
  return found;
}

namespace {

bool holds(std::string_view text, std::string_view word) { return ::memmem(text.data(), text.size(), word.data(), word.size()) != nullptr; }

// Letters that a tag or digest can begin with, behind a colon or at sign: what every loose image has.
bool word_character(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

}  // namespace

bool may_hold_images(std::string_view text) {
  // "image" in any case ends in "mage"; case of the m is all that differs in names that are met (IMAGE has MAGE).
  if (holds(text, "mage") || holds(text, "MAGE")) return true;
  // {repository, tag}: Helm values say no "image" where the parent key is another word.
  if (holds(text, "repository") || holds(text, "hub:")) return true;
  // Loose images: a slash, and behind it, in the same word, a colon or at sign and then a letter or digit.
  for (size_t slash = text.find('/'); slash != text.npos;) {
    size_t at = slash + 1;
    bool url = at < text.size() && text[at] == '/';
    while (at < text.size() && image_character(text[at])) {
      if (!url && (text[at] == ':' || text[at] == '@') && at + 1 < text.size() && word_character(text[at + 1])) return true;
      ++at;
    }
    slash = text.find('/', at);
  }
  return false;
}

}  // namespace archway::audit
