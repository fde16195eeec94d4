#include "cli/fix_files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <span>
#include <utility>

#include "audit/collect.h"
#include "base/fd.h"
#include "base/sync.h"
#include "base/thread_pool.h"

namespace archway::cli {

namespace {

// Files that are synced together: the first sync makes the file system write its journal, for the others there is little left to do.
constexpr size_t kFilesPerSync = 64;

bool same_state(const struct stat& a, const struct stat& b) {
  return a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

Error changed_meanwhile(const std::string& path) {
  return {Code::Mismatch, path + " was changed by somebody else just now; it was not written", "run archway fix again"};
}

// A new file beside an old one, to take its place. It goes with its owner, unless it did.
class Successor {
 public:
  explicit Successor(const NewText& text) : text_(&text) {}
  Successor(Successor&& other) noexcept : text_(other.text_), file_(std::move(other.file_)), temporary_(std::exchange(other.temporary_, {})), fd_(std::move(other.fd_)), state_(other.state_) {}
  ~Successor() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  // False: the file says so already, by another of its names.
  Result<bool> write() {
    const std::string& path = text_->path;
    // rename() would put a file in the link's place.
    char real[PATH_MAX];
    if (!::realpath(path.c_str(), real)) return errno_error("finding " + path);
    file_ = real;
    if (::stat(real, &state_) != 0) return errno_error("looking at " + path);
    if (!S_ISREG(state_.st_mode)) return Error{Code::Unsupported, path + " is no regular file"};
    std::string now = TRY(read_file(file_, audit::kMaxTextFileBytes));
    if (now == text_->after) return false;
    if (now != text_->before) return changed_meanwhile(path);
    std::string name = file_ + ".archway.XXXXXX";
    fd_ = Fd(::mkostemp(name.data(), O_CLOEXEC));
    if (!fd_) return errno_error("creating a file beside " + path);
    temporary_ = name;
    TRY(write_all(fd_.get(), as_bytes(text_->after)).context("writing " + path));
    // The owner first: changing it takes set-user-id bits away.
    bool other_owner = state_.st_uid != ::geteuid() || state_.st_gid != ::getegid();
    if (other_owner && ::fchown(fd_.get(), state_.st_uid, state_.st_gid) != 0) return errno_error("giving the new " + path + " to its owner");
    if (::fchmod(fd_.get(), state_.st_mode & 07777) != 0) return errno_error("setting the mode of " + path);
    // The disk may begin; a failure is seen by who syncs.
    ::sync_file_range(fd_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    return true;
  }

  Result<void> sync() {
    if (::fsync(fd_.get()) != 0) return errno_error("syncing " + text_->path);
    fd_ = Fd();
    return {};
  }

  Result<void> take_over() {
    struct stat now = {};
    if (::stat(file_.c_str(), &now) != 0) return errno_error("looking at " + text_->path);
    if (!same_state(now, state_)) {
      std::string text = TRY(read_file(file_, audit::kMaxTextFileBytes));
      if (text == text_->after) return {};
      return changed_meanwhile(text_->path);
    }
    if (::rename(temporary_.c_str(), file_.c_str()) != 0) return errno_error("renaming to " + text_->path);
    temporary_.clear();
    return {};
  }

  std::string folder() const { return file_.substr(0, std::max<size_t>(file_.rfind('/'), 1)); }

 private:
  const NewText* text_;
  std::string file_, temporary_;
  Fd fd_;
  struct stat state_ = {};
};

// The folders that were written to.
Result<std::set<std::string>> replace_some(std::span<const NewText> files) {
  std::vector<Successor> successors;
  for (const NewText& file : files) {
    Successor next(file);
    bool needed = TRY(next.write());
    if (needed) successors.push_back(std::move(next));
  }
  for (Successor& each : successors) TRY(each.sync());
  std::set<std::string> folders;
  for (Successor& each : successors) {
    TRY(each.take_over());
    folders.insert(each.folder());
  }
  return folders;
}

}  // namespace

Result<void> replace_texts(const std::vector<NewText>& files, size_t threads, std::stop_token stop) {
  size_t groups = (files.size() + kFilesPerSync - 1) / kFilesPerSync;
  Sync<std::set<std::string>> folders;
  std::atomic<size_t> done = 0;
  auto replaced = parallel_for(groups, threads, [&](size_t group) -> Result<void> {
    if (stop.stop_requested()) return Error{Code::Cancelled, "stopped"};
    auto some = std::span(files).subspan(group * kFilesPerSync, std::min(kFilesPerSync, files.size() - group * kFilesPerSync));
    std::set<std::string> fresh = TRY(replace_some(some));
    folders.lock()->merge(fresh);
    done += some.size();
    return {};
  });
  // That the new names are on the disk, too. Some file systems do not sync folders.
  auto written = folders.lock();
  for (const std::string& folder : *written) {
    Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd) ::fsync(fd.get());
  }
  if (!replaced.ok() && files.size() > 1) return std::move(replaced).context(std::to_string(done.load()) + " of " + std::to_string(files.size()) + " files were edited");
  return replaced;
}

}  // namespace archway::cli
