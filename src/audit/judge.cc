#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "audit/audit.h"
#include "audit/finding_id.h"
#include "audit/judge_image.h"
#include "audit/placement_rules.h"
#include "audit/ranges.h"
#include "audit/readers.h"
#include "audit/written_image.h"
#include "base/text.h"
#include "base/thread_pool.h"

namespace archway::audit {

namespace {

// Bad news first, for people who read from the top; and what counts most among a workload's images.
int badness(Verdict verdict) {
  switch (verdict) {
    case Verdict::NotReady: return 6;
    case Verdict::WrongContent: return 5;
    case Verdict::Unknown: return 4;
    case Verdict::ReadyAfterRepin: return 3;
    case Verdict::ReadyAfterUpdate: return 2;
    case Verdict::Ready: return 1;
    case Verdict::Skipped: return 0;
  }
  return 0;
}

// "web:1" of a team's own, in a manifest that a build tool fills in: nothing on Docker Hub is meant (audit.md 4.1).
bool is_local_name(const Reference& reference, const std::string& written) {
  return reference.host() == "docker.io" && reference.repository().starts_with("library/") && written.find('/') == std::string::npos && written.find(':') == std::string::npos &&
         written.find('@') == std::string::npos;
}

constexpr size_t kAtOnce = 2000, kImagesAtOnce = 100;  // that one thread takes up

class Judge {
 public:
  Judge(Collection collection, ImageLookup& lookup, const AuditOptions& options) : lookup_(lookup), options_(options), images_judge_(lookup, options) {
    audit_.platforms = options.platforms;
    audit_.collection = std::move(collection);
  }

  Audit run() {
    group();
    look_up();
    verdicts();
    workloads();
    order_images();
    findings();
    order_findings();
    audit_.counters = lookup_.counters();
    return std::move(audit_);
  }

 private:
  struct Asked {
    std::optional<Reference> reference;
    std::set<size_t> keychains;
    size_t keychain = 0;            // that could see it
    std::optional<Error> error;
    std::string written;
    bool asked_for = false;         // by name, on the command line
  };

  // Every image once, however it is written.
  void group() {
    std::unordered_map<std::string, size_t> known;
    // Many uses are written alike. One text may be built here and pulled there.
    std::unordered_map<std::string_view, std::vector<std::pair<std::string_view, size_t>>> spelled;
    for (size_t i = 0; i < audit_.collection.uses.size(); ++i) {
      const ImageUse& use = audit_.collection.uses[i];
      auto& alike = spelled[use.image];
      auto at = std::find_if(alike.begin(), alike.end(), [&](const auto& each) { return each.first == use.skip; });
      if (at == alike.end()) at = alike.insert(at, {use.skip, image_of(use, known)});
      JudgedImage& image = audit_.images[at->second];
      Asked& asked = asked_[at->second];
      image.uses.push_back(i);
      image.confidence = std::min(image.confidence, use.confidence);
      image.builder_only = image.builder_only && use.builder;
      asked.keychains.insert(use.keychain);
      asked.asked_for = asked.asked_for || use.place.source == kCommandLine;
    }
  }

  size_t image_of(const ImageUse& use, std::unordered_map<std::string, size_t>& known) {
    WrittenImage written = read_image(use.image);
    std::string name = written.reference ? written.reference->str() : use.image;
    auto [at, fresh] = known.try_emplace(name + (use.skip.empty() ? "" : "\n" + use.skip), audit_.images.size());
    if (!fresh) return at->second;
    JudgedImage image;
    image.image = std::move(name);
    image.skip = use.skip;
    image.builder_only = true;
    image.confidence = use.confidence;
    audit_.images.push_back(std::move(image));
    asked_.push_back({std::move(written.reference), {}, 0, {}, use.image, false});
    if (!asked_.back().reference && use.skip.empty()) asked_.back().error = Error{Code::Invalid, std::move(written.why)};
    return at->second;
  }

