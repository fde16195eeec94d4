#include "image/copy.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/sync.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "image/config.h"

namespace archway {

bool is_foreign_layer(std::string_view media_type) {
  return media_type.find(".foreign.") != std::string_view::npos || media_type.find(".nondistributable.") != std::string_view::npos;
}

namespace {

Error too_deep() { return Error{Code::Invalid, "indexes within indexes, more than " + std::to_string(kMaxIndexDepth) + " deep"}; }

// What a manifest or index points to, in its order.
Result<std::vector<Descriptor>> children_of(const Descriptor& descriptor, std::string_view raw) {
  if (is_index(descriptor.media_type)) {
    ImageIndex index = TRY(parse_index(raw, descriptor.media_type));
    return std::move(index.manifests);
  }
  Manifest manifest = TRY(parse_manifest(raw, descriptor.media_type));
  std::vector<Descriptor> children = {manifest.config};
  children.insert(children.end(), manifest.layers.begin(), manifest.layers.end());
  return children;
}

bool has_children(const Descriptor& descriptor) { return is_index(descriptor.media_type) || is_manifest(descriptor.media_type); }

class Walker {
 public:
  Walker(Provider& provider, const Visitor& visit) : provider_(provider), visit_(visit) {}

  Result<void> go(const Descriptor& descriptor, std::string_view raw, size_t depth) {
    if (is_index(descriptor.media_type) && depth > kMaxIndexDepth) return too_deep();
    auto children = TRY(children_of(descriptor, raw).context(descriptor.digest.str()));
    for (const Descriptor& child : children) {
      if (!seen_.insert(child.digest).second) continue;
      // Only an index points to manifests: what calls itself one among the layers is a blob like the others.
      if (is_index(descriptor.media_type) && has_children(child)) {
        std::string child_raw = TRY(read_blob(provider_, child, kMaxManifestBytes));
        TRY(go(child, child_raw, depth + 1));
      } else {
        TRY(visit_(child, {}));
      }
    }
    return visit_(descriptor, raw);
  }

 private:
  Provider& provider_;
  const Visitor& visit_;
  std::set<Digest> seen_;
};

// The manifests of a root, each fetched once; opens all else where it comes from.
class Gathered final : public Provider {
 public:
  Gathered(Provider& inner, const Root& root) : inner_(inner) { raw_.emplace(root.descriptor.digest, root.raw); }

  // Level by level, since a level's manifests can be fetched side by side.
  Result<void> gather(const Root& root, size_t jobs, std::stop_token stop) {
    std::vector<Descriptor> level = {root.descriptor};
    for (size_t depth = 1; !level.empty(); ++depth) {
      std::vector<Descriptor> next;
      for (const Descriptor& descriptor : level) {
        if (!is_index(descriptor.media_type)) continue;
        if (depth > kMaxIndexDepth) return too_deep();
        auto children = TRY(children_of(descriptor, raw_.at(descriptor.digest)).context(descriptor.digest.str()));
        for (Descriptor& child : children) {
          if (has_children(child) && raw_.emplace(child.digest, "").second) next.push_back(std::move(child));
        }
      }
      auto fetched = parallel_for(next.size(), jobs, [&](size_t i) -> Result<void> {
        if (stop.stop_requested()) return Error{Code::Cancelled, "fetching manifests: stopped"};
        raw_.at(next[i].digest) = TRY(read_blob(inner_, next[i], kMaxManifestBytes));
        return {};
      });
      if (!fetched.ok()) return fetched;
      level = std::move(next);
    }
    return {};
  }

  Result<std::unique_ptr<Source>> open(const Descriptor& blob) override {
    auto found = raw_.find(blob.digest);
    if (found == raw_.end()) return inner_.open(blob);
    return std::unique_ptr<Source>(std::make_unique<StringSource>(found->second));
  }
  std::optional<Reference> origin(const Descriptor& blob) override { return inner_.origin(blob); }

