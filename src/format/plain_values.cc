#include "format/plain_yaml_reader.h"
#include "format/value_tree.h"
#include "format/yaml.h"

namespace archway {

namespace {

class ValueBuilder {
 public:
  using Kind = Value::Kind;
  using Style = Value::Style;

  // What is at 0 of the reader's text is at `address`.
  ValueBuilder(ValueArena& arena, uint32_t address) : arena_(arena), address_(address) {}
  const Value* root() const { return root_; }

  bool open(Kind kind, Style style, size_t begin, uint32_t line, uint32_t column) {
    Value* value = add(begin, begin, line, column);
    if (!value) return false;
    value->kind = kind;
    value->style = style;
    open_[depth_++] = {value, nullptr};
    return true;
  }

  bool scalar(const PlainYamlScalar<Style>& from, bool) {
    Value* value = add(from.begin, from.end_mark, from.line, from.column);
    if (!value) return false;
    value->style = from.style;
    value->text = from.kept ? from.text : arena_.keep(from.text);
    return true;
  }

  void close(size_t end) {
    const Open& closed = open_[--depth_];
    Value* value = closed.collection;
    if (value->kind == Kind::Mapping) value->size /= 2;
    if (value->style == Style::Flow) value->end = address_ + static_cast<uint32_t>(end);
    else if (closed.last) value->end = closed.last->end;
  }

 private:
  struct Open {
    Value* collection;
    Value* last;  // child
  };

  Value* add(size_t begin, size_t end, uint32_t line, uint32_t column) {
    if (++values_ > kMaxYamlValues) return nullptr;
    Value* value = arena_.make();
    value->begin = address_ + static_cast<uint32_t>(begin);
    value->end = address_ + static_cast<uint32_t>(end);
    value->line = line;
    value->column = column;
    if (depth_ == 0) {
      root_ = value;
      return value;
    }
    Open& parent = open_[depth_ - 1];
    (parent.last ? parent.last->next : parent.collection->first) = value;
    parent.last = value;
    ++parent.collection->size;
    return value;
  }

  ValueArena& arena_;
  uint32_t address_;
  const Value* root_ = nullptr;
  std::array<Open, kMaxPlainYamlDepth + 2> open_;
  size_t depth_ = 0, values_ = 0;
};

}  // namespace

const Value* read_plain_values(std::string_view text, ValueArena& arena, TextPart part) {
  if (text.size() > kMaxYamlBytes) return nullptr;
  ValueBuilder builder(arena, part.address + static_cast<uint32_t>(part.begin));
  PlainYamlReader reader(text.substr(part.begin, part.size), builder, part.lines_before);
  return reader.read() ? builder.root() : nullptr;
}

}  // namespace archway
