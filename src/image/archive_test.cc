#include "image/archive.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/process.h"
#include "format/compress.h"
#include "image/layout.h"
#include "image/sample_image.h"

namespace archway {
namespace {

const Platform kAmd64 = {"linux", "amd64"}, kArm64 = {"linux", "arm64"};

std::string tar_of(const std::vector<std::pair<std::string, std::string>>& files) {  // a value "-> x" is a symlink
  StringSink sink;
  TarWriter tar(sink);
  for (const auto& [path, text] : files) {
    TarEntry entry{.path = path, .mode = 0644};
    if (text.starts_with("-> ")) {
      entry.type = TarType::Symlink;
      entry.link = text.substr(3);
    } else {
      entry.size = text.size();
    }
    EXPECT_TRUE(tar.begin(entry).ok());
    if (entry.type == TarType::Regular) {
      EXPECT_TRUE(tar.data(as_bytes(text)).ok());
    }
  }
  EXPECT_TRUE(tar.finish().ok());
  return sink.text;
}

std::string gzip(std::string_view bytes) {
  StringSink packed;
  GzipSink sink(packed);
  EXPECT_TRUE(sink.write(as_bytes(bytes)).ok() && sink.finish().ok());
  return packed.text;
}

struct Sample {
  TempDir dir = TempDir::create("/tmp", "archway-test-").value();
  MemoryStore store;
  std::string shared = tar_of({{"etc/hello", "hello"}}), second = tar_of({{"app", "second"}});
  SampleLayer packed = {std::string(media_type::kOciLayerGzip), gzip(second), Digest::of(second)};
  Root amd64 = sample_image(store, kAmd64, {plain_layer(shared)});
  Root arm64 = sample_image(store, kArm64, {plain_layer(shared), packed});
  Root index = sample_index(store, {entry_for(amd64, kAmd64), entry_for(arm64, kArm64)});

