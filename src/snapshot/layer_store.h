#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "base/fd.h"
#include "base/progress.h"
#include "image/content.h"
#include "snapshot/tree.h"

namespace archway {

// Layers on disk, by diff_id: an index (metadata) and, where somebody needed the files, an unpacked folder that can be an
// overlayfs lower dir (char 0/0 whiteouts, user.overlay.opaque). Below `root`:
//     layers/sha256/<diff_id hex>/{index,fs/}     each made aside and renamed into place: whole or not at all
// Several processes may share a root. Thread safe; the same layer asked for twice at once is made once. A cache: nothing is synced, and
// what a power cut damaged is noticed and made again. Keep the store for as long as its scratch folders. `progress` gets the blob's
// size as its total and its bytes as they are read; nothing where the layer is there.
class LayerStore {
 public:
  static Result<std::shared_ptr<LayerStore>> open(std::string root);

  // The layer's metadata. Streams and inflates `blob` from `from` the first time (checking blob digest and diff_id).
  Result<std::shared_ptr<const LayerIndex>> index(const Digest& diff_id, const Descriptor& blob, Provider& from,
                                                  ProgressTask* progress, std::stop_token stop);
  // The unpacked folder: overlay lower dir. Makes index and folder in one pass over the blob.
  Result<std::string> unpacked(const Digest& diff_id, const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop);
  // Takes over `dir`, an overlay upper dir just filled by a RUN, as the unpacked folder of `diff_id`.
  Result<void> adopt(const Digest& diff_id, const std::string& dir, const LayerIndex& index);
  // Keeps the metadata of a layer that was just written as a tar (COPY, WORKDIR), so that nobody need read it back. No folder yet.
  Result<void> put_index(const Digest& diff_id, const LayerIndex& index);
  // Bytes of the files in the unpacked folder, by the index.
  Result<uint64_t> unpacked_bytes(const Digest& diff_id) const;
  bool has_index(const Digest& diff_id) const;
  bool has_unpacked(const Digest& diff_id) const;
  Result<void> remove(const Digest& diff_id);
  // A fresh place for an upper and a work dir, on the same file system. Gone with the object unless adopted.
  Result<TempDir> scratch();
  const std::string& root() const { return root_; }

 private:
  explicit LayerStore(std::string root);
  struct State;
  std::shared_ptr<State> state_;
  std::string root_;
};

}  // namespace archway
