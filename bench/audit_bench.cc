#include <fcntl.h>
#include <yaml.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <sys/resource.h>

#include "audit/audit.h"
#include "audit/collect.h"
#include "audit/report.h"
#include "base/check.h"
#include "base/fd.h"
#include "base/thread_pool.h"

// How long `audit` takes to find images, against libyaml doing nothing but parse.
//     audit_bench make FOLDER [FILES [BYTES]]   makes manifests: by default 10,000 files, 200 MB
//     audit_bench pods FILE [PODS]              makes a dump of pods: by default 150,000
//     audit_bench read FOLDER|FILE [THREADS]    collects; prints images, seconds and memory
//     audit_bench libyaml FOLDER [THREADS]      events only, of the same files
//     audit_bench audit FOLDER|FILE [IMAGES]    all that the verb does, step by step; IMAGES as --images reads it, and nobody else is asked
namespace archway {
namespace {

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::string workload(size_t i) {
  std::string n = std::to_string(i);
  return "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-" + n + "\n  namespace: team-" + std::to_string(i % 50) + "\n  labels:\n    app.kubernetes.io/name: app\n    app.kubernetes.io/part-of: shop\n" +
         "spec:\n  replicas: 3\n  selector:\n    matchLabels:\n      app: app-" + n + "\n  template:\n    metadata:\n      labels:\n        app: app-" + n + "\n    spec:\n      serviceAccountName: app\n" +
         "      containers:\n      - name: main\n        image: registry.example.org/team/app-" + std::to_string(i % 2000) + ":v1." + std::to_string(i % 30) + ".0\n        args: [\"--port=8080\", \"--log-level=info\"]\n" +
         "        env:\n        - name: DATABASE_URL\n          value: \"postgres://db.shop.svc:5432/app\"\n        - name: FEATURES\n          valueFrom:\n            configMapKeyRef: {name: features, key: list}\n" +
         "        resources:\n          requests: {cpu: 100m, memory: 128Mi}\n          limits:\n            memory: 256Mi\n        readinessProbe:\n          httpGet:\n            path: /healthz\n            port: 8080\n---\n";
}

std::string service(size_t i) {
  std::string n = std::to_string(i);
  return "apiVersion: v1\nkind: Service\nmetadata:\n  name: app-" + n + "\n  # who is asked when it fails\n  annotations: {owner: \"team-" + std::to_string(i % 50) + "\"}\nspec:\n  ports:\n  - name: http\n    port: 80\n    targetPort: 8080\n  selector:\n    app: app-" + n + "\n---\n";
}

std::string rights(size_t i) {
  return "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: reader-" + std::to_string(i) + "\nrules:\n- apiGroups: [\"\"]\n  resources: [\"configmaps\", \"secrets\"]\n  verbs: [\"get\", \"list\", \"watch\"]\n- apiGroups: [\"apps\"]\n  resources: [\"deployments\"]\n  verbs: [\"get\"]\n---\n";
}

void make(const std::string& folder, size_t files, size_t bytes) {
  CHECK(make_directories(folder).ok());
  size_t object = 0;
  for (size_t i = 0; i < files; ++i) {
    std::string text;
    while (text.size() < bytes / files) text += workload(object) + service(object) + rights(object), ++object;
    auto file = open_file(folder + "/f" + std::to_string(i) + ".yaml", O_WRONLY | O_CREAT | O_TRUNC);
    CHECK(file.ok() && write_all(file->get(), as_bytes(text)).ok());
  }
}

void make_pods(const std::string& file, size_t pods) {
  FILE* out = std::fopen(file.c_str(), "w");
  CHECK(out != nullptr);
  std::fputs("{\"kind\":\"List\",\"apiVersion\":\"v1\",\"items\":[", out);
  for (size_t i = 0; i < pods; ++i) {
    size_t app = i / 3;
    std::fprintf(out, "%s{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"app-%zu-6d4b75cb6d-x%zu\",\"namespace\":\"team-%zu\",\"uid\":\"%zu\",\"labels\":{\"app\":\"app-%zu\",\"pod-template-hash\":\"6d4b75cb6d\"},"
                 "\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"app-%zu-6d4b75cb6d\",\"uid\":\"1\",\"controller\":true}],\"managedFields\":[{\"manager\":\"kubelet\",\"operation\":\"Update\",\"fieldsV1\":{\"f:metadata\":{\"f:labels\":{\"f:app\":{}}},\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"main\\\"}\":{\"f:image\":{},\"f:name\":{}}}}}}]},"
                 "\"spec\":{\"nodeName\":\"node-%zu\",\"serviceAccountName\":\"default\",\"containers\":[{\"name\":\"main\",\"image\":\"registry.example.org/team/app-%zu:v1.2.0\",\"env\":[{\"name\":\"A\",\"value\":\"postgres://db:5432/x\"}],\"resources\":{\"requests\":{\"cpu\":\"100m\",\"memory\":\"128Mi\"}},\"volumeMounts\":[{\"name\":\"t\",\"mountPath\":\"/var/run/secrets\"}]},"
                 "{\"name\":\"proxy\",\"image\":\"docker.io/envoyproxy/envoy:v1.30.1\",\"args\":[\"--concurrency\",\"2\"]}],\"volumes\":[{\"name\":\"t\",\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"path\":\"token\"}}]}}],"
                 "\"tolerations\":[{\"key\":\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":300}]},\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}],\"containerStatuses\":[{\"name\":\"main\",\"image\":\"x\",\"imageID\":\"y\"}]}}",
                 i == 0 ? "" : ",", app, i, app % 50, i, app, app, i % 5000, app % 2000);
  }
  std::fputs("]}", out);
  std::fclose(out);
}

