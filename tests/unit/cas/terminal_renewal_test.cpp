// Renewal of terminals' certificates: Ce-2.
#include "crypto/certificate_bundle.hpp"
#include "crypto/x509_pkcs7.hpp"
#include "plain_http.hpp"
#include "terminal_fixture.hpp"
#include "wire/est.hpp"

namespace qanat::cas {
namespace {

class TerminalRenewalTest : public TerminalFixture {
 protected:
  TerminalRenewalTest() : first_(enrol()) {}

  crypto::CertificateBundle enrol() {
    json_of(enrol_with(message(alice()), new_pair()));
    return *bundles().begin();
  }
  /// Whole bundles in alice's name, the latest first, as she hears of them.
  std::vector<crypto::CertificateBundle> bundles() {
    std::map<std::string, std::map<std::string, Bytes>> by_id;
    std::vector<std::string> order;
    for (const wire::Json& one : must(json_of(call(Endpoint::ce2_issued, test::request_from(alice_, {}))).array("certificates"))) {
      const std::string id = must(one.text("bundle"));
      if (!by_id.contains(id)) order.push_back(id);
      by_id[id][must(one.text("role"))] = must(one.base64("certificate"));
    }
    std::vector<crypto::CertificateBundle> out;
    for (const std::string& id : order) {
      auto& der = by_id[id];
      if (der.size() == 4)
        out.push_back(must(crypto::parse_bundle({der["classical-signing"], der["ml-dsa-signing"], der["classical-encryption"], der["ml-kem-encryption"]})));
    }
    return out;
  }
  Result<crypto::Certificate> renew(ByteView csr, const crypto::CertificateBundle& shown) {
    const auto response = call(Endpoint::ce2_reenrol, test::request_from(alice_, to_bytes(wire::est_body(csr)), shown.ml_dsa_signing));
    if (!response) return fail(response.error());
    EXPECT_EQ(response->content_type, points::type_certs_only);
    const std::vector<Bytes> certificates = must(crypto::read_certs_only(must(wire::parse_est_body(response->body))));
    EXPECT_EQ(certificates.size(), 1U) << "RFC 7030 §4.2.3";
    return crypto::Certificate::parse(certificates.at(0));
  }
  /// Both halves.
  crypto::CertificateBundle renewed(const crypto::CertificateBundle& shown) {
    const Requester next = alice();
    must(renew(next.classical, shown));
    must(renew(next.ml_dsa, shown));
    return bundles().front();
  }
  Result<net::Response> confirm(const Bytes& id, const crypto::CertificateBundle& shown) {
    const std::string body = wire::Json::object({{"bundle", to_hex(id)}}).dump();
    return call(Endpoint::ce2_confirm, test::request_from(alice_, to_bytes(body), shown.ml_dsa_signing));
  }
  bool good(const crypto::CertificateBundle& bundle) {
    return std::ranges::all_of(crypto::all_bundle_roles, [&](crypto::BundleRole role) {
      return node_->check_certificate(bundle.of(role), test::soon(), crypto::use_of(role)).has_value();
    });
  }
  bool revoked(const crypto::CertificateBundle& bundle) {
    return std::ranges::all_of(crypto::all_bundle_roles, [&](crypto::BundleRole role) {
      return !node_->check_certificate(bundle.of(role), test::soon(), crypto::use_of(role)).has_value();
    });
  }

