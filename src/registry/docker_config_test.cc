#include "registry/docker_config.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fd.h"

namespace archway {
namespace {

class DockerConfigFile : public ::testing::Test {
 protected:
  TempDir dir = *TempDir::create("/tmp", "archway-config-");
  std::string path = dir / "config.json";
  void write(std::string_view text) { ASSERT_TRUE(write_file_atomic(path, text, 0644).ok()); }
  std::string read() { return *read_file(path, 1 << 20); }
};

TEST_F(DockerConfigFile, FindsCredentialsInEveryForm) {
  write(R"({"auths":{
    "https://index.docker.io/v1/": {"auth": "aHViOnB3"},
    "a.example.org": {"auth": "dTpwOncK"},
    "https://b.example.org/v2/": {"username": "u", "password": "p"},
    "c.example.org:5000": {"auth": "", "identitytoken": "tok"},
    "d.example.org": {}
  }})");
  auto config = *DockerConfig::load(path);
  EXPECT_EQ((*config.credentials_for("docker.io"))->username, "hub");
  EXPECT_EQ((*config.credentials_for("registry-1.docker.io"))->password, "pw");
  EXPECT_EQ((*config.credentials_for("a.example.org"))->password, "p:w\n");
  EXPECT_EQ((*config.credentials_for("b.example.org"))->username, "u");
  EXPECT_EQ((*config.credentials_for("c.example.org:5000"))->identity_token, "tok");
  EXPECT_FALSE(*config.credentials_for("c.example.org")) << "credentials are for one port";
  EXPECT_FALSE(*config.credentials_for("d.example.org"));
  EXPECT_FALSE(*config.credentials_for("evil-a.example.org"));
}

TEST_F(DockerConfigFile, RefusesWhatItCannotRead) {
  EXPECT_FALSE(*(*DockerConfig::load(dir / "none.json")).credentials_for("x"));
  write("{");
  EXPECT_EQ(DockerConfig::load(path).error().code, Code::Invalid);
  write("[]");
  EXPECT_EQ(DockerConfig::load(path).error().code, Code::Invalid);
  write(R"({"auths":{"x":{"auth":"!!"}}})");
  EXPECT_EQ((*DockerConfig::load(path)).credentials_for("x").error().code, Code::Invalid);
  write(std::string((4 << 20) + 1, ' '));
  EXPECT_FALSE(DockerConfig::load(path).ok());
}

TEST_F(DockerConfigFile, KeepsTheRestAsDockerWritesIt) {
  write("{\n\t\"auths\": {\n\t\t\"x.org\": {\n\t\t\t\"auth\": \"dTpw\"\n\t\t}\n\t},\n\t\"HttpHeaders\": {\n\t\t\"User-Agent\": \"a\\u003cb\"\n\t},\n\t\"detachKeys\": \"  two blanks\"\n}");
  auto config = *DockerConfig::load(path);
  ASSERT_TRUE(config.store("docker.io", {"me", "secret", ""}).ok());
  EXPECT_EQ(read(),
            "{\n\t\"auths\": {\n\t\t\"x.org\": {\n\t\t\t\"auth\": \"dTpw\"\n\t\t},\n\t\t\"https://index.docker.io/v1/\": {\n\t\t\t\"auth\": \"bWU6c2VjcmV0\"\n\t\t}\n\t},\n"
            "\t\"HttpHeaders\": {\n\t\t\"User-Agent\": \"a\\u003cb\"\n\t},\n\t\"detachKeys\": \"  two blanks\"\n}");
  struct stat st = {};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_TRUE(config.stores_in_plain_text("docker.io"));
  EXPECT_TRUE(*config.erase("index.docker.io"));
  EXPECT_FALSE(*config.erase("docker.io"));
  EXPECT_EQ(read().find("index.docker.io"), std::string::npos);
  EXPECT_EQ((*config.credentials_for("x.org"))->username, "u");
}

TEST_F(DockerConfigFile, MakesItsFolderAndFollowsALink) {
  std::string fresh = dir / "home/.docker/config.json";
  ASSERT_TRUE((*DockerConfig::load(fresh)).store("x", {"u", "p", ""}).ok());
  EXPECT_TRUE(*(*DockerConfig::load(fresh)).credentials_for("x"));
  ASSERT_EQ(::symlink(fresh.c_str(), path.c_str()), 0);
  ASSERT_TRUE((*DockerConfig::load(path)).store("y", {"u", "p", ""}).ok());
  EXPECT_TRUE(*(*DockerConfig::load(fresh)).credentials_for("y"));
}

// A helper as docker-credential-helpers specify it, keeping one secret per server in files.
class CredentialHelper : public DockerConfigFile {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_directories(dir / "bin").ok());
    std::string script = "#!/bin/sh\nS=" + dir.path() + "/store\nmkdir -p $S\ncase $1 in\n"
                         "get) read u; k=$(echo $u | tr '/:' '__'); [ -f $S/$k ] || { echo 'credentials not found in native keychain'; exit 1; }; cat $S/$k;;\n"
                         "store) read j; u=$(echo \"$j\" | sed 's/.*\"ServerURL\":\"\\([^\"]*\\)\".*/\\1/'); echo \"$j\" > $S/$(echo $u | tr '/:' '__');;\n"
                         "erase) read u; rm -f $S/$(echo $u | tr '/:' '__');;\nesac\n";
    ASSERT_TRUE(write_file_atomic(dir / "bin/docker-credential-test", script, 0755).ok());
    path_before = ::getenv("PATH");
    ::setenv("PATH", ((dir / "bin") + ":" + path_before).c_str(), 1);
  }
  void TearDown() override { ::setenv("PATH", path_before.c_str(), 1); }
  std::string path_before;
};

TEST_F(CredentialHelper, StoresFindsAndErases) {
  write(R"({"credHelpers":{"h.example.org":"test"}})");
  auto config = *DockerConfig::load(path);
  EXPECT_FALSE(config.stores_in_plain_text("h.example.org"));
  EXPECT_FALSE(*config.credentials_for("h.example.org"));
  ASSERT_TRUE(config.store("h.example.org", {"u", "p", ""}).ok());
  EXPECT_EQ(read().find("auths"), std::string::npos) << "the secret is not in the file";
  EXPECT_EQ((*config.credentials_for("h.example.org"))->password, "p");
  ASSERT_TRUE(config.store("h.example.org", {"", "", "tok"}).ok());
  EXPECT_EQ((*config.credentials_for("h.example.org"))->identity_token, "tok");
  EXPECT_TRUE(*config.erase("h.example.org"));
  EXPECT_FALSE(*config.credentials_for("h.example.org"));
  EXPECT_TRUE(config.stores_in_plain_text("other.org"));
}

TEST_F(CredentialHelper, MissingOrOddHelpersAreErrors) {
  write(R"({"credsStore":"not-there"})");
  EXPECT_EQ((*DockerConfig::load(path)).credentials_for("x").error().code, Code::NotFound);
  write(R"({"credsStore":"../../bin/sh"})");
  EXPECT_EQ((*DockerConfig::load(path)).credentials_for("x").error().code, Code::Invalid);
}

}  // namespace
}  // namespace archway
