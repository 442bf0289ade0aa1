#include "terminal/wav.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "terminal/octet_order.hpp"

namespace qanat::terminal {
namespace {

const std::vector<std::int16_t> some_samples{0, 1, -1, 32767, -32768};

/// The file with a chunk put in before "data" and the RIFF size set right.
Bytes with_chunk(ByteView file, std::string_view name, ByteView body) {
  constexpr std::size_t data_at = 36;
  Bytes out = to_bytes(file.first(data_at));
  append(out, as_bytes(name));
  append_little_endian(out, static_cast<std::uint32_t>(body.size()));
  append(out, body);
  if (body.size() % 2 != 0) out.push_back(0);
  append(out, file.subspan(data_at));
  Bytes size;
  append_little_endian(size, static_cast<std::uint32_t>(out.size() - 8));
  std::copy(size.begin(), size.end(), out.begin() + 4);
  return out;
}

void expect_wav_refused(ByteView file, std::string_view what) {
  const auto parsed = parse_wav(file);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(parsed.error().message.find(what), std::string::npos) << parsed.error().message;
}

Bytes patched(std::size_t at, std::uint8_t octet) {
  Bytes file = encode_wav(some_samples);
  file[at] = octet;
  return file;
}

TEST(WavTest, ReadsBackWhatItWrote) {
  const auto parsed = parse_wav(encode_wav(some_samples));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, some_samples);
}

TEST(WavTest, WritesTheCanonicalHeader) {
  const Bytes file = encode_wav(std::vector<std::int16_t>{0x0102});
  EXPECT_EQ(to_hex(file),
            "524946462600000057415645666d7420100000000100010"
            "0401f0000803e0000020010006461746102000000"
            "0201");
}

TEST(WavTest, PassesOverChunksThatItDoesNotKnow) {
  const auto parsed = parse_wav(with_chunk(encode_wav(some_samples), "LIST", as_bytes("odd")));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, some_samples);
}

TEST(WavTest, RefusesOtherFormats) {
  expect_wav_refused(as_bytes("RIFX"), "not a RIFF WAVE file");
  expect_wav_refused(patched(8, 'X'), "not a RIFF WAVE file");
  expect_wav_refused(patched(20, 6), "only PCM");
  expect_wav_refused(patched(22, 2), "only mono");
  expect_wav_refused(patched(25, 0), "only 8000 Hz");
  expect_wav_refused(patched(34, 8), "only 16");
  expect_wav_refused(patched(32, 4), "block size");
}

TEST(WavTest, RefusesSizesThatDoNotFit) {
  expect_wav_refused(patched(4, 0xFF), "RIFF size");
  expect_wav_refused(patched(40, 0xFF), "runs past the end");
  Bytes cut = encode_wav(some_samples);
  cut.resize(40);
  expect_wav_refused(cut, "RIFF size");
  expect_wav_refused(with_chunk(encode_wav(some_samples), "data", as_bytes("odd")), "odd number");
}

TEST(WavTest, RefusesDoubledAndMissingChunks) {
  expect_wav_refused(with_chunk(encode_wav(some_samples), "data", as_bytes("even")), "second \"data\"");
  expect_wav_refused(patched(36, 'x'), "no \"data\"");
  expect_wav_refused(patched(12, 'x'), "\"data\" before \"fmt \"");
}

TEST(WavTest, RefusesMoreChunksThanTheLimit) {
  Bytes file = encode_wav(some_samples);
  for (std::size_t i = 0; i < wav_chunks_max; ++i) file = with_chunk(file, "junk", {});
  expect_wav_refused(file, "chunks");
}

TEST(WavTest, ReadsTheShippedSpeech) {
  for (const auto* name : {"caller.wav", "callee.wav"}) {
    const auto samples = read_wav(std::filesystem::path(QANAT_SOURCE_DIR) / "assets/voice" / name);
    ASSERT_TRUE(samples) << samples.error().message;
    EXPECT_EQ(samples->size(), 24'000U);
  }
}

TEST(WavTest, NamesTheFileThatIsMissing) {
  const auto samples = read_wav("/nonexistent/voice.wav");
  ASSERT_FALSE(samples);
  EXPECT_EQ(samples.error().code, ErrorCode::not_found);
  EXPECT_NE(samples.error().message.find("/nonexistent/voice.wav"), std::string::npos);
}

TEST(WavTest, WritesAFileThatItReads) {
  const auto path = std::filesystem::path(testing::TempDir()) / "qanat-wav-test.wav";
  ASSERT_TRUE(write_wav(path, some_samples));
  const auto back = read_wav(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, some_samples);
}

}  // namespace
}  // namespace qanat::terminal
