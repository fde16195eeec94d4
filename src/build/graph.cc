#include "build/graph.h"

#include "base/hash.h"

namespace archway::build {

KeyText& KeyText::add(std::string_view part) {
  text_ += std::to_string(part.size());
  text_ += ':';
  text_ += part;
  return *this;
}

KeyText& KeyText::add(const std::vector<std::string>& parts) {
  add_number(static_cast<int64_t>(parts.size()));
  for (const std::string& part : parts) add(part);
  return *this;
}

std::string KeyText::digest() const { return sha256_hex(text_); }

std::string State::chain_id() const {
  if (layers.empty()) return "";
  KeyText key;
  for (const Layer& layer : layers) key.add(layer.diff_id.str());
  return key.digest();
}

namespace {

struct Describe {
  KeyText& key;

  void operator()(const ScratchOp&) { key.add("scratch"); }
  void operator()(const BaseOp& op) {
    // Two images with the same layers are the same root, whatever their configuration says.
    key.add("base");
    for (const Layer& layer : op.image->layers) key.add(layer.diff_id.str()).add(layer.blob.digest.str());
  }
  void operator()(const LocalOp& op) { key.add("local").add(op.name); }
  void operator()(const CopyOp& op) {
    key.add("copy").add(op.sources).add_number(static_cast<int64_t>(op.inline_files.size()));
    for (const CopyOp::Inline& file : op.inline_files) key.add(file.name).add(file.data);
    key.add(op.destination).add(op.chown).add(op.chmod).add(op.excludes);
    key.add_number(op.parents).add_number(op.link).add_number(op.unpack);
    for (const CopyOp::Remote& remote : op.remotes) key.add("remote").add(remote.url).add(remote.name).add(remote.checksum);
  }
  void operator()(const WorkdirOp& op) { key.add("workdir").add(op.path).add(op.user); }
  void operator()(const ExecOp& op) {
    key.add("exec").add(op.arguments).add(op.environment).add(op.working_directory).add(op.user).add(op.network);
    key.add(op.script ? op.script->first : "").add(op.script ? op.script->second : "");
    key.add(op.platform.str());
    // Not even their number where there are none: what was built before there were mounts stays known.
    for (const ExecMount& mount : op.mounts) add_mount(mount);
  }
  // Of a secret and an agent only what the Dockerfile says: what they hold is in no key.
  void add_mount(const ExecMount& mount) {
    key.add("mount").add_number(static_cast<int64_t>(mount.type)).add(mount.target).add(mount.source);
    key.add_number(mount.input ? static_cast<int64_t>(*mount.input) : -1).add_number(mount.read_only);
    key.add(mount.id).add_number(static_cast<int64_t>(mount.sharing));
    key.add_number(mount.mode).add_number(mount.uid).add_number(mount.gid).add_number(static_cast<int64_t>(mount.size_bytes));
    key.add_number(mount.required).add(mount.env);
  }
};

}  // namespace

std::string operation_key(const Node& node) {
  KeyText key;
  std::visit(Describe{key}, node.op);
  return key.digest();
}

std::vector<NodeId> Node::inputs() const {
  std::vector<NodeId> all = mounts;
  for (std::optional<NodeId> one : {parent, source}) {
    if (one) all.push_back(*one);
  }
  return all;
}

NodeId Graph::add(Node node) {
  KeyText key;
  key.add(operation_key(node));
  key.add(node.parent ? nodes_[*node.parent].digest : "");
  key.add(node.source ? nodes_[*node.source].digest : "");
  for (NodeId mount : node.mounts) key.add(nodes_[mount].digest);
  key.add_number(node.ignore_cache);
  node.digest = key.digest();
  auto [found, added] = by_digest_.try_emplace(node.digest, nodes_.size());
  if (added) nodes_.push_back(std::move(node));
  return found->second;
}

}  // namespace archway::build
