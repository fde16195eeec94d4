#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace archway::registry_server {

// Users and their bcrypt hashes, as Apache's `htpasswd -B` writes them. A change of the file is seen at the next check; a
// file that has become unreadable or malformed lets nobody in. Thread safe.
class Htpasswd {
 public:
  // Invalid where a line is none, or its hash is not bcrypt ($2a$, $2b$, $2y$).
  static Result<std::unique_ptr<Htpasswd>> open(std::string path);
  virtual ~Htpasswd() = default;
  // `header` is the value of Authorization. An unknown user takes the time that a wrong password takes, so that the
  // answer does not tell users' names. What was right once is remembered, as a salted hash, until the file changes.
  virtual bool allows(std::string_view header) = 0;
};

}  // namespace archway::registry_server
