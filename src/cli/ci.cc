#include <unistd.h>

#include <algorithm>

#include "audit/readers.h"
#include "base/check.h"
#include "base/fd.h"
#include "base/text.h"
#include "ci/check.h"
#include "ci/pipeline.h"
#include "cli/ci_commands.h"
#include "dockerfile/syntax.h"
#include "format/json.h"
#include "image/reference.h"

namespace archway::cli {

namespace {

using namespace ci;

constexpr size_t kMaxAnswerBytes = 200;

struct FileFindings {
  std::string file;
  System system = System::GitLab;
  std::vector<ci::Finding> findings;
};

Result<std::string> read_whole(const std::string& path, uint64_t limit) { return read_file(path == "-" ? "/dev/stdin" : path, limit); }

ci::Severity severity_of(audit::Finding::Severity severity) {
  if (severity == audit::Finding::Severity::Error) return ci::Severity::Error;
  return severity == audit::Finding::Severity::Warning ? ci::Severity::Warning : ci::Severity::Note;
}

// What the audit knows of a Dockerfile by its text alone (audit.md 5.6).
Result<std::vector<ci::Finding>> dockerfile_findings(const std::string& path) {
  std::string text = TRY(read_file(path, dockerfile::kMaxDockerfileBytes).context("reading the Dockerfile"));
  audit::Collection collection;
  audit::read_dockerfile(text, path, collection);
  if (!collection.unseen.empty()) return Error{Code::Invalid, path + " could not be read: " + collection.unseen.front().why};
  std::vector<ci::Finding> found;
  for (const audit::Finding& finding : collection.findings) {
    found.push_back({finding.rule, severity_of(finding.severity), finding.place.line, finding.place.column, "", finding.message, finding.advice});
  }
  return found;
}

std::string text_of(const FileFindings& file) {
  std::string text;
  for (const ci::Finding& finding : file.findings) {
    text += file.file + ":" + std::to_string(finding.line) + ":" + std::to_string(finding.column) + ": " + std::string(severity_name(finding.severity)) + ": " + finding.message + " [" + finding.rule + "]\n";
    if (!finding.advice.empty()) text += "    " + finding.advice + "\n";
  }
  return text;
}

Json json_of(const FileFindings& file) {
  Json list = Json::array();
  for (const ci::Finding& finding : file.findings) {
    list.push(Json::object({{"rule", finding.rule}, {"severity", severity_name(finding.severity)}, {"line", finding.line}, {"column", finding.column}, {"job", finding.job}, {"message", finding.message},
                            {"advice", finding.advice}}));
  }
  return Json::object({{"file", file.file}, {"system", system_name(file.system)}, {"findings", std::move(list)}});
}

// ---- check

Result<FileFindings> check_file(const std::string& path, std::optional<System> system) {
  std::string text = TRY(read_whole(path, kMaxPipelineBytes));
  FileFindings file{.file = path == "-" ? "stdin" : path, .findings = {}};
  file.system = system ? *system : TRY(recognize_system(path, text));
  file.findings = TRY(check_pipeline(file.system, text).context(file.file));
  return file;
}

Result<int> check_files(const std::vector<std::string>& paths, std::optional<System> system, const Arguments& arguments, const Context& context) {
  std::vector<FileFindings> files;
  Json unseen = Json::array();
  for (const std::string& path : paths) {
    auto file = check_file(path, system);
    if (file.ok()) {
      files.push_back(std::move(*file));
    } else if (paths.size() == 1) {
      return file.error();
    } else {
      // One file that cannot be read must not hide what is wrong with the others.
      unseen.push(Json::object({{"file", path}, {"why", file.error().message}}));
      context.err("archway: " + file.error().message + "\n");
    }
  }
  for (const std::string& path : arguments.many("dockerfile")) {
    auto findings = TRY(dockerfile_findings(path));
    files.push_back({path, files.empty() ? System::GitLab : files.front().system, std::move(findings)});
  }
  size_t errors = 0, warnings = 0, notes = 0;
  std::string text;
  Json list = Json::array();
  for (const FileFindings& file : files) {
    for (const ci::Finding& finding : file.findings) ++(finding.severity == ci::Severity::Error ? errors : finding.severity == ci::Severity::Warning ? warnings : notes);
    text += text_of(file);
    list.push(json_of(file));
  }
  if (arguments.has("json")) {
    Json summary = Json::object({{"errors", errors}, {"warnings", warnings}, {"notes", notes}});
    context.out(to_json(Json::object({{"files", std::move(list)}, {"summary", std::move(summary)}, {"unseen", unseen}}), {.indent = 2}) + "\n");
  } else {
    auto counted = [](size_t count, const char* what) { return std::to_string(count) + " " + what + (count == 1 ? "" : "s"); };
    context.out(text + counted(errors, "error") + ", " + counted(warnings, "warning") + ", " + counted(notes, "note") + "\n");
  }
  if (errors + warnings > 0) return kFoundProblems;
  return unseen.size() > 0 ? kCouldNot : kOk;
}

Result<int> run_check(const Arguments& arguments, const Context& context) {
  std::optional<System> system;
  if (auto name = arguments.one("system")) {
    system = parse_system(*name);
    if (!system) return usage_error("archway ci check: --system " + *name + " is none of gitlab, github, codebuild, jenkins, circleci, tekton");
  }
  return check_files(arguments.positional(), system, arguments, context);
}

// ---- write

// On a terminal, asks; elsewhere buildx, which every system's machines have.
Result<Builder> builder_of(const Arguments& arguments, const Context& context) {
  std::string answer = arguments.one_or("builder", "");
  if (answer.empty() && context.terminal_err && ::isatty(0)) {
    context.err("Build with docker buildx, or with archway (needs no docker daemon)? [buildx] ");
    for (char c = 0; answer.size() < kMaxAnswerBytes && ::read(0, &c, 1) == 1 && c != '\n';) answer += c;
    answer = trim(answer);
  }
  if (answer.empty() || answer == "buildx") return Builder::Buildx;
  if (answer == "archway") return Builder::Archway;
  return usage_error("archway ci: --builder " + answer + " is neither archway nor buildx");
}

Result<PipelineRequest> request_of(System system, const Arguments& arguments, const Context& context) {
  if (arguments.has("native") && arguments.has("emulate")) return usage_error("archway ci: --native and --emulate exclude each other");
  PipelineRequest request{.system = system};
  request.machines = arguments.has("emulate") ? Machines::Emulated : Machines::Native;
  request.image = arguments.one_or("image", "");
  if (!request.image.empty()) {
    auto reference = TRY(Reference::parse(request.image).context("--image"));
    bool bare = reference.name() == request.image || reference.familiar() == request.image + ":latest";
    if (!bare) return usage_error("archway ci: --image is a name without a tag; --tag gives that");
  }
  request.tag = arguments.one_or("tag", request.tag);
  request.branch = arguments.one_or("branch", request.branch);
  request.context = arguments.one_or("context", request.context);
  request.dockerfile = arguments.one_or("dockerfile", request.context == "." ? "Dockerfile" : request.context + "/Dockerfile");
  request.smoke_test = arguments.one_or("smoke-test", "");
  request.archway_from = arguments.one_or("archway-from", "");
  request.builder = TRY(builder_of(arguments, context));
  return request;
}

// Whether the Dockerfile builds the same thing for every platform whatever the pipeline does; prints what is wrong.
Result<bool> dockerfile_is_fit(const std::string& path, const Context& context) {
  FileFindings file{.file = path, .findings = TRY(dockerfile_findings(path))};
  std::erase_if(file.findings, [](const ci::Finding& finding) { return finding.severity != ci::Severity::Error; });
  if (file.findings.empty()) return true;
  context.err(text_of(file) + "archway: no pipeline can build " + path + " for both platforms before this is mended\nhint: archway fix " + path + "\n");
  return false;
}

Result<int> run_write(System system, const Arguments& arguments, const Context& context) {
  if (arguments.has("check")) return check_files(arguments.many("check"), system, arguments, context);
  if (arguments.has("json")) return usage_error("archway ci: --json goes with --check; a pipeline is what its system reads");
  PipelineRequest request = TRY(request_of(system, arguments, context));
  if (auto path = arguments.one("dockerfile")) {
    bool fit = TRY(dockerfile_is_fit(*path, context));
    if (!fit) return kFoundProblems;
  }
  std::string text = TRY(write_pipeline(request));
  auto output = arguments.one("output");
  if (!output || *output == "-") {
    context.out(text);
    return kOk;
  }
  TRY(write_file_atomic(*output, text));
  context.err("wrote " + *output + (request.archway_from.empty() ? "; set ARCHWAY_IMAGE as it says, or write it again with --archway-from" : "") + "\n");
  return kOk;
}

std::vector<Flag> write_flags() {
  using enum Flag::Kind;
  return {{"builder", 0, One, "NAME", "archway or buildx (asked on a terminal; default buildx)"},
          {"native", 0, Bool, "", "a machine of its own kind for each platform, and a job that joins (default)"},
          {"emulate", 0, Bool, "", "one machine for both, with QEMU"},
          {"image", 0, One, "NAME", "where the image goes, without a tag (default: the system's own registry, or a setting)"},
          {"tag", 't', One, "TAG", "the tag that others pull, moved last (default latest)"},
          {"branch", 0, One, "NAME", "whose builds move it (default main)"},
          {"context", 0, One, "DIR", "the build context (default .)"},
          {"dockerfile", 'f', Many, "FILE", "the Dockerfile (default DIR/Dockerfile); given, it is looked at first"},
          {"smoke-test", 0, One, "COMMAND", "run in the image on each platform, such as \"app --version\""},
          {"archway-from", 0, One, "WHERE", "where CI gets archway: https://... with {arch}, or an image (default: the setting ARCHWAY_IMAGE)"},
          {"output", 'o', One, "FILE", "write the pipeline there (default: standard output)"},
          {"check", 0, Many, "FILE", "look at a pipeline that you have"},
          {"json", 0, Bool, "", "print what --check found as JSON"}};
}

std::string title(System system) {
  switch (system) {
    case System::GitLab: return "GitLab CI";
    case System::GitHub: return "GitHub Actions";
    case System::CodeBuild: return "AWS CodeBuild";
    case System::Jenkins: return "Jenkins";
    case System::CircleCi: return "CircleCI";
    case System::Tekton: break;
  }
  return "Tekton";
}

Command command_for(System system) {
  Command command;
  std::string name(system_name(system)), file(usual_file(system));
  command.name = "ci " + name;
  command.summary = "Write (or check) a pipeline for both platforms: " + title(system);
  command.usage = "archway ci " + name + " [flags]\n  archway ci " + name + " --check FILE";
  command.description =
      "Writes a commented pipeline that builds for linux/amd64 and linux/arm64: natively and joined, or emulated; tried on each platform;\n"
      "proved with `archway verify`; the tag that others pull moves last, and changes under review push nothing. With --check, finds what\n"
      "people get wrong in a pipeline they have (exit status 1).\n\n"
      "  archway ci " + name + " --image registry.example.com/team/app --smoke-test 'app --version' -o " + file + "\n"
      "  archway ci " + name + " --check " + file;
  command.flags = write_flags();
  command.run = [system](const Arguments& arguments, const Context& context) { return run_write(system, arguments, context); };
  return command;
}

}  // namespace

Command ci_command(std::string_view name) {
  auto system = parse_system(name);
  CHECK(system);
  return command_for(*system);
}

Command ci_check_command() {
  Command command;
  command.name = "ci check";
  command.summary = "Find what people get wrong in pipelines for several platforms";
  command.usage = "archway ci check [flags] FILE...";
  command.description =
      "Which system a file is for is known by its name or by what it holds. Exit status: 0 nothing but notes, 1 errors or warnings, 2 a file\n"
      "could not be read.\n\n"
      "  archway ci check .gitlab-ci.yml\n"
      "  archway ci check --dockerfile Dockerfile .github/workflows/*.yml";
  command.flags = {{"system", 0, Flag::Kind::One, "NAME", "gitlab, github, codebuild, jenkins, circleci or tekton"},
                   {"dockerfile", 'f', Flag::Kind::Many, "FILE", "look at what it builds, too"},
                   {"json", 0, Flag::Kind::Bool, "", "print as JSON"}};
  command.min_positional = 1;
  command.max_positional = 1000;
  command.run = run_check;
  return command;
}

}  // namespace archway::cli
