#include "verify/entry.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "verify/rules.h"

namespace archway {

namespace {

constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";  // docker's
constexpr size_t kMaxPathFolders = 256;
constexpr size_t kMaxShownBytes = 200;

// What an image says may be megabytes.
std::string shortened(std::string_view text) { return std::string(text.substr(0, kMaxShownBytes)) + (text.size() > kMaxShownBytes ? "…" : ""); }

class Follower {
 public:
  Follower(const MergedTree& tree, const ImageConfig& config, const Platform& declared) : tree_(tree), config_(config), declared_(declared) {}

  EntryPoint follow() {
    std::vector<std::string> words = config_.entrypoint.value_or(std::vector<std::string>());
    if (config_.cmd) words.insert(words.end(), config_.cmd->begin(), config_.cmd->end());
    for (int launches = 0; !words.empty() && launches < kMaxLaunches; ++launches) {
      if (!start(words)) break;
      Launch next = launched_by(words);
      guessed_ = guessed_ || next.guessed;
      words = std::move(next.words);
      what_ = guessed_ ? "what the shell starts" : "what " + shortened(what_name_) + " starts";
    }
    return std::move(out_);
  }

 private:
  using How = MergedTree::Found::How;

  // True where the program and all that loads it are there and for the declared platform.
  bool start(const std::vector<std::string>& words) {
    what_name_ = words[0];
    std::string path = looked_up(words[0]);
    if (path.empty()) {
      report("entrypoint-missing", "/" + shortened(words[0]), 0, what_ + " is \"" + shortened(words[0]) + "\", which is in none of the folders of PATH");
      return false;
    }
    return run(path, what_, "entrypoint-missing");
  }

  // execve(2) of `path`. `missing` is the rule where it is not there.
  bool run(std::string path, std::string what, std::string missing) {
    for (int interpreters = 0;; ++interpreters) {
      auto found = file_at(path, missing, what);
      if (!found) return false;
      const MergedTree::Node& node = tree_.node(*found);
      std::string real = tree_.path_of(*found);
      if (!node.entry->executable) {
        out_.chain.push_back(arrow(path, real));
        report("entrypoint-not-executable", real, node.layer, what + " has no permission to be executed");
        return false;
      }
      if (!node.entry->program) {
        out_.chain.push_back(arrow(path, real));
        report("entrypoint-format", real, node.layer, what + " is neither an ELF program nor a script with a #! line, so the kernel does not run it");
        return false;
      }
      const Program& program = *node.entry->program;
      if (program.format != Program::Format::Script) return run_program(program, path, real, node, what);
      out_.chain.push_back(arrow(path, real) + " (#!" + shortened(program.script.interpreter) + (program.script.argument.empty() ? "" : " " + program.script.argument) + ")");
      if (interpreters == kMaxInterpreters) {
        report("entrypoint-loop", real, node.layer, what + " is a script run by a script, more than " + std::to_string(kMaxInterpreters) + " deep");
        return false;
      }
      if (program.script.interpreter.ends_with('\r') || program.script.argument.ends_with('\r')) {
        report("interpreter-missing", real, node.layer, "its first line ends in CR LF, so the kernel looks for an interpreter whose name ends in a carriage return");
        return false;
      }
      // env is asked for one program; it, too, must be there.
      if (Launch next = launched_by(script_words(program.script)); !next.guessed && !next.words.empty()) {
        std::string why = "the interpreter of " + real;
        if (!run(from_working_dir(program.script.interpreter), why, "interpreter-missing")) return false;
        std::string target = looked_up(next.words[0]);
        if (target.empty()) {
          report("interpreter-missing", real, node.layer, "its first line asks for \"" + shortened(next.words[0]) + "\", which is in none of the folders of PATH");
          return false;
        }
        path = std::move(target);
      } else {
        path = from_working_dir(program.script.interpreter);
      }
      what = "the interpreter of " + real;
      missing = "interpreter-missing";
    }
  }

  bool run_program(const Program& program, const std::string& path, const std::string& real, const MergedTree::Node& node, const std::string& what) {
    if (program.format != Program::Format::Elf) {
      out_.chain.push_back(arrow(path, real));
      report("entrypoint-format", real, node.layer, what + (program.format == Program::Format::MachO ? " is a program for macOS (Mach-O)" : " is a program for Windows (PE)"));
      return false;
    }
    out_.chain.push_back(arrow(path, real) + " (" + described(program.elf) + ")");
    if (!fits(program, real, node, what)) return false;
    if (program.interpreter.empty()) return true;
    auto loader = file_at(from_working_dir(program.interpreter), "loader-missing", "the loader of " + real);
    if (!loader) return false;
    const MergedTree::Node& loader_node = tree_.node(*loader);
    std::string loader_real = tree_.path_of(*loader);
    std::string step = arrow(program.interpreter, loader_real);
    const Program* loaded = loader_node.entry->program.get();
    if (!loaded || loaded->format != Program::Format::Elf) {
      out_.chain.push_back(step);
      report("loader-machine", loader_real, loader_node.layer, "the loader of " + real + " is no ELF file");
      return false;
    }
    out_.chain.push_back(step + " (" + described(loaded->elf) + ")");
    if (loaded->elf.machine == program.elf.machine && loaded->elf.elf_class == program.elf.elf_class && loaded->elf.data == program.elf.data) return true;
    report("loader-machine", loader_real, loader_node.layer, "the loader of " + real + " is for " + described(loaded->elf) + ", the program is for " + described(program.elf));
    return false;
  }

