#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

// A Dockerfile as typed instructions, by BuildKit's grammar (builder.md 3.1-3.3). Pure: text in, values out. Text is kept as written;
// variables are expanded later, with dockerfile/expand.h, because only the build knows the environment.
//
// Quotes and escapes. As written, with quotes and escapes, until expand_word takes them away: names and values of ARG, ENV and LABEL;
// the texts of WORKDIR, USER, STOPSIGNAL; the words of EXPOSE, VOLUME, COPY and ADD in their word form, and Stage::base. Free of them
// already: everything that came as a JSON array (which BuildKit expands all the same), and the values of flags (--chown="a b" is
// `a b`; BuildKit expands some of these once more: chown, chmod, checksum, platform, and the fields of --mount). Never expanded: the
// text or words of RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK; MAINTAINER; --from, --exclude, --network, --security; ONBUILD's text,
// until it triggers.
namespace archway::dockerfile {

struct Location { int first_line = 0, last_line = 0, column = 1; };  // 1-based

// Either words (exec form, JSON) or one text for the shell.
struct CommandLine {
  bool shell = false;
  std::vector<std::string> words;  // exec form: the words; shell form: one element, the text
};

struct Heredoc {
  std::string name;      // the delimiter, unquoted
  std::string content;   // line ends as in the file. RUN: with the leading tabs of <<-. COPY and ADD: without
  bool expand = true;    // delimiter was not quoted
  bool chomp = false;    // <<-
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct Arg { std::vector<std::pair<std::string, std::optional<std::string>>> args; };
struct Env { Pairs values; };      // also from the older form `ENV NAME VALUE`
struct Label { Pairs values; };
struct Maintainer { std::string name; };
struct Workdir { std::string path; };
struct User { std::string user; };
// --link and the like are nullopt where not given. History shows sources first, then `<<name` of each inline file, then the destination.
struct Copy {                     // COPY and ADD
  bool add = false;
  std::vector<std::string> sources;
  std::string destination;
  std::vector<std::pair<std::string, Heredoc>> inline_files = {};  // <<EOF sources, by name
  std::string from = {}, chown = {}, chmod = {};
  std::optional<bool> link = {}, parents = {};
  std::vector<std::string> excludes = {};
  std::optional<bool> unpack = {}, keep_git_dir = {};
  std::string checksum = {};
};
// With heredocs, the command is in shell form and its text still has the `<<name` in it. Where the text is nothing but one heredoc
// (parse_heredoc), the content is the script itself, or, if it starts with `#!`, a program to be run; otherwise the shell gets the text,
// and after it, each on a line of its own, content and name of each heredoc.
struct Run {
  CommandLine command;
  std::vector<Heredoc> heredocs = {};
  std::vector<std::string> mounts = {};   // --mount texts; fields by run_mount.h
  std::string network = {};               // "", "default", "none", "host"
  std::string security = {};              // "", "sandbox", "insecure"
  std::vector<std::string> devices = {};  // --device texts
};
struct Cmd { CommandLine command; };
struct Entrypoint { CommandLine command; };
struct Expose { std::vector<std::string> ports; };   // as written, sorted (BuildKit sorts before expansion)
struct Volume { std::vector<std::string> paths; };
struct StopSignal { std::string signal; };
struct Shell { std::vector<std::string> words; };
struct HealthcheckInstruction {
  std::vector<std::string> test;   // ["NONE"], ["CMD", ...], ["CMD-SHELL", text]
  int64_t interval = 0, timeout = 0, start_period = 0, start_interval = 0;  // nanoseconds
  int retries = 0;
};
struct Onbuild { std::string text; };  // with the heredocs' lines, as parse_instruction takes it

struct Instruction {
  std::variant<Arg, Env, Label, Maintainer, Workdir, User, Copy, Run, Cmd, Entrypoint, Expose, Volume, StopSignal, Shell,
               HealthcheckInstruction, Onbuild> what;
  Location where;
  std::string original;    // the line as written, continuation lines joined, comments left out, no heredoc bodies: for progress
};

struct Stage {
  std::string name;        // lower-cased; "" where unnamed
  std::string base;        // as written: image, stage or "scratch"; to be expanded with the global ARGs
  std::string platform;    // --platform as written; ""
  Location where;
  std::string original;
  std::vector<Instruction> instructions;
};

struct Dockerfile {
  std::vector<Instruction> global_args;  // ARGs before the first FROM
  std::vector<Stage> stages;
  std::string syntax = {};               // "# syntax=" directive, for the record
  std::string check = {};                // "# check=" directive; its skip= and error= have been obeyed
  char escape = '\\';
  std::vector<std::string> lines;        // the text, for error messages
  std::vector<std::string> warnings = {};  // "Dockerfile:3: MaintainerDeprecated: ...", by BuildKit's rule names
};

inline constexpr size_t kMaxStages = 1000;

// `name` is what messages call the file. Errors are Invalid and read
//     Dockerfile:3:5: unknown instruction: FORM (did you mean FROM?)
//     >>> FORM alpine
Result<Dockerfile> parse(std::string_view text, std::string_view name);
// One instruction, as ONBUILD keeps it. BuildKit reads triggers with `\` as the escape, whatever the file they came from said.
Result<Instruction> parse_instruction(std::string_view text, std::string_view name, char escape = '\\');
// "Dockerfile:3:1: message" followed by the line: how every complaint about an instruction is made.
Error error_at(const Dockerfile& file, std::string_view name, const Location& where, std::string_view message);

// The heredoc that a word such as `<<EOF`, `<<-"EOF"` or `3<<EOF` opens, its content still empty; nullopt where the word opens none.
std::optional<Heredoc> parse_heredoc(std::string_view word);
// Without the tabs at the start of each line: what <<- asks for.
std::string chomp_heredoc(std::string_view content);

}  // namespace archway::dockerfile
