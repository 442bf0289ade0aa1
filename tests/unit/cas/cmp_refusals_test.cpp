// What CMP refuses, each with its PKIFailureInfo and on record: wrong protection, old and repeated messages, what a registration may not, malformed bodies.
// Confirmations and polls are in cmp_confirmation_test.cpp.
#include "cmp_refusal_fixture.hpp"

namespace qanat::cas {
namespace {

class CmpRefusalTest : public CmpRefusalFixture {};

// ---- who asks ----

TEST_F(CmpRefusalTest, WrongSecretAndUnknownReferenceAreAnsweredAlikeAndSigned) {
  const std::string reference = desk_.enter("box-7.example");
  for (const bool known : {true, false}) {
    const std::string named = known ? reference : "r-00000000000000aa";
    CmpClient asking = client();
    with_roots(asking).secret(named, "another").new_key(client_key("EC:P-256"));
    EXPECT_TRUE(asking.request(OSSL_CMP_IR).empty());
    expect_refusal(asking, CmpFailure::bad_message_check, "the MAC does not hold, or there is no registration of this reference");
    if (known) {
      expect_on_record(reference, "ir: the MAC does not hold");
    } else {
      expect_on_record("", "no registration r-00000000000000aa");
    }
  }
  EXPECT_TRUE(desk_.orders.empty());
}

TEST_F(CmpRefusalTest, ReferenceOfAnotherFormIsNotLookedUp) {
  CmpClient asking = client();
  with_roots(asking).secret("'; DROP TABLE registration; --", "another").new_key(client_key("EC:P-256"));
  EXPECT_TRUE(asking.request(OSSL_CMP_IR).empty());
  expect_refusal(asking, CmpFailure::bad_message_check, "the MAC does not hold");
  expect_on_record("", "senderKID is no reference");
}

TEST_F(CmpRefusalTest, ClosedRegistrationIsNone) {
  const std::string reference = desk_.enter("box-7.example");
  desk_.entry(reference).closed = true;
  expect_failure(plain_message(reference), CmpFailure::bad_message_check, "", "the MAC does not hold");
}

TEST_F(CmpRefusalTest, MacsWithSha1AreRefusedByTheirAlgorithm) {
  const std::string reference = desk_.enter("box-7.example");
  const Bytes message = first_message(reference, [](CmpClient& asking) { asking.option(OSSL_CMP_OPT_MAC_ALGNID, NID_hmac_sha1); });
  expect_failure(message, CmpFailure::bad_alg, reference, "not HMAC with SHA-2");
  const Bytes stranger = first_message(reference, [](CmpClient& asking) {
    asking.secret("r-00000000000000aa", "another").option(OSSL_CMP_OPT_MAC_ALGNID, NID_hmac_sha1);
  });
  expect_failure(stranger, CmpFailure::bad_alg, "", "not HMAC with SHA-2");  // or the algorithm would tell which references there are
}

TEST_F(CmpRefusalTest, UnprotectedMessagesAreRefused) {
  const std::string reference = desk_.enter("box-7.example");
  const Bytes message = first_message(reference, [](CmpClient& asking) { asking.option(OSSL_CMP_OPT_UNPROTECTED_SEND, 1); });
  expect_failure(message, CmpFailure::bad_message_check, "", "messages must be protected");
}

TEST_F(CmpRefusalTest, CertificatesThatAreRevokedOrOfOthersSignNothing) {
  const std::string reference = desk_.enter("box-7.example");
  const Held held = enrolled(reference, "ML-DSA-65");
  must(desk_.revoke(held.certificate, 1, "an operator", ""));
  CmpClient revoked = client();
  with_roots(revoked).signer(held.certificate, held.key).new_key(client_key("EC:P-256")).subject("box-7.example");
  EXPECT_TRUE(revoked.request(OSSL_CMP_CR).empty());
  expect_refusal(revoked, CmpFailure::signer_not_trusted, "the certificate is revoked");
  expect_on_record("", "cr: the certificate is revoked");

  // A certificate that another CA made for the same name.
  const DeskDouble elsewhere(*rng_);
  const TestAuthority& authority = elsewhere.authority(Branch::devices);
  const auto key = client_key("EC:P-256");
  const Bytes foreign = must(crypto::issue_subject({.public_key_info = test::public_key_info(key),
                                                    .names = {.common_name = "box-7.example"},
                                                    .usages = {crypto::KeyUsage::digital_signature},
                                                    .serial = draw_serial(*rng_),
                                                    .not_before = clock_.now_ms() - 1000,
                                                    .not_after = clock_.now_ms() + test::day_ms},
                                                   *authority.issuing, authority.key));
  CmpClient stranger = client();
  with_roots(stranger).signer(foreign, key).new_key(key).subject("box-7.example");
  EXPECT_TRUE(stranger.request(OSSL_CMP_CR).empty());
  expect_refusal(stranger, CmpFailure::signer_not_trusted, "was not issued here");
}

TEST_F(CmpRefusalTest, SomeonesCertificateShownWithAnotherKeysSignatureIsRefused) {
  const std::string reference = desk_.enter("box-7.example");
  const Held held = enrolled(reference, "EC:P-256");
  CmpClient asking([&](const Bytes& request) -> std::optional<Bytes> {
    Bytes forged = request;
    const auto at = std::ranges::search(forged, must(crypto::CmpMessage::parse(request)).header().sender_nonce);
    EXPECT_FALSE(at.empty());
    *at.begin() ^= 1U;
    return carry(forged);
  });
  with_roots(asking).signer(held.certificate, held.key).new_key(client_key("EC:P-256")).subject("box-7.example");
  EXPECT_TRUE(asking.request(OSSL_CMP_CR).empty());
  expect_on_record(reference, "cr: message: the signature does not hold under its key");
}

TEST_F(CmpRefusalTest, CertificateMustBeShownInTheFirstMessageAndNeedNotInLaterOnes) {
  const std::string reference = desk_.enter("box-7.example");
  const Held held = enrolled(reference, "ML-DSA-65");
  CmpClient asking([&](const Bytes& request) {
    return carry(must(crypto::CmpMessage::parse(request)).body() == crypto::CmpBody::cert_conf ? with_certificates(request, {}) : request);
  });
  with_roots(asking).signer(held.certificate, held.key).new_key(client_key("EC:P-256")).subject("box-7.example");
  EXPECT_FALSE(asking.request(OSSL_CMP_CR).empty()) << asking.errors();
  CmpClient silent([&](const Bytes& request) { return carry(with_certificates(request, {})); });
  with_roots(silent).signer(held.certificate, held.key).new_key(client_key("EC:P-256")).subject("box-7.example");
  EXPECT_TRUE(silent.request(OSSL_CMP_CR).empty());
  expect_refusal(silent, CmpFailure::signer_not_trusted, "extraCerts must begin");
}

TEST_F(CmpRefusalTest, CertificateBeforeTheSignersHasNoPartInALaterRefusal) {
  const std::string reference = desk_.enter("box-7.example");
  const Held held = enrolled(reference, "EC:P-256");
  desk_.fails_once = Error{ErrorCode::unavailable, "IAM does not answer"};
  CmpClient asking([&](const Bytes& request) { return carry(with_certificates(request, {signers_.at(0)->certificate.der(), held.certificate})); });
  with_roots(asking).signer(held.certificate, held.key).new_key(client_key("EC:P-256")).subject("box-7.example");
  EXPECT_TRUE(asking.request(OSSL_CMP_CR).empty());
  expect_refusal(asking, CmpFailure::system_unavail, "IAM does not answer");
}

// ---- when ----

TEST_F(CmpRefusalTest, OldMessagesAndThoseOfTheFutureAreRefused) {
  const std::string reference = desk_.enter("box-7.example");
  const Bytes message = plain_message(reference);
  clock_.ahead_ms = 310'000;
  expect_failure(message, CmpFailure::bad_time, reference, "s off: clocks differ");
  clock_.ahead_ms = static_cast<UnixMs>(-310'000);
  expect_failure(message, CmpFailure::bad_time, reference, "s off: clocks differ");
  clock_.ahead_ms = 290'000;
  EXPECT_EQ(asked(message).body(), crypto::CmpBody::ip);
}

TEST_F(CmpRefusalTest, MessagesWithoutTimeIdsOrNoncesOfTheirLengthsAreRefused) {
  const std::string reference = desk_.enter("box-7.example");
  const Bytes message = plain_message(reference);
  const auto octets = [](std::size_t size) { return der::element(der::tag_octet_string, Bytes(size, 7)); };
  expect_failure(changed(reference, message, header_element(0, {})), CmpFailure::missing_time_stamp, reference, "messageTime must be there");
  expect_failure(changed(reference, message, header_element(4, octets(15))), CmpFailure::bad_request, reference, "transactionID must have");
  expect_failure(changed(reference, message, header_element(4, {})), CmpFailure::bad_request, reference, "transactionID must have");
  expect_failure(changed(reference, message, header_element(5, octets(15))), CmpFailure::bad_sender_nonce, reference, "senderNonce must have");
  const Change version_1 = [](std::vector<Bytes>& header, Bytes&) { header.front() = der::integer(1); };
  expect_failure(changed(reference, message, version_1), CmpFailure::unsupported_version, "", "version 1");
  EXPECT_EQ(asked(changed(reference, message, header_element(5, octets(16)))).body(), crypto::CmpBody::ip) << "or nothing of this was tried";
}

TEST_F(CmpRefusalTest, TransactionIdIsUsedOnce) {
  const std::string reference = desk_.enter("box-7.example");
  CmpClient asking = client();
  with_secret(asking, reference).new_key(client_key("EC:P-256"));
  ASSERT_FALSE(asking.request(OSSL_CMP_IR).empty());
  // The same message after its transaction is over, in this process and in the next.
  expect_failure(asking.sent().front(), CmpFailure::transaction_id_in_use, reference, "transactionID is in use", crypto::CmpBody::ip);
  start();
  expect_failure(asking.sent().front(), CmpFailure::transaction_id_in_use, reference, "transactionID is in use", crypto::CmpBody::ip);
  // Another message with the id of one that is under way.
  const Bytes first = plain_message(reference);
  EXPECT_EQ(asked(first).body(), crypto::CmpBody::ip);
  const Bytes id = must(crypto::CmpMessage::parse(first)).header().transaction_id;
  const Bytes second = changed(reference, plain_message(reference), header_element(4, der::element(der::tag_octet_string, id)));
  expect_failure(second, CmpFailure::transaction_id_in_use, reference, "transactionID is in use", crypto::CmpBody::ip);
  // The same id of another registration is another transaction.
  const std::string other = desk_.enter("box-8.example");
  EXPECT_EQ(asked(changed(other, plain_message(other), header_element(4, der::element(der::tag_octet_string, id)))).body(), crypto::CmpBody::ip);
}

TEST_F(CmpRefusalTest, TransactionIsOfOneRequestWhateverElseIsTheSame) {
  const std::string reference = desk_.enter("box-7.example");
  const auto key = client_key("EC:P-256");
  const Bytes first = first_message(reference, [&](CmpClient& asking) { asking.new_key(key); });
  EXPECT_EQ(asked(first).body(), crypto::CmpBody::ip);
  // The same key, transactionID and senderNonce, and another name.
  const crypto::CmpHeader header = must(crypto::CmpMessage::parse(first)).header();
  Bytes second = first_message(reference, [&](CmpClient& asking) { asking.new_key(key).dns("box-7.example"); });
  second = changed(reference, second, header_element(4, der::element(der::tag_octet_string, header.transaction_id)));
  second = changed(reference, second, header_element(5, der::element(der::tag_octet_string, header.sender_nonce)));
  expect_failure(second, CmpFailure::transaction_id_in_use, reference, "transactionID is in use", crypto::CmpBody::ip);
  EXPECT_EQ(desk_.orders.size(), 1U);
  EXPECT_EQ(asked(first).body(), crypto::CmpBody::ip) << "the first one stands";
}

TEST_F(CmpRefusalTest, WhoAsksInVainWithoutEndIsStopped) {
  settings_.bounds.kept_of_one_max = 2;
  start();
  const std::string reference = desk_.enter("box-7.example");
  const auto in_vain = [&] { return first_message(reference, [](CmpClient& asking) { asking.subject("box-8.example"); }); };
  for (int i = 0; i < 2; ++i) {
    expect_failure(in_vain(), CmpFailure::bad_cert_template, "", "is not a name of this registration", crypto::CmpBody::ip);
  }
  expect_failure(in_vain(), CmpFailure::system_unavail, reference, "2 transactions of this registration are kept", crypto::CmpBody::ip);
  EXPECT_EQ(asked(plain_message(desk_.enter("box-9.example"))).body(), crypto::CmpBody::ip);
}

TEST_F(CmpRefusalTest, OpenTransactionsOfARegistrationAreBounded) {
  settings_.bounds.open_of_one_max = 2;
  start();
  const std::string reference = desk_.enter("box-7.example");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(asked(plain_message(reference)).body(), crypto::CmpBody::ip);
  expect_failure(plain_message(reference), CmpFailure::system_unavail, reference, "2 transactions of this registration are open", crypto::CmpBody::ip);
  const std::string other = desk_.enter("box-8.example");
  EXPECT_EQ(asked(plain_message(other)).body(), crypto::CmpBody::ip);
  settings_.bounds.open_max = 3;
  start();
  expect_failure(plain_message(desk_.enter("box-9.example")), CmpFailure::system_unavail, "", "3 transactions are open", crypto::CmpBody::ip);
}

// ---- what is asked ----

TEST_F(CmpRefusalTest, PossessionIsProvedByEveryKeyThatCan) {
  const std::string reference = desk_.enter("box-7.example");
  const auto refused = [&](const char* key, int possession, std::string_view why) {
    CmpClient asking = client();
    with_secret(asking, reference).new_key(client_key(key)).option(OSSL_CMP_OPT_POPO_METHOD, possession);
    EXPECT_TRUE(asking.request(OSSL_CMP_IR).empty());
    expect_refusal(asking, CmpFailure::bad_pop, why);
    expect_on_record(reference, why);
  };
  refused("EC:P-256", OSSL_CRMF_POPO_RAVERIFIED, "can sign: its possession is proved");
  refused("ML-DSA-65", OSSL_CRMF_POPO_RAVERIFIED, "can sign: its possession is proved");
  refused("ML-KEM-768", OSSL_CRMF_POPO_KEYENC, "vouched for (raVerified)");
  desk_.entry(reference).ra_vouches = false;
  refused("ML-KEM-768", OSSL_CRMF_POPO_RAVERIFIED, "no RA's word");
  desk_.entry(reference).ra_vouches = true;
  Profile signing_only = box_profile;
  signing_only.encryption_usages = {};
  desk_.entry(reference).profile = &signing_only;
  refused("ML-KEM-768", OSSL_CRMF_POPO_RAVERIFIED, "are not for keys that cannot sign");
  EXPECT_TRUE(desk_.orders.empty());
}

TEST_F(CmpRefusalTest, RequestWithoutPossessionOrKeyIsRefused) {
  const std::string reference = desk_.enter("box-7.example");
  const Bytes message = plain_message(reference);
  const auto rebuilt = [&](const std::function<Bytes(ByteView request)>& make) {
    return changed(reference, message, [&](std::vector<Bytes>&, Bytes& out) {
      der::Reader whole(out);
      const Bytes content = to_bytes(whole.next().value().content);
      const der::Element list = der::only(content, der::tag_sequence, "list").value();
      der::Reader parts(der::only(list.content, der::tag_sequence, "request").value().content);
      out = der::element(der::context(0), der::sequence({der::sequence({make(parts.next().value().whole)})}));
    });
  };
  expect_failure(rebuilt([](ByteView request) { return to_bytes(request); }), CmpFailure::bad_pop, reference, "does not prove possession", crypto::CmpBody::ip);
  const auto empty_template = [](ByteView) { return der::sequence({der::integer(0), der::sequence({})}); };
  expect_failure(rebuilt(empty_template), CmpFailure::bad_cert_template, reference, "keys are made by their holders", crypto::CmpBody::ip);
}

TEST_F(CmpRefusalTest, NamesOutsideTheRegistrationAreTheDesksToRefuse) {
  const std::string reference = desk_.enter("box-7.example");
  CmpClient asking = client();
  with_secret(asking, reference).new_key(client_key("EC:P-256")).subject("box-8.example");
  EXPECT_TRUE(asking.request(OSSL_CMP_IR).empty());
  expect_refusal(asking, CmpFailure::bad_cert_template, "is not a name of this registration");
  EXPECT_TRUE(desk_.refusals.empty()) << "the desk records what it refuses";
  EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::closed);
}

TEST_F(CmpRefusalTest, WeakKeysAreRefused) {
  const std::string reference = desk_.enter("box-7.example");
  CmpClient asking = client();
  with_secret(asking, reference).new_key(client_key("RSA:1024"));
  EXPECT_TRUE(asking.request(OSSL_CMP_IR).empty());
  expect_refusal(asking, CmpFailure::bad_cert_template, "RSA");
}

TEST_F(CmpRefusalTest, KeyUpdateTakesTheCertificateThatIsUpdated) {
  const std::string reference = desk_.enter("box-7.example");
  const Held held = enrolled(reference, "EC:P-256");
  const Held other = enrolled(reference, "EC:P-256");
  CmpClient by_secret = client();
  with_secret(by_secret, reference).new_key(client_key("EC:P-256")).old(held.certificate);
  EXPECT_TRUE(by_secret.request(OSSL_CMP_KUR).empty());
  expect_refusal(by_secret, CmpFailure::wrong_integrity, "signed by the certificate that it takes the place of");
  CmpClient by_another = client();
  with_roots(by_another).signer(other.certificate, other.key).new_key(client_key("EC:P-256")).old(held.certificate);
  EXPECT_TRUE(by_another.request(OSSL_CMP_KUR).empty());
  expect_refusal(by_another, CmpFailure::bad_cert_id, "oldCertID is not the certificate that signed");
}

TEST_F(CmpRefusalTest, ProfileOfTheHeaderOrThePathMustBeTheRegistrations) {
  const std::string reference = desk_.enter("box-7.example");
  const auto refused = [&](CmpClient& asking) {
    EXPECT_TRUE(with_secret(asking, reference).new_key(client_key("EC:P-256")).request(OSSL_CMP_IR).empty());
    expect_refusal(asking, CmpFailure::unaccepted_policy, "for the certificate profile 'box', no other");
  };
  CmpClient by_header = client();
  refused(by_header.profile("cabinet"));
  profile_ = "cabinet";
  CmpClient by_path = client();
  refused(by_path);
  profile_ = "box";
  CmpClient right = client();
  EXPECT_FALSE(with_secret(right.profile("box"), reference).new_key(client_key("EC:P-256")).request(OSSL_CMP_IR).empty()) << right.errors();
}

TEST_F(CmpRefusalTest, RevocationIsForOwnCertificatesAndForGood) {
  const std::string reference = desk_.enter("box-7.example");
  const std::string other = desk_.enter("box-8.example");
  const Held own = enrolled(reference, "EC:P-256");
  const Held foreign = enrolled(other, "EC:P-256");
  const auto refused = [&](const Bytes& certificate, int reason, CmpFailure failure, std::string_view why) {
    CmpClient asking = client();
    with_roots(asking).signer(own.certificate, own.key).old(certificate);
    if (reason >= 0) asking.option(OSSL_CMP_OPT_REVOCATION_REASON, reason);
    EXPECT_FALSE(asking.revoke());
    expect_refusal(asking, failure, why);
  };
  refused(foreign.certificate, 1, CmpFailure::bad_cert_id, "no certificate of this registration");
  expect_on_record(reference, "is of registration " + other);
  refused(own.certificate, 6, CmpFailure::unaccepted_policy, "revocation is for good here");
  refused(own.certificate, 8, CmpFailure::unaccepted_policy, "revocation is for good here");
  refused(signers_.at(0)->certificate.der(), 1, CmpFailure::bad_cert_id, "no certificate of this registration");
  EXPECT_TRUE(desk_.revoked.empty());
  // The same message twice.
  CmpClient asking = client();
  EXPECT_TRUE(with_roots(asking).signer(own.certificate, own.key).old(enrolled(reference, "EC:P-256").certificate).revoke()) << asking.errors();
  expect_failure(asking.sent().front(), CmpFailure::transaction_id_in_use, reference, "transactionID is in use", crypto::CmpBody::rp);
}

TEST_F(CmpRefusalTest, RevocationNamesTheCertificateByItsIssuerToo) {
  const std::string reference = desk_.enter("box-7.example");
  const Held held = enrolled(reference, "EC:P-256");
  const crypto::CmpCertificateId id = must(crypto::cmp_certificate_id(held.certificate));
  const auto rr = [&](const Bytes& issuer) {
    const Bytes wanted = der::sequence({der::element(der::context_primitive(1), id.serial), der::element(der::context(3), issuer)});
    return changed(reference, plain_message(reference), body(crypto::CmpBody::rr, der::sequence({der::sequence({wanted})})));
  };
  const Bytes other = must(crypto::cmp_subject_of(desk_.authority(Branch::ml_dsa).issuing->der()));
  expect_failure(rr(other), CmpFailure::bad_cert_id, "", "no certificate of this registration", crypto::CmpBody::rp);
  expect_on_record(reference, "of this serial has another issuer");
  EXPECT_TRUE(desk_.revoked.empty());
  EXPECT_EQ(asked(rr(id.issuer)).body(), crypto::CmpBody::rp);
  EXPECT_TRUE(desk_.revoked.contains(held.certificate));
}

TEST_F(CmpRefusalTest, MalformedBodiesUnderARightMacAreRefusedAsSuch) {
  const std::string reference = desk_.enter("box-7.example");
  const Bytes message = plain_message(reference);
  const Bytes noise = der::sequence({der::integer(7)});
  const auto refused = [&](crypto::CmpBody kind, const Bytes& content, CmpFailure failure, std::string_view why) {
    expect_failure(changed(reference, message, body(kind, content)), failure, reference, why);
  };
  for (const crypto::CmpBody kind : {crypto::CmpBody::ir, crypto::CmpBody::cr}) refused(kind, noise, CmpFailure::bad_data_format, "CertReqMessages");
  refused(crypto::CmpBody::p10cr, noise, CmpFailure::bad_data_format, "certificate request");
  refused(crypto::CmpBody::rr, noise, CmpFailure::bad_data_format, "RevDetails");
  refused(crypto::CmpBody::genm, noise, CmpFailure::bad_data_format, "InfoTypeAndValue");
  refused(crypto::CmpBody::genm, der::sequence({}), CmpFailure::bad_data_format, "asks nothing");
  refused(crypto::CmpBody::cert_conf, noise, CmpFailure::bad_data_format, "CertStatus");
  refused(crypto::CmpBody::poll_req, noise, CmpFailure::bad_data_format, "PollReqContent");
  refused(crypto::CmpBody::error, noise, CmpFailure::bad_data_format, "ErrorMsgContent");
  for (const crypto::CmpBody kind : {crypto::CmpBody::ip, crypto::CmpBody::pki_conf, crypto::CmpBody::genp, static_cast<crypto::CmpBody>(20)}) {
    refused(kind, noise, CmpFailure::bad_request, "is not taken here");
  }
  // Two requests in one message.
  der::Reader whole(message);
  expect_failure(changed(reference, message,
                         [](std::vector<Bytes>&, Bytes& out) {
                           der::Reader outer(out);
                           const Bytes content = to_bytes(outer.next().value().content);
                           const Bytes one = to_bytes(der::only(content, der::tag_sequence, "list").value().content);
                           out = der::element(der::context(0), der::sequence({one, one}));
                         }),
                 CmpFailure::bad_data_format, reference, "one request in a message is taken");
}

TEST_F(CmpRefusalTest, OctetsThatAreNoMessageGetNoAnswer) {
  const CmpCall call{.profile = "", .deadline = test::soon(), .request_id = ""};
  EXPECT_EQ(test::refusal(server_->answer(as_bytes("GET / HTTP/1.1"), call)), ErrorCode::invalid_argument);
  EXPECT_EQ(test::refusal(server_->answer({}, call)), ErrorCode::invalid_argument);
  EXPECT_TRUE(desk_.refusals.empty());
}

TEST_F(CmpRefusalTest, WhatFailsHereIsNotToldToStrangers) {
  const std::string reference = desk_.enter("box-7.example");
  desk_.fails_once = Error{ErrorCode::internal, "disk /var/lib/qanat is full"};
  const crypto::CmpMessage answer = asked(plain_message(reference));
  EXPECT_EQ(failure_in(answer.content()), static_cast<int>(CmpFailure::system_failure));
  EXPECT_EQ(as_text(answer.content()).find("disk"), std::string_view::npos);
  EXPECT_NE(as_text(answer.content()).find("request 0123456789abcdef"), std::string_view::npos);
}

}  // namespace
}  // namespace qanat::cas
