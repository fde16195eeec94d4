#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "audit/finding.h"
#include "dockerfile/instructions.h"

namespace archway::audit {

// A word in a Dockerfile that ties an instruction to one architecture.
struct DockerfileWord {
  std::string rule, text, message, advice;
  Place place;
  bool url = false;  // in the address of a download
};

// A Dockerfile's text by lines, for places of what the parser found.
class DockerfileText {
 public:
  DockerfileText(std::string_view text, std::string source);
  // Where `word` first stands within the instruction; where it does not, its first line.
  Place find(dockerfile::Location where, std::string_view word) const;
  // amd64 and x86_64 in URLs and file names, GOARCH=amd64, -march=x86-64 and so on: audit.md 5.6.
  std::vector<DockerfileWord> architecture_words(dockerfile::Location where) const;

 private:
  std::pair<size_t, size_t> span(dockerfile::Location where) const;
  Place at(size_t begin, size_t end) const;
  std::string_view text_;
  std::string source_;
  std::vector<size_t> lines_;  // where each begins
};

}  // namespace archway::audit
