#include "kube/watcher.h"

#include <gtest/gtest.h>

#include <atomic>

#include "net/raw_server_fixture.h"

namespace archway::kube {
namespace {

using testing::RawRequest;
using testing::RawServer;

std::string reply(const std::string& body, int status = 200) { return RawServer::reply(status, "Content-Type: application/json\r\n", body); }
std::string pod(const std::string& name, const std::string& version, const std::string& uid = "u") {
  return R"({"metadata":{"namespace":"n","name":")" + name + R"(","resourceVersion":")" + version + R"(","uid":")" + uid + R"("}})";
}
std::string list(const std::string& items, const std::string& version) { return R"({"kind":"PodList","metadata":{"resourceVersion":")" + version + R"("},"items":[)" + items + "]}"; }
std::string event(const std::string& type, const std::string& object) { return R"({"type":")" + type + R"(","object":)" + object + "}\n"; }

// In front of an answer: the connection is dropped after it.
constexpr std::string_view kCut = "CUT ";

// Answers lists and watches, each in turn; after the last it asks the watcher to stop.
class Scene {
 public:
  using Answers = std::vector<std::string>;
  Scene(Answers lists, Answers watches)
      : lists_(std::move(lists)), watches_(std::move(watches)), server_([this](const RawRequest& request, int fd) { return answer(request, fd); }) {}

  Result<void> watch(std::function<Result<void>(const WatchEvent&)> each = {}) {
    ClusterAccess access;
    access.server = "http://" + server_.host();
    auto client = *Client::connect(access, {}, {nullptr, [this](std::chrono::milliseconds duration, std::stop_token) { waits.push_back(duration.count()); }});
    return client->watch(resources::pods(), "", {}, [&](const WatchEvent& one) -> Result<void> {
      static constexpr const char* kTypes[] = {"added", "modified", "deleted", "bookmark"};
      events.push_back(std::string(kTypes[static_cast<int>(one.type)]) + " " + one.object["metadata"]["name"].string() + " " + one.object["metadata"]["resourceVersion"].string());
      return each ? each(one) : Result<void>();
    }, stop.get_token());
  }
  std::vector<std::string> watched() {
    std::vector<std::string> versions;
    for (const std::string& line : server_.log()) {
      size_t at = line.find("watch=true");
      if (at != std::string::npos) versions.push_back(line.substr(line.find("resourceVersion=") + 16, line.find("&timeout") - line.find("resourceVersion=") - 16));
    }
    return versions;
  }
  std::vector<std::string> events;
  std::vector<int64_t> waits;
  std::stop_source stop;

