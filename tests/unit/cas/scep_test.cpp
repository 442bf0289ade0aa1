// SCEP's requests for certificates and every refusal; what strangers learn from refusals; what is served by HTTP.
#include "scep_fixture.hpp"

namespace qanat::cas {
namespace {

using ScepTest = ScepFixture;

// ---- GetCACaps, GetCACert, GetNextCACert ----

TEST_F(ScepTest, CapabilitiesNameWhatIsSpokenAndNothingWeak) {
  const net::ForeignResponse response = ask("GET", "operation=GetCACaps&message=anything");
  EXPECT_EQ(response.status, 200U);
  EXPECT_EQ(response.content_type, "text/plain");
  const std::string text(as_text(body_of(response)));
  for (const char* one : {"AES\n", "SHA-256\n", "SHA-384\n", "SHA-512\n", "POSTPKIOperation\n", "Renewal\n", "SCEPStandard\n", "GetNextCACert\n"})
    EXPECT_TRUE(text.contains(one)) << one;
  for (const char* one : {"DES", "SHA-1\n", "MD5"}) EXPECT_FALSE(text.contains(one)) << one;
}

TEST_F(ScepTest, GetCaCertGivesTheRegistrationAuthorityAndTheCa) {
  const net::ForeignResponse response = ask("GET", "operation=GetCACert");
  ASSERT_EQ(response.status, 200U);
  EXPECT_EQ(response.content_type, "application/x-x509-ca-ra-cert");
  EXPECT_EQ(peer::certificates_in(body_of(response)), (std::vector{ra_certificate(), ra_.cas.devices.certificate.der()}));
  const auto ra = test::must(crypto::SubjectCertificate::parse(ra_certificate()));
  EXPECT_EQ(ra.usages(), (crypto::KeyUsages{crypto::KeyUsage::digital_signature, crypto::KeyUsage::key_encipherment}));
  EXPECT_EQ(ra.key().bits(), 3072);
  EXPECT_TRUE(ra.signed_by(ra_.cas.devices.certificate));
  // The client names another CA.
  EXPECT_EQ(peer::certificates_in(body_of(ask("GET", "operation=GetCACert&message=ml_dsa"))),
            (std::vector{ra_certificate(), ra_.cas.ml_dsa.certificate.der()}));
  EXPECT_EQ(peer::certificates_in(body_of(ask("GET", "operation=GetCACert&message=my%20router"))),
            (std::vector{ra_certificate(), ra_.cas.devices.certificate.der()}));
}

TEST_F(ScepTest, WithoutASuccessorThereIsNoNextCa) {
  const net::ForeignResponse response = ask("GET", "operation=GetNextCACert");
  EXPECT_EQ(response.status, 404U);
  EXPECT_FALSE(body_of(response).empty());
}

TEST_F(ScepTest, TheNextCaIsToldByTheAuthorityInForceAsLongAsItIsToCome) {
  const NextDevices next = test::must(make_next_device_authority(ra_.cas.devices, clock_.now_ms(), *ra_.rng));
  desk_.succeeds = Succession{.to_come = true,
                              .old_with_old = ra_.cas.devices.certificate.der(),
                              .new_with_new = next.succession.new_with_new.der(),
                              .new_with_old = {},
                              .old_with_new = {}};
  const net::ForeignResponse response = ask("GET", "operation=GetNextCACert");
  ASSERT_EQ(response.status, 200U);
  EXPECT_EQ(response.content_type, "application/x-x509-next-ca-cert");
  EXPECT_EQ(peer::certificates_in(peer::read_answer(body_of(response), ra_certificate()).envelope),
            (std::vector<Bytes>{next.succession.new_with_new.der()}));
  EXPECT_EQ(peer::certificates_in(body_of(ask("GET", "operation=GetCACert"))), (std::vector{ra_certificate(), ra_.cas.devices.certificate.der()}))
      << "it is not in force";
  desk_.succeeds->to_come = false;
  EXPECT_EQ(ask("GET", "operation=GetNextCACert").status, 404U) << "there is no authority of the one before to tell of it";
}

// ---- PKCSReq ----

TEST_F(ScepTest, ARequestWithItsChallengeGetsItsCertificateUnderItsOwnKey) {
  const std::string reference = desk_.enter("box-7");
  const peer::Request wanted = first(rsa_box(), desk_.challenge(reference));
  const Bytes certificate = opened(answer_to(wanted), rsa_box());
  EXPECT_EQ(key_in(certificate), peer::public_key_info(rsa_box().key.get()));
  ASSERT_EQ(desk_.orders.size(), 1U);
  const Asked& asked = desk_.orders.front();
  EXPECT_EQ(asked.protocol, Protocol::scep);
  EXPECT_EQ(asked.reference, reference);
  EXPECT_EQ(asked.names.common_name, "box-7");
  EXPECT_EQ(asked.possession, Possession::proved);
  EXPECT_TRUE(asked.renews.empty());
  EXPECT_TRUE(desk_.refusals.empty());
}

TEST_F(ScepTest, GetCarriesTheSameMessageInTheQuery) {
  const std::string reference = desk_.enter("box-7");
  const peer::Request wanted = first(rsa_box(), desk_.challenge(reference));
  std::string text = wire::to_base64(peer::make_message(wanted));
  std::string query = "operation=PKIOperation&message=";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i % 64 == 0 && i > 0) query += "%0A";  // strongSwan's way
    query += text[i] == '+' ? "%2B" : text[i] == '=' ? "%3d" : std::string(1, text[i]);
  }
  const net::ForeignResponse response = ask("GET", query);
  ASSERT_EQ(response.status, 200U) << as_text(body_of(response));
  EXPECT_EQ(opened(peer::read_answer(body_of(response), ra_certificate()), rsa_box()).empty(), false);
}

