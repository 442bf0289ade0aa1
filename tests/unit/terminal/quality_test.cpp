#include "terminal/quality.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "terminal/g711.hpp"
#include "terminal/wav.hpp"

namespace qanat::terminal {
namespace {

std::vector<std::int16_t> speech() { return read_wav(QANAT_SOURCE_DIR "/assets/voice/caller.wav").value(); }

TEST(QualityTest, TheSameSoundIsPerfect) {
  const auto quality = compare_quality(speech(), speech()).value();
  EXPECT_EQ(quality.offset_samples, 0);
  EXPECT_DOUBLE_EQ(quality.correlation, 1.0);
  EXPECT_EQ(quality.snr_db, snr_db_max);
}

TEST(QualityTest, ShowsTheNoiseOfALaw) {
  const auto quality = compare_quality(speech(), alaw_decode(ByteView(alaw_encode(speech())))).value();
  EXPECT_EQ(quality.offset_samples, 0);
  EXPECT_GT(quality.correlation, 0.9995);
  EXPECT_GT(quality.snr_db, 33.0);
  EXPECT_LT(quality.snr_db, 41.0);
}

TEST(QualityTest, FindsTheOffsetInBothDirections) {
  const auto said = speech();
  std::vector<std::int16_t> late(1234, 0);
  late.insert(late.end(), said.begin(), said.end());
  EXPECT_EQ(compare_quality(said, late)->offset_samples, 1234);
  EXPECT_EQ(compare_quality(said, late)->snr_db, snr_db_max);
  const std::vector<std::int16_t> cut(said.begin() + 320, said.end());
  EXPECT_EQ(compare_quality(said, cut)->offset_samples, -320);
}

TEST(QualityTest, LostPacketsCost) {
  const auto said = speech();
  auto heard = said;
  const double whole = compare_quality(said, alaw_decode(ByteView(alaw_encode(heard))))->snr_db;
  std::fill_n(heard.begin() + 8000, 160, std::int16_t{0});
  EXPECT_LT(compare_quality(said, heard)->snr_db, whole);
  EXPECT_GT(compare_quality(said, heard)->correlation, 0.9);
}

TEST(QualityTest, OtherSpeechAndNoiseDoNotPass) {
  const auto other = read_wav(QANAT_SOURCE_DIR "/assets/voice/callee.wav").value();
  EXPECT_LT(compare_quality(speech(), other)->correlation, 0.5);
  auto inverted = speech();
  for (std::int16_t& sample : inverted) sample = static_cast<std::int16_t>(~sample);
  EXPECT_LT(compare_quality(speech(), inverted)->snr_db, 3.0);
}

TEST(QualityTest, RefusesSilenceAndFragments) {
  EXPECT_FALSE(compare_quality(speech(), std::vector<std::int16_t>(24'000)));
  EXPECT_FALSE(compare_quality(std::vector<std::int16_t>(24'000), speech()));
  EXPECT_FALSE(compare_quality(speech(), std::vector<std::int16_t>(10, 5)));
  EXPECT_FALSE(compare_quality({}, {}));
}

}  // namespace
}  // namespace qanat::terminal
