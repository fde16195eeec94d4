#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dockerfile/instructions.h"

// The first half of reading a Dockerfile: text to a tree that knows the shape of each instruction's arguments but not their meaning.
// BuildKit's frontend/dockerfile/parser; builder.md 3.2.
namespace archway::dockerfile {

// One instruction. An instruction that nobody knows has no arguments; it is the second half that refuses it.
struct Node {
  std::string keyword;                // as written
  std::vector<std::string> flags;     // "--from=x", quotes and escapes removed
  std::vector<std::string> arguments; // ENV and LABEL: name, value, "=" or "" (the form without =), and so on
  bool json = false;                  // the arguments came as a JSON array
  std::vector<Node> trigger;          // ONBUILD: the one instruction in it
  std::vector<Heredoc> heredocs;
  std::string original;               // the line with continuation lines joined and comments left out
  Location where;
};

struct Tree {
  std::vector<Node> nodes;
  char escape = '\\';
  std::string syntax, check;               // values of the directives
  std::vector<int> empty_continuations;    // lines that end an instruction with an empty line in it
  std::vector<std::string> lines;          // without line ends and byte order mark
  // As an s-expression, one instruction per line: the format of BuildKit's own test data.
  std::string dump() const;
};

// What is wrong and where. `word` is the part of the lines that the complaint is about, where that is known.
struct Complaint {
  Location where;
  std::string message;
  std::string word = {};
};

inline constexpr size_t kMaxDockerfileBytes = 4 << 20;
inline constexpr size_t kMaxLineBytes = 65535;      // BuildKit's: bufio.MaxScanTokenSize - 1
inline constexpr size_t kMaxInstructions = 20'000;

// Either the tree or, in `complaint`, why not.
bool parse_syntax(std::string_view text, char escape, Tree& tree, Complaint& complaint);

// "Dockerfile:3:5: message" and the line, for a file known by its lines.
Error complain(const std::vector<std::string>& lines, std::string_view name, const Complaint& complaint);

}  // namespace archway::dockerfile