class ScepKeyTest : public ScepFixture, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Kinds, ScepKeyTest, testing::Values("EC", "SM2", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"), [](const auto& info) {
  std::string name = info.param;
  std::erase(name, '-');
  return name;
});

TEST_P(ScepKeyTest, AKeyThatDoesNotEncryptGetsItsCertificateUnderTheChallenge) {
  const Box box(GetParam());
  const std::string challenge = desk_.challenge(desk_.enter("box-7"));
  const peer::Answer answer = answer_to(first(box, challenge));
  EXPECT_EQ(key_in(opened(answer, challenge)), peer::public_key_info(box.key.get()));
  EXPECT_THROW(peer::open_with_password(answer.envelope, challenge + "x"), std::runtime_error);
}

TEST_P(ScepKeyTest, APollGetsItUnderTheChallengeToo) {
  const Box box(GetParam());
  const std::string challenge = desk_.challenge(desk_.enter("box-7", Approval::four_eyes));
  const peer::Request wanted = first(box, challenge);
  EXPECT_EQ(answer_to(wanted).status, "3");
  desk_.approves = true;
  peer::Request poll = request(box, peer::issuer_and_serial(box.certificate), "20");
  poll.transaction = wanted.transaction;
  EXPECT_EQ(key_in(opened(answer_to(poll), challenge)), peer::public_key_info(box.key.get()));
}

TEST_F(ScepTest, TheSameRequestAgainGetsTheSameCertificate) {
  const std::string challenge = desk_.challenge(desk_.enter("box-7"));
  peer::Request wanted = first(rsa_box(), challenge);
  const Bytes certificate = opened(answer_to(wanted), rsa_box());
  wanted.nonce = Bytes(16, 0x77);  // sent anew, not copied
  EXPECT_EQ(opened(answer_to(wanted), rsa_box()), certificate);
  wanted.transaction += "x";
  EXPECT_NE(opened(answer_to(wanted), rsa_box()), certificate) << "another transaction is another request";
}

