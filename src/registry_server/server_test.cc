#include "registry_server/server.h"

#include <arpa/inet.h>
#include <crypt.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/fd.h"
#include "base/sync.h"
#include "base/text.h"
#include "format/json.h"
#include "image/digest.h"
#include "image/manifest.h"

namespace archway {
namespace {

struct Answer {
  int status = 0;
  std::string head, body;
  std::string header(const std::string& name) const {
    for (const std::string& line : split(head, '\n')) {
      auto [key, value] = cut(line, ':');
      if (value && to_lower(key) == to_lower(name)) return std::string(trim(*value));
    }
    return "";
  }
  std::string error() const {
    auto json = parse_json(body);
    return json.ok() && !(*json)["errors"].items().empty() ? (*json)["errors"].items()[0]["code"].string() : "";
  }
  Json json() const { return parse_json(body).value_or(Json()); }
};

Fd connect_to(uint16_t port) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return fd;
}

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// A server over a folder of its own, and requests to it, each on a new connection.
class Registry : public ::testing::Test {
 protected:
  Registry() : folder_(TempDir::create("/tmp", "archway-registry-").value()) { start(); }

  void start() {
    options_.root = folder_ / "store";
    options_.stop_grace = std::chrono::milliseconds(200);
    options_.access_log = [this](std::string_view line) { log_.lock()->emplace_back(line); };
    auto server = RegistryServer::start(options_);
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(*server);
  }
  void restart() {
    server_.reset();
    start();
  }

  Answer request(const std::string& method, const std::string& target, std::string_view body = "", const HeaderList& headers = {}) {
    Fd fd = connect_to(server_->port());
    std::string head = method + " " + target + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
    if (!body.empty() || method == "PUT" || method == "POST" || method == "PATCH") head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    for (const auto& [name, value] : headers) head += name + ": " + value + "\r\n";
    head += "\r\n";
    EXPECT_TRUE(write_all(fd.get(), as_bytes(head)).ok());
    (void)write_all(fd.get(), as_bytes(body)).ok();
    FdSource source(std::move(fd));
    std::string all = read_all(source, 1 << 30, "answer").value_or("");
    Answer answer;
    size_t end = all.find("\r\n\r\n");
    if (end == std::string::npos) return answer;
    answer.head = all.substr(0, end);
    answer.body = all.substr(end + 4);
    answer.status = static_cast<int>(parse_uint(all.substr(9, 3)).value_or(0));
    return answer;
  }
  Answer get(const std::string& target, const HeaderList& headers = {}) { return request("GET", target, "", headers); }
  std::string begin(const std::string& repository) { return request("POST", "/v2/" + repository + "/blobs/uploads/").header("Location"); }
  std::string push_blob(const std::string& repository, std::string_view bytes) {
    std::string digest = Digest::of(bytes).str();
    EXPECT_EQ(request("POST", "/v2/" + repository + "/blobs/uploads/?digest=" + digest, bytes).status, 201);
    return digest;
  }
  static std::string manifest_of(const std::string& config, size_t config_size, const std::string& more = "") {
    return R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" + config +
           R"(","size":)" + std::to_string(config_size) + R"(},"layers":[])" + more + "}";
  }
  Answer push_manifest(const std::string& repository, const std::string& name, const std::string& raw, std::string_view type = media_type::kOciManifest) {
    return request("PUT", "/v2/" + repository + "/manifests/" + name, raw, {{"Content-Type", std::string(type)}});
  }
  std::string push_image(const std::string& repository, const std::string& tag, const std::string& more = "") {
    std::string raw = manifest_of(push_blob(repository, "{}"), 2, more);
    EXPECT_EQ(push_manifest(repository, tag, raw).status, 201);
    return raw;
  }
  std::vector<std::string> log() { return *log_.lock(); }
  std::string store(const std::string& path) { return folder_ / "store/" + path; }

  TempDir folder_;
  RegistryServerOptions options_;
  Sync<std::vector<std::string>> log_;
  std::unique_ptr<RegistryServer> server_;
};

TEST_F(Registry, SaysThatItIsOne) {
  Answer answer = get("/v2/");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("Docker-Distribution-Api-Version"), "registry/2.0");
  EXPECT_EQ(get("/other").status, 404);
  EXPECT_EQ(get("/v2/UPPER/tags/list").error(), "NAME_INVALID");
}

