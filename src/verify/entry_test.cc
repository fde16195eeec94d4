#include "verify/entry.h"

#include <gtest/gtest.h>

#include "verify/sample_program.h"

namespace archway {
namespace {

using namespace test;
using Lines = std::vector<std::string>;

PlatformVerdict verdict_of(const ImageSpec& spec) {
  MemoryStore store;
  auto report = verify_image(store, make_image(store, spec), {});
  EXPECT_TRUE(report.ok());
  EXPECT_FALSE(report->platforms.at(0).not_checked) << report->platforms[0].not_checked->message;
  return report->platforms.at(0);
}
Lines lines(const PlatformVerdict& verdict) {
  Lines out;
  for (const Finding& f : verdict.findings) out.push_back(std::string(f.severity == Severity::Error ? "error " : "note ") + f.rule + " " + f.path + " " + std::to_string(f.layer_number));
  return out;
}
const std::string kLoader = "/lib/ld-linux-aarch64.so.1";

TEST(EntryPoint, LeadsThroughLinksAndScriptsToTheLoader) {
  PlatformVerdict verdict = verdict_of({.layers = {{{"usr/bin/env", arm64_program()}, {"usr/bin/python3.11", arm64_program(kLoader)}, link_file("usr/bin/python3", "python3.11"),
                                                    {"usr/lib/ld.so", arm64_program()}, link_file("lib", "usr/lib"), link_file("usr/lib/ld-linux-aarch64.so.1", "ld.so")},
                                                   {{"app/main.py", "#!/usr/bin/env python3\nprint()\n"}, link_file("usr/local/bin/app", "../../../app/main.py")}},
                                        .entrypoint = {"app"}});
  EXPECT_EQ(lines(verdict), Lines{});
  EXPECT_EQ(verdict.entry_chain, (Lines{"/usr/local/bin/app -> /app/main.py (#!/usr/bin/env python3)", "/usr/bin/env (arm64 (AArch64))",
                                        "/usr/bin/python3 -> /usr/bin/python3.11 (arm64 (AArch64))", "/lib/ld-linux-aarch64.so.1 -> /usr/lib/ld.so (arm64 (AArch64))"}));
}

TEST(EntryPoint, SaysWhatIsWrongOnTheWay) {
  std::vector<SampleFile> base = {{"bin/sh", arm64_program()},
                                  {"bin/foreign", amd64_program()},
                                  {"bin/noloader", arm64_program(kLoader)},
                                  {"bin/plain", "echo no hash bang"},
                                  {"bin/data", arm64_program(), TarType::Regular, "", 0644},
                                  {"bin/dos", "#!/bin/sh\r\necho"},
                                  {"bin/lost", "#!/opt/python\n"},
                                  {"bin/envlost", "#!/usr/bin/env python3\n"},
                                  {"usr/bin/env", arm64_program()},
                                  {"bin/foreignsh", "#!/bin/foreign\n"},
                                  {"bin/win", "MZ\x90"},
                                  {"bin/mac", "\xcf\xfa\xed\xfe____"},
                                  {"bin/self", "#!/bin/self\n"},
                                  link_file("bin/l1", "l2"),
                                  link_file("bin/l2", "l1"),
                                  {"lib/amd64.so", amd64_program()},
                                  {"bin/wrongloader", arm64_program("/lib/amd64.so")}};
  struct Case {
    std::string entry;
    Lines want;
  };
  for (const Case& c : std::vector<Case>{{"/bin/sh", {}},
                                         {"sh", {}},
                                         {"nothing", {"error entrypoint-missing /nothing 0"}},
                                         {"/opt/nothing", {"error entrypoint-missing /opt/nothing 0"}},
                                         {"/bin", {"error entrypoint-missing /bin 1"}},
                                         {"/bin/foreign", {"error entrypoint-machine /bin/foreign 1"}},
                                         {"/bin/noloader", {"error loader-missing /lib/ld-linux-aarch64.so.1 0"}},
                                         {"/bin/plain", {"error entrypoint-format /bin/plain 1"}},
                                         {"data", {"error entrypoint-not-executable /bin/data 1"}},
                                         {"/bin/dos", {"error interpreter-missing /bin/dos 1"}},
                                         {"/bin/lost", {"error interpreter-missing /opt/python 0"}},
                                         {"/bin/envlost", {"error interpreter-missing /bin/envlost 1"}},
                                         {"/bin/foreignsh", {"error entrypoint-machine /bin/foreign 1"}},
                                         {"/bin/win", {"error entrypoint-format /bin/win 1"}},
                                         {"/bin/mac", {"error entrypoint-format /bin/mac 1"}},
                                         {"/bin/self", {"error entrypoint-loop /bin/self 1"}},
                                         {"/bin/l1", {"error entrypoint-loop /bin/l1 1"}},
                                         {"/bin/wrongloader", {"error loader-machine /lib/amd64.so 1"}}}) {
    PlatformVerdict verdict = verdict_of({.layers = {base}, .entrypoint = {c.entry}});
    Lines got;
    for (std::string& line : lines(verdict)) {
      if (line.find(" elf-machine ") == line.npos) got.push_back(std::move(line));
    }
    EXPECT_EQ(got, c.want) << c.entry;
  }
}

TEST(EntryPoint, FollowsWhatLaunchersStart) {
  std::vector<SampleFile> base = {{"bin/sh", arm64_program()}, {"sbin/tini", arm64_program()}, {"app", amd64_program()}};
  auto rules = [&](std::vector<std::string> entrypoint, std::vector<std::string> cmd) {
    Lines out;
    for (std::string& line : lines(verdict_of({.layers = {base}, .entrypoint = std::move(entrypoint), .cmd = std::move(cmd)}))) {
      if (line.find(" elf-machine ") == line.npos) out.push_back(std::move(line));
    }
    return out;
  };
  EXPECT_EQ(rules({"/sbin/tini", "--"}, {"/app"}), (Lines{"error entrypoint-machine /app 1"}));
  EXPECT_EQ(rules({}, {"/bin/sh", "-c", "exec /app --flag"}), (Lines{"error entrypoint-machine /app 1"}));
  EXPECT_EQ(rules({}, {"/bin/sh", "-c", "./app"}), (Lines{"error entrypoint-machine /app 1"}));
  // A shell's command may be a function, or be tested for first: what is missing there is only a note.
  EXPECT_EQ(rules({}, {"/bin/sh", "-c", "other"}), (Lines{"note entrypoint-missing /other 0"}));
  EXPECT_EQ(rules({}, {"/bin/sh", "-c", "cd /srv && other"}), Lines{});
  EXPECT_EQ(rules({}, {}), Lines{});
}

TEST(EntryPoint, LooksInPathAndWorkingDir) {
  ImageSpec spec{.layers = {{{"srv/bin/app", arm64_program()}, {"opt/tool", arm64_program()}}}, .entrypoint = {"bin/app"}, .working_dir = "/srv"};
  EXPECT_EQ(lines(verdict_of(spec)), Lines{});
  spec.entrypoint = {"tool"};
  EXPECT_EQ(lines(verdict_of(spec)), (Lines{"error entrypoint-missing /tool 0"}));
  spec.env = {"PATH=/bin:/opt"};
  EXPECT_EQ(lines(verdict_of(spec)), Lines{});
}

TEST(EntryPoint, TakesThirtyTwoBitsWhereTheyRun) {
  std::string i386 = elf_file({.machine = EM_386, .elf_class = 1}), arm = elf_file({.machine = EM_ARM, .elf_class = 1});
  EXPECT_TRUE(verdict_of({.platform = {"linux", "amd64"}, .layers = {{{"app", i386}}}, .entrypoint = {"/app"}}).ok());
  EXPECT_EQ(lines(verdict_of({.layers = {{{"app", arm}}}, .entrypoint = {"/app"}})), (Lines{"error entrypoint-machine /app 1", "note elf-32-bit /app 1"}));
}

TEST(EntryPoint, RunsScriptsAsDeepAsTheKernelDoes) {
  auto nested = [](int depth) {
    std::vector<SampleFile> files = {{"s0", arm64_program()}};
    for (int i = 1; i <= depth; ++i) files.push_back({"s" + std::to_string(i), "#!/s" + std::to_string(i - 1) + "\n"});
    return lines(verdict_of({.layers = {files}, .entrypoint = {"/s" + std::to_string(depth)}}));
  };
  EXPECT_EQ(nested(kMaxInterpreters), Lines{});
  EXPECT_EQ(nested(kMaxInterpreters + 1), (Lines{"error entrypoint-loop /s1 1"}));
}

}  // namespace
}  // namespace archway
