#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "audit/collection.h"
#include "audit/finding.h"
#include "base/progress.h"
#include "catalog/catalog.h"
#include "registry/lookup.h"

// What was collected, judged: every image looked up once, a verdict for each and for each workload, and findings for what to do.
namespace archway::audit {

// What a platform's verdict rests on, and the way out. new_... are set where there is one: what to write in place of the old.
struct Judgement {
  Platform platform;
  Verdict verdict = Verdict::Unknown;
  std::string reason;                  // a sentence without a full stop; empty for Ready
  std::string new_name, new_tag, new_digest;  // "" : as it was (new_digest: none)
  std::string newest_tag;              // the newest that has it, where that is another
  std::string hint;                    // what to do about an Unknown: "archway login example.org"
  Code code = Code::Internal;          // of an Unknown: what kind of error it was
};

struct JudgedImage {
  std::string image;                   // canonical; as written where it is no reference
  Confidence confidence = Confidence::Possible;  // the best of its uses
  bool builder_only = false;
  std::string skip;                    // why nothing was judged
  std::optional<ImageFacts> facts;     // none: not known
  std::vector<Judgement> judgements;   // one per platform asked for; Skipped ones too
  std::vector<std::string> hints;      // of the catalog
  std::vector<size_t> uses;            // in Collection::uses
  size_t workloads = 0, sole_blocker_of = 0;  // workloads that use it; those that only it keeps from being ready
};

struct JudgedWorkload {
  std::vector<Verdict> verdicts;       // one per platform asked for
  std::vector<size_t> images;          // that it runs (not those it merely mentions)
};

struct AuditOptions {
  std::vector<Platform> platforms;     // not empty
  std::vector<kube::Taint> taints;     // of the nodes to come; those of nodes that were seen count as well
  bool verify = false;                 // look into images that declare the platform
  bool updates = true;                 // look for other tags
  size_t threads = 8;                  // that ask registries about updates
  size_t max_probes = 12;              // tags looked at per image and platform
  const catalog::Catalog* catalog = nullptr;
  Progress* progress = nullptr;        // null: none
  std::stop_token stop = {};
};

struct Audit {
  std::vector<Platform> platforms;
  Collection collection;
  std::vector<JudgedImage> images;     // what blocks most first
  std::vector<JudgedWorkload> workloads;  // as in collection.workloads
  std::vector<Finding> findings;       // worst first, then by what they block
  std::vector<std::pair<std::string, RateLimit>> rate_limits;  // by host
  LookupCounters counters;
};

// `collection` must be settled. Never fails: what could not be looked at is Unknown, with the reason.
Audit judge(Collection collection, ImageLookup& lookup, const AuditOptions& options);

}  // namespace archway::audit
