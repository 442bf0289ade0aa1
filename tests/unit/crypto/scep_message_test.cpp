// SCEP messages between our code and OpenSSL's CMS (scep_peer.hpp): what is taken, what is refused as what, and what an envelope that was tampered with says.
#include "crypto/scep_message.hpp"

#include <gtest/gtest.h>

#include "crypto/kdf.hpp"
#include "crypto/x509_crl.hpp"
#include "crypto/x509_pkcs7.hpp"
#include "crypto_fixture.hpp"
#include "scep_peer.hpp"
#include "x509_hierarchy.hpp"

namespace qanat::crypto {
namespace {

namespace peer = qanat::test::scep;

/// An RSA key takes a while to find: one for all tests.
const ScepRa& test_ra() {
  static const ScepRa ra = [] {
    RsaKey key = RsaKey::generate(3072).value();
    const Secret der = key.pkcs8().value();
    const unsigned char* at = der.reveal().data();
    const peer::Key native(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size())));
    return ScepRa{.certificate = peer::make_certificate(native.get(), "test RA"), .key = std::move(key)};
  }();
  return ra;
}

struct Subject {
  explicit Subject(const std::string& kind) : key(peer::make_key(kind)), certificate(peer::make_certificate(key.get(), "box-7")) {}
  [[nodiscard]] peer::Request request(Bytes content) const {
    return {.content = std::move(content), .ra = test_ra().certificate, .key = key.get(), .certificate = certificate};
  }
  peer::Key key;
  Bytes certificate;
};
const Subject& rsa_subject() {
  static const Subject subject("RSA");
  return subject;
}

/// A DER SEQUENCE of so many octets.
Bytes sequence(std::size_t size) {
  Bytes out(size, 0x04);
  out[0] = 0x30;
  out[1] = 0x82;
  out[2] = static_cast<std::uint8_t>((size - 4) >> 8);
  out[3] = static_cast<std::uint8_t>(size - 4);
  return out;
}

std::optional<ScepFailInfo> fault_of(const peer::Request& request) {
  const auto read = ScepRequest::parse(peer::make_message(request));
  EXPECT_TRUE(read) << read.error().message;
  if (!read || !read->fault()) return std::nullopt;
  EXPECT_FALSE(read->fault()->text.empty());
  return read->fault()->info;
}

class ScepSignerTest : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Kinds, ScepSignerTest, ::testing::Values("RSA", "EC", "SM2", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"), [](const auto& info) {
  std::string name = info.param;
  std::erase(name, '-');
  return name;
});

TEST_P(ScepSignerTest, MessagesOfEveryKeyAreReadAndOpened) {
  const Subject subject(GetParam());
  const Bytes content = peer::make_csr(subject.key.get(), {.challenge = "r-1:secret"});
  peer::Request wanted = subject.request(content);
  wanted.cipher = EVP_aes_256_cbc();
  const auto read = ScepRequest::parse(peer::make_message(wanted));
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_FALSE(read->fault()) << read->fault()->text;
  EXPECT_EQ(read->type(), 19);
  EXPECT_EQ(read->transaction_id(), "transaction-1");
  EXPECT_EQ(read->sender_nonce(), Bytes(16, 0x5a));
  EXPECT_EQ(read->signer(), subject.certificate);
  EXPECT_EQ(read->signer_key().der(), peer::public_key_info(subject.key.get()));
  EXPECT_EQ(read->cipher(), ScepCipher::aes_256_cbc);
  EXPECT_TRUE(read->signing_time());
  const std::vector<ScepRa> authorities{test_ra()};
  ASSERT_EQ(scep_recipient(*read, authorities), authorities.data());
  EXPECT_EQ(to_bytes(open_scep_envelope(*read, test_ra()).reveal()), content);
}

TEST(ScepRequestTest, Sm2SignaturesWithTheStandardIdentityHoldToo) {
  const Subject subject("SM2");
  peer::Request wanted = subject.request(sequence(100));
  wanted.sm2_id = "1234567812345678";
  const auto read = ScepRequest::parse(peer::make_message(wanted));
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->fault());
  wanted.sm2_id = "another identity";
  EXPECT_EQ(fault_of(wanted), ScepFailInfo::bad_message_check);
}

TEST(ScepRequestTest, EveryDigestOfSha2IsTakenAndGivenBack) {
  const std::pair<const EVP_MD*, ScepDigest> digests[] = {
      {EVP_sha256(), ScepDigest::sha256}, {EVP_sha384(), ScepDigest::sha384}, {EVP_sha512(), ScepDigest::sha512}};
  for (const auto& [native, ours] : digests) {
    peer::Request wanted = rsa_subject().request(sequence(100));
    wanted.digest = native;
    const auto read = ScepRequest::parse(peer::make_message(wanted));
    ASSERT_TRUE(read && !read->fault());
    EXPECT_EQ(read->digest(), ours);
  }
}

