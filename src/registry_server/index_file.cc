#include "registry_server/index_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/fd.h"

namespace archway::registry_server {

namespace {

constexpr uint64_t kMaxIndexFileBytes = 256 << 20;

Descriptor without_name(Descriptor descriptor) {
  std::erase_if(descriptor.annotations, [](const auto& annotation) { return annotation.first == kRefName; });
  return descriptor;
}

}  // namespace

void IndexState::set_tag(const std::string& tag, const Descriptor& manifest) {
  Descriptor entry = without_name(manifest);
  entry.annotations.emplace_back(kRefName, tag);
  tags.insert_or_assign(tag, std::move(entry));
}

Result<IndexState> parse_index_state(std::string_view text) {
  Json json = TRY(parse_json(text));
  IndexState state;
  for (const Json& item : json["manifests"].items()) {
    auto descriptor = parse_descriptor(item);
    if (!descriptor.ok()) {
      state.foreign.push_back(item);
      continue;
    }
    std::string name = descriptor->annotation(kRefName);
    state.manifests.insert_or_assign(descriptor->digest, without_name(*descriptor));
    if (!name.empty()) state.tags.insert_or_assign(std::move(name), std::move(*descriptor));
  }
  json.erase("manifests");
  state.rest = std::move(json);
  return state;
}

std::string write_index_state(const IndexState& state) {
  Json list = Json::array();
  std::map<Digest, bool> tagged;
  for (const auto& [tag, descriptor] : state.tags) {
    list.push(descriptor_json(descriptor));
    tagged[descriptor.digest] = true;
  }
  for (const auto& [digest, descriptor] : state.manifests) {
    if (!tagged.contains(digest)) list.push(descriptor_json(descriptor));
  }
  for (const Json& item : state.foreign) list.push(item);
  Json json = state.rest.is_object() ? state.rest : Json::object();
  if (!json.has("schemaVersion")) json.set("schemaVersion", 2);
  if (!json.has("mediaType")) json.set("mediaType", media_type::kOciIndex);
  json.set("manifests", std::move(list));
  return to_json(json);
}

IndexFile::Stamp IndexFile::stamp() const {
  struct stat st = {};
  if (::stat(path().c_str(), &st) != 0) return {};
  return {st.st_ino, st.st_mtim.tv_sec, st.st_mtim.tv_nsec, st.st_size};
}

// With mutex_ held.
Result<std::shared_ptr<const IndexState>> IndexFile::load() {
  // The stamp is taken first: should the file change in between, the next look reads it again.
  Stamp now = stamp();
  if (state_ && now == state_stamp_) return state_;
  auto text = read_file(path(), kMaxIndexFileBytes);
  if (!text.ok() && text.error().code != Code::NotFound) return std::move(text).error();
  IndexState state;
  if (text.ok()) state = TRY(parse_index_state(*text).context("reading " + path()));
  state_ = std::make_shared<const IndexState>(std::move(state));
  state_stamp_ = now;
  return state_;
}

Result<std::shared_ptr<const IndexState>> IndexFile::read() {
  std::lock_guard lock(mutex_);
  return load();
}

Result<void> IndexFile::edit(std::function<Result<bool>(IndexState&)> change) {
  Pending mine{std::move(change), {}, false};
  std::unique_lock lock(mutex_);
  queue_.push_back(&mine);
  while (!mine.done && writing_) written_.wait(lock);
  if (mine.done) return std::move(mine.outcome);
  // Nobody writes: this thread does, for all who wait.
  writing_ = true;
  std::vector<Pending*> batch(queue_.begin(), queue_.end());
  queue_.clear();
  lock.unlock();
  write_batch(batch);
  lock.lock();
  writing_ = false;
  for (Pending* pending : batch) pending->done = true;
  written_.notify_all();
  return std::move(mine.outcome);
}

void IndexFile::write_batch(const std::vector<Pending*>& batch) {
  auto result = write_changed(batch);
  if (result.ok()) return;
  for (Pending* pending : batch) {
    if (pending->outcome.ok()) pending->outcome = result.error();
  }
}

Result<void> IndexFile::write_changed(const std::vector<Pending*>& batch) {
  // The folder itself is what is locked: it needs no extra file, which other tools would stumble over.
  Fd folder = TRY(open_file(folder_, O_RDONLY | O_DIRECTORY));
  while (::flock(folder.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return errno_error("locking " + folder_);
  }
  auto base = TRY(read());
  IndexState state = *base;
  bool changed = false;
  for (Pending* pending : batch) {
    auto wanted = pending->change(state);
    if (!wanted.ok()) {
      pending->outcome = std::move(wanted).error();
    } else if (*wanted) {
      changed = true;
    }
  }
  if (!changed) return {};
  TRY(write_file_atomic(path(), write_index_state(state)));
  std::lock_guard lock(mutex_);
  state_ = std::make_shared<const IndexState>(std::move(state));
  state_stamp_ = stamp();
  return {};
}

}  // namespace archway::registry_server
