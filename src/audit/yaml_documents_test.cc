#include "audit/yaml_documents.h"

#include <gtest/gtest.h>

#include <cstring>

#include "format/value_tree.h"

namespace archway::audit {
namespace {

// The parts say what the whole says: as many documents, the same values in the same places.
void expect_same(const std::string& text) {
  ValueArena whole_arena;
  auto whole = parse_value_trees(text, whole_arena);
  ASSERT_TRUE(whole.ok()) << text;
  size_t count = 0;
  for (const DocumentText& part : split_documents(text)) {
    ValueArena arena;
    auto documents = parse_value_trees(text, arena, {part.begin, part.line, part.text.size()});
    ASSERT_TRUE(documents.ok()) << text;
    if (!part.whole) {
      ASSERT_EQ(documents->size(), 1u) << text;
    }
    for (size_t i = 0; i < documents->size(); ++i) {
      ASSERT_LT(part.first_document + i, whole->size()) << text;
      const Value& a = *(*documents)[i].root;
      const Value& b = *(*whole)[part.first_document + i].root;
      EXPECT_EQ(json_of_value(a), json_of_value(b)) << text;
      if (!b.is_null()) {
        EXPECT_EQ(a.begin, b.begin) << text;
        EXPECT_EQ(a.end, b.end) << text;
        EXPECT_EQ(a.line, b.line) << text;
      }
      ++count;
    }
  }
  EXPECT_EQ(count, whole->size()) << text;
}

TEST(SplitDocuments, SaysWhatTheWholeFileSays) {
  for (const char* text : {"a: 1\n", "---\na: 1\n", "a: 1\n---\nb: 2\n", "# c\n\n---\na: 1\n---\n---\nb: ü\n---\nc: 3\n---\n", "--- {a: 1}\n--- |\n x\n---\ny: 1\n", "a: |\n  ---\n  b\n---\nc: 1\n",
                           "\xef\xbb\xbf---\na: 1\n---\nb: 1\n", "\xef\xbb\xbf" "a: 1\n---\nb: 1\n", "a: 1\r\n---\r\nb: 2\r\n", "---- a\n", "a: ---b\n---c: 1\n", "%YAML 1.1\n---\na: 1\n", "a: 1\n...\n---\nb: 1\n",
                           "a: 'x\n  --- y'\n---\nz: 1", "", "\n\n", "---", "ä: ü\n---\nö: 'x'\n"})
    expect_same(text);
}

}  // namespace
}  // namespace archway::audit