TEST(ScepRequestTest, WeakAlgorithmsAreRefusedByName) {
  peer::Request sha1 = rsa_subject().request(sequence(100));
  sha1.digest = EVP_sha1();
  EXPECT_EQ(fault_of(sha1), ScepFailInfo::bad_alg);
  peer::Request md5 = rsa_subject().request(sequence(100));
  md5.digest = EVP_md5();
  EXPECT_EQ(fault_of(md5), ScepFailInfo::bad_alg);
  peer::Request triple = rsa_subject().request(sequence(100));
  triple.cipher = EVP_des_ede3_cbc();
  EXPECT_EQ(fault_of(triple), ScepFailInfo::bad_alg);
  peer::Request middle = rsa_subject().request(sequence(100));
  middle.cipher = EVP_aes_192_cbc();
  EXPECT_EQ(fault_of(middle), ScepFailInfo::bad_alg);
  const peer::Key small = peer::make_key("RSA", 1024);
  peer::Request weak = rsa_subject().request(sequence(100));
  weak.key = small.get();
  weak.certificate = peer::make_certificate(small.get(), "small");
  EXPECT_EQ(fault_of(weak), ScepFailInfo::bad_alg);
}

TEST(ScepRequestTest, ASignatureThatDoesNotHoldIsBadMessageCheck) {
  for (const char* kind : {"RSA", "EC", "SM2", "ML-DSA-65"}) {
    const Subject subject(kind);
    const Bytes content = sequence(200);
    Bytes message = peer::make_message(subject.request(content));
    message.back() ^= 1U;  // of the signature
    const auto read = ScepRequest::parse(message);
    ASSERT_TRUE(read) << kind;
    // An altered ECDSA signature may not be one at all; either way it does not hold.
    ASSERT_TRUE(read->fault()) << kind;
    EXPECT_EQ(read->fault()->info, ScepFailInfo::bad_message_check) << kind;
  }
}

TEST(ScepRequestTest, AnEnvelopeExchangedUnderTheSignatureIsBadMessageCheck) {
  const Bytes first = peer::make_message(rsa_subject().request(sequence(100)));
  const auto read = ScepRequest::parse(first);
  ASSERT_TRUE(read && !read->fault());
  const auto at = std::ranges::search(first, read->envelope()).begin();
  ASSERT_NE(at, first.end());
  Bytes altered = first;
  altered[static_cast<std::size_t>(at - first.begin()) + read->envelope().size() - 1] ^= 1U;
  const auto refused = ScepRequest::parse(altered);
  ASSERT_TRUE(refused && refused->fault());
  EXPECT_EQ(refused->fault()->info, ScepFailInfo::bad_message_check);
}

TEST(ScepRequestTest, WithoutAnEnvelopeItIsABadRequest) {
  peer::Request wanted = rsa_subject().request({});
  wanted.envelope = sequence(100);
  EXPECT_EQ(fault_of(wanted), ScepFailInfo::bad_request);
  wanted.envelope = to_bytes("no DER");
  EXPECT_EQ(fault_of(wanted), ScepFailInfo::bad_request);
}

TEST(ScepRequestTest, WhatCannotBeAnsweredIsInvalid) {
  const auto code = [](const auto& read) { return read ? std::optional<ErrorCode>() : read.error().code; };
  EXPECT_EQ(code(ScepRequest::parse({})), ErrorCode::invalid_argument);
  EXPECT_EQ(code(ScepRequest::parse(sequence(100))), ErrorCode::invalid_argument);
  EXPECT_EQ(code(ScepRequest::parse(Bytes(scep_message_octets_max + 1, 0x30))), ErrorCode::invalid_argument);
  for (const peer::Omit omit : {peer::Omit::transaction, peer::Omit::type, peer::Omit::nonce, peer::Omit::certificate, peer::Omit::content}) {
    peer::Request wanted = rsa_subject().request(sequence(100));
    wanted.omit = omit;
    EXPECT_EQ(code(ScepRequest::parse(peer::make_message(wanted))), ErrorCode::invalid_argument) << static_cast<int>(omit);
  }
  peer::Request short_nonce = rsa_subject().request(sequence(100));
  short_nonce.nonce = Bytes(15, 1);
  EXPECT_EQ(code(ScepRequest::parse(peer::make_message(short_nonce))), ErrorCode::invalid_argument);
  peer::Request long_transaction = rsa_subject().request(sequence(100));
  long_transaction.transaction = std::string(256, 'a');
  EXPECT_EQ(code(ScepRequest::parse(peer::make_message(long_transaction))), ErrorCode::invalid_argument);
  peer::Request no_number = rsa_subject().request(sequence(100));
  no_number.type = "xx";
  EXPECT_EQ(code(ScepRequest::parse(peer::make_message(no_number))), ErrorCode::invalid_argument);
  Bytes trailing = peer::make_message(rsa_subject().request(sequence(100)));
  trailing.push_back(0);
  EXPECT_EQ(code(ScepRequest::parse(trailing)), ErrorCode::invalid_argument);
}

