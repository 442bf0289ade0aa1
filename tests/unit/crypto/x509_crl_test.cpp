// Revocation lists: what is written is read back, by us, by the openssl program and, for the signature of ML-DSA, by Botan; what is altered is refused.
#include <gtest/gtest.h>

#include "botan_peer.hpp"
#include "crypto/x509_crl.hpp"
#include "x509_hierarchy.hpp"

namespace qanat::crypto {
namespace {

using namespace testing;  // x509_hierarchy.hpp

class X509CrlTest : public ::testing::TestWithParam<KeyAlgorithm> {
 protected:
  [[nodiscard]] static RevocationList some() {
    return {.number = 7,
            .base_number = std::nullopt,
            .this_update = now,
            .next_update = now + day_ms,
            .distribution_point = "",
            .delta_url = "http://status.example/crl/ml_dsa-delta.crl",
            .revoked = {{.serial = make_serial(9), .revoked_at = now - day_ms}, {.serial = make_serial(3), .revoked_at = now - 2 * day_ms}}};
  }
  [[nodiscard]] Bytes made(const RevocationList& list) const { return make_revocation_list(list, h.issuing, h.issuing_key).value(); }
  const Hierarchy h{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Algorithms, X509CrlTest, ::testing::ValuesIn(all_algorithms), algorithm_name);

/// The openssl program has no way to give the SM2 identity to a chain.
class X509CrlByOpenssl : public X509CrlTest {};
INSTANTIATE_TEST_SUITE_P(Algorithms, X509CrlByOpenssl, ::testing::Values(KeyAlgorithm::ecdsa_p384, KeyAlgorithm::ml_dsa_65, KeyAlgorithm::ml_dsa_87),
                         algorithm_name);
/// The second verifier of the ML-DSA chain.
class X509CrlByBotan : public X509CrlTest {};
INSTANTIATE_TEST_SUITE_P(Algorithms, X509CrlByBotan, ::testing::Values(KeyAlgorithm::ml_dsa_65, KeyAlgorithm::ml_dsa_87), algorithm_name);

TEST_P(X509CrlTest, ACompleteListIsReadAsItWasMade) {
  const auto read = read_revocation_list(made(some()), h.issuing);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->number, 7U);
  EXPECT_FALSE(read->base_number);
  EXPECT_EQ(read->this_update, now);
  EXPECT_EQ(read->next_update, now + day_ms);
  EXPECT_EQ(read->delta_url, some().delta_url);
  ASSERT_EQ(read->revoked.size(), 2U);
  EXPECT_EQ(read->revoked[0].serial, make_serial(3)) << "in the order of the serials";
  EXPECT_EQ(read->revoked[1].serial, make_serial(9));
  EXPECT_EQ(read->revoked[1].revoked_at, now - day_ms);
}

TEST_P(X509CrlTest, ADeltaSaysToWhichListItAdds) {
  RevocationList delta = some();
  delta.base_number = 5;
  delta.delta_url.clear();
  const auto read = read_revocation_list(made(delta), h.issuing);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->base_number, 5U);
}

TEST_P(X509CrlTest, AShardSaysWhichDistributionPointItIsOf) {
  RevocationList shard = some();
  shard.distribution_point = "http://status.example/crl/ml_dsa-3.crl";
  const auto read = read_revocation_list(made(shard), h.issuing);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->distribution_point, shard.distribution_point);
}

TEST_P(X509CrlTest, AnEmptyListIsAListToo) {
  RevocationList empty = some();
  empty.revoked.clear();
  const auto read = read_revocation_list(made(empty), h.issuing);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(read->revoked.empty());
}

