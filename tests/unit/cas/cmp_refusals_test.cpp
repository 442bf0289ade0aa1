// What CMP refuses, each with its PKIFailureInfo and on record: wrong protection, old and repeated messages, what a registration may not, malformed bodies.
#include "cmp_desk.hpp"
#include "crypto/cmp_der.hpp"

namespace qanat::cas {
namespace {

namespace der = crypto::cmp_der;

class CmpRefusalTest : public CmpFixture {
 protected:
  /// The first message of a client that gets no answer.
  Bytes first_message(const std::string& reference, const std::function<void(CmpClient&)>& prepare, int kind = OSSL_CMP_IR) {
    CmpClient asking([](const Bytes&) { return std::nullopt; });
    with_secret(asking, reference).new_key(client_key("EC:P-256"));
    prepare(asking);
    asking.request(kind);
    EXPECT_EQ(asking.sent().size(), 1U) << asking.errors();
    return asking.sent().front();
  }
  Bytes plain_message(const std::string& reference) {
    return first_message(reference, [](CmpClient&) {});
  }

  using Change = std::function<void(std::vector<Bytes>& header, Bytes& body)>;
  /// The message with its header's elements and its body changed, and a MAC that holds.
  Bytes changed(const std::string& reference, const Bytes& message, const Change& change) {
    der::Reader parts(der::only(message, der::tag_sequence, "message").value().content);
    std::vector<Bytes> header;
    der::Reader elements(parts.next().value().content);
    Bytes parameters;
    while (!elements.at_end()) {
      const der::Element element = elements.next().value();
      header.push_back(to_bytes(element.whole));
      if (element.tag != der::context(1)) continue;
      der::Reader algorithm(der::inside(element, der::tag_sequence, "algorithm").value().content);
      static_cast<void>(algorithm.next());
      parameters = to_bytes(algorithm.next().value().whole);
    }
    Bytes body = to_bytes(parts.next().value().whole);
    change(header, body);
    Bytes joined;
    for (const Bytes& element : header) append(joined, element);
    const Bytes header_der = der::sequence({joined});
    const Bytes part = der::sequence({header_der, body});
    const unsigned char* at = parameters.data();
    const std::unique_ptr<OSSL_CRMF_PBMPARAMETER, test::OpensslDeleter<OSSL_CRMF_PBMPARAMETER_free>> native(
        d2i_OSSL_CRMF_PBMPARAMETER(nullptr, &at, static_cast<long>(parameters.size())));
    const std::string secret = desk_.secret_text(reference);
    unsigned char* mac = nullptr;
    std::size_t size = 0;
    EXPECT_EQ(OSSL_CRMF_pbm_new(nullptr, nullptr, native.get(), part.data(), part.size(), as_bytes(secret).data(), secret.size(), &mac, &size), 1);
    const Bytes protection(mac, mac + size);
    OPENSSL_free(mac);
    return der::sequence({header_der, body, der::element(der::context(0), der::bit_string(protection))});
  }
  /// Replaces the header's element of this tag; with nothing: takes it out.
  static Change header_element(unsigned number, const Bytes& content) {
    return [number, content](std::vector<Bytes>& header, Bytes&) {
      for (std::size_t i = 3; i < header.size(); ++i) {  // behind pvno, sender and recipient, whose names have tags of their own
        if (header[i].front() == der::context(number)) header[i] = content.empty() ? Bytes() : der::element(der::context(number), content);
      }
    };
  }
  static Change body(crypto::CmpBody kind, const Bytes& content) {
    return [kind, content](std::vector<Bytes>&, Bytes& body) { body = der::element(der::context(static_cast<unsigned>(kind)), content); };
  }

