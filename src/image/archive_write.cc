#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <optional>
#include <set>

#include "image/archive.h"
#include "image/manifest.h"

namespace archway {

struct ArchiveWriter::State {
  explicit State(ArchiveKind k) : kind(k) {}
  ~State() {
    if (!temporary.empty()) ::unlink(temporary.c_str());
  }
  ArchiveKind kind;
  std::mutex mutex;
  Fd fd;                      // of a file of ours
  std::string path, temporary;  // where it goes, and is until then; both empty where the sink is somebody else's
  std::unique_ptr<Sink> own_sink;
  std::optional<TarWriter> tar;
  std::set<Digest> present;
  std::set<std::string> folders;
  std::string index;                              // index.json so far
  std::optional<std::pair<Descriptor, std::string>> root;  // of a docker-archive
  std::vector<std::string> repo_tags;
  bool broken = false, finished = false;

  Result<void> folder(const std::string& name) {
    if (!folders.insert(name).second) return {};
    TarEntry entry{.path = name + "/", .type = TarType::Directory, .mode = 0755};
    return tar->begin(entry);
  }
  Result<void> file(const std::string& name, std::string_view text) {
    TarEntry entry{.path = name, .mode = 0644};
    entry.size = text.size();
    TRY(tar->begin(entry));
    return tar->data(as_bytes(text));
  }
  Result<void> blob(const Descriptor& descriptor, Source& source, ProgressTask* progress, std::stop_token stop);
  Result<void> usable() const {
    if (broken) return Error{Code::Io, "the archive was given up after an earlier error"};
    return {};
  }
  std::string docker_manifest() const;
};

Result<void> ArchiveWriter::State::blob(const Descriptor& descriptor, Source& source, ProgressTask* progress, std::stop_token stop) {
  std::string algorithm = "blobs/" + std::string(descriptor.digest.algorithm_name());
  TRY(folder("blobs"));
  TRY(folder(algorithm));
  TarEntry entry{.path = algorithm + "/" + descriptor.digest.hex(), .mode = 0644};
  entry.size = descriptor.size;
  TRY(tar->begin(entry));
  std::vector<std::byte> buffer(kCopyBufferBytes);
  for (;;) {
    if (stop.stop_requested()) return Error{Code::Cancelled, "writing " + descriptor.digest.str() + ": stopped"};
    size_t n = TRY(source.read(buffer));
    if (n == 0) return {};
    TRY(tar->data(Bytes(buffer.data(), n)));
    if (progress) progress->advance(n);
  }
}

// What docker load and skopeo look for: which blobs are the configuration and the layers, and what the image is called.
std::string ArchiveWriter::State::docker_manifest() const {
  auto blob_path = [](const Digest& digest) { return "blobs/" + std::string(digest.algorithm_name()) + "/" + digest.hex(); };
  auto manifest = parse_manifest(root->second, root->first.media_type);
  Json layers = Json::array();
  for (const Descriptor& layer : manifest->layers) layers.push(blob_path(layer.digest));
  Json image = Json::object({{"Config", blob_path(manifest->config.digest)}, {"RepoTags", Json(repo_tags)}, {"Layers", std::move(layers)}});
  return to_json(Json(Json::Array{std::move(image)}), {.go_escapes = true});
}

ArchiveWriter::ArchiveWriter(Sink& sink, ArchiveKind kind) : state_(std::make_unique<State>(kind)) { state_->tar.emplace(sink); }
ArchiveWriter::~ArchiveWriter() = default;

Result<std::unique_ptr<ArchiveWriter>> ArchiveWriter::create(const std::string& path, ArchiveKind kind) {
  struct stat st = {};
  bool special = ::stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode);
  if (special && S_ISDIR(st.st_mode)) return Error{Code::Exists, path + " is a folder", kind == ArchiveKind::Oci ? "for an OCI layout in a folder, write oci:" + path : ""};
  Fd fd;
  std::string temporary;
  if (special) {
    fd = TRY(open_file(path, O_WRONLY));
  } else {
    temporary = path + ".tmp.XXXXXX";
    fd = Fd(::mkostemp(temporary.data(), O_CLOEXEC));
    if (!fd) return errno_error("creating a file beside " + path);
  }
  auto sink = std::make_unique<FdSink>(fd.get());
  auto writer = std::make_unique<ArchiveWriter>(*sink, kind);
  writer->state_->own_sink = std::move(sink);
  writer->state_->fd = std::move(fd);
  writer->state_->path = path;
  writer->state_->temporary = std::move(temporary);
  return writer;
}

