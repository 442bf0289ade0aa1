// Confirmations, polls and the client's error messages that CMP refuses: each with its PKIFailureInfo and on record.
#include "cmp_refusal_fixture.hpp"

namespace qanat::cas {
namespace {

class CmpConfirmationTest : public CmpRefusalFixture {
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

}  // namespace
}  // namespace qanat::cas
