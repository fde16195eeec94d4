#include "verify/verify.h"

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "base/text.h"
#include "base/thread_pool.h"
#include "verify/cause.h"
#include "verify/entry.h"
#include "verify/images.h"
#include "verify/layer_facts.h"
#include "verify/merged_tree.h"
#include "verify/rules.h"

namespace archway {

namespace {

// A layer of several images is read once. Two descriptors that promise different things of one digest are two layers.
using LayerKey = std::tuple<Digest, uint64_t, std::string>;
LayerKey key_of(const Descriptor& layer) { return {layer.digest, layer.size, layer.media_type}; }

struct ReadLayer {
  Descriptor descriptor;
  std::optional<Result<LayerFacts>> facts = {};
};
using Layers = std::map<LayerKey, ReadLayer>;

// Why an image is not worth reading the layers of.
std::optional<Error> hopeless(const DeclaredImage& image) {
  if (image.unreadable) return image.unreadable;
  if (auto why = why_not_judged(image.declared())) return Error{Code::Unsupported, *why};
  size_t layers = image.manifest->layers.size(), diff_ids = image.config.diff_ids.size();
  if (layers != diff_ids) return Error{Code::Invalid, "the manifest has " + std::to_string(layers) + " layers, the configuration " + std::to_string(diff_ids) + " diff_ids"};
  return std::nullopt;
}

void read_one(Provider& provider, ReadLayer& layer, const VerifyOptions& options, std::stop_token stop) {
  const Digest& digest = layer.descriptor.digest;
  Progress& progress = options.progress ? *options.progress : no_progress();
  auto task = progress.start("verifying " + std::string(digest.algorithm_name()) + ":" + digest.short_hex() + "… (" + human_bytes(layer.descriptor.size) + ")");
  task->set_total(layer.descriptor.size);
  layer.facts = read_layer_facts(provider, layer.descriptor, options.diff_ids ? DiffId::Compute : DiffId::Leave, task.get(), std::move(stop));
  if (layer.facts->ok()) task->done();
  else task->failed(layer.facts->error().message);
}

// All distinct layers of all platforms in one queue, the longest first, so that none is left over at the end.
Result<Layers> read_layers(Provider& provider, const std::vector<DeclaredImage>& images, const VerifyOptions& options, size_t threads, std::stop_token stop) {
  Layers layers;
  for (const DeclaredImage& image : images) {
    if (hopeless(image)) continue;
    for (const Descriptor& layer : image.manifest->layers) layers.try_emplace(key_of(layer), ReadLayer{layer});
  }
  std::vector<ReadLayer*> queue;
  for (auto& [key, layer] : layers) queue.push_back(&layer);
  std::stable_sort(queue.begin(), queue.end(), [](const ReadLayer* a, const ReadLayer* b) { return a->descriptor.size > b->descriptor.size; });
  TRY(parallel_for(queue.size(), threads, [&](size_t i) -> Result<void> {
    read_one(provider, *queue[i], options, stop);
    if (stop.stop_requested()) return Error{Code::Cancelled, "verifying: stopped"};
    return {};
  }));
  return layers;
}

// One platform's image, with all its layers read.
class ImageVerifier {
 public:
  ImageVerifier(const DeclaredImage& image, const Layers& layers, bool all_layers)
      : image_(image), layers_(layers), all_layers_(all_layers), verdict_{.platform = image.declared(), .manifest = image.descriptor.digest} {}

  PlatformVerdict verify() {
    if (image_.manifest) check_declarations();
    verdict_.not_checked = hopeless(image_);
    if (!verdict_.not_checked) verdict_.not_checked = check_layers();
    finish();
    return std::move(verdict_);
  }

 private:
  // What pulls go by is the index; what runtimes look at afterwards is the configuration.
  void check_declarations() {
    if (!image_.in_index) return;
    const Platform &index = *image_.in_index, &config = image_.config.platform;
    std::string says = "the index has this image for " + index.str() + ", its configuration says " + config.str();
    if (index.os != config.os || index.architecture != config.architecture) add({.severity = Severity::Error, .rule = "config-platform", .message = says});
    else if (index.variant != config.variant) add({.severity = Severity::Note, .rule = "config-variant", .message = says});
  }

  std::optional<Error> check_layers() {
    std::vector<const LayerFacts*> stack;
    for (size_t i = 0; i < image_.manifest->layers.size(); ++i) {
      const auto& facts = *layers_.at(key_of(image_.manifest->layers[i])).facts;
      if (!facts.ok()) return Error(facts.error()).within("layer " + std::to_string(i + 1));
      const Digest& promised = image_.config.diff_ids[i];
      if (facts->diff_id && facts->diff_id->algorithm() == promised.algorithm() && *facts->diff_id != promised) {
        return Error{Code::Mismatch, "layer " + std::to_string(i + 1) + " unpacks to " + facts->diff_id->str() + ", the configuration promises " + promised.str()};
      }
      stack.push_back(&*facts);
    }
    MergedTree tree;
    for (const LayerFacts* facts : stack) {
      auto applied = tree.apply(*facts);
      if (!applied.ok()) return std::move(applied).error();
    }
    auto there = judge_tree(tree);
    if (all_layers_) judge_hidden(stack, there);
    EntryPoint entry = follow_entry_point(tree, image_.config, verdict_.platform);
    verdict_.entry_chain = std::move(entry.chain);
    for (Finding& finding : entry.findings) add(std::move(finding));
    return std::nullopt;
  }

