#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "build/file_source.h"
#include "build/graph.h"
#include "build/remote_files.h"
#include "dockerfile/ignore.h"
#include "snapshot/layer_writer.h"

// COPY and ADD (builder.md 3.6): which files are meant, and what they become in the layer.
namespace archway::build {

struct Owner { uint32_t uid = 0, gid = 0; };

class CopyFiles {
 public:
  // `source` may be null where the operation has inline files only. All are borrowed. `now` is of folders that come into being.
  CopyFiles(const CopyOp& op, FileSource* source, Time now, std::stop_token stop) : op_(op), source_(source), now_(now), stop_(std::move(stop)) {}

  // A digest over all that the operation takes: names, metadata and bytes of the files, but no times, so that a fresh
  // checkout hits the cache. NotFound where a source without wildcards is not there.
  Result<std::string> selection_digest();
  // What ADD of URLs takes them from, and who is told of it; borrowed. Without, there must be no URL.
  void fetch_with(RemoteFiles* remotes, ProgressTask* task) { remotes_ = remotes, task_ = task; }
  // Puts everything into the layer. `scratch_dir` is for archives that must be unpacked first.
  Result<void> put(LayerWriter& layer, const std::optional<Owner>& owner, const std::string& scratch_dir);

 private:
  struct Filters {
    std::optional<dockerfile::IgnoreMatcher> include, exclude;
  };
  struct Match {
    std::string name;  // as written or found by a wildcard; its last component names the copy
    std::string path;  // resolved
  };
  struct Visit;
  Result<std::vector<Match>> matches(const std::string& pattern);
  Result<std::vector<std::string>> expand_wildcards(const std::string& pattern);
  Result<void> walk_matching(const std::string& base, const std::string& relative, const std::string& pattern, std::vector<std::string>& found);
  Result<std::pair<std::string, Filters>> filters_for(const std::string& source);
  Result<void> digest_match(const Match& match, const Filters& filters, Hasher& hasher);
  Result<void> put_source(LayerWriter& layer, const std::string& source, const std::optional<Owner>& owner, const std::string& scratch_dir);
  Result<void> put_match(LayerWriter& layer, const Match& match, const Filters& filters, const std::optional<Owner>& owner);
  Result<void> put_inline(LayerWriter& layer, const CopyOp::Inline& file, const std::optional<Owner>& owner);
  Result<void> put_remote(LayerWriter& layer, const CopyOp::Remote& remote, const std::optional<Owner>& owner);
  Result<bool> put_archive(LayerWriter& layer, const Match& match, const std::optional<Owner>& owner, const std::string& scratch_dir);
  TreeEntry parent_like(const std::optional<Owner>& owner) const;
  Result<std::string> prepare_target(LayerWriter& layer, const std::string& name, bool folder, const std::optional<Owner>& owner);

  const CopyOp& op_;
  FileSource* source_;
  Time now_;
  std::stop_token stop_;
  RemoteFiles* remotes_ = nullptr;
  ProgressTask* task_ = nullptr;
};

// The owner that --chown (or USER, for WORKDIR) names, by the /etc/passwd and /etc/group that `read` gives ("" where absent; it bounds their size). As BuildKit does: an
// unknown name is 0; a number alone is its own group; a name alone has its primary group.
Result<Owner> resolve_owner(std::string_view text, const std::function<Result<std::string>(const std::string& path)>& read);

}  // namespace archway::build
