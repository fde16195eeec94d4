#include "build/exec_mounts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/fd.h"
#include "base/hash.h"
#include "base/text.h"
#include "build/config_steps.h"
#include "build/lower_dirs.h"
#include "dockerfile/unicode.h"
#include "snapshot/beneath.h"
#include "snapshot/path_walk.h"

namespace archway::build {

using dockerfile::MountType;

namespace {

Error missing(const std::string& source) { return Error{Code::NotFound, "\"/" + source + "\": not found"}; }

bool is_text(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const dockerfile::Rune rune = dockerfile::rune_at(bytes, at);
    if (rune.value == 0 || (rune.value == dockerfile::kReplacement && rune.width == 1)) return false;
    at += rune.width;
  }
  return true;
}

// Read-only is what it is mounted as: nothing that a container is shown is ever changed.
Result<void> add_layers(TreeMount& mount, std::vector<std::string> bottom_first, const std::string& scratch) {
  if (mount.read_only) {
    mount.layers.lower_dirs = lower_dirs_of(bottom_first);
    if (!mount.layers.lower_dirs.empty()) return {};
    mount.layers.lower_dirs.push_back(scratch + "/empty");
    return make_directories(scratch + "/empty");
  }
  mount.layers = TRY(root_over(bottom_first, scratch));
  return {};
}

}  // namespace

class ExecMounts::Adding {
 public:
  Adding(const MountInputs& inputs, const MountSupplies& supplies, const Tree& root, std::string scratch, RunSpec& spec, std::stop_token stop)
      : inputs_(inputs), supplies_(supplies), root_(root), scratch_(std::move(scratch)), spec_(spec), stop_(std::move(stop)) {}

  Result<ExecMounts> run(const ExecOp& op) {
    for (const ExecMount& mount : op.mounts) {
      if (mount.type == MountType::Bind) TRY(add_bind(mount).context("mounting on " + mount.target));
      if (mount.type == MountType::Tmpfs) add_tmpfs(mount);
      if (mount.type == MountType::Secret) TRY(add_secret(mount));
      if (mount.type == MountType::Ssh) TRY(add_agent(mount));
    }
    TRY(add_caches(op));
    for (const Fd& lock : done_.locks_) spec_.held.push_back(lock.get());
    return std::move(done_);
  }

 private:
  std::string next_scratch() { return scratch_ + "/mount-" + std::to_string(next_++); }

  // --- bind

  Result<void> add_bind(const ExecMount& mount) {
    TreeMount made;
    made.target = mount.target;
    made.read_only = mount.read_only;
    std::vector<std::string> layers;
    if (FileSource* context = inputs_.context(*mount.input)) {
      auto subtree = TRY(supplies_.subtrees.of(*context, mount.source, stop_));
      layers.push_back(TRY(copy_of(*context, *subtree, inputs_.context_name(*mount.input))));
      made.source_is_folder = subtree->is_folder();
      made.source = made.source_is_folder ? "" : kSingleFile;
    } else {
      Tree tree = TRY(inputs_.tree(*mount.input));
      auto source = tree.resolve(mount.source);
      if (!source) return missing(mount.source);
      made.source = *source;
      made.source_is_folder = tree.lookup(*source)->entry->type == TarType::Directory;
      layers = TRY(inputs_.folders(*mount.input));
    }
    TRY(add_layers(made, std::move(layers), next_scratch()));
    spec_.tree_mounts.push_back(std::move(made));
    return {};
  }

  // The subtree in a folder of the store, as a layer to mount. Contexts change a little from build to build, and so does the copy.
  Result<std::string> copy_of(FileSource& context, const Subtree& subtree, const std::string& context_name) {
    KeyText name;
    name.add("context").add(context.lineage()).add(context_name).add(subtree.top());
    MountStore::Folder folder{.name = name.digest(), .what = "/" + subtree.top() + (context_name == "context" ? "" : " of " + context_name), .version = subtree.version(), .update = {}};
    folder.update = [&](const std::string& data, const std::string& list) -> Result<std::string> {
      auto there = Subtree::decode(list);
      if (!there.ok()) there = std::vector<Subtree::Entry>();
      const bool same_kind = !there->empty() && (there->front().type == TarType::Directory) == subtree.is_folder();
      if (!list.empty() && !same_kind) {
        there->clear();
        TRY(remove_tree(data));
        TRY(make_directories(data, 0700));
      }
      // A single file's folder is not seen; a subtree's own top gets the mode that it has.
      if (!subtree.is_folder() && ::chmod(data.c_str(), 0755) != 0) return errno_error("setting the mode of " + data);
      TRY(update_copy(context, subtree, *there, data, stop_));
      return subtree.encode();
    };
    MountStore::Taken taken = TRY(supplies_.store.take_folder(folder, stop_));
    done_.locks_.push_back(std::move(taken.lock));
    return std::move(taken.data);
  }

