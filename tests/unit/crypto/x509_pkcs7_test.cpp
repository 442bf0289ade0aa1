// Certificates in an unsigned CMS envelope: what is written is read back by us and by the openssl program; what is anything else is refused.
#include "crypto/x509_pkcs7.hpp"

#include <gtest/gtest.h>
#include <openssl/cms.h>
#include <openssl/pkcs7.h>

#include "crypto/x509_openssl.hpp"
#include "x509_hierarchy.hpp"

namespace qanat::crypto {
namespace {

using namespace testing;  // x509_hierarchy.hpp

using Message = Owned<CMS_ContentInfo, CMS_ContentInfo_free>;

class X509Pkcs7Test : public ::testing::Test {
 protected:
  [[nodiscard]] std::vector<Bytes> some() const { return {ml_dsa.issuing.der(), sm2.root.der(), ml_dsa.root.der()}; }
  void refuses(ByteView der, std::string_view why) const {
    const auto read = read_certs_only(der);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::invalid_argument);
    EXPECT_TRUE(read.error().message.contains(why)) << read.error().message;
  }
  const Hierarchy ml_dsa{KeyAlgorithm::ml_dsa_65};
  const Hierarchy sm2{KeyAlgorithm::sm2, 5};
};

TEST_F(X509Pkcs7Test, GivesTheSameCertificatesInTheSameOrder) {
  const std::vector<Bytes> certificates = some();
  const auto made = make_certs_only(certificates);
  ASSERT_TRUE(made) << made.error().message;
  const auto read = read_certs_only(*made);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, certificates);
}

TEST_F(X509Pkcs7Test, IsASignedDataWithoutContentAndWithoutSigners) {
  const Bytes made = make_certs_only(std::vector<Bytes>{sm2.issuing.der()}).value();
  const unsigned char* at = made.data();
  const Message message(d2i_CMS_ContentInfo(nullptr, &at, static_cast<long>(made.size())));
  ASSERT_TRUE(message);
  EXPECT_EQ(OBJ_obj2nid(CMS_get0_type(message.get())), NID_pkcs7_signed);
  EXPECT_EQ(OBJ_obj2nid(CMS_get0_eContentType(message.get())), NID_pkcs7_data);
  EXPECT_EQ(*CMS_get0_content(message.get()), nullptr);
  EXPECT_LE(sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(message.get())), 0);
}

TEST_F(X509Pkcs7Test, ReadsWhatOpensslsCmsWrites) {
  const Message message(CMS_sign(nullptr, nullptr, nullptr, nullptr, CMS_DETACHED | CMS_PARTIAL));
  ASSERT_TRUE(message);
  ASSERT_EQ(CMS_add1_cert(message.get(), native(ml_dsa.issuing)), 1);
  const auto read = read_certs_only(to_der<i2d_CMS_ContentInfo>(message.get()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, std::vector<Bytes>{ml_dsa.issuing.der()});
}

TEST_F(X509Pkcs7Test, RefusesContentSignersAndOtherKindsOfMessage) {
  const MemoryBio content(BIO_new_mem_buf("text", 4));
  const Message data(CMS_data_create(content.get(), 0));
  refuses(to_der<i2d_CMS_ContentInfo>(data.get()), "no SignedData");

  const Owned<PKCS7, PKCS7_free> with_content(PKCS7_new());
  ASSERT_TRUE(PKCS7_set_type(with_content.get(), NID_pkcs7_signed) == 1 && PKCS7_content_new(with_content.get(), NID_pkcs7_data) == 1);
  ASSERT_EQ(PKCS7_add_certificate(with_content.get(), native(sm2.root)), 1);
  ASSERT_EQ(ASN1_OCTET_STRING_set(with_content->d.sign->contents->d.data, as_bytes("text").data(), 4), 1);
  refuses(to_der<i2d_PKCS7>(with_content.get()), "it holds content");

  const Hierarchy p384(KeyAlgorithm::ecdsa_p384, 9);
  const EvpKey key = to_openssl(p384.root_key).value();
  const MemoryBio none(BIO_new_mem_buf("", 0));
  const Message is_signed(CMS_sign(native(p384.root), key.get(), nullptr, none.get(), CMS_DETACHED));
  ASSERT_TRUE(is_signed);
  refuses(to_der<i2d_CMS_ContentInfo>(is_signed.get()), "somebody signed it");
}

TEST_F(X509Pkcs7Test, RefusesNoneTooManyAndWhatIsNoCertificate) {
  EXPECT_FALSE(make_certs_only({}));
  EXPECT_FALSE(make_certs_only(std::vector<Bytes>(certs_only_max + 1, sm2.root.der())));
  EXPECT_FALSE(make_certs_only(std::vector<Bytes>{to_bytes("no certificate")}));
  const Message empty(CMS_sign(nullptr, nullptr, nullptr, nullptr, CMS_DETACHED | CMS_PARTIAL));
  refuses(to_der<i2d_CMS_ContentInfo>(empty.get()), "none");
  for (std::size_t i = 0; i <= certs_only_max; ++i) {
    const Hierarchy other(KeyAlgorithm::sm2, static_cast<std::uint8_t>(i + 1));  // one of each: CMS takes none twice
    ASSERT_EQ(CMS_add1_cert(empty.get(), native(other.root)), 1);
  }
  refuses(to_der<i2d_CMS_ContentInfo>(empty.get()), "more than 32");
}

TEST_F(X509Pkcs7Test, RefusesWhatIsCutShortOrLengthened) {
  Bytes made = make_certs_only(some()).value();
  refuses(ByteView(made).first(made.size() - 1), "not DER of one");
  made.push_back(0);
  refuses(made, "1 octets behind its end");
  refuses({}, "0 octets");
}

TEST_F(X509Pkcs7Test, OpensslPrintsTheCertificates) {
  const TemporaryFolder folder;
  const ProgramResult printed = run_openssl("pkcs7 -inform DER -print_certs -in " + folder.file("certs.p7", make_certs_only(some()).value()));
  EXPECT_EQ(printed.status, 0) << printed.output;
  std::size_t count = 0;
  for (std::size_t at = printed.output.find("subject="); at != std::string::npos; at = printed.output.find("subject=", at + 1)) ++count;
  EXPECT_EQ(count, 3U) << printed.output;
}

}  // namespace
}  // namespace qanat::crypto
