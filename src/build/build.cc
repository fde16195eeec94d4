#include "build/build.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "build/base_images.h"
#include "build/build_store.h"
#include "build/context_source.h"
#include "build/layer_pack.h"
#include "build/lower.h"
#include "build/rootfs_export.h"
#include "build/solver.h"
#include "image/archive.h"
#include "image/layout.h"

namespace archway::build {

namespace {

constexpr uint64_t kMaxDockerfileBytes = 16 << 20;
constexpr size_t kJobs = 4;  // nodes at once: two platforms' RUNs, and something that waits for the network

struct DockerfileText {
  std::string text;
  std::string name;  // for messages
  std::string path;  // on disk; "" for standard input
};

// As docker has it: -f is relative to here; where it does not exist here, relative to the context.
Result<DockerfileText> read_dockerfile(const BuildRequest& request) {
  if (request.dockerfile_text) return DockerfileText{*request.dockerfile_text, "-", ""};
  std::string path = request.dockerfile.value_or(request.context + "/Dockerfile");
  if (!path_exists(path) && request.dockerfile && !path.starts_with('/') && path_exists(request.context + "/" + path)) path = request.context + "/" + path;
  auto text = read_file(path, kMaxDockerfileBytes);
  if (!text.ok()) {
    Error error = std::move(text).error();
    if (!request.dockerfile && !open_file(request.context, O_PATH | O_DIRECTORY).ok()) {
      return Error{Code::NotFound, "the build context " + request.context + " is not a folder", "-f names a Dockerfile, the context is the folder that COPY reads from"};
    }
    if (error.code == Code::NotFound && !request.dockerfile) {
      return Error{Code::NotFound, "no Dockerfile in " + request.context, "name it with -f, or give the folder that holds it"};
    }
    return error;
  }
  size_t slash = path.rfind('/');
  return DockerfileText{std::move(*text), slash == std::string::npos ? path : path.substr(slash + 1), path};
}

class Builder {
 public:
  Builder(const BuildRequest& request, Progress& progress, std::stop_token stop) : request_(request), progress_(progress), stop_(std::move(stop)) {}

  Result<BuildReport> run() {
    TRY(check_outputs());
    DockerfileText dockerfile = TRY(read_dockerfile(request_));
    file_name_ = dockerfile.name;
    file_ = TRY(dockerfile::parse(dockerfile.text, dockerfile.name));
    if (request_.warn) {
      for (const std::string& warning : file_.warnings) request_.warn(warning);
    }
    store_ = TRY(BuildStore::open(request_.state_root));
    TRY(open_contexts(dockerfile));
    std::vector<TargetImage> targets = TRY(lower_all());
    // Past this line every name is resolved and every instruction understood; nothing has been run.
    std::vector<State> states = TRY(solve(targets));
    // Past this line every layer is in the store, or stays in the registry that its base is in.
    BuildReport report = TRY(assemble(targets, states));
    TRY(remember_use(report.images));
    TRY(write_outputs(report, targets, states));
    if (built_something_) TRY(store_->prune(request_.cache_bytes, BuildStore::Wait::No));
    return report;
  }

 private:
  bool multi_platform() const { return request_.platforms.size() > 1; }

  Result<void> check_outputs() const {
    for (const Output& output : request_.outputs) {
      if (output.type == Output::Type::Registry && request_.tags.empty() && output.names.empty()) {
        return Error{Code::Invalid, "a push needs a name", "give one with -t REGISTRY/NAME:TAG"};
      }
      if (output.type == Output::Type::Docker && multi_platform()) {
        return Error{Code::Unsupported, "output type=docker holds one platform; docker load reads no index", "use type=oci, or one --platform"};
      }
    }
    for (const std::string& tag : request_.tags) TRY(Reference::parse(tag));
    return {};
  }

  // --- Contexts.

  Result<void> open_contexts(const DockerfileText& dockerfile) {
    contexts_["context"] = TRY(open_context_source(request_.context, dockerfile.path, store_->root() + "/contexts", stop_));
    for (const auto& [name, where] : request_.build_contexts) {
      if (where.starts_with("docker-image://") || where.starts_with("oci-layout://")) {
        image_contexts_[name] = where;
      } else if (where.find("://") != std::string::npos || where.starts_with("target:")) {
        return Error{Code::Unsupported, "--build-context " + name + "=" + where + ": there is a folder, docker-image:// and oci-layout://"};
      } else {
        contexts_[name] = TRY(open_context_source(where, "", store_->root() + "/contexts", stop_).context("--build-context " + name));
        local_contexts_.insert(name);
      }
    }
    return {};
  }

  // --- The graph.

