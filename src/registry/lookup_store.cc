#include "registry/lookup_store.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <map>
#include <mutex>

#include "base/fd.h"
#include "registry/image_facts.h"

namespace archway {
namespace {

constexpr int kBusyTimeoutMs = 2'000;
constexpr int kSchemaVersion = 1;
constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS names(name TEXT NOT NULL, who TEXT NOT NULL, digest BLOB NOT NULL, checked INTEGER NOT NULL, PRIMARY KEY(name, who)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS facts(digest BLOB PRIMARY KEY, packed BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS verdicts(manifest BLOB NOT NULL, platform TEXT NOT NULL, os_version TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY(manifest, platform, os_version)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS salt(one INTEGER PRIMARY KEY CHECK(one = 1), salt TEXT NOT NULL);"
    "INSERT OR IGNORE INTO salt VALUES(1, lower(hex(randomblob(16))));";
constexpr std::string_view kFileName = "lookups.sqlite";

}  // namespace

struct LookupStore::State {
  ~State() {
    for (auto& [sql, statement] : statements) sqlite3_finalize(statement);
    sqlite3_close(db);
  }
  // A statement that is prepared once. The mutex is held while it is used.
  sqlite3_stmt* prepare(const char* sql) {
    auto& statement = statements[sql];
    if (!statement && sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) return nullptr;
    return statement;
  }
  Error error() const { return Error{Code::Io, "cache of look-ups " + path + ": " + sqlite3_errmsg(db), "it can be deleted; it will be made again"}; }
  void complain() {
    if (!std::exchange(complained, true) && warn) warn(error().message);
  }
  bool run(const char* sql) { return sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK; }

  std::mutex mutex;
  std::string path, salt;
  sqlite3* db = nullptr;
  std::map<const char*, sqlite3_stmt*> statements;
  Warn warn;
  bool complained = false;
};

namespace {

// One use of a prepared statement: bound from left to right, reset at the end.
class Use {
 public:
  explicit Use(sqlite3_stmt* statement) : statement_(statement) {}
  ~Use() {
    if (!statement_) return;
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Use(const Use&) = delete;
  Use& text(const std::string& value) {
    if (statement_) sqlite3_bind_text(statement_, ++bound_, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
    return *this;
  }
  Use& blob(const std::string& value) {
    if (statement_) sqlite3_bind_blob(statement_, ++bound_, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
    return *this;
  }
  Use& number(int64_t value) {
    if (statement_) sqlite3_bind_int64(statement_, ++bound_, value);
    return *this;
  }
  int step() { return statement_ ? sqlite3_step(statement_) : SQLITE_ERROR; }
  std::string bytes(int column) const {
    auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    return data ? std::string(data, static_cast<size_t>(sqlite3_column_bytes(statement_, column))) : std::string();
  }
  int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }

 private:
  sqlite3_stmt* statement_;
  int bound_ = 0;
};

int version_of(sqlite3* db) {
  sqlite3_stmt* statement = nullptr;
  int version = -1;
  if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, nullptr) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) version = sqlite3_column_int(statement, 0);
  sqlite3_finalize(statement);
  return version;
}

bool is_damaged(int code) { return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB; }

void remove_file(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) (void)::unlink((path + suffix).c_str());
}

}  // namespace

LookupStore::LookupStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
LookupStore::~LookupStore() = default;

Result<std::unique_ptr<LookupStore>> LookupStore::open(const std::string& folder, Warn warn) {
  TRY(make_directories(folder, 0700).context("cache of look-ups"));
  std::string path = folder + "/" + std::string(kFileName);
  std::optional<Error> failure;
  // Twice: what is found to be damaged, or of another version, is removed.
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto state = std::make_unique<State>();
    state->path = path;
    state->warn = warn;
    int code = sqlite3_open_v2(path.c_str(), &state->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    if (code == SQLITE_OK) {
      (void)::chmod(path.c_str(), 0600);
      sqlite3_busy_timeout(state->db, kBusyTimeoutMs);
      int version = version_of(state->db);
      bool ours = version == 0 || version == kSchemaVersion;
      // Synced at checkpoints only: a power cut may lose the last answers, never the file.
      bool ready = ours && state->run("PRAGMA journal_mode=WAL") && state->run("PRAGMA synchronous=NORMAL") &&
                   state->run("PRAGMA wal_autocheckpoint=8000") &&  // 32 MB: each checkpoint waits for the disk
                   (version == kSchemaVersion || state->run(("BEGIN IMMEDIATE;" + std::string(kSchema) + "PRAGMA user_version=" + std::to_string(kSchemaVersion) + ";COMMIT").c_str()));
      if (ready) {
        Use salt(state->prepare("SELECT salt FROM salt"));
        if (salt.step() == SQLITE_ROW) state->salt = salt.bytes(0);
      }
      if (ready && !state->salt.empty()) {
        std::string prune = "DELETE FROM names WHERE (SELECT count(*) FROM names) > " + std::to_string(kMaxStoredNames) +
                            " AND checked < (SELECT checked FROM names ORDER BY checked DESC LIMIT 1 OFFSET " + std::to_string(kMaxStoredNames / 2) +
                            ");DELETE FROM facts WHERE (SELECT count(*) FROM facts) > " + std::to_string(kMaxStoredNames) + " AND digest NOT IN (SELECT digest FROM names)";
        if (!state->run(prune.c_str())) state->complain();
        return std::unique_ptr<LookupStore>(new LookupStore(std::move(state)));
      }
      code = ours ? sqlite3_extended_errcode(state->db) : SQLITE_CORRUPT;
      if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) code = SQLITE_CORRUPT;  // no salt: not as we write it
    }
    failure = state->error();
    if (!is_damaged(code)) break;
    state.reset();
    remove_file(path);
  }
  return *failure;
}

const std::string& LookupStore::salt() const { return state_->salt; }

std::optional<LookupStore::Name> LookupStore::name(const std::string& name, const std::string& who) {
  std::lock_guard lock(state_->mutex);
  Use use(state_->prepare("SELECT digest, checked FROM names WHERE name = ? AND who = ?"));
  if (use.text(name).text(who).step() != SQLITE_ROW) return std::nullopt;
  auto digest = unpack_digest(use.bytes(0));
  if (!digest) return std::nullopt;
  return Name{std::move(*digest), Time{use.integer(1)}};
}

std::optional<Digest> LookupStore::any_digest(const std::string& name) {
  std::lock_guard lock(state_->mutex);
  Use use(state_->prepare("SELECT digest FROM names WHERE name = ? ORDER BY checked DESC LIMIT 1"));
  return use.text(name).step() == SQLITE_ROW ? unpack_digest(use.bytes(0)) : std::nullopt;
}

void LookupStore::put_name(const std::string& name, const std::string& who, const Name& value) {
  std::string digest = pack_digest(value.digest);
  std::lock_guard lock(state_->mutex);
  Use use(state_->prepare("INSERT OR REPLACE INTO names VALUES(?, ?, ?, ?)"));
  if (use.text(name).text(who).blob(digest).number(value.checked.nanoseconds).step() != SQLITE_DONE) state_->complain();
}

std::optional<std::string> LookupStore::facts(const Digest& digest) {
  std::string key = pack_digest(digest);
  std::lock_guard lock(state_->mutex);
  Use use(state_->prepare("SELECT packed FROM facts WHERE digest = ?"));
  if (use.blob(key).step() != SQLITE_ROW) return std::nullopt;
  return use.bytes(0);
}

void LookupStore::put_facts(const Digest& digest, const std::string& packed) {
  std::string key = pack_digest(digest);
  std::lock_guard lock(state_->mutex);
  Use use(state_->prepare("INSERT OR REPLACE INTO facts VALUES(?, ?)"));
  if (use.blob(key).blob(packed).step() != SQLITE_DONE) state_->complain();
}

void LookupStore::put(const std::string& name, const std::string& who, const Name& value, const std::string& packed) {
  // Facts first: a name without its facts would cost a request, facts without a name cost a few bytes.
  put_facts(value.digest, packed);
  put_name(name, who, value);
}

std::vector<LookupStore::Verdict> LookupStore::verdicts() {
  std::vector<Verdict> verdicts;
  std::lock_guard lock(state_->mutex);
  Use use(state_->prepare("SELECT manifest, platform, os_version, why FROM verdicts"));
  while (use.step() == SQLITE_ROW) {
    auto manifest = unpack_digest(use.bytes(0));
    auto platform = parse_platform(use.bytes(1));
    if (!manifest || !platform.ok()) continue;
    platform->os_version = use.bytes(2);
    verdicts.push_back({std::move(*manifest), {std::move(*platform), use.bytes(3)}});
  }
  return verdicts;
}

Result<void> LookupStore::put_verdict(const Verdict& verdict) {
  std::string manifest = pack_digest(verdict.manifest), platform = verdict.wrong.platform.str();
  std::lock_guard lock(state_->mutex);
  Use use(state_->prepare("INSERT OR REPLACE INTO verdicts VALUES(?, ?, ?, ?)"));
  if (use.blob(manifest).text(platform).text(verdict.wrong.platform.os_version).text(verdict.wrong.why).step() != SQLITE_DONE) return state_->error();
  return {};
}

}  // namespace archway