TEST_F(Registry, TakesABlobInOnePost) {
  std::string digest = push_blob("a/b", "hello");
  Answer answer = get("/v2/a/b/blobs/" + digest);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "hello");
  EXPECT_EQ(answer.header("Docker-Content-Digest"), digest);
  answer = request("HEAD", "/v2/a/b/blobs/" + digest);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("Content-Length"), "5");
  EXPECT_EQ(answer.body, "");
  EXPECT_EQ(get("/v2/a/b/blobs/" + digest, {{"If-None-Match", "\"" + digest + "\""}}).status, 304);
}

TEST_F(Registry, TakesABlobByPostAndPut) {
  std::string location = begin("a"), digest = Digest::of("hello").str();
  Answer answer = request("PUT", location + "?digest=" + digest, "hello");
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.header("Location"), "/v2/a/blobs/" + digest);
  EXPECT_EQ(get(answer.header("Location")).body, "hello");
  EXPECT_EQ(request("PUT", location + "?digest=" + digest, "hello").error(), "BLOB_UPLOAD_UNKNOWN");
}

TEST_F(Registry, TakesAnEmptyBlob) {
  std::string digest = Digest::of("").str();
  EXPECT_EQ(request("PUT", begin("a") + "?digest=" + digest).status, 201);
  Answer answer = get("/v2/a/blobs/" + digest);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("Content-Length"), "0");
}

TEST_F(Registry, TakesChunksInOrderOnly) {
  std::string location = begin("a"), digest = Digest::of("helloworld").str();
  Answer answer = get(location);
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.header("Range"), "0-0");
  answer = request("PATCH", location, "hello", {{"Content-Range", "0-4"}});
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.header("Range"), "0-4");
  for (const char* range : {"0-4", "6-10"}) {
    answer = request("PATCH", location, "world", {{"Content-Range", range}});
    EXPECT_EQ(answer.status, 416) << range;
    EXPECT_EQ(answer.header("Range"), "0-4");
  }
  EXPECT_EQ(request("PUT", location + "?digest=" + digest, "world", {{"Content-Range", "7-11"}}).status, 416);
  EXPECT_EQ(request("PATCH", location, "world", {{"Content-Range", "five-nine"}}).status, 400);
  EXPECT_EQ(request("PATCH", location, "world", {{"Content-Range", "5-10"}}).error(), "SIZE_INVALID");
  EXPECT_EQ(get(location).header("Range"), "0-4");
  EXPECT_EQ(request("PUT", location + "?digest=" + digest, "world", {{"Content-Range", "5-9"}}).status, 201);
  EXPECT_EQ(get("/v2/a/blobs/" + digest).body, "helloworld");
}