  Result<std::vector<TargetImage>> lower_all() {
    BaseImages bases(request_.registry, store_->blobs, *store_->results, {image_contexts_, request_.pull, request_.warn}, progress_, stop_);
    LowerOptions options{.build_args = request_.build_args,
                         .target = request_.target,
                         .build_platform = host_platform(),
                         .labels = request_.labels,
                         .local_contexts = local_contexts_,
                         .no_cache = request_.no_cache,
                         .multi_platform = multi_platform(),
                         .epoch = request_.epoch,
                         .dockerfile_name = file_name_};
    std::vector<Platform> platforms = request_.platforms;
    if (platforms.empty()) platforms.push_back(host_platform());
    std::vector<TargetImage> targets;
    for (const Platform& platform : platforms) {
      targets.push_back(TRY(lower(
          file_, platform, options, [&](const std::string& name, const Platform& wanted) { return bases.resolve(name, wanted); }, graph_)));
    }
    return targets;
  }

  Result<std::vector<State>> solve(const std::vector<TargetImage>& targets) {
    auto place = [&](const dockerfile::Location& where, Error error) {
      Error placed = dockerfile::error_at(file_, file_name_, where, error.message);
      placed.code = error.code;
      placed.hint = error.hint;
      return placed;
    };
    auto make_runtime = [&]() -> Result<Runtime*> {
      std::lock_guard lock(runtime_mutex_);
      if (!runtime_) {
        RuntimeOptions options = request_.runtime;
        if (options.state_dir.empty()) options.state_dir = store_->root() + "/runtime";
        runtime_ = TRY(Runtime::create(options));
      }
      built_something_ = true;
      return runtime_.get();
    };
    TempDir fetched = TRY(store_->layers->scratch());
    RemoteFiles remotes({.client = request_.http, .notes_folder = store_->root() + "/contexts/urls", .scratch_folder = fetched.path()});
    Workshop shop{*store_->layers, store_->blobs, *store_->results, *store_->mounts, request_.confidences, remotes, contexts_, make_runtime, progress_};
    Solver solver(graph_, shop, {.jobs = kJobs, .compress_threads = processor_count(), .epoch = request_.epoch, .place = place});
    std::vector<NodeId> roots;
    for (const TargetImage& target : targets) roots.push_back(target.root);
    return solver.solve(roots, stop_);
  }

  Result<BuildReport> assemble(const std::vector<TargetImage>& targets, const std::vector<State>& states) {
    std::vector<BuiltImage> images;
    for (size_t i = 0; i < targets.size(); ++i) images.push_back(TRY(assemble_image(*store_->blobs, targets[i], states[i], request_.epoch)));
    Root root = TRY(assemble_root(*store_->blobs, images, multi_platform()));
    return BuildReport{std::move(root), std::move(images), {}};
  }

  Result<void> remember_use(const std::vector<BuiltImage>& images) {
    std::vector<Digest> used;
    for (const BuiltImage& image : images) {
      for (const Layer& layer : image.layers) used.push_back(layer.diff_id);
    }
    return store_->results->touch(used, system_clock().now());
  }

  // --- Outputs.

  std::vector<std::string> names_of(const Output& output) const { return output.names.empty() ? request_.tags : output.names; }

  Result<void> write_outputs(BuildReport& report, const std::vector<TargetImage>& targets, const std::vector<State>& states) {
    auto provider = image_provider(store_->blobs, report.images);
    for (const Output& output : request_.outputs) {
      switch (output.type) {
        case Output::Type::Registry: TRY(push(output, report, *provider)); break;
        case Output::Type::Oci:
          TRY(output.tar ? write_archive(output, ArchiveKind::Oci, report, *provider) : write_layout(output, report, *provider));
          break;
        case Output::Type::Docker: TRY(write_archive(output, ArchiveKind::Docker, report, *provider)); break;
        case Output::Type::Local:
        case Output::Type::Tar: TRY(write_rootfs(output, targets, states)); break;
      }
    }
    return {};
  }

  Result<void> push(const Output& output, BuildReport& report, Provider& provider) {
    // One copy per repository, with all of its tags.
    std::vector<std::pair<Reference, std::vector<std::string>>> repositories;
    for (const std::string& name : names_of(output)) {
      Reference reference = TRY(Reference::parse(name));
      auto same = std::find_if(repositories.begin(), repositories.end(), [&](const auto& known) { return known.first.name() == reference.name(); });
      if (same == repositories.end()) same = repositories.insert(repositories.end(), {reference, {}});
      same->second.push_back(reference.tag().value_or("latest"));
      report.names.push_back(reference.str());
    }
    for (const auto& [reference, tags] : repositories) {
      auto task = progress_.start("pushing " + reference.name() + ":" + join(tags, ","));
      auto repository = request_.registry->repository(reference);
      auto stats = copy_image(provider, *repository, report.root, {.progress = nullptr, .tags = tags}, stop_);
      if (!stats.ok()) {
        task->failed(stats.error().message);
        return std::move(stats).error().within("pushing " + reference.str());
      }
      task->done(std::to_string(stats->stored) + " sent (" + human_bytes(stats->bytes_stored) + "), " + std::to_string(stats->existed) + " there already" +
                 (stats->mounted ? ", " + std::to_string(stats->mounted) + " mounted" : ""));
    }
    return {};
  }

  Result<std::vector<Reference>> references_of(const Output& output, BuildReport& report) const {
    std::vector<Reference> references;
    for (const std::string& name : names_of(output)) {
      references.push_back(TRY(Reference::parse(name)));
      report.names.push_back(references.back().str());
    }
    return references;
  }

