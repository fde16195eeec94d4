#pragma once

#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/progress.h"
#include "format/json.h"
#include "image/copy.h"

// Does an image hold what it declares? (registry.md section 6)
namespace archway {

enum class Severity { Error, Note };

struct Finding {
  Severity severity;
  std::string rule;        // stable id: "elf-machine", "entrypoint-missing", "entrypoint-machine", "config-platform", ... (docs/verify.md)
  Platform platform = {};  // of the image that it was found in
  std::string path = {};   // in the image; "" where it is about no file
  std::string layer = {};  // digest of the layer that brought it; ""
  size_t layer_number = 0; // 1-based
  std::string history = {};  // the created_by of that layer
  std::string message = {};  // a sentence
};

struct PlatformVerdict {
  Platform platform;
  Digest manifest;
  size_t elf_files = 0;            // looked at
  std::optional<Error> not_checked = {}; // why this platform could not be checked
  std::vector<Finding> findings = {};   // sorted: errors first, then by path
  std::vector<std::string> entry_chain = {};  // what the entry point resolves to, step by step
  std::string userland = {};       // architecture of most of its ELF files; "" where there are none
  std::string cause = {};          // what most likely went wrong, and the way out; "" where nothing did
  bool ok() const;                 // checked, and no Error findings
};

// More findings than this are counted, not listed: the last one says how many there were.
inline constexpr size_t kMaxFindings = 10'000;
inline constexpr size_t kMaxHistoryBytes = 2'000;  // of each history line; the rest is cut off

struct VerifyOptions {
  bool all_layers = false;                    // also what upper layers hide
  std::vector<Platform> platforms = {};       // empty: all
  bool diff_ids = false;                      // hash what packed layers unpack to as well: their diff_ids. Costs 0.6 of the rest
  size_t threads = 0;                         // 0: as many as there are processors
  Progress* progress = nullptr;
};

struct VerifyReport {
  std::vector<PlatformVerdict> platforms;
};

// Reads every distinct layer once. An Error where the image cannot be looked at at all: no index or image, a platform that was asked
// for and is not there, stopped. What is wrong with one platform is in its verdict. docs/verify.md has the rules.
Result<VerifyReport> verify_image(Provider& provider, const Root& root, const VerifyOptions& options, std::stop_token stop = {});
Json report_json(const VerifyReport& report);  // documented in docs/verify.md

}  // namespace archway
