#include "audit/yaml_fix.h"

#include <algorithm>
#include <map>

#include "audit/remedy_edit.h"
#include "audit/yaml_edit.h"
#include "format/yaml.h"

namespace archway::audit {

namespace {

struct Step {
  Request request;
  Target target;
};

Result<Json> value_of(std::string_view text) {
  auto documents = parse_yaml_documents(text);
  if (!documents.ok()) {
    // JSON that libyaml does not read: surrogate pairs, keys of more than a kilobyte.
    auto json = parse_json(text);
    if (json.ok()) return json;
    return std::move(documents).error();
  }
  if (documents->size() != 1) return Error{Code::Invalid, "the document is empty"};
  return std::move((*documents)[0].value);
}

// One document of a file.
class DocumentFix {
 public:
  DocumentFix(std::string_view text, const YamlTreeDocument& document) : text_(text), document_(document) {}

  Result<void> open() {
    have_ = TRY(value_of(text_.substr(document_.begin, document_.end - document_.begin)));
    return {};
  }

  // All steps together: that is the fast way, and the only one where an anchor and its aliases change alike.
  bool all(const std::vector<Step>& steps, std::vector<const Step*>& done) {
    Json want = have_;
    for (const Step& step : steps) {
      auto changed = take(want, step);
      if (!changed.ok()) return false;
      if (*changed) done.push_back(&step);
    }
    auto made = edits_for(want);
    if (!made.ok()) return false;
    keep(std::move(want), std::move(*made));
    return true;
  }

  // True: done. False: it was so already. What cannot be done leaves what the others did.
  Result<bool> one(const Step& step) {
    Json want = want_made_ ? want_ : have_;
    bool changed = TRY(take(want, step));
    if (!changed) return false;
    auto made = TRY(edits_for(want));
    keep(std::move(want), std::move(made));
    return true;
  }

  std::vector<Edit> edits;
  const Json& have() const { return have_; }
  const Json& want() const { return want_made_ ? want_ : have_; }

 private:
  static Result<bool> take(Json& want, const Step& step) {
    Json changed = want;
    bool any = TRY(apply_remedy(changed, step.request, step.target));
    if (any) want = std::move(changed);
    return any;
  }

  // The edits, proven: the document with them has the value that is wanted, no more and no less.
  Result<std::vector<Edit>> edits_for(const Json& want) {
    std::vector<Edit> made = TRY(edit_yaml(text_, document_, have_, want));
    std::vector<Edit> shifted = made;
    for (Edit& edit : shifted) {
      if (edit.begin < document_.begin || edit.end > document_.end) return Error{Code::Internal, "an edit leaves its document"};
      edit.begin -= document_.begin;
      edit.end -= document_.begin;
    }
    std::string after = TRY(apply_edits(text_.substr(document_.begin, document_.end - document_.begin), std::move(shifted)));
    auto value = value_of(after);
    if (!value.ok() || !same_value(*value, want)) return Error{Code::Invalid, "no edit of these lines says this and nothing else (an anchor, perhaps, that others share); edit it by hand"};
    return made;
  }

  void keep(Json want, std::vector<Edit> made) {
    want_ = std::move(want);
    want_made_ = true;
    edits = std::move(made);
  }

  std::string_view text_;
  const YamlTreeDocument& document_;
  Json have_, want_;
  bool want_made_ = false;
};

ChangedObject object_of(const Json& have, const Json& want) {
  const Json& metadata = want["metadata"];
  return {want["apiVersion"].string(), want["kind"].string(), metadata["namespace"].string(), metadata["name"].string(), have, want};
}

// A List's items are the objects, whatever the List is called.
void note_objects(const DocumentFix& document, std::vector<ChangedObject>& objects) {
  const Json& have = document.have();
  const Json& want = document.want();
  if (!want["kind"].string().ends_with("List") || have["items"].size() != want["items"].size()) {
    objects.push_back(object_of(have, want));
    return;
  }
  for (size_t i = 0; i < want["items"].size(); ++i) {
    const Json& before = have["items"].items()[i];
    const Json& after = want["items"].items()[i];
    if (!same_value(before, after)) objects.push_back(object_of(before, after));
  }
}

void fix_document(FileFix& fix, const YamlTreeDocument& tree, std::vector<Step> steps, std::vector<Edit>& edits) {
  // What goes by index goes from the back; what adds and moves comes after.
  std::stable_sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) {
    auto order = [](const Step& step) {
      bool moves = step.request.finding->remedy.kind == Remedy::Kind::MoveIntoPodSpec;
      return is_by_index(step.request) ? 0 : moves ? 2 : 1;
    };
    if (order(a) != order(b)) return order(a) < order(b);
    return order(a) == 0 && a.request.place->begin > b.request.place->begin;
  });
  DocumentFix document(fix.before, tree);
  if (auto opened = document.open(); !opened.ok()) {
    for (const Step& step : steps) fix.refused.push_back(refusal(step.request, opened.error()));
    return;
  }
  std::vector<const Step*> done;
  if (!document.all(steps, done)) {
    done.clear();
    for (const Step& step : steps) {
      auto changed = document.one(step);
      if (!changed.ok()) {
        fix.refused.push_back(refusal(step.request, changed.error()));
      } else if (*changed) {
        done.push_back(&step);
      }
    }
  }
  if (done.empty()) return;
  for (const Step* step : done) fix.applied.push_back(application(step->request));
  note_objects(document, fix.objects);
  edits.insert(edits.end(), document.edits.begin(), document.edits.end());
}

}  // namespace

void fix_yaml(FileFix& fix, const std::vector<Request>& requests) {
  auto refuse_all = [&](const Error& error) {
    fix.applied.clear();
    fix.objects.clear();
    for (const Request& request : requests) fix.refused.push_back(refusal(request, error));
  };
  auto documents = parse_yaml_tree(fix.before);
  if (!documents.ok()) return refuse_all(documents.error());
  std::map<size_t, std::vector<Step>> by_document;
  for (const Request& request : requests) {
    auto at = std::find_if(documents->begin(), documents->end(), [&](const YamlTreeDocument& document) {
      return document.begin <= request.place->begin && request.place->end <= document.end;
    });
    bool placed = request.place->begin < request.place->end && at != documents->end();
    if (!placed) {
      fix.refused.push_back(refusal(request, {Code::Invalid, "where this is written is not known to the byte; edit it by hand"}));
      continue;
    }
    by_document[static_cast<size_t>(at - documents->begin())].push_back({request, target_of(at->root, *request.place)});
  }
  std::vector<Edit> edits;
  for (auto& [index, steps] : by_document) fix_document(fix, (*documents)[index], std::move(steps), edits);
  auto after = apply_edits(fix.before, edits);
  if (!after.ok()) return refuse_all(after.error());
  // As a whole, too: a document's end is the next one's beginning.
  auto again = parse_yaml_tree(*after);
  if (!again.ok() || again->size() != documents->size()) return refuse_all({Code::Internal, "the edited file would not read as the same documents"});
  fix.after = std::move(*after);
  std::stable_sort(fix.applied.begin(), fix.applied.end(), [](const Applied& a, const Applied& b) { return a.place.begin < b.place.begin; });
}

}  // namespace archway::audit
