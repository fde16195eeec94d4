#include "build/solver.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <set>
#include <thread>

#include "base/text.h"
#include "base/thread_pool.h"
#include "build/layer_pack.h"
#include "build/lower_dirs.h"
#include "snapshot/diff.h"

namespace archway::build {

Solver::Solver(const Graph& graph, Workshop workshop, SolverOptions options) : graph_(graph), workshop_(std::move(workshop)), options_(std::move(options)) {}
Solver::~Solver() = default;

namespace {

bool is_local(const Node& node) { return std::holds_alternative<LocalOp>(node.op); }

// Bytes of one file of a state, "" where there is none.
constexpr uint64_t kMaxUserFileBytes = 10 << 20;

// A program in a container may not say what it failed for.
constexpr uint64_t kFullDiskBytes = 1 << 20;
bool disk_is_full(const std::string& path) {
  struct statvfs disk = {};
  return ::statvfs(path.c_str(), &disk) == 0 && disk.f_bavail * disk.f_frsize < kFullDiskBytes;
}

}  // namespace

// One solve(). Nodes become ready as their inputs finish; workers take them in the order of the graph, which is the order of the Dockerfile.
struct Solver::Run {
  Run(Solver& owner, std::stop_token outer) : solver(owner), graph(owner.graph_), shop(owner.workshop_), options(owner.options_), forward(outer, [this] { stop.request_stop(); }) {}

  Solver& solver;
  const Graph& graph;
  Workshop& shop;
  SolverOptions& options;
  std::stop_source stop;
  std::stop_callback<std::function<void()>> forward;

  // One time for all that the build itself makes, so that equal layers of two platforms are equal to the byte.
  const Time begun = options.epoch.value_or(system_clock().now());

  std::mutex mutex;
  std::condition_variable changed;
  std::map<NodeId, State> done;
  std::map<NodeId, size_t> waiting;                 // inputs not done yet
  std::map<NodeId, std::vector<NodeId>> dependents;
  std::set<NodeId> ready;
  std::set<NodeId> feeds_exec;                      // states that a RUN will be mounted on, or that one mounts
  Subtrees subtrees;                                // of contexts that RUNs mount
  size_t running = 0;
  std::optional<Error> failure;

  std::mutex packing_mutex;
  std::map<std::string, std::shared_ptr<std::mutex>> packing;  // single flight by layer key

  // --- The order of work.

  void need(NodeId id) {
    if (waiting.contains(id) || is_local(graph[id])) return;
    waiting[id] = 0;
    for (NodeId input : graph[id].inputs()) {
      if (is_local(graph[input])) continue;
      need(input);
      dependents[input].push_back(id);
      ++waiting[id];
    }
    if (waiting[id] == 0) ready.insert(id);
    if (!std::holds_alternative<ExecOp>(graph[id].op)) return;
    for (NodeId mounted : graph[id].mounts) feed_exec(mounted);
    feed_exec(graph[id].parent);
  }