TEST_F(Registry, TakesAStreamOfUnknownLength) {
  std::string location = begin("a");
  Fd fd = connect_to(server_->port());
  ASSERT_TRUE(write_all(fd.get(), as_bytes("PATCH " + location + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n")).ok());
  FdSource source(std::move(fd));
  std::string answer = read_all(source, 10000, "answer").value_or("");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 202 ")) << answer;
  EXPECT_EQ(request("PUT", location + "?digest=" + Digest::of("helloworld").str()).status, 201);
}

TEST_F(Registry, KeepsWhatCameBeforeTheClientWasCutOff) {
  std::string location = begin("a"), bytes(1 << 20, 'x');
  {
    Fd fd = connect_to(server_->port());
    ASSERT_TRUE(write_all(fd.get(), as_bytes("PATCH " + location + " HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n" + bytes)).ok());
    ::shutdown(fd.get(), SHUT_WR);
    FdSource source(std::move(fd));
    (void)read_all(source, 10000, "nothing").ok();  // until the server has noticed
  }
  EXPECT_EQ(get(location).header("Range"), "0-1048575");
  EXPECT_EQ(request("PUT", location + "?digest=" + Digest::of(bytes + "end").str(), "end").status, 201);
}

TEST_F(Registry, GoesOnWithAnUploadAfterARestart) {
  std::string location = begin("a");
  EXPECT_EQ(request("PATCH", location, "hello").status, 202);
  restart();
  EXPECT_EQ(get(location).header("Range"), "0-4");
  std::string id = location.substr(location.rfind('/'));
  EXPECT_EQ(get("/v2/other/blobs/uploads" + id).status, 404);
  EXPECT_EQ(request("PUT", location + "?digest=" + Digest::of("helloworld").str(), "world").status, 201);
}

TEST_F(Registry, RemovesStaleUploadsWhenItStarts) {
  std::string location = begin("a");
  EXPECT_EQ(request("PATCH", location, "hello").status, 202);
  server_.reset();
  for (const char* name : {"_uploads/manifest-abcdef", "_uploads/00000000000000000000000000000000-x"}) ASSERT_TRUE(write_file_atomic(store(name), "x").ok());
  timespec old[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, store("_uploads/00000000000000000000000000000000-x").c_str(), old, 0), 0);
  start();
  EXPECT_FALSE(path_exists(store("_uploads/manifest-abcdef")));
  EXPECT_FALSE(path_exists(store("_uploads/00000000000000000000000000000000-x")));
  EXPECT_EQ(get(location).status, 204);
}

TEST_F(Registry, CancelsAnUpload) {
  std::string location = begin("a");
  EXPECT_EQ(request("PATCH", location, "hello").status, 202);
  EXPECT_EQ(request("DELETE", location).status, 204);
  EXPECT_EQ(get(location).error(), "BLOB_UPLOAD_UNKNOWN");
  EXPECT_EQ(request("DELETE", location).status, 404);
}

TEST_F(Registry, RefusesBytesThatHaveAnotherDigest) {
  std::string wrong = Digest::of("other").str();
  EXPECT_EQ(request("PUT", begin("a") + "?digest=" + wrong, "hello").error(), "DIGEST_INVALID");
  EXPECT_EQ(request("POST", "/v2/a/blobs/uploads/?digest=" + wrong, "hello").error(), "DIGEST_INVALID");
  EXPECT_EQ(request("PUT", begin("a") + "?digest=sha256:baddigeststring", "hello").status, 400);
  EXPECT_EQ(request("PUT", begin("a"), "hello").status, 400);
  EXPECT_EQ(get("/v2/a/blobs/sha256:baddigeststring").status, 400);
  push_blob("a", "x");
  EXPECT_EQ(get("/v2/a/blobs/" + wrong).error(), "BLOB_UNKNOWN");
  EXPECT_EQ(get("/v2/nothing/blobs/" + wrong).error(), "NAME_UNKNOWN");
}

TEST_F(Registry, TakesSha512AlsoUnannounced) {
  Hasher hasher(HashAlgorithm::Sha512);
  hasher.update("hello");
  std::string digest = "sha512:" + hasher.hex();
  std::string location = begin("a");
  EXPECT_EQ(request("PATCH", location, "hello").status, 202);
  EXPECT_EQ(request("PUT", location + "?digest=" + digest).status, 201);
  EXPECT_EQ(get("/v2/a/blobs/" + digest).body, "hello");
  EXPECT_EQ(request("POST", "/v2/b/blobs/uploads/?digest-algorithm=md5").status, 400);
  EXPECT_EQ(request("POST", "/v2/b/blobs/uploads/?digest=" + digest, "hello").status, 201);
}

TEST_F(Registry, SendsRangesOfABlob) {
  std::string bytes;
  for (int i = 0; i < 2048; i++) bytes += static_cast<char>('a' + i % 26);
  std::string digest = push_blob("a", bytes);
  Answer answer = get("/v2/a/blobs/" + digest, {{"Range", "bytes=500-1499"}});
  EXPECT_EQ(answer.status, 206);
  EXPECT_EQ(answer.header("Content-Range"), "bytes 500-1499/2048");
  EXPECT_EQ(answer.body, bytes.substr(500, 1000));
  EXPECT_EQ(get("/v2/a/blobs/" + digest, {{"Range", "bytes=-500"}}).body, bytes.substr(1548));
  answer = get("/v2/a/blobs/" + digest, {{"Range", "bytes=5000-10000"}});
  EXPECT_EQ(answer.status, 416);
  EXPECT_EQ(answer.header("Content-Range"), "bytes */2048");
  EXPECT_EQ(get("/v2/a/blobs/" + digest, {{"Range", "bytes=0-1"}, {"If-Range", "\"other\""}}).status, 200);
}

TEST_F(Registry, MountsByHardLink) {
  std::string digest = push_blob("a", "hello");
  EXPECT_EQ(request("POST", "/v2/b/blobs/uploads/?mount=" + digest + "&from=a").status, 201);
  EXPECT_EQ(request("POST", "/v2/c/blobs/uploads/?mount=" + digest).status, 201);
  EXPECT_EQ(get("/v2/c/blobs/" + digest).body, "hello");
  struct stat st = {};
  ASSERT_EQ(::stat(store("a/blobs/sha256/" + digest.substr(7)).c_str(), &st), 0);
  EXPECT_EQ(st.st_nlink, 4u);  // a, b, c and the pool
  Answer answer = request("POST", "/v2/b/blobs/uploads/?mount=" + Digest::of("unknown").str() + "&from=a");
  EXPECT_EQ(answer.status, 202);
  EXPECT_NE(answer.header("Location"), "");
}

TEST_F(Registry, ServesARepositoryOnlyWhatItHolds) {
  std::string digest = push_blob("a", "hello");
  push_blob("b", "other");
  EXPECT_EQ(get("/v2/b/blobs/" + digest).error(), "BLOB_UNKNOWN");
  EXPECT_EQ(push_manifest("b", "t", manifest_of(digest, 5)).error(), "MANIFEST_BLOB_UNKNOWN");
}

TEST_F(Registry, DeletesABlobFromOneRepositoryAndTheLastFromTheDisk) {
  std::string digest = push_blob("a", "hello"), pool = store("_blobs/sha256/" + digest.substr(7));
  EXPECT_EQ(push_blob("b", "hello"), digest);
  EXPECT_EQ(request("DELETE", "/v2/a/blobs/" + digest).status, 202);
  EXPECT_EQ(get("/v2/a/blobs/" + digest).status, 404);
  EXPECT_EQ(request("DELETE", "/v2/a/blobs/" + digest).status, 404);
  EXPECT_EQ(get("/v2/b/blobs/" + digest).status, 200);
  EXPECT_TRUE(path_exists(pool));
  EXPECT_EQ(request("DELETE", "/v2/b/blobs/" + digest).status, 202);
  EXPECT_FALSE(path_exists(pool));
}

TEST_F(Registry, ReturnsManifestsAsTheyWerePushed) {
  std::string raw = manifest_of(push_blob("a", "{}"), 2, ",\n \"custom\" : 1.0e3");
  Answer answer = push_manifest("a", "v1", raw);
  EXPECT_EQ(answer.status, 201) << answer.body;
  std::string digest = Digest::of(raw).str();
  EXPECT_EQ(answer.header("Docker-Content-Digest"), digest);
  for (const std::string& name : {std::string("v1"), digest}) {
    answer = get("/v2/a/manifests/" + name);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, raw);
    EXPECT_EQ(answer.header("Content-Type"), media_type::kOciManifest);
    EXPECT_EQ(answer.header("Docker-Content-Digest"), digest);
    answer = request("HEAD", "/v2/a/manifests/" + name);
    EXPECT_EQ(answer.header("Content-Length"), std::to_string(raw.size()));
  }
  EXPECT_EQ(get("/v2/a/manifests/v2").error(), "MANIFEST_UNKNOWN");
  EXPECT_EQ(get("/v2/a/manifests/sha256:bad").error(), "DIGEST_INVALID");
  EXPECT_EQ(get("/v2/a/manifests/.bad").error(), "TAG_INVALID");
}

TEST_F(Registry, RefusesManifestsThatLie) {
  std::string config = push_blob("a", "{}");
  std::string raw = manifest_of(config, 2);
  EXPECT_EQ(push_manifest("a", "t", raw, media_type::kOciIndex).error(), "MANIFEST_INVALID");
  EXPECT_EQ(push_manifest("a", "t", raw, media_type::kDockerManifest).error(), "MANIFEST_INVALID");
  EXPECT_EQ(push_manifest("a", "t", manifest_of(config, 2, ",\"manifests\":[]")).error(), "MANIFEST_INVALID");
  EXPECT_EQ(push_manifest("a", "t", "{").error(), "MANIFEST_INVALID");
  EXPECT_EQ(push_manifest("a", Digest::of("other").str(), raw).error(), "DIGEST_INVALID");
  EXPECT_EQ(get("/v2/a/manifests/t").status, 404);
}

TEST_F(Registry, KeepsTheContentTypeOfABodyThatNamesNone) {
  std::string raw = R"({"schemaVersion":2,"config":{"mediaType":"x/y","digest":")" + push_blob("a", "{}") + R"(","size":2},"layers":[]})";
  EXPECT_EQ(push_manifest("a", "t", raw, media_type::kDockerManifest).status, 201);
  restart();
  EXPECT_EQ(get("/v2/a/manifests/t").header("Content-Type"), media_type::kDockerManifest);
}

TEST_F(Registry, TakesManifestsUpToTheLimit) {
  std::string config = push_blob("a", "{}");
  std::string frame = manifest_of(config, 2, R"(,"annotations":{"a":""})");
  auto padded = [&](size_t size) { return manifest_of(config, 2, R"(,"annotations":{"a":")" + std::string(size - frame.size(), 'x') + "\"}"); };
  EXPECT_EQ(push_manifest("a", "fits", padded(kMaxManifestBytes)).status, 201);
  EXPECT_EQ(push_manifest("a", "over", padded(kMaxManifestBytes + 1)).status, 413);
  EXPECT_EQ(get("/v2/a/manifests/fits").body.size(), kMaxManifestBytes);
}