TEST_F(ScepTest, TheDesksRefusalIsToldToWhoIsKnown) {
  const std::string challenge = desk_.challenge(desk_.enter("box-7"));
  const peer::Answer answer = answer_to(first(rsa_box(), challenge, "box-8"));
  expect_failure(answer, bad_request);
  EXPECT_TRUE(answer.text.contains("'box-8' is not a name")) << answer.text;
  EXPECT_TRUE(desk_.refusals.empty()) << "the desk has recorded it itself";
}

TEST_F(ScepTest, WhatPassesByIsNoAnswerOfScep) {
  const std::string challenge = desk_.challenge(desk_.enter("box-7"));
  const peer::Request wanted = first(rsa_box(), challenge);
  for (const ErrorCode code : {ErrorCode::unavailable, ErrorCode::exhausted, ErrorCode::deadline_exceeded}) {
    desk_.fails = Error{.code = code, .message = "IAM does not answer"};
    const net::ForeignResponse response = post(wanted);
    EXPECT_EQ(response.status, 503U);
    EXPECT_EQ(response.fields.at(0).first, "Retry-After");
  }
  desk_.fails = Error{.code = ErrorCode::internal, .message = "the disk is on fire"};
  const net::ForeignResponse response = post(wanted);
  EXPECT_EQ(response.status, 500U);
  EXPECT_FALSE(as_text(body_of(response)).contains("fire"));
  desk_.fails.reset();
  EXPECT_FALSE(opened(answer_to(wanted), rsa_box()).empty()) << "nothing was decided";
}

// ---- what strangers learn ----

TEST_F(ScepTest, AllWhoAreNotKnownGetOneAnswer) {
  const std::string reference = desk_.enter("box-7");
  const std::string challenge = desk_.challenge(reference);
  const Bytes csr = peer::make_csr(rsa_box().key.get(), {.challenge = challenge});
  const Bytes good = peer::seal_to(csr, ra_certificate(), EVP_aes_128_cbc());
  const auto with_envelope = [&](Bytes envelope) {
    peer::Request wanted = request(rsa_box(), {});
    wanted.envelope = std::move(envelope);
    return wanted;
  };
  const auto altered = [&](std::size_t from_end) {
    Bytes envelope = good;
    envelope[envelope.size() - from_end] ^= 0x20U;
    return with_envelope(envelope);
  };
  const Box other("RSA");
  std::string closed = desk_.enter("box-9");
  const std::string closed_challenge = desk_.challenge(closed);
  desk_.close(closed);
  Bytes broken_csr = csr;
  broken_csr.back() ^= 1U;
  Bytes key_altered = good;  // in the middle of the encrypted key, the 384 octets behind 04 82 01 80
  const Bytes mark{0x04, 0x82, 0x01, 0x80};
  key_altered[static_cast<std::size_t>(std::ranges::search(good, mark).begin() - good.begin()) + 100] ^= 1U;
  Bytes cut = peer::seal_to(ByteView(csr).first(64), ra_certificate(), EVP_aes_128_cbc());

  std::vector<std::pair<const char*, peer::Request>> wrong;
  wrong.emplace_back("the secret of another registration",
                     first(rsa_box(), reference + ":" + desk_.challenge(desk_.enter("box-8")).substr(reference.size() + 1)));
  wrong.emplace_back("a secret that is too short", first(rsa_box(), reference + ":abc"));
  wrong.emplace_back("a registration that there is not", first(rsa_box(), "r-0000000000000000:" + challenge.substr(reference.size() + 1)));
  wrong.emplace_back("a registration that is closed", first(rsa_box(), closed_challenge));
  wrong.emplace_back("no challenge", first(rsa_box(), ""));
  wrong.emplace_back("a challenge without reference", first(rsa_box(), challenge.substr(reference.size() + 1)));
  wrong.emplace_back("a challenge of a reference alone", first(rsa_box(), reference));
  wrong.emplace_back("another's request, signed with one's own key", request(other, csr));
  wrong.emplace_back("a request whose own signature does not hold", request(rsa_box(), broken_csr));
  wrong.emplace_back("no request at all", request(rsa_box(), to_bytes("hello")));
  wrong.emplace_back("a request cut off", with_envelope(cut));
  wrong.emplace_back("a key that decrypts to nothing", with_envelope(key_altered));
  wrong.emplace_back("content altered near its end", altered(1));
  wrong.emplace_back("content altered in the block before", altered(40));
  wrong.emplace_back("content altered far from its end", altered(300));
  wrong.emplace_back("an envelope to another authority", with_envelope(peer::seal_to(csr, other.certificate, EVP_aes_128_cbc())));

  std::size_t recorded = 0;
  std::optional<std::string> text;
  for (const auto& [what, wanted] : wrong) {
    const peer::Answer answer = answer_to(wanted);
    expect_failure(answer, bad_message_check);
    if (!text) text = answer.text;
    EXPECT_EQ(answer.text, *text) << what;
    EXPECT_EQ(desk_.refusals.size(), ++recorded) << what;
  }
  EXPECT_TRUE(desk_.orders.empty());
  ASSERT_FALSE(desk_.refusals.empty());
  EXPECT_EQ(desk_.refusals.front().first, reference) << "the record says whose";
  EXPECT_FALSE(desk_.refusals.front().second.contains(challenge)) << "and no secret";
}

