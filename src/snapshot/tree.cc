#include "snapshot/tree.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "snapshot/path_walk.h"

namespace archway {

namespace {

const TreeEntry kImpliedFolder{.type = TarType::Directory, .mode = 0755};

bool contains(const std::vector<std::string>& sorted, std::string_view path) {
  return !sorted.empty() && std::binary_search(sorted.begin(), sorted.end(), path, PathOrder());
}

// One layer's part in a folder: the range of its entries, and of its whiteouts, that lie inside of it.
struct Part {
  size_t layer;
  size_t begin, end;
  size_t whiteouts_begin, whiteouts_end;
  bool empty() const { return begin == end && whiteouts_begin == whiteouts_end; }
};

// In path order what lies in a folder is one range: from just after the folder to the first path that is not below it.
template <class Range, class PathOf>
std::pair<size_t, size_t> range_below(const Range& range, size_t begin, size_t end, std::string_view folder, const PathOf& path_of) {
  auto first = range.begin() + static_cast<ptrdiff_t>(begin), last = range.begin() + static_cast<ptrdiff_t>(end);
  auto low = std::partition_point(first, last, [&](const auto& item) { return path_less(path_of(item), folder) || path_of(item) == folder; });
  auto high = std::partition_point(low, last, [&](const auto& item) { return lies_below(path_of(item), folder); });
  return {static_cast<size_t>(low - range.begin()), static_cast<size_t>(high - range.begin())};
}

const std::string& entry_path(const std::pair<std::string, TreeEntry>& entry) { return entry.first; }
const std::string& plain_path(const std::string& path) { return path; }

const TreeEntry* find_within(const LayerIndex& index, size_t begin, size_t end, std::string_view path) {
  auto last = index.entries.begin() + static_cast<ptrdiff_t>(end);
  auto at = std::lower_bound(index.entries.begin() + static_cast<ptrdiff_t>(begin), last, path,
                             [](const auto& entry, std::string_view wanted) { return path_less(entry.first, wanted); });
  if (at == last || at->first != path) return nullptr;
  return &at->second;
}

// Goes down a stack of layers folder by folder, keeping only those layers that have something in the folder it is in.
class Descent {
 public:
  explicit Descent(const std::vector<std::shared_ptr<const LayerIndex>>& layers) : layers_(layers) {
    parts_.reserve(layers.size());
    for (size_t i = layers.size(); i-- > 0;) {  // topmost first
      const LayerIndex& index = *layers[i];
      size_t begin = !index.entries.empty() && index.entries.front().first.empty() ? 1 : 0;  // the root itself is not in the root
      parts_.push_back({i, begin, index.entries.size(), 0, index.whiteouts.size()});
      if (contains(index.opaque, "")) break;
    }
  }

  // Goes into the folder `path`, which lies directly in the one we are in; false where that is none.
  bool enter(std::string_view path) {
    size_t kept = 0;
    bool is_folder = false;
    for (Part part : parts_) {
      const LayerIndex& index = *layers_[part.layer];
      const TreeEntry* entry = find_within(index, part.begin, part.end, path);
      if (entry && entry->type != TarType::Directory) break;  // hides, or is hidden by, what else there is
      std::tie(part.begin, part.end) = range_below(index.entries, part.begin, part.end, path, entry_path);
      bool whited_out = whiteout_of(index, part, path);
      is_folder = is_folder || entry || !part.empty();  // a whiteout inside needs the folder, too
      if (!part.empty()) parts_[kept++] = part;
      if (whited_out || contains(index.opaque, path)) break;
    }
    parts_.resize(kept);
    return is_folder;
  }

  std::vector<std::string> names(std::string_view folder) const {
    std::map<std::string_view, bool> visible;  // the topmost word on each name
    size_t skip = folder.empty() ? 0 : folder.size() + 1;
    for (const Part& part : parts_) {
      const LayerIndex& index = *layers_[part.layer];
      for (size_t i = part.begin; i < part.end;) {
        std::string_view path = index.entries[i].first;
        std::string_view child = path.substr(0, std::min(path.find('/', skip), path.size()));
        visible.emplace(child.substr(skip), true);
        i = i + 1 < part.end && lies_below(index.entries[i + 1].first, child) ? range_below(index.entries, i, part.end, child, entry_path).second : i + 1;
      }
      for (size_t i = part.whiteouts_begin; i < part.whiteouts_end; i++) {
        std::string_view path = index.whiteouts[i];
        size_t slash = path.find('/', skip);  // one further down implies a folder here
        visible.emplace(path.substr(skip, slash == std::string_view::npos ? slash : slash - skip), slash != std::string_view::npos);
      }
    }
    std::vector<std::string> out;
    for (const auto& [name, is_visible] : visible) {
      if (is_visible) out.emplace_back(name);
    }
    return out;
  }

