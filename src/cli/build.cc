#include "build/build.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/build_flags.h"
#include "cli/command.h"
#include "cli/registry_access.h"
#include "format/json.h"
#include "image/known_platform.h"

namespace archway::cli {

namespace {

constexpr uint64_t kMaxStdinDockerfile = 16 << 20;

using build::BuildReport;
using build::BuildRequest;
using build::Output;

Result<std::map<std::string, std::string>> pairs(const Arguments& arguments, std::string_view flag) {
  std::map<std::string, std::string> found;
  for (const std::string& text : arguments.many(flag)) {
    auto [key, value] = cut(text, '=');
    if (key.empty()) return usage_error("archway build: --" + std::string(flag) + " " + text + ": there is no name before the =");
    found[std::string(key)] = std::string(value.value_or(""));
  }
  return found;
}

// --build-arg NAME takes the value from the environment, as docker does; unset there, it is not given at all.
Result<std::map<std::string, std::string>> build_args(const Arguments& arguments, const Context& context) {
  std::map<std::string, std::string> found;
  for (const std::string& text : arguments.many("build-arg")) {
    auto [key, value] = cut(text, '=');
    if (key.empty()) return usage_error("archway build: --build-arg " + text + ": there is no name before the =");
    std::string name(key);
    if (value) {
      found[name] = std::string(*value);
    } else if (auto from_environment = context.environment(name)) {
      found[name] = *from_environment;
    }
  }
  return found;
}

Result<std::optional<Time>> source_date_epoch(const std::map<std::string, std::string>& args, const Context& context) {
  auto given = args.find("SOURCE_DATE_EPOCH");
  std::string text = given != args.end() ? given->second : context.environment("SOURCE_DATE_EPOCH").value_or("");
  if (text.empty()) return std::optional<Time>();
  auto seconds = parse_int(text);
  if (!seconds) return usage_error("archway build: SOURCE_DATE_EPOCH=" + text + " is not a number of seconds since 1970");
  return std::optional(Time::from_seconds(*seconds));
}

Result<void> read_stdin_dockerfile(BuildRequest& request) {
  FdSource source(Fd(::fcntl(0, F_DUPFD_CLOEXEC, 0)), "standard input");
  request.dockerfile_text = TRY(read_all(source, kMaxStdinDockerfile, "the Dockerfile on standard input"));
  return {};
}

Result<void> collect_outputs(const Arguments& arguments, const Context& context, BuildRequest& request) {
  if (arguments.has("push")) request.outputs.push_back({.type = Output::Type::Registry});
  for (const std::string& text : arguments.many("output")) {
    auto output = build::parse_output(text);
    if (!output.ok()) return usage_error("archway build: " + output.error().message);
    if (output->dest == "-" && context.terminal_out) return usage_error("archway build: refusing to write an archive to a terminal; give dest=FILE");
    request.outputs.push_back(std::move(*output));
  }
  return {};
}

Result<BuildRequest> make_request(const Arguments& arguments, const Context& context) {
  BuildRequest request;
  request.context = arguments.positional()[0];
  if (request.context == "-") return usage_error("archway build: a context on standard input is not supported; -f - reads a Dockerfile from there");
  if (request.context.find("://") != std::string::npos) return usage_error("archway build: the context must be a folder, not " + request.context);
  auto file = arguments.one("file");
  if (file == "-") {
    TRY(read_stdin_dockerfile(request));
  } else {
    request.dockerfile = file;
  }
  auto platforms = parse_platforms(arguments.many("platform"));
  if (!platforms.ok()) return usage_error("archway build: --platform: " + platforms.error().message);
  for (const Platform& platform : *platforms) {
    auto known = check_known(platform);
    if (!known.ok()) return usage_error("archway build: --platform " + known.error().message);
  }
  request.platforms = std::move(*platforms);
  request.build_args = TRY(build_args(arguments, context));
  request.build_contexts = TRY(pairs(arguments, "build-context"));
  request.labels = TRY(pairs(arguments, "label"));
  request.confidences = TRY(confidences(arguments, context));
  request.target = arguments.one_or("target", "");
  request.tags = arguments.many("tag");
  request.no_cache = arguments.has("no-cache");
  request.pull = arguments.has("pull");
  request.epoch = TRY(source_date_epoch(request.build_args, context));
  TRY(collect_outputs(arguments, context, request));
  request.state_root = state_root(context);
  request.cache_bytes = TRY(cache_limit(arguments, context));
  request.runtime = TRY(runtime_options(arguments));
  request.registry = TRY(make_registry_client(arguments, context));
  auto registry = TRY(registry_options(arguments, context));
  request.http = TRY(HttpClient::create(std::move(registry.http)));
  request.warn = [](const std::string& text) { log_warn(text); };
  return request;
}

// What docker buildx writes with --metadata-file, and each platform's own digest.
Json metadata(const BuildReport& report) {
  Json json = Json::object();
  if (report.images.size() == 1) json.set("containerimage.config.digest", report.images[0].config.digest.str());
  json.set("containerimage.descriptor", descriptor_json(report.root.descriptor));
  json.set("containerimage.digest", report.root.descriptor.digest.str());
  if (!report.names.empty()) json.set("image.name", join(report.names, ","));
  Json platforms = Json::object();
  for (const build::BuiltImage& image : report.images) {
    platforms.set(image.platform.str(), Json::object({{"digest", image.manifest.digest.str()},
                                                      {"config", image.config.digest.str()},
                                                      {"size", static_cast<int64_t>(image.manifest.size)}}));
  }
  json.set("archway.platforms", std::move(platforms));
  return json;
}

Result<void> write_results(const Arguments& arguments, const BuildReport& report) {
  if (auto path = arguments.one("iidfile")) TRY(write_file_atomic(*path, report.root.descriptor.digest.str()));
  if (auto path = arguments.one("metadata-file")) TRY(write_file_atomic(*path, to_json(metadata(report), {.indent = 2}) + "\n"));
  return {};
}

Result<int> run_build(const Arguments& arguments, const Context& context) {
  BuildRequest request = TRY(make_request(arguments, context));
  bool quiet = arguments.has("quiet");
  auto progress = TRY(make_progress(quiet ? "quiet" : arguments.one_or("progress", "auto"), context));
  FdSink standard_output(1);
  request.standard_output = &standard_output;
  auto report = build::build_image(request, *progress, context.stop);
  progress.reset();  // the live view is finished before anything else is printed
  if (!report.ok()) return std::move(report).error();
  TRY(write_results(arguments, *report));
  bool stdout_taken = false;
  for (const Output& output : request.outputs) stdout_taken |= output.dest == "-";
  if (stdout_taken) return kOk;
  if (arguments.has("json")) {
    context.out(to_json(metadata(*report), {.indent = 2}) + "\n");
  } else {
    context.out(report->root.descriptor.digest.str() + "\n");
  }
  if (request.outputs.empty() && !quiet) {
    log_warn("no output was asked for, so the result is only in the build cache; --push sends it to a registry, -o type=oci,dest=FILE writes it to a file");
  }
  return kOk;
}

}  // namespace

Command build_command() {
  using enum Flag::Kind;
  Command command;
  command.name = "build";
  command.summary = "Build one Dockerfile for many platforms";
  command.usage = "archway build [flags] CONTEXT";
  command.description =
      "Builds the Dockerfile in the folder CONTEXT for each platform, as one graph: equal work is done once. With --push the images\n"
      "go to a registry under one name, an image index; the tag moves last. Prints the digest.\n\n"
      "  archway build --platform linux/amd64,linux/arm64 -t registry.example.org/app:1.0 --push .\n"
      "  archway build --platform linux/arm64 -o type=oci,dest=app.tar .\n";
  command.flags = {
      {"platform", 0, Many, "PLATFORMS", "platforms to build for, by commas: linux/amd64,linux/arm64"},
      {"tag", 't', Many, "NAME", "name of the result: REGISTRY/REPOSITORY:TAG"},
      {"file", 'f', One, "FILE", "the Dockerfile (default CONTEXT/Dockerfile; - for standard input)"},
      {"push", 0, Bool, "", "push to the registries of the tags; short for -o type=registry"},
      {"output", 'o', Many, "SPEC", "type=registry|oci|docker|local|tar,dest=PATH[,tar=false][,name=NAME]"},
      {"build-arg", 0, Many, "NAME[=VALUE]", "value of an ARG"},
      {"build-context", 0, Many, "NAME=WHERE", "named context: a folder, docker-image://REF or oci-layout://FOLDER[:TAG]"},
      {"secret", 0, Many, "SPEC", "for RUN --mount=type=secret: id=ID[,src=FILE | ,env=VARIABLE]"},
      {"ssh", 0, Many, "ID[=SOCKET]", "for RUN --mount=type=ssh: an ssh-agent (default: that of SSH_AUTH_SOCK)"},
      {"target", 0, One, "STAGE", "stage to build (default: the last)"},
      {"label", 0, Many, "KEY=VALUE", "label of the image"},
      {"no-cache", 0, Bool, "", "run every step anew"},
      {"pull", 0, Bool, "", "insist on asking the registry what a base's tag names"},
      {"iidfile", 0, One, "FILE", "write the digest to a file"},
      {"metadata-file", 0, One, "FILE", "write digests as JSON, as docker buildx does"},
      {"progress", 0, One, "KIND", "auto, tty, plain, rawjson or quiet"},
      {"quiet", 'q', Bool, "", "no progress; print the digest only"},
      {"json", 0, Bool, "", "print the result as JSON"},
  };
  for (Flag& flag : runtime_flags()) command.flags.push_back(std::move(flag));
  command.flags.push_back({"cache-size", 0, One, "SIZE", "what the cache may keep, such as 20GB (default 20GB; ARCHWAY_CACHE_SIZE)"});
  for (Flag& flag : registry_flags()) command.flags.push_back(std::move(flag));
  command.min_positional = command.max_positional = 1;
  command.needs_user_namespace = true;
  command.run = run_build;
  return command;
}

}  // namespace archway::cli
