// EST over real TLS: each path, who may walk it, and what each refusal says.
#include "est_fixture.hpp"
#include "services/cas/device_authority.hpp"

namespace qanat::cas {
namespace {

using crypto::KeyAlgorithm;

class EstTest : public EstFixture {
 protected:
  const crypto::PrivateKey key_ = p384_.key(21);
  const Bytes csr_ = request_by(key_);
  const std::string body_ = wire::est_body(csr_);

  /// A certificate by password, and its key, as a client of TLS.
  net::TlsIdentity enrolled(const FrontPki& pki, std::uint8_t seed) {
    const crypto::PrivateKey key = pki.key(seed);
    const Bytes der = certificate_of(post("simpleenroll", wire::est_body(request_by(key)), basic(box)));
    return {.chain = {test::must(crypto::Certificate::parse(der))}, .key = pki.key(seed)};
  }
};

TEST_F(EstTest, CacertsGivesTheCasOfTlsToEverybodyWithAndWithoutLabel) {
  std::vector<Bytes> wanted;
  for (const FrontPki* pki : {&ml_dsa_, &p384_}) wanted.insert(wanted.end(), {pki->issuing.der(), pki->root.der()});
  for (const char* path : {"cacerts", "device/cacerts", "anything/cacerts"}) {
    const TlsAnswer answer = get(path);
    ASSERT_EQ(answer.status(), 200) << answer.octets;
    EXPECT_EQ(test::must(crypto::read_certs_only(test::must(wire::from_base64(without_space(answer.body()))))), wanted);
  }
}

TEST_F(EstTest, CacertsGivesTheDeviceCaToComeAndTheLinksAndAfterwardsUnderItsLabelAlone) {
  const UnixMs now = SystemClock().now_ms();
  const Authority old = test::must(make_device_authority("Test", now, *rng_));
  const NextDevices next = test::must(make_next_device_authority(old, now, *rng_));
  Succession succession{.to_come = true,
                        .old_with_old = p384_.issuing.der(),  // is among the others already
                        .new_with_new = next.succession.new_with_new.der(),
                        .new_with_old = next.succession.new_with_old->der(),
                        .old_with_new = next.succession.old_with_new->der()};
  const std::vector<Bytes> ml_dsa{ml_dsa_.issuing.der(), ml_dsa_.root.der()};
  const std::vector<Bytes> devices{p384_.issuing.der(), p384_.root.der()};
  const std::vector<Bytes> to_come{succession.new_with_new, succession.new_with_old, succession.old_with_new};
  const auto given = [&](const char* path) {
    const TlsAnswer answer = get(path);
    EXPECT_EQ(answer.status(), 200) << answer.octets;
    return test::must(crypto::read_certs_only(test::must(wire::from_base64(without_space(answer.body())))));
  };
  const auto together = [](std::initializer_list<std::vector<Bytes>> parts) {
    std::vector<Bytes> out;
    for (const std::vector<Bytes>& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
  };
  EXPECT_EQ(given("devices/cacerts"), devices) << "before there is any";
  desk_.succeed(succession);
  EXPECT_EQ(given("cacerts"), together({ml_dsa, devices, to_come}));
  EXPECT_EQ(given("devices/cacerts"), together({devices, to_come}));
  succession.to_come = false;
  desk_.succeed(succession);
  EXPECT_EQ(given("cacerts"), together({ml_dsa, devices}));
  EXPECT_EQ(given("devices/cacerts"), together({devices, to_come}));
}

TEST_F(EstTest, SimpleenrollByPasswordGivesACertificateForTheKey) {
  for (const FrontPki* pki : {&p384_, &ml_dsa_}) {
    const crypto::PrivateKey key = pki->key(33);
    const TlsAnswer answer = post("simpleenroll", wire::est_body(request_by(key)), basic(box));
    const auto certificate = test::must(crypto::SubjectCertificate::parse(certificate_of(answer)));
    EXPECT_EQ(certificate.key().der(), test::must(crypto::public_key_info(key)));
    EXPECT_EQ(certificate.names().dns, std::vector<std::string>{"box-7.example"});
    EXPECT_EQ(desk_.last.possession, Possession::proved);
    EXPECT_EQ(desk_.last.protocol, Protocol::est);
    EXPECT_EQ(desk_.last.renews, Bytes());
    EXPECT_TRUE(answer.octets.contains("Content-Transfer-Encoding: base64\r\n"));
  }
}

TEST_F(EstTest, TheSameRequestGetsTheSameCertificateHoweverOftenItIsSigned) {
  const Bytes first = certificate_of(post("simpleenroll", body_, basic(box)));
  EXPECT_EQ(certificate_of(post("simpleenroll", wire::est_body(request_by(key_)), basic(box))), first);
  EXPECT_EQ(certificate_of(post("device/simpleenroll", body_, basic(box))), first);
  EXPECT_NE(certificate_of(post("simpleenroll", wire::est_body(request_by(p384_.key(22))), basic(box))), first);
}

TEST_F(EstTest, ABodyInOneLineOrWithWrongTransferEncodingIsTakenToo) {
  const Bytes wanted = certificate_of(post("simpleenroll", body_, basic(box)));
  EXPECT_EQ(certificate_of(post("simpleenroll", wire::to_base64(csr_), basic(box) + "Content-Transfer-Encoding: binary\r\n")), wanted);
}

TEST_F(EstTest, ALabelMustBeTheCallersOwn) {
  EXPECT_EQ(post(std::string(box) + "/simpleenroll", body_, basic(box)).status(), 200);
  expect_refused(post("server/simpleenroll", body_, basic(box)), 403, "is for profile device");
  expect_refused(post(std::string(vault) + "/simpleenroll", body_, basic(box)), 403, "is for profile device");
  expect_refused(post("nothing/simpleenroll", body_, basic(box)), 404, "neither a profile nor a registration");
  expect_refused(post("device.RSA/simpleenroll", body_, basic(box)), 404, "by serverkeygen");
}

TEST_F(EstTest, WithoutPasswordOrCertificateItAsksForThePassword) {
  for (const char* path : {"simpleenroll", "serverkeygen"}) {
    const TlsAnswer answer = post(path, body_, "");
    expect_refused(answer, 401, "must be shown");
    EXPECT_TRUE(answer.octets.contains("WWW-Authenticate: Basic realm=")) << answer.octets;
  }
  expect_refused(post("simpleenroll", body_, "Authorization: Bearer abc\r\n"), 401, "is not Basic");
  expect_refused(post("simpleenroll", body_, "Authorization: Basic !!!!\r\n"), 401, "is not base64");
  EXPECT_EQ(desk_.orders, 0);
}

TEST_F(EstTest, AWrongPasswordAndAnUnknownUserAreToldTheSame) {
  expect_refused(post("simpleenroll", body_, basic(box, EstDesk::password(vault))), 401, "the user name or the password does not fit");
  expect_refused(post("simpleenroll", body_, basic("r-0123456789abcdef")), 401, "the user name or the password does not fit");
  expect_refused(post("simpleenroll", body_, basic("root", "root")), 401, "the user name or the password does not fit");
  desk_.close(box);
  expect_refused(post("simpleenroll", body_, basic(box)), 401, "the user name or the password does not fit");
  EXPECT_TRUE(desk_.was_refused(box, "does not fit"));
  EXPECT_TRUE(desk_.was_refused("r-0123456789abcdef", "does not fit"));
  EXPECT_TRUE(desk_.was_refused("", "does not fit")) << "a name that is none of ours is not written down";
  EXPECT_FALSE(desk_.was_refused("root", ""));
  EXPECT_EQ(desk_.orders, 0);
}

TEST_F(EstTest, RefusesWhatIsNoRequestOrNotSignedByItsKey) {
  expect_refused(post("simpleenroll", "", basic(box)), 400, "empty");
  expect_refused(post("simpleenroll", "****", basic(box)), 400, "not base64");
  expect_refused(post("simpleenroll", wire::est_body(as_bytes("no DER")), basic(box)), 400, "not DER of one");
  Bytes changed = csr_;
  const auto at = std::ranges::search(changed, as_bytes(std::string_view("box-7")));
  *at.begin() = 'f';
  expect_refused(post("simpleenroll", wire::est_body(changed), basic(box)), 403, "signature does not hold");
  EXPECT_TRUE(desk_.was_refused(box, "signature does not hold"));
  const TlsAnswer type =
      ask_tls(front_->port(), "POST /.well-known/est/simpleenroll HTTP/1.1\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nQUJD");
  expect_refused(type, 415, "application/pkcs10");
  expect_refused(post("simpleenroll", std::string(wire::est_body_octets_max + 1, 'A'), basic(box)), 400, "over");
  EXPECT_EQ(desk_.orders, 0);
}

TEST_F(EstTest, TheDesksRefusalIsToldWithItsReason) {
  expect_refused(post("simpleenroll", wire::est_body(request_by(key_, "box-7", {"other.example"})), basic(box)), 403,
                 "other.example: not one of the registration's");
  expect_refused(post("simpleenroll", wire::est_body(request_by(key_, "box-8")), basic(box)), 403, "common name");
  EXPECT_TRUE(desk_.refusals.empty()) << "the desk has recorded it";
  desk_.refuses = Error{ErrorCode::unavailable, "IAM does not answer"};
  const TlsAnswer busy = post("simpleenroll", body_, basic(box));
  expect_refused(busy, 503, "IAM does not answer");
  EXPECT_TRUE(busy.octets.contains("Retry-After: 30\r\n")) << busy.octets;
  desk_.refuses = Error{ErrorCode::conflict, "the secret was spent"};
  expect_refused(post("simpleenroll", body_, basic(box)), 409, "the secret was spent");
  desk_.refuses = Error{ErrorCode::internal, "cas.db: the disk is on fire"};
  const TlsAnswer broken = post("simpleenroll", body_, basic(box));
  expect_refused(broken, 500, "could not be worked on");
  EXPECT_FALSE(broken.body().contains("fire")) << "what is wrong here is not told to strangers";
}

TEST_F(EstTest, WhatTwoOperatorsMustApproveIsToldToComeAgain) {
  Registration registration = registered(box, "device");
  registration.approval = Approval::four_eyes;
  desk_.add(registration);
  const TlsAnswer waiting = post("simpleenroll", body_, basic(box));
  EXPECT_EQ(waiting.status(), 202) << waiting.octets;
  EXPECT_TRUE(waiting.octets.contains("Retry-After: 7\r\n")) << waiting.octets;
  EXPECT_TRUE(waiting.body().contains("t-1"));
  desk_.approved = true;
  EXPECT_FALSE(certificate_of(post("simpleenroll", body_, basic(box))).empty());
}

TEST_F(EstTest, SimplereenrollRenewsTheCertificateOfTheHandshakeWithTheSameKeyOrANewOne) {
  for (const FrontPki* pki : {&p384_, &ml_dsa_}) {
    const net::TlsIdentity client = enrolled(*pki, 41);
    const Bytes same_key = certificate_of(post("simplereenroll", wire::est_body(request_by(client.key)), "", &client));
    EXPECT_NE(same_key, client.chain.front().der());
    EXPECT_EQ(desk_.last.renews, client.chain.front().der());
    EXPECT_EQ(desk_.last.reference, box);
    EXPECT_EQ(certificate_of(post("simplereenroll", wire::est_body(request_by(client.key)), "", &client)), same_key);
    const Bytes new_key = certificate_of(post("simplereenroll", wire::est_body(request_by(pki->key(42))), "", &client));
    EXPECT_NE(new_key, same_key);
    EXPECT_EQ(test::must(crypto::SubjectCertificate::parse(new_key)).key().der(), test::must(crypto::public_key_info(pki->key(42))));
  }
}

TEST_F(EstTest, SimplereenrollRefusesOtherNamesAndCallersWithoutCertificate) {
  const net::TlsIdentity client = enrolled(p384_, 43);
  const int orders = desk_.orders;
  expect_refused(post("simplereenroll", wire::est_body(request_by(client.key, "box-7", {"box-7.example", "box-7.local"})), "", &client), 403,
                 "not those of the certificate");
  expect_refused(post("simplereenroll", wire::est_body(request_by(client.key, "box-7", {})), "", &client), 403, "not those of the certificate");
  expect_refused(post("simplereenroll", body_, basic(box)), 403, "must be shown in the TLS handshake");
  EXPECT_TRUE(desk_.was_refused(box, "not those of the certificate"));
  EXPECT_EQ(desk_.orders, orders);
}

TEST_F(EstTest, ARevokedCertificateOpensNothingNotEvenWithAPassword) {
  const net::TlsIdentity client = enrolled(p384_, 44);
  const int orders = desk_.orders;
  test::must(desk_.revoke(client.chain.front().der(), 1, "test", ""));
  expect_refused(post("simplereenroll", wire::est_body(request_by(client.key)), "", &client), 403, "revoked");
  expect_refused(post("simpleenroll", body_, "", &client), 403, "revoked");
  expect_refused(post("simpleenroll", body_, basic(box), &client), 403, "revoked");
  EXPECT_EQ(desk_.orders, orders);
  const net::TlsIdentity stranger = p384_.client("box-7", 45);
  expect_refused(post("simplereenroll", wire::est_body(request_by(p384_.key(45))), "", &stranger), 403, "not issued here");
}

TEST_F(EstTest, SimpleenrollByCertificateIsForTheSameRegistration) {
  const net::TlsIdentity client = enrolled(p384_, 46);
  certificate_of(post("simpleenroll", wire::est_body(request_by(p384_.key(47))), "", &client));
  EXPECT_EQ(desk_.last.reference, box);
  EXPECT_EQ(desk_.last.renews, client.chain.front().der());
}

// ---- serverkeygen ----

struct Delivered {
  Bytes pkcs8;
  crypto::SubjectCertificate certificate;
};

class EstKeyTest : public EstTest {
 protected:
  static Delivered delivered(const TlsAnswer& answer) {
    EXPECT_EQ(answer.status(), 200) << answer.octets;
    const std::string_view head = std::string_view(answer.octets).substr(0, answer.octets.find("\r\n\r\n"));
    const std::size_t at = head.find("Content-Type: multipart/mixed; boundary=");
    EXPECT_NE(at, std::string_view::npos) << answer.octets;
    const std::string_view rest = head.substr(at + std::string_view("Content-Type: multipart/mixed; boundary=").size());
    const std::string boundary = "--" + std::string(rest.substr(0, rest.find("\r\n")));
    const std::string body = answer.body();
    const auto part = [&](std::string_view type) {
      const std::size_t begin = body.find(boundary + "\r\nContent-Type: " + std::string(type) + "\r\n");
      EXPECT_NE(begin, std::string::npos) << body;
      const std::size_t content = body.find("\r\n\r\n", begin) + 4;
      return test::must(wire::from_base64(without_space(body.substr(content, body.find(boundary, content) - content))));
    };
    EXPECT_TRUE(body.ends_with(boundary + "--\r\n")) << body;
    const std::vector<Bytes> certificates = test::must(crypto::read_certs_only(part("application/pkcs7-mime; smime-type=certs-only")));
    EXPECT_EQ(certificates.size(), 1U);
    return {.pkcs8 = part("application/pkcs8"), .certificate = test::must(crypto::SubjectCertificate::parse(certificates.front()))};
  }
  /// The public half of a private key, by OpenSSL's own reading.
  static Bytes public_half(const Bytes& pkcs8) {
    const unsigned char* at = pkcs8.data();
    const crypto::Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free> info(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &at, static_cast<long>(pkcs8.size())));
    const crypto::EvpKey key(info ? EVP_PKCS82PKEY(info.get()) : nullptr);
    EXPECT_TRUE(key);
    return key ? crypto::to_der<i2d_PUBKEY>(key.get()) : Bytes();
  }
};

TEST_F(EstKeyTest, MakesAKeyOfTheAlgorithmThatTheLabelNamesAndItsCertificate) {
  for (const char* algorithm : {"ML-KEM-768", "ML-KEM-1024", "RSA", "ECDSA-P-256"}) {
    const TlsAnswer answer = post("device-encryption." + std::string(algorithm) + "/serverkeygen", body_, basic(vault));
    const Delivered got = delivered(answer);
    EXPECT_EQ(crypto::name(got.certificate.key().algorithm()), algorithm);
    EXPECT_EQ(public_half(got.pkcs8), got.certificate.key().der());
    EXPECT_EQ(got.certificate.names().dns, std::vector<std::string>{"box-7.example"});
    EXPECT_EQ(desk_.last.possession, Possession::vouched);
  }
}

TEST_F(EstKeyTest, TheRequestsKeyAndSignatureMeanNothingButTheAlgorithm) {
  Bytes unsigned_request = csr_;
  unsigned_request.back() ^= 1;
  const Delivered got = delivered(post("serverkeygen", wire::est_body(unsigned_request), basic(vault)));
  EXPECT_EQ(got.certificate.key().algorithm(), crypto::SubjectAlgorithm::ecdsa_p384);
  EXPECT_NE(got.certificate.key().der(), test::must(crypto::public_key_info(key_)));
  EXPECT_EQ(got.certificate.usages(), crypto::KeyUsages{crypto::KeyUsage::key_agreement});
  expect_refused(post("serverkeygen", wire::est_body(request_by(ml_dsa_.key(23))), basic(vault)), 403, "takes no key of algorithm ML-DSA-65");
}

TEST_F(EstKeyTest, TheSameRequestGetsTheSameKeyAndCertificateUntilTheKeyIsNoLongerKept) {
  const std::string path = "device-encryption.ML-KEM-768/serverkeygen";
  const UnixMs now = clock_.now_ms();
  clock_.stand_at(now);
  const Delivered first = delivered(post(path, body_, basic(vault)));
  const Delivered again = delivered(post(path, wire::est_body(request_by(key_)), basic(vault)));
  EXPECT_EQ(again.pkcs8, first.pkcs8);
  EXPECT_EQ(again.certificate.der(), first.certificate.der());
  EXPECT_NE(delivered(post(path, wire::est_body(request_by(p384_.key(50))), basic(vault))).pkcs8, first.pkcs8);

  const UnixMs day = 86'400'000;
  EXPECT_EQ(test::must(keys_->sweep(now + day - 1)), 0U);
  EXPECT_EQ(delivered(post(path, body_, basic(vault))).pkcs8, first.pkcs8);
  EXPECT_EQ(test::must(keys_->sweep(now + day + 1)), 2U);
  expect_refused(post(path, body_, basic(vault)), 409, "no longer kept");
}

TEST_F(EstKeyTest, AKeyThatWaitsForApprovalIsTheOneThatIsCertified) {
  Registration registration = registered(vault, "device-encryption");
  registration.approval = Approval::four_eyes;
  desk_.add(registration);
  const std::string path = "device-encryption.ML-KEM-768/serverkeygen";
  const TlsAnswer waiting = post(path, body_, basic(vault));
  EXPECT_EQ(waiting.status(), 202) << waiting.octets;
  EXPECT_FALSE(waiting.octets.contains("pkcs8"));
  const Bytes asked = desk_.last.key.der();
  desk_.approved = true;
  const Delivered got = delivered(post(path, body_, basic(vault)));
  EXPECT_EQ(got.certificate.key().der(), asked);
  EXPECT_EQ(public_half(got.pkcs8), asked);
  // One that nobody approves in thirty days is wiped.
  desk_.approved = false;
  EXPECT_EQ(post(path, wire::est_body(request_by(p384_.key(51))), basic(vault)).status(), 202);
  EXPECT_EQ(test::must(keys_->sweep(clock_.now_ms() + 31ULL * 86'400'000)), 2U);
}

TEST_F(EstKeyTest, AKeyWhoseCertificateIsRefusedIsForgotten) {
  const std::string path = "device-encryption.ML-KEM-768/serverkeygen";
  expect_refused(post(path, wire::est_body(request_by(key_, "box-8")), basic(vault)), 403, "common name");
  const Bytes first = desk_.last.key.der();
  expect_refused(post(path, wire::est_body(request_by(key_, "box-8")), basic(vault)), 403, "common name");
  EXPECT_NE(desk_.last.key.der(), first);
  EXPECT_EQ(test::must(keys_->sweep(clock_.now_ms() + 31ULL * 86'400'000)), 0U);
}

TEST_F(EstKeyTest, AKeyIsKeptWhereAskingAgainMayHelpAndElseForgotten) {
  const auto asked_with = [&](ErrorCode code, int status) {
    desk_.refuses = Error{code, "not now"};
    EXPECT_EQ(post("device-encryption.ML-KEM-768/serverkeygen", body_, basic(vault)).status(), status);
    return desk_.last.key.der();
  };
  for (const ErrorCode code : {ErrorCode::unavailable, ErrorCode::deadline_exceeded}) EXPECT_EQ(asked_with(code, 503), asked_with(code, 503));
  EXPECT_NE(asked_with(ErrorCode::conflict, 409), asked_with(ErrorCode::conflict, 409)) << "the registration has its certificate";
  EXPECT_NE(asked_with(ErrorCode::exhausted, 503), asked_with(ErrorCode::exhausted, 503)) << "too many orders wait";
}

TEST_F(EstKeyTest, RefusesProfilesWhoseKeysAreNotMadeHereAndKeysThatTheProfileDoesNotTake) {
  expect_refused(post("device.ML-KEM-768/serverkeygen", body_, basic(box)), 403, "no keys of profile device are made here");
  expect_refused(post("device-encryption.ML-DSA-65/serverkeygen", body_, basic(vault)), 403, "takes no key of algorithm ML-DSA-65");
  expect_refused(post("device-encryption.DES/serverkeygen", body_, basic(vault)), 404, "no key of algorithm 'DES'");
  EXPECT_EQ(desk_.orders, 0);
}

TEST_F(EstKeyTest, AKeyIsNotEncryptedOnceMore) {
  // DecryptKeyIdentifier, AsymmetricDecryptKeyIdentifier (RFC 7030 §4.4.1). That the signature holds no longer does not matter.
  for (const char* type : {"1.2.840.113549.1.9.16.2.37", "1.2.840.113549.1.9.16.2.54"}) {
    const unsigned char* at = csr_.data();
    const crypto::Owned<X509_REQ, X509_REQ_free> request(d2i_X509_REQ(nullptr, &at, static_cast<long>(csr_.size())));
    ASSERT_TRUE(request);
    ASSERT_EQ(X509_REQ_add1_attr_by_txt(request.get(), type, V_ASN1_OCTET_STRING, csr_.data(), 8), 1);
    const std::string body = wire::est_body(crypto::to_der<i2d_X509_REQ>(request.get()));
    expect_refused(post("serverkeygen", body, basic(vault)), 400, "without DecryptKeyIdentifier");
  }
  EXPECT_EQ(desk_.orders, 0);
}

TEST_F(EstKeyTest, AQuantumSafePrivateKeyIsHandedOverAQuantumSafeConnectionAlone) {
  constexpr net::test::RawPolicy classical{.groups = "x25519", .signature_algorithms = "ecdsa_secp384r1_sha384"};
  expect_refused(post("device-encryption.ML-KEM-768/serverkeygen", body_, basic(vault), nullptr, classical), 403, "quantum-safe connection alone");
  EXPECT_EQ(desk_.orders, 0);
  delivered(post("device-encryption.RSA/serverkeygen", body_, basic(vault), nullptr, classical));
}

// ---- csrattrs ----

TEST_F(EstTest, CsrattrsNamesTheKeysOfTheLabelsProfileOrTheCallers) {
  const auto attributes = [&](const TlsAnswer& answer) {
    EXPECT_EQ(answer.status(), 200) << answer.octets;
    EXPECT_TRUE(answer.octets.contains("Content-Type: application/csrattrs\r\n")) << answer.octets;
    return test::must(wire::from_base64(without_space(answer.body())));
  };
  const auto of = [](const char* profile) { return test::must(crypto::make_csr_attributes(find_profile(profile)->keys)); };
  EXPECT_EQ(attributes(get("device/csrattrs")), of("device"));
  EXPECT_EQ(attributes(get("device-encryption/csrattrs")), of("device-encryption"));
  EXPECT_EQ(attributes(get("csrattrs", basic(vault))), of("device-encryption"));
  EXPECT_EQ(attributes(get(std::string(vault) + "/csrattrs", basic(vault))), of("device-encryption"));
  const net::TlsIdentity client = enrolled(p384_, 60);
  EXPECT_EQ(attributes(get("csrattrs", "", &client)), of("device"));
  EXPECT_GT(attributes(get("csrattrs")).size(), of("device").size());
  expect_refused(get("nothing/csrattrs"), 404, "neither a profile");
  expect_refused(get(std::string(vault) + "/csrattrs"), 401, "must be shown first");
  expect_refused(get("csrattrs", basic(vault, "wrong")), 401, "does not fit");
  EXPECT_TRUE(desk_.was_refused(vault, "does not fit"));
  expect_refused(get(std::string(box) + "/csrattrs", basic(vault)), 403, "is for profile");
  EXPECT_TRUE(desk_.was_refused(vault, "is for profile"));
}

TEST_F(EstTest, OtherPathsAndMethodsAreRefusedInText) {
  expect_refused(get("simpleenroll"), 405, "takes POST");
  expect_refused(get("fullcmc"), 404, "nothing is served");
  expect_refused(post("cacerts", "QUJD", ""), 405, "takes GET");
}

}  // namespace
}  // namespace qanat::cas
