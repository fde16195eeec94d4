#include "audit/yaml_fix.h"

#include <algorithm>
#include <map>
#include <optional>
#include <span>

#include "audit/plain_yaml.h"
#include "audit/remedy_edit.h"
#include "audit/yaml_documents.h"
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

bool says(std::string_view text, const Json& value) {
  if (plain_yaml_says(text, value)) return true;
  auto read = value_of(text);
  return read.ok() && same_value(*read, value);
}

// One document. Bytes count from the begin of `text`, which it is in; lines from the begin of the file.
class DocumentFix {
 public:
  DocumentFix(std::string_view text, const YamlTreeDocument& document, Json have) : text_(text), document_(document), have_(std::move(have)) {}

  // All steps together: that is the quick way, and the only one where an anchor and its aliases change alike. Where what comes of them
  // cannot be written, halves of them are tried, down to the single ones that are to blame.
  void run(std::span<const Step> steps, std::vector<Refused>& refused) {
    Json want = want_ ? *want_ : have_;
    std::vector<const Step*> changing;
    std::vector<Step> able;
    for (const Step& step : steps) {
      auto changed = apply_remedy(want, step.request, step.target);
      if (!changed.ok()) {
        refused.push_back(refusal(step.request, changed.error()));
        continue;
      }
      if (*changed) changing.push_back(&step);
      able.push_back(step);
    }
    if (changing.empty()) return;
    auto made = edits_for(want);
    if (made.ok()) {
      want_ = std::move(want);
      edits = std::move(*made);
      for (const Step* step : changing) applied.push_back(application(step->request));
    } else if (able.size() == 1) {
      refused.push_back(refusal(able[0].request, made.error()));
    } else {
      size_t half = able.size() / 2;
      run(std::span(able).first(half), refused);
      run(std::span(able).subspan(half), refused);
    }
  }

  std::vector<Edit> edits;
  std::vector<Applied> applied;

 private:
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
    if (!says(after, want)) return Error{Code::Invalid, "no edit of these lines says this and nothing else (an anchor, perhaps, that others share); edit it by hand"};
    return made;
  }

  std::string_view text_;
  const YamlTreeDocument& document_;
  Json have_;
  std::optional<Json> want_;
};

// What goes by index goes from the back; what adds and moves comes after.
void put_in_order(std::vector<Step>& steps) {
  auto order = [](const Step& step) {
    bool moves = step.request.finding->remedy.kind == Remedy::Kind::MoveIntoPodSpec;
    return is_by_index(step.request) ? 0 : moves ? 2 : 1;
  };
  std::stable_sort(steps.begin(), steps.end(), [&](const Step& a, const Step& b) {
    if (order(a) != order(b)) return order(a) < order(b);
    return order(a) == 0 && a.request.place->begin > b.request.place->begin;
  });
}

void count_lines_from(YamlNode& node, uint32_t lines) {
  node.line += lines;
  for (YamlNode& child : node.children) count_lines_from(child, lines);
}

// A part of a file, with what is wanted of it, as places in the part.
class PartFix {
 public:
  PartFix(FileFix& fix, const DocumentText& part, std::vector<Edit>& edits) : fix_(fix), part_(part), edits_(edits) {}

  void run(const std::vector<Request>& requests) {
    auto read = part_.whole ? std::nullopt : read_plain_yaml(part_.text);
    plain_ = read.has_value();
    if (read) {
      documents_.push_back(std::move(*read));
    } else {
      auto parsed = parse_yaml_tree(part_.text);
      if (!parsed.ok()) {
        for (const Request& request : requests) fix_.refused.push_back(refusal(request, {Code::Invalid, "its document cannot be read: " + parsed.error().message}));
        return;
      }
      documents_ = std::move(*parsed);
    }
    if (part_.line > 0) {
      for (YamlTreeDocument& document : documents_) count_lines_from(document.root, part_.line);
    }
    std::map<size_t, std::vector<Request>> by_document;
    for (const Request& request : requests) {
      if (auto at = document_at(*request.place)) {
        by_document[*at].push_back(request);
      } else {
        fix_.refused.push_back(refusal(request, {Code::Invalid, "where this is written is not known to the byte; edit it by hand"}));
      }
    }
    for (const auto& [index, wanted] : by_document) fix_document(documents_[index], wanted);
  }

 private:
  std::optional<size_t> document_at(const Place& place) const {
    size_t begin = place.begin - part_.begin, end = place.end - part_.begin;
    auto behind = std::partition_point(documents_.begin(), documents_.end(), [&](const YamlTreeDocument& document) { return document.begin <= begin; });
    if (behind == documents_.begin() || end > (behind - 1)->end) return std::nullopt;
    return static_cast<size_t>(behind - documents_.begin()) - 1;
  }

