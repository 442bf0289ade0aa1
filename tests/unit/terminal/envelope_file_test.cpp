// Files encrypted by envelope: the header, and chunks that open in their place alone.
#include "terminal/envelope_file.hpp"

#include <gtest/gtest.h>

namespace qanat::terminal {
namespace {

const EnvelopeHeader an_envelope{.aead = crypto::Aead::sm4_gcm, .key_id = "000102030405060708090a0b0c0d0e0f", .wrapped = Bytes(50, 7), .context = "file 1"};

Secret envelope_key(std::uint8_t octet, crypto::Aead aead = crypto::Aead::sm4_gcm) { return Secret::copy_of(Bytes(crypto::key_size(aead), octet)); }

TEST(EnvelopeFileTest, AHeaderIsReadAsItWasWritten) {
  Bytes octets = encode_envelope_header(an_envelope).value();
  const std::size_t size = octets.size();
  append(octets, Bytes(100, 1));
  const auto read = parse_envelope_header(octets);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->header, an_envelope);
  EXPECT_EQ(read->size, size);
  EXPECT_LE(size, envelope_header_max);
  for (std::size_t cut = 0; cut < size; ++cut) EXPECT_FALSE(parse_envelope_header(ByteView(octets).first(cut))) << cut;
}

TEST(EnvelopeFileTest, AHeaderOutOfItsBoundsIsRefused) {
  EnvelopeHeader wrong = an_envelope;
  wrong.key_id = "00";
  EXPECT_FALSE(encode_envelope_header(wrong));
  wrong = an_envelope;
  wrong.wrapped.clear();
  EXPECT_FALSE(encode_envelope_header(wrong));
  wrong = an_envelope;
  wrong.context.assign(envelope_context_max + 1, 'x');
  EXPECT_FALSE(encode_envelope_header(wrong));
  for (const std::size_t at : {0U, 7U, 8U, 25U}) {  // the mark, the cipher, a length over the maximum
    Bytes octets = encode_envelope_header(an_envelope).value();
    octets[at] ^= 0x80U;
    EXPECT_FALSE(parse_envelope_header(octets)) << at;
  }
}

TEST(EnvelopeFileTest, ChunksOpenInTheirOrderAndUnderTheirHeaderAlone) {
  for (const crypto::Aead aead : {crypto::Aead::sm4_gcm, crypto::Aead::aes_256_gcm}) {
    EnvelopeChunks sealer(aead, envelope_key(1, aead), as_bytes("header"));
    const Bytes first = sealer.seal(Bytes(envelope_chunk, 'a'), Chunk::more);
    const Bytes second = sealer.seal(Bytes(envelope_chunk, 'b'), Chunk::more);
    const Bytes third = sealer.seal(as_bytes("end"), Chunk::last);
    EXPECT_EQ(first.size(), envelope_sealed_chunk);
    const auto opener = [&](std::uint8_t key = 1, std::string_view header = "header") { return EnvelopeChunks(aead, envelope_key(key, aead), as_bytes(header)); };
    EnvelopeChunks good = opener();
    EXPECT_TRUE(good.open(first, Chunk::more));
    EXPECT_TRUE(good.open(second, Chunk::more));
    const auto last = good.open(third, Chunk::last);
    ASSERT_TRUE(last);
    EXPECT_EQ(as_text(last->reveal()), "end");
    EXPECT_FALSE(good.open(third, Chunk::last)) << "after the end";
    EXPECT_FALSE(opener().open(second, Chunk::more)) << "one left out";
    EXPECT_FALSE(opener().open(first, Chunk::last)) << "cut short";
    EXPECT_FALSE(opener(2).open(first, Chunk::more)) << "another key";
    EXPECT_FALSE(opener(1, "other").open(first, Chunk::more)) << "another header";
    EnvelopeChunks swapped = opener();
    EXPECT_TRUE(swapped.open(first, Chunk::more));
    EXPECT_FALSE(swapped.open(third, Chunk::last)) << "one left out before the end";
    Bytes changed = first;
    changed[1000] ^= 1U;
    EXPECT_FALSE(opener().open(changed, Chunk::more));
    EXPECT_FALSE(opener().open({}, Chunk::more));
  }
}

TEST(EnvelopeFileTest, AnEmptyFileHasOneChunk) {
  EnvelopeChunks sealer(crypto::Aead::sm4_gcm, envelope_key(1), as_bytes("header"));
  const Bytes only = sealer.seal({}, Chunk::last);
  EnvelopeChunks opener(crypto::Aead::sm4_gcm, envelope_key(1), as_bytes("header"));
  const auto opened = opener.open(only, Chunk::last);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->empty());
}

}  // namespace
}  // namespace qanat::terminal
