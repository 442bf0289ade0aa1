#include "terminal/settings.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "temporary_directory.hpp"

namespace qanat::terminal {
namespace {

using namespace std::chrono_literals;

/// `call`: what follows in the file, in [terminal] first.
Result<TerminalSettings> read_terminal(const std::string& call) {
  const qanat::test::TemporaryDirectory folder;
  std::ofstream(folder / "A.toml") << "[terminal]\nuid = \"A\"\nnumber = \"+8655120000001\"\nkms = \"kms-a\"\n" << call;
  auto config = node::Config::read(folder / "A.toml");
  if (!config) return fail(config.error());
  TerminalSettings out = TerminalSettings::read(*config);
  TRY(config->finish());
  return out;
}

TEST(TerminalSettingsTest, ACallTakesAnotherKeyEachHourAndEndsAfterTwoWithout) {
  const auto got = read_terminal("");
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->rekey.after, 1h);
  EXPECT_EQ(got->rekey.limit, 2h);
  EXPECT_EQ(got->rekey.after_packets, 0U);
}

TEST(TerminalSettingsTest, TheCallsKeysAreAsConfigured) {
  const auto got = read_terminal("[call]\nrekey_after_s = 60\nrekey_after_packets = 5000\nkey_limit_s = 90\n");
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->rekey.after, 60s);
  EXPECT_EQ(got->rekey.after_packets, 5000U);
  EXPECT_EQ(got->rekey.limit, 90s);
  const auto twice = read_terminal("[call]\nrekey_after_s = 60\n");
  ASSERT_TRUE(twice) << twice.error().message;
  EXPECT_EQ(twice->rekey.limit, 120s) << "twice as long, if nothing is said";
  const auto never = read_terminal("[call]\nrekey_after_s = 0\n");
  ASSERT_TRUE(never) << never.error().message;
  EXPECT_EQ(never->rekey.after, 0s);
  EXPECT_EQ(never->rekey.limit, 0s);
}

TEST(TerminalSettingsTest, ChargedKeysAreDemandedOnceTheMediumWasChargedByFileUnlessSomebodySaysOtherwise) {
  EXPECT_EQ(read_terminal("")->charged_keys, ChargedCalls::required_if_stocked);
  EXPECT_EQ(read_terminal("charged_keys = \"required_if_stocked\"\n")->charged_keys, ChargedCalls::required_if_stocked);
  EXPECT_EQ(read_terminal("charged_keys = \"required\"\n")->charged_keys, ChargedCalls::required);
  EXPECT_EQ(read_terminal("charged_keys = \"optional\"\n")->charged_keys, ChargedCalls::optional);
  EXPECT_FALSE(read_terminal("charged_keys = \"always\"\n"));
  EXPECT_FALSE(read_terminal("charged_keys = true\n"));
}

TEST(TerminalSettingsTest, ALimitThatComesBeforeTheNextKeyIsRefused) {
  for (const std::string call :
       {"[call]\nrekey_after_s = 60\nkey_limit_s = 60\n", "[call]\nrekey_after_s = 86401\n", "[call]\nrekey_after_packets = -1\n", "[call]\nrekey = 1\n"}) {
    const auto got = read_terminal(call);
    ASSERT_FALSE(got) << call;
    EXPECT_TRUE(got.error().message.contains("call.")) << got.error().message;
  }
}

}  // namespace
}  // namespace qanat::terminal
