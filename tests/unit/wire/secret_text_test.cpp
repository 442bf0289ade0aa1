// Base64 of secrets: the same text as that of open octets, and as strict a reader.
#include "wire/secret_text.hpp"

#include <gtest/gtest.h>

#include "wire/base64.hpp"

namespace qanat::wire {
namespace {

Bytes some_octets(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 37 + size * 11 + 201);
  return out;
}

TEST(SecretTextTest, WritesAndReadsTheSameTextAsForOpenOctets) {
  for (std::size_t size = 0; size < 200; ++size) {
    const Bytes octets = some_octets(size);
    const std::string text = to_base64(octets);
    SecretText out(base64_size(size));
    out.add_base64(octets);
    const Secret written = std::move(out).finish();
    EXPECT_EQ(as_text(written.reveal()), text);
    const auto read = secret_from_base64(as_bytes(text));
    ASSERT_TRUE(read) << size;
    EXPECT_EQ(to_bytes(read->reveal()), octets);
    const Secret url = base64url_text(Secret::copy_of(octets));
    EXPECT_EQ(as_text(url.reveal()), to_base64url(octets));
  }
}

TEST(SecretTextTest, RefusesWhatTheReaderOfOpenOctetsRefuses) {
  for (unsigned place = 0; place < 8; ++place) {
    for (unsigned letter = 0; letter < 256; ++letter) {
      std::string text = "QUJDRDE=";
      text[place] = static_cast<char>(letter);
      const auto open = from_base64(text);
      const auto secret = secret_from_base64(as_bytes(text));
      ASSERT_EQ(open.has_value(), secret.has_value()) << text;
      if (open) EXPECT_EQ(*open, to_bytes(secret->reveal()));
    }
  }
  for (const char* text : {"Q", "QU", "QUI", "QUJDR", "QR==", "====", "Q===", "QUJ=", "=UJD"})
    EXPECT_FALSE(secret_from_base64(as_bytes(std::string_view(text)))) << text;
}

TEST(SecretTextTest, BreaksLinesAfter64Characters) {
  const Bytes octets = some_octets(100);
  SecretText out(base64_lines_size(octets.size()));
  out.add_base64_lines(octets);
  const Secret text = std::move(out).finish();
  const std::string whole = to_base64(octets);
  EXPECT_EQ(as_text(text.reveal()), whole.substr(0, 64) + "\n" + whole.substr(64, 64) + "\n" + whole.substr(128) + "\n");
}

}  // namespace
}  // namespace qanat::wire