TEST_P(X509CrlTest, RefusesWhatIsAlteredOrOfAnother) {
  const Bytes good = made(some());
  for (std::size_t at = 0; at<good.size(); at += good.size()> 2000 && at < good.size() - 40 && at > 400 ? 13 : 1) {
    Bytes altered = good;
    altered[at] ^= 0x01;
    EXPECT_FALSE(read_revocation_list(altered, h.issuing)) << "octet " << at;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(read_revocation_list(longer, h.issuing));
  EXPECT_FALSE(read_revocation_list({}, h.issuing));
  const auto namesake = read_revocation_list(good, Hierarchy(GetParam(), 50).issuing);
  ASSERT_FALSE(namesake);
  EXPECT_EQ(namesake.error().code, ErrorCode::denied);
  EXPECT_FALSE(read_revocation_list(good, h.root));
}

TEST_P(X509CrlTest, RefusesToSignWithAnotherKeyOrBackwards) {
  EXPECT_FALSE(make_revocation_list(some(), h.issuing, h.root_key));
  RevocationList backwards = some();
  backwards.next_update = backwards.this_update;
  EXPECT_FALSE(make_revocation_list(backwards, h.issuing, h.issuing_key));
}

TEST_P(X509CrlTest, OpensslProgramReadsAndVerifiesIt) {
  const TemporaryFolder folder;
  // The program has no way to give the SM2 identity to a list's signature.
  const bool verified = GetParam() != KeyAlgorithm::sm2;
  const auto read = run_openssl("crl -inform DER -noout -text -in " + folder.file("list.crl", made(some())) +
                                (verified ? " -CAfile " + folder.file(h.issuing, "issuing.pem") : std::string()));
  EXPECT_NE(read.output.find("X509v3 CRL Number: \n                7"), std::string::npos) << read.output;
  EXPECT_NE(read.output.find("status.example/crl/ml_dsa-delta.crl"), std::string::npos) << read.output;
  if (verified) EXPECT_NE(read.output.find("verify OK"), std::string::npos) << read.output;
}

TEST_P(X509CrlByOpenssl, TheProgramRefusesARevokedLeafAndTakesAnother) {
  const TemporaryFolder folder;
  RevocationList list = some();
  const auto verify = [&] {
    const auto pem = run_openssl("crl -inform DER -in " + folder.file("list.crl", made(list)));
    const std::string file = folder.file("list.pem", as_bytes(pem.output));
    return run_openssl("verify -crl_check -attime " + std::to_string(now / 1000) + " -CAfile " + folder.file(h.root, "root.pem") + " -untrusted " +
                       folder.file(h.issuing, "issuing.pem") + " -CRLfile " + file + " " + folder.file(h.leaf, "leaf.pem"));
  };
  const auto revoked = verify();
  EXPECT_NE(revoked.status, 0) << revoked.output;
  EXPECT_NE(revoked.output.find("certificate revoked"), std::string::npos) << revoked.output;
  list.revoked.erase(list.revoked.begin());
  const auto good = verify();
  EXPECT_EQ(good.status, 0) << good.output;
}

TEST_P(X509CrlByBotan, VerifiesTheChainAndTheList) {
  EXPECT_TRUE(botan_verifies(h.root.der(), h.root));
  EXPECT_TRUE(botan_verifies(h.issuing.der(), h.root));
  EXPECT_TRUE(botan_verifies(h.leaf.der(), h.issuing));
  const Bytes list = made(some());
  EXPECT_TRUE(botan_verifies(list, h.issuing));
  EXPECT_FALSE(botan_verifies(list, h.root));
  Bytes altered = list;
  altered[60] ^= 0x01;
  EXPECT_FALSE(botan_verifies(altered, h.issuing));
}

TEST(X509PointersTest, ACertificateSaysWhereItsStatusCanBeLearned) {
  const Hierarchy h(KeyAlgorithm::ml_dsa_65);
  CertificateTemplate wanted = h.leaf_template();
  wanted.pointers = {
      .ocsp = "http://status.example/ocsp", .ca_issuers = "http://status.example/ca/ml_dsa.cer", .crl = "http://status.example/crl/ml_dsa-9.crl"};
  const Certificate leaf = issue(wanted, &h.issuing, h.issuing_key).value();
  EXPECT_TRUE(h.store().verify(leaf, now));
  const TemporaryFolder folder;
  const auto read = run_openssl("x509 -noout -text -in " + folder.file(leaf, "leaf.pem"));
  for (const char* wanted_text :
       {"OCSP - URI:http://status.example/ocsp", "CA Issuers - URI:http://status.example/ca/ml_dsa.cer", "URI:http://status.example/crl/ml_dsa-9.crl"}) {
    EXPECT_NE(read.output.find(wanted_text), std::string::npos) << read.output;
  }
  wanted.pointers.crl.assign(300, 'x');
  EXPECT_FALSE(issue(wanted, &h.issuing, h.issuing_key));
}

}  // namespace
}  // namespace qanat::crypto
