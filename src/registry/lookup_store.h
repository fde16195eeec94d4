#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "image/digest.h"
#include "image/truth.h"

namespace archway {

inline constexpr size_t kMaxStoredNames = 1'000'000;  // then the oldest go, when the store is opened

// What look-ups remember across runs: one SQLite file (write-ahead log: after kill -9 it holds what was committed), which several
// processes may share. It is a cache: what cannot be read is not there, what cannot be written is not kept, and the first failure
// is told to `warn`. Thread safe.
class LookupStore {
 public:
  using Warn = std::function<void(const std::string&)>;
  // In `folder`/lookups.sqlite, made where it is missing (mode 0700: it says which private images were seen). A file that is damaged,
  // or of another version, is begun anew.
  static Result<std::unique_ptr<LookupStore>> open(const std::string& folder, Warn warn = {});
  ~LookupStore();
  LookupStore(const LookupStore&) = delete;

  // Which digest a name had, when it was last asked for; `who` tells credentials apart.
  struct Name {
    Digest digest;
    Time checked;
  };
  std::optional<Name> name(const std::string& name, const std::string& who);
  // The same, whoever saw it.
  std::optional<Digest> any_digest(const std::string& name);
  void put_name(const std::string& name, const std::string& who, const Name& value);

  std::optional<std::string> facts(const Digest& digest);  // as pack_facts() wrote them
  void put_facts(const Digest& digest, const std::string& packed);
  // Both at once.
  void put(const std::string& name, const std::string& who, const Name& value, const std::string& packed);

  struct Verdict {
    Digest manifest;
    WrongPlatform wrong;
  };
  std::vector<Verdict> verdicts();
  Result<void> put_verdict(const Verdict& verdict);

  const std::string& salt() const;  // random, of this file: hashes of credentials in it cannot be compared with others

 private:
  struct State;
  explicit LookupStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace archway
