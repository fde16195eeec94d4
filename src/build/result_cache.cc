#include "build/result_cache.h"

#include <sqlite3.h>
#include <sys/statvfs.h>

#include <mutex>

#include "base/fd.h"

namespace archway::build {

namespace {

constexpr uint64_t kFullDiskBytes = 256 * 1024;
constexpr int kBusyTimeoutMs = 30'000;
// A new layout is a new file version: an old file of another version is dropped and begun anew.
constexpr int kSchemaVersion = 1;
constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS results(key TEXT PRIMARY KEY, diff_id TEXT NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL,"
    " media_type TEXT NOT NULL, created INTEGER, what TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS results_by_diff_id ON results(diff_id);"
    "CREATE TABLE IF NOT EXISTS reference_digests(name TEXT PRIMARY KEY, digest TEXT NOT NULL, size INTEGER NOT NULL, media_type TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS uses(diff_id TEXT PRIMARY KEY, used INTEGER NOT NULL) WITHOUT ROWID;";

// What sqlite says, and on a full disk what the system would.
Error cache_error(sqlite3* db) {
  const char* name = sqlite3_db_filename(db, "main");
  std::string path = name ? name : "";
  int code = sqlite3_errcode(db) & 0xff;
  struct statvfs disk = {};
  // Short of room for its -shm file sqlite only speaks of an I/O error.
  bool full = code == SQLITE_FULL || (code == SQLITE_IOERR && ::statvfs(path.c_str(), &disk) == 0 && disk.f_bavail * disk.f_frsize < kFullDiskBytes);
  if (full) return errno_error("writing the build cache " + path, ENOSPC);
  return Error{Code::Io, "build cache " + path + ": " + sqlite3_errmsg(db), "archway cache prune --all begins a new one"};
}

// One prepared statement, used once.
class Statement {
 public:
  Statement(sqlite3* db, const char* sql) : db_(db) { failed_ = sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr) != SQLITE_OK; }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;

  Statement& bind(std::string_view text) {
    if (!failed_) sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    return *this;
  }
  Statement& bind(int64_t number) {
    if (!failed_) sqlite3_bind_int64(statement_, ++bound_, number);
    return *this;
  }
  Statement& bind_null() {
    ++bound_;
    return *this;
  }
  // True: there is a row to read.
  Result<bool> step() {
    int code = failed_ ? SQLITE_ERROR : sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return cache_error(db_);
  }
  std::string text(int column) const {
    auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return bytes ? std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column))) : std::string();
  }
  int64_t number(int column) const { return sqlite3_column_int64(statement_, column); }
  bool is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_ = nullptr;
  bool failed_ = false;
  int bound_ = 0;
};

}  // namespace

struct ResultCache::State {
  std::mutex mutex;
  sqlite3* db = nullptr;
  ~State() { sqlite3_close(db); }

  Result<void> run(const char* sql) {
    if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
    return cache_error(db);
  }
};

ResultCache::ResultCache(std::unique_ptr<State> state) : state_(std::move(state)) {}
ResultCache::~ResultCache() = default;