  // --- tmpfs

  void add_tmpfs(const ExecMount& mount) {
    // As runc has it: a folder of the image that is mounted over keeps its mode.
    auto covered = root_.resolve(mount.target);
    auto found = covered ? root_.lookup(*covered) : std::nullopt;
    const uint32_t mode = found && found->entry->type == TarType::Directory ? found->entry->mode : 01777;
    spec_.tmpfs_mounts.push_back({mount.target, mode, mount.size_bytes, mount.read_only});
  }

  // --- secret

  Result<void> add_secret(const ExecMount& mount) {
    auto content = TRY(read_secret(supplies_.confidences, mount.id));
    if (!content) {
      if (!mount.required) return {};
      return Error{Code::NotFound, "secret " + mount.id + ": not found", "give it with --secret id=" + mount.id + ",src=FILE or --secret id=" + mount.id + ",env=VARIABLE"};
    }
    if (!mount.env.empty()) {
      // Nothing of it may be in a message: said here rather than by who meets it later.
      if (!is_text(*content)) return Error{Code::Invalid, "secret " + mount.id + " is not text (UTF-8) and cannot be the variable " + mount.env, "mount it as a file: target=/run/secrets/" + mount.id};
      set_variable(spec_.environment, mount.env, *content);
    }
    if (!mount.target.empty()) spec_.memory_files.push_back({mount.target, std::move(*content), mount.mode, mount.uid, mount.gid});
    return {};
  }

  // --- ssh

  Result<void> add_agent(const ExecMount& mount) {
    auto agent = supplies_.confidences.agents.find(mount.id);
    if (agent == supplies_.confidences.agents.end()) {
      if (!mount.required) return {};
      return Error{Code::NotFound, "no ssh-agent \"" + mount.id + "\" is forwarded", "start one (ssh-agent, ssh-add) and give it with --ssh " + mount.id + (mount.id == "default" ? "" : "=SOCKET")};
    }
    TreeMount made;
    made.folder = next_scratch();
    made.source = "agent";
    made.target = mount.target;
    made.read_only = false;
    made.source_is_folder = false;
    TRY(make_directories(made.folder, 0700));
    auto relay = TRY(AgentRelay::start(agent->second, made.folder + "/agent", mount.mode, mount.uid, mount.gid).context("--ssh " + mount.id));
    done_.relays_.push_back(std::move(relay));
    spec_.tree_mounts.push_back(std::move(made));
    return {};
  }

  // --- cache

  struct WantedCache {
    MountStore::Cache cache;
    std::vector<const ExecMount*> mounts;
  };

  // In the order of their names, each once: two programs that want the same locked caches do not wait for each other.
  Result<void> add_caches(const ExecOp& op) {
    std::map<std::string, WantedCache> wanted;
    for (const ExecMount& mount : op.mounts) {
      if (mount.type != MountType::Cache) continue;
      MountStore::Cache cache = TRY(describe(mount).context("mounting on " + mount.target));
      std::string name = cache.name;
      auto [known, added] = wanted.try_emplace(std::move(name), WantedCache{std::move(cache), {}});
      known->second.mounts.push_back(&mount);
    }
    for (auto& [name, one] : wanted) {
      MountStore::Taken taken = TRY(supplies_.store.take_cache(one.cache, stop_));
      for (const ExecMount* mount : one.mounts) TRY(show_cache(*mount, taken.data).context("mounting on " + mount->target));
      done_.locks_.push_back(std::move(taken.lock));
    }
    return {};
  }

  // A cache is known by its id, by what it began as, and by who was to own it: with another of these it is another cache.
  Result<MountStore::Cache> describe(const ExecMount& mount) {
    KeyText name;
    name.add("cache").add(mount.id).add_number(mount.mode).add_number(mount.uid).add_number(mount.gid);
    MountStore::Cache cache{.name = "", .what = std::string(cut(mount.id, '/').second.value_or(mount.id)), .sharing = mount.sharing, .fill = {}};
    std::function<Result<void>(const std::string& data)> fill = [](const std::string&) { return Result<void>(); };
    if (mount.input) {
      name.add(mount.source);
      if (FileSource* context = inputs_.context(*mount.input)) {
        auto subtree = TRY(supplies_.subtrees.of(*context, mount.source, stop_));
        name.add(subtree->content_key());
        fill = [this, context, subtree](const std::string& data) { return fill_from(*context, *subtree, data); };
      } else {
        name.add(inputs_.chain_id(*mount.input));
        fill = [this, &mount](const std::string& data) -> Result<void> {
          Tree tree = TRY(inputs_.tree(*mount.input));
          auto folders = TRY(inputs_.folders(*mount.input));
          TreeSource source(std::move(tree), std::move(folders));
          Subtree subtree = TRY(Subtree::list(source, mount.source, stop_));
          return fill_from(source, subtree, data);
        };
      }
    }
    cache.name = name.digest();
    cache.fill = [&mount, fill](const std::string& data) -> Result<void> {
      TRY(fill(data));
      // With one id nobody else can own it.
      if (::chown(data.c_str(), mount.uid, mount.gid) != 0 && !single_id_namespace()) return errno_error("setting the owner of a cache");
      if (::chmod(data.c_str(), mount.mode) != 0) return errno_error("setting the mode of a cache");
      return {};
    };
    return cache;
  }

