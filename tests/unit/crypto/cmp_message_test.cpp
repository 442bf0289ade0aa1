// CMP messages: OpenSSL's client asks, ours reads and answers, its client believes the answer; and what is refused.
#include "cmp_client.hpp"
#include "crypto/cmp_answer.hpp"
#include "crypto/kdf.hpp"
#include "x509_hierarchy.hpp"

namespace qanat::crypto {
namespace {

using test::client_key;
using test::CmpClient;
using testing::Hierarchy;

const std::string reference = "r-0123456789abcdef";
const std::string secret_text = "0123456789abcdef0123456789abcdef0123456789a";
const Secret shared_secret = Secret::copy_of(as_bytes(secret_text));

template <class T>
void expect_error(const Result<T>& result, ErrorCode code, std::string_view part) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
}

/// The first message of a client that gets no answer.
Bytes first_message(const std::function<void(CmpClient&)>& prepare, int kind = OSSL_CMP_IR) {
  CmpClient client([](const Bytes&) { return std::nullopt; });
  prepare(client);
  client.request(kind);
  EXPECT_EQ(client.sent().size(), 1U) << client.errors();
  return client.sent().empty() ? Bytes() : client.sent().front();
}

Bytes plain_request(const std::string& key = "EC:P-256", int possession = OSSL_CRMF_POPO_SIGNATURE) {
  return first_message([&](CmpClient& client) {
    client.secret(reference, secret_text).new_key(client_key(key)).subject("box-7.example").dns("box-7.example").option(OSSL_CMP_OPT_POPO_METHOD, possession);
  });
}

Bytes certified(const Hierarchy& hierarchy, const Bytes& public_key_info, const AskedNames& names, KeyUsages usages = {KeyUsage::digital_signature}) {
  return issue_subject({.public_key_info = public_key_info,
                        .names = names,
                        .usages = usages,
                        .serial = testing::make_serial(3),
                        .not_before = testing::start,
                        .not_after = testing::start + 90 * testing::day_ms},
                       hierarchy.issuing, hierarchy.issuing_key)
      .value();
}

CmpAnswerHeader answer_to(const CmpHeader& asked, ByteView sender_name) {
  return {.version = asked.version,
          .sender = cmp_directory_name(sender_name),
          .recipient = asked.sender,
          .time = SystemClock().now_ms(),
          .transaction_id = asked.transaction_id,
          .sender_nonce = Bytes(16, 7),
          .recipient_nonce = asked.sender_nonce};
}

class CmpKeyTest : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Signing, CmpKeyTest, ::testing::Values("EC:P-256", "EC:P-384", "RSA:2048", "SM2", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"));

TEST_P(CmpKeyTest, RequestUnderASecretIsReadWithItsNamesAndItsPossession) {
  const Bytes der = plain_request(GetParam());
  const auto message = CmpMessage::parse(der);
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(message->body(), CmpBody::ir);
  EXPECT_EQ(message->header().version, 2);
  EXPECT_EQ(message->header().protection, CmpProtection::mac);
  EXPECT_EQ(as_text(message->header().sender_key_id), reference);
  EXPECT_EQ(message->header().transaction_id.size(), 16U);
  EXPECT_EQ(message->header().sender_nonce.size(), 16U);
  ASSERT_TRUE(message->header().time);
  EXPECT_LE(SystemClock().now_ms() - *message->header().time, 60'000U);
  const auto holds = message->check_mac(shared_secret);
  EXPECT_TRUE(holds) << holds.error().message;
  const auto request = read_cmp_certificate_request(*message);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->id, 0);
  EXPECT_EQ(request->possession, CmpPossession::proved);
  EXPECT_EQ(request->names.common_name, "box-7.example");
  EXPECT_EQ(request->names.dns, std::vector<std::string>{"box-7.example"});
  ASSERT_TRUE(request->key);
  EXPECT_FALSE(request->renews);
}

TEST_P(CmpKeyTest, PossessionOfAChangedRequestIsWrong) {
  Bytes der = plain_request(GetParam());
  // The subject stands in the header as well: the second one is the template's.
  const std::string name = "box-7";
  const auto header = std::ranges::search(der, as_bytes(name));
  const auto wanted = std::ranges::search(std::ranges::subrange(header.end(), der.end()), as_bytes(name));
  ASSERT_NE(wanted.begin(), der.end());
  *wanted.begin() = 'f';
  const auto message = CmpMessage::parse(der);
  ASSERT_TRUE(message);
  expect_error(message->check_mac(shared_secret), ErrorCode::unauthenticated, "MAC does not hold");
  const auto request = read_cmp_certificate_request(*message);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->names.common_name, "fox-7.example");
  EXPECT_EQ(request->possession, CmpPossession::wrong);
}

TEST(CmpMessageTest, KeysThatCannotSignAreVouchedForAndOtherMethodsAreNamed) {
  const auto of = [](const std::string& key, int possession) {
    const auto request = read_cmp_certificate_request(CmpMessage::parse(plain_request(key, possession)).value());
    EXPECT_TRUE(request) << request.error().message;
    return request ? request->possession : CmpPossession::wrong;
  };
  EXPECT_EQ(of("ML-KEM-768", OSSL_CRMF_POPO_RAVERIFIED), CmpPossession::ra_verified);
  EXPECT_EQ(of("ML-KEM-1024", OSSL_CRMF_POPO_RAVERIFIED), CmpPossession::ra_verified);
  EXPECT_EQ(of("ML-KEM-768", OSSL_CRMF_POPO_KEYENC), CmpPossession::other);
}

TEST(CmpMessageTest, AnotherSecretDoesNotHold) {
  const auto message = CmpMessage::parse(plain_request());
  ASSERT_TRUE(message);
  expect_error(message->check_mac(Secret::copy_of(as_bytes("another"))), ErrorCode::unauthenticated, "MAC does not hold");
  expect_error(message->check_signature({}), ErrorCode::unauthenticated, "not protected by a signature");
}

TEST(CmpMessageTest, MacsOfEveryStrongFunctionHold) {
  for (const int function : {NID_sha256, NID_sha384, NID_sha512, NID_sm3}) {
    for (const int mac : {NID_hmacWithSHA256, NID_hmacWithSHA384, NID_hmacWithSHA512}) {
      const Bytes der = first_message([&](CmpClient& client) {
        client.secret(reference, secret_text).new_key(client_key("EC:P-256")).subject("box");
        client.option(OSSL_CMP_OPT_OWF_ALGNID, function).option(OSSL_CMP_OPT_MAC_ALGNID, mac);
      });
      const auto holds = CmpMessage::parse(der).value().check_mac(shared_secret);
      EXPECT_TRUE(holds) << function << " " << mac << ": " << holds.error().message;
    }
  }
}

TEST(CmpMessageTest, MacsOfWeakOrCostlyMakingAreRefusedBeforeTheyAreMade) {
  const auto refused = [](int option, int value, std::string_view why) {
    const Bytes der = first_message([&](CmpClient& client) {
      client.secret(reference, secret_text).new_key(client_key("EC:P-256")).subject("box").option(option, value);
    });
    expect_error(CmpMessage::parse(der).value().check_mac(shared_secret), ErrorCode::denied, why);
  };
  refused(OSSL_CMP_OPT_MAC_ALGNID, NID_hmac_sha1, "not HMAC with SHA-2");
  refused(OSSL_CMP_OPT_OWF_ALGNID, NID_sha1, "one-way function");

  // 500 iterations are the client's own: 0x01f4. Others in their place, in as many octets.
  const Bytes der = plain_request();
  const Bytes usual{0x02, 0x02, 0x01, 0xf4};
  const auto with_iterations = [&](std::uint8_t high, std::uint8_t low) {
    Bytes changed = der;
    const auto at = std::ranges::search(changed, usual);
    EXPECT_NE(at.begin(), changed.end());
    at.begin()[2] = high;
    at.begin()[3] = low;
    return CmpMessage::parse(changed).value().check_mac(shared_secret);
  };
  expect_error(with_iterations(0x27, 0x11), ErrorCode::denied, "10001 iterations");
  expect_error(with_iterations(0x27, 0x10), ErrorCode::unauthenticated, "MAC does not hold");
  expect_error(with_iterations(0xff, 0x00), ErrorCode::denied, "-256 iterations");
}

TEST(CmpMessageTest, SignaturesOfEveryKindHoldAndTheSenderMustBeTheCertificates) {
  for (const KeyAlgorithm algorithm : testing::all_algorithms) {
    SCOPED_TRACE(name(algorithm));
    const Hierarchy hierarchy(algorithm);
    constexpr const char* kinds[] = {"SM2", "EC:P-384", "ML-DSA-65", "ML-DSA-87"};
    const char* const kind = kinds[static_cast<std::size_t>(algorithm)];
    const auto key = client_key(kind);
    const Bytes info = test::public_key_info(key);
    const Bytes certificate = certified(hierarchy, info, {.common_name = "box-7"});
    const auto ask = [&](CmpClient& client) { client.signer(certificate, key).new_key(client_key(kind)).subject("box-8"); };
    const Bytes der = first_message(ask, OSSL_CMP_CR);
    const auto message = CmpMessage::parse(der);
    ASSERT_TRUE(message) << message.error().message;
    EXPECT_EQ(message->body(), CmpBody::cr);
    EXPECT_EQ(message->header().protection, CmpProtection::signature);
    ASSERT_FALSE(message->extra_certificates().empty());
    EXPECT_EQ(message->extra_certificates().front(), certificate);
    const auto holds = message->check_signature(certificate);
    EXPECT_TRUE(holds) << holds.error().message;
    expect_error(message->check_mac(shared_secret), ErrorCode::unauthenticated, "not protected by a MAC");
    expect_error(message->check_signature(certified(hierarchy, info, {.common_name = "box-9"})), ErrorCode::unauthenticated, "sender is not the subject");
    const Bytes for_contracts = certified(hierarchy, info, {.common_name = "box-7"}, {KeyUsage::non_repudiation});
    expect_error(message->check_signature(for_contracts), ErrorCode::unauthenticated, "is not for signatures");
    expect_error(message->check_signature(Bytes{0x30, 0x00}), ErrorCode::invalid_argument, "not DER");

    Bytes changed = der;
    const auto at = std::ranges::search(changed, message->header().transaction_id);
    ASSERT_NE(at.begin(), changed.end());
    *at.begin() ^= 1U;
    expect_error(CmpMessage::parse(changed).value().check_signature(certificate), ErrorCode::unauthenticated, "signature does not hold");
  }
}

TEST(CmpMessageTest, SignaturesWithSha1AreRefusedByTheirAlgorithm) {
  const Hierarchy hierarchy(KeyAlgorithm::ecdsa_p384);
  const auto key = client_key("EC:P-384");
  const Bytes certificate = certified(hierarchy, test::public_key_info(key), {.common_name = "box-7"});
  const auto ask = [&](CmpClient& client) { client.signer(certificate, key).new_key(key).subject("box-7").option(OSSL_CMP_OPT_DIGEST_ALGNID, NID_sha1); };
  const CmpMessage message = CmpMessage::parse(first_message(ask, OSSL_CMP_CR)).value();
  expect_error(message.check_signature(certificate), ErrorCode::denied, "algorithm that is not taken");
  const auto request = read_cmp_certificate_request(message);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->possession, CmpPossession::wrong) << "it is signed with SHA-1 too";
}

