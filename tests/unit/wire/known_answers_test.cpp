// Every message of profile v2 against the octets that tests/vectors/qfc2/generate.py makes on its own.
#include <gtest/gtest.h>

#include "crypto/kdf.hpp"
#include "unit/wire/answers.hpp"
#include "wire/ax_schedule.hpp"
#include "wire/token.hpp"

namespace qanat::wire {
namespace {

class KnownAnswersTest : public testing::TestWithParam<std::size_t> {
 protected:
  const Answers a{GetParam()};

  // Encoding gives the script's octets, parsing gives the struct, and both signatures of a signed message hold for our verifier.
  template <class M>
  void agrees(const std::string& name, const M& message) {
    SCOPED_TRACE(name);
    const Bytes octets = a.octets(name);
    const auto parsed = parse<M>(octets);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
    EXPECT_EQ(parsed->header.policy_epoch, a.epoch());
    EXPECT_EQ(parsed->header.suite, a.suite().id);
    EXPECT_EQ(to_hex(must(encode(a.suite(), a.epoch(), message))), to_hex(parsed->header_and_body()));
    EXPECT_EQ(parsed->message, message);
    EXPECT_EQ(to_hex(parsed->hash), to_hex(a.hash(name)));
    if constexpr (Signed<M>) {
      const std::string signer = must(a.message(name).text("signer"));
      const Bytes tbs = to_be_signed(M::type, parsed->header_and_body(), a.fps(signer));
      EXPECT_EQ(to_hex(crypto::digest(a.suite().hash, tbs)), to_hex(a.hex("messages", name, "tbs_digest")));
      const auto held = verify(*parsed, a.verifier(signer), a.fps(signer));
      EXPECT_TRUE(held.has_value()) << held.error().message;
      const std::string stranger = signer == "cmsp" ? "kms_a" : "cmsp";
      EXPECT_FALSE(verify(*parsed, a.verifier(stranger), a.fps(signer)).has_value()) << "another signer's keys";
      EXPECT_FALSE(verify(*parsed, a.verifier(signer), a.fps(stranger)).has_value()) << "another signer's certificates";
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Suites, KnownAnswersTest, testing::Range(std::size_t{0}, suite_count()),
                         [](const auto& info) { return info.param == 0 ? "GmHybrid" : "IntlHybrid"; });

TEST_P(KnownAnswersTest, EnrolmentAgrees) {
  for (const EncryptionKeys mode : {EncryptionKeys::kms_made, EncryptionKeys::terminal_made}) {
    const std::string name = mode == EncryptionKeys::kms_made ? "kms_made" : "terminal_made";
    const auto made = must(make_enrol(a.suite(), a.epoch(), enrol_of(a, mode), a.secret_input("enrolment_secret")));
    agrees("enrol_" + name, made.message);
    agrees("enrol_deliver_" + name, enrol_deliver_of(a, mode));
  }
  agrees("enrol_receipt", enrol_receipt_of(a));
}

TEST_P(KnownAnswersTest, KeyRequestsAgree) {
  agrees("key_request", key_request_of(a, 0));
  agrees("key_request_eph", key_request_of(a, flag_eph));
  agrees("key_request_inj", key_request_of(a, flag_eph | flag_inj));
}

TEST_P(KnownAnswersTest, TokensAgree) {
  agrees("token", Token{.uid = alice,
                        .token_id = TokenId(a.input("token_id")),
                        .kms_id = kms_a,
                        .holder = a.fps("terminal_a"),
                        .issued_ms = ts,
                        .expires_ms = ts + lifetime_ms,
                        .level_max = Assurance::disjoint_qkd_paths});
}

TEST_P(KnownAnswersTest, SessionMessagesAgree) {
  agrees("session_open", session_of<SessionOpen>(a));
  agrees("session_notify", session_of<SessionNotify>(a));
  agrees("session_grant", session_of<SessionGrant>(a));
}

TEST_P(KnownAnswersTest, DirectoryMessagesAgree) {
  for (const int place : {0, 1}) agrees("directory_page_" + std::to_string(place), directory_page_of(place));
  agrees("directory", directory_of(a));
  agrees("directory_open", session_of<DirectoryOpen>(a));
}

TEST_P(KnownAnswersTest, KmsMessagesAgreeForEveryNumberOfShares) {
  for (const int n : {0, 1, 2}) {
    agrees("kms_offer_" + std::to_string(n), kms_offer_of(a, n));
    agrees("kms_accept_" + std::to_string(n), kms_accept_of(a, n));
    agrees("kms_confirm_" + std::to_string(n), kms_confirm_of(a, n));
  }
}

TEST_P(KnownAnswersTest, SupplyMessagesAgree) {
  for (const int n : {0, 2}) {
    agrees("supply_offer_" + std::to_string(n), supply_offer_of(a, n));
    agrees("supply_accept_" + std::to_string(n), supply_accept_of(a, n));
  }
}

TEST_P(KnownAnswersTest, DeliveriesAgree) {
  for (const Delivery& which : deliveries) agrees(which.name, deliver_of(a, which));
  agrees("deliver_ack", deliver_ack_of(a));
  agrees("reject", reject_of(a));
}

TEST_P(KnownAnswersTest, AxMessagesAgree) {
  agrees("ax1", ax1_of(a));
  const auto ax2 = must(parse<Ax2>(a.octets("ax2")));
  agrees("ax2",
         Ax2{.nonce_r = a.input("nonce_r"), .ct_classical = a.kem("ax", "ct_classical"), .ct_ml_kem = a.kem("ax", "ct_ml_kem"), .sealed = ax2.message.sealed});
  agrees("ax3", must(parse<Ax3>(a.octets("ax3"))).message);
}

TEST_P(KnownAnswersTest, EveryMessageOfTheScriptWasLookedAt) {
  EXPECT_EQ(must(a.json().object("messages")).names().size(), 46U);
  EXPECT_EQ(must(a.json().object("kems")).names().size(), 19U);
}

// Sizes that docs/protocol prints for suite 0x0201 (there: uid and kms_id of 23 octets in sum, numbers of 13).
TEST(QfcSizesTest, AreTheDesigns) {
  const Answers a{0};
  KeyRequest request = key_request_of(a, 0);
  request.uid = Uid("subscriber-0001");
  request.kms_id = ElementName("kms-a-01");
  request.num_call = Number("+861380000000");
  request.num_called = Number("+861390000000");
  const auto framed_size = [&](const KeyRequest& m) { return must(encode(a.suite(), 1, m)).size() + a.suite().signature(); };
  EXPECT_EQ(framed_size(request), 3666U);
  request.flags = flag_eph;
  request.ephemeral = a.key("ephemeral_a").encapsulation_key();
  EXPECT_EQ(framed_size(request), 4915U);
  Ax1 ax1 = ax1_of(a);
  ax1.num_call = request.num_call;
  ax1.num_called = request.num_called;
  EXPECT_EQ(must(encode(a.suite(), 1, ax1)).size() + a.suite().digest, 1469U);
  EXPECT_EQ(a.octets("ax2").size(), 4656U);
  EXPECT_EQ(a.octets("ax3").size(), 3471U);
}

}  // namespace
}  // namespace qanat::wire