 private:
  Provider& inner_;
  std::unordered_map<Digest, std::string> raw_;
};

struct Work { std::vector<Descriptor> blobs, manifests, indexes; };

Result<Work> plan(Gathered& gathered, const Root& root) {
  Work work;
  auto sort_out = [&](const Descriptor& descriptor, std::string_view raw) -> Result<void> {
    if (raw.empty()) {
      if (!is_foreign_layer(descriptor.media_type)) work.blobs.push_back(descriptor);
    } else {
      (is_index(descriptor.media_type) ? work.indexes : work.manifests).push_back(descriptor);
    }
    return {};
  };
  TRY(walk(gathered, root, sort_out));
  // The longest first, so that none is left over at the end. Ties keep the order of the platforms.
  std::stable_sort(work.blobs.begin(), work.blobs.end(), [](const Descriptor& a, const Descriptor& b) { return a.size > b.size; });
  return work;
}

class Copier {
 public:
  Copier(Provider& from, Ingester& to, const CopyOptions& options, std::stop_token stop)
      : from_(from), to_(to), options_(options), outer_(stop), link_(stop, [this] { mine_.request_stop(); }) {}

  // All of one kind, side by side. The first failure stops the others; it, not their being stopped, is the answer.
  Result<void> put_all(const std::vector<Descriptor>& blobs) {
    auto result = parallel_for(blobs.size(), std::max<size_t>(options_.jobs, 1), [&](size_t i) -> Result<void> {
      auto put = put_one(blobs[i]);
      if (put.ok()) return {};
      auto first = first_error_.lock();
      if (!*first) *first = std::move(put).error();
      mine_.request_stop();
      return **first;
    });
    if (auto first = first_error_.lock(); *first) return **first;
    return result;
  }
  CopyStats stats() { return *stats_.lock(); }

 private:
  Result<void> put_one(const Descriptor& blob) {
    if (mine_.stop_requested()) return Error{Code::Cancelled, options_.verb + " " + blob.digest.str() + ": stopped"};
    Progress& progress = options_.progress ? *options_.progress : no_progress();
    auto task = progress.start(options_.verb + " " + std::string(blob.digest.algorithm_name()) + ":" + blob.digest.short_hex() + "… (" + human_bytes(blob.size) + ")");
    task->set_total(blob.size);
    auto outcome = to_.put(blob, from_, task.get(), mine_.get_token());
    if (!outcome.ok()) {
      Error error = std::move(outcome).error().within(options_.verb + " " + blob.digest.str());
      task->failed(error.message);
      return error;
    }
    task->done(*outcome == PutOutcome::Stored ? "" : *outcome == PutOutcome::Existed ? "exists" : "mounted");
    count(*outcome, blob.size);
    return {};
  }
  void count(PutOutcome outcome, uint64_t size) {
    auto stats = stats_.lock();
    if (outcome == PutOutcome::Existed) ++stats->existed;
    if (outcome == PutOutcome::Mounted) ++stats->mounted;
    if (outcome != PutOutcome::Stored) return;
    ++stats->stored;
    stats->bytes_stored += size;
  }

  Provider& from_;
  Ingester& to_;
  const CopyOptions& options_;
  std::stop_token outer_;
  std::stop_source mine_;
  std::stop_callback<std::function<void()>> link_;
  Sync<CopyStats> stats_;
  Sync<std::optional<Error>> first_error_;
};

}  // namespace

Result<void> walk(Provider& provider, const Root& root, const Visitor& visit) {
  return Walker(provider, visit).go(root.descriptor, root.raw, 1);
}

Result<CopyStats> copy_image(Provider& from, Ingester& to, const Root& root, const CopyOptions& options, std::stop_token stop) {
  Gathered gathered(from, root);
  TRY(gathered.gather(root, std::max<size_t>(options.jobs, 1), stop));
  Work work = TRY(plan(gathered, root));
  Copier copier(gathered, to, options, stop);
  TRY(copier.put_all(work.blobs));
  // Past this line every layer and config is there.
  TRY(copier.put_all(work.manifests));
  for (const Descriptor& index : work.indexes) TRY(copier.put_all({index}));
  for (const std::string& tag : options.tags) {
    if (stop.stop_requested()) return Error{Code::Cancelled, options.verb + " " + root.descriptor.digest.str() + ": stopped"};
    TRY(to.tag(root.descriptor, root.raw, tag));
  }
  return copier.stats();
}

}  // namespace archway