  // With the first keychain that each has; those that it cannot see, with the next.
  void look_up() {
    std::shared_ptr<ProgressTask> task = options_.progress ? options_.progress->start("looking images up") : nullptr;
    std::vector<size_t> open;
    for (size_t i = 0; i < asked_.size(); ++i) {
      if (asked_[i].reference && audit_.images[i].skip.empty()) open.push_back(i);
    }
    // Where a registry lets only so many requests through, what runs comes first, and what runs most.
    std::stable_sort(open.begin(), open.end(), [&](size_t a, size_t b) {
      const JudgedImage &first = audit_.images[a], &second = audit_.images[b];
      return std::pair(first.confidence, second.uses.size()) < std::pair(second.confidence, first.uses.size());
    });
    if (task) task->set_total(open.size());
    for (size_t round = 0; !open.empty(); ++round) {
      std::map<size_t, std::vector<size_t>> by_keychain;
      for (size_t i : open) by_keychain[nth(asked_[i].keychains, round)].push_back(i);
      open.clear();
      for (const auto& [keychain, images] : by_keychain) ask(keychain, images, round == 0 ? task.get() : nullptr);
      for (const auto& [keychain, images] : by_keychain) {
        for (size_t i : images) {
          bool refused = asked_[i].error && (asked_[i].error->code == Code::Unauthorized || asked_[i].error->code == Code::NotFound);
          if (refused && round + 1 < asked_[i].keychains.size()) open.push_back(i);
        }
      }
    }
    if (task) task->done();
  }

  static size_t nth(const std::set<size_t>& set, size_t index) { return *std::next(set.begin(), static_cast<long>(index)); }

  void ask(size_t keychain, const std::vector<size_t>& images, ProgressTask* task) {
    std::vector<std::string> names;
    for (size_t i : images) names.push_back(asked_[i].reference->str());
    std::atomic<size_t> seen = 0;
    auto done = [&](size_t count) {
      size_t before = seen.load();
      while (before < count && !seen.compare_exchange_weak(before, count)) {
      }
      if (task && before < count) task->advance(count - before);
    };
    auto facts = lookup_.look_up_all(names, audit_.collection.keychains[keychain], done, options_.stop);
    for (size_t k = 0; k < images.size(); ++k) {
      if (facts[k].ok()) {
        audit_.images[images[k]].facts = **facts[k];
        asked_[images[k]].keychain = keychain;
        asked_[images[k]].error.reset();
      } else {
        asked_[images[k]].error = facts[k].error();
      }
    }
  }

  void verdicts() {
    std::shared_ptr<ProgressTask> task = options_.progress ? options_.progress->start(options_.verify ? "looking into images" : "looking for tags that are ready") : nullptr;
    if (task) task->set_total(audit_.images.size());
    auto judged = parallel_for(audit_.images.size(), options_.threads, [&](size_t i) -> Result<void> {
      judge_one(audit_.images[i], asked_[i]);
      if (task) task->advance(1);
      return {};
    });
    (void)judged.ok();  // the body does not fail
    if (task) task->done();
  }

  void judge_one(JudgedImage& image, const Asked& asked) {
    for (const Platform& platform : options_.platforms) {
      if (!image.skip.empty()) {
        image.judgements.push_back({platform, Verdict::Skipped, image.skip, {}, {}, {}, {}, {}, {}});
      } else if (!asked.reference) {
        image.judgements.push_back({platform, Verdict::Unknown, asked.error->message, {}, {}, {}, {}, {}, Code::Invalid});
      }
    }
    if (!asked.reference) return;
    hints(image, *asked.reference);
    if (!image.skip.empty()) return;
    if (asked.error) return not_seen(image, asked);
    const Keychain& keychain = audit_.collection.keychains[asked.keychain];
    std::optional<Error> unverified;
    if (options_.verify) {
      auto verified = images_judge_.verify(*asked.reference, *image.facts, keychain);
      if (!verified.ok()) unverified = verified.error();
    }
    for (const Platform& platform : options_.platforms) {
      Judgement judgement = images_judge_.judge(*asked.reference, *image.facts, platform, keychain);
      if (unverified && judgement.verdict == Verdict::Ready) {
        judgement = ImageJudge::unknown(*asked.reference, platform, *unverified);
        judgement.reason = "declares " + platform.str() + ", but could not be looked into: " + judgement.reason;
      }
      image.judgements.push_back(std::move(judgement));
    }
  }

  void not_seen(JudgedImage& image, const Asked& asked) {
    bool gone = asked.error->code == Code::NotFound || asked.error->code == Code::Unauthorized;
    if (gone && !asked.asked_for && is_local_name(*asked.reference, asked.written)) {
      image.skip = "a local name without tag, which no registry knows: a build tool or kustomization fills it in";
      for (const Platform& platform : options_.platforms) image.judgements.push_back({platform, Verdict::Skipped, image.skip, {}, {}, {}, {}, {}, {}});
      return;
    }
    for (const Platform& platform : options_.platforms) image.judgements.push_back(ImageJudge::unknown(*asked.reference, platform, *asked.error));
  }