TEST_F(ScepTest, PaddingIsNoCondition) {
  const std::string challenge = desk_.challenge(desk_.enter("box-7"));
  // Of a length that fills its last block: behind it stands a block of padding alone, which becomes noise if its last octet is changed.
  std::string dns = "a.example";
  const auto csr = [&] { return peer::make_csr(rsa_box().key.get(), {.dns = {dns}, .challenge = challenge}); };
  while (csr().size() % 16 != 0) dns.insert(0, 1, 'a');
  peer::Request wanted = request(rsa_box(), {});
  wanted.envelope = peer::seal_to(csr(), ra_certificate(), EVP_aes_128_cbc());
  wanted.envelope->back() ^= 1U;
  EXPECT_FALSE(opened(answer_to(wanted), rsa_box()).empty());
}

TEST_F(ScepTest, WeakAlgorithmsAreRefusedBeforeAnythingIsOpened) {
  const std::string challenge = desk_.challenge(desk_.enter("box-7"));
  peer::Request sha1 = first(rsa_box(), challenge);
  sha1.digest = EVP_sha1();
  expect_failure(answer_to(sha1), bad_alg);
  peer::Request triple = first(rsa_box(), challenge);
  triple.cipher = EVP_des_ede3_cbc();
  expect_failure(answer_to(triple), bad_alg);
  EXPECT_TRUE(desk_.orders.empty());
  ASSERT_EQ(desk_.refusals.size(), 2U);
  EXPECT_TRUE(desk_.refusals.front().second.contains("sha1")) << desk_.refusals.front().second;
}

TEST_F(ScepTest, AMessageThatWasChangedIsBadMessageCheck) {
  const peer::Request wanted = first(rsa_box(), desk_.challenge(desk_.enter("box-7")));
  Bytes message = peer::make_message(wanted);
  message.back() ^= 1U;
  const net::ForeignResponse response = ask("POST", "operation=PKIOperation", message);
  ASSERT_EQ(response.status, 200U);
  expect_failure(peer::read_answer(body_of(response), ra_certificate()), bad_message_check);
  EXPECT_TRUE(desk_.orders.empty());
  ASSERT_EQ(desk_.refusals.size(), 1U);
  EXPECT_TRUE(desk_.refusals.front().second.contains("signature does not hold")) << desk_.refusals.front().second;
}

TEST_F(ScepTest, AClockThatIsADayOffIsBadTime) {
  const std::string challenge = desk_.challenge(desk_.enter("box-7"));
  for (const long seconds : {-90'000L, 90'000L}) {
    peer::Request wanted = first(rsa_box(), challenge);
    wanted.signing_time = seconds;
    expect_failure(answer_to(wanted), bad_time);
  }
  EXPECT_EQ(desk_.refusals.size(), 2U);
  peer::Request wanted = first(rsa_box(), challenge);
  wanted.signing_time = -80'000L;
  EXPECT_FALSE(opened(answer_to(wanted), rsa_box()).empty());
}

