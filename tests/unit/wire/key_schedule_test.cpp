// Every derived key of profile v2 against tests/vectors/qfc2/qfc2.json.
#include "wire/key_schedule.hpp"

#include <gtest/gtest.h>

#include "crypto/kdf.hpp"
#include "unit/wire/answers.hpp"
#include "wire/ax_schedule.hpp"

namespace qanat::wire {
namespace {

class KeyScheduleTest : public testing::TestWithParam<std::size_t> {
 protected:
  const Answers a{GetParam()};
  const crypto::Suite& suite = a.suite();

  void same(const Secret& ours, const std::string& name) { EXPECT_EQ(to_hex(ours.reveal()), to_hex(a.derived(name))) << name; }
  void same(ByteView ours, const std::string& name) { EXPECT_EQ(to_hex(ours), to_hex(a.derived(name))) << name; }
};
INSTANTIATE_TEST_SUITE_P(Suites, KeyScheduleTest, testing::Range(std::size_t{0}, suite_count()),
                         [](const auto& info) { return info.param == 0 ? "GmHybrid" : "IntlHybrid"; });

TEST_P(KeyScheduleTest, KeysHaveTheScriptsPublicHalves) {
  for (const std::string name : {"terminal_a", "terminal_b", "kms_a", "kms_b", "cmsp"}) {
    const auto signer = a.signer(name);
    EXPECT_EQ(signer.verifying_key().point, a.hex("parties", name, "point"));
    EXPECT_EQ(crypto::digest(crypto::Hash::sha256, signer.verifying_key().ml_dsa), a.hex("parties", name, "ml_dsa_sha256"));
    EXPECT_EQ(fingerprints(suite, a.hex("parties", name, "certificate_classical"), a.hex("parties", name, "certificate_pq")), a.fps(name));
  }
  for (const std::string name : {"static_a", "ephemeral_a", "enrol_ephemeral", "offer_ephemeral", "ax_ephemeral"}) {
    const auto key = a.key(name);
    EXPECT_EQ(key.encapsulation_key().point, a.hex("keys", name, "point"));
    EXPECT_EQ(crypto::digest(crypto::Hash::sha256, key.encapsulation_key().ml_kem), a.hex("keys", name, "ml_kem_sha256"));
  }
  same(key_id_of(suite, a.key("static_a").encapsulation_key()), "enc_kid");
}

TEST_P(KeyScheduleTest, EveryCiphertextOfTheScriptOpensToItsSecrets) {
  const Json kems = must(a.json().object("kems"));
  for (const std::string& name : kems.names()) {
    const Json kem = must(kems.object(name));
    const auto form = must(kem.text("form")) == "to_static" ? crypto::KemForm::to_static : crypto::KemForm::to_ephemeral;
    const auto key = a.key(must(kem.text("to")));
    const auto secrets = must(key.decapsulate(form, must(kem.hex("ct_classical")), must(kem.hex("ct_ml_kem"))));
    EXPECT_EQ(to_bytes(secrets.classical.reveal()), must(kem.hex("ss_classical"))) << name;
    EXPECT_EQ(to_bytes(secrets.ml_kem.reveal()), must(kem.hex("ss_ml_kem"))) << name;
    const auto made = must(crypto::encapsulate_with(suite, form, key.encapsulation_key(), must(kem.hex("m")), must(kem.hex("scalar")), must(kem.hex("drawn"))));
    EXPECT_EQ(made.ct_classical, must(kem.hex("ct_classical"))) << name;
    EXPECT_EQ(made.ct_ml_kem, must(kem.hex("ct_ml_kem"))) << name;
  }
}

TEST_P(KeyScheduleTest, EnrolmentOpensAndSealsToTheScriptsOctets) {
  for (const EncryptionKeys mode : {EncryptionKeys::kms_made, EncryptionKeys::terminal_made}) {
    const std::string name = mode == EncryptionKeys::kms_made ? "kms_made" : "terminal_made";
    const auto enrol = must(parse<Enrol>(a.octets("enrol_" + name)));
    EXPECT_TRUE(verify_enrol(enrol, a.secret_input("enrolment_secret")).has_value());
    const auto refused = verify_enrol(enrol, a.secret_input("injected_key"));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::unauthenticated);

    const auto key = a.key("enrol_ephemeral");
    const auto deliver = must(parse<EnrolDeliver>(a.octets("enrol_deliver_" + name)));
    const EnrolDeliver& m = deliver.message;
    const auto secrets = must(key.decapsulate(crypto::KemForm::to_ephemeral, m.ct_classical, m.ct_ml_kem));
    const Secret ss =
        hybrid_secret(suite, {secrets.classical, secrets.ml_kem, m.ct_classical, m.ct_ml_kem, key.encapsulation_key()}, enrol_context(enrol.hash));
    same(ss, "ss_enrol_" + name);
    const EnrolPayload payload = must(open_enrol(deliver, ss));
    EXPECT_EQ(payload.kms, a.fps("kms_a"));
    if (mode == EncryptionKeys::kms_made) {
      EXPECT_EQ(to_bytes(payload.encryption.scalar.reveal()), a.hex("keys", "static_a", "scalar"));
      EXPECT_EQ(to_bytes(payload.encryption.ml_kem_seed.reveal()), a.hex("keys", "static_a", "seed"));
    } else {
      EXPECT_TRUE(payload.encryption.scalar.empty());
    }
    EnrolDeliver unsealed = m;
    unsealed.sealed.clear();
    EXPECT_EQ(must(seal_enrol(suite, a.epoch(), unsealed, ss, enrol_payload_of(a, mode))), m);
    EXPECT_EQ(must(parse_chain(m.chain_classical)).at(0), a.hex("parties", "terminal_a", "certificate_classical"));
    EXPECT_FALSE(open_enrol(deliver, a.secret_input("injected_key")).has_value());
  }
}

TEST_P(KeyScheduleTest, Step9AgreesForEveryNumberOfShares) {
  for (const std::size_t n : {0U, 1U, 2U}) {
    const std::string suffix = "_" + std::to_string(n);
    const auto offer = must(parse<KmsOffer>(a.octets("kms_offer" + suffix)));
    const auto accept = must(parse<KmsAccept>(a.octets("kms_accept" + suffix)));
    const Bytes th9 = th9_of(suite, offer.octets, accept.without_confirmation());
    same(th9, "th9" + suffix);
    std::vector<Secret> shares;
    std::vector<const Secret*> views;
    for (std::size_t j = 0; j < n; ++j) shares.push_back(a.secret_input("share_" + std::to_string(j)));
    for (const Secret& share : shares) views.push_back(&share);
    const Secret k_q = combine_shares(views);
    same(k_q, "k_q" + suffix);
    const auto secrets = must(a.key("offer_ephemeral").decapsulate(crypto::KemForm::to_ephemeral, accept.message.ct_classical, accept.message.ct_ml_kem));
    const KmsKeys keys = derive_kms_keys(suite, th9, k_q, secrets.classical, secrets.ml_kem, a.sid_wk(), a.sid_call());
    same(keys.wk, "wk" + suffix);
    same(keys.kc_a, "kc_a" + suffix);
    same(keys.kc_b, "kc_b" + suffix);
    EXPECT_EQ(to_hex(accept.confirmation()), to_hex(keys.kc_b));
  }
}

TEST_P(KeyScheduleTest, Step11OpensAndSealsToTheScriptsOctets) {
  for (const Delivery& which : deliveries) {
    SCOPED_TRACE(which.name);
    const Secret ss = deliver_secret_of(a, which);
    same(ss, "ss_" + which.name);
    const SealingKey key = step11_key(suite, ss, a.hash(which.request));
    same(key.key, "key_" + which.name);
    same(key.iv, "iv_" + which.name);
    const auto deliver = must(parse<KeyDeliver>(a.octets(which.name)));
    const KeyDeliverPayload opened = must(open_key_deliver(deliver, ss));
    const KeyDeliverPayload wanted = payload_of(a, which);
    EXPECT_TRUE(equal_secret(must(encode_payload(suite, opened)), must(encode_payload(suite, wanted))));
    EXPECT_TRUE(equal_secret(opened.wk, wanted.wk));
    EXPECT_EQ(opened.assurance, wanted.assurance);
    EXPECT_EQ(opened.injected, wanted.injected);
    KeyDeliver unsealed = deliver.message;
    unsealed.sealed.clear();
    EXPECT_EQ(must(seal_key_deliver(suite, a.epoch(), unsealed, ss, wanted)), deliver.message);
    const auto refused = open_key_deliver(deliver, a.secret_input("injected_key"));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::denied);
  }
}

