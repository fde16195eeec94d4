#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/value_tree.h"

namespace archway::kustomize {

inline constexpr uint64_t kMaxTextBytes = 256ull << 20;   // of one file
inline constexpr uint64_t kMaxAddress = UINT32_MAX;       // of all files of a build together

// Where a value of a build stands. begin == end: the bytes there are not the value, or not all of it.
struct Span {
  std::string source;           // "" where it stands nowhere
  size_t document = 0;
  uint32_t line = 0, column = 0, begin = 0, end = 0;
};

// The texts that a build reads: files, and texts inside of them (a patch in a kustomization). Each has addresses of its own, which its
// values count from; so that a value that came a long way still tells where it is from.
class Texts {
 public:
  explicit Texts(ValueArena& arena) : arena_(arena) {}
  Texts(const Texts&) = delete;
  Texts& operator=(const Texts&) = delete;

  // Documents of a YAML or JSON file, empty ones too. Read once.
  Result<const std::vector<ValueDocument>*> documents(const std::string& path);
  // Of the text that a value is.
  Result<const std::vector<ValueDocument>*> documents(const Value& text);
  // Of a text that a program printed, which stands in no file: `source` is what made it.
  Result<const std::vector<ValueDocument>*> printed(std::string text, const std::string& source);
  // A whole file as one string.
  Result<const Value*> content(const std::string& path);

  Span locate(uint32_t begin, uint32_t end, uint32_t line, uint32_t column) const;

 private:
  enum class Kind { File, Inside, Content, Printed };
  struct Text {
    std::string path;
    std::string owned;                 // of files
    std::string_view text;
    uint32_t address = 0;
    std::vector<ValueDocument> documents;
    Kind kind = Kind::File;
    uint32_t outer = 0;                // of Inside: where the text's value begins
    uint32_t outer_end = 0, outer_line = 0, outer_column = 0;
    Value::Style style = Value::Style::Plain;
  };
  Result<Text*> add(std::string path, Kind kind, std::string owned, std::string_view borrowed);
  Result<void> parse(Text& text);
  const Text* at(uint32_t address) const;
  Span inside(const Text& text, uint32_t begin, uint32_t end, uint32_t line) const;

  ValueArena& arena_;
  std::deque<Text> texts_;             // by address
  std::deque<Json> jsons_;             // that values without a place are of
  std::map<std::string, Text*> files_, contents_;
  std::map<std::pair<uint32_t, const char*>, Text*> insides_;
  uint64_t next_ = 1;
};

}  // namespace archway::kustomize
