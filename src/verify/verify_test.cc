#include "verify/verify.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/fd.h"
#include "base/process.h"
#include "base/text.h"
#include "format/compress.h"
#include "image/layout.h"
#include "verify/sample_program.h"

namespace archway {
namespace {

using namespace test;

const Platform kArm64{"linux", "arm64"}, kAmd64{"linux", "amd64"};

VerifyReport report_of(Provider& provider, const Root& root, const VerifyOptions& options = {}) {
  auto report = verify_image(provider, root, options);
  EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
  return report.ok() ? std::move(*report) : VerifyReport{};
}
PlatformVerdict verdict_of(const ImageSpec& spec, const VerifyOptions& options = {}) {
  MemoryStore store;
  VerifyReport report = report_of(store, make_image(store, spec), options);
  EXPECT_EQ(report.platforms.size(), 1u);
  return report.platforms.at(0);
}
// "error elf-machine /bin/app 2", one per finding.
std::vector<std::string> lines(const PlatformVerdict& verdict) {
  std::vector<std::string> out;
  for (const Finding& f : verdict.findings) {
    out.push_back(std::string(f.severity == Severity::Error ? "error " : "note ") + f.rule + " " + f.path + " " + std::to_string(f.layer_number));
  }
  return out;
}
using Lines = std::vector<std::string>;

TEST(Verify, FindsForeignProgramWithLayerPathAndHistory) {
  PlatformVerdict verdict = verdict_of({.layers = {{{"bin/ok", arm64_program()}}, {{"bin/app", amd64_program()}, {"etc/text", "hello"}}}});
  ASSERT_EQ(lines(verdict), (Lines{"error elf-machine /bin/app 2"}));
  const Finding& finding = verdict.findings[0];
  EXPECT_EQ(finding.history, "LINE 2");
  EXPECT_TRUE(finding.layer.starts_with("sha256:"));
  EXPECT_EQ(finding.platform, kArm64);
  EXPECT_EQ(finding.message, "is for amd64 (x86-64), not for linux/arm64");
  EXPECT_EQ(verdict.elf_files, 2u);
  EXPECT_FALSE(verdict.ok());
}

TEST(Verify, IsContentWithTheDeclaredPlatform) {
  PlatformVerdict verdict = verdict_of({.layers = {{{"bin/app", arm64_program()}}}, .entrypoint = {"/bin/app"}});
  EXPECT_TRUE(verdict.ok());
  EXPECT_EQ(lines(verdict), Lines{});
  EXPECT_EQ(verdict.userland, "arm64");
  EXPECT_EQ(verdict.cause, "");
}

TEST(Verify, LooksAtClassAndByteOrder) {
  struct Case {
    Platform platform;
    SampleElf elf;
    Lines want;
  };
  for (const Case& c : std::vector<Case>{{kAmd64, {.machine = EM_X86_64, .elf_class = 1}, {"error elf-machine /f 1"}},
                                         {kArm64, {.machine = EM_AARCH64, .data = 2}, {"error elf-machine /f 1"}},
                                         {{"linux", "ppc64le"}, {.machine = EM_PPC64}, {}},
                                         {{"linux", "ppc64le"}, {.machine = EM_PPC64, .data = 2}, {"error elf-machine /f 1"}},
                                         {{"linux", "s390x"}, {.machine = EM_S390, .data = 2}, {}},
                                         {{"linux", "arm", "v6"}, {.machine = EM_ARM, .elf_class = 1}, {}},
                                         {{"linux", "riscv64"}, {.machine = EM_RISCV}, {}},
                                         {{"linux", "386"}, {.machine = EM_X86_64}, {"error elf-machine /f 1"}},
                                         {kAmd64, {.machine = EM_386, .elf_class = 1}, {"note elf-32-bit /f 1"}},
                                         {kArm64, {.machine = EM_ARM, .elf_class = 1}, {"note elf-32-bit /f 1"}}}) {
    EXPECT_EQ(lines(verdict_of({.platform = c.platform, .layers = {{{"f", elf_file(c.elf)}}}})), c.want) << c.platform.str();
  }
}

TEST(Verify, NotesWhatIsForeignForAReason) {
  for (const std::string path : {"usr/bin/qemu-aarch64-static", "usr/x86_64-linux-gnu/lib/libc.so.6", "opt/x86_64-linux-gnu/lib/x.so", "usr/lib/firmware/cpu.bin",
                                 "app/node_modules/x/prebuilds/linux-x64/x.node", "opt/sysroots/core2-64/lib/x.so", "usr/lib/gcc-cross/x86_64-linux-gnu/12/cc1",
                                 "usr/local/go/src/debug/elf/testdata/gcc-amd64-linux-exec"}) {
    EXPECT_EQ(lines(verdict_of({.layers = {{{path, amd64_program()}}}})), (Lines{"note elf-known-foreign /" + path + " 1"})) << path;
  }
  // Debian's own libraries stand in /usr/lib/TRIPLET: what is foreign there was copied from another image.
  for (const std::string path : {"usr/lib/x86_64-linux-gnu/libc.so.6", "usr/aarch64-linux-gnu/lib/x.so", "usr/bin/myqemu-x", "srv/testdata-x/app"}) {
    EXPECT_EQ(lines(verdict_of({.layers = {{{path, amd64_program()}}}})), (Lines{"error elf-machine /" + path + " 1"})) << path;
  }
  auto one = [](SampleElf elf) { return lines(verdict_of({.layers = {{{"f", elf_file(elf)}}}})); };
  EXPECT_EQ(one({.machine = EM_BPF, .type = ET_REL}), (Lines{"note elf-other-machine /f 1"}));
  EXPECT_EQ(one({.machine = EM_NONE}), (Lines{"note elf-other-machine /f 1"}));
  EXPECT_EQ(one({.machine = EM_AVR, .elf_class = 1}), (Lines{"note elf-other-machine /f 1"}));
  EXPECT_EQ(one({.machine = EM_X86_64, .type = ET_REL}), (Lines{"note elf-object /f 1"}));
  EXPECT_EQ(one({.machine = EM_X86_64, .type = ET_CORE}), (Lines{"note elf-core /f 1"}));
}

TEST(Verify, AppliesWhiteoutsUnlessAllLayersAreAskedFor) {
  ImageSpec spec{.layers = {{{"a/old", amd64_program()}, {"b/old", amd64_program()}, {"c", amd64_program()}, {"d/e/f", amd64_program()}},
                            {{"a/.wh.old"}, {"b/.wh..wh..opq"}, {"b/new", arm64_program()}, {"c", "replaced"}, {".wh.d"}}}};
  PlatformVerdict merged = verdict_of(spec);
  EXPECT_EQ(lines(merged), Lines{});
  EXPECT_EQ(merged.elf_files, 1u);
  PlatformVerdict all = verdict_of(spec, {.all_layers = true});
  EXPECT_EQ(lines(all), (Lines{"error elf-machine /a/old 1", "error elf-machine /b/old 1", "error elf-machine /c 1", "error elf-machine /d/e/f 1"}));
  EXPECT_EQ(all.elf_files, 5u);
}

TEST(Verify, WhiteoutsHideOnlyLowerLayers) {
  // In whatever order the archive has them.
  PlatformVerdict verdict = verdict_of({.layers = {{{"x/low", amd64_program()}}, {{"x/app", amd64_program()}, {"x/.wh..wh..opq"}, {"y", amd64_program()}, {".wh.y"}}}});
  EXPECT_EQ(lines(verdict), (Lines{"error elf-machine /x/app 2", "error elf-machine /y 2"}));
}

TEST(Verify, FollowsSymlinkedFoldersOfLowerLayers) {
  // A layer made before /usr was merged: bin/app lands in, and replaces, usr/bin/app.
  PlatformVerdict verdict = verdict_of({.layers = {{{"usr/bin/app", amd64_program()}, link_file("bin", "usr/bin")}, {{"bin/app", arm64_program()}}}, .entrypoint = {"app"}});
  EXPECT_EQ(lines(verdict), Lines{});
  EXPECT_EQ(verdict.entry_chain, (Lines{"/usr/bin/app (arm64 (AArch64))"}));
}

TEST(Verify, TellsOneFileOnceWhateverItsNames) {
  PlatformVerdict verdict = verdict_of({.layers = {{{"bin/b", amd64_program()}, hard_file("bin/a", "bin/b")}, {hard_file("bin/c", "bin/b"), {".wh.nothing"}}}});
  ASSERT_EQ(lines(verdict), (Lines{"error elf-machine /bin/a 1"}));
  EXPECT_EQ(verdict.findings[0].message, "is for amd64 (x86-64), not for linux/arm64 (it has 3 names)");
}

TEST(Verify, FindsPlatformsThatDisagree) {
  MemoryStore store;
  Root arm = make_image(store, {.platform = kArm64, .layers = {{{"app", arm64_program()}}}});
  Root index = sample_index(store, {entry_for(arm, kAmd64), entry_for(arm, kArm64)});
  VerifyReport report = report_of(store, index);
  ASSERT_EQ(report.platforms.size(), 2u);
  EXPECT_EQ(lines(report.platforms[0]), (Lines{"error config-platform  0", "error elf-machine /app 1"}));
  EXPECT_NE(report.platforms[0].cause.find("under the wrong platform"), std::string::npos);
  EXPECT_TRUE(report.platforms[1].ok());
}

TEST(Verify, PassesOverAttestationsAndArtifacts) {
  MemoryStore store;
  Root image = make_image(store, {.layers = {{{"app", arm64_program()}}}});
  Descriptor attestation = entry_for(image, Platform{"unknown", "unknown"});
  attestation.annotations = {{"vnd.docker.reference.type", "attestation-manifest"}};
  Manifest chart{std::string(media_type::kOciManifest), store.put_bytes("application/vnd.cncf.helm.config.v1+json", "{}"), {}};
  Descriptor artifact = store.put_bytes(media_type::kOciManifest, write_manifest(chart));
  Root index = sample_index(store, {entry_for(image, kArm64), attestation, artifact});
  EXPECT_EQ(report_of(store, index).platforms.size(), 1u);
  Root alone{artifact, write_manifest(chart)};
  EXPECT_EQ(verify_image(store, alone, {}).error().code, Code::Unsupported);
}

TEST(Verify, ChecksThePlatformsThatAreAskedFor) {
  MemoryStore store;
  Root arm = make_image(store, {.platform = kArm64, .layers = {{{"app", arm64_program()}}}}), amd = make_image(store, {.platform = kAmd64, .layers = {{{"app", amd64_program()}}}});
  Root index = sample_index(store, {entry_for(amd, kAmd64), entry_for(arm, kArm64)});
  VerifyReport report = report_of(store, index, {.platforms = {kArm64}});
  ASSERT_EQ(report.platforms.size(), 1u);
  EXPECT_EQ(report.platforms[0].platform, kArm64);
  auto missing = verify_image(store, index, {.platforms = {{"linux", "s390x"}}});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::NotFound);
}

// Opens counted; one blob may be exchanged.
class MeddlingProvider final : public Provider {
 public:
  explicit MeddlingProvider(Provider& inner) : inner_(inner) {}
  Result<std::unique_ptr<Source>> open(const Descriptor& blob) override {
    ++opened[blob.digest];
    if (auto found = exchanged.find(blob.digest); found != exchanged.end()) return std::unique_ptr<Source>(std::make_unique<StringSource>(found->second));
    return inner_.open(blob);
  }
  std::map<Digest, int> opened;
  std::map<Digest, std::string> exchanged;