  Result<Sink*> standard_output() const {
    if (!request_.standard_output) return Error{Code::Invalid, "output: dest=- needs a standard output that is not a terminal"};
    return request_.standard_output;
  }

  // An archive with the image under each of its names, as BuildKit writes them. To a file it appears whole or not at all.
  Result<void> write_archive(const Output& output, ArchiveKind kind, BuildReport& report, Provider& provider) {
    auto task = progress_.start("exporting to " + output.dest);
    std::vector<Reference> references = TRY(references_of(output, report));
    std::unique_ptr<ArchiveWriter> writer;
    if (output.dest == "-") {
      writer = std::make_unique<ArchiveWriter>(*TRY(standard_output()), kind);
    } else {
      writer = TRY(ArchiveWriter::create(output.dest, kind));
    }
    TRY(copy_image(provider, *writer, report.root, {.jobs = 1}, stop_));
    for (const Reference& reference : references) {
      if (kind == ArchiveKind::Oci) {
        TRY(writer->add(layout_entry(report.root.descriptor, reference), report.root.raw));
      } else {
        TRY(writer->tag(report.root.descriptor, report.root.raw, reference.str()));
      }
    }
    if (references.empty()) TRY(writer->tag(report.root.descriptor, report.root.raw, ""));
    return writer->finish();
  }

  Result<void> write_layout(const Output& output, BuildReport& report, Provider& provider) {
    auto task = progress_.start("exporting to " + output.dest);
    std::vector<Reference> references = TRY(references_of(output, report));
    auto layout = TRY(Layout::create(output.dest));
    std::vector<std::string> tags;
    for (const Reference& reference : references) tags.push_back(reference.tag().value_or("latest"));
    if (tags.empty()) tags.push_back("");
    TRY(copy_image(provider, *layout, report.root, {.tags = tags}, stop_));
    return {};
  }

  // dest=- is standard output; else a file, made beside and renamed.
  Result<void> write_to_dest(const Output& output, const std::function<Result<void>(Sink&)>& write) {
    if (output.dest == "-") return write(*TRY(standard_output()));
    std::string temporary = output.dest + ".tmp." + std::to_string(::getpid());
    Fd file = TRY(open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW));
    auto finish = [&]() -> Result<void> {
      FdSink sink(file.get());
      TRY(write(sink).context("writing " + output.dest));
      if (::fsync(file.get()) != 0) return errno_error("syncing " + output.dest);
      if (::rename(temporary.c_str(), output.dest.c_str()) != 0) return errno_error("renaming to " + output.dest);
      return {};
    };
    auto result = finish();
    if (!result.ok()) ::unlink(temporary.c_str());
    return result;
  }

  Result<std::unique_ptr<FileSource>> rootfs_of(const State& state) {
    auto task = progress_.start("unpacking the result");
    Tree tree;
    std::vector<std::string> folders;
    for (const Layer& layer : state.layers) {
      folders.push_back(TRY(store_->layers->unpacked(layer.diff_id, layer.blob, *layer.provider, task.get(), stop_)));
      tree = tree.with(TRY(store_->layers->index(layer.diff_id, layer.blob, *layer.provider, task.get(), stop_)));
    }
    return std::unique_ptr<FileSource>(std::make_unique<TreeSource>(std::move(tree), std::move(folders)));
  }

  Result<void> write_rootfs(const Output& output, const std::vector<TargetImage>& targets, const std::vector<State>& states) {
    std::vector<std::unique_ptr<FileSource>> roots;
    for (const State& state : states) roots.push_back(TRY(rootfs_of(state)));
    auto options_for = [&](size_t i) {
      std::string prefix = multi_platform() ? replace_all(targets[i].platform.str(), "/", "_") + "/" : "";
      return RootfsExportOptions{prefix, request_.epoch, stop_};
    };
    auto task = progress_.start("exporting to " + output.dest);
    if (output.type == Output::Type::Local) {
      for (size_t i = 0; i < roots.size(); ++i) TRY(export_folder(*roots[i], options_for(i), output.dest));
      return {};
    }
    return write_to_dest(output, [&](Sink& sink) -> Result<void> {
      TarWriter tar(sink);
      for (size_t i = 0; i < roots.size(); ++i) TRY(export_tar(*roots[i], options_for(i), tar));
      return tar.finish();
    });
  }

  const BuildRequest& request_;
  Progress& progress_;
  std::stop_token stop_;
  dockerfile::Dockerfile file_;
  std::string file_name_;
  std::unique_ptr<BuildStore> store_;
  std::map<std::string, std::shared_ptr<FileSource>> contexts_;
  std::map<std::string, std::string> image_contexts_;
  std::set<std::string> local_contexts_;
  Graph graph_;
  std::mutex runtime_mutex_;
  std::unique_ptr<Runtime> runtime_;
  bool built_something_ = false;
};

}  // namespace

Result<BuildReport> build_image(const BuildRequest& request, Progress& progress, std::stop_token stop) {
  return Builder(request, progress, std::move(stop)).run();
}

}  // namespace archway::build