  // Hardlinks are one file: it is told once, by its first name.
  struct File {
    std::string path;
    size_t layer = 0, names = 0;
  };
  using Files = std::unordered_map<const LayerEntry*, File>;
  static bool is_elf(const LayerEntry* entry) { return entry && entry->program && entry->program->format == Program::Format::Elf; }

  Files judge_tree(const MergedTree& tree) {
    Files files;
    tree.visit([&](MergedTree::Id id, const MergedTree::Node& node) {
      if (!is_elf(node.entry)) return;
      File& file = files[node.entry];
      std::string path = tree.path_of(id);
      if (file.names++ == 0 || path < file.path) file.path = std::move(path);
      file.layer = node.layer;
    });
    for (const auto& [entry, file] : files) {
      judge(*entry, file.path, file.layer, file.names > 1 ? " (it has " + std::to_string(file.names) + " names)" : "");
      ++verdict_.elf_files;
      if (std::string architecture = elf_architecture(entry->program->elf); !architecture.empty()) ++counts_[architecture];
    }
    return files;
  }

  void judge_hidden(const std::vector<const LayerFacts*>& stack, const Files& there) {
    for (size_t i = 0; i < stack.size(); ++i) {
      for (const LayerEntry& entry : stack[i]->entries) {
        if (!is_elf(&entry) || there.contains(&entry)) continue;
        judge(entry, "/" + entry.path, i + 1, " (another layer, or a later entry, hides it)");
        ++verdict_.elf_files;
      }
    }
  }

  void judge(const LayerEntry& entry, const std::string& path, size_t layer, const std::string& more) {
    auto judgement = judge_elf(verdict_.platform, path, entry.program->elf);
    if (!judgement) return;
    add({.severity = judgement->severity, .rule = judgement->rule, .path = path, .layer_number = layer, .message = judgement->message + more});
  }

  // History and digest are filled in at the end, for those that stay.
  void add(Finding finding) { verdict_.findings.push_back(std::move(finding)); }

  void finish() {
    auto& findings = verdict_.findings;
    std::sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
      return std::tie(a.severity, a.path, a.layer_number, a.rule, a.message) < std::tie(b.severity, b.path, b.layer_number, b.rule, b.message);
    });
    if (findings.size() > kMaxFindings) {
      size_t more = findings.size() - kMaxFindings + 1;
      Severity severity = findings[kMaxFindings - 1].severity;
      findings.erase(findings.begin() + static_cast<long>(kMaxFindings) - 1, findings.end());
      add({.severity = severity, .rule = "more", .message = std::to_string(more) + " more findings are not listed"});
    }
    std::vector<std::string> history = layer_history();
    for (Finding& finding : findings) {
      finding.platform = verdict_.platform;
      if (finding.layer_number == 0 || finding.layer_number > image_.manifest->layers.size()) continue;
      finding.layer = image_.manifest->layers[finding.layer_number - 1].digest.str();
      finding.history = history[finding.layer_number - 1];
    }
    verdict_.userland = most_common(counts_);
    verdict_.cause = likely_cause(verdict_, counts_);
  }

  // The history lines that made layers; none where their number does not fit (some tools write no history).
  std::vector<std::string> layer_history() const {
    size_t layers = image_.manifest ? image_.manifest->layers.size() : 0;
    std::vector<std::string> lines;
    for (const HistoryEntry& entry : image_.config.history) {
      if (!entry.empty_layer) lines.push_back(entry.created_by.size() > kMaxHistoryBytes ? entry.created_by.substr(0, kMaxHistoryBytes) + "…" : entry.created_by);
    }
    if (lines.size() != layers) lines.assign(layers, "");
    return lines;
  }

  const DeclaredImage& image_;
  const Layers& layers_;
  bool all_layers_;
  ArchitectureCounts counts_;
  PlatformVerdict verdict_;
};

}  // namespace

bool PlatformVerdict::ok() const {
  return !not_checked && std::none_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.severity == Severity::Error; });
}

Result<VerifyReport> verify_image(Provider& provider, const Root& root, const VerifyOptions& options, std::stop_token stop) {
  std::vector<DeclaredImage> images = TRY(declared_images(provider, root, options.platforms, stop));
  size_t threads = options.threads > 0 ? options.threads : processor_count();
  Layers layers = TRY(read_layers(provider, images, options, threads, stop));
  // Past this line nothing is read any more.
  std::vector<std::optional<PlatformVerdict>> verdicts(images.size());
  TRY(parallel_for(images.size(), threads, [&](size_t i) -> Result<void> {
    if (stop.stop_requested()) return Error{Code::Cancelled, "verifying: stopped"};
    verdicts[i] = ImageVerifier(images[i], layers, options.all_layers).verify();
    return {};
  }));
  VerifyReport report;
  for (auto& verdict : verdicts) report.platforms.push_back(std::move(*verdict));
  return report;
}

}  // namespace archway
