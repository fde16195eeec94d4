#include "registry_server/htpasswd.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <map>
#include <optional>
#include <set>

#include "base/check.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/sync.h"
#include "base/text.h"

namespace archway::registry_server {

namespace {

constexpr uint64_t kMaxFileBytes = 16 << 20;
constexpr size_t kMaxVerified = 4096;
constexpr size_t kMaxCredentialBytes = 1024;

using Users = std::map<std::string, std::string, std::less<>>;

Result<Users> parse_users(std::string_view text, const std::string& path) {
  Users users;
  size_t number = 0;
  for (const std::string& line_text : split(text, '\n')) {
    number++;
    std::string_view line = trim(line_text);
    if (line.empty() || line[0] == '#') continue;
    auto refuse = [&](std::string_view why) { return Error{Code::Invalid, path + ":" + std::to_string(number) + ": " + std::string(why), "make entries with: htpasswd -B " + path + " USER"}; };
    auto [user, hash] = cut(line, ':');
    if (user.empty() || !hash) return refuse("expected USER:HASH");
    bool bcrypt = hash->size() == 60 && (hash->starts_with("$2y$") || hash->starts_with("$2b$") || hash->starts_with("$2a$"));
    if (!bcrypt) return refuse("the hash of " + std::string(user) + " is not bcrypt");
    users.insert_or_assign(std::string(user), std::string(*hash));
  }
  return users;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool bcrypt_matches(const std::string& password, const std::string& hash) {
  auto data = std::make_unique<crypt_data>();  // 32 KiB: not on a connection's stack
  const char* computed = ::crypt_r(password.c_str(), hash.c_str(), data.get());
  return computed && equal_in_constant_time(computed, hash);
}

struct Stamp {
  ino_t inode = 0;
  int64_t seconds = 0, nanoseconds = 0, size = -1;
  bool operator==(const Stamp&) const = default;
};

Stamp stamp_of(const std::string& path) {
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0) return {};
  return {st.st_ino, st.st_mtim.tv_sec, st.st_mtim.tv_nsec, st.st_size};
}

struct State {
  Users users;
  Stamp stamp;
  std::set<std::string> verified;  // salted hashes of "user:password:hash" that were right
};

class HtpasswdFile final : public Htpasswd {
 public:
  explicit HtpasswdFile(std::string path) : path_(std::move(path)) {
    unsigned char salt[32];
    CHECK(RAND_bytes(salt, sizeof salt) == 1);
    salt_.assign(reinterpret_cast<const char*>(salt), sizeof salt);
  }

  Result<void> load(State& state) {
    state.verified.clear();
    state.users.clear();
    state.stamp = stamp_of(path_);
    std::string text = TRY(read_file(path_, kMaxFileBytes));
    state.users = TRY(parse_users(text, path_));
    return {};
  }
  Result<void> load() { return load(*state_.lock()); }

  bool allows(std::string_view header) override {
    auto given = credentials(header);
    if (!given) return false;
    auto& [user, password] = *given;
    std::string hash, key;
    bool known = false;
    {
      auto state = state_.lock();
      if (stamp_of(path_) != state->stamp) {
        auto loaded = load(*state);
        if (!loaded.ok()) log_warn("nobody may use the registry: " + loaded.error().message);
      }
      if (state->users.empty()) return false;
      auto found = state->users.find(user);
      known = found != state->users.end();
      // An unknown user's password is checked against somebody's, which takes as long.
      hash = known ? found->second : state->users.begin()->second;
      key = sha256_hex(salt_ + user + '\0' + password + '\0' + hash);
      if (state->verified.contains(key)) return true;
    }
    // One at a time: bcrypt is slow by design, and guessing must not take all processors from those who are let in.
    std::lock_guard one(checking_);
    if (!bcrypt_matches(password, hash) || !known) return false;
    auto state = state_.lock();
    if (state->verified.size() >= kMaxVerified) state->verified.clear();
    state->verified.insert(std::move(key));
    return true;
  }

 private:
  static std::optional<std::pair<std::string, std::string>> credentials(std::string_view header) {
    auto [scheme, rest] = cut(trim(header), ' ');
    if (to_lower(scheme) != "basic" || !rest || rest->size() > kMaxCredentialBytes) return std::nullopt;
    auto decoded = base64_decode(trim(*rest));
    if (!decoded || decoded->find('\0') != std::string::npos) return std::nullopt;
    auto [user, password] = cut(*decoded, ':');
    return std::pair(std::string(user), std::string(password.value_or(std::string_view())));
  }

  std::string path_, salt_;
  Sync<State> state_;
  std::mutex checking_;
};

}  // namespace

Result<std::unique_ptr<Htpasswd>> Htpasswd::open(std::string path) {
  auto file = std::make_unique<HtpasswdFile>(std::move(path));
  TRY(file->load());
  return std::unique_ptr<Htpasswd>(std::move(file));
}

}  // namespace archway::registry_server
