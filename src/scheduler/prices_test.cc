#include "scheduler/prices.h"

#include <gtest/gtest.h>

#include "scheduler/node_group_machine.h"
#include "scheduler/trace_csv.h"

namespace archway::scheduler {
namespace {

TEST(Prices, AreExactBillionths) {
  EXPECT_EQ(parse_usd("0.0832"), 83'200'000);
  EXPECT_EQ(parse_usd("0.1234567894"), 123'456'789);
  EXPECT_EQ(parse_usd("0.1234567895"), 123'456'790);
  EXPECT_EQ(parse_usd("1000000"), 1'000'000 * kNanoPerUsd);
  for (const char* bad : {"", ".", "-1", "1e3", "0x1", "1,5", "1000001", "1000000.1", "nan", " 1", "1.2.3"}) EXPECT_EQ(parse_usd(bad), std::nullopt) << bad;
}

TEST(Prices, ArePrintedInDollars) {
  EXPECT_EQ(usd(static_cast<__int128_t>(1234) * kNanoPerUsd + 565'000'000), "1,234.57");
  EXPECT_EQ(usd(-static_cast<__int128_t>(5) * kNanoPerUsd), "-5.00");
  EXPECT_EQ(usd(0), "0.00");
  EXPECT_EQ(usd(-1), "0.00");
  EXPECT_EQ(usd(static_cast<__int128_t>(1'000'000) * kNanoPerUsd), "1,000,000.00");
  EXPECT_EQ(usd_number(static_cast<__int128_t>(12) * kNanoPerUsd + 344'000'000), 12.34);
}

TEST(Prices, ThoseThatShipAgreeWithTheStudy) {
  PriceTable prices = PriceTable::shipped();
  EXPECT_EQ(prices.find("aws", "us-east-1", "m7g.large")->on_demand, 81'600'000);
  EXPECT_EQ(prices.find("azure", "eastus", "Standard_D4ps_v5")->on_demand, 154'000'000);
  // Arm is dearer than e2 there.
  EXPECT_GT(prices.find("gcp", "us-central1", "t2a-standard-4")->on_demand, prices.find("gcp", "us-central1", "e2-standard-4")->on_demand);
  EXPECT_EQ(prices.find("aws", "eu-north-1", "m7g.large"), nullptr);
}

TEST(Prices, TheUsersCountBeforeThoseThatShip) {
  PriceTable prices = PriceTable::shipped();
  ASSERT_TRUE(prices.add("cloud,region,instance_type,usd_per_hour_on_demand\naws,us-east-1,m7g.large,0.05\nown,rack,big,1\n").ok());
  EXPECT_EQ(prices.find("aws", "us-east-1", "m7g.large")->on_demand, 50'000'000);
  EXPECT_EQ(prices.find("aws", "us-east-1", "m7g.large")->vcpu, 2);  // still known
  EXPECT_EQ(prices.find("own", "rack", "big")->on_demand, kNanoPerUsd);
}

TEST(Prices, ABadRowIsNamedAndNothingIsAdded) {
  PriceTable prices;
  auto added = prices.add("cloud,region,instance_type,usd_per_hour_on_demand\na,b,c,1\na,b,d,cheap\n");
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().message, "line 3: usd_per_hour_on_demand: \"cheap\" is no price");
  EXPECT_EQ(prices.find("a", "b", "c"), nullptr);
  EXPECT_FALSE(prices.add("cloud,region,price\n").ok());
  EXPECT_FALSE(prices.add("").ok());
  EXPECT_FALSE(prices.add("cloud,region,instance_type,usd_per_hour_on_demand\na,,c,1\n").ok());
}

TEST(Csv, ReadsQuotesAndRefusesOddRows) {
  auto rows = CsvReader::open("\xef\xbb\xbf\na,b\r\n\n\"x,\"\"y\"\"\",2\r\n1\n");
  ASSERT_TRUE(rows.ok());
  ASSERT_TRUE(*rows->next());
  EXPECT_EQ(rows->field("a"), "x,\"y\"");
  EXPECT_EQ(rows->field("b"), "2");
  EXPECT_EQ(rows->field("c"), "");
  EXPECT_FALSE(rows->next().ok());
  auto open = CsvReader::open("a\n\"never closed\n");
  ASSERT_TRUE(open.ok());
  EXPECT_FALSE(open->next().ok());
  EXPECT_TRUE(CsvReader::open(std::string(kMaxCsvColumns - 1, ',')).ok());
  EXPECT_FALSE(CsvReader::open(std::string(kMaxCsvColumns, ',')).ok());
}

TEST(Machines, AreKnownByListOrByTheCloudsWayOfNaming) {
  PriceTable prices = PriceTable::shipped();
  struct Case {
    const char *type, *architecture;
  };
  for (const Case& each : {Case{"m7g.xlarge", "arm64"}, {"c6gn.16xlarge", "arm64"}, {"r8gd.metal-24xl", "arm64"}, {"a1.large", "arm64"}, {"t4g.nano", "arm64"}, {"x2gd.medium", "arm64"},
                           {"im4gn.large", "arm64"}, {"g5g.xlarge", "arm64"}, {"g4dn.xlarge", "amd64"}, {"m5.24xlarge", "amd64"}, {"i3en.large", "amd64"}, {"Standard_D4ps_v5", "arm64"},
                           {"Standard_E16pds_v6", "arm64"}, {"Standard_D4s_v5", "amd64"}, {"Standard_E8-4as_v5", "amd64"}, {"t2a-standard-4", "arm64"}, {"c4a-highmem-8", "arm64"},
                           {"n2-standard-4", "amd64"}, {"nonsense", ""}, {"", ""}, {"x.y", ""}}) {
    EXPECT_EQ(architecture_of_type(each.type, prices), each.architecture) << each.type;
  }
  EXPECT_EQ(find_machine("m5.12xlarge", prices)->vcpu, 48);
  EXPECT_EQ(find_machine("m5.12xlarge", prices)->memory_gib, 192);
  EXPECT_FALSE(find_machine("c5n.large", prices));
  EXPECT_FALSE(find_machine("m5.metal", prices));
}

TEST(Regions, FollowFromZones) {
  EXPECT_EQ(region_of_zone("aws", "us-east-1a"), "us-east-1");
  EXPECT_EQ(region_of_zone("gcp", "europe-west4-b"), "europe-west4");
  EXPECT_EQ(region_of_zone("azure", "eastus-1"), "eastus");
  EXPECT_EQ(region_of_zone("aws", "nowhere"), "");
  EXPECT_EQ(region_of_zone("gcp", ""), "");
}

}  // namespace
}  // namespace archway::scheduler
