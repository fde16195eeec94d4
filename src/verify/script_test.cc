#include "verify/script.h"

#include <gtest/gtest.h>

namespace archway {
namespace {

using Words = std::vector<std::string>;

TEST(Script, ReadsTheFirstLineAsLinuxDoes) {
  struct Case {
    std::string text;
    std::optional<Script> want;
  };
  for (const Case& c : std::vector<Case>{{"#!/bin/sh\necho", Script{"/bin/sh"}},
                                         {"#! \t/bin/sh \t\n", Script{"/bin/sh"}},
                                         {"#!/bin/sh -e  -u \n", Script{"/bin/sh", "-e  -u"}},
                                         {"#!/usr/bin/env python3", Script{"/usr/bin/env", "python3"}},
                                         {"#!/bin/sh\r\n", Script{"/bin/sh\r"}},
                                         {"#!python\n", Script{"python"}},
                                         {std::string("#!/bin/sh\0x\n", 12), Script{"/bin/sh"}},
                                         {"#!\n/bin/sh", std::nullopt},
                                         {"#!   \n", std::nullopt},
                                         {"#!", std::nullopt},
                                         {" #!/bin/sh\n", std::nullopt},
                                         {"", std::nullopt}}) {
    EXPECT_EQ(parse_script(c.text), c.want) << c.text;
  }
}

TEST(Script, DoesNotRunAnInterpreterThatTheKernelWouldCut) {
  std::string fits = "#!/" + std::string(kScriptPrefixBytes - 4, 'x') + "\n";
  ASSERT_EQ(fits.size(), kScriptPrefixBytes);
  EXPECT_TRUE(parse_script(fits));
  EXPECT_FALSE(parse_script("#!/" + std::string(kScriptPrefixBytes - 3, 'x') + "\n"));
  // An argument may be cut.
  EXPECT_TRUE(parse_script("#!/bin/sh " + std::string(kScriptPrefixBytes, 'x')));
}

TEST(Script, KnowsWhatLaunchersStart) {
  struct Case {
    Words words, started;
    bool guessed = false;
  };
  for (const Case& c : std::vector<Case>{{{"/usr/bin/env", "python3", "-u"}, {"python3", "-u"}},
                                         {{"env", "-i", "A=b", "-u", "HOME", "app", "x"}, {"app", "x"}},
                                         {{"env", "-S python3 -u"}, {"python3", "-u"}},
                                         {{"env", "-S", "-i A=b python3", "x"}, {"python3", "x"}},
                                         {{"env", "-S 'my program'"}, {}},
                                         {{"env", "--", "app"}, {"app"}},
                                         {{"env"}, {}},
                                         {{"/sbin/tini", "--", "app", "-v"}, {"app", "-v"}},
                                         {{"tini", "-g", "-e", "143", "app"}, {"app"}},
                                         {{"dumb-init", "app"}, {"app"}},
                                         {{"/bin/sh", "-c", "exec app -x"}, {"app", "-x"}, true},
                                         {{"sh", "-ec", "A=b app $PORT"}, {"app"}, true},
                                         {{"sh", "-c", "$APP"}, {}, true},
                                         {{"sh", "-c", "cd /srv && app"}, {}, true},
                                         {{"sh", "script"}, {}, true},
                                         {{"app", "-c", "other"}, {}},
                                         {{}, {}}}) {
    Launch launch = launched_by(c.words);
    EXPECT_EQ(launch.words, c.started) << (c.words.empty() ? "" : c.words.back());
    EXPECT_EQ(launch.guessed, c.guessed) << (c.words.empty() ? "" : c.words.back());
  }
}

TEST(Script, IsQuickWithMillionsOfWords) {
  Words words(1'000'000, "-S");
  words[0] = "env";
  EXPECT_TRUE(launched_by(words).words.empty());
}

}  // namespace
}  // namespace archway
