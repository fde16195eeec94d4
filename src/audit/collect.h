#pragma once

#include <functional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "audit/collection.h"
#include "audit/helm.h"
#include "base/stream.h"

// Files and folders to a Collection. A file that cannot be read is named in `unseen`; the rest is read all the same.
namespace archway::audit {

inline constexpr uint64_t kMaxTextFileBytes = 256ull << 20;   // of YAML, a Dockerfile, a list
inline constexpr uint64_t kMaxPlacedJsonBytes = 8ull << 20;   // JSON up to here has lines; larger files are read item by item
inline constexpr size_t kMaxFiles = 1'000'000;
inline constexpr size_t kMaxFolderDepth = 64;

struct CollectOptions {
  size_t threads = 0;          // 0: as many as there are processors
  bool run_helm = true;        // where it is installed
  HelmOptions helm = {};       // for all charts
  std::stop_token stop = {};
};

// Not settled: merge what there is, then settle() once.
Collection collect_path(const std::string& path, const CollectOptions& options);
// What came by standard input, or another text without a file.
Collection collect_text(std::string_view text, const std::string& source, const CollectOptions& options);

// The same as it comes; large JSON is read item by item and never held.
Collection collect_source(Source& from, const std::string& source, const CollectOptions& options);

// A folder with a kustomization: its resources, with its images in place of theirs. `used` gets every file and folder that it named.
Collection collect_kustomization(const std::string& file, const CollectOptions& options, std::set<std::string>& used);
// A folder with a Chart.yaml, or an archive of one. In chart.cc.
Collection collect_chart(const std::string& path, const CollectOptions& options);

// One file of a known kind, read whole. In collect_file.cc.
Collection collect_file(const std::string& path, const CollectOptions& options);

}  // namespace archway::audit
