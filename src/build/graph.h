#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "dockerfile/instructions.h"
#include "dockerfile/run_mount.h"
#include "image/config.h"
#include "image/content.h"

// What a build is made of: one graph for all platforms. A node is named by a digest over what it does and over its inputs' digests, so
// that equal work - a stage on the build platform, a COPY onto equal parents - is one node and runs once.
namespace archway::build {

using NodeId = size_t;

// A layer of an image, built or of a base.
struct Layer {
  Digest diff_id;
  Descriptor blob;                     // what it is in a registry
  std::shared_ptr<Provider> provider;  // where the blob is
  std::optional<Time> created = {};
};

// What a node results in: a root file system as layers, bottom first.
struct State {
  std::vector<Layer> layers;
  std::string chain_id() const;  // a digest of the diff_ids; "" for scratch
};

// A resolved FROM.
struct BaseImage {
  std::string name;          // for people: "docker.io/library/debian:12@sha256:..."
  Digest manifest;
  ImageConfig config;
  std::vector<Layer> layers;
};

// --- Operations. All text is expanded, all paths absolute.

struct ScratchOp {};
struct BaseOp { std::shared_ptr<const BaseImage> image; };
// A folder of files that COPY may take from: the build context or a named one. `name` is "context" or the named context's.
struct LocalOp { std::string name; };

struct CopyOp {
  struct Inline { std::string name; std::string data; };
  struct Remote {
    std::string url, name;            // http or https; what the file will be called
    std::string checksum;             // "sha256:...", or ""
  };
  std::vector<std::string> sources;   // normalised, with wildcards; relative to the source's root
  std::vector<Inline> inline_files;
  std::vector<Remote> remotes;        // ADD of URLs; copied after the sources
  std::string destination;            // a trailing slash, or "/." , means "into this folder"
  std::string chown, chmod;
  std::vector<std::string> excludes;
  bool parents = false;
  bool link = false;
  bool unpack = false;                // ADD of a local archive
};
struct WorkdirOp {
  std::string path;
  std::string user;                   // owner of what is created
};
// RUN --mount: what a program finds at `target` while it runs. Nothing of it gets into the layer.
struct ExecMount {
  dockerfile::MountType type = dockerfile::MountType::Bind;
  std::string target;                // absolute and clean, below "/"; "": a secret that is a variable only
  std::string source;                // bind, cache: inside what is mounted; clean, "" is all of it
  std::optional<size_t> input = {};  // bind, and a cache's first content: an index into Node::mounts
  bool read_only = true;
  std::string id;                    // cache, secret, ssh
  dockerfile::CacheSharing sharing = dockerfile::CacheSharing::Shared;
  uint32_t mode = 0, uid = 0, gid = 0;  // cache: of its top folder; secret, ssh: of the file
  uint64_t size_bytes = 0;           // tmpfs; 0: no limit
  bool required = false;             // secret, ssh
  std::string env = {};              // secret: the variable that gets it; "": none does
};
struct ExecOp {
  std::vector<std::string> arguments;
  std::vector<std::string> environment;       // "K=V", part of the key
  std::vector<std::string> proxy_environment; // given to the program, not part of the key
  std::string working_directory;
  std::string user;
  std::string network;                        // "", "none", "host", "default"
  std::optional<std::pair<std::string, std::string>> script;  // heredoc with #!: file name below /dev/pipes, content
  Platform platform;
  std::vector<ExecMount> mounts = {};         // by target, parents first
};

struct Node {
  std::variant<ScratchOp, BaseOp, LocalOp, CopyOp, WorkdirOp, ExecOp> op;
  std::optional<NodeId> parent = {};   // the state that it changes
  std::optional<NodeId> source = {};   // COPY: where from; a LocalOp or any state
  std::vector<NodeId> mounts = {};     // RUN: what its mounts show; LocalOps or any states
  std::string digest = {};             // by definition; equal nodes are one
  std::string name = {};               // for progress: "[linux/arm64 2/4] RUN make"
  dockerfile::Location where = {};
  bool ignore_cache = false;
  std::vector<NodeId> inputs() const;  // all of parent, source and mounts
};

class Graph {
 public:
  // Adds a node, or returns the equal one. Computes its digest.
  NodeId add(Node node);
  const Node& operator[](NodeId id) const { return nodes_[id]; }
  size_t size() const { return nodes_.size(); }

 private:
  std::vector<Node> nodes_;
  std::map<std::string, NodeId> by_digest_;
};

// Parts of a key: each with its length, so that no two lists of parts are the same text.
class KeyText {
 public:
  KeyText& add(std::string_view part);
  KeyText& add(const std::vector<std::string>& parts);
  KeyText& add_number(int64_t number) { return add(std::to_string(number)); }
  std::string digest() const;  // sha256, hex

 private:
  std::string text_;
};
// What the operation is, apart from its inputs; the base of node digests and of cache keys.
std::string operation_key(const Node& node);

// One platform's result of lowering: the node that is its root file system, and its configuration but for times and diff_ids.
struct TargetImage {
  Platform platform;
  NodeId root;
  ImageConfig config;          // history holds the base's entries and ours, ours without times
  size_t base_history = 0;     // how many of the history entries came with the base
};

}  // namespace archway::build