  std::string write(std::string_view name, std::string_view bytes) {
    std::ofstream(dir / name, std::ios::binary) << bytes;
    return dir / name;
  }
  Result<void> archive(const std::string& path, ArchiveKind kind, const Root& root, std::vector<std::string> tags) {
    auto writer = TRY(ArchiveWriter::create(path, kind));
    CopyOptions options;
    options.jobs = 1;
    options.tags = std::move(tags);
    TRY(copy_image(store, *writer, root, options));
    return writer->finish();
  }
};

bool skopeo(const std::vector<std::string>& arguments, std::string* out = nullptr) {
  std::vector<std::string> all = {"skopeo", "--insecure-policy"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  auto result = run_process(all);
  if (!result.ok()) return false;
  EXPECT_EQ(result->exit_code, 0) << result->err;
  if (out) *out = result->out;
  return result->exit_code == 0;
}
#define NEEDS(program) \
  if (!find_program(program)) GTEST_SKIP() << "skipped: no " program

TEST(OciArchive, GivesBackTheIndexThatWasWritten) {
  Sample s;
  ASSERT_TRUE(s.archive(s.dir / "a.tar", ArchiveKind::Oci, s.index, {"v1"}).ok());
  auto archive = OciArchive::open(s.dir / "a.tar");
  ASSERT_TRUE(archive.ok()) << archive.error().message;
  Root root = (*archive)->resolve("v1").value();
  EXPECT_EQ(root.raw, s.index.raw);
  MemoryStore back;
  auto stats = copy_image(**archive, back, root, {});
  ASSERT_TRUE(stats.ok()) << stats.error().message;
  EXPECT_EQ(stats->stored, 7u);
}

TEST(OciArchive, EqualImagesGiveEqualBytes) {
  Sample s;
  ASSERT_TRUE(s.archive(s.dir / "a.tar", ArchiveKind::Oci, s.index, {"v1"}).ok());
  ASSERT_TRUE(s.archive(s.dir / "b.tar", ArchiveKind::Oci, s.index, {"v1"}).ok());
  EXPECT_TRUE(read_file(s.dir / "a.tar", 1 << 20).value() == read_file(s.dir / "b.tar", 1 << 20).value());
}

TEST(OciArchive, APackedOneIsReadToo) {
  Sample s;
  ASSERT_TRUE(s.archive(s.dir / "a.tar", ArchiveKind::Oci, s.amd64, {""}).ok());
  auto archive = OciArchive::open(s.write("a.tar.gz", gzip(read_file(s.dir / "a.tar", 1 << 20).value())));
  ASSERT_TRUE(archive.ok()) << archive.error().message;
  EXPECT_EQ((*archive)->resolve("")->raw, s.amd64.raw);
}

TEST(ArchiveWriter, NothingAppearsWhereItFails) {
  Sample s;
  {
    auto writer = ArchiveWriter::create(s.dir / "a.tar", ArchiveKind::Oci).value();
    Descriptor lying = s.amd64.descriptor;
    lying.digest = Digest::of("other");
    MemoryStore empty;
    EXPECT_FALSE(writer->put(lying, empty, nullptr, {}).ok());
    EXPECT_FALSE(writer->finish().ok());  // no image
  }
  EXPECT_TRUE(std::filesystem::is_empty(s.dir.path()));
}

TEST(DockerArchive, HoldsOnePlatform) {
  Sample s;
  EXPECT_EQ(s.archive(s.dir / "a.tar", ArchiveKind::Docker, s.index, {"app:1"}).error().code, Code::Unsupported);
  EXPECT_TRUE(std::filesystem::is_empty(s.dir.path()));
  ASSERT_TRUE(s.archive(s.dir / "a.tar", ArchiveKind::Docker, s.arm64, {"app:1", "example.org/app:2"}).ok());
  auto archive = DockerArchive::open(s.dir / "a.tar").value();
  EXPECT_EQ(archive->names(), (std::vector<std::string>{"app:1", "example.org/app:2"}));
  for (std::string name : {"", "app:1", "docker.io/library/app:1", "example.org/app:2", "@0"}) {
    auto root = archive->resolve(name);
    ASSERT_TRUE(root.ok()) << name << root.error().message;
    MemoryStore back;
    EXPECT_TRUE(copy_image(*archive, back, *root, {}).ok());
  }
  EXPECT_EQ(archive->resolve("app:3").error().code, Code::NotFound);
  EXPECT_EQ(archive->resolve("@1").error().code, Code::NotFound);
}

std::string legacy_save(const Sample& s, std::string second_layer, std::string second_path = "bbb/layer.tar") {
  ImageConfig config;
  config.platform = kAmd64;
  config.diff_ids = {Digest::of(s.shared), Digest::of(s.second), Digest::of(s.shared)};
  return tar_of({{"./aaa/layer.tar", s.shared}, {second_path, std::move(second_layer)}, {"ccc/layer.tar", "-> ../aaa/layer.tar"}, {"config.json", write_image_config(config)},
                 {"manifest.json", R"([{"Config":"config.json","RepoTags":["app:1"],"Layers":["aaa/layer.tar","bbb/layer.tar","ccc/layer.tar"]}])"}});
}

TEST(DockerArchive, ReadsWhatDockerSaveWrote) {
  Sample s;
  for (std::string layer : {s.second, gzip(s.second)}) {
    auto archive = DockerArchive::open(s.write("save.tar", legacy_save(s, layer)));
    ASSERT_TRUE(archive.ok()) << archive.error().message;
    auto root = (*archive)->resolve("");
    ASSERT_TRUE(root.ok()) << root.error().message;
    MemoryStore back;
    ASSERT_TRUE(copy_image(**archive, back, *root, {}).ok());
    Manifest manifest = parse_manifest(root->raw, media_type::kOciManifest).value();
    ASSERT_EQ(manifest.layers.size(), 3u);
    EXPECT_EQ(manifest.layers[0].digest, manifest.layers[2].digest);
    EXPECT_EQ(manifest.layers[1].digest, Digest::of(layer));
    EXPECT_EQ(layer_compression(manifest.layers[1].media_type), layer == s.second ? Compression::None : Compression::Gzip);
  }
}

TEST(DockerArchive, AnExchangedLayerIsFound) {
  Sample s;
  auto archive = DockerArchive::open(s.write("save.tar", legacy_save(s, tar_of({{"app", "SECOND"}})))).value();
  MemoryStore back;
  EXPECT_EQ(copy_image(*archive, back, archive->resolve("").value(), {}).error().code, Code::Mismatch);
}

TEST(TarIndex, LinksThatGoInCirclesEnd) {
  Sample s;
  auto tar = TarIndex::open(s.write("l.tar", tar_of({{"a", "-> b"}, {"b", "-> a"}, {"c", "-> ../../../../etc/passwd"}}))).value();
  EXPECT_EQ(tar->find("a").error().code, Code::Invalid);
  EXPECT_EQ(tar->find("c").error().code, Code::NotFound);
}

TEST(Archive, ErrorsNameTheOtherKind) {
  Sample s;
  std::string docker = s.write("save.tar", legacy_save(s, s.second));
  EXPECT_NE(OciArchive::open(docker).error().hint.find("docker-archive:"), std::string::npos);
  ASSERT_TRUE(s.archive(s.dir / "a.tar", ArchiveKind::Oci, s.amd64, {""}).ok());
  EXPECT_NE(DockerArchive::open(s.dir / "a.tar").error().hint.find("oci-archive:"), std::string::npos);
  EXPECT_NE(OciArchive::open(s.dir.path()).error().hint.find("oci:"), std::string::npos);
}

TEST(Skopeo, ReadsWhatWeWrite) {
  NEEDS("skopeo");
  Sample s;
  auto layout = Layout::create(s.dir / "layout").value();
  ASSERT_TRUE(copy_image(s.store, *layout, s.index, {.tags = {"v1"}}).ok());
  ASSERT_TRUE(s.archive(s.dir / "oci.tar", ArchiveKind::Oci, s.index, {"v1"}).ok());
  ASSERT_TRUE(s.archive(s.dir / "docker.tar", ArchiveKind::Docker, s.arm64, {"example.org/app:1"}).ok());
  EXPECT_TRUE(skopeo({"copy", "--all", "--preserve-digests", "oci:" + s.dir / "layout:v1", "oci:" + s.dir / "one:x"}));
  EXPECT_TRUE(skopeo({"copy", "--all", "--preserve-digests", "oci-archive:" + s.dir / "oci.tar:v1", "oci:" + s.dir / "two:x"}));
  EXPECT_TRUE(skopeo({"copy", "docker-archive:" + s.dir / "docker.tar:example.org/app:1", "oci:" + s.dir / "three:x"}));
  for (std::string name : {"one", "two"}) EXPECT_EQ(Layout::open(s.dir / name).value()->resolve("x")->descriptor.digest, s.index.descriptor.digest) << name;
  auto three = Layout::open(s.dir / "three").value();
  auto image = choose_image(*three, three->resolve("x").value(), kArm64);
  ASSERT_TRUE(image.ok()) << image.error().message;
  EXPECT_EQ(image->manifest.layers.size(), 2u);
}

TEST(Skopeo, WritesWhatWeRead) {
  NEEDS("skopeo");
  Sample s;
  auto layout = Layout::create(s.dir / "layout").value();
  ASSERT_TRUE(copy_image(s.store, *layout, s.index, {.tags = {"v1"}}).ok());
  ASSERT_TRUE(copy_image(s.store, *layout, s.arm64, {.tags = {"arm"}}).ok());
  ASSERT_TRUE(skopeo({"copy", "--all", "--preserve-digests", "oci:" + s.dir / "layout:v1", "oci-archive:" + s.dir / "oci.tar:v1"}));
  ASSERT_TRUE(skopeo({"copy", "--override-arch", "arm64", "oci:" + s.dir / "layout:arm", "docker-archive:" + s.dir / "docker.tar:example.org/app:1"}));
  auto oci = OciArchive::open(s.dir / "oci.tar").value();
  EXPECT_EQ(oci->resolve("v1")->raw, s.index.raw);
  auto docker = DockerArchive::open(s.dir / "docker.tar").value();
  auto root = docker->resolve("example.org/app:1");
  ASSERT_TRUE(root.ok()) << root.error().message;
  MemoryStore back;
  auto copied = copy_image(*docker, back, *root, {});
  ASSERT_TRUE(copied.ok()) << copied.error().message;
  EXPECT_TRUE(choose_image(back, *root, kArm64).ok());
}

TEST(Umoci, WritesWhatWeRead) {
  NEEDS("umoci");
  Sample s;
  for (std::vector<std::string> words : {std::vector<std::string>{"umoci", "init", "--layout", s.dir / "layout"}, {"umoci", "new", "--image", s.dir / "layout:v1"}}) {
    auto result = run_process(words);
    ASSERT_TRUE(result.ok() && result->exit_code == 0) << (result.ok() ? result->err : result.error().message);
  }
  auto layout = Layout::open(s.dir / "layout").value();
  auto root = layout->resolve("v1");
  ASSERT_TRUE(root.ok()) << root.error().message;
  ASSERT_TRUE(copy_image(s.store, *layout, s.index, {.tags = {"ours"}}).ok());
  auto listed = run_process({"umoci", "list", "--layout", s.dir / "layout"});
  ASSERT_TRUE(listed.ok());
  EXPECT_EQ(listed->out, "v1\nours\n");
}

}  // namespace
}  // namespace archway