TEST(ScepRequestTest, AnotherAuthoritysEnvelopeHasNoRecipientHere) {
  const Subject other("RSA");
  peer::Request wanted = rsa_subject().request(sequence(100));
  wanted.ra = other.certificate;
  const auto read = ScepRequest::parse(peer::make_message(wanted));
  ASSERT_TRUE(read && !read->fault());
  const std::vector<ScepRa> authorities{test_ra()};
  EXPECT_EQ(scep_recipient(*read, authorities), nullptr);
  EXPECT_TRUE(open_scep_envelope(*read, test_ra()).empty());
}

/// The envelope with one octet changed: as many octets before the end of its encrypted content as said, or in the encrypted key.
ScepRequest with_envelope(const Bytes& envelope) {
  peer::Request wanted = rsa_subject().request({});
  wanted.envelope = envelope;
  auto read = ScepRequest::parse(peer::make_message(wanted));
  EXPECT_TRUE(read && !read->fault());
  return *read;
}

TEST(ScepEnvelopeTest, PaddingSaysNothing) {
  // 91 octets and five of padding: whatever the last block's padding decrypts to, what is given out is the same.
  const Bytes content = sequence(91);
  const Bytes envelope = peer::seal_to(content, test_ra().certificate, EVP_aes_128_cbc());
  for (const std::size_t from_end : {17U, 18U, 19U, 20U, 21U}) {  // of the block before: these flip bits of the padding alone
    Bytes altered = envelope;
    altered[altered.size() - from_end] ^= 0x55U;
    const Secret opened = open_scep_envelope(with_envelope(altered), test_ra());
    ASSERT_EQ(opened.size(), content.size()) << from_end;
    EXPECT_EQ(ByteView(opened.reveal()).first(4)[0], 0x30);
  }
}

TEST(ScepEnvelopeTest, AKeyThatCannotBeHadIsAsGoodAsAWrongOne) {
  const Bytes content = sequence(91);
  const Bytes envelope = peer::seal_to(content, test_ra().certificate, EVP_aes_128_cbc());
  const ScepRequest good = with_envelope(envelope);
  ASSERT_EQ(open_scep_envelope(good, test_ra()).size(), content.size());
  // The encrypted key is the 384 octets that follow 04 82 01 80.
  const Bytes mark{0x04, 0x82, 0x01, 0x80};
  const auto found = std::ranges::search(envelope, mark);
  ASSERT_FALSE(found.empty());
  Bytes altered = envelope;
  altered[static_cast<std::size_t>(found.begin() - envelope.begin()) + 200] ^= 1U;
  const Secret opened = open_scep_envelope(with_envelope(altered), test_ra());
  EXPECT_TRUE(opened.empty() || to_bytes(opened.reveal()) != content) << "a random key opens nothing";
}

TEST(ScepEnvelopeTest, WhatIsNoSequenceIsNothing) {
  for (const Bytes& content :
       {to_bytes("plain text that is no DER at all"), Bytes{0x30}, Bytes{0x30, 0x80, 0, 0}, Bytes{0x30, 0x84, 0, 0, 0, 0}, sequence(80)}) {
    Bytes longer = content;
    if (content.size() == 80) longer.resize(80 + 40, 0);  // more behind it than padding can be
    const Secret opened = open_scep_envelope(with_envelope(peer::seal_to(longer, test_ra().certificate, EVP_aes_128_cbc())), test_ra());
    EXPECT_TRUE(opened.empty()) << content.size();
  }
}

TEST(ScepAnswerTest, ASuccessIsReadByOpensslWithTheKey) {
  const std::vector<Bytes> certificates{rsa_subject().certificate};
  const Bytes content = make_certs_only(certificates).value();
  for (const ScepCipher cipher : {ScepCipher::aes_128_cbc, ScepCipher::aes_256_cbc}) {
    const Bytes answer = sign_scep_answer({.transaction_id = "t+/=",
                                           .recipient_nonce = Bytes(16, 1),
                                           .sender_nonce = Bytes(16, 2),
                                           .status = ScepStatus::success,
                                           .envelope = seal_to_certificate(content, rsa_subject().certificate, cipher).value(),
                                           .digest = ScepDigest::sha512},
                                          test_ra())
                             .value();
    const peer::Answer read = peer::read_answer(answer, test_ra().certificate);
    EXPECT_EQ(read.type, "3");
    EXPECT_EQ(read.status, "0");
    EXPECT_EQ(read.transaction, "t+/=");
    EXPECT_EQ(read.recipient_nonce, Bytes(16, 1));
    EXPECT_EQ(read.sender_nonce, Bytes(16, 2));
    EXPECT_TRUE(read.fail_info.empty());
    EXPECT_EQ(peer::certificates_in(peer::open_with_key(read.envelope, rsa_subject().key.get(), rsa_subject().certificate)), certificates);
  }
}

