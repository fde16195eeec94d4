#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/sync.h"
#include "format/tar.h"
#include "image/content.h"
#include "image/copy.h"
#include "image/layout_index.h"

// Images in one file: oci-archive (a tar of an OCI image layout) and docker-archive (what `docker save` writes).
namespace archway {

inline constexpr size_t kMaxArchiveEntries = 1'000'000;
inline constexpr size_t kMaxArchiveLinkDepth = 16;
inline constexpr uint64_t kMaxArchiveManifestBytes = 16 << 20;  // a docker-archive's manifest.json

// A tar file whose entries can be opened in any order, by offset; nothing is unpacked. A packed one (gzip, zstd, xz,
// bzip2) is unpacked once, into a file without a name below `temporary`. Thread safe after open().
class TarIndex {
 public:
  static Result<std::shared_ptr<TarIndex>> open(const std::string& path, const std::string& temporary = "/tmp");
  struct Entry { uint64_t offset = 0, size = 0; };
  // Follows symlinks and hardlinks within the archive. Paths are compared without "./".
  Result<Entry> find(std::string_view path) const;
  Result<std::string> read(std::string_view path, uint64_t limit) const;
  std::unique_ptr<Source> source(const Entry& entry) const;
  const std::string& name() const { return name_; }

 private:
  struct Item { Entry entry; std::string link; bool hard = false; };
  Result<void> scan();
  Fd fd_;
  std::string name_;
  std::map<std::string, Item, std::less<>> items_;
};

// An oci-archive, for reading. Thread safe.
class OciArchive final : public Provider {
 public:
  static Result<std::shared_ptr<OciArchive>> open(const std::string& path, const std::string& temporary = "/tmp");
  Result<std::vector<Descriptor>> entries() const;
  Result<Root> resolve(std::string_view name);  // as Layout::resolve
  Result<std::unique_ptr<Source>> open(const Descriptor& blob) override;

 private:
  explicit OciArchive(std::shared_ptr<TarIndex> tar) : tar_(std::move(tar)) {}
  std::shared_ptr<TarIndex> tar_;
};

// A docker-archive, for reading: its images as OCI manifests over the layers as they are in the file (plain, or packed).
// It has no manifests of its own; Docker's would be of no use in an OCI layout, where skopeo overlooks them. A plain
// layer's digest is the diff_id of the configuration, so open_blob() finds one that was exchanged.
class DockerArchive final : public Provider {
 public:
  static Result<std::shared_ptr<DockerArchive>> open(const std::string& path, const std::string& temporary = "/tmp");
  // `name`: a reference among the RepoTags, "@N" for the Nth image, "" for the only one.
  Result<Root> resolve(std::string_view name);
  std::vector<std::string> names() const;
  Result<std::unique_ptr<Source>> open(const Descriptor& blob) override;

 private:
  struct Image { std::string config; std::vector<std::string> tags, layers; };
  explicit DockerArchive(std::shared_ptr<TarIndex> tar) : tar_(std::move(tar)) {}
  Result<const Image*> find(std::string_view name) const;
  Result<Root> manifest_of(const Image& image);
  Result<Descriptor> layer_of(const std::string& path, const Digest& diff_id);
  std::shared_ptr<TarIndex> tar_;
  std::vector<Image> images_;
  struct Known { std::map<Digest, TarIndex::Entry> in_file; std::map<Digest, std::string> made; };
  Sync<Known> known_;
};

enum class ArchiveKind { Oci, Docker };

// Writes an archive as one stream: blobs as they come, what names them at the end. A docker-archive holds one platform and
// can be read as an oci-archive too. Entries have no times or owners, so equal images copied in one order (CopyOptions::jobs
// 1) give equal bytes. Thread safe; blobs are written one after the other. After an error the archive cannot be finished.
class ArchiveWriter final : public Ingester {
 public:
  // To a file, which appears (or takes the place of the old one) when finish() succeeds. Where `path` is no regular file,
  // as /dev/stdout, it is written to directly.
  static Result<std::unique_ptr<ArchiveWriter>> create(const std::string& path, ArchiveKind kind);
  ArchiveWriter(Sink& sink, ArchiveKind kind);
  ~ArchiveWriter() override;

  Result<PutOutcome> put(const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) override;
  // Names, as many as there are; "" for an image without one.
  Result<void> tag(const Descriptor& root, std::string_view raw, std::string_view name) override;
  // An entry made by layout_entry(), for an oci-archive whose names are whole references, as BuildKit writes them.
  Result<void> add(const Descriptor& entry, std::string_view raw);
  Result<void> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace archway