  void fix_document(const YamlTreeDocument& tree, const std::vector<Request>& requests) {
    auto have = plain_ ? Result<Json>(plain_yaml_value(tree.root)) : value_of(part_.text.substr(tree.begin, tree.end - tree.begin));
    if (!have.ok()) {
      for (const Request& request : requests) fix_.refused.push_back(refusal(request, have.error()));
      return;
    }
    std::vector<Step> steps;
    for (const Request& request : requests) {
      Place here;
      here.begin = request.place->begin - part_.begin;
      here.end = request.place->end - part_.begin;
      steps.push_back({request, target_of(tree.root, here)});
    }
    put_in_order(steps);
    DocumentFix document(part_.text, tree, std::move(*have));
    document.run(steps, fix_.refused);
    std::move(document.applied.begin(), document.applied.end(), std::back_inserter(fix_.applied));
    for (Edit& edit : document.edits) {
      edit.begin += part_.begin;
      edit.end += part_.begin;
      edits_.push_back(std::move(edit));
    }
  }

  FileFix& fix_;
  const DocumentText& part_;
  std::vector<Edit>& edits_;
  std::vector<YamlTreeDocument> documents_;
  bool plain_ = false;
};

// As a whole, too: a document's end is the next one's beginning.
Result<void> check_documents(std::string_view before, std::string_view after, const std::vector<DocumentText>& parts) {
  Error odd{Code::Internal, "the edited file would not read as the same documents"};
  if (std::none_of(parts.begin(), parts.end(), [](const DocumentText& part) { return part.whole; })) {
    // Where files are taken apart is exact, and each part was read again.
    if (split_documents(after).size() != parts.size()) return odd;
    return {};
  }
  auto then = parse_yaml_tree(before), now = parse_yaml_tree(after);
  if (!then.ok() || !now.ok() || then->size() != now->size()) return odd;
  return {};
}

ChangedObject object_of(const Json& have, const Json& want) {
  const Json& metadata = want["metadata"];
  return {want["apiVersion"].string(), want["kind"].string(), metadata["namespace"].string(), metadata["name"].string(), have, want};
}

// A List's items are the objects, whatever the List is called.
void note_objects(const Json& have, const Json& want, std::vector<ChangedObject>& objects) {
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

// Every document of a part; JSON that libyaml does not read is one.
std::vector<Json> values_of(const DocumentText& part) {
  std::vector<Json> values;
  std::string_view text = part.text;
  if (auto plain = part.whole ? std::nullopt : read_plain_yaml(text)) {
    values.push_back(plain_yaml_value(plain->root));
    return values;
  }
  auto documents = parse_yaml_documents(text);
  if (documents.ok()) {
    for (YamlDocument& document : *documents) values.push_back(std::move(document.value));
  } else if (auto json = parse_json(text); json.ok()) {
    values.push_back(std::move(*json));
  }
  return values;
}

}  // namespace

void fix_yaml(FileFix& fix, const std::vector<Request>& requests) {
  fix.yaml = true;
  std::vector<DocumentText> parts = split_documents(fix.before);
  std::map<size_t, std::vector<Request>> by_part;
  for (const Request& request : requests) {
    auto behind = std::partition_point(parts.begin(), parts.end(), [&](const DocumentText& part) { return part.begin <= request.place->begin; });
    bool placed = request.place->begin < request.place->end && behind != parts.begin() && request.place->end <= (behind - 1)->begin + (behind - 1)->text.size();
    if (placed) {
      by_part[static_cast<size_t>(behind - parts.begin()) - 1].push_back(request);
    } else {
      fix.refused.push_back(refusal(request, {Code::Invalid, "where this is written is not known to the byte; edit it by hand"}));
    }
  }
  std::vector<Edit> edits;
  for (const auto& [index, wanted] : by_part) PartFix(fix, parts[index], edits).run(wanted);
  if (edits.empty()) return;
  auto after = apply_edits(fix.before, std::move(edits));
  auto checked = after.ok() ? check_documents(fix.before, *after, parts) : Result<void>(after.error());
  if (!checked.ok()) {
    fix.applied.clear();
    fix.refused.clear();
    for (const Request& request : requests) fix.refused.push_back(refusal(request, checked.error()));
    return;
  }
  fix.after = std::move(*after);
  std::stable_sort(fix.applied.begin(), fix.applied.end(), [](const Applied& a, const Applied& b) { return a.place.begin < b.place.begin; });
}

std::vector<ChangedObject> changed_objects(const FileFix& fix) {
  std::vector<ChangedObject> objects;
  if (!fix.yaml || !fix.changed()) return objects;
  std::vector<DocumentText> before = split_documents(fix.before), after = split_documents(fix.after);
  if (before.size() != after.size()) return objects;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].text == after[i].text) continue;
    std::vector<Json> have = values_of(before[i]), want = values_of(after[i]);
    for (size_t k = 0; have.size() == want.size() && k < have.size(); ++k) {
      if (!same_value(have[k], want[k])) note_objects(have[k], want[k], objects);
    }
  }
  return objects;
}

}  // namespace archway::audit
