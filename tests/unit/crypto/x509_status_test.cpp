// Status requests and responses: what is answered, what is refused, and the openssl program at the other end.
#include <gtest/gtest.h>

#include "crypto/x509.hpp"
#include "crypto/x509_openssl.hpp"
#include "x509_hierarchy.hpp"

namespace qanat::crypto {
namespace {

using namespace testing;  // x509_hierarchy.hpp

const Bytes nonce(32, 0x5a);

template <class T>
void expect_refused(const Result<T>& result, ErrorCode code, std::string_view part = "") {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
}

StatusAnswer answer_of(CertStatus status) { return {.status = status, .this_update = now, .next_update = now + 3600 * second_ms}; }

class X509StatusTest : public ::testing::TestWithParam<KeyAlgorithm> {
 protected:
  [[nodiscard]] Bytes request() const { return make_status_request(h.leaf, h.issuing, nonce).value(); }
  [[nodiscard]] Bytes response(CertStatus status = CertStatus::good) const {
    return make_status_response(request(), answer_of(status), h.issuing, h.issuing_key).value();
  }
  [[nodiscard]] Result<StatusAnswer> verify(ByteView der, UnixMs at = now) const { return verify_status_response(der, h.leaf, h.issuing, nonce, at); }

  const Hierarchy h{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Algorithms, X509StatusTest, ::testing::ValuesIn(all_algorithms), algorithm_name);

TEST_P(X509StatusTest, RequestNamesCertificateIssuerAndNonce) {
  const auto query = parse_status_request(request());
  ASSERT_TRUE(query) << query.error().message;
  EXPECT_EQ(query->serial, h.leaf.serial());
  EXPECT_EQ(query->nonce, nonce);
  EXPECT_EQ(query->issuer_key_hash.size(), 32U);
  EXPECT_TRUE(query_names_issuer(request(), h.issuing));
  EXPECT_FALSE(query_names_issuer(request(), h.root));
  EXPECT_FALSE(query_names_issuer(request(), Hierarchy(GetParam(), 50).issuing)) << "a namesake with another key";
  EXPECT_FALSE(query_names_issuer(nonce, h.issuing));
}

TEST_P(X509StatusTest, AnswerArrivesAsGiven) {
  for (const CertStatus status : {CertStatus::good, CertStatus::revoked, CertStatus::unknown}) {
    const auto answer = verify(response(status));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, status);
    EXPECT_EQ(answer->this_update, now);
    EXPECT_EQ(answer->next_update, now + 3600 * second_ms);
  }
}

TEST_P(X509StatusTest, RefusesResponseWithAnyOctetAltered) {
  const Bytes good = response();
  const std::size_t step = good.size() > 2000 ? 11 : 1;
  for (std::size_t at = 0; at < good.size(); at += step) {
    Bytes altered = good;
    altered[at] ^= 0x01;
    EXPECT_FALSE(verify(altered)) << "octet " << at;
  }
  Bytes longer = good;
  longer.push_back(0);
  expect_refused(verify(longer), ErrorCode::invalid_argument, "behind its end");
}

TEST_P(X509StatusTest, RefusesAnswerOfAnotherCa) {
  const Hierarchy other(GetParam(), 50, "Other");
  const Bytes theirs =
      make_status_response(make_status_request(other.leaf, other.issuing, nonce).value(), answer_of(CertStatus::good), other.issuing, other.issuing_key)
          .value();
  expect_refused(verify(theirs), ErrorCode::denied, "signature");
}

TEST_P(X509StatusTest, RefusesAnswerForAnotherCertificate) {
  CertificateTemplate wanted = h.leaf_template();
  wanted.serial = make_serial(10);
  const auto other = issue(wanted, &h.issuing, h.issuing_key).value();
  const Bytes theirs =
      make_status_response(make_status_request(other, h.issuing, nonce).value(), answer_of(CertStatus::good), h.issuing, h.issuing_key).value();
  expect_refused(verify(theirs), ErrorCode::denied, "says nothing about");
}

TEST_P(X509StatusTest, RefusesWrongOrMissingNonce) {
  const Bytes other_nonce(32, 0x11);
  expect_refused(verify_status_response(response(), h.leaf, h.issuing, other_nonce, now), ErrorCode::denied, "nonce");
  const Bytes without = make_status_request(h.leaf, h.issuing, {}).value();
  const Bytes presigned = make_status_response(without, answer_of(CertStatus::good), h.issuing, h.issuing_key).value();
  expect_refused(verify(presigned), ErrorCode::denied, "nonce");
  EXPECT_TRUE(verify_status_response(presigned, h.leaf, h.issuing, {}, now)) << "a presigned answer holds for whoever sent no nonce";
}

TEST_P(X509StatusTest, RefusesStaleAndFutureAnswers) {
  EXPECT_TRUE(verify(response(), now + 3600 * second_ms));
  expect_refused(verify(response(), now + 3601 * second_ms), ErrorCode::denied, "stale since");
  EXPECT_TRUE(verify(response(), now - 120 * second_ms));
  expect_refused(verify(response(), now - 121 * second_ms), ErrorCode::denied, "holds only from");
}

TEST_P(X509StatusTest, ResponderAnswersOnlyForItsOwnCertificates) {
  expect_refused(make_status_response(request(), answer_of(CertStatus::good), h.root, h.root_key), ErrorCode::denied, "another issuer");
  expect_refused(make_status_response(request(), answer_of(CertStatus::good), h.issuing, h.root_key), ErrorCode::invalid_argument, "key");
  StatusAnswer backwards = answer_of(CertStatus::good);
  backwards.next_update = backwards.this_update;
  expect_refused(make_status_response(request(), backwards, h.issuing, h.issuing_key), ErrorCode::invalid_argument, "nextUpdate");
}

TEST_P(X509StatusTest, OpensslProgramReadsOurAnswer) {
  const TemporaryFolder folder;
  const std::string issuing = folder.file(h.issuing, "issuing.pem");
  const std::string command = "ocsp -no_nonce -respin " + folder.file("response.der", response(CertStatus::revoked)) + " -issuer " + issuing + " -CAfile " +
                              folder.file(h.root, "root.pem") + " -verify_other " + issuing + " -attime " + std::to_string(now / 1000);
  const auto read = run_openssl(command + " -sha256 -cert " + folder.file(h.leaf, "leaf.pem"));
  EXPECT_NE(read.output.find("revoked\n\tThis Update: Oct  1 14:13:20 2026 GMT"), std::string::npos) << read.output;
  const auto matched = run_openssl(command + " -resp_text -reqin " + folder.file("request.der", request()));
  EXPECT_EQ(matched.output.find("Nonce Verify error"), std::string::npos) << matched.output;
  EXPECT_NE(matched.output.find("OCSP Nonce"), std::string::npos) << matched.output;
  // The program has no way to give the SM2 identity to a response's signature.
  if (GetParam() != KeyAlgorithm::sm2) EXPECT_NE(matched.output.find("Response verify OK"), std::string::npos) << matched.output;
}

TEST_P(X509StatusTest, AnswersTheOpensslProgramsRequestWithSha1CertId) {
  const TemporaryFolder folder;
  const std::string out = folder.file("request.der", {});
  const auto made = run_openssl("ocsp -issuer " + folder.file(h.issuing, "issuing.pem") + " -cert " + folder.file(h.leaf, "leaf.pem") + " -reqout " + out);
  ASSERT_EQ(made.status, 0) << made.output;
  std::ifstream in(out, std::ios::binary);
  const Bytes der = to_bytes(std::string(std::istreambuf_iterator<char>(in), {}));
  const auto query = parse_status_request(der);
  ASSERT_TRUE(query) << query.error().message;
  EXPECT_EQ(query->serial, h.leaf.serial());
  EXPECT_EQ(query->issuer_key_hash.size(), 20U);
  EXPECT_FALSE(query->nonce.empty());
  EXPECT_TRUE(query_names_issuer(der, h.issuing));
  const Bytes answered = make_status_response(der, answer_of(CertStatus::good), h.issuing, h.issuing_key).value();
  const auto answer = verify_status_response(answered, h.leaf, h.issuing, query->nonce, now);
  EXPECT_TRUE(answer) << answer.error().message;
}

TEST(X509StatusRequestTest, RefusesSeveralCertIds) {
  const Hierarchy h(KeyAlgorithm::ecdsa_p384);
  const TemporaryFolder folder;
  const std::string out = folder.file("request.der", {});
  const std::string leaf = folder.file(h.leaf, "leaf.pem");
  const auto made = run_openssl("ocsp -issuer " + folder.file(h.issuing, "issuing.pem") + " -cert " + leaf + " -serial 77 -reqout " + out);
  ASSERT_EQ(made.status, 0) << made.output;
  std::ifstream in(out, std::ios::binary);
  const Bytes der = to_bytes(std::string(std::istreambuf_iterator<char>(in), {}));
  expect_refused(parse_status_request(der), ErrorCode::invalid_argument, "asks for 2 certificates");
  EXPECT_FALSE(query_names_issuer(der, h.issuing));
  expect_refused(make_status_response(der, answer_of(CertStatus::good), h.issuing, h.issuing_key), ErrorCode::invalid_argument);
}

TEST(X509StatusRequestTest, RefusesOtherDigestsForeignIssuersAndLongNonces) {
  const Hierarchy h(KeyAlgorithm::ecdsa_p384);
  const TemporaryFolder folder;
  const std::string out = folder.file("request.der", {});
  const auto made =
      run_openssl("ocsp -sha384 -issuer " + folder.file(h.issuing, "issuing.pem") + " -cert " + folder.file(h.leaf, "leaf.pem") + " -reqout " + out);
  ASSERT_EQ(made.status, 0) << made.output;
  std::ifstream in(out, std::ios::binary);
  const Bytes der = to_bytes(std::string(std::istreambuf_iterator<char>(in), {}));
  expect_refused(parse_status_request(der), ErrorCode::invalid_argument, "neither SHA-1 nor SHA-256");
  expect_refused(make_status_request(h.leaf, h.root, nonce), ErrorCode::invalid_argument, "did not issue");
  EXPECT_TRUE(make_status_request(h.leaf, h.issuing, Bytes(128, 1)));
  expect_refused(make_status_request(h.leaf, h.issuing, Bytes(129, 1)), ErrorCode::invalid_argument, "nonce");
  Bytes longer = make_status_request(h.leaf, h.issuing, nonce).value();
  longer.push_back(0);
  expect_refused(parse_status_request(longer), ErrorCode::invalid_argument, "behind its end");
}

TEST(X509StatusErrorTest, ErrorResponsesCarryNoStatus) {
  const Hierarchy h(KeyAlgorithm::ecdsa_p384);
  for (const int status : {1, 2, 3, 5, 6}) {
    const Bytes der = make_status_error(status);
    EXPECT_EQ(der, (Bytes{0x30, 0x03, 0x0a, 0x01, static_cast<std::uint8_t>(status)}));
    expect_refused(verify_status_response(der, h.leaf, h.issuing, {}, now), ErrorCode::unavailable, "gives no status");
  }
}

TEST(X509StatusErrorTest, TlsErrorQueueStaysAsItWas) {
  const Hierarchy h(KeyAlgorithm::ecdsa_p384);
  ERR_clear_error();
  EXPECT_FALSE(parse_status_request(Bytes(100, 0x30)));
  EXPECT_FALSE(verify_status_response(Bytes(100, 0x30), h.leaf, h.issuing, {}, now));
  EXPECT_EQ(ERR_peek_error(), 0U);
}

}  // namespace
}  // namespace qanat::crypto
