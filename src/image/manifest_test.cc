#include "image/manifest.h"

#include <gtest/gtest.h>

namespace archway {
namespace {

const std::string kA = "sha256:" + std::string(64, 'a'), kB = "sha256:" + std::string(64, 'b');

std::string buildkit_manifest() {
  return "{\n"
         "  \"schemaVersion\": 2,\n"
         "  \"mediaType\": \"application/vnd.oci.image.manifest.v1+json\",\n"
         "  \"config\": {\n"
         "    \"mediaType\": \"application/vnd.oci.image.config.v1+json\",\n"
         "    \"digest\": \"" + kA + "\",\n"
         "    \"size\": 1\n"
         "  },\n"
         "  \"layers\": [\n"
         "    {\n"
         "      \"mediaType\": \"application/vnd.oci.image.layer.v1.tar+gzip\",\n"
         "      \"digest\": \"" + kB + "\",\n"
         "      \"size\": 9007199254740993,\n"
         "      \"annotations\": {\n"
         "        \"a\": \"\\u003cx\\u003e \\u0026\",\n"
         "        \"b\": \"2\"\n"
         "      }\n"
         "    }\n"
         "  ],\n"
         "  \"annotations\": {\n"
         "    \"k\": \"v\"\n"
         "  }\n"
         "}";
}

std::string buildkit_index() {
  return "{\n"
         "  \"schemaVersion\": 2,\n"
         "  \"mediaType\": \"application/vnd.oci.image.index.v1+json\",\n"
         "  \"manifests\": [\n"
         "    {\n"
         "      \"mediaType\": \"application/vnd.oci.image.manifest.v1+json\",\n"
         "      \"digest\": \"" + kA + "\",\n"
         "      \"size\": 1,\n"
         "      \"platform\": {\n"
         "        \"architecture\": \"arm\",\n"
         "        \"os\": \"linux\",\n"
         "        \"variant\": \"v7\"\n"
         "      }\n"
         "    },\n"
         "    {\n"
         "      \"mediaType\": \"application/vnd.oci.image.manifest.v1+json\",\n"
         "      \"digest\": \"" + kB + "\",\n"
         "      \"size\": 2,\n"
         "      \"annotations\": {\n"
         "        \"vnd.docker.reference.digest\": \"" + kA + "\",\n"
         "        \"vnd.docker.reference.type\": \"attestation-manifest\"\n"
         "      },\n"
         "      \"platform\": {\n"
         "        \"architecture\": \"unknown\",\n"
         "        \"os\": \"unknown\"\n"
         "      }\n"
         "    }\n"
         "  ]\n"
         "}";
}

TEST(Manifest, WritesTheBytesThatBuildKitWrote) {
  auto manifest = parse_manifest(buildkit_manifest(), media_type::kOciManifest);
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest->layers[0].size, 9007199254740993u);
  EXPECT_EQ(manifest->layers[0].annotation("a"), "<x> &");
  EXPECT_EQ(write_manifest(*manifest), buildkit_manifest());
}

TEST(ImageIndex, WritesTheBytesThatBuildKitWrote) {
  auto index = parse_index(buildkit_index(), media_type::kOciIndex);
  ASSERT_TRUE(index.ok()) << index.error().message;
  EXPECT_EQ(index->manifests[0].platform->str(), "linux/arm/v7");
  EXPECT_FALSE(index->manifests[0].is_attestation());
  EXPECT_TRUE(index->manifests[1].is_attestation());
  EXPECT_EQ(write_index(*index), buildkit_index());
}

TEST(Manifest, MembersInGosOrder) {
  Manifest manifest{std::string(media_type::kOciManifest), descriptor_of("application/vnd.oci.empty.v1+json", "{}"), {}, "application/x", descriptor_of(media_type::kOciManifest, "s"), {{"b", "1"}, {"a", "2"}}};
  std::string text = write_manifest(manifest);
  size_t last = 0;
  for (std::string key : {"schemaVersion", "mediaType", "artifactType", "config", "layers", "subject", "annotations", "\"a\"", "\"b\""}) {
    size_t at = text.find(key, last);
    ASSERT_NE(at, std::string::npos) << key << "\n" << text;
    last = at;
  }
  EXPECT_EQ(write_manifest(*parse_manifest(text, "")), text);
}

TEST(Manifest, RefusesWhatIsNotWhatItWasAnnouncedAs) {
  std::string descriptor = R"({"mediaType":"x/y","digest":")" + kA + R"(","size":1})";
  auto body = [&](std::string members) { return R"({"schemaVersion":2,)" + members + "}"; };
  std::string index = body(R"("manifests":[])"), image = body(R"("config":)" + descriptor + R"(,"layers":[])");
  EXPECT_TRUE(parse_index(index, media_type::kOciIndex).ok());
  EXPECT_TRUE(parse_index(index, media_type::kDockerIndex).ok());
  EXPECT_TRUE(parse_manifest(image, media_type::kDockerManifest).ok());
  EXPECT_TRUE(parse_manifest(image, "application/vnd.oci.image.manifest.v1+json; charset=utf-8").ok());
  for (auto [text, type] : std::vector<std::pair<std::string, std::string_view>>{
           {image, media_type::kOciIndex},
           {index, media_type::kOciManifest},
           {body(R"("manifests":[],"layers":[])"), media_type::kOciIndex},
           {body(R"("manifests":[],"layers":[],"mediaType":"application/vnd.oci.image.index.v1+json")"), media_type::kOciIndex},
           {body(R"("manifests":[],"Layers":[])"), media_type::kOciIndex},
           {body(R"("manifests":[],"mediaType":"application/vnd.oci.image.manifest.v1+json")"), media_type::kOciIndex},
           {body(R"("manifests":[],"mediaType":"application/vnd.oci.image.index.v1+json")"), media_type::kDockerIndex},
           {body(R"("manifests":[],"MediaType":"application/vnd.oci.image.index.v1+json")"), media_type::kOciIndex},
           {R"({"manifests":[]})", media_type::kOciIndex},
           {R"({"schemaVersion":1,"manifests":[]})", media_type::kOciIndex},
           {"[]", media_type::kOciIndex},
           {"", media_type::kOciIndex},
           {body(R"("manifests":{})"), media_type::kOciIndex},
           {body(R"("manifests":[{}])"), media_type::kOciIndex},
           {body(R"("manifests":[{"mediaType":"a/b","digest":"sha256:../../etc","size":1}])"), media_type::kOciIndex},
           {body(R"("manifests":[{"mediaType":"a/b","digest":")" + kA + R"(","size":-1}])"), media_type::kOciIndex},
           {body(R"("manifests":[{"mediaType":"a/b","digest":")" + kA + R"(","size":1.5}])"), media_type::kOciIndex},
       }) {
    EXPECT_FALSE(parse_index(text, type).ok()) << text;
  }
  EXPECT_FALSE(parse_manifest(index, media_type::kOciManifest).ok());
  EXPECT_FALSE(parse_manifest(image, media_type::kOciIndex).ok());
  EXPECT_FALSE(parse_manifest(body(R"("layers":[])"), media_type::kOciManifest).ok());
}

TEST(Manifest, DetectsTheMediaType) {
  EXPECT_EQ(detect_media_type(buildkit_index()).value(), media_type::kOciIndex);
  EXPECT_EQ(detect_media_type(R"({"schemaVersion":2,"manifests":[]})").value(), media_type::kOciIndex);
  EXPECT_EQ(detect_media_type(R"({"schemaVersion":2,"layers":[],"config":{"mediaType":"application/vnd.docker.container.image.v1+json"}})").value(), media_type::kDockerManifest);
  EXPECT_EQ(detect_media_type(R"({"schemaVersion":2,"layers":[]})").value(), media_type::kOciManifest);
  EXPECT_EQ(detect_media_type(R"({"schemaVersion":2})").error().code, Code::Invalid);
  EXPECT_EQ(detect_media_type(R"({"schemaVersion":1,"fsLayers":[]})").error().code, Code::Unsupported);
  EXPECT_EQ(detect_media_type(R"({"schemaVersion":2,"mediaType":"application/x"})").error().code, Code::Unsupported);
}

TEST(Manifest, LimitsAtTheEdge) {
  auto index_of = [&](size_t entries) {
    std::string text = R"({"schemaVersion":2,"manifests":[)";
    for (size_t i = 0; i < entries; ++i) text += (i ? "," : "") + (R"({"mediaType":"a/b","digest":")" + kA + R"(","size":1})");
    return text + "]}";
  };
  EXPECT_TRUE(parse_index(index_of(kMaxIndexEntries), "").ok());
  EXPECT_FALSE(parse_index(index_of(kMaxIndexEntries + 1), "").ok());
  std::string text = R"({"schemaVersion":2,"manifests":[]})";
  text.resize(kMaxManifestBytes, ' ');
  EXPECT_TRUE(parse_index(text, "").ok());
  EXPECT_FALSE(parse_index(text + " ", "").ok());
}

TEST(Descriptor, LayersAreKnownByTheirMediaType) {
  EXPECT_EQ(layer_compression(media_type::kOciLayerZstd), Compression::Zstd);
  EXPECT_EQ(layer_compression(media_type::kDockerLayerGzip), Compression::Gzip);
  EXPECT_EQ(layer_compression(media_type::kOciLayerTar), Compression::None);
  EXPECT_EQ(layer_compression("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), std::nullopt);
}

}  // namespace
}  // namespace archway