  /// The message with these extraCerts, which nothing protects, in place of its own.
  static Bytes with_certificates(const Bytes& message, const std::vector<Bytes>& certificates) {
    der::Reader parts(der::only(message, der::tag_sequence, "message").value().content);
    const Bytes header = to_bytes(parts.next().value().whole);
    const Bytes body = to_bytes(parts.next().value().whole);
    const Bytes protection = to_bytes(parts.next().value().whole);
    const Bytes extra = certificates.empty() ? Bytes() : der::element(der::context(1), crypto::cmp_list_value(certificates));
    return der::sequence({header, body, protection, extra});
  }
  /// The answer to octets that our client does not make.
  crypto::CmpMessage asked(const Bytes& message) { return must(crypto::CmpMessage::parse(carry(message).value())); }
  /// The bit of failInfo in an answer: of the only BIT STRING in a refusal. -1: there is none.
  static int failure_in(ByteView content) {
    der::Reader elements(content);
    while (!elements.at_end()) {
      const auto element = elements.next();
      if (!element) return -1;
      if (element->tag == der::tag_bit_string && element->content.size() >= 2) {
        return static_cast<int>(8 * (element->content.size() - 2)) + 7 - element->content.front();
      }
      const bool constructed = (element->tag & 0x20U) != 0;
      if (const int inside = constructed ? failure_in(element->content) : -1; inside >= 0) return inside;
    }
    return -1;
  }
  void expect_failure(const Bytes& message, CmpFailure failure, const std::string& reference, std::string_view why,
                      crypto::CmpBody kind = crypto::CmpBody::error) {
    const crypto::CmpMessage answer = asked(message);
    EXPECT_EQ(answer.body(), kind) << why;
    EXPECT_EQ(failure_in(answer.content()), static_cast<int>(failure)) << to_hex(answer.content());
    EXPECT_NE(as_text(answer.content()).find(why), std::string_view::npos) << as_text(answer.content());
    if (!reference.empty()) expect_on_record(reference, why);
  }
};

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

// ---- confirmation and polling ----

class CmpConfirmationTest : public CmpRefusalTest {
 protected:
  CmpConfirmationTest() : reference_(desk_.enter("box-7.example")), request_(plain_message(reference_)) {
    const crypto::CmpMessage answer = asked(request_);
    nonce_ = answer.header().sender_nonce;
    EXPECT_EQ(answer.body(), crypto::CmpBody::ip);
    certificate_ = desk_.issued_for(desk_.orders.back().request_hash);
  }
  /// A certConf for the certificate; what goes into it may be changed.
  Bytes confirmation(const Bytes& hash, std::int64_t id, const Bytes& nonce) {
    const Bytes status = der::sequence({der::element(der::tag_octet_string, hash), der::integer(id)});
    return with_nonce(crypto::CmpBody::cert_conf, der::sequence({status}), nonce);
  }
  Bytes with_nonce(crypto::CmpBody kind, const Bytes& content, const Bytes& nonce) {
    return changed(reference_, request_, [&](std::vector<Bytes>& header, Bytes& out) {
      body(kind, content)(header, out);
      const auto after = std::ranges::find_if(header, [](const Bytes& element) { return element.front() == der::context(5); });
      if (!nonce.empty()) header.insert(after + 1, der::element(der::context(6), der::element(der::tag_octet_string, nonce)));
    });
  }
  [[nodiscard]] Bytes hash() const { return crypto::digest(crypto::Hash::sha384, certificate_); }  // of an ECDSA P-384 signature

  std::string reference_;
  Bytes request_;
  Bytes nonce_;
  Bytes certificate_;
};

TEST_F(CmpConfirmationTest, HoldsOnlyWithHashIdAndNonceOfItsOwn) {
  expect_failure(confirmation(hash(), 0, {}), CmpFailure::bad_recipient_nonce, reference_, "recipNonce is not that of the answer before");
  expect_failure(confirmation(hash(), 0, Bytes(16, 9)), CmpFailure::bad_recipient_nonce, reference_, "recipNonce is not that of the answer before");
  expect_failure(confirmation(hash(), 1, nonce_), CmpFailure::bad_request, reference_, "certReqId is not that of the request");
  const Bytes another = crypto::digest(crypto::Hash::sha384, request_);
  expect_failure(confirmation(another, 0, nonce_), CmpFailure::bad_cert_id, reference_, "certHash is not that of the certificate");
  EXPECT_EQ(state_of(reference_, request_), CmpState::unconfirmed);
  EXPECT_EQ(asked(confirmation(hash(), 0, nonce_)).body(), crypto::CmpBody::pki_conf);
  EXPECT_EQ(state_of(reference_, request_), CmpState::closed);
  expect_failure(confirmation(hash(), 0, nonce_), CmpFailure::cert_confirmed, reference_, "was confirmed or given back already");
  EXPECT_TRUE(desk_.revoked.empty());
}

TEST_F(CmpConfirmationTest, OfNothingGivesTheCertificateBack) {
  EXPECT_EQ(asked(with_nonce(crypto::CmpBody::cert_conf, der::sequence({}), nonce_)).body(), crypto::CmpBody::pki_conf);
  EXPECT_TRUE(desk_.revoked.contains(certificate_));
}

TEST_F(CmpConfirmationTest, AnErrorMessageGivesTheCertificateBack) {
  const Bytes content = crypto::cmp_error_content({.value = crypto::CmpStatus::Value::rejection, .failure = {}, .text = "no longer\nwanted"});
  EXPECT_EQ(asked(with_nonce(crypto::CmpBody::error, content, nonce_)).body(), crypto::CmpBody::pki_conf);
  ASSERT_TRUE(desk_.revoked.contains(certificate_));
  EXPECT_EQ(desk_.revoked.at(certificate_).second, reference_ + " (error: no longer?wanted)") << "on one line";
}

TEST_F(CmpConfirmationTest, ComesTooLateOnceTheTimeIsOver) {
  clock_.ahead_ms = 299'000;
  settings_.confirm_wait = std::chrono::seconds(200);
  start();
  must(server_->sweep());
  EXPECT_TRUE(desk_.revoked.empty()) << "what was promised to the client stands";
  settings_.clock_skew = std::chrono::seconds(3600);
  start();
  clock_.ahead_ms = 301'000;
  must(server_->sweep());
  EXPECT_TRUE(desk_.revoked.contains(certificate_));
  expect_failure(confirmation(hash(), 0, nonce_), CmpFailure::cert_confirmed, reference_, "was confirmed or given back already");
}

TEST_F(CmpConfirmationTest, ComesTooLateWhileTheRevocationIsUnderWay) {
  settings_.clock_skew = std::chrono::seconds(3600);
  start();
  clock_.ahead_ms = 301'000;
  desk_.before_revocation = [&] {
    expect_failure(confirmation(hash(), 0, nonce_), CmpFailure::bad_request, reference_, "no certificate of this transaction waits for confirmation");
  };
  must(server_->sweep());
  EXPECT_TRUE(desk_.revoked.contains(certificate_));
}

TEST_F(CmpConfirmationTest, OfATransactionThatTheSecretBeganIsUnderTheSecret) {
  const Held held = enrolled(reference_, "EC:P-256");
  CmpClient asking([&](const Bytes& request) {
    const crypto::CmpMessage own = must(crypto::CmpMessage::parse(request));
    if (own.body() != crypto::CmpBody::cert_conf) return carry(request);
    // As if the registration's secret, not the holder's certificate, had protected the messages before.
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run("UPDATE cmp_transaction SET signer = NULL WHERE id = ?", {ByteView(own.header().transaction_id)}));
      return {};
    }));
    return carry(request);
  });
  with_roots(asking).signer(held.certificate, held.key).new_key(client_key("EC:P-256")).subject("box-7.example");
  EXPECT_TRUE(asking.request(OSSL_CMP_CR).empty());
  expect_on_record(reference_, "this transaction was begun under another protection");
  EXPECT_EQ(state_of(reference_, asking.sent().front()), CmpState::unconfirmed);
}

