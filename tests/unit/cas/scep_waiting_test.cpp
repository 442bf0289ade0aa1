// SCEP's requests that wait for operators, polled; and what holders ask: GetCert, GetCRL.
#include "scep_fixture.hpp"

namespace qanat::cas {
namespace {

// ---- PENDING, CertPoll ----

class ScepPendingTest : public ScepFixture {
 protected:
  ScepPendingTest() : reference_(desk_.enter("box-7", Approval::four_eyes)), wanted_(first(rsa_box(), desk_.challenge(reference_))) {
    EXPECT_EQ(answer_to(wanted_).status, "3");
  }
  peer::Request poll(const Box& box) {
    peer::Request out = request(box, peer::issuer_and_serial(box.certificate), "20");
    out.transaction = wanted_.transaction;
    return out;
  }
  std::string reference_;
  peer::Request wanted_;
};

TEST_F(ScepPendingTest, IsPolledUntilTwoOperatorsHaveDecided) {
  EXPECT_EQ(answer_to(poll(rsa_box())).status, "3");
  desk_.approves = true;
  const Bytes certificate = opened(answer_to(poll(rsa_box())), rsa_box());
  EXPECT_EQ(opened(answer_to(poll(rsa_box())), rsa_box()), certificate) << "an answer that was lost comes again";
}

TEST_F(ScepPendingTest, OutlivesTheProcess) {
  open();
  EXPECT_EQ(answer_to(poll(rsa_box())).status, "3");
  desk_.approves = true;
  EXPECT_FALSE(opened(answer_to(poll(rsa_box())), rsa_box()).empty());
}

TEST_F(ScepPendingTest, TheRequestItselfMayComeAgainInstead) {
  EXPECT_EQ(answer_to(wanted_).status, "3");
  EXPECT_EQ(desk_.orders[0].request_hash, desk_.orders[1].request_hash);
}

TEST_F(ScepPendingTest, RejectedIsABadRequest) {
  desk_.rejects = true;
  const peer::Answer answer = answer_to(poll(rsa_box()));
  expect_failure(answer, bad_request);
  EXPECT_TRUE(answer.text.contains("said no"));
}

TEST_F(ScepPendingTest, AnotherKeyOrTransactionHasNothingToPoll) {
  desk_.approves = true;
  const peer::Answer stranger = answer_to(poll(Box("RSA")));
  expect_failure(stranger, bad_cert_id);
  peer::Request elsewhere = poll(rsa_box());
  elsewhere.transaction += "x";
  const peer::Answer other = answer_to(elsewhere);
  expect_failure(other, bad_cert_id);
  EXPECT_EQ(stranger.text, other.text);
  EXPECT_EQ(desk_.refusals.size(), 2U);
}

TEST_F(ScepPendingTest, WhatIsInAPollsEnvelopeIsNotLookedAt) {
  const Bytes good = peer::seal_to(peer::issuer_and_serial(rsa_box().certificate), ra_certificate(), EVP_aes_128_cbc());
  for (const std::size_t from_end : {1U, 17U, 32U}) {
    peer::Request wanted = poll(rsa_box());
    wanted.envelope = good;
    wanted.envelope->at(good.size() - from_end) ^= 1U;
    EXPECT_EQ(answer_to(wanted).status, "3") << from_end;
    wanted.transaction += "x";
    expect_failure(answer_to(wanted), bad_cert_id);
  }
  peer::Request elsewhere = poll(rsa_box());
  elsewhere.envelope = peer::seal_to(to_bytes("x"), rsa_box().certificate, EVP_aes_128_cbc());
  EXPECT_EQ(answer_to(elsewhere).status, "3");
}

TEST_F(ScepPendingTest, IsForgottenInTheEnd) {
  clock_.ahead_ms = scep_pending_lifetime_ms + test::day_ms;
  peer::Request late = poll(rsa_box());
  late.signing_time = static_cast<long>(clock_.ahead_ms / 1000);
  expect_failure(answer_to(late), bad_cert_id);
}

TEST_F(ScepPendingTest, IsHandedOverUnderTheChallengeEvenWhenTheSecretIsOver) {
  const Box box("ML-DSA-65");
  const std::string challenge = desk_.challenge(reference_);
  peer::Request wanted = first(box, challenge);
  EXPECT_EQ(answer_to(wanted).status, "3");
  desk_.approves = true;
  desk_.close(reference_);
  open();
  wanted.type = "20";
  EXPECT_EQ(key_in(opened(answer_to(wanted), challenge)), peer::public_key_info(box.key.get()));
}

TEST_F(ScepPendingTest, TheOldestOfARegistrationMakesRoom) {
  const auto keep = [&](const std::string& transaction, const std::string& reference) {
    test::must(transactions_->keep({.transaction_id = transaction, .signer = Bytes(32, 1), .reference = reference, .ticket = "o-1"}, clock_.now_ms()));
  };
  const auto is_kept = [&](const std::string& transaction) { return test::must(transactions_->find(transaction, Bytes(32, 1), clock_.now_ms())).has_value(); };
  keep("another registration's", "r-1");
  clock_.ahead_ms += 1000;
  for (std::int64_t i = 1; i < scep_pending_max; ++i) keep(std::to_string(i), reference_);
  EXPECT_EQ(answer_to(poll(rsa_box())).status, "3");
  clock_.ahead_ms += 1000;
  keep("one more", reference_);
  expect_failure(answer_to(poll(rsa_box())), bad_cert_id);
  for (const char* transaction : {"1", "63", "one more", "another registration's"}) EXPECT_TRUE(is_kept(transaction)) << transaction;
  EXPECT_EQ(answer_to(wanted_).status, "3") << "the request itself begins anew";
  EXPECT_EQ(answer_to(poll(rsa_box())).status, "3");
}

// ---- GetCert, GetCRL ----

class ScepQuestionTest : public ScepFixture {
 protected:
  ScepQuestionTest() : box_("RSA") { box_.certificate = opened(answer_to(first(box_, desk_.challenge(desk_.enter("box-7")))), box_); }
  Box box_;
};

TEST_F(ScepQuestionTest, AHolderGetsCertificatesByIssuerAndSerial) {
  const Bytes other = desk_
                          .give({.reference = desk_.enter("box-8"),
                                 .key = test::must(crypto::SubjectPublicKey::parse(peer::public_key_info(rsa_box().key.get()))),
                                 .request_hash = Bytes(32, 9)})
                          .certificate;
  for (const Bytes& certificate : {box_.certificate, other}) {
    EXPECT_EQ(opened(answer_to(request(box_, peer::issuer_and_serial(certificate), "21")), box_), certificate);
  }
}

TEST_F(ScepQuestionTest, WhatIsNotGivenOutAndWhatDoesNotOpenAreOneAnswer) {
  std::vector<peer::Answer> answers;
  desk_.by_serial.emplace(Bytes{0x12, 0x67}, box_.certificate);                                       // 4711, the number of the next one,
  answers.push_back(answer_to(request(box_, peer::issuer_and_serial(rsa_box().certificate), "21")));  // which is of another issuer
  answers.push_back(answer_to(request(box_, to_bytes("x"), "21")));
  peer::Request elsewhere = request(box_, {}, "21");
  elsewhere.envelope = peer::seal_to(peer::issuer_and_serial(box_.certificate), rsa_box().certificate, EVP_aes_128_cbc());
  answers.push_back(answer_to(elsewhere));
  peer::Request altered = request(box_, {}, "21");
  altered.envelope = peer::seal_to(peer::issuer_and_serial(box_.certificate), ra_certificate(), EVP_aes_128_cbc());
  altered.envelope->back() ^= 1U;
  altered.envelope->at(altered.envelope->size() - 40) ^= 1U;
  answers.push_back(answer_to(altered));
  // An element's: what it says of its holder is not for others.
  const crypto::PrivateKey key{.algorithm = crypto::KeyAlgorithm::ecdsa_p384, .secret = Secret::copy_of(Bytes(48, 5))};
  const Bytes serial = draw_serial(*ra_.rng);
  const Bytes element = test::must(crypto::issue({.use = crypto::CertificateUse::tls_and_signing,
                                                  .names = {.common_name = "t", .element = test::identity("qanat://a/app1/t"), .number = {}, .dns = {}},
                                                  .key_algorithm = key.algorithm,
                                                  .public_key = test::must(crypto::public_octets(key)),
                                                  .serial = serial,
                                                  .not_before = clock_.now_ms() - 1000,
                                                  .not_after = clock_.now_ms() + test::day_ms},
                                                 &ra_.cas.devices.certificate, ra_.cas.devices.key))
                            .der();
  desk_.by_serial.emplace(serial, element);
  answers.push_back(answer_to(request(box_, peer::issuer_and_serial(element), "21")));
  for (const peer::Answer& answer : answers) {
    expect_failure(answer, bad_cert_id);
    EXPECT_EQ(answer.text, answers.front().text);
  }
}

TEST_F(ScepQuestionTest, StrangersAreNotAnswered) {
  for (const char* type : {"21", "22"}) {
    const peer::Answer answer = answer_to(request(rsa_box(), peer::issuer_and_serial(box_.certificate), type));
    expect_failure(answer, bad_message_check);
  }
  EXPECT_EQ(desk_.refusals.size(), 2U);
}

TEST_F(ScepQuestionTest, AKeyThatDoesNotEncryptGetsNoAnswer) {
  const std::string challenge = desk_.challenge(desk_.enter("box-9"));
  Box box("EC");
  box.certificate = opened(answer_to(first(box, challenge, "box-9")), challenge);
  for (const char* type : {"21", "22"}) expect_failure(answer_to(request(box, peer::issuer_and_serial(box.certificate), type)), bad_alg);
}

TEST_F(ScepQuestionTest, AHolderGetsTheListOfAnIssuer) {
  listed_.push_back({.serial = Bytes(16, 0x41), .revoked_at = clock_.now_ms() - 1000});
  const peer::Answer answer = answer_to(request(box_, peer::issuer_and_serial(box_.certificate), "22"));
  ASSERT_EQ(answer.status, "0") << answer.text;
  const std::vector<Bytes> lists = peer::lists_in(peer::open_with_key(answer.envelope, box_.key.get(), box_.certificate));
  ASSERT_EQ(lists.size(), 1U);
  EXPECT_EQ(test::must(crypto::read_revocation_list(lists.front(), ra_.cas.devices.certificate)).revoked.size(), 1U);
}

TEST_F(ScepQuestionTest, NobodysListIsABadCertId) {
  expect_failure(answer_to(request(box_, peer::issuer_and_serial(rsa_box().certificate), "22")), bad_cert_id);
  expect_failure(answer_to(request(box_, to_bytes("x"), "22")), bad_cert_id);
}

TEST_F(ScepQuestionTest, AListThatIsTooLongIsElsewhere) {
  for (int i = 0; i < 40'000; ++i) {
    Bytes serial(16, 0x41);
    serial[14] = static_cast<std::uint8_t>(i >> 8);
    serial[15] = static_cast<std::uint8_t>(i);
    listed_.push_back({.serial = std::move(serial), .revoked_at = clock_.now_ms() - 1000});
  }
  expect_failure(answer_to(request(box_, peer::issuer_and_serial(box_.certificate), "22")), bad_request);
}

}  // namespace
}  // namespace qanat::cas
