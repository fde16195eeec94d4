#include "verify/cause.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace archway {

namespace {

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

bool contains_any(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) { return contains(text, part); });
}

// The first URL in the line that names a processor; "" where there is none.
std::string url_with_architecture(std::string_view history) {
  for (size_t at = history.find("http"); at != history.npos; at = history.find("http", at + 4)) {
    std::string_view url = history.substr(at);
    if (!url.starts_with("http://") && !url.starts_with("https://")) continue;
    url = url.substr(0, url.find_first_of(" \t\n\"'|;&)"));
    if (contains_any(to_lower(url), {"amd64", "x86_64", "x86-64", "x64", "arm64", "aarch64", "armhf", "armv7", "i386", "i686", "386"})) return std::string(url);
  }
  return "";
}

std::string cause_of_line(const Finding& finding) {
  std::string layer = "layer " + std::to_string(finding.layer_number);
  std::string_view history = finding.history;
  if (history.empty()) return layer + " brought a program for another platform";
  if (std::string url = url_with_architecture(history); !url.empty()) {
    return layer + " downloads a file for one architecture: in " + url + ", use the build argument TARGETARCH";
  }
  bool copies = contains_any(history, {"COPY ", "ADD ", "#(nop) COPY", "#(nop) ADD"});
  if (copies && (contains(history, "--from=") || contains(history, "buildkit"))) {
    return layer + " is a COPY of a program that was built for another platform: if it comes from a stage on $BUILDPLATFORM, that stage must cross-compile for $TARGETARCH; "
           "if it comes from the build context, it was prebuilt";
  }
  if (copies) return layer + " is a COPY of a prebuilt program: build it in the Dockerfile, or keep one file per $TARGETARCH";
  if (contains_any(history, {"curl ", "wget "})) return layer + " downloads a file that is for one architecture: choose it by the build argument TARGETARCH";
  return layer + " made or installed a program for another platform: look at its RUN for a fixed architecture";
}

}  // namespace

std::string most_common(const ArchitectureCounts& counts) {
  auto most = std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == counts.end() ? "" : most->first;
}

std::string likely_cause(const PlatformVerdict& verdict, const ArchitectureCounts& counts) {
  const Finding* foreign = nullptr;
  const Finding* config = nullptr;
  for (const Finding& finding : verdict.findings) {
    if (finding.severity != Severity::Error) continue;
    if (finding.rule == "config-platform") config = &finding;
    if (!foreign && (finding.rule == "elf-machine" || finding.rule.ends_with("-machine"))) foreign = &finding;
  }
  std::string most = most_common(counts);
  if (config) return "the image was put into the index under the wrong platform, or built for another one than it was named for: " + (most.empty() ? "it has no programs to tell" : "its programs are mostly for " + most);
  if (!foreign) return "";
  if (most != verdict.platform.architecture) {
    return "most of its programs are for " + most + ": the final stage was built on a base image for that platform. Look for FROM --platform=$BUILDPLATFORM (or a fixed one) on the "
           "last FROM, or for a base image that is pinned to one platform's digest";
  }
  return cause_of_line(*foreign);
}

}  // namespace archway
