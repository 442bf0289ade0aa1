// Charges and the applications that use what was charged, against the octets that tests/vectors/qfc2/generate.py makes on its own.
#include "wire/charge.hpp"

#include <gtest/gtest.h>

#include "unit/wire/answers.hpp"

namespace qanat::wire {
namespace {

class ChargeTest : public testing::TestWithParam<std::size_t> {
 protected:
  const Answers a{GetParam()};
  const crypto::Suite& suite = a.suite();

  ChargePayload payload(Charged charged, ChargeOrigin origin) const {
    ChargePayload out;
    out.charged = charged;
    out.origin = origin;
    out.sets[0].first = 8;
    out.sets[0].keys.push_back(a.secret_input("charged_0"));
    out.sets[1].first = 64;
    for (const char* name : {"charged_1", "charged_2"}) out.sets[1].keys.push_back(a.secret_input(name));
    out.sets[2].first = 4;
    out.sets[2].keys.push_back(a.secret_input("charged_3"));
    return out;
  }
  ChargeRequest request(std::uint8_t flags) const {
    ChargeRequest out{.uid = alice,
                      .kms_id = kms_a,
                      .medium = MediumId(a.input("medium")),
                      .nonce = a.input("nonce_charge"),
                      .ts_ms = ts,
                      .wanted = {1, 2, 1},
                      .flags = flags,
                      .ephemeral = a.key("charge_ephemeral").encapsulation_key(),
                      .ext = {}};
    if ((flags & flag_inj) == 0) return out;
    ChargeRequest bare = out;
    bare.flags = 0;
    const Bytes mac = charge_request_mac(suite, a.secret_input("distribution_key"), must(encode(suite, a.epoch(), bare)));
    out.ext.push_back(make_extension(ExtensionType::injected_key, 3, mac));
    return out;
  }
  /// ss_H of the delivery as the terminal comes to it.
  Secret secret_of(const std::string& variant) const {
    const Bytes h_req = a.hash("charge_request" + variant);
    const auto key = a.key("charge_ephemeral");
    const Bytes ct_classical = a.kem("charge" + variant, "ct_classical");
    const Bytes ct_ml_kem = a.kem("charge" + variant, "ct_ml_kem");
    const auto secrets = must(key.decapsulate(crypto::KemForm::to_ephemeral, ct_classical, ct_ml_kem));
    Secret ss = hybrid_secret(suite, {secrets.classical, secrets.ml_kem, ct_classical, ct_ml_kem, key.encapsulation_key()}, charge_context(h_req));
    return variant.empty() ? std::move(ss) : mix_distribution(suite, ss, a.secret_input("distribution_key"), 3, h_req);
  }
  ChargeFile file() const {
    return must(seal_charge_file(
        {.suite = &suite, .medium = MediumId(a.input("medium")), .charge = ChargeId(a.input("charge")), .generation = 7, .made_ms = ts, .sealed = {}},
        a.secret_input("transport_key"), payload(Charged::offline, ChargeOrigin::device)));
  }
  static void expect_equal(const ChargePayload& got, const ChargePayload& wanted) {
    EXPECT_EQ(got.charged, wanted.charged);
    EXPECT_EQ(got.origin, wanted.origin);
    EXPECT_TRUE(equal_secret(must(encode_charge(got)), must(encode_charge(wanted))));
  }
};
INSTANTIATE_TEST_SUITE_P(Suites, ChargeTest, testing::Range(std::size_t{0}, suite_count()),
                         [](const auto& info) { return info.param == 0 ? "GmHybrid" : "IntlHybrid"; });

TEST_P(ChargeTest, RequestsAgreeWithTheScript) {
  for (const std::string variant : {"", "_inj"}) {
    const auto parsed = must(parse<ChargeRequest>(a.octets("charge_request" + variant)));
    EXPECT_EQ(parsed.message, request(variant.empty() ? 0 : flag_inj));
    EXPECT_TRUE(verify(parsed, a.verifier("terminal_a"), a.fps("terminal_a")));
    EXPECT_EQ(must(without_injection(parsed)), must(encode(suite, a.epoch(), request(0))));
  }
}

TEST_P(ChargeTest, DeliveriesOpenAndSealToTheScriptsOctets) {
  for (const std::string variant : {"", "_inj"}) {
    SCOPED_TRACE(variant);
    const auto delivery = must(parse<ChargeDeliver>(a.octets("charge_deliver" + variant)));
    const Secret ss = secret_of(variant);
    EXPECT_TRUE(equal_secret(ss, a.secret_derived("ss_charge" + variant)));
    const ChargePayload wanted = payload(variant.empty() ? Charged::wire : Charged::wire_under_offline, ChargeOrigin::quantum);
    expect_equal(must(open_charge(delivery, ss)), wanted);
    ChargeDeliver unsealed = delivery.message;
    unsealed.sealed.clear();
    EXPECT_EQ(must(seal_charge(suite, a.epoch(), unsealed, ss, wanted)), delivery.message);
    const auto other = open_charge(delivery, secret_of(variant.empty() ? "_inj" : ""));
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, ErrorCode::denied);
  }
}

TEST_P(ChargeTest, OrdersAndReceiptsAgreeWithTheScript) {
  const auto lock = must(parse<ChargeDeliver>(a.octets("charge_deliver_lock")));
  EXPECT_EQ(lock.message.order, MediumOrder::lock);
  EXPECT_TRUE(lock.message.sealed.empty());
  EXPECT_TRUE(verify(lock, a.verifier("kms_a"), a.fps("kms_a")));
  const auto receipt = must(parse<ChargeReceipt>(a.octets("charge_receipt")));
  EXPECT_EQ(
      receipt.message,
      (ChargeReceipt{
          .uid = alice, .medium = MediumId(a.input("medium")), .charge = ChargeId(a.input("charge")), .h_deliver = a.hash("charge_deliver"), .ok = true}));
}

TEST_P(ChargeTest, AFileIsTheScriptsOctetsAndOpensOnlyUnderItsTransportKey) {
  EXPECT_EQ(to_hex(encode(file())), to_hex(a.derived("charge_file")));
  const ChargeFile read = must(parse_charge_file(a.derived("charge_file")));
  EXPECT_EQ(read.generation, 7U);
  EXPECT_EQ(read.made_ms, ts);
  expect_equal(must(open_charge_file(read, a.secret_input("transport_key"))), payload(Charged::offline, ChargeOrigin::device));
  const auto next = open_charge_file(read, transport_key_after(suite, a.secret_input("transport_key"), 1));
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, ErrorCode::denied);
  for (const std::uint32_t steps : {1U, 2U})
    EXPECT_TRUE(equal_secret(transport_key_after(suite, a.secret_input("transport_key"), steps), a.secret_derived("transport_key_" + std::to_string(steps))));
}

