#include "audit/helm.h"

#include "base/fd.h"
#include "base/process.h"
#include "base/text.h"

namespace archway::audit {

namespace {

constexpr size_t kMaxMessageBytes = 600;

// The last error that helm printed, as one line.
std::string message_of(const std::string& text) {
  std::string message;
  bool begun = false;
  for (const std::string& line : split(text, '\n')) {
    std::string_view part = trim(line);
    if (part.starts_with("Error: ")) {
      message.clear();
      begun = true;
      part.remove_prefix(7);
    }
    if (part.empty() || part.starts_with("Use --debug") || part.starts_with("WARNING:") || (!begun && part.starts_with("level="))) continue;
    message += (message.empty() ? "" : " ") + std::string(part);
  }
  if (message.size() > kMaxMessageBytes) message = message.substr(0, kMaxMessageBytes) + "...";
  return message;
}

std::vector<std::string> environment(const std::string& home) {
  // Nobody listens there: whatever would ask a network gets an answer at once.
  const std::string nowhere = "http://127.0.0.1:9";
  return {"PATH=/usr/bin:/bin", "HOME=" + home, "HELM_CACHE_HOME=" + home + "/cache", "HELM_CONFIG_HOME=" + home + "/config", "HELM_DATA_HOME=" + home + "/data",
          "HELM_PLUGINS=" + home + "/plugins", "KUBECONFIG=" + home + "/kubeconfig", "HTTP_PROXY=" + nowhere, "HTTPS_PROXY=" + nowhere, "http_proxy=" + nowhere, "https_proxy=" + nowhere};
}

}  // namespace

bool has_helm() { return find_program("helm").has_value(); }

Result<std::string> helm_template(const HelmRequest& request, std::stop_token stop) {
  auto program = find_program("helm");
  if (!program) return Error{Code::NotFound, "helm is not installed"};
  TempDir home = TRY(TempDir::create("/tmp", "archway-helm-"));
  std::vector<std::string> words = {"/bin/sh", "-c", "ulimit -v " + std::to_string(kHelmMemoryKilobytes) + "; exec \"$@\"", "sh", *program, "template", request.release, request.folder};
  auto add = [&](const std::string& flag, const std::string& value) {
    words.push_back(flag);
    words.push_back(value);
  };
  if (request.crds) words.push_back("--include-crds");
  if (!request.tests) words.push_back("--skip-tests");
  if (!request.hooks) words.push_back("--no-hooks");
  if (!request.name_space.empty()) add("--namespace", request.name_space);
  if (!request.options.kube_version.empty()) add("--kube-version", request.options.kube_version);
  for (const std::string& version : request.options.api_versions) add("--api-versions", version);
  for (const std::string& file : request.options.values_files) add("--values", file);
  if (!request.more_values.empty()) {
    TRY(write_file_atomic(home / "values.yaml", request.more_values));
    add("--values", home / "values.yaml");
  }
  for (const auto& [flag, value] : request.options.settings) add(flag, value);
  ProcessOptions process;
  process.environment = environment(home.path());
  process.timeout = std::chrono::seconds(kHelmTimeoutSeconds);
  process.output_limit_bytes = kMaxRenderedBytes;
  auto run = run_process(words, process, stop);
  if (!run.ok()) return std::move(run).error();
  if (run->exit_code != 0) return Error{Code::Invalid, message_of(run->err)};
  return std::move(run->out);
}

}  // namespace archway::audit