TEST_F(Registry, TakesIndexesOfIndexesAndSparseOnes) {
  std::string image = push_image("a", "image");
  auto index_over = [](std::string_view raw, std::string_view type) {
    return R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":")" + std::string(type) + R"(","digest":")" + Digest::of(raw).str() +
           R"(","size":)" + std::to_string(raw.size()) + "}]}";
  };
  std::string index = index_over(image, media_type::kOciManifest), nested = index_over(index, media_type::kOciIndex);
  Answer answer = push_manifest("a", Digest::of(index).str(), index, media_type::kOciIndex);
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.header("Warning"), "");
  EXPECT_EQ(push_manifest("a", "nested", nested, media_type::kOciIndex).status, 201);
  EXPECT_EQ(get("/v2/a/manifests/nested").body, nested);
  answer = push_manifest("a", "sparse", index_over("elsewhere", media_type::kOciManifest), media_type::kOciIndex);
  EXPECT_EQ(answer.status, 201);
  EXPECT_TRUE(answer.header("Warning").starts_with("299 - \"1 of the 1 manifests")) << answer.header("Warning");
}

TEST_F(Registry, NamesAManifestPushedByDigestWithTagsOfTheQuery) {
  std::string raw = manifest_of(push_blob("a", "{}"), 2), digest = Digest::of(raw).str();
  Answer answer = push_manifest("a", digest + "?tag=1.2&tag=1&tag=latest", raw);
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.header("OCI-Tag"), "1.2, 1, latest");
  EXPECT_EQ(get("/v2/a/manifests/1.2").body, raw);
  EXPECT_EQ(push_manifest("a", digest + "?tag=.bad", raw).error(), "TAG_INVALID");
}

