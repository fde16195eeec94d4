#pragma once

#include <functional>
#include <string>

#include "audit/collection.h"
#include "format/value_tree.h"
#include "kustomize/texts.h"

namespace archway::audit {

// Where a value of several files that were put together stands.
using Locator = std::function<kustomize::Span(const Value& value)>;

// Of the values of one text: just where they say.
inline Locator locator_of(std::string source, size_t document) {
  return [source = std::move(source), document](const Value& value) {
    const Value& self = value.followed();
    kustomize::Span span{source, document, self.line, self.column, 0, 0};
    if (self.line != 0) span.begin = self.begin, span.end = self.end;
    return span;
  };
}
inline Locator locator_of(const kustomize::Texts& texts) {
  return [&texts](const Value& value) {
    const Value& self = value.followed();
    return texts.locate(self.begin, self.end, self.line, self.column);
  };
}

// What could not be read: a template has to be rendered first, and is no fault.
void add_unread(const std::string& file, const Error& error, Collection& out);

// The place stands where the other does (a Span or a Place); what object it is of stays.
template <class At>
void move_place(Place& place, const At& at) {
  place.source = at.source;
  place.document = at.document;
  place.line = at.line;
  place.column = at.column;
  place.begin = at.begin;
  place.end = at.end;
}
inline Place place_at(const kustomize::Span& span, std::string path) {
  Place place;
  move_place(place, span);
  place.path = std::move(path);
  return place;
}

}  // namespace archway::audit