  const Identity alice_ = identity("qanat://a/app1/alice");
  const crypto::SubjectNames names_ = names();
  const crypto::CertificateBundle first_;
};

TEST_F(TerminalRenewalTest, TwoRequestsMakeTheNextBundleOverTheSameEncryptionKeys) {
  const Requester next = alice();
  const crypto::Certificate classical = must(renew(next.classical, first_));
  const crypto::Certificate ml_dsa = must(renew(next.ml_dsa, first_));
  const crypto::CertificateBundle second = bundles().front();
  EXPECT_TRUE(crypto::check_bundle(suite_, second));
  EXPECT_EQ(second.classical_signing.der(), classical.der());
  EXPECT_EQ(second.ml_dsa_signing.der(), ml_dsa.der());
  EXPECT_NE(second.id(), first_.id());
  EXPECT_EQ(second.encryption_key(), first_.encryption_key());
  EXPECT_NE(second.ml_kem_encryption.der(), first_.ml_kem_encryption.der());
  EXPECT_EQ(second.ml_dsa_signing.names(), first_.ml_dsa_signing.names());
  EXPECT_TRUE(good(second));
  EXPECT_TRUE(good(first_)) << "until the terminal says that it has the next one in force";
  EXPECT_TRUE(test::audited(state(), "follows " + to_hex(first_.id())));
  ASSERT_EQ(vouched_.size(), 3U);
  EXPECT_EQ(vouched_.back(), "alice +8613800000001 kms-a") << "CMSP was asked again";
}

TEST_F(TerminalRenewalTest, TheFormerBundleEndsWhenTheNextIsConfirmed) {
  const crypto::CertificateBundle second = renewed(first_);
  EXPECT_EQ(refusal(confirm(first_.id(), second)), ErrorCode::denied) << "of another bundle than the connection's";
  EXPECT_TRUE(confirm(first_.id(), first_)) << "it follows none: nothing ends";
  EXPECT_TRUE(good(first_));
  must(confirm(second.id(), second));
  EXPECT_TRUE(revoked(first_));
  EXPECT_TRUE(good(second));
  must(confirm(second.id(), second));
  EXPECT_TRUE(good(second)) << "said twice";
  EXPECT_EQ(refusal(renew(alice().classical, first_)), ErrorCode::denied);
  const crypto::CertificateBundle third = renewed(second);
  must(confirm(third.id(), third));
  EXPECT_TRUE(revoked(second));
  EXPECT_TRUE(good(third));
}

TEST_F(TerminalRenewalTest, WhatWasAnsweredAboutTheFormerBundleIsNotAnsweredAgain) {
  CasSettings settings;
  settings.front.url = "http://status.test";
  open_service(settings);
  must(service_->start());
  const auto status = [&] {
    const crypto::Certificate& leaf = first_.ml_dsa_signing;
    const crypto::Certificate& issuer = *node_->trust().issuer_of(leaf);
    const auto answer = test::ask_plain(service_->csp().port(), "POST", "/ocsp", "Content-Type: application/ocsp-request\r\n",
                                        must(crypto::make_status_request(leaf, issuer, {})));
    return must(crypto::verify_status_response(answer.body, leaf, issuer, {}, SystemClock().now_ms())).status;
  };
  const crypto::CertificateBundle second = renewed(first_);
  EXPECT_EQ(status(), crypto::CertStatus::good) << "an answer that is kept for whoever asks next";
  must(confirm(second.id(), second));
  EXPECT_EQ(status(), crypto::CertStatus::revoked);
  service_->stop();
}

TEST_F(TerminalRenewalTest, SameRequestsGetTheSameCertificatesAlsoAfterARestart) {
  const Requester next = alice();
  const Bytes classical = must(renew(next.classical, first_)).der();
  open_service();
  EXPECT_EQ(must(renew(next.classical, first_)).der(), classical);
  const Bytes ml_dsa = must(renew(next.ml_dsa, first_)).der();
  open_service();
  EXPECT_EQ(must(renew(next.ml_dsa, first_)).der(), ml_dsa);
  EXPECT_EQ(must(renew(next.classical, first_)).der(), classical);
  EXPECT_EQ(bundles().size(), 2U);
}

TEST_F(TerminalRenewalTest, ABundleIsFollowedByOneAlone) {
  const Requester next = alice();
  must(renew(next.classical, first_));
  must(renew(next.ml_dsa, first_));
  // Whoever has got hold of the key by which the first renewal was made comes too late, or shows himself.
  EXPECT_EQ(refusal(renew(alice().classical, first_)), ErrorCode::conflict);
  EXPECT_EQ(refusal(renew(alice().ml_dsa, first_)), ErrorCode::conflict);
}

TEST_F(TerminalRenewalTest, ABundleIsNotRenewedBeforeItIsConfirmed) {
  const crypto::CertificateBundle second = renewed(first_);
  EXPECT_EQ(refusal(renew(alice().classical, second)), ErrorCode::conflict) << "there would be three";
  must(confirm(second.id(), second));
  EXPECT_TRUE(renew(alice().classical, second));
}

TEST_F(TerminalRenewalTest, AClassicalCertificateThatWasNotFollowedIsRevokedForTheNextAttempt) {
  const crypto::Certificate lost = must(renew(alice().classical, first_));
  EXPECT_TRUE(node_->check_certificate(lost, test::soon()));
  const crypto::CertificateBundle second = renewed(first_);
  EXPECT_FALSE(node_->check_certificate(lost, test::soon()));
  EXPECT_TRUE(good(second));
}

TEST_F(TerminalRenewalTest, TheClassicalHalfComesFirst) {
  EXPECT_EQ(refusal(renew(alice().ml_dsa, first_)), ErrorCode::conflict);
  EXPECT_EQ(bundles().size(), 1U);
}

TEST_F(TerminalRenewalTest, RenewalTakesNewKeysAndTheSameNames) {
  const crypto::Signer signer = must(crypto::Signer::generate(suite_, *rng_));
  crypto::SigningSecret secret = signer.secret();
  const crypto::PrivateKey key{.algorithm = crypto::classical_key(suite_), .secret = std::move(secret.scalar)};
  const Bytes csr = must(crypto::make_request(key, names_));
  must(renew(csr, first_));
  must(renew(alice().ml_dsa, first_));
  const crypto::CertificateBundle second = bundles().front();
  EXPECT_EQ(refusal(renew(csr, second)), ErrorCode::denied) << "the key of the bundle in force";
  const auto asking = [&](const crypto::SubjectNames& wanted) { return renew(Requester(suite_, *rng_, wanted).classical, second); };
  const ElementName kms("kms-a");
  EXPECT_EQ(refusal(asking(terminal_names(identity("qanat://a/app1/mallory"), *names_.number, kms))), ErrorCode::denied);
  EXPECT_EQ(refusal(asking(terminal_names(alice_, Number("+8613800000009"), kms))), ErrorCode::denied);
  EXPECT_EQ(refusal(asking(terminal_names(alice_, *names_.number, ElementName("kms-b")))), ErrorCode::denied)
      << "moved to another KMS: that takes a new enrolment";
  EXPECT_EQ(refusal(asking(element_names(alice_))), ErrorCode::denied) << "without its number";
  EXPECT_EQ(refusal(call(Endpoint::ce2_reenrol, test::request_from(alice_, to_bytes(std::string_view("no request")), second.ml_dsa_signing))),
            ErrorCode::invalid_argument);
}

TEST_F(TerminalRenewalTest, NothingNewWithoutTheWordsOfIamAndCmsp) {
  const Requester next = alice();
  iam_refuses_ = Error{ErrorCode::denied, "'qanat://a/app1/alice' is suspended in IAM's register"};
  EXPECT_EQ(refusal(renew(next.classical, first_)), ErrorCode::denied);
  EXPECT_TRUE(test::audited(state(), "is suspended in IAM's register"));
  iam_refuses_.reset();
  cmsp_refuses_ = Error{ErrorCode::denied, "the service is not open to +8613800000001"};
  EXPECT_EQ(refusal(renew(next.classical, first_)), ErrorCode::denied);
  cmsp_refuses_ = Error{ErrorCode::unavailable, "no answer"};
  EXPECT_EQ(refusal(renew(next.classical, first_)), ErrorCode::unavailable);
  cmsp_refuses_.reset();
  EXPECT_TRUE(renew(next.classical, first_));
}

TEST_F(TerminalRenewalTest, RevocationEndsBothTheFormerAndTheNext) {
  const crypto::CertificateBundle second = renewed(first_);
  EXPECT_EQ(must(json_of(revoke(alice_)).texts("revoked")).size(), 8U);
  EXPECT_TRUE(revoked(first_));
  EXPECT_TRUE(revoked(second));
  EXPECT_EQ(refusal(renew(alice().classical, second)), ErrorCode::denied);
  EXPECT_EQ(refusal(confirm(second.id(), second)), ErrorCode::denied);
}

TEST_F(TerminalRenewalTest, ACertificateOfNoBundleRenewsNothing) {
  // As those from before there were bundles.
  crypto::CertificateBundle other = first_;
  other.ml_dsa_signing = first_.ml_kem_encryption;
  EXPECT_EQ(refusal(renew(alice().classical, other)), ErrorCode::denied);
}

}  // namespace
}  // namespace qanat::cas
