#include "scheduler/replay.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/fd.h"

namespace archway::scheduler {
namespace {

const std::string kFolder = ARCHWAY_SOURCE_DIR "/../shared/vectors/scheduler";

std::string sorted(const Json& value) {
  JsonStyle style;
  style.sort_keys = true;
  return to_json(value, style);
}

// Every decision of every recorded case, down to each plugin's weighted score.
TEST(Replay, AgreesWithKubeSchedulerOnEveryDecision) {
  if (!path_exists(kFolder)) GTEST_SKIP() << "skipped: no vectors beside the project";
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) files.insert(entry.path().string());
  size_t decisions = 0, preemptions = 0, wrong = 0;
  for (const std::string& file : files) {
    auto text = read_file(file, 1 << 26);
    ASSERT_TRUE(text.ok());
    auto recorded = parse_json(*text);
    ASSERT_TRUE(recorded.ok()) << file;
    auto answer = replay(Profile(), *recorded);
    ASSERT_TRUE(answer.ok()) << file << ": " << answer.error().message;
    const Json::Array& want = (*recorded)["steps"].items();
    const Json::Array& have = (*answer)["steps"].items();
    ASSERT_EQ(want.size(), have.size()) << file;
    for (size_t i = 0; i < want.size(); ++i) {
      ++decisions;
      preemptions += want[i].has("preemption");
      if (sorted(want[i]) == sorted(have[i])) continue;
      if (++wrong <= 3) ADD_FAILURE() << file << " step " << i << "\nwant " << sorted(want[i]) << "\nhave " << sorted(have[i]);
    }
  }
  EXPECT_EQ(wrong, 0u) << "of " << decisions;
  EXPECT_GT(decisions, 2000u);
  EXPECT_GT(preemptions, 300u);
}

}  // namespace
}  // namespace archway::scheduler