  Result<void> fill_from(FileSource& source, const Subtree& subtree, const std::string& data) {
    if (!subtree.is_folder()) return Error{Code::Invalid, "\"/" + subtree.top() + "\" is no folder, which a cache has to begin as"};
    return update_copy(source, subtree, {}, data, stop_);
  }

  Result<void> show_cache(const ExecMount& mount, const std::string& data) {
    TreeMount made;
    made.folder = data;
    // With from=, source says what of that the cache begins as; without, what of the cache is shown.
    if (!mount.input) made.source = mount.source;
    made.target = mount.target;
    made.read_only = mount.read_only;
    Fd folder = TRY(open_file(data, O_PATH | O_DIRECTORY));
    auto shown = open_in_root(folder.get(), made.source.empty() ? "." : made.source, O_PATH);
    if (!shown.ok() && shown.error().code == Code::NotFound) return missing(made.source).with_hint("source= is looked up in the cache itself: a RUN before this one has to make it");
    struct stat st = {};
    if (!shown.ok()) return std::move(shown).error();
    if (::fstat(shown->get(), &st) != 0) return errno_error("looking at " + made.source);
    made.source_is_folder = S_ISDIR(st.st_mode);
    spec_.tree_mounts.push_back(std::move(made));
    return {};
  }

  const MountInputs& inputs_;
  const MountSupplies& supplies_;
  const Tree& root_;
  const std::string scratch_;
  RunSpec& spec_;
  std::stop_token stop_;
  size_t next_ = 0;
  ExecMounts done_;
};

Result<ExecMounts> ExecMounts::add(const ExecOp& op, const MountInputs& inputs, const MountSupplies& supplies, const Tree& root, const std::string& scratch,
                                   RunSpec& spec, std::stop_token stop) {
  return Adding(inputs, supplies, root, scratch, spec, std::move(stop)).run(op);
}

Result<void> remove_mount_stubs(const std::string& upper_dir, const Tree& root, const std::vector<ExecMount>& mounts) {
  std::vector<std::string> stubs;
  for (const ExecMount& mount : mounts) {
    if (mount.target.empty()) continue;
    for (std::string path = root.resolve_for_create(mount.target); !path.empty() && !root.lookup(path); path = parent_of(path)) stubs.push_back(path);
  }
  // What is deeper first; each once.
  std::sort(stubs.begin(), stubs.end(), [](const std::string& a, const std::string& b) { return path_less(b, a); });
  stubs.erase(std::unique(stubs.begin(), stubs.end()), stubs.end());
  Fd upper = TRY(open_file(upper_dir, O_RDONLY | O_DIRECTORY));
  for (const std::string& path : stubs) {
    Fd parent(open_beneath(upper.get(), parent_of(path), O_RDONLY | O_DIRECTORY));
    const std::string name(name_of(path));
    struct stat st = {}, above = {};
    if (!parent || ::fstat(parent.get(), &above) != 0 || ::fstatat(parent.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    const bool empty_file = S_ISREG(st.st_mode) && st.st_size == 0;
    // A folder that is not empty stays by itself.
    if (!S_ISDIR(st.st_mode) && !empty_file) continue;
    if (::unlinkat(parent.get(), name.c_str(), empty_file ? 0 : AT_REMOVEDIR) != 0) continue;
    timespec times[2] = {{0, UTIME_OMIT}, above.st_mtim};
    (void)::futimens(parent.get(), times);
  }
  return {};
}

Result<std::string> mounts_key(const ExecOp& op, size_t input_count, const MountInputs& inputs, Subtrees& subtrees, std::stop_token stop) {
  KeyText key;
  for (size_t i = 0; i < input_count; ++i) {
    FileSource* context = inputs.context(i);
    if (!context) key.add("state").add(inputs.chain_id(i));
    for (const ExecMount& mount : op.mounts) {
      if (!context || mount.input != i) continue;
      auto subtree = TRY(subtrees.of(*context, mount.source, stop));
      key.add("files").add(subtree->content_key());
    }
  }
  return key.digest();
}

}  // namespace archway::build