TEST_P(KeyScheduleTest, TheSealCoversEveryFieldInFrontOfIt) {
  const auto deliver = must(parse<KeyDeliver>(a.octets("deliver_eph")));
  const Secret ss = deliver_secret_of(a, deliveries[1]);
  auto changed = deliver;
  changed.message.expiry_ms += 1;
  EXPECT_FALSE(open_key_deliver(changed, ss).has_value());
  changed = deliver;
  changed.header.policy_epoch += 1;
  EXPECT_FALSE(open_key_deliver(changed, ss).has_value());
  changed = deliver;
  changed.message.uid = bob;
  EXPECT_FALSE(open_key_deliver(changed, ss).has_value());
}

TEST_P(KeyScheduleTest, TheInjectedRequestMacCoversTheRequestWithoutIt) {
  const Bytes without = must(encode(suite, a.epoch(), key_request_of(a, flag_eph)));
  same(injected_request_mac(suite, a.secret_input("injected_key"), without), "injected_request_mac");
}

TEST_P(KeyScheduleTest, FingerprintsAndSessionIdsAgree) {
  EXPECT_EQ(wk_fingerprint(suite, a.secret_derived("wk_2")), to_hex(a.derived("fingerprint_wk_2")));
  EXPECT_EQ(wk_fingerprint(suite, a.secret_input("wk_same_domain")), to_hex(a.derived("fingerprint_wk_same_domain")));
  EXPECT_EQ(make_sid_call(caller, callee, a.input("call_nonce")), a.sid_call());
}

