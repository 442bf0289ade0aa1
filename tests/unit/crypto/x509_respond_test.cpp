// Answers about several certificates, and answers of a responder to which the issuing CA delegates (RFC 6960 §4.2.2.2).
#include <gtest/gtest.h>

#include "crypto/x509_respond.hpp"
#include "x509_hierarchy.hpp"

namespace qanat::crypto {
namespace {

using namespace testing;  // x509_hierarchy.hpp

const Bytes asked_nonce(32, 0x77);

class X509RespondTest : public ::testing::TestWithParam<KeyAlgorithm> {
 protected:
  [[nodiscard]] CertificateTemplate responder_template() const {
    return make_template(CertificateUse::ocsp_signer, names_of("Qanat test responder"), responder_key, 40);
  }
  [[nodiscard]] Result<Bytes> answer_by(const Certificate& responder, const PrivateKey& key, CertStatus status = CertStatus::good) const {
    const StatusSigner signer = StatusSigner::make(h.issuing, responder, key).value();
    const std::array lines{line(h.leaf.serial(), status)};
    return signer.answer(lines, asked_nonce, now);
  }
  static StatusLine line(const Bytes& serial, CertStatus status) {
    return {.hash = CertIdHash::sha256,
            .serial = serial,
            .answer = {.status = status, .this_update = now, .next_update = now + day_ms, .revoked_at = status == CertStatus::revoked ? now - day_ms : 0}};
  }
  [[nodiscard]] Result<StatusAnswer> verify(const Bytes& der, UnixMs at = now) const { return verify_status_response(der, h.leaf, h.issuing, asked_nonce, at); }
  void expect_denied(const Result<StatusAnswer>& result, std::string_view why) const {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::denied);
    EXPECT_NE(result.error().message.find(why), std::string::npos) << result.error().message;
  }

  const Hierarchy h{GetParam()};
  const PrivateKey responder_key = make_key(GetParam(), 30);
};
INSTANTIATE_TEST_SUITE_P(Algorithms, X509RespondTest, ::testing::ValuesIn(all_algorithms), algorithm_name);

/// The openssl program has no way to give the SM2 identity to a response's signature.
class X509RespondByOpenssl : public X509RespondTest {};
INSTANTIATE_TEST_SUITE_P(Algorithms, X509RespondByOpenssl, ::testing::Values(KeyAlgorithm::ecdsa_p384, KeyAlgorithm::ml_dsa_65, KeyAlgorithm::ml_dsa_87),
                         algorithm_name);

TEST_P(X509RespondTest, AnswerOfAnAppointedResponderHolds) {
  const Certificate responder = issue(responder_template(), &h.issuing, h.issuing_key).value();
  const auto good = verify(answer_by(responder, responder_key).value());
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->status, CertStatus::good);
  const auto revoked = verify(answer_by(responder, responder_key, CertStatus::revoked).value());
  ASSERT_TRUE(revoked) << revoked.error().message;
  EXPECT_EQ(revoked->status, CertStatus::revoked);
  EXPECT_EQ(revoked->revoked_at, now - day_ms);
}

TEST_P(X509RespondTest, AnAppointedResponderIsNoElementAndNoElementAResponder) {
  const Certificate responder = issue(responder_template(), &h.issuing, h.issuing_key).value();
  EXPECT_FALSE(h.store().verify(responder, now)) << "its certificate opens no connection";
  const Certificate element = issue(make_template(CertificateUse::tls_and_signing, names_of("element"), responder_key, 41), &h.issuing, h.issuing_key).value();
  expect_denied(verify(answer_by(element, responder_key).value()), "not one for answers alone");
}

TEST_P(X509RespondTest, RespondersOfOthersAndOfOtherTimesAreRefused) {
  const Hierarchy other(GetParam(), 60, "Other");
  expect_denied(verify(answer_by(issue(responder_template(), &other.issuing, other.issuing_key).value(), responder_key).value()), "not appointed by");
  // A namesake of the CA with another key.
  const Hierarchy namesake(GetParam(), 70);
  expect_denied(verify(answer_by(issue(responder_template(), &namesake.issuing, namesake.issuing_key).value(), responder_key).value()), "not appointed by");
  // Appointed by the root, which did not issue the certificate.
  expect_denied(verify(answer_by(issue(responder_template(), &h.root, h.root_key).value(), responder_key).value()), "not appointed by");
  CertificateTemplate past = responder_template();
  past.not_after = now - second_ms;
  expect_denied(verify(answer_by(issue(past, &h.issuing, h.issuing_key).value(), responder_key).value()), "not valid now");
}