TEST_F(ScepTest, MessagesThatAskForNothingAreBadRequests) {
  for (const char* type : {"3", "18", "0", "99"}) expect_failure(answer_to(request(rsa_box(), to_bytes("x"), type)), bad_request);
}

// ---- RenewalReq ----

TEST_F(ScepTest, ARenewalIsKnownByTheCertificateThatSignsIt) {
  const std::string reference = desk_.enter("box-7");
  Box old("RSA");
  old.certificate = opened(answer_to(first(old, desk_.challenge(reference))), old);
  const Box fresh("RSA");
  const peer::Request wanted = request(old, peer::make_csr(fresh.key.get(), {}), "17");
  const Bytes certificate = opened(answer_to(wanted), old);
  EXPECT_EQ(key_in(certificate), peer::public_key_info(fresh.key.get()));
  EXPECT_EQ(desk_.orders.back().renews, old.certificate);
  EXPECT_EQ(desk_.orders.back().reference, reference);
  // With the same key in the same transaction: another request than the one before, because another certificate is renewed.
  peer::Request again = wanted;
  again.content = peer::make_csr(old.key.get(), {});
  const Bytes kept = opened(answer_to(again), old);
  EXPECT_EQ(key_in(kept), peer::public_key_info(old.key.get()));
  EXPECT_NE(kept, old.certificate);
}

TEST_F(ScepTest, AnRsaDeviceMovesToMlDsa) {
  Box old("RSA");
  old.certificate = opened(answer_to(first(old, desk_.challenge(desk_.enter("box-7")))), old);
  const Box fresh("ML-DSA-65");
  // The answer comes to the old key (§2.3): no password is needed.
  const Bytes certificate = opened(answer_to(request(old, peer::make_csr(fresh.key.get(), {}), "17")), old);
  EXPECT_EQ(key_in(certificate), peer::public_key_info(fresh.key.get()));
}

TEST_F(ScepTest, ARenewalWhoseAnswerCouldNotBeReadIssuesNothing) {
  const std::string challenge = desk_.challenge(desk_.enter("box-7"));
  Box old("ML-DSA-65");
  old.certificate = opened(answer_to(first(old, challenge)), challenge);
  const std::size_t before = desk_.orders.size();
  const Box fresh("ML-DSA-65");
  expect_failure(answer_to(request(old, peer::make_csr(fresh.key.get(), {}), "17")), bad_alg);
  EXPECT_EQ(desk_.orders.size(), before);
  ASSERT_EQ(desk_.refusals.size(), 1U);
  EXPECT_TRUE(desk_.refusals.front().first.starts_with("r-")) << "the record says whose";
  // With the challenge it can.
  const peer::Answer answer = answer_to(request(old, peer::make_csr(fresh.key.get(), {.challenge = challenge}), "17"));
  EXPECT_EQ(key_in(opened(answer, challenge)), peer::public_key_info(fresh.key.get()));
}

TEST_F(ScepTest, RenewalsOfStrangersGetTheOneAnswer) {
  const std::string reference = desk_.enter("box-7");
  Box old("RSA");
  const Box fresh("RSA");
  std::vector<peer::Answer> answers;
  answers.push_back(answer_to(first(fresh, reference + ":wrong")));
  answers.push_back(answer_to(request(old, peer::make_csr(fresh.key.get(), {}), "17")));  // self-signed
  old.certificate = opened(answer_to(first(old, desk_.challenge(reference))), old);
  const std::size_t before = desk_.orders.size();
  // Another's first request, overheard: its challenge is another registration's.
  answers.push_back(answer_to(request(old, peer::make_csr(fresh.key.get(), {.challenge = desk_.challenge(desk_.enter("box-8"))}), "17")));
  answers.push_back(answer_to(request(old, peer::make_csr(fresh.key.get(), {.challenge = reference + ":wrong"}), "17")));
  answers.push_back(answer_to(request(old, to_bytes("nothing"), "17")));
  Box thief("RSA");
  thief.certificate = old.certificate;
  peer::Request stolen = request(old, peer::make_csr(thief.key.get(), {}), "17");
  desk_.close(reference);
  answers.push_back(answer_to(stolen));
  for (const peer::Answer& answer : answers) {
    expect_failure(answer, bad_message_check);
    EXPECT_EQ(answer.text, answers.front().text);
  }
  EXPECT_EQ(desk_.orders.size(), before);
  EXPECT_EQ(desk_.refusals.size(), answers.size());
}

