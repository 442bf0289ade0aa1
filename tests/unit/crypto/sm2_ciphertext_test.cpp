#include "crypto/sm2_ciphertext.hpp"

#include <gtest/gtest.h>

#include "unit/crypto/crypto_fixture.hpp"
#include "unit/crypto/foreign_vectors.hpp"

namespace qanat::crypto {
namespace {

using testing::hex;

Bytes raw_with(const Bytes& x, const Bytes& y, std::size_t plaintext) {
  const std::uint8_t form = 4;
  return concat({ByteView(&form, 1), x, y, Bytes(sm2_c3, 0xc3), Bytes(plaintext, 0xc2)});
}
Bytes coordinate(std::size_t leading_zeros, std::uint8_t then) {
  Bytes out(sm2_coordinate, 0x11);
  std::fill_n(out.begin(), leading_zeros, std::uint8_t{0});
  if (leading_zeros < out.size()) out[leading_zeros] = then;
  return out;
}
bool is_refused(ByteView der) {
  const auto raw = sm2_raw_from_der(der);
  return !raw && raw.error().code == ErrorCode::invalid_argument;
}

// Coordinates with leading zeros and with the top bit set: the two ways to get an INTEGER's length wrong.
TEST(Sm2CiphertextTest, EveryShapeOfCoordinateGoesThereAndBack) {
  for (std::size_t zeros = 0; zeros <= sm2_coordinate; ++zeros) {
    for (const std::uint8_t then : Bytes{0x01, 0x7f, 0x80, 0xff}) {
      for (const std::size_t plaintext : {1U, 19U, 20U, 32U, 64U}) {
        const Bytes raw = raw_with(coordinate(zeros, then), coordinate((zeros * 7) % 33, static_cast<std::uint8_t>(then ^ 0x80U)), plaintext);
        const auto der = sm2_der_from_raw(raw);
        ASSERT_TRUE(der);
        const auto back = sm2_raw_from_der(*der);
        ASSERT_TRUE(back) << to_hex(*der);
        EXPECT_EQ(*back, raw);
      }
    }
  }
}

// GM/T 0003.5-2012, annex C, in the DER of GM/T 0009 as OpenSSL's test has it.
TEST(Sm2CiphertextTest, AnnexCIsConvertedBothWays) {
  const auto strings = testing::c_strings("sm2_internal_test.c", "From Annex C in both");
  ASSERT_GE(strings.size(), 20U);
  std::string der;
  for (std::size_t i = 0; i < strings.size() && !der.ends_with("21886CA989CA9C7D58087307CA93092D651EFA"); ++i) {
    if (strings[i] == "307C" || !der.empty()) der += strings[i];
  }
  const std::string raw =
      "0404EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73E858F9D81E5430A57B36DAAB8F950A3C64E6EE6A63094D99283AFF767E124DF0"
      "59983C18F809E262923C53AEC295D30383B54E39D609D160AFCB1908D0BD876621886CA989CA9C7D58087307CA93092D651EFA";
  EXPECT_EQ(sm2_raw_from_der(hex(der)).value(), hex(raw));
  EXPECT_EQ(sm2_der_from_raw(hex(raw)).value(), hex(der));
}

TEST(Sm2CiphertextTest, AnythingButTheCanonicalDerIsRefused) {
  const Bytes der = sm2_der_from_raw(raw_with(coordinate(0, 0x71), coordinate(0, 0x70), 19)).value();
  ASSERT_EQ(to_hex(ByteView(der).first(4)), "307b0220");
  EXPECT_TRUE(is_refused({}));
  for (std::size_t size = 0; size < der.size(); ++size) EXPECT_TRUE(is_refused(ByteView(der).first(size))) << size;
  EXPECT_TRUE(is_refused(concat({der, Bytes(1)})));

  const ByteView content = ByteView(der).subspan(2);
  EXPECT_TRUE(is_refused(concat({hex("30817b"), content})));  // long form where the short one does
  EXPECT_TRUE(is_refused(concat({hex("3082007b"), content})));
  EXPECT_TRUE(is_refused(concat({hex("3080"), content, hex("0000")})));      // indefinite length
  EXPECT_TRUE(is_refused(concat({hex("317b"), content})));                   // SET
  EXPECT_TRUE(is_refused(concat({hex("307c022100"), content.subspan(2)})));  // x with a zero that is not needed
  EXPECT_TRUE(is_refused(concat({hex("307b021f"), content.subspan(2)})));    // lengths that do not add up
  EXPECT_TRUE(is_refused(concat({hex("307d"), content, hex("0500")})));      // a fifth element
  Bytes negative = der;
  negative[4] |= 0x80U;
  EXPECT_TRUE(is_refused(negative));
  EXPECT_TRUE(is_refused(concat({hex("305b0200"), content.subspan(34)})));  // empty INTEGER
  Bytes short_c3 = sm2_der_from_raw(raw_with(coordinate(0, 0x71), coordinate(0, 0x70), 33)).value();
  EXPECT_FALSE(is_refused(short_c3));
}

TEST(Sm2CiphertextTest, AHashOfAnotherLengthOrAnEmptyOneIsRefused) {
  const Bytes xy = concat({hex("0220"), coordinate(0, 0x71), hex("0220"), coordinate(0, 0x70)});
  const auto der = [&](std::size_t c3, std::size_t c2) {
    const Bytes c3_header{0x04, static_cast<std::uint8_t>(c3)};
    const Bytes c2_header{0x04, static_cast<std::uint8_t>(c2)};
    const Bytes content = concat({xy, c3_header, Bytes(c3), c2_header, Bytes(c2)});
    const Bytes header{0x30, static_cast<std::uint8_t>(content.size())};
    return concat({header, content});
  };
  EXPECT_FALSE(is_refused(der(32, 19)));
  EXPECT_TRUE(is_refused(der(0, 19)));  // what crashed older libraries
  EXPECT_TRUE(is_refused(der(31, 19)));
  EXPECT_TRUE(is_refused(der(20, 20)));
  EXPECT_TRUE(is_refused(der(32, 0)));
}

TEST(Sm2CiphertextTest, ARawCiphertextOfAnotherFormOrLengthIsRefused) {
  const Bytes raw = raw_with(coordinate(0, 0x71), coordinate(0, 0x70), 32);
  ASSERT_TRUE(sm2_der_from_raw(raw));
  for (const std::uint8_t form : Bytes{0x00, 0x02, 0x03, 0x05, 0x06}) {
    Bytes changed = raw;
    changed[0] = form;
    EXPECT_FALSE(sm2_der_from_raw(changed));
  }
  EXPECT_FALSE(sm2_der_from_raw({}));
  EXPECT_FALSE(sm2_der_from_raw(ByteView(raw).first(sm2_raw_overhead)));
  EXPECT_FALSE(sm2_der_from_raw(Bytes(sm2_raw_overhead + sm2_plaintext_max + 1, 4)));
}

// Botan's own collection of broken ciphertexts: each is refused by the codec or, once converted, by decapsulation.
TEST(Sm2CiphertextTest, BotansBrokenCiphertextsAreRefused) {
  int run = 0;
  const Suite& gm = suite(SuiteId::gm_hybrid);
  for (const testing::Vector& vector : testing::botan_vectors("pubkey/sm2_invalid.vec", "", "Ctext")) {
    const auto receiver = Decapsulator::from_secret(gm, {.scalar = Secret::copy_of(vector.octets("Key")), .ml_kem_seed = Secret(seed_ml_kem)});
    ASSERT_TRUE(receiver);
    const auto raw = sm2_raw_from_der(vector.octets("Ctext"));
    if (raw) EXPECT_FALSE(receiver->decapsulate(KemForm::to_static, *raw, Bytes(gm.ml_kem_ct))) << vector.text("Ctext");
    ++run;
  }
  EXPECT_GE(run, 12);
}

}  // namespace
}  // namespace qanat::crypto
