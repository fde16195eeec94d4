#include "catalog/catalog.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace archway::catalog {
namespace {

Reference reference(std::string_view text) { return *Reference::parse(text); }

constexpr std::string_view kSmall = R"(schema: archway.catalog/v1
as_of: "2026-11"
sources:
- {id: guide, title: A guide, date: "2022"}
- {id: board, title: A board, date: "2026-08-19"}
products:
- id: mesh
  name: The Mesh
  also_called: [메시]
  images: [example.org/mesh/pilot, "*.example.net/mesh/**"]
  claims:
  - {applies_to: binary, since: "1.6.0", source: guide, url: https://example.org}
  - {applies_to: image, since: "1.15.0", source: guide, url: https://example.org}
  - {applies_to: release, since: "1.6.0-alpha.1", source: board, url: https://example.org}
moves:
- {from: old.example.org/mesh/pilot, to: example.org/mesh/pilot, why: moved house, source: guide}
- {from: "k8s.example.org/**", to: "registry.example.org/**", same_content: yes, why: frozen, source: board}
- {from: example.org/mesh/tool, to: example.org/other/tool, replacement: yes, why: other settings, source: guide}
)";

Catalog small() {
  auto catalog = Catalog::parse(kSmall, "small.yaml");
  EXPECT_TRUE(catalog.ok()) << catalog.error().message;
  return std::move(*catalog);
}

std::vector<std::string> ids(const std::vector<const Product*>& products) {
  std::vector<std::string> out;
  for (const Product* product : products) out.push_back(product->id);
  return out;
}

// ---- what ships

TEST(BuiltinCatalog, HasTheArticlesProducts) {
  auto parsed = Catalog::parse("schema: archway.catalog/v1", "empty.yaml");
  EXPECT_TRUE(parsed.ok());
  size_t in_tables = 0;
  std::map<std::string, size_t> rows;
  for (const Product& product : Catalog::builtin().products()) {
    in_tables += product.in_tables;
    for (const Row& row : product.rows) rows[row.source] += !row.prose;
  }
  EXPECT_EQ(in_tables, 54u);
  EXPECT_EQ(rows, (std::map<std::string, size_t>{{"arm64-guide", 40}, {"graviton-guide", 43}, {"graviton-guide-ko", 54}, {"cluster-article", 0}}));
}

TEST(BuiltinCatalog, KeepsSourceAndDateOfEveryClaim) {
  for (const Product& product : Catalog::builtin().products()) {
    EXPECT_FALSE(product.home.empty()) << product.id;
    for (const Claim& claim : product.claims) {
      EXPECT_FALSE(claim.sources.empty() || claim.date.empty() || claim.url.empty()) << product.id;
      EXPECT_GT(claim.origin.line, 0u);
    }
  }
}

TEST(BuiltinCatalog, TranslatesEveryKoreanNote) {
  for (const Product& product : Catalog::builtin().products()) {
    for (const Row& row : product.rows) {
      bool korean = std::any_of(row.note.begin(), row.note.end(), [](char c) { return static_cast<unsigned char>(c) >= 0xe0; });
      EXPECT_TRUE(!korean || !row.english.empty()) << product.id << ": " << row.note;
    }
  }
}

// One image must not lead to two products, nor a move to a name that moved again: a rule that can never match, or matches twice, is a
// mistake in the data (the porting advisor's "rockdbjni").
TEST(BuiltinCatalog, NamesEachImageOnceAndMovesItToItsEnd) {
  const Catalog& catalog = Catalog::builtin();
  std::set<std::string> seen;
  for (const Product& product : catalog.products()) {
    for (const NamePattern& name : product.images) {
      EXPECT_TRUE(seen.insert(name.str()).second) << name.str();
      if (name.has_wildcards()) continue;
      EXPECT_EQ(catalog.product_of(reference(name.str())), &product) << name.str();
    }
  }
  for (const Move& move : catalog.moves()) {
    std::vector<std::string> words(move.from.wildcards(), "x");
    const Move* used = catalog.move_of(reference(move.from.filled(words)));
    ASSERT_TRUE(used);
    EXPECT_EQ(used->from.str(), move.from.str()) << "an earlier move takes it";
    EXPECT_FALSE(catalog.move_of(reference(move.to.filled(words)))) << move.to.str();
  }
}

TEST(BuiltinCatalog, ShowsTheConflictsOfItsSources) {
  const Catalog& catalog = Catalog::builtin();
  for (const char* id : {"istio", "envoy", "jaeger", "cilium", "argo-cd", "kube-state-metrics"}) EXPECT_FALSE(catalog.conflicts(*catalog.find(id)).empty()) << id;
  for (const char* id : {"terraform", "pulumi", "metrics-server", "loki"}) EXPECT_TRUE(catalog.conflicts(*catalog.find(id)).empty()) << id;
}

TEST(BuiltinCatalog, KnowsThatAnImagesMinimumIsNotTheBinarys) {
  const Catalog& catalog = Catalog::builtin();
  EXPECT_EQ(catalog.deciding(*catalog.find("istio"), Artifact::Image)->since->text(), "1.15.0");
  EXPECT_EQ(catalog.deciding(*catalog.find("istio"), Artifact::Binary)->since->text(), "1.6.0");
  EXPECT_EQ(catalog.deciding(*catalog.find("cilium"), Artifact::Image)->since->text(), "1.10.0");
}

TEST(BuiltinCatalog, HelpsWithImagesOfRealManifests) {
  struct Case { const char *image, *kind, *suggestion; };
  for (const Case& c : {Case{"istio/pilot:1.14.3", "newer-version", "docker.io/istio/pilot:1.15.0"}, Case{"istio/proxyv2:1.20.0-distroless", "supported", ""},
                        Case{"k8s.gcr.io/kube-state-metrics/kube-state-metrics:v1.9.8", "newer-version", "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.0.0-beta"},
                        Case{"k8s.gcr.io/pause:3.2", "renamed", "registry.k8s.io/pause:3.2"}, Case{"k8s.gcr.io/pause-amd64:3.1", "renamed", "registry.k8s.io/pause:3.1"},
                        Case{"arm64v8/busybox", "renamed", "docker.io/library/busybox:latest"}, Case{"datadog/agent-arm64:7", "renamed", "docker.io/datadog/agent:7"},
                        Case{"amazon/aws-alb-ingress-controller:v1.1.8", "newer-version", "docker.io/amazon/aws-alb-ingress-controller:v1.1.9"},
                        Case{"763104351884.dkr.ecr.us-west-2.amazonaws.com/tensorflow-inference-graviton:2.7.0-cpu-py38-ubuntu20.04-e3-v1.0", "newer-version",
                             "763104351884.dkr.ecr.us-west-2.amazonaws.com/tensorflow-inference-arm64:2.19.0-cpu-py38-ubuntu20.04-e3-v1.0"}}) {
    auto hints = Catalog::builtin().hints(reference(c.image));
    ASSERT_FALSE(hints.empty()) << c.image;
    EXPECT_EQ(kind_name(hints[0].kind), c.kind) << c.image << ": " << hints[0].text;
    EXPECT_EQ(hints[0].suggestion ? hints[0].suggestion->str() : "", c.suggestion) << c.image;
  }
  EXPECT_TRUE(Catalog::builtin().hints(reference("example.org/team/app:1")).empty());
}

// ---- hints

TEST(Hints, SuggestTheVersionAsTheTagIsSpelt) {
  auto hints = small().hints(reference("example.org/mesh/pilot:v1.14.3-debug"));
  ASSERT_EQ(hints.size(), 1u);
  EXPECT_EQ(hints[0].kind, Hint::Kind::NewerVersion);
  EXPECT_EQ(hints[0].suggestion->str(), "example.org/mesh/pilot:v1.15.0-debug");
  EXPECT_EQ(hints[0].text, "The Mesh's images support arm64 since 1.15.0 (A guide, 2022); this is v1.14.3-debug");
}

TEST(Hints, KeepADigestOnlyWhereBothNamesServeIt) {
  std::string digest = "@sha256:" + std::string(64, 'a');
  auto frozen = small().hints(reference("k8s.example.org/pause:3.2" + digest));
  ASSERT_EQ(frozen.size(), 1u);
  EXPECT_EQ(frozen[0].suggestion->str(), "registry.example.org/pause:3.2" + digest);
  auto moved = small().hints(reference("old.example.org/mesh/pilot:1.16.0" + digest));
  ASSERT_EQ(moved.size(), 2u);
  EXPECT_EQ(moved[0].kind, Hint::Kind::Renamed);
  EXPECT_EQ(moved[0].suggestion->str(), "example.org/mesh/pilot:1.16.0");
  EXPECT_EQ(moved[1].kind, Hint::Kind::Supported);
}

TEST(Hints, SayOfAReplacementThatItIsOne) {
  auto hints = small().hints(reference("example.org/mesh/tool:1"));
  ASSERT_EQ(hints.size(), 1u);
  EXPECT_EQ(hints[0].kind, Hint::Kind::Replacement);
}

TEST(Hints, CompareNothingWithATagThatIsNoVersion) {
  auto hints = small().hints(reference("example.org/mesh/pilot:main"));
  ASSERT_EQ(hints.size(), 1u);
  EXPECT_EQ(hints[0].kind, Hint::Kind::Supported);
  EXPECT_EQ(hints[0].since, "1.15.0");
}

// ---- searching

TEST(Catalog, FindsByNameRowNoteAndImage) {
  const Catalog& catalog = Catalog::builtin();
  EXPECT_EQ(ids(catalog.search("core-dns")).front(), "coredns");
  EXPECT_EQ(ids(catalog.search("Datadog - EC2")), (std::vector<std::string>{"datadog-agent"}));
  EXPECT_EQ(ids(catalog.search("도커 허브")), (std::vector<std::string>{"istio"}));
  EXPECT_EQ(ids(catalog.search("istio/pilot:1.2")), (std::vector<std::string>{"istio"}));
  EXPECT_EQ(ids(catalog.search("argo")).size(), 2u);
  EXPECT_TRUE(catalog.search("no such thing").empty());
  EXPECT_TRUE(catalog.search("  ").empty());
  EXPECT_EQ(ids(small().search("메시")), (std::vector<std::string>{"mesh"}));
}

// ---- users' files

TEST(Catalog, LetsUsersOutrankWhatShips) {
  Catalog catalog = small();
  auto added = catalog.add(R"(schema: archway.catalog/v1
products:
- id: mesh
  claims: [{applies_to: image, since: "1.14.2", date: "2026-01"}]
- id: ours
  name: Ours
  images: [registry.corp:5000/team/app]
  claims: [{applies_to: image, since: "3", source: guide}]
moves:
- {from: "k8s.example.org/**", to: "mirror.corp/**", why: our mirror, date: "2026"}
)", "ours.yaml");
  ASSERT_TRUE(added.ok()) << added.error().message;
  EXPECT_EQ(catalog.as_of(), "2026-11");
  EXPECT_EQ(catalog.products().size(), 2u);
  EXPECT_EQ(catalog.deciding(*catalog.find("mesh"), Artifact::Image)->since->text(), "1.14.2");
  EXPECT_EQ(catalog.conflicts(*catalog.find("mesh")).size(), 4u);
  EXPECT_EQ(catalog.hints(reference("example.org/mesh/pilot:1.14.3"))[0].text, "The Mesh's images support arm64 since 1.14.2 (ours.yaml, 2026-01)");
  EXPECT_EQ(catalog.hints(reference("k8s.example.org/pause:3"))[0].suggestion->str(), "mirror.corp/pause:3");
  EXPECT_EQ(catalog.hints(reference("registry.corp:5000/team/app:2.9"))[0].suggestion->str(), "registry.corp:5000/team/app:3");
}

TEST(Catalog, StaysAsItWasAfterAFileWithMistakes) {
  Catalog catalog = small();
  EXPECT_FALSE(catalog.add("schema: archway.catalog/v1\nproducts:\n- {id: x, name: X, claims: [{applies_to: image, date: '2026'}]}\n- {id: y}\n", "ours.yaml").ok());
  EXPECT_EQ(catalog.products().size(), 1u);
}

// ---- reading strictly

TEST(CatalogFile, RefusesMistakesWithTheirPlace) {
  struct Case { const char *from, *to, *says; };
  for (const Case& c : {
           Case{"archway.catalog/v1", "archway.catalog/v2", "f.yaml:1:9: schema archway.catalog/v2 is not known"},
           Case{"as_of: \"2026-11\"", "as_of: soon", "f.yaml:2:8: soon is not a date"},
           Case{"date: \"2022\"}", "date: \"2022-13\"}", "f.yaml:4:37: 2022-13 is not a date"},
           Case{"id: board", "id: guide", "f.yaml:5:8: a source is called guide already"},
           Case{"id: mesh", "id: Mesh", "f.yaml:7:7: Mesh is not an identifier"},
           Case{"  name: The Mesh\n", "", "f.yaml:7:3: name is missing"},
           Case{"also_called", "alsocalled", "f.yaml:9:3: unknown key alsocalled (did you mean also_called?)"},
           Case{"  name: The Mesh\n", "  name: The Mesh\n  name: Again\n", "f.yaml:9:3: name is given twice"},
           Case{"example.org/mesh/pilot,", "\"example.org/Mesh/pilot\",", "f.yaml:10:12: "},
           Case{"example.org/mesh/pilot,", "\"example.org/mesh/pilot:1\",", "f.yaml:10:12: example.org/mesh/pilot:1 is not a full repository name"},
           Case{"example.org/mesh/pilot,", "mesh/pilot,", "f.yaml:10:12: mesh/pilot is not a full repository name without a tag (docker.io/mesh/pilot?)"},
           Case{"applies_to: binary", "applies_to: binaries", "binaries is none of binary, image"},
           Case{"since: \"1.6.0\",", "since: 1.10,", "a version that looks like a number needs quotes: since: \"1.10\""},
           Case{"since: \"1.6.0\",", "since: later,", "later is not a version"},
           Case{"since: \"1.6.0\",", "since: \"1.6.0\", supports: no,", "has no version since when"},
           Case{"since: \"1.6.0\",", "supports: maybe,", "supports is to be yes or no"},
           Case{"source: guide, url: https://example.org}", "source: gide, url: https://example.org}", "no source is called gide"},
           Case{"source: guide, url: https://example.org}", "url: https://example.org}", "f.yaml:12:5: source is missing"},
           Case{", url: https://example.org}", "}", "url is missing"},
           Case{", url: https://example.org}", ", url: no url}", "no url is neither a URL nor an image"},
           Case{"applies_to: binary,", "applies_to: binary, image: example.org/mesh/pilot,", "only a claim about images names one"},
           Case{"applies_to: image,", "applies_to: image, image: example.org/mesh/cni,", "is not among the product's images"},
           Case{"to: example.org/mesh/pilot", "to: \"example.org/**\"", "more wildcards than old.example.org/mesh/pilot has"},
           Case{"from: \"k8s.example.org/**\"", "from: \"k8s.example.org/***\"", "wildcards beside each other"},
           Case{"moves:", "moves: &x", ""},
           Case{"moves:", "others: {}\nmoves:", "others is to be a list"},
       }) {
    std::string text(kSmall);
    size_t at = text.find(c.from);
    ASSERT_NE(at, text.npos) << c.from;
    text.replace(at, std::string_view(c.from).size(), c.to);
    auto parsed = Catalog::parse(text, "f.yaml");
    if (std::string_view(c.says).empty()) {
      EXPECT_TRUE(parsed.ok());
      continue;
    }
    ASSERT_FALSE(parsed.ok()) << c.to;
    EXPECT_NE(parsed.error().message.find(c.says), std::string::npos) << parsed.error().message << "\nwanted: " << c.says;
  }
  EXPECT_FALSE(Catalog::parse("", "f.yaml").ok());
  EXPECT_FALSE(Catalog::parse("[]", "f.yaml").ok());
  EXPECT_FALSE(Catalog::parse("schema: archway.catalog/v1\n---\nschema: archway.catalog/v1\n", "f.yaml").ok());
  EXPECT_FALSE(Catalog::parse("a: [", "f.yaml").ok());
}

TEST(CatalogFile, HasLimits) {
  auto with_images = [](size_t count) {
    std::string text = "schema: archway.catalog/v1\nsources: [{id: s, title: T, date: '2026'}]\nproducts:\n- id: x\n  name: X\n  images:\n";
    for (size_t i = 0; i < count; ++i) text += "  - example.org/x/" + std::to_string(i) + "\n";
    return text + "  claims: [{applies_to: image, source: s, url: 'https://x.example'}]\n";
  };
  EXPECT_TRUE(Catalog::parse(with_images(kMaxPerProduct), "f.yaml").ok());
  EXPECT_FALSE(Catalog::parse(with_images(kMaxPerProduct + 1), "f.yaml").ok());
  std::string large = "schema: archway.catalog/v1\n#";
  large.resize(kMaxCatalogBytes, 'x');
  EXPECT_TRUE(Catalog::parse(large, "f.yaml").ok());
  large += 'x';
  EXPECT_FALSE(Catalog::parse(large, "f.yaml").ok());
}

// ---- patterns

TEST(NamePattern, MatchesNamesAndParts) {
  struct Case { const char *pattern, *name; std::optional<std::vector<std::string>> captured; };
  using Words = std::vector<std::string>;
  for (const Case& c : {Case{"docker.io/a/b", "docker.io/a/b", Words{}}, Case{"docker.io/a/b", "docker.io/a/bc", {}},
                        Case{"*.dkr.ecr.*.amazonaws.com/x", "123.dkr.ecr.us-west-2.amazonaws.com/x", Words{"123", "us-west-2"}},
                        Case{"*.dkr.ecr.*.amazonaws.com/x", "1.2.dkr.ecr.us.amazonaws.com/x", {}}, Case{"docker.io/arm64v8/*", "docker.io/arm64v8/busybox", Words{"busybox"}},
                        Case{"docker.io/arm64v8/*", "docker.io/arm64v8/a/b", {}}, Case{"k8s.gcr.io/**", "k8s.gcr.io/a/b", Words{"a/b"}},
                        Case{"k8s.gcr.io/**-amd64", "k8s.gcr.io/x-amd64-amd64", Words{"x-amd64"}}, Case{"k8s.gcr.io/**", "k8s.gcr.io/", {}}}) {
    EXPECT_EQ(NamePattern::parse(c.pattern)->captures(c.name), c.captured) << c.pattern << " " << c.name;
  }
  EXPECT_EQ(NamePattern::parse("*.example.org/**")->filled({"a", "b/c"}), "a.example.org/b/c");
}

TEST(NamePattern, HasLimits) {
  EXPECT_TRUE(NamePattern::parse("*.*.*.example.org/*").ok());
  EXPECT_FALSE(NamePattern::parse("*.*.*.*.example.org/*").ok());
  auto pattern = NamePattern::parse("**a**a**a**ab.io/x");
  EXPECT_FALSE(pattern.ok() && pattern->matches(std::string(kMaxPatternBytes + 1, 'a')));
}

TEST(NamePattern, KnowsWhichOverlap) {
  auto overlap = [](const char* a, const char* b) { return NamePattern::parse(a)->overlaps(*NamePattern::parse(b)); };
  EXPECT_TRUE(overlap("a.io/x", "a.io/x"));
  EXPECT_FALSE(overlap("a.io/x", "a.io/y"));
  EXPECT_TRUE(overlap("a.io/x", "a.io/*"));
  EXPECT_TRUE(overlap("a.io/*", "a.io/x/**"));
  EXPECT_FALSE(overlap("a.io/*", "b.io/*"));
}

}  // namespace
}  // namespace archway::catalog