Result<PutOutcome> ArchiveWriter::put(const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) {
  if (state_->kind == ArchiveKind::Docker && is_index(blob.media_type)) {
    return Error{Code::Unsupported, "a docker archive holds one platform, not an index", "choose one with --platform, or write an oci-archive"};
  }
  std::lock_guard lock(state_->mutex);
  TRY(state_->usable());
  if (state_->present.contains(blob.digest)) return PutOutcome::Existed;
  if (stop.stop_requested()) return Error{Code::Cancelled, "writing " + blob.digest.str() + ": stopped"};
  auto source = TRY(open_blob(from, blob));
  auto written = state_->blob(blob, *source, progress, stop);
  if (!written.ok()) {
    state_->broken = true;  // the entry has its header, but not all its bytes
    return std::move(written).error();
  }
  state_->present.insert(blob.digest);
  return PutOutcome::Stored;
}

Result<void> ArchiveWriter::add(const Descriptor& entry, std::string_view raw) {
  std::lock_guard lock(state_->mutex);
  TRY(state_->usable());
  if (state_->kind == ArchiveKind::Docker) {
    if (!is_manifest(entry.media_type)) return Error{Code::Unsupported, "a docker archive holds one platform, not an index", "choose one with --platform, or write an oci-archive"};
    if (state_->root && state_->root->first.digest != entry.digest) return Error{Code::Unsupported, "a docker archive is written with one image only"};
    Manifest manifest = TRY(parse_manifest(raw, entry.media_type));
    Descriptor plain{entry.media_type, entry.digest, entry.size};
    state_->root.emplace(std::move(plain), std::string(raw));
  }
  state_->index = TRY(add_to_layout_index(state_->index, entry));
  return {};
}

Result<void> ArchiveWriter::tag(const Descriptor& root, std::string_view raw, std::string_view name) {
  if (state_->kind == ArchiveKind::Oci || name.empty()) return add(layout_entry(root, name), raw);
  Reference reference = TRY(Reference::parse(name));
  TRY(add(layout_entry(root, reference), raw));
  state_->repo_tags.push_back(reference.familiar());
  return {};
}

Result<void> ArchiveWriter::finish() {
  std::lock_guard lock(state_->mutex);
  State& s = *state_;
  TRY(s.usable());
  s.broken = true;  // until all is well; nothing may follow in any case
  if (s.kind == ArchiveKind::Docker) {
    if (!s.root) return Error{Code::Invalid, "a docker archive needs an image"};
    TRY(s.file("manifest.json", s.docker_manifest()));
  }
  if (s.index.empty()) return Error{Code::Invalid, "an archive needs an image"};
  TRY(s.file("index.json", s.index));
  TRY(s.file("oci-layout", kLayoutFile));
  TRY(s.tar->finish());
  if (s.temporary.empty()) return {};
  if (::fchmod(s.fd.get(), 0644) != 0) return errno_error("setting the mode of " + s.path);
  if (::fsync(s.fd.get()) != 0) return errno_error("writing " + s.path);
  if (::rename(s.temporary.c_str(), s.path.c_str()) != 0) return errno_error("renaming to " + s.path);
  s.temporary.clear();
  size_t slash = s.path.rfind('/');
  return sync_directory(slash == std::string::npos ? "." : slash == 0 ? "/" : s.path.substr(0, slash));
}

}  // namespace archway