size_t events_of(const std::string& text) {
  yaml_parser_t parser;
  yaml_parser_initialize(&parser);
  yaml_parser_set_input_string(&parser, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  size_t count = 0;
  for (bool end = false; !end; ++count) {
    yaml_event_t event;
    CHECK(yaml_parser_parse(&parser, &event));
    end = event.type == YAML_STREAM_END_EVENT;
    yaml_event_delete(&event);
  }
  yaml_parser_delete(&parser);
  return count;
}

void libyaml(const std::string& folder, size_t threads) {
  std::vector<std::string> files;
  for (size_t i = 0; path_exists(folder + "/f" + std::to_string(i) + ".yaml"); ++i) files.push_back(folder + "/f" + std::to_string(i) + ".yaml");
  std::atomic<size_t> events = 0;
  auto done = parallel_for(files.size(), threads, [&](size_t i) -> Result<void> {
    events += events_of(TRY(read_file(files[i], 256 << 20)));
    return {};
  });
  CHECK(done.ok());
  std::printf("%zu events", events.load());
}

// Seconds since the last step; of all processors, and of this thread, which is what it would take if nobody else were about.
class Steps {
 public:
  void done(const char* step) {
    std::printf("%s %.3f s (%.3f, %.3f); ", step, seconds() - seconds_, cpu_seconds() - cpu_, thread_seconds() - thread_);
    seconds_ = seconds();
    cpu_ = cpu_seconds();
    thread_ = thread_seconds();
  }

 private:
  static double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
  static double thread_seconds() {
    timespec now = {};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  }
  double seconds_ = seconds(), cpu_ = cpu_seconds(), thread_ = thread_seconds();
};

void audit_all(const std::string& path, const std::string& images) {
  Steps steps;
  ImageLookupOptions known;
  known.offline = true;
  if (!images.empty()) known.known = parse_truths(read_file(images, kMaxTruthBytes).value()).value();
  auto lookup = ImageLookup::open(std::move(known)).value();
  steps.done("images");
  audit::Collection all;
  all.merge(audit::collect_path(path, {}));
  steps.done("collect");
  all.settle();
  steps.done("settle");
  audit::AuditOptions options;
  options.platforms = {Platform{"linux", "arm64"}};
  audit::Audit audit = audit::judge(std::move(all), *lookup, options);
  steps.done("judge");
  audit::Report report;
  report.audit = &audit;
  size_t text = audit::text_report(report, {}).size();
  steps.done("text");
  size_t json = audit::json_report(report).size();
  steps.done("json");
  std::printf("%zu findings, %zu and %zu bytes", audit.findings.size(), text, json);
}

void read(const std::string& path, size_t threads) {
  audit::Collection all = audit::collect_path(path, {.threads = threads});
  all.settle();
  std::printf("%zu uses, %zu workloads, %zu not seen", all.uses.size(), all.workloads.size(), all.unseen.size());
}

}  // namespace
}  // namespace archway

int main(int argc, char** argv) {
  using namespace archway;
  std::string verb = argc > 1 ? argv[1] : "", path = argc > 2 ? argv[2] : "";
  auto number = [&](int at, size_t otherwise) { return argc > at ? std::strtoul(argv[at], nullptr, 10) : otherwise; };
  auto begun = std::chrono::steady_clock::now();
  if (verb == "make") make(path, number(3, 10'000), number(4, 200'000'000));
  else if (verb == "pods") make_pods(path, number(3, 150'000));
  else if (verb == "read") read(path, number(3, 2));
  else if (verb == "libyaml") libyaml(path, number(3, 2));
  else if (verb == "audit") audit_all(path, argc > 3 ? argv[3] : "");
  else return 64;
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  std::printf("; %.2f s, %.2f s of processors, %ld MB\n", seconds, cpu_seconds(), usage.ru_maxrss / 1024);
}