  // amd64 runs 386 wherever containers run; that an arm64 processor runs 32-bit arm is luck.
  bool fits(const Program& program, const std::string& real, const MergedTree::Node& node, const std::string& what) {
    Fit fit = fit_of(declared_, program.elf);
    if (fit == Fit::Same) return true;
    bool runs = fit == Fit::Companion && declared_.architecture != "arm64";
    report("entrypoint-machine", real, node.layer, what + " is for " + described(program.elf) + ", not for " + declared_.str(), runs ? Severity::Note : Severity::Error);
    return runs;
  }

  std::optional<MergedTree::Id> file_at(const std::string& path, const std::string& rule, const std::string& what) {
    MergedTree::Found found = tree_.resolve(path);
    if (found.how == How::Loop) {
      out_.chain.push_back(shortened(path));
      report("entrypoint-loop", shortened(path), tree_.node(found.id).layer, what + " is a loop of symlinks");
      return std::nullopt;
    }
    if (found.how == How::Missing) {
      out_.chain.push_back(shortened(path) + " (missing)");
      report(rule, shortened(path), 0, what + " is not in the image");
      return std::nullopt;
    }
    const MergedTree::Node& node = tree_.node(found.id);
    if (node.is_folder() || node.entry->kind != LayerEntry::Kind::File) {
      out_.chain.push_back(arrow(path, tree_.path_of(found.id)));
      report(rule, tree_.path_of(found.id), node.layer, what + (node.is_folder() ? " is a folder" : " is no regular file"));
      return std::nullopt;
    }
    return found.id;
  }

  std::string from_working_dir(std::string_view path) const {
    if (path.starts_with('/')) return std::string(path);
    std::string dir = config_.working_dir.empty() ? "/" : config_.working_dir;
    return (dir.starts_with('/') ? "" : "/") + dir + (dir.ends_with('/') ? "" : "/") + std::string(path);
  }

  // As execvp(3) and the runtimes do: names without a slash are looked for in PATH. "" where there is none.
  std::string looked_up(const std::string& name) const {
    if (name.find('/') != name.npos) return from_working_dir(name);
    if (name.empty()) return "";
    std::string storage;
    const std::string* path = config_.env_value("PATH", storage);
    std::vector<std::string> folders = split(path ? std::string_view(*path) : kDefaultPath, ':');
    folders.resize(std::min(folders.size(), kMaxPathFolders));
    std::string not_executable;
    for (const std::string& folder : folders) {
      std::string candidate = from_working_dir(folder) + "/" + name;
      MergedTree::Found found = tree_.resolve(candidate);
      if (found.how != How::Found) continue;
      const MergedTree::Node& node = tree_.node(found.id);
      if (node.is_folder() || node.entry->kind != LayerEntry::Kind::File) continue;
      if (node.entry->executable) return candidate;
      if (not_executable.empty()) not_executable = candidate;
    }
    return not_executable;
  }

  static std::vector<std::string> script_words(const Script& script) {
    std::vector<std::string> words = {script.interpreter};
    if (!script.argument.empty()) words.push_back(script.argument);
    return words;
  }

  static std::string arrow(const std::string& path, const std::string& real) { return path == real ? real : shortened(path) + " -> " + real; }

  void report(std::string rule, std::string path, size_t layer, std::string message, Severity severity = Severity::Error) {
    // A shell's command may test for a file before it uses it.
    if (guessed_ && rule != "entrypoint-machine" && rule != "loader-machine") severity = Severity::Note;
    out_.findings.push_back({.severity = severity, .rule = std::move(rule), .platform = declared_, .path = std::move(path), .layer_number = layer, .message = std::move(message)});
  }

  const MergedTree& tree_;
  const ImageConfig& config_;
  const Platform& declared_;
  std::string what_ = "the entry point", what_name_;
  bool guessed_ = false;
  EntryPoint out_;
};

}  // namespace

EntryPoint follow_entry_point(const MergedTree& tree, const ImageConfig& config, const Platform& declared) { return Follower(tree, config, declared).follow(); }

}  // namespace archway