TEST(CmpMessageTest, Pkcs10MustBeSignedByItsKey) {
  const auto ask = [](CmpClient& client) { client.secret(reference, secret_text).csr(client_key("EC:P-256"), "box-7.example"); };
  const Bytes der = first_message(ask, OSSL_CMP_P10CR);
  const auto possession_in = [](const Bytes& message) {
    const auto request = read_cmp_certificate_request(CmpMessage::parse(message).value());
    EXPECT_TRUE(request) << request.error().message;
    return request ? request->possession : CmpPossession::other;
  };
  EXPECT_EQ(possession_in(der), CmpPossession::proved);
  Bytes changed = der;
  const std::string name = "box-7.example";
  const auto at = std::ranges::find_end(changed, as_bytes(name));  // the header may have it too
  ASSERT_NE(at.begin(), changed.end());
  *at.begin() = 'f';
  EXPECT_EQ(possession_in(changed), CmpPossession::wrong);
}

TEST(CmpMessageTest, OpensslTakesAnswersUnderTheSecret) {
  const Hierarchy hierarchy(KeyAlgorithm::ml_dsa_65);
  const Bytes sender = cmp_subject_of(hierarchy.issuing.der()).value();
  const auto key = client_key("EC:P-256");
  std::optional<CmpConfirmation> confirmation;
  Bytes certificate;
  CmpClient client([&](const Bytes& octets) -> std::optional<Bytes> {
    const CmpMessage asked = CmpMessage::parse(octets).value();
    EXPECT_TRUE(asked.check_mac(shared_secret));
    const CmpProtector protector{.secret = &shared_secret, .reference = asked.header().sender_key_id};
    CmpAnswerHeader header = answer_to(asked.header(), sender);
    if (asked.body() == CmpBody::cert_conf) {
      confirmation = read_cmp_confirmation(asked).value();
      return make_cmp_message(header, CmpBody::pki_conf, cmp_confirmed_content(), {}, protector).value();
    }
    const auto request = read_cmp_certificate_request(asked).value();
    certificate = certified(hierarchy, request.key->der(), request.names);
    header.confirm_until = header.time + 60'000;
    return make_cmp_message(header, CmpBody::ip, cmp_certificate_content(0, {}, certificate, std::vector<Bytes>{hierarchy.root.der()}),
                            std::vector<Bytes>{hierarchy.issuing.der(), hierarchy.issuing.der()}, protector)
        .value();
  });
  client.secret(reference, secret_text).new_key(key).subject("box-7.example");
  EXPECT_EQ(client.request(OSSL_CMP_IR), certificate) << client.errors();
  EXPECT_EQ(client.ca_certificates(), std::vector<Bytes>{hierarchy.root.der()});
  EXPECT_EQ(client.sent().size(), 2U);
  ASSERT_TRUE(confirmation);
  EXPECT_TRUE(confirmation->accepted);
  EXPECT_EQ(confirmation->id, 0);
  EXPECT_TRUE(confirms(*confirmation, certificate));
  EXPECT_FALSE(confirms(*confirmation, hierarchy.issuing.der()));
  EXPECT_EQ(as_text(confirmation->hash_algorithm).size(), 9U) << "an ML-DSA signature names no digest: the client says which one it took";
}