TEST_P(ChargeTest, AFileThatWasChangedAnywhereIsRefused) {
  const Bytes good = a.derived("charge_file");
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes changed = good;
    changed[at] ^= 1;
    const auto read = parse_charge_file(changed);
    EXPECT_FALSE(read && open_charge_file(*read, a.secret_input("transport_key"))) << at;
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    const auto read = parse_charge_file(ByteView(good).first(size));
    EXPECT_FALSE(read && open_charge_file(*read, a.secret_input("transport_key"))) << size;
  }
  EXPECT_FALSE(parse_charge_file(Bytes(charge_file_max + 1, 0x51)));
}

TEST_P(ChargeTest, WhatCameOverAWireIsNotSealedAsAFile) {
  const auto sealed = seal_charge_file({.suite = &suite, .medium = {}, .charge = {}, .generation = 0, .made_ms = ts, .sealed = {}},
                                       a.secret_input("transport_key"), payload(Charged::wire, ChargeOrigin::device));
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().message, "charge: what goes by file is charged offline");
  EXPECT_TRUE(counts(Charged::offline));
  EXPECT_TRUE(counts(Charged::wire_under_offline));
  EXPECT_FALSE(counts(Charged::wire)) << "it leaned on public keys";
}

TEST_P(ChargeTest, PayloadsOutOfBoundsAreRefused) {
  const auto refused = [&](auto change) {
    ChargePayload out = payload(Charged::offline, ChargeOrigin::device);
    change(out);
    const auto octets = encode_charge(out);
    EXPECT_FALSE(octets);
    return octets ? std::string() : octets.error().message;
  };
  EXPECT_EQ(refused([](ChargePayload& p) {
              for (ChargedKeys& set : p.sets) set.keys.clear();
            }),
            "charge: no key in it");
  EXPECT_EQ(refused([](ChargePayload& p) { p.sets[1].first = UINT32_MAX; }), "charge: an index beyond 32 bits");
  EXPECT_EQ(refused([](ChargePayload& p) { p.sets[0].keys.emplace_back(16); }), "charge: a key that is not of 32 octets");
  EXPECT_EQ(refused([](ChargePayload& p) {
              while (p.sets[0].keys.size() <= charge_keys_max) p.sets[0].keys.emplace_back(32);
            }),
            "charge: more than 256 keys in a set");
  const Bytes good = to_bytes(must(encode_charge(payload(Charged::offline, ChargeOrigin::device))).reveal());
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(parse_charge(Secret::copy_of(ByteView(good).first(size)))) << size;
  for (const std::uint8_t value : {std::uint8_t{0}, std::uint8_t{4}}) {
    Bytes changed = good;
    changed.front() = value;
    EXPECT_FALSE(parse_charge(Secret::copy_of(changed)));
  }
}