Result<std::unique_ptr<ResultCache>> ResultCache::open(const std::string& path) {
  auto state = std::make_unique<State>();
  if (sqlite3_open_v2(path.c_str(), &state->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK) {
    return Error{Code::Io, "opening the build cache " + path + ": " + sqlite3_errmsg(state->db)};
  }
  sqlite3_busy_timeout(state->db, kBusyTimeoutMs);
  int64_t version = 0;
  {
    Statement statement(state->db, "PRAGMA user_version");
    auto row = statement.step();
    int code = sqlite3_errcode(state->db) & 0xff;
    if (!row.ok() && code != SQLITE_NOTADB && code != SQLITE_CORRUPT) return std::move(row).error();  // a full disk, for one
    if (!row.ok()) {
      // Not a database, or damaged: it is only a cache.
      sqlite3_close_v2(std::exchange(state->db, nullptr));  // v2: the statement above still lives
      if (::remove(path.c_str()) != 0) return errno_error("removing the damaged build cache " + path);
      (void)::remove((path + "-wal").c_str());
      (void)::remove((path + "-shm").c_str());
      return open(path);
    }
    version = statement.number(0);
  }
  if (version != kSchemaVersion) {
    // WAL: readers do not wait for a writer. Not synced at each commit: a power cut loses the newest results, which costs a rebuild.
    TRY(state->run("PRAGMA journal_mode=WAL"));
    TRY(state->run("DROP TABLE IF EXISTS results; DROP TABLE IF EXISTS reference_digests; DROP TABLE IF EXISTS uses"));
    TRY(state->run(kSchema));
    TRY(state->run(("PRAGMA user_version=" + std::to_string(kSchemaVersion)).c_str()));
  }
  TRY(state->run("PRAGMA synchronous=OFF"));
  return std::unique_ptr<ResultCache>(new ResultCache(std::move(state)));
}

namespace {

Result<Descriptor> row_descriptor(const Statement& row, int digest, int size, int media_type) {
  Digest parsed = TRY(Digest::parse(row.text(digest)));
  return Descriptor{row.text(media_type), std::move(parsed), static_cast<uint64_t>(row.number(size))};
}

}  // namespace

Result<std::optional<CachedLayer>> ResultCache::find(const std::string& key) {
  std::lock_guard lock(state_->mutex);
  Statement row(state_->db, "SELECT diff_id, blob, size, media_type, created FROM results WHERE key=?");
  row.bind(key);
  if (!TRY(row.step())) return std::optional<CachedLayer>();
  auto diff_id = TRY(Digest::parse(row.text(0)));
  auto blob = TRY(row_descriptor(row, 1, 2, 3));
  std::optional<Time> created;
  if (!row.is_null(4)) created = Time{row.number(4)};
  return std::optional(CachedLayer{std::move(diff_id), std::move(blob), created});
}

Result<void> ResultCache::store(const std::string& key, const CachedLayer& layer, const std::string& what) {
  std::lock_guard lock(state_->mutex);
  Statement row(state_->db, "INSERT OR REPLACE INTO results VALUES(?,?,?,?,?,?,?)");
  row.bind(key).bind(layer.diff_id.str()).bind(layer.blob.digest.str()).bind(static_cast<int64_t>(layer.blob.size)).bind(layer.blob.media_type);
  if (layer.created) row.bind(layer.created->nanoseconds);
  else row.bind_null();
  row.bind(what);
  TRY(row.step());
  return {};
}

Result<std::optional<Descriptor>> ResultCache::find_reference(const std::string& reference) {
  std::lock_guard lock(state_->mutex);
  Statement row(state_->db, "SELECT digest, size, media_type FROM reference_digests WHERE name=?");
  row.bind(reference);
  if (!TRY(row.step())) return std::optional<Descriptor>();
  return std::optional(TRY(row_descriptor(row, 0, 1, 2)));
}

Result<void> ResultCache::store_reference(const std::string& reference, const Descriptor& descriptor) {
  std::lock_guard lock(state_->mutex);
  Statement row(state_->db, "INSERT OR REPLACE INTO reference_digests VALUES(?,?,?,?)");
  row.bind(reference).bind(descriptor.digest.str()).bind(static_cast<int64_t>(descriptor.size)).bind(descriptor.media_type);
  TRY(row.step());
  return {};
}

Result<void> ResultCache::touch(const std::vector<Digest>& diff_ids, Time now) {
  std::lock_guard lock(state_->mutex);
  TRY(state_->run("BEGIN"));
  for (const Digest& diff_id : diff_ids) {
    Statement row(state_->db, "INSERT OR REPLACE INTO uses VALUES(?,?)");
    row.bind(diff_id.str()).bind(now.nanoseconds);
    auto done = row.step();
    if (!done.ok()) {
      (void)state_->run("ROLLBACK").ok();
      return done.error();
    }
  }
  return state_->run("COMMIT");
}

Result<std::vector<ResultCache::Usage>> ResultCache::usage() {
  std::lock_guard lock(state_->mutex);
  Statement row(state_->db,
                "SELECT u.diff_id, u.used, r.blob, r.size, r.media_type, r.what FROM uses u LEFT JOIN results r ON r.diff_id=u.diff_id "
                "GROUP BY u.diff_id ORDER BY u.used, u.diff_id");
  std::vector<Usage> found;
  while (TRY(row.step())) {
    Digest diff_id = TRY(Digest::parse(row.text(0)));
    Usage usage{std::move(diff_id), {}, row.text(5), Time{row.number(1)}};
    if (!row.is_null(2)) usage.blob = TRY(row_descriptor(row, 2, 3, 4));
    found.push_back(std::move(usage));
  }
  return found;
}

Result<void> ResultCache::forget(const Digest& diff_id) {
  std::lock_guard lock(state_->mutex);
  for (const char* sql : {"DELETE FROM results WHERE diff_id=?", "DELETE FROM uses WHERE diff_id=?"}) {
    Statement row(state_->db, sql);
    row.bind(diff_id.str());
    TRY(row.step());
  }
  return {};
}

Result<void> ResultCache::forget_references() {
  std::lock_guard lock(state_->mutex);
  return state_->run("DELETE FROM reference_digests");
}

}  // namespace archway::build