TEST(CmpMessageTest, OpensslTakesAnswersSignedByACertificateForSignatures) {
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::ml_dsa_65, KeyAlgorithm::ecdsa_p384}) {
    SCOPED_TRACE(name(algorithm));
    const Hierarchy hierarchy(algorithm);
    CmpSigner signer{.certificate = hierarchy.leaf, .chain = {hierarchy.issuing.der()}, .key = testing::make_key(algorithm, 3)};
    CmpClient client([&](const Bytes& octets) -> std::optional<Bytes> {
      const CmpMessage asked = CmpMessage::parse(octets).value();
      CmpAnswerHeader header = answer_to(asked.header(), cmp_subject_of(hierarchy.leaf.der()).value());
      const CmpStatus status{.value = CmpStatus::Value::rejection, .failure = CmpFailure::bad_pop, .text = "no"};
      return make_cmp_message(header, CmpBody::ip, cmp_certificate_content(0, status, {}, {}), {}, {.signer = &signer}).value();
    });
    client.secret(reference, secret_text).trusts({hierarchy.root.der()}, testing::now / 1000).new_key(client_key("EC:P-256")).subject("box-7.example");
    EXPECT_EQ(client.request(OSSL_CMP_IR), Bytes());
    EXPECT_EQ(client.failure(), static_cast<int>(CmpFailure::bad_pop)) << client.errors();
    EXPECT_NE(client.errors().find("StatusString: \"no\""), std::string::npos) << client.errors();
  }
}