  void feed_exec(std::optional<NodeId> state) {
    while (state && feeds_exec.insert(*state).second) state = graph[*state].parent;
  }

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return failure || !ready.empty() || running == 0; });
      if (failure || ready.empty()) return;
      NodeId id = *ready.begin();
      ready.erase(ready.begin());
      ++running;
      lock.unlock();
      auto state = evaluate(id);
      lock.lock();
      --running;
      if (state.ok()) {
        done[id] = std::move(*state);
        for (NodeId dependent : dependents[id]) {
          if (--waiting[dependent] == 0) ready.insert(dependent);
        }
      } else {
        // The first failure is the cause; what it stops fails as cancelled.
        if (!failure) failure = std::move(state).error();
        stop.request_stop();
      }
      changed.notify_all();
    }
  }

  Result<std::vector<State>> run(const std::vector<NodeId>& targets) {
    for (NodeId target : targets) need(target);
    {
      std::vector<std::jthread> workers;
      size_t count = std::min(options.jobs, waiting.size());
      for (size_t i = 1; i < count; ++i) workers.emplace_back([this] { work(); });
      work();
    }
    if (failure) return *failure;
    std::vector<State> states;
    for (NodeId target : targets) states.push_back(done.at(target));
    return states;
  }

  State state_of(NodeId id) {
    std::lock_guard lock(mutex);
    return done.at(id);
  }

  // --- One node.

  Result<State> evaluate(NodeId id) {
    const Node& node = graph[id];
    if (std::holds_alternative<ScratchOp>(node.op)) return State{};
    if (auto* base = std::get_if<BaseOp>(&node.op)) return State{base->image->layers};
    auto task = shop.progress.start(node.name);
    bool cached = false;
    auto state = evaluate_step(node, id, *task, cached);
    if (state.ok()) {
      task->done(cached ? "CACHED" : "");
      return state;
    }
    Error error = std::move(state).error();
    if (error.code == Code::Cancelled) {
      task->done("CANCELED");
    } else {
      task->failed(error.message);
    }
    return options.place && error.code != Code::Cancelled ? options.place(node.where, std::move(error)) : error;
  }

  Result<State> evaluate_step(const Node& node, NodeId id, ProgressTask& task, bool& cached) {
    State parent = state_of(*node.parent);
    std::string key = TRY(key_of(node, parent, task));
    if (!node.ignore_cache) {
      if (auto layer = TRY(find_cached(key))) {
        cached = true;
        parent.layers.push_back(std::move(*layer));
        return parent;
      }
    }
    Layer layer = TRY(std::visit([&](const auto& op) { return make(op, node, id, parent, task); }, node.op));
    TRY(shop.cache.store(key, {layer.diff_id, layer.blob, layer.created}, node.name));
    parent.layers.push_back(std::move(layer));
    return parent;
  }

  Result<std::string> key_of(const Node& node, const State& parent, ProgressTask& task) {
    KeyText key;
    key.add("1").add(operation_key(node));
    auto* copy = std::get_if<CopyOp>(&node.op);
    key.add(copy && copy->link ? "" : parent.chain_id());
    key.add_number(options.epoch ? options.epoch->seconds() : -1);
    if (copy && node.source) {
      if (is_local(graph[*node.source])) {
        CopyFiles files(*copy, context_of(*node.source), begun, stop.get_token());
        key.add("files").add(TRY(files.selection_digest()));
      } else {
        key.add("state").add(state_of(*node.source).chain_id());
      }
    }
    for (size_t i = 0; copy && i < copy->remotes.size(); ++i) {
      const RemoteFile file = TRY(shop.remotes.look(copy->remotes[i], task, stop.get_token()));
      key.add("remote").add(file.sha256).add_number(file.mtime.seconds());
    }
    auto* exec = std::get_if<ExecOp>(&node.op);
    if (exec && !exec->mounts.empty()) key.add(TRY(mounts_key(*exec, node.mounts.size(), mount_inputs(node, nullptr), subtrees, stop.get_token())));
    return key.digest();
  }

  // What the mounts of a RUN show. `task` shows what has to be fetched for that; null where only keys are asked for.
  MountInputs mount_inputs(const Node& node, ProgressTask* task) {
    auto input = [&node](size_t i) { return node.mounts.at(i); };
    return MountInputs{
        .context = [this, input](size_t i) { return is_local(graph[input(i)]) ? context_of(input(i)) : nullptr; },
        .context_name = [this, input](size_t i) { return std::get<LocalOp>(graph[input(i)].op).name; },
        .folders = [this, input, task](size_t i) { return folders_of(state_of(input(i)), *task); },
        .tree = [this, input, task](size_t i) { return tree_of(state_of(input(i)), true, *task); },
        .chain_id = [this, input](size_t i) { return state_of(input(i)).chain_id(); }};
  }

  FileSource* context_of(NodeId source) { return shop.contexts.at(std::get<LocalOp>(graph[source].op).name).get(); }

  Result<std::optional<Layer>> find_cached(const std::string& key) {
    auto known = TRY(shop.cache.find(key));
    if (!known || !shop.blobs->has(known->blob.digest)) return std::optional<Layer>();
    return std::optional(Layer{known->diff_id, known->blob, shop.blobs, known->created});
  }

  // --- States as metadata and as folders.

  Result<Tree> tree_of(const State& state, bool unpack, ProgressTask& task) {
    std::vector<std::shared_ptr<const LayerIndex>> indexes(state.layers.size());
    TRY(parallel_for(state.layers.size(), 2, [&](size_t i) -> Result<void> {
      const Layer& layer = state.layers[i];
      if (unpack) TRY(shop.layers.unpacked(layer.diff_id, layer.blob, *layer.provider, &task, stop.get_token()));
      indexes[i] = TRY(shop.layers.index(layer.diff_id, layer.blob, *layer.provider, &task, stop.get_token()));
      return {};
    }));
    Tree tree;
    for (auto& index : indexes) tree = tree.with(std::move(index));
    return tree;
  }

  Result<std::vector<std::string>> folders_of(const State& state, ProgressTask& task) {
    std::vector<std::string> folders(state.layers.size());
    TRY(parallel_for(state.layers.size(), 2, [&](size_t i) -> Result<void> {
      const Layer& layer = state.layers[i];
      folders[i] = TRY(shop.layers.unpacked(layer.diff_id, layer.blob, *layer.provider, &task, stop.get_token()));
      return {};
    }));
    return folders;
  }

  // Reads a small file of a state, symlinks followed inside it. "" where there is none.
  Result<std::string> read_in_state(const State& state, const Tree& tree, const std::string& path, ProgressTask& task) {
    auto resolved = tree.resolve(path);
    if (!resolved) return std::string();
    TreeSource source(tree, TRY(folders_of(state, task)));
    auto file = TRY(source.open(*resolved));
    return read_all(*file, kMaxUserFileBytes, "/" + path);
  }

  Result<std::optional<Owner>> owner_of(const std::string& text, const State& state, const Tree& tree, ProgressTask& task) {
    if (text.empty()) return std::optional<Owner>();
    return std::optional(TRY(resolve_owner(text, [&](const std::string& path) { return read_in_state(state, tree, path, task); })));
  }

  // --- Making layers.

  LayerWriterOptions writer_options() const { return {.now = begun, .clamp_mtime = options.epoch, .stop = stop.get_token()}; }

  Layer finished(PackedLayer packed) {
    return Layer{packed.diff_id, packed.blob, shop.blobs, options.epoch.value_or(system_clock().now())};
  }

  // Two steps that write the same layer (a COPY for two platforms) write and compress it once, now and in later builds.
  Result<Layer> write_layer(LayerWriter& writer, const Node& node) {
    std::string content = TRY(writer.content_key());
    if (content.empty()) return write_layer_anew(writer);
    KeyText key;
    key.add("tar 1").add(content);
    std::shared_ptr<std::mutex> flight;
    {
      std::lock_guard lock(packing_mutex);
      auto& known = packing[content];
      if (!known) known = std::make_shared<std::mutex>();
      flight = known;
    }
    std::lock_guard lock(*flight);
    auto known = TRY(find_cached(key.digest()));
    if (known && shop.layers.has_index(known->diff_id)) return std::move(*known);
    Layer layer = TRY(write_layer_anew(writer));
    TRY(shop.cache.store(key.digest(), {layer.diff_id, layer.blob, layer.created}, node.name));
    return layer;
  }

  Result<Layer> write_layer_anew(LayerWriter& writer) {
    auto packed = TRY(pack_layer(*shop.blobs, options.compress_threads, [&](TarWriter& tar) { return writer.write(tar); }));
    TRY(shop.layers.put_index(packed.diff_id, packed.index));
    return finished(std::move(packed));
  }

  Result<Layer> make(const CopyOp& op, const Node& node, NodeId id, const State& parent, ProgressTask& task) {
    Tree lower = op.link ? Tree() : TRY(tree_of(parent, feeds_exec.contains(id), task));
    std::shared_ptr<FileSource> source;
    if (node.source && is_local(graph[*node.source])) {
      source = shop.contexts.at(std::get<LocalOp>(graph[*node.source].op).name);
    } else if (node.source) {
      State from = state_of(*node.source);
      auto folders = TRY(folders_of(from, task));
      source = std::make_shared<TreeSource>(TRY(tree_of(from, true, task)), std::move(folders));
    }
    auto owner = TRY(owner_of(op.chown, op.link ? State{} : parent, lower, task));
    LayerWriter writer(lower, writer_options());
    CopyFiles files(op, source.get(), begun, stop.get_token());
    files.fetch_with(&shop.remotes, &task);
    TempDir scratch = TRY(shop.layers.scratch());
    TRY(files.put(writer, owner, scratch.path()));
    return write_layer(writer, node);
  }

  Result<Layer> make(const WorkdirOp& op, const Node& node, NodeId id, const State& parent, ProgressTask& task) {
    Tree lower = TRY(tree_of(parent, feeds_exec.contains(id), task));
    auto owner = TRY(owner_of(op.user, parent, lower, task));
    LayerWriter writer(lower, writer_options());
    TreeEntry like{.type = TarType::Directory, .mode = 0755};
    if (owner) like.uid = owner->uid, like.gid = owner->gid;
    like.mtime = begun;
    TRY(writer.make_directories(writer.resolve_for_create(op.path), like));
    return write_layer(writer, node);
  }

  Result<Layer> make(const ExecOp& op, const Node& node, NodeId, const State& parent, ProgressTask& task) {
    if (op.platform.os != "linux") return Error{Code::Unsupported, "RUN for " + op.platform.str() + ": only Linux programs can be run", "COPY and the other instructions work for every platform"};
    Runtime* runtime = TRY(shop.runtime());
    TRY(runtime->check_architecture(op.platform.architecture, op.platform.variant));
    std::vector<std::string> lower = TRY(folders_of(parent, task));
    Tree tree = TRY(tree_of(parent, true, task));
    TempDir scratch = TRY(shop.layers.scratch());
    TRY(archway::make_directories(scratch / "pipes"));

    RunSpec spec;
    spec.root = TRY(root_over(lower, scratch.path()));
    spec.arguments = op.arguments;
    spec.environment = op.environment;
    spec.environment.insert(spec.environment.end(), op.proxy_environment.begin(), op.proxy_environment.end());
    spec.working_directory = op.working_directory;
    spec.user = op.user;
    spec.hostname = "buildkitsandbox";
    spec.network = op.network == "none" ? NetworkMode::None : NetworkMode::Host;
    spec.architecture = op.platform.architecture;
    spec.variant = op.platform.variant;
    if (op.script) {
      TRY(write_file_atomic(scratch / "pipes/" + op.script->first, op.script->second, 0755));
      spec.mounts.push_back({"bind", scratch / "pipes", "/dev/pipes", {"rbind", "ro"}});
    }
    RunResult result = TRY(run_program(op, node, tree, scratch.path(), spec, *runtime, task));
    if (result.exit_code != 0) {
      Error failed{Code::Invalid, "process \"" + join(op.arguments, " ") + "\" did not complete successfully: exit code: " + std::to_string(result.exit_code)};
      if (disk_is_full(scratch.path())) failed.hint = "the disk that holds the build cache, " + shop.layers.root() + ", is full: free some space and try again";
      return failed;
    }
    TRY(remove_mount_stubs(spec.root.upper_dir, tree, op.mounts));
    auto packed = TRY(pack_layer(*shop.blobs, options.compress_threads, [&](TarWriter& tar) {
      return write_upper_as_tar(spec.root.upper_dir, tree, {.clamp_mtime = options.epoch, .lower_dirs = lower}, tar);
    }));
    TRY(shop.layers.adopt(packed.diff_id, spec.root.upper_dir, packed.index));
    return finished(std::move(packed));
  }

  // With its mounts, which end with it: caches are free again before the layer is packed.
  Result<RunResult> run_program(const ExecOp& op, const Node& node, const Tree& root, const std::string& scratch, RunSpec& spec, Runtime& runtime, ProgressTask& task) {
    const MountInputs inputs = mount_inputs(node, &task);
    const MountSupplies supplies{shop.mounts, subtrees, shop.confidences};
    ExecMounts mounts = TRY(ExecMounts::add(op, inputs, supplies, root, scratch, spec, stop.get_token()));
    auto print = [&](std::string_view text) { task.output(text); };
    return runtime.run(spec, {print, print}, stop.get_token());
  }

  Result<Layer> make(const ScratchOp&, const Node&, NodeId, const State&, ProgressTask&) { return Error{Code::Internal, "scratch is no step"}; }
  Result<Layer> make(const BaseOp&, const Node&, NodeId, const State&, ProgressTask&) { return Error{Code::Internal, "a base is no step"}; }
  Result<Layer> make(const LocalOp&, const Node&, NodeId, const State&, ProgressTask&) { return Error{Code::Internal, "a context is no step"}; }
};

Result<std::vector<State>> Solver::solve(const std::vector<NodeId>& targets, std::stop_token stop) { return Run(*this, stop).run(targets); }

}  // namespace archway::build