 private:
  std::string answer(const RawRequest& request, int fd) {
    bool is_watch = request.target.find("watch=true") != std::string::npos;
    Answers& answers = is_watch ? watches_ : lists_;
    size_t& next = is_watch ? next_watch_ : next_list_;
    if (next >= answers.size()) {
      stop.request_stop();
      return reply("", 500);
    }
    const std::string& text = answers[next++];
    if (!text.starts_with(kCut)) return text;
    EXPECT_TRUE(write_all(fd, as_bytes(std::string_view(text).substr(kCut.size()))).ok());
    return "";
  }
  Answers lists_, watches_;
  size_t next_list_ = 0, next_watch_ = 0;
  RawServer server_;
};

using Lines = std::vector<std::string>;

TEST(Watch, ListsThenFollowsAndGoesOnWhereItWas) {
  Scene scene({reply(list(pod("a", "1") + "," + pod("b", "2"), "10"))},
              {reply(event("ADDED", pod("c", "11")) + event("MODIFIED", pod("a", "12")) + event("BOOKMARK", R"({"metadata":{"resourceVersion":"15"}})")),
               reply(event("DELETED", pod("b", "16")))});
  EXPECT_TRUE(scene.watch().ok());
  EXPECT_EQ(scene.events, (Lines{"added a 1", "added b 2", "added c 11", "modified a 12", "bookmark  15", "deleted b 16"}));
  EXPECT_EQ(scene.watched(), (Lines{"10", "15", "16"}));
}

TEST(Watch, ListsAgainWhenTheHistoryIsGoneAndSaysWhatChanged) {
  for (bool by_status : {true, false}) {
    std::string gone = R"({"kind":"Status","code":410,"reason":"Expired","message":"too old"})";
    Scene scene({reply(list(pod("a", "1") + "," + pod("b", "2") + "," + pod("c", "3") + "," + pod("d", "4", "old"), "10")),
                 reply(list(pod("a", "1") + "," + pod("c", "20") + "," + pod("d", "21", "new") + "," + pod("e", "22"), "30"))},
                {by_status ? reply(gone, 410) : reply(event("ERROR", gone)), reply(event("MODIFIED", pod("e", "31")))});
    EXPECT_TRUE(scene.watch().ok());
    EXPECT_EQ(scene.events, (Lines{"added a 1", "added b 2", "added c 3", "added d 4", "modified c 20", "deleted d ", "added d 21", "added e 22", "deleted b ", "modified e 31"}));
    EXPECT_EQ(scene.watched(), (Lines{"10", "30", "31"}));
  }
}

TEST(Watch, ABrokenConnectionGoesOnWithBackoff) {
  std::string cut = std::string(kCut) + "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::string line = event("ADDED", pod("b", "11"));
  char size[32];
  snprintf(size, sizeof size, "%zx\r\n", line.size());
  Scene scene({reply(list(pod("a", "1"), "10"))}, {cut + size + line + "\r\n", reply("", 500), reply(event("ADDED", pod("c", "12")) + "{\"type\":\"ADD"), reply("not json\n")});
  EXPECT_TRUE(scene.watch([&](const WatchEvent& one) -> Result<void> {
    if (one.object["metadata"]["name"].string() == "c") scene.stop.request_stop();
    return {};
  }).ok());
  EXPECT_EQ(scene.events, (Lines{"added a 1", "added b 11", "added c 12"}));
}

TEST(Watch, AListenersErrorEndsIt) {
  Scene scene({reply(list(pod("a", "1"), "10"))}, {reply(event("ADDED", pod("b", "11")) + event("ADDED", pod("c", "12")))});
  auto result = scene.watch([](const WatchEvent& one) -> Result<void> {
    if (one.object["metadata"]["name"].string() == "b") return Error{Code::Io, "enough"};
    return {};
  });
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, "enough");
  EXPECT_EQ(scene.events.size(), 2u);
}

TEST(Watch, WhatNeverWillDoIsAnError) {
  Scene forbidden({reply(R"({"kind":"Status","code":403,"reason":"Forbidden","message":"pods is forbidden"})", 403)}, {});
  auto result = forbidden.watch();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::Unauthorized);
  Scene no_watch({reply(list("", "10"))}, {reply(R"({"kind":"Status","code":403,"reason":"Forbidden","message":"cannot watch"})", 403)});
  EXPECT_FALSE(no_watch.watch().ok());
}

TEST(Watch, WaitsForAServerThatIsNotThereYet) {
  Scene scene({reply("", 503), reply("", 503), reply("", 503), reply(list(pod("a", "1"), "10"))}, {reply(event("ADDED", pod("b", "11"))), reply("", 403), reply(event("ADDED", pod("c", "12")))});
  EXPECT_TRUE(scene.watch().ok());
  EXPECT_EQ(scene.events, (Lines{"added a 1", "added b 11", "added c 12"})) << "once it has worked, even a refusal is waited out";
  ASSERT_GE(scene.waits.size(), 3u);
  EXPECT_EQ(scene.waits[2], kFirstWatchBackoff.count());
}

TEST(WatchLine, IsRefusedWhereItMakesNoSense) {
  for (const char* text : {"", "{}", "[]", R"({"type":"ADDED"})", R"({"type":"ADDED","object":7})", R"({"type":"MOVED","object":{}})"}) EXPECT_FALSE(parse_watch_line(text).ok()) << text;
  auto error = parse_watch_line(R"({"type":"ERROR","object":{"code":500,"message":"etcd"}})");
  ASSERT_TRUE(error.ok());
  EXPECT_FALSE(error->event || error->expired);
  EXPECT_EQ(error->problem, "etcd");
}

}  // namespace
}  // namespace archway::kube
