#include "kube/quantity.h"

#include <gtest/gtest.h>

#include "base/fd.h"
#include "format/json.h"

namespace archway::kube {
namespace {

TEST(Quantity, AgreesWithApimachineryOnEveryVector) {
  auto text = read_file(ARCHWAY_SOURCE_DIR "/../shared/vectors/kubernetes/quantities.json", 1 << 24);
  if (!text.ok()) GTEST_SKIP() << "skipped: no vectors beside the project";
  auto cases = parse_json(*text);
  ASSERT_TRUE(cases.ok());
  ASSERT_GT(cases->size(), 0u);
  for (const Json& row : cases->items()) {
    const std::string& in = row["in"].string();
    auto quantity = Quantity::parse(in);
    ASSERT_EQ(quantity.ok(), !row["error"].boolean()) << in;
    if (!quantity.ok()) continue;
    EXPECT_EQ(quantity->value(), row["value"].integer()) << in;
    EXPECT_EQ(quantity->milli_value(), row["milliValue"].integer()) << in;
    EXPECT_EQ(quantity->str(), row["canonical"].string()) << in;
  }
}

TEST(Quantity, RefusesWhatWouldFillMemory) {
  EXPECT_FALSE(Quantity::parse("1e1001").ok());
  EXPECT_TRUE(Quantity::parse("1e1000").ok());
  EXPECT_FALSE(Quantity::parse(std::string(kMaxQuantityBytes + 1, '1')).ok());
  EXPECT_TRUE(Quantity::parse(std::string(kMaxQuantityBytes, '1')).ok());
}

TEST(Quantity, SumsRoundOnce) {
  Nanos half = Quantity::parse("0.5m")->nanos();
  EXPECT_EQ(milli_units(half), 1);
  EXPECT_EQ(milli_units(half + half), 1);
  EXPECT_EQ(whole_units(Quantity::parse("1.1Mi")->nanos()), 1153434);
}

}  // namespace
}  // namespace archway::kube