TEST_F(Registry, MovesATagAndKeepsWhatItNamed) {
  std::string first = push_image("a", "t"), second = push_image("a", "t", R"(,"annotations":{"n":"2"})");
  EXPECT_EQ(get("/v2/a/manifests/t").body, second);
  EXPECT_EQ(get("/v2/a/manifests/" + Digest::of(first).str()).body, first);
  restart();
  EXPECT_EQ(get("/v2/a/manifests/t").body, second);
  EXPECT_EQ(get("/v2/a/manifests/" + Digest::of(first).str()).body, first);
}

TEST_F(Registry, DeletesTagsAndManifests) {
  std::string raw = push_image("a", "one"), digest = Digest::of(raw).str();
  push_image("a", "two");
  EXPECT_EQ(request("DELETE", "/v2/a/blobs/" + digest).status, 405);
  EXPECT_EQ(request("DELETE", "/v2/a/manifests/one").status, 202);
  EXPECT_EQ(request("DELETE", "/v2/a/manifests/one").status, 404);
  EXPECT_EQ(get("/v2/a/manifests/two").status, 200);
  EXPECT_EQ(request("DELETE", "/v2/a/manifests/" + digest).status, 202);
  EXPECT_EQ(get("/v2/a/manifests/two").status, 404);
  EXPECT_EQ(get("/v2/a/manifests/" + digest).status, 404);
  EXPECT_EQ(get("/v2/a/tags/list").json()["tags"].size(), 0u);
}