TEST_P(X509RespondTest, AlteredAnswersOfAResponderAreRefused) {
  const Certificate responder = issue(responder_template(), &h.issuing, h.issuing_key).value();
  const Bytes good = answer_by(responder, responder_key).value();
  for (std::size_t at = 0; at < good.size(); at += 97) {
    Bytes altered = good;
    altered[at] ^= 0x01;
    EXPECT_FALSE(verify(altered)) << "octet " << at;
  }
}

TEST_P(X509RespondTest, AnswersSeveralCertificatesInOne) {
  const StatusSigner signer = StatusSigner::make(h.issuing, std::nullopt, h.issuing_key).value();
  const std::array lines{line(make_serial(77), CertStatus::revoked), line(h.leaf.serial(), CertStatus::good), line(make_serial(78), CertStatus::unknown)};
  const auto answer = verify(signer.answer(lines, asked_nonce, now).value());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, CertStatus::good);
}

TEST_P(X509RespondTest, TheKeyMustBeTheOneOfTheCertificate) {
  const Certificate responder = issue(responder_template(), &h.issuing, h.issuing_key).value();
  EXPECT_FALSE(StatusSigner::make(h.issuing, responder, h.issuing_key));
  EXPECT_FALSE(StatusSigner::make(h.issuing, std::nullopt, responder_key));
}

TEST_P(X509RespondByOpenssl, TheProgramVerifiesAResponderByItself) {
  const Certificate responder = issue(responder_template(), &h.issuing, h.issuing_key).value();
  const TemporaryFolder folder;
  const std::string command = "ocsp -no_nonce -respin " + folder.file("response.der", answer_by(responder, responder_key).value()) + " -issuer " +
                              folder.file(h.issuing, "issuing.pem") + " -CAfile " + folder.file(h.root, "root.pem") + " -attime " + std::to_string(now / 1000) +
                              " -sha256 -cert " + folder.file(h.leaf, "leaf.pem");
  const auto read = run_openssl(command);
  EXPECT_NE(read.output.find("Response verify OK"), std::string::npos) << read.output;
  EXPECT_NE(read.output.find("good\n\tThis Update: Oct  1 14:13:20 2026 GMT"), std::string::npos) << read.output;
}

TEST(X509QuestionsTest, ReadsSeveralQuestionsAndNamesTheirIssuer) {
  const Hierarchy h(KeyAlgorithm::ecdsa_p384);
  const TemporaryFolder folder;
  const std::string out = folder.file("request.der", {});
  const auto made = run_openssl("ocsp -issuer " + folder.file(h.issuing, "issuing.pem") + " -cert " + folder.file(h.leaf, "leaf.pem") +
                                " -serial 77 -sha256 -serial 78 -reqout " + out);
  ASSERT_EQ(made.status, 0) << made.output;
  std::ifstream in(out, std::ios::binary);
  const Bytes der = to_bytes(std::string(std::istreambuf_iterator<char>(in), {}));
  const auto questions = parse_status_questions(der);
  ASSERT_TRUE(questions) << questions.error().message;
  ASSERT_EQ(questions->about.size(), 3U);
  EXPECT_EQ(questions->about[0].hash, CertIdHash::sha1);
  EXPECT_EQ(questions->about[0].serial, h.leaf.serial());
  EXPECT_EQ(questions->about[1].serial, Bytes{77});
  EXPECT_EQ(questions->about[2].hash, CertIdHash::sha256);
  EXPECT_FALSE(questions->nonce.empty());
  for (const StatusQuestion& question : questions->about) {
    EXPECT_TRUE(names_issuer(question, h.issuing));
    EXPECT_FALSE(names_issuer(question, h.root));
  }
}

TEST(X509QuestionsTest, RefusesMoreQuestionsThanOneMayAsk) {
  const Hierarchy h(KeyAlgorithm::ecdsa_p384);
  const TemporaryFolder folder;
  const std::string out = folder.file("request.der", {});
  std::string command = "ocsp -issuer " + folder.file(h.issuing, "issuing.pem") + " -reqout " + out;
  for (std::size_t i = 0; i <= status_questions_max; ++i) command += " -serial " + std::to_string(i + 1);
  ASSERT_EQ(run_openssl(command).status, 0);
  std::ifstream in(out, std::ios::binary);
  const auto questions = parse_status_questions(to_bytes(std::string(std::istreambuf_iterator<char>(in), {})));
  ASSERT_FALSE(questions);
  EXPECT_EQ(questions.error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace qanat::crypto