  void hints(JudgedImage& image, const Reference& reference) {
    if (!options_.catalog) return;
    for (const catalog::Hint& hint : options_.catalog->hints(reference)) image.hints.push_back(hint.text);
  }

  void workloads() {
    audit_.workloads.resize(audit_.collection.workloads.size());
    for (size_t i = 0; i < audit_.images.size(); ++i) {
      for (size_t use : audit_.images[i].uses) {
        const ImageUse& each = audit_.collection.uses[use];
        if (!each.workload || each.role == ImageUse::Role::Mention || each.confidence != Confidence::Certain) continue;
        auto& images = audit_.workloads[*each.workload].images;
        if (std::find(images.begin(), images.end(), i) == images.end()) images.push_back(i);
      }
    }
    for_ranges(audit_.workloads.size(), kAtOnce, [&](size_t, size_t begin, size_t end) {
      for (size_t w = begin; w < end; ++w) {
        JudgedWorkload& workload = audit_.workloads[w];
        for (size_t p = 0; p < options_.platforms.size(); ++p) workload.verdicts.push_back(verdict_of(workload, audit_.collection.workloads[w], p));
      }
    });
    std::vector<bool> blocks(audit_.images.size());
    for (size_t i = 0; i < audit_.images.size(); ++i) {
      const auto& judgements = audit_.images[i].judgements;
      blocks[i] = std::any_of(judgements.begin(), judgements.end(), [](const Judgement& judgement) { return judgement.verdict != Verdict::Ready && judgement.verdict != Verdict::Skipped; });
    }
    for (const JudgedWorkload& workload : audit_.workloads) count_blockers(workload, blocks);
  }

  Verdict verdict_of(const JudgedWorkload& workload, const Workload& from, size_t p) const {
    Verdict worst = Verdict::Skipped;
    if (from.placement.windows && options_.platforms[p].os != "windows") return worst;
    for (size_t image : workload.images) {
      Verdict verdict = audit_.images[image].judgements[p].verdict;
      if (badness(verdict) > badness(worst)) worst = verdict;
    }
    return worst;
  }

  void count_blockers(const JudgedWorkload& workload, const std::vector<bool>& blocks) {
    size_t blockers = 0, last = 0;
    for (size_t image : workload.images) {
      ++audit_.images[image].workloads;
      if (!blocks[image]) continue;
      ++blockers;
      last = image;
    }
    if (blockers == 1) ++audit_.images[last].sole_blocker_of;
  }

  static int worst_of(const JudgedImage& image) {
    int worst = 0;
    for (const Judgement& judgement : image.judgements) worst = std::max(worst, badness(judgement.verdict));
    return worst;
  }