TEST(CmpMessageTest, EveryFailureBitReachesOpenssl) {
  const Bytes sender = cmp_subject_of(Hierarchy(KeyAlgorithm::ecdsa_p384).issuing.der()).value();
  for (int bit = 0; bit <= 26; ++bit) {
    CmpClient client([&](const Bytes& octets) -> std::optional<Bytes> {
      const CmpMessage asked = CmpMessage::parse(octets).value();
      const CmpStatus status{.value = CmpStatus::Value::rejection, .failure = static_cast<CmpFailure>(bit), .text = "for a reason"};
      return make_cmp_message(answer_to(asked.header(), sender), CmpBody::error, cmp_error_content(status), {},
                              {.secret = &shared_secret, .reference = as_bytes(reference)})
          .value();
    });
    client.secret(reference, secret_text).new_key(client_key("EC:P-256")).subject("box");
    EXPECT_EQ(client.request(OSSL_CMP_IR), Bytes());
    EXPECT_EQ(client.failure(), bit) << client.errors();
  }
}

TEST(CmpMessageTest, MalformedMessagesAreRefusedAtEveryCut) {
  const Bytes der = plain_request();
  for (std::size_t size = 0; size < der.size(); ++size) {
    ASSERT_FALSE(CmpMessage::parse(ByteView(der).first(size))) << size;
  }
  Bytes longer = der;
  longer.push_back(0);
  expect_error(CmpMessage::parse(longer), ErrorCode::invalid_argument, "1 octets behind its end");
  expect_error(CmpMessage::parse(Bytes(cmp_octets_max + 1, 0x30)), ErrorCode::invalid_argument, "over 65536 octets");
  Bytes indefinite = der;
  indefinite[1] = 0x80;
  expect_error(CmpMessage::parse(indefinite), ErrorCode::invalid_argument, "message");
}

}  // namespace
}  // namespace qanat::crypto
