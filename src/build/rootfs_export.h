#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/stream.h"
#include "build/file_source.h"

// -o type=local and type=tar: the root file system itself, without any image around it.
namespace archway::build {

struct RootfsExportOptions {
  std::string prefix = {};              // "linux_arm64/": where there are several platforms
  std::optional<Time> clamp_mtime = {};
  std::stop_token stop = {};
};
// Appends to an archive; does not finish it.
Result<void> export_tar(FileSource& files, const RootfsExportOptions& options, TarWriter& tar);
// Into a folder, which is made; what is there stays unless it is in the way. Owners are not kept, devices are left out (as docker does).
Result<void> export_folder(FileSource& files, const RootfsExportOptions& options, const std::string& folder);

}  // namespace archway::build