TEST_F(Registry, ListsTagsInPages) {
  for (const char* tag : {"c", "a", "b", "B"}) push_image("x", tag);
  EXPECT_EQ(get("/v2/x/tags/list").json()["tags"].strings(), (std::vector<std::string>{"B", "a", "b", "c"}));
  Answer page = get("/v2/x/tags/list?n=2");
  EXPECT_EQ(page.json()["tags"].strings(), (std::vector<std::string>{"B", "a"}));
  EXPECT_EQ(page.header("Link"), "</v2/x/tags/list?last=a&n=2>; rel=\"next\"");
  page = get("/v2/x/tags/list?n=2&last=a");
  EXPECT_EQ(page.json()["tags"].strings(), (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(page.header("Link"), "");
  page = get("/v2/x/tags/list?n=0");
  EXPECT_EQ(page.json()["tags"].size(), 0u);
  EXPECT_TRUE(page.json()["tags"].is_array());
  EXPECT_EQ(page.header("Link"), "");
  EXPECT_EQ(get("/v2/x/tags/list?n=-1").status, 400);
  EXPECT_EQ(get("/v2/x/tags/list?n=99999999999").status, 200);
  EXPECT_EQ(get("/v2/none/tags/list").error(), "NAME_UNKNOWN");
}

TEST_F(Registry, ListsRepositories) {
  for (const char* name : {"b", "a/deep/one", "a"}) push_blob(name, "x");
  EXPECT_EQ(get("/v2/_catalog").json()["repositories"].strings(), (std::vector<std::string>{"a", "a/deep/one", "b"}));
  EXPECT_EQ(get("/v2/_catalog?n=1").header("Link"), "</v2/_catalog?last=a&n=1>; rel=\"next\"");
}

TEST_F(Registry, ListsReferrers) {
  std::string image = push_image("a", "t"), digest = Digest::of(image).str();
  std::string subject = R"(,"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")" + digest + R"(","size":)" + std::to_string(image.size()) + "}";
  std::string config = push_blob("a", "{}");
  std::string one = manifest_of(config, 2, subject + R"(,"artifactType":"x/sbom","annotations":{"k":"v"})"), two = manifest_of(config, 2, subject);
  Answer answer = push_manifest("a", Digest::of(one).str(), one);
  EXPECT_EQ(answer.header("OCI-Subject"), digest);
  EXPECT_EQ(push_manifest("a", Digest::of(two).str(), two).status, 201);
  for (int round = 0; round < 2; round++, restart()) {
    answer = get("/v2/a/referrers/" + digest);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.header("Content-Type"), media_type::kOciIndex);
    EXPECT_EQ(answer.json()["manifests"].size(), 2u);
    answer = get("/v2/a/referrers/" + digest + "?artifactType=x%2Fsbom");
    EXPECT_EQ(answer.header("OCI-Filters-Applied"), "artifactType");
    ASSERT_EQ(answer.json()["manifests"].size(), 1u);
    Json entry = answer.json()["manifests"].items()[0];
    EXPECT_EQ(entry["digest"].string(), Digest::of(one).str());
    EXPECT_EQ(entry["artifactType"].string(), "x/sbom");
    EXPECT_EQ(entry["annotations"]["k"].string(), "v");
    EXPECT_EQ(get("/v2/a/referrers/" + digest + "?artifactType=application%2Fvnd.oci.image.config.v1%2Bjson").json()["manifests"].size(), 1u);
  }
  EXPECT_EQ(request("DELETE", "/v2/a/manifests/" + Digest::of(one).str()).status, 202);
  EXPECT_EQ(get("/v2/a/referrers/" + digest).json()["manifests"].size(), 1u);
  answer = get("/v2/unknown/referrers/" + digest);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json()["manifests"].size(), 0u);
  EXPECT_EQ(get("/v2/a/referrers/bad").status, 400);
}

TEST_F(Registry, IsAnOciLayoutOnDisk) {
  std::string raw = push_image("a/b", "t");
  auto layout = read_file(store("a/b/oci-layout"), 1000);
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(parse_json(*layout)->find("imageLayoutVersion")->string(), "1.0.0");
  auto index = parse_json(read_file(store("a/b/index.json"), 100000).value_or("")).value_or(Json());
  ASSERT_EQ(index["manifests"].size(), 1u);
  const Json& entry = index["manifests"].items()[0];
  EXPECT_EQ(entry["annotations"]["org.opencontainers.image.ref.name"].string(), "t");
  EXPECT_EQ(entry["digest"].string(), Digest::of(raw).str());
  EXPECT_EQ(read_file(store("a/b/blobs/sha256/" + Digest::of(raw).hex()), 100000).value_or(""), raw);
}

