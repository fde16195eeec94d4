#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/stream.h"
#include "image/descriptor.h"
#include "registry/transport.h"

namespace archway {

struct DownloadRequest {
  std::string path;                  // "library/alpine/blobs/sha256:..."
  std::vector<std::string> scopes;
  std::string accept = {};
};

// A blob as it comes from the registry, gone on with by Range where the connection breaks. Every byte that came
// counts: only attempts that bring none count against max_attempts. The bytes are not checked but for their number:
// more or fewer than the descriptor says is Mismatch. NotFound and the like come at once, here.
Result<std::unique_ptr<Source>> open_download(std::shared_ptr<Transport> transport, std::shared_ptr<Host> host, DownloadRequest request, const Descriptor& blob,
                                              std::stop_token stop);

}  // namespace archway
