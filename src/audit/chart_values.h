#pragma once

#include <string>
#include <vector>

#include "audit/chart.h"
#include "audit/collection.h"
#include "audit/helm.h"

namespace archway::audit {

// A text in a chart's values that may decide an image or an architecture label: a tag, an image, a digest, a label's value. Whether it
// does is found out by rendering the chart once more with marks in place of all of them.
struct ChartValue {
  enum class Kind { Tag, Image, Digest, Label } kind = Kind::Tag;
  std::vector<std::string> path;   // as the chart that is rendered has it, names of subcharts first
  std::string text;                // as it is written; "" where the chart puts its own version there
  std::string mark;                // what is put in its place
  Place place;                     // of the value; its key too for a label
};

inline constexpr size_t kMaxChartValues = 500;

// Of values.yaml, of subcharts' values.yaml, and of the values files that the user named, which outrank both.
std::vector<ChartValue> find_chart_values(const Chart& chart, const HelmOptions& options);

// Values that put all marks in place, as YAML.
std::string marked_values(const std::vector<ChartValue>& values);

// Places of what `marked` shows to be decided by a value, in `rendered`. Both were read from the same chart.
void place_by_values(const std::vector<ChartValue>& values, const Collection& marked, Collection& rendered);

}  // namespace archway::audit
