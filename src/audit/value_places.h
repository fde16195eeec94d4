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

inline Place place_at(const kustomize::Span& span, std::string path) {
  Place place;
  place.source = span.source;
  place.document = span.document;
  place.line = span.line;
  place.column = span.column;
  place.begin = span.begin;
  place.end = span.end;
  place.path = std::move(path);
  return place;
}

}  // namespace archway::audit
