#pragma once

#include <string>
#include <vector>

#include "audit/collection.h"

namespace archway::audit {

inline constexpr uint64_t kMaxChartFileBytes = 16 << 20;
inline constexpr uint64_t kMaxChartBytes = 256 << 20;   // of an archive, unpacked
inline constexpr size_t kMaxChartFiles = 10'000;
inline constexpr size_t kMaxChartDepth = 8;             // charts in charts

// What a chart's Chart.yaml says that it builds on.
struct ChartDependency {
  std::string name, alias, version, repository, condition;
  bool present = false;        // in charts/, as a folder or an archive
  const std::string& called() const { return alias.empty() ? name : alias; }
};

struct Chart {
  std::string folder;          // where it can be read
  std::string shown;           // what reports call that
  std::string name, app_version, kube_version;
  bool is_library = false;     // makes no objects by itself
  std::vector<ChartDependency> dependencies;
};

// Never fails: what Chart.yaml does not say is empty.
Chart describe_chart(const std::string& folder, const std::string& shown);

// Files of a folder and those below, sorted; no more than kMaxChartFiles.
std::vector<std::string> chart_files(const std::string& folder);

// Images by the names of values, and from lines of templates that are no templates: where helm cannot render it.
void guess_chart(const Chart& chart, Collection& out);

// Is the file an archive of a chart (NAME/Chart.yaml in a gzipped tar)?
bool is_chart_archive(const std::string& path);
// Unpacks it below `folder`; the chart's own folder there. Only regular files, none outside.
Result<std::string> unpack_chart(const std::string& path, const std::string& folder);

}  // namespace archway::audit
