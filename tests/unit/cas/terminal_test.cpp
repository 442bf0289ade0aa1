// Enrolment of terminals through their KMS: Ce-1.
#include "terminal_fixture.hpp"

namespace qanat::cas {
namespace {

class TerminalTest : public TerminalFixture {
 protected:
  Result<net::Response> enrol(const wire::Enrol& asked, const Identity& agent = kms_a, std::string uid = "alice") {
    return enrol_with(asked, encryption_, agent, std::move(uid));
  }
  static crypto::CertificateBundle bundle_in(const wire::Json& answer) {
    const wire::Json encryption = must(answer.at("encryption"));
    return must(crypto::parse_bundle({chain(answer, "classical").front().der(), chain(answer, "ml_dsa").front().der(), must(encryption.base64("classical")),
                                      must(encryption.base64("ml_kem"))}));
  }
  const crypto::EncapsulationKey encryption_ = new_pair();
};

TEST_F(TerminalTest, AttestedTerminalGetsBothCertificatesWithItsNumber) {
  const wire::Json answer = json_of(enrol(message(alice())));
  for (const std::string_view branch : {"ml_dsa", "classical"}) {
    const auto leaf = chain(answer, branch).front();
    EXPECT_EQ(leaf.names().element, identity("qanat://a/app1/alice"));
    EXPECT_EQ(leaf.names().number, alice_number);
    EXPECT_EQ(leaf.names().home_kms, ElementName("kms-a"));
    EXPECT_TRUE(node_->check_certificate(leaf, test::soon()));
    EXPECT_NEAR(static_cast<double>(leaf.not_after() - SystemClock().now_ms()), 30.0 * 86'400'000, 5000);
  }
  EXPECT_EQ(attestations_, 1);
}

TEST_F(TerminalTest, EncryptionKeysAreCertifiedInTheSameBundle) {
  const wire::Json answer = json_of(enrol(message(alice())));
  const crypto::CertificateBundle bundle = bundle_in(answer);
  const auto sound = crypto::check_bundle(suite_, bundle);
  EXPECT_TRUE(sound) << sound.error().message;
  EXPECT_EQ(bundle.encryption_key(), encryption_);
  EXPECT_EQ(must(answer.text("bundle")), to_hex(bundle.id()));
  for (const crypto::BundleRole role : crypto::all_bundle_roles) {
    EXPECT_TRUE(node_->check_certificate(bundle.of(role), test::soon(), crypto::use_of(role))) << name(role);
    EXPECT_EQ(bundle.of(role).names().number, alice_number);
    EXPECT_EQ(bundle.of(role).not_after(), bundle.ml_dsa_signing.not_after());
  }
  EXPECT_TRUE(test::audited(state(), to_hex(bundle.id())));
}

TEST_F(TerminalTest, RevocationReachesAllFour) {
  const crypto::CertificateBundle bundle = bundle_in(json_of(enrol(message(alice()))));
  const wire::Json revoked = json_of(revoke(identity("qanat://a/app1/alice")));
  EXPECT_EQ(must(revoked.texts("revoked")).size(), 4U);
  for (const crypto::BundleRole role : crypto::all_bundle_roles) {
    EXPECT_EQ(refusal(node_->check_certificate(bundle.of(role), test::soon(), crypto::use_of(role))), ErrorCode::denied) << name(role);
  }
}

TEST_F(TerminalTest, EncryptionKeysMustBeThereAndSound) {
  const wire::Enrol asked = message(alice());
  EXPECT_EQ(refusal(enrol_with(asked, {})), ErrorCode::invalid_argument) << "the KMS makes them, and they are missing";
  crypto::EncapsulationKey wrong = encryption_;
  wrong.point.back() ^= 1;
  EXPECT_EQ(refusal(enrol_with(asked, wrong)), ErrorCode::invalid_argument) << "off the curve";
  wrong = encryption_;
  wrong.ml_kem.pop_back();
  EXPECT_EQ(refusal(enrol_with(asked, wrong)), ErrorCode::invalid_argument);
  wrong = encryption_;
  wrong.ml_kem[0] = wrong.ml_kem[1] = 0xff;
  EXPECT_EQ(refusal(enrol_with(asked, wrong)), ErrorCode::invalid_argument) << "not reduced";
  wrong = encryption_;
  wrong.point = must(crypto::CertificateRequest::parse(asked.csr_classical)).public_key();
  EXPECT_EQ(refusal(enrol_with(asked, wrong)), ErrorCode::invalid_argument) << "one key to sign and to encrypt";
  EXPECT_EQ(attestations_, 0) << "no secret is spent on what is refused";
  wire::Enrol own = message(alice());
  own.encryption_keys = wire::EncryptionKeys::terminal_made;
  own.encryption = new_pair();
  EXPECT_EQ(refusal(enrol_with(own, encryption_)), ErrorCode::invalid_argument) << "the KMS puts other keys beside those that the terminal made";
  const crypto::CertificateBundle bundle = bundle_in(json_of(enrol_with(own, {})));
  EXPECT_EQ(bundle.encryption_key(), own.encryption);
}

TEST_F(TerminalTest, AgentCannotExchangeTheEncryptionKeys) {
  const wire::Enrol asked = message(alice());
  const std::string answer = json_of(enrol(asked)).dump();
  EXPECT_EQ(refusal(enrol_with(asked, new_pair())), ErrorCode::conflict);
  EXPECT_EQ(json_of(enrol(asked)).dump(), answer);
}

TEST_F(TerminalTest, ATerminalLearnsWhatWasIssuedInItsName) {
  const auto issued_to = [&](const Identity& who) { return must(json_of(call(Endpoint::ce2_issued, test::request_from(who, {}))).array("certificates")); };
  const Identity alice_id = identity("qanat://a/app1/alice");
  EXPECT_TRUE(issued_to(alice_id).empty());
  const crypto::CertificateBundle bundle = bundle_in(json_of(enrol(message(alice()))));
  const std::vector<wire::Json> list = issued_to(alice_id);
  ASSERT_EQ(list.size(), 4U);
  for (const wire::Json& one : list) {
    const crypto::BundleRole role = must(crypto::parse_bundle_role(must(one.text("role"))));
    EXPECT_EQ(must(one.base64("certificate")), bundle.of(role).der());
    EXPECT_EQ(must(one.text("bundle")), to_hex(bundle.id()));
    EXPECT_FALSE(must(one.boolean("revoked")));
  }
  EXPECT_TRUE(issued_to(identity("qanat://a/app1/carol")).empty());
  EXPECT_TRUE(issued_to(identity("qanat://b/app1/alice")).empty()) << "another domain's";
  json_of(revoke(alice_id));
  for (const wire::Json& one : issued_to(alice_id)) EXPECT_TRUE(must(one.boolean("revoked")));
}

TEST_F(TerminalTest, OneLiveBundlePerNumber) {
  json_of(enrol(message(alice())));
  // IAM would have to say so; even then the number's first holder must go first.
  const crypto::SubjectNames carol = names("qanat://a/app1/carol");
  wire::Enrol asked = message(Requester(suite_, *rng_, carol));
  asked.uid = Uid("carol");
  EXPECT_EQ(refusal(enrol_with(asked, new_pair(), kms_a, "carol")), ErrorCode::conflict);
  EXPECT_TRUE(test::audited(state(), "stands in a live certificate of qanat://a/app1/alice"));
  json_of(revoke(identity("qanat://a/app1/alice")));
  EXPECT_TRUE(enrol_with(asked, new_pair(), kms_a, "carol"));
}

TEST_F(TerminalTest, SameMessageGetsTheSameCertificates) {
  const wire::Enrol asked = message(alice());
  const std::string answer = json_of(enrol(asked)).dump();
  open_service();
  EXPECT_EQ(json_of(enrol(asked)).dump(), answer);
  EXPECT_EQ(refusal(enrol(message(alice()))), ErrorCode::conflict) << "one live bundle per subscriber, whatever IAM says";
}

TEST_F(TerminalTest, NothingIsIssuedWithoutIamsWord) {
  const wire::Enrol asked = message(alice());
  for (const ErrorCode code : {ErrorCode::unauthenticated, ErrorCode::conflict, ErrorCode::unavailable}) {
    iam_refuses_ = Error{code, "X-3 to iam: no"};
    EXPECT_EQ(refusal(enrol(asked)), code);
  }
  EXPECT_EQ(refusal(revoke(identity("qanat://a/app1/alice"))), ErrorCode::not_found);
  EXPECT_TRUE(test::audited(state(), "X-3 to iam: no"));
  iam_refuses_.reset();
  EXPECT_TRUE(enrol(asked));
}

TEST_F(TerminalTest, NothingIsIssuedWithoutTheAccountAtCmsp) {
  const wire::Enrol asked = message(alice());
  for (const ErrorCode code : {ErrorCode::denied, ErrorCode::not_found, ErrorCode::unavailable, ErrorCode::deadline_exceeded}) {
    cmsp_refuses_ = Error{code, "X-13 to cmsp: no"};
    EXPECT_EQ(refusal(enrol(asked)), code);
  }
  EXPECT_EQ(attestations_, 0) << "IAM spends no secret on what CMSP refuses";
  EXPECT_EQ(refusal(revoke(identity("qanat://a/app1/alice"))), ErrorCode::not_found);
  EXPECT_TRUE(test::audited(state(), "X-13 to cmsp: no"));
  cmsp_refuses_.reset();
  EXPECT_TRUE(enrol(asked));
  ASSERT_FALSE(vouched_.empty());
  EXPECT_EQ(vouched_.back(), "alice +8613800000001 kms-a");
}

TEST_F(TerminalTest, WhatIamSaysMustFitTheRequest) {
  const Attested good = attested_;
  for (int wrong = 0; wrong < 4; ++wrong) {
    attested_ = good;
    if (wrong == 0) attested_.number = Number("+8613800000009");
    if (wrong == 1) attested_.home_kms = ElementName("kms-b");
    if (wrong == 2) attested_.domain = "b";
    if (wrong == 3) attested_.device = Kind::dev1;
    EXPECT_EQ(refusal(enrol(message(alice()))), ErrorCode::denied) << wrong;
  }
}

TEST_F(TerminalTest, NamesOutsideThePolicyAreRefusedBeforeIamIsAsked) {
  const auto asking = [&](const crypto::SubjectNames& wanted) { return enrol(message(Requester(suite_, *rng_, wanted))); };
  EXPECT_EQ(refusal(asking(names("qanat://a/app1/mallory"))), ErrorCode::denied);
  EXPECT_EQ(refusal(asking(names("qanat://b/app1/alice"))), ErrorCode::denied);
  EXPECT_EQ(refusal(asking(names("qanat://a/kms/alice"))), ErrorCode::denied);
  EXPECT_EQ(refusal(asking(names("qanat://a/app1/alice", Number("+8613800000009")))), ErrorCode::denied);
  EXPECT_EQ(refusal(asking(terminal_names(identity("qanat://a/app1/alice"), alice_number, ElementName("kms-b")))), ErrorCode::denied)
      << "another home KMS than its agent";
  wire::Enrol mixed = message(alice());
  mixed.csr_classical = Requester(suite_, *rng_, names("qanat://a/app1/mallory")).classical;
  EXPECT_EQ(refusal(enrol(mixed)), ErrorCode::denied) << "both requests must ask for the same names";
  EXPECT_EQ(attestations_, 0);
}

TEST_F(TerminalTest, AgentMustBeTheKmsThatTheTerminalNamed) {
  EXPECT_EQ(refusal(enrol(message(alice()), identity("qanat://a/kms/kms-b"))), ErrorCode::denied);
  EXPECT_EQ(refusal(enrol(message(alice()), identity("qanat://b/kms/kms-a"))), ErrorCode::denied) << "the same name in another domain";
  EXPECT_EQ(refusal(enrol(message(alice()), kms_a, "bob")), ErrorCode::invalid_argument);
  EXPECT_EQ(attestations_, 0);
}

TEST_F(TerminalTest, AlteredRequestIsRefused) {
  wire::Enrol asked = message(alice());
  asked.csr_pq.back() ^= 1;
  EXPECT_EQ(refusal(enrol(asked)), ErrorCode::denied);
  EXPECT_EQ(attestations_, 0);
}

}  // namespace
}  // namespace qanat::cas
