#include "audit/finding_id.h"
#include "audit/kubernetes_reader.h"
#include "audit/kustomization_reader.h"
#include "kustomize/builder.h"

namespace archway::audit {

namespace {

// Places as the readers make them count bytes from where the builder has put each text; these are those of the texts' own.
class Placer {
 public:
  Placer(const kustomize::Builder& builder, const std::string& file) : builder_(builder), file_(file) {}

  void place(Collection& part) const {
    for (ImageUse& use : part.uses) {
      // What `images:` chose stands there, a tag by itself.
      if (auto what = builder_.part_at(use.place.begin); what && use.place.line != 0) {
        use.part = *what == kustomize::ImagePart::Tag ? ImageUse::Part::Tag : ImageUse::Part::Repository;
      }
      place(use.place);
    }
    for (Workload& workload : part.workloads) {
      place(workload.place);
      for (ArchClause& clause : workload.placement.clauses) place(clause.place), place(clause.key);
    }
    for (Finding& finding : part.findings) {
      place(finding.place);
      finding.id = finding_id(finding);
    }
  }

 private:
  void place(Place& place) const {
    kustomize::Span span = builder_.locate(place.begin, place.end, place.line, place.column);
    place.source = span.source.empty() ? SharedText(file_) : SharedText(span.source);
    place.document = span.document;
    place.line = span.line;
    place.column = span.column;
    place.begin = span.begin;
    place.end = span.end;
  }

  const kustomize::Builder& builder_;
  const std::string& file_;
};

}  // namespace

namespace {

kustomize::BuildOptions build_options(const CollectOptions& options) {
  kustomize::BuildOptions build{.render = {}, .stop = options.stop};
  if (!options.run_helm || !has_helm()) return build;
  build.render = [stop = options.stop](const kustomize::ChartRequest& chart) {
    HelmRequest request{.folder = chart.folder, .release = chart.release, .name_space = chart.name_space, .more_values = chart.values, .crds = chart.crds, .tests = chart.tests, .hooks = chart.hooks};
    request.options.values_files = chart.values_files;
    request.options.kube_version = chart.kube_version;
    request.options.api_versions = chart.api_versions;
    return helm_template(request, stop).context("helm template failed");
  };
  return build;
}

}  // namespace

struct KustomizationReader::State {
  explicit State(const CollectOptions& options) : builder(build_options(options)) {}
  kustomize::Builder builder;
};

KustomizationReader::KustomizationReader(const CollectOptions& options) : state_(std::make_unique<State>(options)) {}
KustomizationReader::~KustomizationReader() = default;

Collection KustomizationReader::read(const std::string& file, std::set<std::string>& used) {
  const std::string name = plain_path(file);
  std::set<std::string> named;
  kustomize::Build build = state_->builder.build(file, named);
  Collection out;
  out.files = named.size();
  Placer placer(state_->builder, name);
  for (const Value* object : build.objects) {
    Collection part;
    read_kubernetes(*object, Where{name}, part);
    placer.place(part);
    out.merge(std::move(part));
  }
  for (kustomize::Note& note : build.unseen) out.unseen.push_back({std::move(note.what), std::move(note.why)});
  for (kustomize::Note& note : build.skipped) out.skipped.push_back({std::move(note.what), std::move(note.why)});
  used.merge(named);
  return out;
}

Collection collect_kustomization(const std::string& file, const CollectOptions& options, std::set<std::string>& used) { return KustomizationReader(options).read(file, used); }

}  // namespace archway::audit