 private:
  Provider& inner_;
};

TEST(Verify, ReadsASharedLayerOnce) {
  MemoryStore store;
  std::vector<SampleFile> shared = {{"etc/motd", "hello"}};
  Root arm = make_image(store, {.platform = kArm64, .layers = {shared, {{"app", arm64_program()}}}}), amd = make_image(store, {.platform = kAmd64, .layers = {shared, {{"app", amd64_program()}}}});
  MeddlingProvider provider(store);
  VerifyReport report = report_of(provider, sample_index(store, {entry_for(amd, kAmd64), entry_for(arm, kArm64)}), {.threads = 1});
  EXPECT_TRUE(report.platforms[0].ok() && report.platforms[1].ok());
  EXPECT_EQ(provider.opened[Digest::of(layer_tar(shared))], 1);
}

struct Layer {
  std::string bytes;         // as stored
  std::string_view type = media_type::kOciLayerTar;
  Digest diff_id;
};
Root image_of_layer(MemoryStore& store, const Layer& layer) {
  ImageConfig config = config_of({});
  config.diff_ids = {layer.diff_id};
  return put_image(store, config, {store.put_bytes(layer.type, layer.bytes)});
}
PlatformVerdict verdict_of_layer(const Layer& layer, const VerifyOptions& options = {}) {
  MemoryStore store;
  return report_of(store, image_of_layer(store, layer), options).platforms.at(0);
}
std::string gzipped(std::string_view text) {
  StringSink packed;
  GzipSink sink(packed);
  EXPECT_TRUE(sink.write(text).ok() && sink.finish().ok());
  return std::move(packed.text);
}
std::string zstd(std::string_view text) {
  StringSink packed;
  ZstdSink sink(packed);
  EXPECT_TRUE(sink.write(text).ok() && sink.finish().ok());
  return std::move(packed.text);
}

TEST(Verify, ReadsPackedLayersWhateverTheyAreCalled) {
  // More than one window, so that passing over data is in it.
  std::string big(3'000'000, 'x');
  for (size_t i = 0; i < big.size(); i += 7) big[i] = static_cast<char>(i * 2654435761u >> 13);
  std::string tar = layer_tar({{"big", big}, {"app", amd64_program()}, {"big2", big}});
  for (const std::string& bytes : {tar, gzipped(tar), zstd(tar)}) {
    for (std::string_view type : {media_type::kOciLayerGzip, media_type::kOciLayerTar, media_type::kDockerLayerGzip}) {
      EXPECT_EQ(lines(verdict_of_layer({bytes, type, Digest::of(tar)})), (Lines{"error elf-machine /app 1"}));
    }
  }
}

TEST(Verify, DoesNotCheckWhatItCannotRead) {
  std::string tar = layer_tar({{"app", arm64_program()}, {"more", std::string(5000, 'x')}}), packed = gzipped(tar);
  Digest diff_id = Digest::of(tar);
  struct Case {
    Layer layer;
    Code code;
    std::string says;
  };
  for (const Case& c : std::vector<Case>{{{packed.substr(0, packed.size() - 5), media_type::kOciLayerGzip, diff_id}, Code::Invalid, "cut short"},
                                         {{tar.substr(0, 3000), media_type::kOciLayerTar, diff_id}, Code::Invalid, "ends inside"},
                                         {{"this is no tar" + std::string(1000, '!'), media_type::kOciLayerTar, diff_id}, Code::Invalid, "not a tar header"},
                                         {{tar, media_type::kOciLayerTar, Digest::of("other")}, Code::Mismatch, "the configuration promises"},
                                         {{packed, media_type::kOciLayerGzip, Digest::of("other")}, Code::Mismatch, "the configuration promises"},
                                         {{tar, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", diff_id}, Code::Unsupported, "may not be distributed"},
                                         {{tar, "application/vnd.oci.image.layer.v1.tar+encrypted", diff_id}, Code::Unsupported, "cannot be read"},
                                         {{layer_tar({{"../app", "x"}}), media_type::kOciLayerTar, diff_id}, Code::Invalid, "leads out"}}) {
    PlatformVerdict verdict = verdict_of_layer(c.layer, {.diff_ids = true});
    ASSERT_TRUE(verdict.not_checked) << c.says;
    EXPECT_EQ(verdict.not_checked->code, c.code) << verdict.not_checked->message;
    EXPECT_NE(verdict.not_checked->message.find(c.says), std::string::npos) << verdict.not_checked->message;
    EXPECT_FALSE(verdict.ok());
  }
  // What costs nothing is always looked at; what a packed layer unpacks to, where it is asked for.
  EXPECT_TRUE(verdict_of_layer({tar, media_type::kOciLayerTar, Digest::of("other")}).not_checked);
  EXPECT_FALSE(verdict_of_layer({packed, media_type::kOciLayerGzip, Digest::of("other")}).not_checked);
}

TEST(Verify, FindsLyingDigestsAlsoBehindTheEndOfTheArchive) {
  MemoryStore store;
  std::string tar = layer_tar({{"app", arm64_program()}});
  Root root = image_of_layer(store, {tar, media_type::kOciLayerTar, Digest::of(tar)});
  MeddlingProvider provider(store);
  std::string other = tar;
  other.back() = 'x';
  provider.exchanged[Digest::of(tar)] = other;
  PlatformVerdict verdict = report_of(provider, root).platforms.at(0);
  ASSERT_TRUE(verdict.not_checked);
  EXPECT_EQ(verdict.not_checked->code, Code::Mismatch);
  provider.exchanged[Digest::of(tar)] = tar + "more";
  EXPECT_EQ(report_of(provider, root).platforms.at(0).not_checked->code, Code::Mismatch);
}

TEST(Verify, KeepsTheOtherPlatformsWhenOneCannotBeRead) {
  MemoryStore store;
  Root arm = make_image(store, {.platform = kArm64, .layers = {{{"app", amd64_program()}}}});
  Descriptor absent{std::string(media_type::kOciManifest), Digest::of("absent"), 6};
  absent.platform = kAmd64;
  VerifyReport report = report_of(store, sample_index(store, {absent, entry_for(arm, kArm64)}));
  ASSERT_EQ(report.platforms.size(), 2u);
  EXPECT_EQ(report.platforms[0].platform, kAmd64);
  EXPECT_EQ(report.platforms[0].not_checked->code, Code::NotFound);
  EXPECT_EQ(lines(report.platforms[1]), (Lines{"error elf-machine /app 1"}));
  EXPECT_FALSE(report_json(report)["ok"].boolean(true));
}

TEST(Verify, DoesNotJudgePlatformsThatItDoesNotKnow) {
  for (const Platform& platform : {Platform{"windows", "amd64"}, Platform{"wasip1", "wasm"}}) {
    EXPECT_EQ(verdict_of({.platform = platform, .layers = {{{"app", amd64_program()}}}}).not_checked->code, Code::Unsupported);
  }
}

TEST(Verify, RefusesLayersThatNoRuntimeCouldUnpack) {
  for (const std::vector<SampleFile>& files : std::vector<std::vector<SampleFile>>{{{"a", "x"}, {"a/b", "y"}},
                                                                                   {hard_file("a", "missing")},
                                                                                   {link_file("a", "b"), link_file("b", "a"), {"a/x", "y"}}}) {
    PlatformVerdict verdict = verdict_of({.layers = {files}});
    ASSERT_TRUE(verdict.not_checked);
    EXPECT_NE(verdict.not_checked->message.find("cannot be unpacked"), std::string::npos) << verdict.not_checked->message;
  }
}

TEST(Verify, LimitsDepth) {
  auto nested = [](size_t depth) {
    std::string path;
    for (size_t i = 1; i < depth; ++i) path += "d/";
    return verdict_of({.layers = {{{path + "f", arm64_program()}}}});
  };
  EXPECT_TRUE(nested(400).ok());
  EXPECT_TRUE(nested(401).not_checked);
}

TEST(Verify, CountsWhatItDoesNotList) {
  auto with = [](size_t count) {
    std::vector<SampleFile> files;
    for (size_t i = 0; i < count; ++i) files.push_back({"f" + std::to_string(i), amd64_program()});
    return verdict_of({.layers = {files}});
  };
  EXPECT_EQ(with(kMaxFindings).findings.back().rule, "elf-machine");
  PlatformVerdict verdict = with(kMaxFindings + 5);
  ASSERT_EQ(verdict.findings.size(), kMaxFindings);
  EXPECT_EQ(verdict.findings.back().rule, "more");
  EXPECT_EQ(verdict.findings.back().message, "6 more findings are not listed");
}

TEST(Verify, StopsWhenAsked) {
  MemoryStore store;
  std::stop_source stop;
  stop.request_stop();
  auto report = verify_image(store, make_image(store, {.layers = {{{"app", arm64_program()}}}}), {}, stop.get_token());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Code::Cancelled);
}

TEST(Verify, NamesTheLikelyCause) {
  std::vector<SampleFile> base = {{"bin/a", arm64_program()}, {"bin/b", arm64_program()}}, foreign_base = {{"bin/a", amd64_program()}, {"bin/b", amd64_program()}};
  auto cause = [](std::vector<std::vector<SampleFile>> layers, std::string line) { return verdict_of({.layers = std::move(layers), .history = {"base", std::move(line)}}).cause; };
  EXPECT_NE(cause({foreign_base, {{"app", amd64_program()}}}, "COPY").find("--platform=$BUILDPLATFORM"), std::string::npos);
  EXPECT_NE(cause({base, {{"app", amd64_program()}}}, "COPY /out/app /app # buildkit").find("layer 2 is a COPY"), std::string::npos);
  EXPECT_NE(cause({base, {{"app", amd64_program()}}}, "RUN /bin/sh -c curl -L https://example.org/app-linux-amd64.tgz | tar xz # buildkit").find("in https://example.org/app-linux-amd64.tgz, use"),
            std::string::npos);
  EXPECT_NE(cause({base, {{"app", amd64_program()}}}, "RUN make").find("look at its RUN"), std::string::npos);
}

TEST(Verify, WritesJsonThatIsUtf8) {
  PlatformVerdict verdict = verdict_of({.layers = {{{"caf\xe9/app", amd64_program()}, {"\xe2\x82\xac", amd64_program()}}}});
  std::string text = to_json(report_json({{verdict}}));
  auto parsed = parse_json(text);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const Json& platform = (*parsed)["platforms"].items().at(0);
  EXPECT_EQ(platform["platform"].string(), "linux/arm64");
  EXPECT_EQ(platform["findings"].items().at(0)["path"].string(), "/caf\xef\xbf\xbd/app");
  EXPECT_EQ(platform["findings"].items().at(1)["path"].string(), "/\xe2\x82\xac");
  EXPECT_EQ(platform["findings"].items().at(0)["severity"].string(), "error");
  EXPECT_EQ(platform["findings"].items().at(0)["layer_number"].integer(), 1);
  EXPECT_TRUE(platform["checked"].boolean());
}

TEST(Verify, ProvesARealImage) {
  std::string maker = std::string(ARCHWAY_SOURCE_DIR) + "/../shared/vectors/make-busybox-layout.py";
  if (!std::filesystem::exists(maker)) GTEST_SKIP() << "skipped: shared/vectors is not here";
  TempDir temp = *TempDir::create("/tmp");
  auto made = run_process({"python3", maker, temp / "layout"}, {.timeout = std::chrono::minutes(2)});
  if (!made.ok() || made->exit_code != 0) GTEST_SKIP() << "skipped: the busybox layout could not be made (needs Debian's packages)";
  auto layout = Layout::open(temp / "layout");
  ASSERT_TRUE(layout.ok());
  auto root = (*layout)->resolve("busybox:latest");
  ASSERT_TRUE(root.ok()) << root.error().message;
  VerifyReport report = report_of(**layout, *root);
  ASSERT_EQ(report.platforms.size(), 2u);
  for (const PlatformVerdict& verdict : report.platforms) {
    EXPECT_TRUE(verdict.ok()) << to_json(report_json(report));
    EXPECT_EQ(verdict.elf_files, 1u);
  }
}

}  // namespace
}  // namespace archway