TEST_F(Registry, SeesWhatOtherToolsWriteIntoALayout) {
  std::string raw = push_image("a", "t");
  std::string text = read_file(store("a/index.json"), 100000).value_or("");
  ASSERT_TRUE(write_file_atomic(store("a/index.json"), replace_all(text, "\"t\"", "\"renamed\"")).ok());
  EXPECT_EQ(get("/v2/a/manifests/renamed").body, raw);
  EXPECT_EQ(get("/v2/a/manifests/t").status, 404);
  push_image("a", "second");
  EXPECT_EQ(get("/v2/a/tags/list").json()["tags"].strings(), (std::vector<std::string>{"renamed", "second"}));
}

TEST_F(Registry, TakesManyTagsAtOnce) {
  std::string raw = push_image("a", "t");
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; t++) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 20; i++) EXPECT_EQ(push_manifest("a", "t" + std::to_string(t) + "-" + std::to_string(i), raw).status, 201);
      });
    }
  }
  restart();
  EXPECT_EQ(get("/v2/a/tags/list").json()["tags"].size(), 161u);
}

TEST_F(Registry, WritesWhatCameAndWentIntoItsLog) {
  push_blob("a", "hello");
  get("/v2/a/blobs/" + Digest::of("hello").str());
  request("GET", "/v2/a/x\x1b[31m");
  auto lines = log();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_NE(lines[0].find(" 127.0.0.1 POST /v2/a/blobs/uploads/?digest=sha256%3A"), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find(" 201 in=5 out=0 ms="), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find(" 200 in=0 out=5 ms="), std::string::npos) << lines[1];
  EXPECT_EQ(lines[2].find('\x1b'), std::string::npos);
}

TEST_F(Registry, RefusesASecondServerOverTheSameFolder) {
  auto second = RegistryServer::start(options_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::Exists);
}

TEST_F(Registry, DoesNotListenBeyondLoopbackUnasked) {
  RegistryServerOptions options;
  options.root = folder_ / "other";
  options.host = "0.0.0.0";
  auto server = RegistryServer::start(options);
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.error().code, Code::Unauthorized);
  options.allow_anonymous = true;
  EXPECT_TRUE(RegistryServer::start(options).ok());
}

TEST_F(Registry, LetsInWhoIsInTheHtpasswdFile) {
  server_.reset();
  options_.htpasswd_file = folder_ / "htpasswd";
  auto entry = [](const char* user, const char* password) {
    crypt_data data = {};
    return std::string(user) + ":" + ::crypt_r(password, "$2y$04$abcdefghijklmnopqrstuu", &data) + "\n";
  };
  ASSERT_TRUE(write_file_atomic(options_.htpasswd_file, "# users\n" + entry("ann", "secret")).ok());
  start();
  auto as = [&](const std::string& credentials) { return get("/v2/", {{"Authorization", "Basic " + base64_encode(credentials)}}).status; };
  Answer refused = get("/v2/");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.error(), "UNAUTHORIZED");
  EXPECT_TRUE(refused.header("WWW-Authenticate").starts_with("Basic realm="));
  for (int twice = 0; twice < 2; twice++) {
    EXPECT_EQ(as("ann:secret"), 200);
    EXPECT_EQ(as("ann:wrong"), 401);
    EXPECT_EQ(as("bob:secret"), 401);
    EXPECT_EQ(as("ann"), 401);
  }
  EXPECT_EQ(get("/v2/", {{"Authorization", "Basic !!"}}).status, 401);
  EXPECT_EQ(request("POST", "/v2/a/blobs/uploads/", "").status, 401);
  ASSERT_TRUE(write_file_atomic(options_.htpasswd_file, entry("bob", "secret")).ok());
  EXPECT_EQ(as("ann:secret"), 401);
  EXPECT_EQ(as("bob:secret"), 200);
  ASSERT_TRUE(write_file_atomic(options_.htpasswd_file, "bob:plain\n").ok());
  EXPECT_EQ(as("bob:secret"), 401);
  server_.reset();
  auto server = RegistryServer::start(options_);
  ASSERT_FALSE(server.ok());
  EXPECT_NE(server.error().message.find("htpasswd:1: the hash of bob is not bcrypt"), std::string::npos) << server.error().message;
}

}  // namespace
}  // namespace archway
