// Enrolment of terminals through their KMS: Ce-1.
#include "cas_fixture.hpp"

#include "wire/key_schedule.hpp"

namespace qanat::cas {
namespace {

const Number alice_number("+8613800000001");

class TerminalTest : public CasFixture {
 protected:
  crypto::SubjectNames names(std::string_view uri = "qanat://a/app1/alice", Number number = alice_number) { return terminal_names(identity(uri), number); }
  wire::Enrol message(const Requester& requester) {
    wire::Enrol out;
    out.uid = Uid("alice");
    out.number = alice_number;
    out.kms_id = ElementName("kms-a");
    out.device_kind = Kind::app1;
    out.nonce = rng_->bytes(wire::nonce_size);
    out.csr_classical = requester.classical;
    out.csr_pq = requester.ml_dsa;
    out.ephemeral = {.point = Bytes(suite_.point, 4), .ml_kem = Bytes(suite_.ml_kem_public, 5)};
    out.mac = Bytes(suite_.digest);
    return out;
  }
  Result<net::Response> enrol(const wire::Enrol& asked, const Identity& agent = kms_a, std::string uid = "alice") {
    const auto framed = must(wire::frame(suite_, 1, asked));
    return call(Endpoint::ce1_terminal, json_request(agent, wire::Json::object({{"uid", uid}, {"enrol", wire::to_base64(framed.octets)}})));
  }
  Requester alice() { return Requester(suite_, *rng_, names()); }
};

TEST_F(TerminalTest, AttestedTerminalGetsBothCertificatesWithItsNumber) {
  const wire::Json answer = json_of(enrol(message(alice())));
  for (const std::string_view branch : {"ml_dsa", "classical"}) {
    const auto leaf = chain(answer, branch).front();
    EXPECT_EQ(leaf.names().element, identity("qanat://a/app1/alice"));
    EXPECT_EQ(leaf.names().number, alice_number);
    EXPECT_TRUE(node_->check_certificate(leaf, test::soon()));
    EXPECT_NEAR(static_cast<double>(leaf.not_after() - SystemClock().now_ms()), 30.0 * 86'400'000, 5000);
  }
  EXPECT_EQ(attestations_, 1);
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
