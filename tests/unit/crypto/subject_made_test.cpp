// Keys made for others, as the openssl program reads them, and the attributes that tell what a request may hold.
#include "crypto/subject_made.hpp"

#include <gtest/gtest.h>

#include "x509_hierarchy.hpp"

namespace qanat::crypto {
namespace {

using namespace testing;  // x509_hierarchy.hpp

constexpr SubjectAlgorithm every_algorithm[] = {SubjectAlgorithm::rsa,       SubjectAlgorithm::ecdsa_p256, SubjectAlgorithm::ecdsa_p384,
                                                SubjectAlgorithm::sm2,       SubjectAlgorithm::ml_dsa_44,  SubjectAlgorithm::ml_dsa_65,
                                                SubjectAlgorithm::ml_dsa_87, SubjectAlgorithm::ml_kem_768, SubjectAlgorithm::ml_kem_1024};

TEST(SubjectMadeTest, EveryKeyIsReadByTheOpensslProgramWithTheSamePublicHalf) {
  for (const SubjectAlgorithm algorithm : every_algorithm) {
    const auto made = make_subject_key(algorithm, 2048);
    ASSERT_TRUE(made) << name(algorithm) << ": " << made.error().message;
    const auto key = SubjectPublicKey::parse(made->public_key_info);
    ASSERT_TRUE(key) << key.error().message;
    EXPECT_EQ(key->algorithm(), algorithm);
    const TemporaryFolder folder;
    const std::string file = folder.file("key", made->pkcs8.reveal());
    EXPECT_EQ(run_openssl("pkey -inform DER -in " + file + " -check -noout").status, 0) << name(algorithm);
    const std::string out = folder.file("public", {});
    ASSERT_EQ(run_openssl("pkey -inform DER -in " + file + " -pubout -outform DER -out " + out).status, 0);
    std::ifstream in(out, std::ios::binary);
    EXPECT_EQ(to_bytes(std::string(std::istreambuf_iterator<char>(in), {})), made->public_key_info) << name(algorithm);
  }
}

TEST(SubjectMadeTest, TwoKeysAreTwo) {
  for (const SubjectAlgorithm algorithm : {SubjectAlgorithm::sm2, SubjectAlgorithm::ml_kem_768}) {
    EXPECT_NE(make_subject_key(algorithm, 0)->public_key_info, make_subject_key(algorithm, 0)->public_key_info);
  }
}

TEST(SubjectMadeTest, RsaKeysOfOtherLengthsAreNotMade) {
  for (const int bits : {1024, 2047, 4097, 16384}) {
    const auto made = make_subject_key(SubjectAlgorithm::rsa, bits);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::invalid_argument);
  }
  EXPECT_EQ(SubjectPublicKey::parse(make_subject_key(SubjectAlgorithm::rsa, 3072)->public_key_info)->bits(), 3072);
}

TEST(SubjectMadeTest, PublicKeyInfoIsThatOfARequestByTheSameKey) {
  for (const KeyAlgorithm algorithm : all_algorithms) {
    const PrivateKey key = make_key(algorithm, 3);
    const auto request = SubjectRequest::parse(make_request(key, names_of("box")).value());
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(public_key_info(key).value(), request->key().der());
  }
}

TEST(SubjectMadeTest, SeesWhetherARequestWantsItsKeyEncrypted) {
  const PrivateKey key = make_key(KeyAlgorithm::ecdsa_p384, 3);
  EXPECT_FALSE(asks_for_wrapped_key(make_request(key, names_of("box")).value()).value());
  EXPECT_FALSE(asks_for_wrapped_key(to_bytes("no request")).has_value());
  for (const char* oid : {"1.2.840.113549.1.9.16.2.37", "1.2.840.113549.1.9.16.2.54"}) {
    const TemporaryFolder folder;
    const std::string configuration =
        folder.file("req.cnf", as_bytes(std::string("oid_section=oids\n[oids]\nwanted=") + oid +
                                        "\n[req]\nprompt=no\ndistinguished_name=dn\nattributes=attrs\n[attrs]\nwanted=0123\n[dn]\nCN=box\n"));
    const std::string out = folder.file("request", {});
    const ProgramResult made =
        run_openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -config " + configuration + " -outform DER -out " + out);
    ASSERT_EQ(made.status, 0) << made.output;
    std::ifstream in(out, std::ios::binary);
    const auto asked = asks_for_wrapped_key(to_bytes(std::string(std::istreambuf_iterator<char>(in), {})));
    ASSERT_TRUE(asked) << asked.error().message;
    EXPECT_TRUE(*asked) << oid;
  }
}

TEST(SubjectMadeTest, AttributesAreThoseOfTheStandardsExample) {
  // RFC 7030 §4.5.2 spells { id-ecPublicKey, { secp384r1 } } and ecdsa-with-SHA384 so.
  EXPECT_EQ(to_hex(make_csr_attributes(std::vector{SubjectAlgorithm::ecdsa_p384}).value()),
            "301e"
            "301206072a8648ce3d0201310706052b81040022"
            "06082a8648ce3d040303");
}

TEST(SubjectMadeTest, TheOpensslProgramReadsTheAttributesOfEveryKey) {
  const TemporaryFolder folder;
  const ProgramResult printed = run_openssl("asn1parse -inform DER -i -in " + folder.file("attributes", make_csr_attributes(every_algorithm).value()));
  ASSERT_EQ(printed.status, 0) << printed.output;
  for (const char* part : {"rsaEncryption", "INTEGER", ":0800", "id-ecPublicKey", "prime256v1", "secp384r1", ":sm2", "SM2-with-SM3", "ML-DSA-44", "ML-DSA-65",
                           "ML-DSA-87", "ML-KEM-768", "ML-KEM-1024", "ecdsa-with-SHA256", "sha384WithRSAEncryption"}) {
    EXPECT_TRUE(printed.output.contains(part)) << part << " in\n" << printed.output;
  }
}

}  // namespace
}  // namespace qanat::crypto