// Initiator's side of AX2 and responder's side of AX3, and all keys.
TEST_P(KeyScheduleTest, AxAgrees) {
  const Secret wk = a.secret_derived("wk_2");
  const auto ax1 = must(parse<Ax1>(a.octets("ax1")));
  EXPECT_TRUE(verify_ax1(ax1, wk).has_value());
  EXPECT_FALSE(verify_ax1(ax1, a.secret_derived("wk_1")).has_value());
  same(ax1.confirmation(), "ax1_tag");
  const auto ax2 = must(parse<Ax2>(a.octets("ax2")));
  const Bytes th2 = th2_of(suite, ax1.octets, must(octets_before_sealed(suite, ax2.header.policy_epoch, ax2.message)));
  same(th2, "th2");
  const Secret early = ax_early_secret(suite, wk);
  same(early, "early");
  const auto secrets = must(a.key("ax_ephemeral").decapsulate(crypto::KemForm::to_ephemeral, ax2.message.ct_classical, ax2.message.ct_ml_kem));
  const Secret handshake = ax_handshake_secret(suite, early, secrets.classical, secrets.ml_kem);
  same(handshake, "handshake");
  const SealingKey key2 = ax_responder_key(suite, handshake, th2);
  const AxProof proof2 = must(open_proof(suite, key2, th2, ax2.message.sealed));
  EXPECT_EQ(proof2.fps, a.fps("terminal_b"));
  EXPECT_TRUE(a.verifier("terminal_b").verify(ax_tbs(MessageType::ax2, th2, proof2.fps), proof2.signature).has_value());
  EXPECT_EQ(seal_proof(suite, key2, th2, must(encode_proof(suite, proof2))), ax2.message.sealed);

  const Bytes th3 = th3_of(suite, th2, ax2.message.sealed);
  same(th3, "th3");
  const auto ax3 = must(parse<Ax3>(a.octets("ax3")));
  const Bytes associated = ax3_associated(suite, a.epoch(), th3);
  const AxProof proof3 = must(open_proof(suite, ax_initiator_key(suite, handshake, th3), associated, ax3.message.sealed));
  EXPECT_EQ(proof3.fps, a.fps("terminal_a"));
  EXPECT_TRUE(a.verifier("terminal_a").verify(ax_tbs(MessageType::ax3, th3, proof3.fps), proof3.signature).has_value());
  EXPECT_FALSE(a.verifier("terminal_a").verify(ax_tbs(MessageType::ax2, th3, proof3.fps), proof3.signature).has_value());
  EXPECT_FALSE(open_proof(suite, key2, th3, ax3.message.sealed).has_value());

  const Secret master = ax_master_secret(suite, handshake, th3);
  same(master, "master");
  const MediaKeys media = media_keys(suite, master, a.sid_wk(), a.sid_call());
  same(media.initiator.key, "media_i_key");
  same(media.initiator.salt, "media_i_salt");
  same(media.responder.key, "media_r_key");
  same(media.responder.salt, "media_r_salt");
  const MediaKeys escrow = escrow_media_keys(suite, early, a.sid_wk(), a.sid_call(), ax1.message.nonce_i, ax2.message.nonce_r);
  same(escrow.initiator.key, "escrow_i_key");
  same(escrow.initiator.salt, "escrow_i_salt");
  same(escrow.responder.key, "escrow_r_key");
  same(escrow.responder.salt, "escrow_r_salt");
  same(short_authentication_string(suite, master), "sas");
}

}  // namespace
}  // namespace qanat::wire
