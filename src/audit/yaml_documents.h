#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace archway::audit {

// A document of a YAML file, as text.
struct DocumentText {
  std::string_view text;          // from its "---", or from the begin of the file, to the next
  uint32_t begin = 0, line = 0;   // bytes and lines before it
  size_t first_document = 0;      // number of its first document in the file
  bool whole = false;             // the file could not be taken apart: all documents are in this one
};

// Takes a file apart at its "---" lines, which is exact: YAML lets no value contain one (1.2.2, 9.1.2 "c-forbidden"). So documents
// that hold nothing of interest need not be parsed, and one that is broken does not take the others with it. A file with directives
// or "..." lines stays whole.
std::vector<DocumentText> split_documents(std::string_view text);

}  // namespace archway::audit
