#include "wire/signed.hpp"

#include <gtest/gtest.h>

#include "crypto/kdf.hpp"
#include "sanitized.hpp"
#include "unit/wire/answers.hpp"

namespace qanat::wire {
namespace {

class SignedTest : public testing::TestWithParam<std::size_t> {
 protected:
  const Answers a{GetParam()};
  std::unique_ptr<crypto::Rng> rng = must(crypto::open_rng());
};
INSTANTIATE_TEST_SUITE_P(Suites, SignedTest, testing::Range(std::size_t{0}, suite_count()),
                         [](const auto& info) { return info.param == 0 ? "GmHybrid" : "IntlHybrid"; });

TEST_P(SignedTest, WhatOneSignsTheOtherAccepts) {
  const auto made = must(sign_message(a.suite(), 3, key_request_of(a, flag_eph), a.signer("terminal_a"), a.fps("terminal_a"), *rng));
  const auto received = must(parse<KeyRequest>(made.octets));
  EXPECT_EQ(received.message, made.message);
  EXPECT_EQ(received.hash, made.hash);
  EXPECT_EQ(received.header.policy_epoch, 3U);
  EXPECT_TRUE(verify(received, a.verifier("terminal_a"), received.message.fps).has_value());
}

TEST_P(SignedTest, AnAcceptCarriesItsConfirmationBehindTheSignature) {
  auto made = must(sign_message(a.suite(), a.epoch(), kms_accept_of(a, 1), a.signer("kms_b"), a.fps("kms_b"), *rng));
  EXPECT_FALSE(parse<KmsAccept>(made.octets).has_value()) << "not without it";
  append_confirmation(made, a.derived("kc_b_1"));
  const auto received = must(parse<KmsAccept>(made.octets));
  EXPECT_TRUE(verify(received, a.verifier("kms_b"), a.fps("kms_b")).has_value());
  EXPECT_EQ(to_hex(received.confirmation()), to_hex(a.derived("kc_b_1")));
  EXPECT_EQ(received.hash, made.hash) << "the message hash is without the confirmation";
}

// Every octet of header, body and signature block: with any one changed, parsing or verification refuses.
template <class M>
void refuses_every_flip(const Answers& a, const std::string& message, const std::string& signer) {
  const auto verifier = a.verifier(signer);
  Bytes octets = a.octets(message);
  ASSERT_TRUE(verify(must(parse<M>(octets)), verifier, a.fps(signer)).has_value());
  std::size_t verified = 0;
  for (std::size_t at = 0; at < octets.size(); at += test::case_step) {
    octets[at] ^= static_cast<std::uint8_t>(1U << at % 8);
    const auto parsed = parse<M>(octets);
    if (parsed) {
      ++verified;
      ASSERT_FALSE(verify(*parsed, verifier, a.fps(signer)).has_value()) << "octet " << at;
    }
    octets[at] ^= static_cast<std::uint8_t>(1U << at % 8);
  }
  EXPECT_GT(verified, a.suite().signature() / test::case_step) << "the signatures are what refuses most";
}

TEST_P(SignedTest, AnyChangedOctetOfAKeyRequestIsRefused) { refuses_every_flip<KeyRequest>(a, "key_request_eph", "terminal_a"); }
TEST_P(SignedTest, AnyChangedOctetOfAKeyDeliverIsRefused) { refuses_every_flip<KeyDeliver>(a, "deliver_eph", "kms_a"); }

TEST_P(SignedTest, OneSchemeDoesNotStandInForTheOther) {
  const auto other = must(crypto::Signer::generate(a.suite(), *rng));
  const auto request = must(parse<KeyRequest>(a.octets("key_request")));
  const Bytes tbs = to_be_signed(MessageType::key_request, request.header_and_body(), a.fps("terminal_a"));
  const Bytes foreign = other.sign(tbs, *rng);
  for (const bool classical : {true, false}) {
    auto mixed = request;
    const std::size_t signature_at = mixed.octets.size() - a.suite().signature();
    const std::size_t from = classical ? 0 : a.suite().classical_sig;
    const std::size_t size = classical ? a.suite().classical_sig : a.suite().ml_dsa_sig;
    std::ranges::copy(ByteView(foreign).subspan(from, size), mixed.octets.begin() + static_cast<std::ptrdiff_t>(signature_at + from));
    const auto held = verify(mixed, a.verifier("terminal_a"), a.fps("terminal_a"));
    ASSERT_FALSE(held.has_value());
    EXPECT_EQ(held.error().code, ErrorCode::denied);
  }
}

TEST_P(SignedTest, ASignatureForOneTypeIsNoneForAnother) {
  // SessionNotify and SessionGrant have the same fields: only header and label tell them apart.
  Bytes octets = a.octets("session_notify");
  octets[5] = static_cast<std::uint8_t>(MessageType::session_grant);
  const auto passed_off = must(parse<SessionGrant>(octets));
  EXPECT_FALSE(verify(passed_off, a.verifier("cmsp"), a.fps("cmsp")).has_value());
}

TEST(ToBeSignedTest, StatesLabelContentAndSigner) {
  const Fingerprints signer{.classical = {0xAA}, .pq = {0xBB}};
  EXPECT_EQ(to_hex(to_be_signed(MessageType::ax1, Bytes{1, 2}, signer)), to_hex(as_bytes("QFC2")) + "0103" + to_hex(as_bytes("AX1")) + "0102" + "aabb");
}

}  // namespace
}  // namespace qanat::wire
