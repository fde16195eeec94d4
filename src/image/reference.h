#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "image/digest.h"

namespace archway {

// A name of an image in a registry, by the grammar of distribution/reference, with docker's short names
// completed: "alpine" is docker.io/library/alpine:latest.
class Reference {
 public:
  // Refuses what docker refuses, with the same reasons. Without tag and digest, tag() is "latest".
  static Result<Reference> parse(std::string_view text);

  const std::string& host() const { return host_; }              // "docker.io", "localhost:5000"
  const std::string& repository() const { return repository_; }  // "library/alpine"
  const std::optional<std::string>& tag() const { return tag_; }
  const std::optional<Digest>& digest() const { return digest_; }
  // What to ask a registry for: the digest where there is one, else the tag.
  std::string identifier() const { return digest_ ? digest_->str() : tag_.value_or("latest"); }

  std::string name() const { return host_ + "/" + repository_; }  // without tag and digest
  std::string str() const;        // canonical: docker.io/library/alpine:latest; parse(str()) is equal
  std::string familiar() const;   // as docker prints it: alpine:latest
  Reference with_tag(std::string tag) const;
  Reference with_digest(Digest digest) const;  // drops the tag
  bool operator==(const Reference&) const = default;

 private:
  Reference() = default;
  std::string host_, repository_;
  std::optional<std::string> tag_;
  std::optional<Digest> digest_;
};

}  // namespace archway