TEST_P(ChargeTest, AnApplicationProvesBothKeysAsTheScriptDoes) {
  KeyRequest made = key_request_of(a, flag_eph);
  made = must(prove(suite, a.epoch(), made, ExtensionType::symmetric_authentication, 9, a.secret_input("authentication_key")));
  made = must(prove(suite, a.epoch(), made, ExtensionType::injected_key, 5, a.secret_input("injected_key")));
  const auto request = must(parse<KeyRequest>(a.octets("key_request_sym")));
  EXPECT_EQ(made, request.message);
  EXPECT_EQ(request.message.flags, flag_eph | flag_inj | flag_sym);
  EXPECT_TRUE(check_proof(request, ExtensionType::symmetric_authentication, a.secret_input("authentication_key")));
  EXPECT_TRUE(check_proof(request, ExtensionType::injected_key, a.secret_input("injected_key")));
  for (const ExtensionType type : {ExtensionType::symmetric_authentication, ExtensionType::injected_key}) {
    const auto other = check_proof(request, type, a.secret_input("distribution_key"));
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, ErrorCode::unauthenticated);
  }
  const auto one = must(parse<KeyRequest>(a.octets("key_request_inj")));
  EXPECT_EQ(must(prove(suite, a.epoch(), key_request_of(a, flag_eph), ExtensionType::injected_key, 5, a.secret_input("injected_key"))), one.message);
}

TEST_P(ChargeTest, AProofCoversWhatElseTheApplicationSays) {
  const KeyRequest made = must(prove(suite, a.epoch(), key_request_of(a, flag_eph), ExtensionType::injected_key, 5, a.secret_input("injected_key")));
  const auto refused = [&](auto change) {
    KeyRequest other = made;
    change(other);
    return !check_proof(must(frame(suite, a.epoch(), other)), ExtensionType::injected_key, a.secret_input("injected_key"));
  };
  EXPECT_FALSE(refused([](KeyRequest&) {}));
  EXPECT_TRUE(refused([](KeyRequest& m) { m.num_called = Number("+8613900000009"); }));
  EXPECT_TRUE(refused([](KeyRequest& m) { m.nonce.front() ^= 1; }));
  EXPECT_TRUE(refused([&](KeyRequest& m) {
    m = must(prove(suite, a.epoch(), m, ExtensionType::symmetric_authentication, 1, a.secret_input("authentication_key")));
  })) << "an extension 2 that was added afterwards";
}

}  // namespace
}  // namespace qanat::wire