 private:
  static bool whiteout_of(const LayerIndex& index, Part& part, std::string_view path) {
    if (part.whiteouts_begin == part.whiteouts_end) return false;
    auto first = index.whiteouts.begin() + static_cast<ptrdiff_t>(part.whiteouts_begin);
    auto last = index.whiteouts.begin() + static_cast<ptrdiff_t>(part.whiteouts_end);
    bool is_one = std::binary_search(first, last, path, PathOrder());
    std::tie(part.whiteouts_begin, part.whiteouts_end) = range_below(index.whiteouts, part.whiteouts_begin, part.whiteouts_end, path, plain_path);
    return is_one;
  }

  const std::vector<std::shared_ptr<const LayerIndex>>& layers_;
  std::vector<Part> parts_;
};

// Is `path`, or a folder it is in, listed? With `root`, also if the root is.
bool covers(const std::vector<std::string>& sorted, std::string_view path, bool root) {
  if (sorted.empty()) return false;
  for (; !path.empty(); path = parent_of(path)) {
    if (contains(sorted, path)) return true;
  }
  return root && contains(sorted, path);
}

// What one layer has to say about a path, for the price of one binary search: in path order, all that decides it are neighbours.
struct Word {
  const std::pair<std::string, TreeEntry>* item = nullptr;  // an entry of that name
  bool implied = false;  // no entry, but something lies below it
  bool hides = false;    // whatever the layers below say does not count
};
Word ask(const LayerIndex& index, std::string_view path) {
  Word word;
  auto at = std::lower_bound(index.entries.begin(), index.entries.end(), path, [](const auto& entry, std::string_view wanted) { return path_less(entry.first, wanted); });
  if (at != index.entries.end() && at->first == path) {
    word.item = &*at;
    return word;
  }
  word.implied = at != index.entries.end() && lies_below(at->first, path);
  if (!word.implied && !index.whiteouts.empty()) {
    auto whiteout = std::upper_bound(index.whiteouts.begin(), index.whiteouts.end(), path, PathOrder());
    word.implied = whiteout != index.whiteouts.end() && lies_below(*whiteout, path);
  }
  // Nothing lies below a file; so if one stands where a parent of ours should, it comes right before us.
  bool below_file = at != index.entries.begin() && std::prev(at)->second.type != TarType::Directory && lies_below(path, std::prev(at)->first);
  word.hides = below_file || covers(index.whiteouts, path, false) || covers(index.opaque, path, true);
  return word;
}

}  // namespace

const TreeEntry* LayerIndex::find(std::string_view path) const {
  return find_within(*this, 0, entries.size(), path);
}

Tree Tree::with(std::shared_ptr<const LayerIndex> layer) const {
  Tree out = *this;
  out.layers_.push_back(std::move(layer));
  return out;
}

std::optional<Tree::Found> Tree::lookup(std::string_view path) const {
  if (path.empty()) {
    for (size_t i = layers_.size(); i-- > 0;) {
      if (const TreeEntry* root = layers_[i]->find("")) return Found{root, i, {}};
    }
    return Found{&kImpliedFolder, 0, {}};
  }
  std::optional<Found> found;
  for (size_t i = layers_.size(); i-- > 0;) {
    Word word = ask(*layers_[i], path);
    if (word.item) {
      // A folder that a layer above only implies has this one's metadata; a file is hidden by it.
      if (!found || word.item->second.type == TarType::Directory) found = Found{&word.item->second, i, word.item->first};
      break;
    }
    if (word.implied && !found) found = Found{&kImpliedFolder, i, {}};
    if (word.hides) break;
  }
  if (!found || found->entry->type != TarType::Hardlink) return found;
  // index_tar has followed chains, so a link leads to a file of its own layer - or, in layers that were made on top of a
  // mounted tree, to one of a lower layer.
  if (const TreeEntry* target = layers_[found->layer]->find(found->entry->link)) {
    if (target->type == TarType::Hardlink || target->type == TarType::Directory) return std::nullopt;
    return Found{target, found->layer, found->entry->link};
  }
  Tree below;
  below.layers_.assign(layers_.begin(), layers_.begin() + static_cast<ptrdiff_t>(found->layer));
  auto target = below.lookup(found->entry->link);
  if (!target || target->entry->type == TarType::Directory) return std::nullopt;
  return target;
}

std::optional<std::string> Tree::resolve(std::string_view path, bool follow_last) const {
  auto walked = walk_path([this](std::string_view at) { auto found = lookup(at); return found ? found->entry : nullptr; }, path, follow_last);
  if (!walked || !walked->complete) return std::nullopt;
  return std::move(walked->path);
}

std::string Tree::resolve_for_create(std::string_view path) const {
  auto walked = walk_path([this](std::string_view at) { auto found = lookup(at); return found ? found->entry : nullptr; }, path, true);
  if (walked) return std::move(walked->path);
  return canonical_path(path).value_or(std::string());  // a loop of symlinks: creating there fails anyway
}

std::vector<std::string> Tree::children(std::string_view path) const {
  Descent descent(layers_);
  for (size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    if (!descent.enter(path.substr(0, end))) return {};
  }
  return descent.names(path);
}

}  // namespace archway
