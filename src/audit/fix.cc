#include "audit/fix.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>

#include "audit/dockerfile_edit.h"
#include "audit/file_kind.h"
#include "audit/yaml_fix.h"

namespace archway::audit {

namespace {

// The same remedy for the same bytes, asked for by two findings, is one.
std::vector<Request> without_repeats(const std::vector<Request>& requests) {
  using Key = std::tuple<uint32_t, uint32_t, Remedy::Kind, std::string_view, std::string_view, std::string>;
  std::set<Key> known;
  std::vector<Request> unique;
  for (const Request& request : requests) {
    const Remedy& remedy = request.finding->remedy;
    if (remedy.kind == Remedy::Kind::None) continue;
    std::string platforms;
    for (const Platform& platform : remedy.platforms) platforms += platform.str() + " ";
    if (known.emplace(request.place->begin, request.place->end, remedy.kind, request.place->path, remedy.replacement, std::move(platforms)).second) unique.push_back(request);
  }
  return unique;
}

// Edits of a text that is no YAML.
class PlainFix {
 public:
  PlainFix(FileFix& fix, bool dockerfile) : fix_(fix), dockerfile_(dockerfile) {}

  // All together, else each as long as it gets along with the ones before.
  void run(const std::vector<Request>& requests) {
    std::vector<Wanted> wanted;
    for (const Request& request : requests) {
      auto made = dockerfile_ ? edit_dockerfile(fix_.before, request) : edit_plain_text(fix_.before, request);
      if (!made.ok()) {
        fix_.refused.push_back(refusal(request, made.error()));
      } else if (!made->empty()) {
        wanted.push_back({request, std::move(*made)});
      }
    }
    if (wanted.empty() || add(wanted).ok()) return;
    for (const Wanted& each : wanted) {
      auto added = add({each});
      if (!added.ok()) fix_.refused.push_back(refusal(each.request, added.error()));
    }
  }

 private:
  struct Wanted {
    Request request;
    std::vector<Edit> edits;
  };

  Result<void> add(const std::vector<Wanted>& wanted) {
    std::vector<Edit> together = edits_;
    for (const Wanted& each : wanted) together.insert(together.end(), each.edits.begin(), each.edits.end());
    std::vector<Edit> once = together;
    if (dockerfile_) declare_once(fix_.before, once, fix_.source);
    std::string after = TRY(apply_edits(fix_.before, once));
    if (dockerfile_) TRY(check_dockerfile(fix_.before, once, after, fix_.source));
    fix_.after = std::move(after);
    edits_ = std::move(together);
    for (const Wanted& each : wanted) fix_.applied.push_back(application(each.request));
    return {};
  }

  FileFix& fix_;
  bool dockerfile_;
  std::vector<Edit> edits_;
};

// What lets a pod onto other nodes presumes that its images run there.
bool lets_onto_nodes(const Request& request) {
  Remedy::Kind kind = request.finding->remedy.kind;
  return kind == Remedy::Kind::DropArchSelector || kind == Remedy::Kind::WidenArchSelector || kind == Remedy::Kind::AddToleration;
}

// Does it rest on an image's new tag or digest that could not be written? `refused`: objects with such an image.
std::set<std::string, std::less<>> objects_with_refused_images(const FileFix& fix, const std::vector<Request>& requests) {
  std::set<std::pair<uint32_t, std::string_view>> refused;
  for (const Refused& each : fix.refused) refused.emplace(each.place.begin, each.id);
  std::set<std::string, std::less<>> objects;
  for (const Request& request : requests) {
    bool image = request.finding->remedy.kind == Remedy::Kind::ReplaceImage && !request.place->object.empty();
    if (image && refused.contains({request.place->begin, request.finding->id})) objects.emplace(request.place->object);
  }
  return objects;
}

bool is_plain(const Request& request) { return request.finding->remedy.kind == Remedy::Kind::ReplaceImage && request.place->path.empty(); }

void fix_requests(FileFix& fix, const std::vector<Request>& requests) {
  if (text_kind(fix.source, fix.before) == FileKind::Dockerfile) {
    PlainFix(fix, true).run(requests);
  } else if (std::all_of(requests.begin(), requests.end(), is_plain)) {
    PlainFix(fix, false).run(requests);
  } else {
    fix_yaml(fix, requests);
  }
}

}  // namespace

Applied application(const Request& request) {
  const Remedy& remedy = request.finding->remedy;
  return {*request.place, request.finding->rule, request.finding->id, remedy.why.empty() ? request.finding->message : remedy.why};
}

Refused refusal(const Request& request, const Error& error) {
  return {*request.place, request.finding->rule, request.finding->id, error.message};
}

FileFix fix_text(std::string_view text, const std::string& source, const std::vector<Request>& asked) {
  FileFix fix;
  fix.source = source;
  fix.before = fix.after = std::string(text);
  std::vector<Request> requests = without_repeats(asked);
  if (requests.empty()) return fix;
  fix_requests(fix, requests);
  if (fix.refused.empty()) return fix;
  auto stuck = objects_with_refused_images(fix, requests);
  auto hangs = [&](const Request& request) { return lets_onto_nodes(request) && !request.finding->platforms.empty() && stuck.contains(request.place->object); };
  std::vector<Request> hanging;
  std::copy_if(requests.begin(), requests.end(), std::back_inserter(hanging), hangs);
  if (hanging.empty()) return fix;
  FileFix again;
  again.source = source;
  again.before = again.after = std::move(fix.before);
  std::erase_if(requests, hangs);
  fix_requests(again, requests);
  for (const Request& request : hanging) again.refused.push_back(refusal(request, {Code::Invalid, "its image could not be changed, and would not run there"}));
  return again;
}

FileFix fix_text(std::string_view text, const std::string& source, const std::vector<const Finding*>& findings) {
  std::vector<Request> requests;
  for (const Finding* finding : findings) {
    if (finding->place.source == source) requests.push_back({finding, &finding->place});
    for (const Place& other : finding->others) {
      if (other.source == source) requests.push_back({finding, &other});
    }
  }
  return fix_text(text, source, requests);
}

}  // namespace archway::audit