TEST(ScepAnswerTest, AKeyThatDoesNotEncryptGetsItsAnswerUnderThePassword) {
  const Subject subject("ML-DSA-65");
  const std::vector<Bytes> certificates{subject.certificate};
  const Bytes content = make_certs_only(certificates).value();
  const auto refused = seal_to_certificate(content, subject.certificate, ScepCipher::aes_128_cbc);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  const Bytes envelope = seal_to_password(content, Secret::copy_of(as_bytes("r-1:secret")), ScepCipher::aes_256_cbc).value();
  EXPECT_EQ(peer::certificates_in(peer::open_with_password(envelope, "r-1:secret")), certificates);
  EXPECT_THROW(peer::open_with_password(envelope, "r-1:other"), std::runtime_error);
  EXPECT_FALSE(seal_to_password(content, Secret(), ScepCipher::aes_256_cbc));
}

TEST(ScepAnswerTest, FailuresAndPendingAnswersHaveNoContent) {
  const Bytes failure = sign_scep_answer({.transaction_id = "t",
                                          .recipient_nonce = Bytes(16, 1),
                                          .sender_nonce = Bytes(16, 2),
                                          .status = ScepStatus::failure,
                                          .fault = ScepFault{.info = ScepFailInfo::bad_cert_id, .text = "nothing of that name"}},
                                         test_ra())
                            .value();
  const peer::Answer read = peer::read_answer(failure, test_ra().certificate);
  EXPECT_EQ(read.status, "2");
  EXPECT_EQ(read.fail_info, "4");
  EXPECT_EQ(read.text, "nothing of that name");
  EXPECT_FALSE(read.has_content);
  const Bytes pending =
      sign_scep_answer({.transaction_id = "t", .recipient_nonce = Bytes(16, 1), .sender_nonce = Bytes(16, 2), .status = ScepStatus::pending}, test_ra())
          .value();
  EXPECT_EQ(peer::read_answer(pending, test_ra().certificate).status, "3");
  EXPECT_TRUE(peer::read_answer(pending, test_ra().certificate).fail_info.empty());
}

TEST(ScepAnswerTest, AListTravelsLikeACertificate) {
  const testing::Hierarchy hierarchy(KeyAlgorithm::ecdsa_p384);
  const Bytes list = make_revocation_list({.number = 1,
                                           .base_number = {},
                                           .this_update = testing::start,
                                           .next_update = testing::now,
                                           .distribution_point = "",
                                           .delta_url = "",
                                           .revoked = {}},
                                          hierarchy.issuing, hierarchy.issuing_key)
                         .value();
  EXPECT_EQ(peer::lists_in(make_list_only(list).value()), std::vector<Bytes>{list});
  EXPECT_FALSE(make_list_only(sequence(20)));
}

TEST(ScepAnswerTest, WhatAQuestionNamesIsRead) {
  const Bytes& certificate = rsa_subject().certificate;
  const auto read = parse_scep_certificate_id(peer::issuer_and_serial(certificate));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->serial, (Bytes{0x12, 0x67}));  // 4711
  EXPECT_EQ(read->issuer, certificate_issuer_name(certificate).value());
  EXPECT_EQ(read->issuer, certificate_subject_name(certificate).value()) << "self-signed";
  EXPECT_FALSE(parse_scep_certificate_id(sequence(20)));
  EXPECT_FALSE(certificate_issuer_name(sequence(20)));
}

TEST(RsaKeyTest, ComesBackFromWhatWasSealed) {
  const Secret der = test_ra().key.pkcs8().value();
  EXPECT_EQ(RsaKey::from_pkcs8(der).value().public_key_info(), test_ra().key.public_key_info());
  EXPECT_FALSE(RsaKey::generate(1024));
  EXPECT_FALSE(RsaKey::from_pkcs8(Secret()));
  EXPECT_FALSE(RsaKey::from_pkcs8(Secret::copy_of(Bytes(100, 0x30))));
  EXPECT_EQ(SubjectPublicKey::parse(test_ra().key.public_key_info()).value().bits(), 3072);
}

}  // namespace
}  // namespace qanat::crypto
