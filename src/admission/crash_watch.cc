#include "admission/crash_watch.h"

#include <algorithm>
#include <thread>

#include "base/log.h"
#include "base/text.h"
#include "kube/pod_images.h"

namespace archway::admission {
namespace {

inline constexpr size_t kTailLines = 20;
inline constexpr size_t kMaxNodes = 20'000;  // whose platforms are kept

// Shells end with 126 where a program cannot be run, runc's child with 1 or 255, kubelets say 128; 2 is dash's.
bool may_be_exec_format(int64_t exit_code) {
  return exit_code == 1 || exit_code == 2 || exit_code == 126 || exit_code == 127 || exit_code == 128 || exit_code == 255;
}

// "docker.io/library/app@sha256:..." or "docker-pullable://..." of a status: the digest that was pulled.
std::optional<Digest> digest_of(const std::string& image_id) {
  size_t at = image_id.rfind("sha256:");
  if (at == std::string::npos) return std::nullopt;
  auto digest = Digest::parse(image_id.substr(at));
  if (!digest.ok()) return std::nullopt;
  return *digest;
}

std::string image_of(const Json& pod, const std::string& container, const Json& status) {
  for (const kube::PodImage& image : kube::pod_images(pod["spec"])) {
    if (image.name == container && image.use != kube::PodImage::Use::Volume && !image.image.empty()) return image.image;
  }
  return status["image"].string();
}

std::string message_of(const Crash& crash) {
  std::string where = crash.node.empty() ? "" : " on node " + crash.node + (crash.platform.empty() ? "" : " (" + crash.platform + ")");
  std::string what = crash.kind == CrashKind::NoMatch
                         ? "image " + crash.image + " has nothing for the node's platform"
                         : "image " + crash.image + (crash.certainty == Certainty::Certain ? " holds" : " seems to hold") + " programs of another architecture";
  return what + where + ": container " + crash.container + (crash.owner.empty() ? "" : " of " + crash.owner) + ", seen in its " + crash.seen + ": " + crash.words;
}

std::string one_line(std::string_view words) {
  std::string text;
  for (char c : words.substr(0, kMaxCrashWords)) text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  // No half of a character at its end.
  while (!text.empty() && words.size() > kMaxCrashWords && (static_cast<unsigned char>(text.back()) & 0x80)) text.pop_back();
  return text;
}

// The part of a log that says it.
std::string_view line_with_words(std::string_view log) {
  size_t at = to_lower(log).rfind("exec format error");
  if (at == std::string::npos) return trim(log);
  size_t begin = log.rfind('\n', at);
  begin = begin == std::string_view::npos ? 0 : begin + 1;
  return trim(log.substr(begin, log.find('\n', at) - begin));
}

}  // namespace

CrashWatch::CrashWatch(std::shared_ptr<kube::Client> client, CrashWatchOptions options) : client_(std::move(client)), options_(std::move(options)) {}

CrashCounters CrashWatch::counters() const { return state_.lock()->counters; }

Result<void> CrashWatch::run(std::stop_token stop) {
  using Type = kube::WatchEvent::Type;
  // The kubelet's own words on pulls and starts, kept even where the pod is gone already.
  std::jthread events([&](std::stop_token ended) {
    std::stop_source ending;
    auto forward = [&] { ending.request_stop(); };
    std::stop_callback<decltype(forward)> first(stop, forward), second(ended, forward);
    auto watched = client_->watch(kube::resources::events(), {}, {.field_selector = "type=Warning,involvedObject.kind=Pod"}, [&](const kube::WatchEvent& event) -> Result<void> {
      if (event.type == Type::Added || event.type == Type::Modified) look_at_event(event.object, stop);
      return {};
    }, ending.get_token());
    if (!watched.ok()) log_info("events are not watched for crashes: " + watched.error().message);
  });
  return client_->watch(kube::resources::pods(), {}, {}, [&](const kube::WatchEvent& event) -> Result<void> {
    if (event.type == Type::Added || event.type == Type::Modified) look_at_pod(event.object, stop);
    return {};
  }, stop);
}

void CrashWatch::look_at_pod(const Json& pod, std::stop_token stop) {
  for (std::string_view list : {"initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"}) {
    for (const Json& status : pod["status"][list].items()) look_at_container(pod, status, stop);
  }
}

void CrashWatch::look_at_container(const Json& pod, const Json& status, std::stop_token stop) {
  const Json& waiting = status["state"]["waiting"];
  const Json& ended = status["state"]["terminated"].is_object() ? status["state"]["terminated"] : status["lastState"]["terminated"];
  for (const Json* state : {&waiting, &ended}) {
    const std::string& message = (*state)["message"].string();
    auto sign = sign_in_message(message);
    if (sign) return report(pod, status, *sign, "status", message, stop);
  }
  // A container that ran well for a while and ended badly has other troubles. One that is running now ran.
  bool ran = status["state"]["running"].is_object() || status["ready"].boolean();
  if (ran || !ended.is_object() || !may_be_exec_format(ended["exitCode"].integer())) return;
  auto log = log_of(pod, status, stop);
  if (!log) return;
  auto sign = sign_in_log(*log);
  if (sign) report(pod, status, *sign, "log", line_with_words(*log), stop);
}

// Each container's log is read a few times only, after different ends of it.
std::optional<std::string> CrashWatch::log_of(const Json& pod, const Json& status, std::stop_token stop) {
  if (!options_.read_logs) return std::nullopt;
  const Json& metadata = pod["metadata"];
  std::string key = metadata["uid"].string() + "/" + status["name"].string();
  int64_t ends = status["restartCount"].integer() + 1;
  {
    auto state = state_.lock();
    if (state->logs.size() >= options_.max_remembered) state->logs.clear();
    int64_t& read = state->logs[key];
    if (read >= ends || read >= static_cast<int64_t>(options_.max_logs_per_container)) return std::nullopt;
    read = std::max(read + 1, std::min<int64_t>(ends, static_cast<int64_t>(options_.max_logs_per_container)));
    state->counters.logs_read++;
  }
  bool previous = !status["state"]["terminated"].is_object();
  auto log = client_->log(metadata["namespace"].string(), metadata["name"].string(), status["name"].string(), previous, kTailLines, stop);
  if (!log.ok()) log_debug("reading the log of " + metadata["namespace"].string() + "/" + metadata["name"].string() + ": " + log.error().message);
  if (!log.ok()) return std::nullopt;
  return *std::move(log);
}

void CrashWatch::look_at_event(const Json& event, std::stop_token stop) {
  auto sign = sign_in_message(event["message"].string());
  if (!sign) return;
  const Json& about = event["involvedObject"];
  // Only the kubelet knows: anybody with the right to make events could say such a thing of any image.
  if (event["source"]["component"].string() != "kubelet" && event["reportingComponent"].string() != "kubelet") return;
  auto pod = client_->get(kube::resources::pods(), about["namespace"].string(), about["name"].string(), stop);
  if (!pod.ok() || !((*pod)["metadata"]["uid"] == about["uid"])) return;
  // "spec.containers{app}"
  const std::string& path = about["fieldPath"].string();
  size_t open = path.find('{');
  std::string container = open != std::string::npos && path.ends_with('}') ? path.substr(open + 1, path.size() - open - 2) : "";
  Json none = Json::object({{"name", container}});
  const Json* status = &none;
  for (std::string_view list : {"initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"}) {
    for (const Json& one : (*pod)["status"][list].items()) {
      if (one["name"].string() == container) status = &one;
    }
  }
  report(*pod, *status, *sign, "event", event["message"].string(), stop);
}

bool CrashWatch::first_time(const std::string& key) {
  auto state = state_.lock();
  if (!state->told.insert(key).second) return false;
  state->told_order.push_back(key);
  if (state->told_order.size() > options_.max_remembered) {
    state->told.erase(state->told_order.front());
    state->told_order.pop_front();
  }
  return true;
}

std::string CrashWatch::platform_of(const std::string& node, std::stop_token stop) {
  if (node.empty()) return {};
  {
    auto state = state_.lock();
    auto known = state->platforms.find(node);
    if (known != state->platforms.end()) return known->second;
  }
  auto object = client_->get(kube::resources::nodes(), {}, node, stop);
  if (!object.ok()) return {};
  const Json& labels = (*object)["metadata"]["labels"];
  std::string os = labels["kubernetes.io/os"].string_or("linux"), architecture = labels["kubernetes.io/arch"].string();
  if (architecture.empty()) architecture = (*object)["status"]["nodeInfo"]["architecture"].string();
  auto platform = parse_platform(os + "/" + architecture);
  std::string text = platform.ok() && !architecture.empty() ? platform->str() : "";
  auto state = state_.lock();
  if (state->platforms.size() >= kMaxNodes) state->platforms.clear();
  state->platforms[node] = text;
  return text;
}

void CrashWatch::report(const Json& pod, const Json& status, CrashSign sign, const std::string& seen, std::string_view words, std::stop_token stop) {
  const Json& metadata = pod["metadata"];
  Crash crash;
  crash.kind = sign.kind;
  crash.certainty = sign.certainty;
  crash.container = status["name"].string();
  crash.image = image_of(pod, crash.container, status);
  if (!first_time(metadata["uid"].string() + "\n" + crash.container + "\n" + crash.image + "\n" + std::string(crash_kind_name(sign.kind)))) return;
  crash.name_space = metadata["namespace"].string();
  crash.pod = metadata["name"].string();
  crash.image_id = status["imageID"].string();
  crash.node = pod["spec"]["nodeName"].string();
  crash.platform = platform_of(crash.node, stop);
  crash.owner = owner_of(pod);
  crash.seen = seen;
  crash.words = one_line(words);
  {
    auto state = state_.lock();
    (sign.kind == CrashKind::ExecFormat ? state->counters.exec_format : state->counters.no_match)++;
  }
  log_warn("pod " + crash.name_space + "/" + crash.pod + ": " + message_of(crash));
  if (options_.events) {
    ObjectReference about = ObjectReference::of(pod);
    about.api_version = "v1";
    about.kind = "Pod";
    options_.events->record(about, EventType::Warning, sign.kind == CrashKind::ExecFormat ? "ExecFormatError" : "NoMatchForPlatform", message_of(crash));
  }
  if (options_.on_crash) options_.on_crash(crash);
  if (crash.kind == CrashKind::ExecFormat && crash.certainty == Certainty::Certain) remember(crash, pod, stop);
}

// Only what the image declares for the node's platform can be wrong of it: one that declares none ran there because nobody held it back.
void CrashWatch::remember(const Crash& crash, const Json& pod, std::stop_token stop) {
  auto platform = parse_platform(crash.platform);
  if (!options_.lookup || crash.platform.empty() || !platform.ok()) return;
  auto digest = digest_of(crash.image_id);
  auto reference = Reference::parse(crash.image);
  // What ran is known by its digest; the tag may have moved on.
  std::string name = reference.ok() && digest ? reference->with_digest(*digest).str() : crash.image;
  Keychain keychain = options_.keychain ? options_.keychain(crash.name_space, pod["spec"]) : Keychain();
  auto facts = options_.lookup->look_up(name, keychain, std::chrono::steady_clock::now() + std::chrono::seconds(20), stop);
  if (!facts.ok()) {
    log_info("what crashed is not remembered: looking up " + name + ": " + facts.error().message);
    return;
  }
  std::vector<Platform> declared;
  for (const ImageFacts::Image& image : (*facts)->images) declared.push_back(image.platform);
  auto chosen = choose_platform(*platform, declared, Fallback::Forbid);
  if (!chosen) return;
  const ImageFacts::Image& image = (*facts)->images[*chosen];
  WrongPlatform wrong{image.platform, "exec format error in pod " + crash.name_space + "/" + crash.pod + ", container " + crash.container};
  auto remembered = options_.lookup->remember_wrong(image.manifest, wrong);
  if (remembered.ok()) state_.lock()->counters.remembered++;
  if (!remembered.ok()) log_warn("what crashed is not remembered: " + remembered.error().message);
}

}  // namespace archway::admission
