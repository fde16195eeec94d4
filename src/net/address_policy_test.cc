#include "net/address_policy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "net/http_client.h"
#include "net/raw_server_fixture.h"

namespace archway {
namespace {

using testing::RawRequest;
using testing::RawServer;

bool allows(const AddressPolicy& policy, const char* text) {
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  if (::inet_pton(AF_INET, text, &v4.sin_addr) == 1) return policy.allows(reinterpret_cast<sockaddr&>(v4));
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  EXPECT_EQ(::inet_pton(AF_INET6, text, &v6.sin6_addr), 1) << text;
  return policy.allows(reinterpret_cast<sockaddr&>(v6));
}

TEST(AddressPolicy, DeniesThisMachineAndItsLink) {
  AddressPolicy policy = AddressPolicy::no_local();
  for (const char* text : {"127.0.0.1", "127.255.255.255", "0.0.0.0", "169.254.169.254", "::1", "::", "fe80::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
                           "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1", "224.0.0.1", "255.255.255.255", "ff02::1", "fd00:ec2::254", "100.100.100.200"}) {
    EXPECT_FALSE(allows(policy, text)) << text;
  }
  for (const char* text : {"8.8.8.8", "10.0.0.1", "128.0.0.1", "126.255.255.255", "2606:4700::1", "fd00::1", "64:ff9b::808:808", "169.253.255.255", "169.255.0.0"}) EXPECT_TRUE(allows(policy, text)) << text;
}

TEST(AddressPolicy, PublicOnlyDeniesPrivateNetworksToo) {
  AddressPolicy policy = AddressPolicy::public_only();
  for (const char* text : {"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd12::1", "64:ff9b::a00:1"}) EXPECT_FALSE(allows(policy, text)) << text;
  for (const char* text : {"172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0", "2606:4700::1"}) EXPECT_TRUE(allows(policy, text)) << text;
}

TEST(AddressPolicy, ExceptionsAreForTheAddressItself) {
  AddressPolicy policy = AddressPolicy::public_only();
  policy.allowed.push_back(*AddressRange::parse("10.96.0.0/12"));
  EXPECT_TRUE(allows(policy, "10.96.0.1"));
  EXPECT_FALSE(allows(policy, "10.95.255.255"));
  EXPECT_FALSE(allows(policy, "64:ff9b::a60:1"));
}

TEST(AddressPolicy, JudgesNamesAndSpelledAddresses) {
  AddressPolicy policy = AddressPolicy::no_local();
  policy.denied_hosts.push_back("*.cluster.local");
  policy.allowed_hosts.push_back("registry.kube-system.svc.cluster.local");
  for (const char* host : {"localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "::1", "2130706433", "0x7f.1", "127.1", "017700000001", "metadata.google.internal",
                           "db.default.svc.cluster.local", "DB.default.svc.CLUSTER.local."}) {
    EXPECT_FALSE(policy.check_host(host).ok()) << host;
  }
  for (const char* host : {"docker.io", "cluster.local", "notcluster.local", "8.8.8.8", "registry.kube-system.svc.cluster.local", "1password.com"}) EXPECT_TRUE(policy.check_host(host).ok()) << host;
}

TEST(AddressRange, ParsesRangesOfBothFamilies) {
  for (const char* text : {"10.0.0.0/8", "10.0.0.1", "::/0", "fd00::/8", "0.0.0.0/0", "10.0.0.0/32", "::1/128"}) EXPECT_TRUE(AddressRange::parse(text).ok()) << text;
  for (const char* text : {"", "10.0.0.0/33", "10.0.0", "::/129", "10.0.0.0/", "10.0.0.0/-1", "x/8", "fe80::1/x"}) EXPECT_FALSE(AddressRange::parse(text).ok()) << text;
}

// What is connected to is what was judged, not what a name looked like.
TEST(AddressPolicy, HoldsForWhatANameResolvesTo) {
  RawServer server([](const RawRequest&, int) { return RawServer::reply(200); });
  HttpClientOptions options;
  options.reach.denied.push_back(*AddressRange::parse("127.0.0.0/8"));
  options.reach.denied.push_back(*AddressRange::parse("::1"));
  auto client = *HttpClient::create(options);
  HttpRequest request;
  request.url = *parse_url("http://localhost:" + std::to_string(server.port()) + "/");
  auto refused = client->send(request);  // the name is not denied; its address is
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::Invalid) << refused.error().message;
  EXPECT_EQ(server.connections(), 0);

  options.reach.allowed_hosts = {"localhost"};
  EXPECT_TRUE((*HttpClient::create(options))->send(request).ok());
  options.reach.allowed_hosts = {};
  options.reach.allowed.push_back(*AddressRange::parse("127.0.0.1"));
  EXPECT_TRUE((*HttpClient::create(options))->send(request).ok());
}

TEST(AddressPolicy, LetsTheProxyBeReachedAndNothingBeside) {
  RawServer proxy([](const RawRequest&, int) { return RawServer::reply(200); });
  RawServer other([](const RawRequest&, int) { return RawServer::reply(200); });
  HttpClientOptions options;
  options.reach.denied.push_back(*AddressRange::parse("127.0.0.0/8"));
  options.proxy.http = "http://127.0.0.1:" + std::to_string(proxy.port());
  options.proxy.no_proxy = "direct.example.org";
  auto client = *HttpClient::create(options);
  HttpRequest request;
  request.url = *parse_url("http://registry.example.org/");
  EXPECT_TRUE(client->send(request).ok());
  EXPECT_EQ(proxy.connections(), 1);
  request.url = *parse_url("http://127.0.0.1:" + std::to_string(other.port()) + "/");
  EXPECT_EQ(client->send(request).error().code, Code::Invalid);
  EXPECT_EQ(other.connections(), 0);
  EXPECT_EQ(proxy.connections(), 1);
}

}  // namespace
}  // namespace archway