TEST_F(CmpConfirmationTest, OfAnotherTransactionOrUnderAnotherProtectionIsRefused) {
  const Bytes unknown = der::element(der::tag_octet_string, Bytes(16, 3));
  const Bytes message = changed(reference_, confirmation(hash(), 0, nonce_), header_element(4, unknown));
  expect_failure(message, CmpFailure::bad_request, reference_, "there is no transaction with this transactionID");
  // The holder of a certificate of the same registration goes on with what the secret began.
  const Held held = enrolled(reference_, "EC:P-256");
  bool first = true;
  CmpClient asking([&](const Bytes& request) -> std::optional<Bytes> {
    if (!std::exchange(first, false)) return carry(request);
    const crypto::CmpMessage own = must(crypto::CmpMessage::parse(request));
    const Bytes id = own.header().transaction_id;
    must(records_->begin({.reference = reference_, .id = id, .kind = "cr", .request_hash = Bytes(32, 1), .first_nonce = Bytes(16, 1)}, {}));
    return carry(request);
  });
  with_roots(asking).signer(held.certificate, held.key).new_key(client_key("EC:P-256")).subject("box-7.example");
  EXPECT_TRUE(asking.request(OSSL_CMP_CR).empty());
  expect_refusal(asking, CmpFailure::transaction_id_in_use, "transactionID is in use");
}

TEST_F(CmpConfirmationTest, PollsAreForWhatIsWaitedFor) {
  const Bytes poll = der::sequence({der::sequence({der::integer(0)})});
  expect_failure(with_nonce(crypto::CmpBody::poll_req, poll, nonce_), CmpFailure::bad_request, reference_, "nothing of this transaction is waited for");
  const std::string waiting = desk_.enter("box-8.example", Approval::four_eyes);
  reference_ = waiting;
  request_ = plain_message(waiting);
  const crypto::CmpMessage answer = asked(request_);
  nonce_ = answer.header().sender_nonce;
  const Bytes other = der::sequence({der::sequence({der::integer(1)})});
  expect_failure(with_nonce(crypto::CmpBody::poll_req, other, nonce_), CmpFailure::bad_request, waiting, "certReqId is not that of the request that waits");
  // An answer that was lost on the way: the client asks again as it did, and the nonce before is still good.
  const crypto::CmpMessage lost = asked(with_nonce(crypto::CmpBody::poll_req, poll, nonce_));
  EXPECT_EQ(lost.body(), crypto::CmpBody::poll_rep);
  const crypto::CmpMessage again = asked(with_nonce(crypto::CmpBody::poll_req, poll, nonce_));
  EXPECT_EQ(again.body(), crypto::CmpBody::poll_rep);
  expect_failure(with_nonce(crypto::CmpBody::poll_req, poll, nonce_), CmpFailure::bad_recipient_nonce, waiting, "recipNonce");
  expect_failure(confirmation(hash(), 0, again.header().sender_nonce), CmpFailure::bad_request, waiting, "no certificate of this transaction waits");
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
