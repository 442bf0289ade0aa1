// Profile v1 works as the paper prints it, and falls to substitution as docs/protocol/v1.md says; v2 does not.
#include "wire/v1.hpp"

#include <gtest/gtest.h>

#include "unit/wire/answers.hpp"

namespace qanat::wire {
namespace {

class V1Test : public testing::Test {
 protected:
  const Answers a{0};
  std::unique_ptr<crypto::Rng> rng = must(crypto::open_rng());
  const crypto::Signer terminal = a.signer("terminal_a");
  const crypto::Signer kms = a.signer("kms_a");
  const crypto::Decapsulator terminal_key = a.key("static_a");

  v1::KeyDistribution distribution(const Secret& wk) {
    v1::KeyDistribution m;
    m.sid_wk = a.sid_wk();
    m.sid_call = a.sid_call();
    m.uid = alice;
    m.token = a.input("token");
    EXPECT_TRUE(v1::seal_wk(m, terminal_key.encapsulation_key(), wk, *rng).has_value());
    v1::sign(m, kms, *rng);
    return m;
  }
};

TEST_F(V1Test, ApplicationTravelsAndVerifies) {
  v1::KeyApplication m;
  m.sid_wk = a.sid_wk();
  m.sid_call = a.sid_call();
  m.uid = alice;
  m.num_call = caller;
  m.num_called = callee;
  m.cert_sm2 = a.hex("parties", "terminal_a", "certificate_classical");
  m.cert_pqc = a.hex("parties", "terminal_a", "certificate_pq");
  v1::sign(m, terminal, *rng);
  const auto received = must(v1::parse_application(must(v1::encode(m))));
  EXPECT_EQ(received, m);
  EXPECT_TRUE(v1::verify(received, terminal.verifying_key()).has_value());
  EXPECT_FALSE(v1::verify(received, kms.verifying_key()).has_value());
  auto changed = received;
  changed.num_called = caller;
  EXPECT_FALSE(v1::verify(changed, terminal.verifying_key()).has_value());
  EXPECT_EQ(to_hex(v1::signed_octets(m)), to_hex(concat({as_bytes("KEY_APPLICATION"), a.input("sid_wk"), a.input("sid_call"), as_bytes("alice"),
                                                         as_bytes("+8613800000001"), as_bytes("+8613900000002")})));
}

TEST_F(V1Test, DistributionTravelsAndOpens) {
  const Secret wk = rng->secret(32);
  const v1::KeyDistribution m = distribution(wk);
  const auto received = must(v1::parse_distribution(must(v1::encode(m))));
  EXPECT_EQ(received, m);
  EXPECT_TRUE(v1::verify(received, kms.verifying_key()).has_value());
  EXPECT_TRUE(equal_secret(must(v1::open_wk(received, terminal_key)), wk));
}

TEST_F(V1Test, ContainersRefuseOtherKindsAndLengths) {
  const Bytes octets = must(v1::encode(distribution(rng->secret(32))));
  EXPECT_FALSE(v1::parse_application(octets).has_value());
  for (std::size_t size = 0; size < octets.size(); size += 7) EXPECT_FALSE(v1::parse_distribution(ByteView(octets).first(size)).has_value());
  EXPECT_FALSE(v1::parse_distribution(concat({octets, Bytes{0}})).has_value());
}

// What they name goes into the KMS's store and its audit record.
TEST_F(V1Test, ContainersRefuseNamesThatAreNone) {
  v1::KeyApplication good;
  good.uid = alice;
  good.num_call = caller;
  good.num_called = callee;
  EXPECT_TRUE(v1::parse_application(must(v1::encode(good))).has_value());
  for (const std::string& uid : {std::string(), std::string("two words"), std::string("line\n"), std::string("\xff"), std::string(65, 'a')}) {
    auto message = good;
    message.uid = Uid(uid);
    EXPECT_FALSE(v1::parse_application(must(v1::encode(message))).has_value()) << '"' << uid << '"';
  }
  for (const std::string& number : {std::string(), std::string("+1"), std::string("8613800000001"), std::string("+86138x"), "+" + std::string(32, '1')}) {
    auto message = good;
    message.num_called = Number(number);
    EXPECT_FALSE(v1::parse_application(must(v1::encode(message))).has_value()) << '"' << number << '"';
  }
}

// Weakness 3: raw concatenation of variable-length fields.
TEST_F(V1Test, TwoApplicationsShareOneSignature) {
  v1::KeyApplication first;
  first.uid = Uid("A1");
  first.num_call = Number("23");
  first.num_called = Number("456");
  v1::sign(first, terminal, *rng);
  v1::KeyApplication second = first;
  second.uid = Uid("A12");
  second.num_call = Number("3");
  EXPECT_TRUE(v1::verify(second, terminal.verifying_key()).has_value());
}

// Weakness 1: the attacker has no key at all, only one distribution that was seen on the wire.
TEST_F(V1Test, SubstitutionSucceedsOnV1) {
  const v1::KeyDistribution seen = distribution(rng->secret(32));
  const Secret attackers_wk = rng->secret(32);
  v1::KeyDistribution forged = seen;
  ASSERT_TRUE(v1::seal_wk(forged, terminal_key.encapsulation_key(), attackers_wk, *rng).has_value());

  const auto received = must(v1::parse_distribution(must(v1::encode(forged))));
  EXPECT_TRUE(v1::verify(received, kms.verifying_key()).has_value()) << "the terminal accepts the signatures";
  EXPECT_TRUE(equal_secret(must(v1::open_wk(received, terminal_key)), attackers_wk)) << "and installs the attacker's key";
}

// The same attacker against v2: new ciphertexts and a new seal under keys of its own choice, the KMS's signature block reused.
TEST_F(V1Test, SubstitutionFailsOnV2) {
  const Delivery& which = deliveries[0];
  const auto seen = must(parse<KeyDeliver>(a.octets(which.name)));
  const auto made = must(crypto::encapsulate(a.suite(), crypto::KemForm::to_static, terminal_key.encapsulation_key(), *rng));
  const Secret ss = hybrid_secret(a.suite(), transcript(made, terminal_key.encapsulation_key()), deliver_context(seen.message.h_req));
  KeyDeliverPayload payload = payload_of(a, which);
  const Secret attackers_wk = rng->secret(wk_size);
  payload.wk = attackers_wk.duplicate();
  KeyDeliver forged = seen.message;
  forged.ct_classical = made.ct_classical;
  forged.ct_ml_kem = made.ct_ml_kem;
  forged = must(seal_key_deliver(a.suite(), a.epoch(), forged, ss, payload));
  Bytes octets = must(encode(a.suite(), a.epoch(), forged));
  append(octets, seen.signature());

  const auto received = must(parse<KeyDeliver>(octets));
  const auto held = verify(received, a.verifier("kms_a"), a.fps("kms_a"));
  ASSERT_FALSE(held.has_value()) << "the terminal refuses before it opens anything";
  EXPECT_EQ(held.error().code, ErrorCode::denied);
  // What the signature stopped would have opened: it is the signature that protects.
  EXPECT_TRUE(equal_secret(must(open_key_deliver(received, ss)).wk, attackers_wk));
}

}  // namespace
}  // namespace qanat::wire
