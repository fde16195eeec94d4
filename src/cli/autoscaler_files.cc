#include "cli/autoscaler_files.h"

#include <algorithm>
#include <filesystem>

#include "base/fd.h"
#include "base/text.h"
#include "cli/cluster_files.h"
#include "format/yaml.h"
#include "scheduler/trace_csv.h"

namespace archway::cli {

namespace {

Result<std::vector<std::string>> files_of(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  for (auto at = std::filesystem::recursive_directory_iterator(path, error); !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    std::string file = at->path().string();
    if ((file.ends_with(".json") || file.ends_with(".yaml") || file.ends_with(".yml")) && at->is_regular_file(error)) files.push_back(std::move(file));
  }
  if (error) return Error{Code::Io, "listing " + path + ": " + error.message()};
  if (files.empty()) return Error{Code::NotFound, "no .json, .yaml or .yml file below " + path};
  std::sort(files.begin(), files.end());
  return files;
}

Result<void> load(const std::string& file, scheduler::AutoscalerInput& input) {
  std::string text = TRY(read_file(file, kMaxClusterFileBytes));
  std::string_view begin = trim(text);
  bool json = begin.starts_with('{') || begin.starts_with('[');
  // JSON is YAML nearly always, and YAML has lines; where it is not, or the file is large, the JSON reader takes it.
  if (!json || text.size() <= kMaxMarkedBytes) {
    auto documents = parse_yaml_documents(text);
    if (documents.ok()) {
      for (const YamlDocument& document : *documents) input.add(document.value, &document.marks, file, text);
      return {};
    }
    if (!json) return std::move(documents).error().within(file);
  }
  Json value = TRY(parse_json(text).context(file));
  input.add(value, nullptr, file);
  return {};
}

}  // namespace

Result<scheduler::AutoscalerInput> load_autoscaler_input(const std::vector<std::string>& paths, const scheduler::PriceTable& prices) {
  scheduler::AutoscalerInput input;
  for (const std::string& path : paths) {
    for (const std::string& file : TRY(files_of(path))) TRY(load(file, input));
  }
  input.settle(prices);
  return input;
}

Result<scheduler::PriceTable> load_prices(const Arguments& arguments) {
  scheduler::PriceTable prices = scheduler::PriceTable::shipped();
  for (const std::string& file : arguments.many("prices")) {
    std::string text = TRY(read_file(file, scheduler::kMaxCsvBytes));
    TRY(prices.add(text).context(file));
  }
  return prices;
}

Flag prices_flag() { return {"prices", 0, Flag::Kind::Many, "FILE", "prices of your own (CSV); they count before those that ship"}; }

}  // namespace archway::cli
