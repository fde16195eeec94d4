#include "image/layout.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/fd.h"
#include "image/sample_image.h"

namespace archway {
namespace {

struct Folder {
  TempDir dir = TempDir::create("/tmp", "archway-test-").value();
  MemoryStore store;
  Root one = sample_image(store, {"linux", "amd64"}, {plain_layer("one")});
  Root two = sample_image(store, {"linux", "arm64"}, {plain_layer("two")});
};

TEST(Layout, GivesBackImagesByName) {
  Folder f;
  auto layout = Layout::create(f.dir / "layout").value();
  ASSERT_TRUE(copy_image(f.store, *layout, f.one, {.tags = {"a"}}).ok());
  ASSERT_TRUE(copy_image(f.store, *layout, f.two, {.tags = {"b"}}).ok());
  auto again = Layout::open(f.dir / "layout").value();
  EXPECT_EQ(again->resolve("a")->raw, f.one.raw);
  EXPECT_EQ(again->resolve("b")->descriptor.digest, f.two.descriptor.digest);
  EXPECT_EQ(again->resolve(f.two.descriptor.digest.str())->raw, f.two.raw);
  auto missing = again->resolve("c");
  EXPECT_EQ(missing.error().code, Code::NotFound);
  EXPECT_EQ(missing.error().hint, "there are a, b");
  EXPECT_EQ(again->resolve("").error().code, Code::Invalid);
}

TEST(Layout, WithoutANameTheOnlyImageIsMeant) {
  Folder f;
  auto layout = Layout::create(f.dir / "layout").value();
  EXPECT_EQ(layout->resolve("").error().code, Code::NotFound);
  ASSERT_TRUE(copy_image(f.store, *layout, f.one, {.tags = {""}}).ok());
  EXPECT_EQ(layout->resolve("")->raw, f.one.raw);
  ASSERT_TRUE(copy_image(f.store, *layout, f.one, {.tags = {"x", "y"}}).ok());  // two names, still one image
  EXPECT_EQ(layout->resolve("")->raw, f.one.raw);
  EXPECT_EQ(layout->entries()->size(), 2u);
}

TEST(Layout, ANameMoves) {
  Folder f;
  auto layout = Layout::create(f.dir / "layout").value();
  ASSERT_TRUE(copy_image(f.store, *layout, f.one, {.tags = {"a"}}).ok());
  ASSERT_TRUE(copy_image(f.store, *layout, f.two, {.tags = {"a"}}).ok());
  EXPECT_EQ(layout->entries()->size(), 1u);
  EXPECT_EQ(layout->resolve("a")->raw, f.two.raw);
}

TEST(Layout, WholeReferencesAreKeptApartThoughTheirTagsAreEqual) {
  Folder f;
  auto layout = Layout::create(f.dir / "layout").value();
  ASSERT_TRUE(copy_image(f.store, *layout, f.one, {}).ok());
  ASSERT_TRUE(copy_image(f.store, *layout, f.two, {}).ok());
  auto reference = [](std::string_view text) { return Reference::parse(text).value(); };
  ASSERT_TRUE(layout->add(layout_entry(f.one.descriptor, reference("example.org/one:1"))).ok());
  ASSERT_TRUE(layout->add(layout_entry(f.two.descriptor, reference("example.org/two:1"))).ok());
  ASSERT_TRUE(layout->add(layout_entry(f.two.descriptor, reference("example.org/two:1"))).ok());
  EXPECT_EQ(layout->entries()->size(), 2u);
  EXPECT_EQ(layout->resolve("example.org/one:1")->raw, f.one.raw);
  EXPECT_EQ(layout->resolve("example.org/two:1")->raw, f.two.raw);
}

TEST(Layout, KeepsWhatOthersWroteIntoTheIndex) {
  std::string raw = R"({"schemaVersion":2,"annotations":{"k":"v"},"manifests":[{"mediaType":"application/x","digest":"sha256:)" + std::string(64, 'a') +
                    R"(","size":1,"data":"eA=="}]})";
  auto changed = add_to_layout_index(raw, layout_entry(descriptor_of(media_type::kOciManifest, "x"), "n"));
  ASSERT_TRUE(changed.ok());
  Json json = parse_json(*changed).value();
  EXPECT_EQ(json["annotations"]["k"].string(), "v");
  EXPECT_EQ(json["manifests"].items()[0]["data"].string(), "eA==");
  EXPECT_EQ(json["manifests"].size(), 2u);
}

TEST(Layout, RefusesFoldersThatAreNone) {
  TempDir dir = TempDir::create("/tmp", "archway-test-").value();
  EXPECT_EQ(Layout::open(dir / "absent").error().code, Code::NotFound);
  EXPECT_EQ(Layout::open(dir.path()).error().code, Code::Invalid);
  std::ofstream(dir / "precious") << "x";
  EXPECT_EQ(Layout::create(dir.path()).error().code, Code::Exists);
  std::ofstream(dir / "oci-layout") << R"({"imageLayoutVersion":"2.0.0"})";
  EXPECT_EQ(Layout::open(dir.path()).error().code, Code::Unsupported);
}

TEST(Layout, LeavesNoTraceOfItsWriting) {
  Folder f;
  {
    auto layout = Layout::create(f.dir / "layout").value();
    ASSERT_TRUE(copy_image(f.store, *layout, f.one, {.tags = {"a"}}).ok());
  }
  EXPECT_FALSE(path_exists(f.dir / "layout/tmp"));
}

}  // namespace
}  // namespace archway