  // Most valuable first: what, mended, makes the most workloads ready.
  void order_images() {
    std::vector<size_t> order(audit_.images.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    auto key = [&](size_t i) {
      const JudgedImage& image = audit_.images[i];
      bool ready = worst_of(image) <= badness(Verdict::Ready);
      return std::tuple(ready, -static_cast<int64_t>(image.sole_blocker_of), -static_cast<int64_t>(image.workloads), -worst_of(image), std::string_view(image.image));
    };
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
    std::vector<JudgedImage> sorted;
    std::vector<size_t> moved(order.size());
    for (size_t i = 0; i < order.size(); ++i) {
      moved[order[i]] = i;
      sorted.push_back(std::move(audit_.images[order[i]]));
    }
    audit_.images = std::move(sorted);
    for (JudgedWorkload& workload : audit_.workloads) {
      for (size_t& image : workload.images) image = moved[image];
      std::sort(workload.images.begin(), workload.images.end());
    }
  }

  struct Shape {
    const char* rule;
    Finding::Severity severity;
  };
  static std::optional<Shape> shape_of(Verdict verdict) {
    using enum Finding::Severity;
    switch (verdict) {
      case Verdict::ReadyAfterUpdate: return Shape{"image-needs-update", Warning};
      case Verdict::ReadyAfterRepin: return Shape{"image-needs-repin", Warning};
      case Verdict::WrongContent: return Shape{"image-wrong-content", Error};
      case Verdict::NotReady: return Shape{"image-not-ready", Error};
      case Verdict::Unknown: return Shape{"image-unknown", Warning};
      case Verdict::Ready:
      case Verdict::Skipped: return std::nullopt;
    }
    return std::nullopt;
  }

  // Of images, then what was seen while reading, then of where pods may go.
  void findings() {
    std::vector<std::vector<Finding>> parts((audit_.images.size() + kImagesAtOnce - 1) / kImagesAtOnce);
    for_ranges(audit_.images.size(), kImagesAtOnce, [&](size_t part, size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) findings_of(audit_.images[i], parts[part]);
    });
    parts.push_back(std::move(audit_.collection.findings));
    audit_.collection.findings.clear();
    for (std::vector<Finding>& part : placement_findings(audit_, options_)) parts.push_back(std::move(part));
    size_t count = 0;
    for (const std::vector<Finding>& part : parts) count += part.size();
    audit_.findings.reserve(count);
    for (std::vector<Finding>& part : parts) audit_.findings.insert(audit_.findings.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
  }

  // One finding per verdict and way of writing: each can be mended by one text in all of its places.
  void findings_of(const JudgedImage& image, std::vector<Finding>& out) const {
    if (std::none_of(image.judgements.begin(), image.judgements.end(), [](const Judgement& judgement) { return shape_of(judgement.verdict).has_value(); })) return;
    std::map<std::pair<std::string_view, ImageUse::Part>, std::vector<size_t>> spellings;
    for (size_t use : image.uses) spellings[{audit_.collection.uses[use].image, audit_.collection.uses[use].part}].push_back(use);
    std::map<std::pair<Verdict, std::string>, std::vector<const Judgement*>> groups;
    for (const Judgement& judgement : image.judgements) groups[{judgement.verdict, judgement.reason}].push_back(&judgement);
    for (const auto& [verdict, judgements] : groups) {
      auto shape = shape_of(verdict.first);
      if (!shape) continue;
      for (const auto& [spelling, uses] : spellings) out.push_back(finding(image, *shape, judgements, uses));
    }
  }

  Finding finding(const JudgedImage& image, const Shape& shape, const std::vector<const Judgement*>& judgements, const std::vector<size_t>& uses) const {
    const Judgement& judgement = *judgements[0];
    const ImageUse& first = audit_.collection.uses[uses[0]];
    Finding finding;
    finding.rule = shape.rule;
    finding.severity = severity(shape.severity, image, uses);
    finding.verdict = judgement.verdict;
    finding.image = first.image;
    finding.place = first.place;
    finding.others.reserve(uses.size() - 1);
    for (size_t i = 1; i < uses.size(); ++i) finding.others.push_back(audit_.collection.uses[uses[i]].place);
    for (const Judgement* each : judgements) finding.platforms.push_back(each->platform);
    finding.message = first.image + (judgement.verdict == Verdict::Unknown ? ": " : " ") + without_subject(judgement.reason);
    finding.advice = advice(image, judgement, first);
    remedy(finding, judgement, first);
    finding.id = finding_id(finding);
    return finding;
  }

  // An error names what was looked up, which the finding has said already.
  static std::string without_subject(const std::string& reason) {
    if (!reason.starts_with("looking up ")) return reason;
    size_t colon = reason.find(": ");
    return colon == std::string::npos ? reason : reason.substr(colon + 2);
  }

  // What may be no image at all must not fail a pipeline.
  Finding::Severity severity(Finding::Severity of_rule, const JudgedImage& image, const std::vector<size_t>& uses) const {
    using enum Finding::Severity;
    Confidence best = Confidence::Possible;
    for (size_t use : uses) best = std::min(best, audit_.collection.uses[use].confidence);
    if (best == Confidence::Possible || image.builder_only) return Note;
    return best == Confidence::Likely && of_rule == Error ? Warning : of_rule;
  }

  static std::string advice(const JudgedImage& image, const Judgement& judgement, const ImageUse& use) {
    std::string text = judgement.hint;
    auto add = [&](const std::string& more) { text += (text.empty() ? "" : "; ") + more; };
    if (!judgement.new_tag.empty() || !judgement.new_digest.empty() || !judgement.new_name.empty()) add("use " + replacement_for(use, judgement));
    if (!judgement.newest_tag.empty()) add("the newest that has it is " + judgement.newest_tag);
    if (judgement.verdict == Verdict::NotReady) add("build it for " + judgement.platform.str() + ", or ask its makers to");
    if (judgement.verdict == Verdict::WrongContent && judgement.new_tag.empty()) add("have it built again; archway verify tells what is wrong in it");
    if (use.role == ImageUse::Role::Mention && use.confidence == Confidence::Possible) add("it may be no image: the text only looks like one");
    for (const std::string& hint : image.hints) add("catalog: " + hint);
    return text;
  }

  static std::string replacement_for(const ImageUse& use, const Judgement& judgement) {
    if (use.part == ImageUse::Part::Tag && judgement.new_name.empty()) {
      return judgement.new_tag + (judgement.new_digest.empty() ? "" : "@" + judgement.new_digest);
    }
    std::string_view old = use.image;
    std::string_view name = old.substr(0, old.find('@'));
    size_t slash = name.rfind('/');
    size_t colon = name.find(':', slash == name.npos ? 0 : slash);
    name = name.substr(0, colon);
    std::string text = judgement.new_name.empty() ? std::string(name) : judgement.new_name;
    if (!judgement.new_tag.empty()) text += ":" + judgement.new_tag;
    if (!judgement.new_digest.empty()) text += "@" + judgement.new_digest;
    return text;
  }

  static void remedy(Finding& finding, const Judgement& judgement, const ImageUse& use) {
    if (judgement.verdict != Verdict::ReadyAfterUpdate && judgement.verdict != Verdict::ReadyAfterRepin) return;
    // A tag's place cannot hold another name, nor a repository's another tag.
    if (use.part == ImageUse::Part::Tag && !judgement.new_name.empty()) return;
    if (use.part == ImageUse::Part::Repository) return;
    if (use.confidence == Confidence::Possible) return;
    finding.remedy.kind = Remedy::Kind::ReplaceImage;
    finding.remedy.replacement = replacement_for(use, judgement);
    finding.remedy.platforms = finding.platforms;
    finding.remedy.why = judgement.verdict == Verdict::ReadyAfterRepin ? "the index's digest is good for every platform" : finding.remedy.replacement + " has " + judgement.platform.str();
  }

  void order_findings() {
    std::unordered_map<std::string_view, size_t> rank;
    for (size_t i = 0; i < audit_.images.size(); ++i) {
      for (size_t use : audit_.images[i].uses) rank.try_emplace(audit_.collection.uses[use].image, i);
    }
    using Key = std::tuple<int, size_t, std::string_view, std::string_view, std::string_view, uint32_t, std::string_view, size_t>;
    std::vector<Key> keys;
    keys.reserve(audit_.findings.size());
    for (const Finding& finding : audit_.findings) {
      auto at = finding.image.empty() ? rank.end() : rank.find(finding.image);
      size_t place = at == rank.end() ? audit_.images.size() : at->second;
      keys.emplace_back(static_cast<int>(finding.severity), place, finding.rule, finding.place.source, finding.place.object, finding.place.line, finding.place.path, keys.size());
    }
    std::sort(keys.begin(), keys.end());
    std::vector<Finding> ordered;
    ordered.reserve(keys.size());
    for (const Key& key : keys) ordered.push_back(std::move(audit_.findings[std::get<7>(key)]));
    audit_.findings = std::move(ordered);
  }

  ImageLookup& lookup_;
  const AuditOptions& options_;
  ImageJudge images_judge_;
  Audit audit_;
  std::vector<Asked> asked_;   // as audit_.images, until they are ordered
};

void rate_limits(Audit& audit, ImageLookup& lookup) {
  std::set<std::string> hosts;
  for (const JudgedImage& image : audit.images) {
    auto reference = Reference::parse(image.image);
    if (reference.ok() && image.skip.empty()) hosts.insert(reference->host());
  }
  for (const std::string& host : hosts) {
    if (auto limit = lookup.rate_limit(host)) audit.rate_limits.emplace_back(host, *limit);
  }
}

}  // namespace

Audit judge(Collection collection, ImageLookup& lookup, const AuditOptions& options) {
  Audit audit = Judge(std::move(collection), lookup, options).run();
  rate_limits(audit, lookup);
  return audit;
}

}  // namespace archway::audit
