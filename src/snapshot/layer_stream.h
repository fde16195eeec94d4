#pragma once

#include <stop_token>
#include <string>

#include "base/progress.h"
#include "image/content.h"
#include "snapshot/layer_folder.h"
#include "snapshot/tree.h"

namespace archway {

struct LayerStreamOptions {
  std::string unpack_to = {};                // an empty folder to make the files in; "": only the index is wanted
  WhiteoutForm whiteouts = WhiteoutForm::Device;
  ProgressTask* progress = nullptr;          // bytes of the blob
  std::stop_token stop = {};
};
// One pass over a layer's blob, on two threads: this one reads, checks the blob's digest and inflates; another checks the diff_id, reads
// the tar and makes the files. Mismatch where the blob or its content is not what was promised; then, as on every error, what is in
// `unpack_to` is worthless.
Result<LayerIndex> stream_layer(const Digest& diff_id, const Descriptor& blob, Provider& from, const LayerStreamOptions& options);

}  // namespace archway
