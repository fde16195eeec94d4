#include "image/config.h"

#include <gtest/gtest.h>

#include "image/manifest.h"

namespace archway {
namespace {

const std::string kDiff = "sha256:" + std::string(64, 'c');

TEST(ImageConfig, WritesTheBytesThatBuildKitWrote) {
  std::string text =
      R"({"architecture":"arm","author":"me","config":{"User":"app","ExposedPorts":{"53/udp":{},"80/tcp":{}},"Env":["PATH=/bin","A=1"],)"
      R"("Entrypoint":["/app"],"Cmd":["-v"],"Volumes":{"/a":{},"/b":{}},"WorkingDir":"/w","Labels":{"a":"\u003cb\u003e","z":""},"StopSignal":"SIGINT",)"
      R"("ArgsEscaped":true,"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":30000000000,"Retries":3},"OnBuild":["RUN true"],"Shell":["/bin/bash","-c"]},)"
      R"("created":"2026-11-22T20:27:00.12Z","history":[{"created":"2026-11-22T20:27:00Z","created_by":"RUN a \u0026\u0026 b # buildkit","comment":"buildkit.dockerfile.v0"},)"
      R"({"created_by":"CMD [\"-v\"]","empty_layer":true}],"moby.buildkit.cache.v0":"eA==","os":"linux","rootfs":{"type":"layers","diff_ids":[")" + kDiff + R"("]},"variant":"v7"})";
  auto config = parse_image_config(text);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->platform.str(), "linux/arm/v7");
  EXPECT_EQ(config->history[0].created_by, "RUN a && b # buildkit");
  EXPECT_EQ(config->exposed_ports, (std::vector<std::string>{"53/udp", "80/tcp"}));
  EXPECT_EQ(write_image_config(*config), text);
}

TEST(ImageConfig, KeepsWhatItDoesNotKnow) {
  std::string text = R"({"id":"x","os":"linux","architecture":"amd64","config":{"Cmd":null,"StopTimeout":10,"Hostname":"h","Entrypoint":null},"rootfs":{"type":"layers","diff_ids":[]},"container_config":{"b":1,"a":[2]}})";
  auto config = parse_image_config(text);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_FALSE(config->cmd.has_value());
  EXPECT_EQ(write_image_config(*config),
            R"({"architecture":"amd64","config":{"StopTimeout":10,"Hostname":"h"},"container_config":{"b":1,"a":[2]},"id":"x","os":"linux","rootfs":{"type":"layers","diff_ids":[]}})");
}

TEST(ImageConfig, TimesThatDoNotFitAreKeptAsTheyAre) {
  for (std::string when : {"0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "yesterday"}) {
    auto config = parse_image_config(R"({"architecture":"amd64","config":{},"created":")" + when + R"(","os":"linux","rootfs":{"type":"layers","diff_ids":[]}})");
    ASSERT_TRUE(config.ok());
    EXPECT_FALSE(config->created.has_value());
    EXPECT_NE(write_image_config(*config).find(when), std::string::npos);
    config->created = Time::from_seconds(0);
    EXPECT_NE(write_image_config(*config).find("1970-01-01T00:00:00Z"), std::string::npos);
  }
  EXPECT_TRUE(parse_image_config(R"({"created":"1970-01-01T00:00:00+01:00"})")->created.has_value());
}

TEST(ImageConfig, AnEmptyOneIsNobodysPlatform) {
  auto config = parse_image_config("{}");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->platform, Platform());
}

TEST(ImageConfig, RefusesWrongKindsByName) {
  for (auto [text, name] : std::vector<std::pair<std::string, std::string>>{
           {R"({"os":1})", "os"}, {R"({"config":[]})", "config"}, {R"({"config":{"Env":[1]}})", "config.Env"},
           {R"({"config":{"Labels":{"a":1}}})", "config.Labels"}, {R"({"rootfs":{"diff_ids":["x"]}})", "rootfs.diff_ids"},
           {R"({"history":[1]})", "history[0]"}, {R"({"config":{"Healthcheck":{"Retries":9999999999}}})", "Retries"},
           {R"({"config":{"Cmd":"sh"}})", "config.Cmd"}, {"[]", "JSON object"}}) {
    auto config = parse_image_config(text);
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_NE(config.error().message.find(name), std::string::npos) << config.error().message;
  }
}

TEST(ImageConfig, LimitAtTheEdge) {
  std::string text = "{}";
  text.resize(kMaxManifestBytes, ' ');
  EXPECT_TRUE(parse_image_config(text).ok());
  EXPECT_FALSE(parse_image_config(text + " ").ok());
}

TEST(ImageConfig, FindsEnvironmentValues) {
  ImageConfig config;
  config.env = {"PATH=/bin", "P=x=y"};
  std::string storage;
  EXPECT_EQ(*config.env_value("P", storage), "x=y");
  EXPECT_EQ(*config.env_value("PATH", storage), "/bin");
  EXPECT_EQ(config.env_value("PAT", storage), nullptr);
}

}  // namespace
}  // namespace archway
