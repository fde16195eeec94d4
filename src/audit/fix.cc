#include "audit/fix.h"

#include <algorithm>
#include <set>

#include "audit/dockerfile_edit.h"
#include "audit/file_kind.h"
#include "audit/yaml_fix.h"

namespace archway::audit {

namespace {

std::vector<Request> requests_of(const std::string& source, const std::vector<const Finding*>& findings) {
  std::vector<Request> requests;
  for (const Finding* finding : findings) {
    if (finding->remedy.kind == Remedy::Kind::None) continue;
    if (finding->place.source == source) requests.push_back({finding, &finding->place});
    for (const Place& other : finding->others) {
      if (other.source == source) requests.push_back({finding, &other});
    }
  }
  // The same remedy for the same bytes, asked for by two findings, is one.
  auto same = [](const Request& a, const Request& b) {
    return a.place->begin == b.place->begin && a.place->end == b.place->end && a.finding->remedy.kind == b.finding->remedy.kind &&
           a.finding->remedy.replacement == b.finding->remedy.replacement && a.finding->remedy.platforms == b.finding->remedy.platforms && a.place->path == b.place->path;
  };
  std::vector<Request> unique;
  for (const Request& request : requests) {
    bool known = std::any_of(unique.begin(), unique.end(), [&](const Request& each) { return same(each, request); });
    if (!known) unique.push_back(request);
  }
  return unique;
}

// Edits of a text that is no YAML: those of each request as long as they get along with the ones before.
void fix_plain(FileFix& fix, const std::vector<Request>& requests, bool dockerfile) {
  std::vector<Edit> edits;
  auto attempt = [&](const std::vector<Edit>& all) -> Result<std::string> {
    std::vector<Edit> once = all;
    if (dockerfile) declare_once(fix.before, once, fix.source);
    std::string after = TRY(apply_edits(fix.before, once));
    if (dockerfile) TRY(check_dockerfile(fix.before, once, after, fix.source));
    return after;
  };
  for (const Request& request : requests) {
    auto made = dockerfile ? edit_dockerfile(fix.before, request) : edit_plain_text(fix.before, request);
    if (made.ok() && made->empty()) continue;
    std::vector<Edit> together = edits;
    if (made.ok()) together.insert(together.end(), made->begin(), made->end());
    auto after = made.ok() ? attempt(together) : Result<std::string>(made.error());
    if (!after.ok()) {
      fix.refused.push_back(refusal(request, after.error()));
      continue;
    }
    edits = std::move(together);
    fix.after = std::move(*after);
    fix.applied.push_back(application(request));
  }
}

// What lets a pod onto other nodes presumes that its images run there.
bool lets_onto_nodes(const Request& request) {
  Remedy::Kind kind = request.finding->remedy.kind;
  return kind == Remedy::Kind::DropArchSelector || kind == Remedy::Kind::WidenArchSelector || kind == Remedy::Kind::AddToleration;
}

// Requests that rest on an image's new tag or digest, which could not be written.
std::vector<Request> left_hanging(const FileFix& fix, const std::vector<Request>& requests) {
  std::set<std::string> objects;
  for (const Request& request : requests) {
    bool refused = std::any_of(fix.refused.begin(), fix.refused.end(), [&](const Refused& each) { return each.place.begin == request.place->begin && each.id == request.finding->id; });
    if (refused && request.finding->remedy.kind == Remedy::Kind::ReplaceImage && !request.place->object.empty()) objects.insert(request.place->object);
  }
  std::vector<Request> hanging;
  for (const Request& request : requests) {
    if (lets_onto_nodes(request) && !request.finding->platforms.empty() && objects.contains(request.place->object)) hanging.push_back(request);
  }
  return hanging;
}

bool is_plain(const Request& request) { return request.finding->remedy.kind == Remedy::Kind::ReplaceImage && request.place->path.empty(); }

void fix_requests(FileFix& fix, const std::vector<Request>& requests) {
  if (text_kind(fix.source, fix.before) == FileKind::Dockerfile) {
    fix_plain(fix, requests, true);
  } else if (std::all_of(requests.begin(), requests.end(), is_plain)) {
    fix_plain(fix, requests, false);
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

FileFix fix_text(std::string_view text, const std::string& source, const std::vector<const Finding*>& findings) {
  FileFix fix;
  fix.source = source;
  fix.before = fix.after = std::string(text);
  std::vector<Request> requests = requests_of(source, findings);
  if (requests.empty()) return fix;
  fix_requests(fix, requests);
  std::vector<Request> hanging = left_hanging(fix, requests);
  if (hanging.empty()) return fix;
  FileFix again;
  again.source = source;
  again.before = again.after = std::move(fix.before);
  std::erase_if(requests, [&](const Request& request) {
    return std::any_of(hanging.begin(), hanging.end(), [&](const Request& each) { return each.finding == request.finding && each.place == request.place; });
  });
  fix_requests(again, requests);
  for (const Request& request : hanging) again.refused.push_back(refusal(request, {Code::Invalid, "its image could not be changed, and would not run there"}));
  return again;
}

}  // namespace archway::audit
