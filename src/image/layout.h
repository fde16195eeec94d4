#pragma once

#include <memory>
#include <string>
#include <vector>

#include "image/content.h"
#include "image/copy.h"
#include "image/layout_index.h"

namespace archway {

// A folder that is an OCI image layout, with its images by name (image-spec, image-layout.md): what skopeo calls oci:DIR.
// Several processes may add images at once; a name moves in one step, after what it names is there. Thread safe.
class Layout final : public Provider, public Ingester {
 public:
  // One that exists. NotFound where there is no folder, Invalid where it is no layout.
  static Result<std::shared_ptr<Layout>> open(std::string dir);
  // The same, made first where there is none. A folder that holds other things, and no layout, is refused.
  static Result<std::shared_ptr<Layout>> create(std::string dir);

  Result<std::vector<Descriptor>> entries() const;
  // What `name` names, as find_in_layout has it: with "", the only image there is.
  Result<Root> resolve(std::string_view name);
  // An entry made by layout_entry(), in place of the one of that name.
  Result<void> add(const Descriptor& entry);

  Result<std::unique_ptr<Source>> open(const Descriptor& blob) override;
  Result<PutOutcome> put(const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) override;
  Result<void> tag(const Descriptor& root, std::string_view raw, std::string_view name) override;  // "": no name
  BlobStore& blobs() { return *blobs_; }

 private:
  Layout(std::string dir, std::shared_ptr<BlobStore> blobs) : dir_(std::move(dir)), blobs_(std::move(blobs)) {}
  std::string dir_;
  std::shared_ptr<BlobStore> blobs_;
};

}  // namespace archway