TEST_F(ScepTest, WhenNobodyCanBeLookedUpNothingIsDecided) {
  Box old("RSA");
  old.certificate = opened(answer_to(first(old, desk_.challenge(desk_.enter("box-7")))), old);
  const Bytes csr = peer::make_csr(rsa_box().key.get(), {});
  desk_.looks_up_nobody = Error{.code = ErrorCode::internal, .message = "the disk is on fire"};
  for (const char* type : {"17", "21", "22"}) {
    const net::ForeignResponse response = post(request(old, type == std::string("17") ? csr : peer::issuer_and_serial(old.certificate), type));
    EXPECT_EQ(response.status, 500U) << type;
  }
  EXPECT_TRUE(desk_.refusals.empty()) << "nobody was refused";
  desk_.looks_up_nobody.reset();
  EXPECT_FALSE(opened(answer_to(request(old, csr, "17")), old).empty());
}

// ---- HTTP ----

TEST_F(ScepTest, WhatIsNoScepIsRefusedByHttp) {
  EXPECT_EQ(ask("GET", "").status, 400U);
  EXPECT_EQ(ask("GET", "message=x").status, 400U);
  EXPECT_EQ(ask("GET", "operation=").status, 400U);
  EXPECT_EQ(ask("GET", "operation=GetCACaps&operation=GetCACert").status, 400U);
  EXPECT_EQ(ask("GET", "operation=GetCA%").status, 400U);
  EXPECT_EQ(ask("GET", "operation=Reboot").status, 400U);
  EXPECT_EQ(ask("GET", "operation=PKIOperation").status, 400U);
  EXPECT_EQ(ask("GET", "operation=PKIOperation&message=not*base64").status, 400U);
  EXPECT_EQ(ask("POST", "operation=PKIOperation", Bytes(100, 0x30)).status, 400U);
  EXPECT_EQ(ask("POST", "operation=PKIOperation").status, 400U);
  EXPECT_EQ(ask("POST", "operation=GetCACaps").status, 405U);
  EXPECT_EQ(ask("POST", "operation=Reboot").status, 400U);
  EXPECT_TRUE(desk_.refusals.empty());
}

TEST_F(ScepTest, BothPathsAreServedByPlainHttpToo) {
  std::vector<std::string> paths;
  for (const EnrolmentService& service : service_->services()) {
    EXPECT_EQ(service.carrier, Carrier::any);
    EXPECT_EQ(service.refuse(404, "no").status, 404U);
    for (const EnrolmentRoute& route : service.routes) {
      EXPECT_TRUE(route.pattern.starts_with(service.prefix));
      EXPECT_EQ(route.body_max, route.method == "POST" ? crypto::scep_message_octets_max : 0U);
      net::ForeignRequest request{.peer = {},
                                  .parameters = {},
                                  .query = route.method == "GET" ? "operation=GetCACaps" : "operation=PKIOperation",
                                  .content_type = "",
                                  .body = {},
                                  .deadline = test::soon(),
                                  .request_id = ""};
      EXPECT_EQ(route.answer(request).status, route.method == "GET" ? 200U : 400U);
      paths.push_back(route.method + " " + route.pattern);
    }
  }
  EXPECT_EQ(paths, (std::vector<std::string>{"GET /scep", "POST /scep", "GET /cgi-bin/pkiclient.exe", "POST /cgi-bin/pkiclient.exe"}));
}

}  // namespace
}  // namespace qanat::cas
