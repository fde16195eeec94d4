#include "dockerfile/instructions.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dockerfile/syntax.h"

namespace archway::dockerfile {
namespace {

Dockerfile must_parse(std::string_view text) {
  auto file = parse(text, "Dockerfile");
  EXPECT_TRUE(file.ok()) << file.error().message;
  return file.ok() ? std::move(*file) : Dockerfile{};
}

std::string refusal(std::string_view text) {
  auto file = parse(text, "Dockerfile");
  return file.ok() ? "accepted" : file.error().message;
}

// The only instruction of a stage.
template <class T>
T only(std::string_view line) {
  Dockerfile file = must_parse("FROM scratch\n" + std::string(line));
  if (file.stages.size() != 1 || file.stages[0].instructions.size() != 1 || !std::holds_alternative<T>(file.stages[0].instructions[0].what)) {
    ADD_FAILURE() << "not one instruction of that type: " << line;
    return {};
  }
  return std::get<T>(file.stages[0].instructions[0].what);
}

using Strings = std::vector<std::string>;
using RunStep = Run;  // inside a test, Run is GoogleTest's

TEST(Instructions, ReadsStagesAndGlobalArgs) {
  const Dockerfile file = must_parse(
      "# syntax=docker/dockerfile:1\n"
      "ARG VERSION=3.20\n"
      "FROM --platform=$BUILDPLATFORM alpine:${VERSION} AS Build\n"
      "RUN make\n"
      "FROM scratch\n"
      "COPY --from=build /out /\n");
  EXPECT_EQ(file.syntax, "docker/dockerfile:1");
  ASSERT_EQ(file.global_args.size(), 1u);
  ASSERT_EQ(file.stages.size(), 2u);
  EXPECT_EQ(file.stages[0].name, "build");
  EXPECT_EQ(file.stages[0].base, "alpine:${VERSION}");
  EXPECT_EQ(file.stages[0].platform, "$BUILDPLATFORM");
  EXPECT_EQ(file.stages[0].where.first_line, 3);
  EXPECT_EQ(file.stages[0].original, "FROM --platform=$BUILDPLATFORM alpine:${VERSION} AS Build");
  EXPECT_EQ(file.stages[1].name, "");
  EXPECT_EQ(std::get<Copy>(file.stages[1].instructions[0].what).from, "build");
}

TEST(Instructions, KeepsQuotesInNamesAndValues) {
  EXPECT_EQ(only<Env>("ENV a=\"x y\" b='z' c=1\\ 2").values, (Pairs{{"a", "\"x y\""}, {"b", "'z'"}, {"c", "1\\ 2"}}));
  EXPECT_EQ(only<Label>("LABEL \"a b\"=\"c\"").values, (Pairs{{"\"a b\"", "\"c\""}}));
  const Arg arg = only<Arg>("ARG a b= c=\"d e\"");
  ASSERT_EQ(arg.args.size(), 3u);
  EXPECT_EQ(arg.args[0].second, std::nullopt);
  EXPECT_EQ(arg.args[1].second, "");
  EXPECT_EQ(arg.args[2].second, "\"d e\"");
}

TEST(Instructions, ReadsTheOlderFormOfEnvAndWarns) {
  const Dockerfile file = must_parse("FROM scratch\nENV name  some value = x");
  EXPECT_EQ(std::get<Env>(file.stages[0].instructions[0].what).values, (Pairs{{"name", "some value = x"}}));
  ASSERT_EQ(file.warnings.size(), 1u);
  EXPECT_EQ(file.warnings[0],
            "Dockerfile:2: LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format");
}

TEST(Instructions, TellsExecFormFromShellForm) {
  const CommandLine exec = only<Cmd>("CMD [\"a\", \"b\\u00e9\\n\"]").command;
  EXPECT_FALSE(exec.shell);
  EXPECT_EQ(exec.words, (Strings{"a", "bé\n"}));
  const CommandLine shell = only<Entrypoint>("ENTRYPOINT exec  app --x").command;
  EXPECT_TRUE(shell.shell);
  EXPECT_EQ(shell.words, (Strings{"exec  app --x"}));
  const CommandLine broken = only<Cmd>("CMD ['a', 'b']").command;
  EXPECT_TRUE(broken.shell);
  EXPECT_EQ(broken.words, (Strings{"['a', 'b']"}));
  EXPECT_EQ(only<Cmd>("CMD []").command.words, Strings{});
  EXPECT_EQ(only<Cmd>("CMD").command.words, Strings{""});
}

TEST(Instructions, ReadsEveryFlagOfCopyAndAdd) {
  const Copy copy = only<Copy>("COPY --link --parents=false --from=x --chown=1:2 --chmod=755 --exclude=*.a --exclude=b a b /dst/");
  EXPECT_FALSE(copy.add);
  EXPECT_EQ(copy.link, true);
  EXPECT_EQ(copy.parents, false);
  EXPECT_EQ(copy.chown, "1:2");
  EXPECT_EQ(copy.chmod, "755");
  EXPECT_EQ(copy.excludes, (Strings{"*.a", "b"}));
  EXPECT_EQ(copy.sources, (Strings{"a", "b"}));
  EXPECT_EQ(copy.destination, "/dst/");
  const Copy add = only<Copy>("ADD --checksum=sha256:aa --unpack=true --keep-git-dir=false [\"a b\", \"/c\"]");
  EXPECT_TRUE(add.add);
  EXPECT_EQ(add.checksum, "sha256:aa");
  EXPECT_EQ(add.unpack, true);
  EXPECT_EQ(add.keep_git_dir, false);
  EXPECT_EQ(add.link, std::nullopt);
  EXPECT_EQ(add.sources, (Strings{"a b"}));
}

TEST(Instructions, ReadsHeredocsOfCopy) {
  const Copy copy = only<Copy>("COPY <<one <<-\"two\" x /dst/\n$a\n\ttab\none\n\t\tb\n\ttwo\n");
  ASSERT_EQ(copy.inline_files.size(), 2u);
  EXPECT_EQ(copy.inline_files[0].first, "one");
  EXPECT_EQ(copy.inline_files[0].second.content, "$a\n\ttab\n");
  EXPECT_TRUE(copy.inline_files[0].second.expand);
  EXPECT_EQ(copy.inline_files[1].second.content, "b\n");
  EXPECT_FALSE(copy.inline_files[1].second.expand);
  EXPECT_EQ(copy.sources, (Strings{"x"}));
}

TEST(Instructions, ReadsHeredocsOfRun) {
  const Dockerfile file = must_parse("FROM scratch\nRUN <<EOF cat - && \\\n  true\nhi\nEOF\nUSER x\n");
  const Instruction& run = file.stages[0].instructions[0];
  EXPECT_EQ(std::get<RunStep>(run.what).command.words, (Strings{"<<EOF cat - &&   true"}));
  ASSERT_EQ(std::get<RunStep>(run.what).heredocs.size(), 1u);
  EXPECT_EQ(std::get<RunStep>(run.what).heredocs[0].content, "hi\n");
  EXPECT_EQ(run.where.first_line, 2);
  EXPECT_EQ(run.where.last_line, 5);
  EXPECT_EQ(run.original, "RUN <<EOF cat - &&   true");
  EXPECT_TRUE(parse_heredoc("<<EOF"));
  EXPECT_FALSE(parse_heredoc("<<EOF cat"));
  EXPECT_FALSE(parse_heredoc("cat <<EOF"));
  EXPECT_EQ(chomp_heredoc("\t\ta\n\tb\tc\n"), "a\nb\tc\n");
}

TEST(Instructions, LeavesTheShellsOwnArrowsAlone) {
  EXPECT_TRUE(only<RunStep>("RUN echo $((1<<2)) \"<<EOF\" <<<word").heredocs.empty());
  EXPECT_NE(refusal("FROM scratch\nRUN cat <<EOF\nabc\n").find("unterminated heredoc"), std::string::npos);
}

TEST(Instructions, ReadsTheFlagsOfRun) {
  const RunStep run = only<RunStep>("RUN --mount=type=cache,target=/c --mount=type=secret,id=x --network=none --security=insecure make");
  EXPECT_EQ(run.mounts, (Strings{"type=cache,target=/c", "type=secret,id=x"}));
  EXPECT_EQ(run.network, "none");
  EXPECT_EQ(run.security, "insecure");
  EXPECT_EQ(run.command.words, (Strings{"make"}));
  EXPECT_EQ(only<RunStep>("RUN -- --x").command.words, (Strings{"--x"}));
}

TEST(Instructions, ReadsHealthchecks) {
  const auto health = only<HealthcheckInstruction>("HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=0 --retries=3 CMD curl  -f x");
  EXPECT_EQ(health.test, (Strings{"CMD-SHELL", "curl  -f x"}));
  EXPECT_EQ(health.interval, 90'000'000'000);
  EXPECT_EQ(health.timeout, 1'500'000'000);
  EXPECT_EQ(health.start_period, 0);
  EXPECT_EQ(health.retries, 3);
  EXPECT_EQ(only<HealthcheckInstruction>("HEALTHCHECK NONE").test, (Strings{"NONE"}));
  EXPECT_EQ(only<HealthcheckInstruction>("HEALTHCHECK cmd [\"a\",\"b\"]").test, (Strings{"CMD", "a", "b"}));
}

TEST(Instructions, SortsPortsBeforeExpansion) {
  EXPECT_EQ(only<Expose>("EXPOSE 90 $P 80/tcp").ports, (Strings{"$P", "80/tcp", "90"}));
}

TEST(Instructions, KeepsOnbuildAsText) {
  EXPECT_EQ(only<Onbuild>("onbuild  RUN  make  # x").text, "RUN  make  # x");
  const Onbuild heredoc = only<Onbuild>("ONBUILD COPY <<EOF /x\nhi\nEOF");
  EXPECT_EQ(heredoc.text, "COPY <<EOF /x\nhi\nEOF");
  auto triggered = parse_instruction(heredoc.text, "ONBUILD");
  ASSERT_TRUE(triggered.ok()) << triggered.error().message;
  EXPECT_EQ(std::get<Copy>(triggered->what).inline_files[0].second.content, "hi\n");
  EXPECT_FALSE(parse_instruction("FROM x", "ONBUILD").ok());
  EXPECT_FALSE(parse_instruction("RUN a\nRUN b", "ONBUILD").ok());
  EXPECT_FALSE(parse_instruction("", "ONBUILD").ok());
}

TEST(Instructions, RefusesWithPlaceAndLine) {
  EXPECT_EQ(refusal("FROM alpine\n\n  FORM alpine"), "Dockerfile:3:3: unknown instruction: FORM (did you mean FROM?)\n>>>   FORM alpine");
  EXPECT_EQ(refusal("FROM a\nCOPY --form=x a b"), "Dockerfile:2:6: unknown flag: --form (did you mean --from?)\n>>> COPY --form=x a b");
  EXPECT_EQ(refusal("FROM a\nRUN x \\\n  y\nEXPOSE"), "Dockerfile:4:1: EXPOSE requires at least one argument\n>>> EXPOSE");
  EXPECT_EQ(refusal("FROM a\nHEALTHCHECK \\\n  --retries=-1 \\\n CMD x"),
            "Dockerfile:3:3: --retries cannot be negative (-1)\n>>>   --retries=-1 \\");
  EXPECT_EQ(refusal("FROM a\nR\x1b[31mUN x"), "Dockerfile:2:1: unknown instruction: R?[31mUN\n>>> R?[31mUN x");
}

TEST(Instructions, RefusesWhatBuildKitRefuses) {
  const std::pair<const char*, const char*> kCases[] = {
      {"", "file with no instructions"},
      {"# only\n", "file with no instructions"},
      {"ARG a", "no stages to build"},
      {"RUN x", "no build stage in current context"},
      {"FROM", "either one or three"},
      {"FROM a b", "either one or three"},
      {"FROM a AS 1x", "invalid name for build stage"},
      {"FROM a AS x/y", "invalid name for build stage"},
      {"FROM --plattform=x a", "did you mean --platform?"},
      {"FROM --platform a", "missing a value on flag: --platform"},
      {"FROM a\nCOPY x", "at least two arguments"},
      {"FROM a\nCOPY --link=maybe x y", "expecting boolean value for flag --link"},
      {"FROM a\nCOPY --link= x y", "missing a value on flag: --link"},
      {"FROM a\nCOPY --from=a --from=b x y", "duplicate flag specified: --from"},
      {"FROM a\nCOPY x <<EOF\nEOF", "cannot accept a heredoc as a destination"},
      {"FROM a\nADD --from=a x y", "unknown flag: --from"},
      {"FROM a\nSHELL /bin/bash", "JSON"},
      {"FROM a\nSHELL []", "at least one argument"},
      {"FROM a\nRUN []", "at least one argument"},
      {"FROM a\nCMD [\"a\", 1]", "arrays must be comprised of strings only"},
      {"FROM a\nENV x", "ENV must have two arguments"},
      {"FROM a\nENV x=1 y", "can't find = in \"y\""},
      {"FROM a\nENV =1", "names can not be blank"},
      {"FROM a\nARG =1", "names can not be blank"},
      {"FROM a\nVOLUME [\" \"]", "can not be an empty string"},
      {"FROM a\nUSER", "exactly one argument"},
      {"FROM a\nHEALTHCHECK NONE x", "takes no arguments"},
      {"FROM a\nHEALTHCHECK CURL x", "Unknown type"},
      {"FROM a\nHEALTHCHECK CMD", "Missing command"},
      {"FROM a\nHEALTHCHECK --interval=1us CMD x", "cannot be less than 1ms"},
      {"FROM a\nHEALTHCHECK --interval=5 CMD x", "invalid duration"},
      {"FROM a\nHEALTHCHECK --retries=x CMD x", "invalid number"},
      {"FROM a\nONBUILD ONBUILD RUN x", "Chaining ONBUILD"},
      {"FROM a\nONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"},
      {"FROM a\nONBUILD maintainer x", "MAINTAINER isn't allowed as an ONBUILD trigger"},
      {"FROM a\nONBUILD", "at least one argument"},
      {"FROM a\nRUN --network=hots x", "did you mean host?"},
      {"FROM a\nRUN --security=no x", "invalid value"},
      {"FROM a\nRUN --mount=from=$x,target=/a x", "doesn't support variable expansion"},
      {"FROM a\nRUN --mount='a=\"b' x", "reading --mount"},
      {"# escape=x\nFROM a", "invalid escape token"},
      {"# escape=`\n# escape=`\nFROM a", "only one escape parser directive"},
      {"# check=skip\nFROM a", "invalid check option"},
      {"# check=error=true\nFROM a\nMAINTAINER x", "MaintainerDeprecated"},
  };
  for (const auto& [text, message] : kCases) EXPECT_NE(refusal(text).find(message), std::string::npos) << text << "\n" << refusal(text);
}

TEST(Instructions, ObeysDirectivesOnlyAtTheTop) {
  EXPECT_EQ(must_parse("# Escape = `\nFROM a\nRUN x `\n y").stages[0].instructions[0].original, "RUN x  y");
  EXPECT_EQ(must_parse("# hello\n# escape=`\nFROM a").escape, '\\');
  EXPECT_EQ(must_parse("\n# escape=`\nFROM a").escape, '\\');
  EXPECT_EQ(must_parse("# check=skip=all\nFROM a\nMAINTAINER x").warnings, Strings{});
}

TEST(Instructions, ReadsByteOrderMarkAndWindowsLineEnds) {
  const Dockerfile file = must_parse("\xEF\xBB\xBF# escape=`\r\nFROM a\r\nRUN x `\r\n  y\r\n");
  EXPECT_EQ(file.escape, '`');
  EXPECT_EQ(std::get<RunStep>(file.stages[0].instructions[0].what).command.words, (Strings{"x   y"}));
}

TEST(Instructions, JoinsContinuationLinesOverCommentsAndBlanks) {
  const Dockerfile file = must_parse("FROM a\nRUN x && \\  \n# comment \\\n\n  y \\\\\nUSER z \\");
  EXPECT_EQ(std::get<RunStep>(file.stages[0].instructions[0].what).command.words, (Strings{"x &&   y \\\\"}));
  EXPECT_EQ(std::get<User>(file.stages[0].instructions[1].what).user, "z");
  ASSERT_EQ(file.warnings.size(), 1u);
  EXPECT_EQ(file.warnings[0].substr(0, 31), "Dockerfile:5: NoEmptyContinuati");
}

TEST(Instructions, WarnsWhereItIsFree) {
  const Dockerfile file = must_parse("from a AS B\nFROM a as b\nCMD x\nFROM a AS scratch\nSHELL [\"x\"]\nCMD y");
  Strings rules;
  for (const std::string& warning : file.warnings) rules.push_back(warning.substr(0, warning.find(": ", 13)));
  EXPECT_EQ(rules, (Strings{"Dockerfile:1: StageNameCasing", "Dockerfile:1: FromAsCasing", "Dockerfile:2: FromAsCasing",
                            "Dockerfile:2: DuplicateStageName", "Dockerfile:3: JSONArgsRecommended", "Dockerfile:4: ReservedStageName"}));
}

TEST(Instructions, KeepsItsLimits) {
  const std::string line = "FROM a\nRUN " + std::string(kMaxLineBytes - 4, 'x');
  EXPECT_TRUE(parse(line, "D").ok());
  EXPECT_TRUE(parse(line + "\n", "D").ok());
  EXPECT_NE(refusal(line + "x").find("Dockerfile:2:1: dockerfile line greater than max allowed size of 65535"), std::string::npos);

  std::string stages;
  for (size_t i = 0; i < kMaxStages; i++) stages += "FROM a\n";
  EXPECT_TRUE(parse(stages, "D").ok());
  EXPECT_NE(refusal(stages + "FROM a\n").find("more than 1000 stages"), std::string::npos);

  std::string many = "FROM a\n";
  for (size_t i = 1; i < kMaxInstructions; i++) many += "USER x\n";
  EXPECT_TRUE(parse(many, "D").ok());
  EXPECT_NE(refusal(many + "USER x\n").find("more than 20000 instructions"), std::string::npos);

  std::string large = "FROM a\n" + std::string(kMaxDockerfileBytes - 7, '\n');
  EXPECT_TRUE(parse(large, "D").ok());
  EXPECT_NE(refusal(large + "\n").find("longer than"), std::string::npos);
}

TEST(Instructions, ErrorAtNamesThePlace) {
  const Dockerfile file = must_parse("FROM a\n  USER x");
  EXPECT_EQ(error_at(file, "D", file.stages[0].instructions[0].where, "no").message, "D:2:3: no\n>>>   USER x");
  EXPECT_EQ(error_at(file, "D", {99, 99, 1}, "no").message, "D:99:1: no\n>>> ");
}

}  // namespace
}  // namespace archway::dockerfile
