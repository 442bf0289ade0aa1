// CMP before a desk: every command of OpenSSL's client, and its certificates' confirmation. What is refused is in cmp_refusals_test.cpp.
#include "cmp_desk.hpp"
#include "services/cas/device_authority.hpp"

namespace qanat::cas {
namespace {

class CmpTest : public CmpFixture {};
class CmpKeysTest : public CmpFixture, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Keys, CmpKeysTest, testing::Values("EC:P-256", "EC:P-384", "RSA:2048", "SM2", "ML-DSA-65", "ML-DSA-87", "ML-KEM-768"),
                         [](const auto& info) {
                           std::string out(info.param);
                           std::erase_if(out, [](char c) { return c == '-' || c == ':'; });
                           return out;
                         });

TEST_P(CmpKeysTest, InitialRequestUnderTheSecretGetsACertificateAndItsConfirmationIsOnRecord) {
  const std::string reference = desk_.enter("box-7.example");
  const auto key = client_key(GetParam());
  CmpClient asking = client();
  with_secret(asking, reference).new_key(key).subject("box-7.example").dns("box-7.example");
  const bool cannot_sign = std::string_view(GetParam()).starts_with("ML-KEM");
  if (cannot_sign) asking.option(OSSL_CMP_OPT_POPO_METHOD, OSSL_CRMF_POPO_RAVERIFIED);
  const Bytes certificate = asking.request(OSSL_CMP_IR);
  ASSERT_FALSE(certificate.empty()) << asking.errors();
  EXPECT_EQ(asking.status(), OSSL_CMP_PKISTATUS_accepted);
  EXPECT_EQ(X509_check_private_key(test::client_certificate(certificate).get(), key.get()), 1);
  ASSERT_EQ(desk_.orders.size(), 1U);
  const Asked& asked = desk_.orders.front();
  EXPECT_EQ(asked.reference, reference);
  EXPECT_EQ(asked.protocol, Protocol::cmp);
  EXPECT_EQ(asked.possession, cannot_sign ? Possession::vouched : Possession::proved);
  EXPECT_EQ(asked.names, (crypto::AskedNames{.common_name = "box-7.example", .dns = {"box-7.example"}}));
  EXPECT_TRUE(asked.renews.empty());
  EXPECT_EQ(asking.sent().size(), 2U) << "ir and certConf";
  EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::closed);
  const Branch branch = desk_.branch_for(asked.key.algorithm());
  EXPECT_EQ(asking.extra_certificates(), std::vector<Bytes>{desk_.authority(branch).issuing->der()});
  const std::vector<Bytes> trusted = asking.ca_certificates();
  EXPECT_EQ(trusted.size(), 3U);
  EXPECT_NE(std::ranges::find(trusted, desk_.authority(branch).root->der()), trusted.end()) << "what the secret protects may be trusted as a root";
  // Long after, nothing becomes of it.
  clock_.ahead_ms = test::day_ms;
  must(server_->sweep());
  EXPECT_TRUE(desk_.revoked.empty());
  EXPECT_TRUE(desk_.refusals.empty());
}

TEST_P(CmpKeysTest, SignedRequestIsAnsweredByASignatureThatTheRootCovers) {
  if (std::string_view(GetParam()).starts_with("ML-KEM")) return;  // its holder signs nothing
  const std::string reference = desk_.enter("box-7.example");
  const Held held = enrolled(reference, GetParam());
  const auto key = client_key(GetParam());
  CmpClient asking = client();
  with_roots(asking).signer(held.certificate, held.key).new_key(key).subject("box-7.example");
  const Bytes certificate = asking.request(OSSL_CMP_CR);
  ASSERT_FALSE(certificate.empty()) << asking.errors();
  EXPECT_EQ(desk_.orders.back().renews, held.certificate);
  EXPECT_EQ(desk_.orders.back().reference, reference);
  EXPECT_TRUE(asking.ca_certificates().empty()) << "a signature makes no root trusted";
  const bool ml_dsa = std::string_view(GetParam()).starts_with("ML-DSA");
  EXPECT_EQ(asking.extra_certificates().front(), signers_.at(ml_dsa ? 0 : 1)->certificate.der());
  EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::closed);
}

TEST_P(CmpKeysTest, KeyUpdateIsSignedByTheCertificateThatItReplaces) {
  if (std::string_view(GetParam()).starts_with("ML-KEM")) return;
  const std::string reference = desk_.enter("box-7.example");
  const Held held = enrolled(reference, GetParam());
  CmpClient asking = client();
  with_roots(asking).signer(held.certificate, held.key).new_key(client_key(GetParam()));
  const Bytes certificate = asking.request(OSSL_CMP_KUR);
  ASSERT_FALSE(certificate.empty()) << asking.errors();
  EXPECT_NE(certificate, held.certificate);
  EXPECT_EQ(desk_.orders.back().renews, held.certificate);
  EXPECT_EQ(desk_.orders.back().names.common_name, "box-7.example") << "the client takes the names over";
}

TEST_P(CmpKeysTest, Pkcs10IsTakenUnderTheSecret) {
  if (std::string_view(GetParam()).starts_with("ML-KEM")) return;
  const std::string reference = desk_.enter("box-7.example");
  CmpClient asking = client();
  with_secret(asking, reference).csr(client_key(GetParam()), "box-7.example");
  ASSERT_FALSE(asking.request(OSSL_CMP_P10CR).empty()) << asking.errors();
  EXPECT_EQ(desk_.orders.back().names.common_name, "box-7.example");
  EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::closed);
}

TEST_F(CmpTest, ClientIsToldThatItsNamesAreOthersThanItAskedFor) {
  const std::string reference = desk_.enter("box-7.example");
  CmpClient asking = client();
  with_secret(asking, reference).new_key(client_key("EC:P-256")).subject("box-7.example");
  ASSERT_FALSE(asking.request(OSSL_CMP_IR).empty()) << asking.errors();
  EXPECT_EQ(asking.status(), OSSL_CMP_PKISTATUS_grantedWithMods) << "the DNS name was not asked for";
}

TEST_F(CmpTest, CertificateThatTheClientRejectsIsRevoked) {
  const std::string reference = desk_.enter("box-7.example");
  CmpClient asking = client();
  with_secret(asking, reference).new_key(client_key("ML-DSA-65")).rejects_certificates();
  EXPECT_TRUE(asking.request(OSSL_CMP_IR).empty());
  EXPECT_EQ(asking.status(), OSSL_CMP_PKISTATUS_rejected_by_client) << asking.errors();
  ASSERT_EQ(desk_.revoked.size(), 1U);
  EXPECT_EQ(desk_.revoked.begin()->second.second, reference + " (certConf: rejected: it does not please)");
  EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::closed);
}

TEST_F(CmpTest, CertificateThatIsNotConfirmedInTimeIsRevokedAlsoAfterARestart) {
  const std::string reference = desk_.enter("box-7.example");
  CmpClient asking = client();
  with_secret(asking, reference).new_key(client_key("ML-DSA-65")).option(OSSL_CMP_OPT_DISABLE_CONFIRM, 1);
  const Bytes certificate = asking.request(OSSL_CMP_IR);
  ASSERT_FALSE(certificate.empty()) << asking.errors();
  EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::unconfirmed);
  clock_.ahead_ms = 290'000;
  must(server_->sweep());
  EXPECT_TRUE(desk_.revoked.empty());
  start();
  clock_.ahead_ms = 310'000;
  must(server_->sweep());
  ASSERT_TRUE(desk_.revoked.contains(certificate));
  EXPECT_EQ(desk_.revoked.at(certificate).second, reference + " (not confirmed in time)");
  EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::closed);
  // And in the end nothing is kept of it.
  clock_.ahead_ms = test::day_ms;
  must(server_->sweep());
  const auto id = must(crypto::CmpMessage::parse(asking.sent().front())).header().transaction_id;
  EXPECT_FALSE(must(records_->find(reference, id)));
}

TEST_F(CmpTest, CertificateThatWasIssuedWhenTheProcessEndedBeforeItWasGivenIsRevoked) {
  const std::string reference = desk_.enter("box-7.example");
  const Bytes hash(32, 7);
  const auto key = client_key("EC:P-256");
  const Asked asked{.protocol = Protocol::cmp,
                    .reference = reference,
                    .key = must(crypto::SubjectPublicKey::parse(test::public_key_info(key))),
                    .request_hash = hash};
  must(records_->begin({.reference = reference,
                        .id = Bytes(16, 1),
                        .kind = "ir",
                        .request_hash = hash,
                        .key_hash = key_hash_of(asked.key.octets()),
                        .began = clock_.now_ms(),
                        .first_nonce = Bytes(16, 2),
                        .due = clock_.now_ms() + 1000},
                       {}));
  const Outcome outcome = must(desk_.order(asked, test::soon(), ""));
  start();
  must(server_->sweep());
  EXPECT_TRUE(desk_.revoked.empty());
  clock_.ahead_ms = 2000;
  must(server_->sweep());
  EXPECT_TRUE(desk_.revoked.contains(std::get<Given>(outcome).certificate));
}

TEST_F(CmpTest, OneThatCannotBeRevokedDoesNotKeepOthersFromIt) {
  const std::string reference = desk_.enter("box-7.example");
  // A certificate that the desk does not know: find() fails.
  CmpTransaction begun{.reference = reference, .id = Bytes(16, 1), .kind = "ir", .request_hash = Bytes(32, 1), .first_nonce = Bytes(16, 2), .due = 1};
  begun.state = CmpState::unconfirmed;
  begun.serial = Bytes(16, 9);
  must(records_->begin(begun, {}));
  CmpTransaction over{.reference = reference, .id = Bytes(16, 2), .kind = "rr", .request_hash = Bytes(32, 2), .first_nonce = Bytes(16, 2), .due = 2};
  over.state = CmpState::closed;
  must(records_->begin(over, {}));
  EXPECT_EQ(test::refusal(server_->sweep()), ErrorCode::not_found);
  EXPECT_FALSE(must(records_->find(reference, Bytes(16, 2))));
  EXPECT_FALSE(must(server_->sweep())) << "it is tried again later";
  EXPECT_TRUE(must(records_->find(reference, Bytes(16, 1))));
}

TEST_F(CmpTest, TransactionGoesOnFromTheStateAloneThatItWasFoundIn) {
  CmpTransaction begun{.reference = "r-1", .id = Bytes(16, 1), .kind = "ir", .request_hash = Bytes(32, 1), .first_nonce = Bytes(16, 2)};
  must(records_->begin(begun, {}));
  begun.state = CmpState::closed;
  EXPECT_EQ(test::refusal(records_->move(begun, CmpState::unconfirmed)), ErrorCode::conflict);
  EXPECT_EQ(must(records_->find("r-1", begun.id))->state, CmpState::asked);
  must(records_->move(begun, CmpState::asked));
  EXPECT_EQ(test::refusal(records_->move(begun, CmpState::asked)), ErrorCode::conflict) << "one of two comes first";
}

TEST_F(CmpTest, ImplicitConfirmationIsGrantedWhereTheSettingsSaySo) {
  const std::string reference = desk_.enter("box-7.example");
  for (const bool granted : {true, false}) {
    settings_.implicit_confirm = granted;
    start();
    CmpClient asking = client();
    with_secret(asking, reference).new_key(client_key("EC:P-256")).implicit_confirm();
    const Bytes certificate = asking.request(OSSL_CMP_IR);
    ASSERT_FALSE(certificate.empty()) << asking.errors();
    EXPECT_EQ(asking.sent().size(), granted ? 1U : 2U);
    EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::closed);
    // The answer was lost: the same message gets the same certificate while it is fresh.
    const auto again = must(crypto::CmpMessage::parse(carry(asking.sent().front()).value()));
    EXPECT_EQ(again.body(), crypto::CmpBody::ip);
    EXPECT_EQ(std::ranges::search(again.content(), certificate).empty(), !granted);
  }
  clock_.ahead_ms = test::day_ms;
  must(server_->sweep());
  EXPECT_TRUE(desk_.revoked.empty());
}

TEST_F(CmpTest, SameMessageAgainGetsTheSameCertificateAndOneConfirmationIsEnough) {
  const std::string reference = desk_.enter("box-7.example");
  CmpClient asking([&](const Bytes& request) -> std::optional<Bytes> {
    const std::optional<Bytes> first = carry(request);
    if (must(crypto::CmpMessage::parse(request)).body() != crypto::CmpBody::ir) return first;
    start();  // the first answer was lost, and the process ended
    return carry(request);
  });
  with_secret(asking, reference).new_key(client_key("EC:P-256"));
  const Bytes certificate = asking.request(OSSL_CMP_IR);
  ASSERT_FALSE(certificate.empty()) << asking.errors();
  ASSERT_EQ(desk_.orders.size(), 2U);
  EXPECT_EQ(desk_.orders[0].request_hash, desk_.orders[1].request_hash);
  EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::closed);
}

TEST_F(CmpTest, DeskThatIsNotReadyLeavesTheTransactionForTheSameMessage) {
  const std::string reference = desk_.enter("box-7.example");
  desk_.fails_once = Error{ErrorCode::unavailable, "IAM does not answer"};
  CmpClient asking = client();
  with_secret(asking, reference).new_key(client_key("EC:P-256"));
  EXPECT_TRUE(asking.request(OSSL_CMP_IR).empty());
  expect_refusal(asking, CmpFailure::system_unavail, "IAM does not answer");
  EXPECT_TRUE(desk_.refusals.empty()) << "the desk records what it refuses";
  const auto again = must(crypto::CmpMessage::parse(carry(asking.sent().front()).value()));
  EXPECT_EQ(again.body(), crypto::CmpBody::ip);
  EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::unconfirmed);
}

// ---- operators must approve ----

TEST_F(CmpTest, ClientPollsUntilOperatorsHaveApproved) {
  const std::string reference = desk_.enter("box-7.example", Approval::four_eyes);
  for (const int kind : {OSSL_CMP_IR, OSSL_CMP_P10CR}) {
    desk_.approves = false;
    CmpClient asking = client();
    const auto key = client_key("ML-DSA-65");
    with_secret(asking, reference);
    if (kind == OSSL_CMP_IR) {
      asking.new_key(key).subject("box-7.example");
    } else {
      asking.csr(key, "box-7.example");
    }
    EXPECT_FALSE(asking.try_request(kind)) << asking.errors();
    EXPECT_EQ(asking.status(), OSSL_CMP_PKISTATUS_waiting) << asking.errors();
    EXPECT_EQ(asking.check_after(), 7);
    EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::waiting);
    start();
    EXPECT_FALSE(asking.try_request(kind));
    desk_.approves = true;
    const auto certificate = asking.try_request(kind);
    ASSERT_TRUE(certificate && !certificate->empty()) << asking.errors();
    EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::closed);
  }
}

TEST_F(CmpTest, ClientLearnsThatOperatorsRejectedIt) {
  const std::string reference = desk_.enter("box-7.example", Approval::four_eyes);
  CmpClient asking = client();
  with_secret(asking, reference).new_key(client_key("EC:P-256"));
  EXPECT_FALSE(asking.try_request(OSSL_CMP_IR));
  desk_.rejects = true;
  EXPECT_EQ(asking.try_request(OSSL_CMP_IR), Bytes());
  expect_refusal(asking, CmpFailure::not_authorized, "two operators said no");
  EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::closed);
}

TEST_F(CmpTest, CertificateThatIsApprovedForAClientThatHasGoneIsRevoked) {
  const std::string reference = desk_.enter("box-7.example", Approval::four_eyes);
  CmpClient asking = client();
  with_secret(asking, reference).new_key(client_key("EC:P-256"));
  EXPECT_FALSE(asking.try_request(OSSL_CMP_IR));
  clock_.ahead_ms = 8 * test::day_ms;
  must(server_->sweep());
  EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::waiting) << "operators may take their time";
  desk_.approves = true;
  clock_.ahead_ms = 10 * test::day_ms;
  must(server_->sweep());
  EXPECT_EQ(desk_.revoked.size(), 1U);
  EXPECT_EQ(state_of(reference, asking.sent().front()), CmpState::closed);
}

// ---- revocation ----

TEST_F(CmpTest, CertificatesOfTheRegistrationAreRevokedByAnyOfThemAndByItsSecret) {
  const std::string reference = desk_.enter("box-7.example");
  const Held first = enrolled(reference, "ML-DSA-65");
  const Held second = enrolled(reference, "EC:P-256");
  const Held third = enrolled(reference, "SM2");
  const auto revoked = [&](CmpClient& asking, const Bytes& certificate, int reason) {
    if (reason >= 0) asking.option(OSSL_CMP_OPT_REVOCATION_REASON, reason);
    EXPECT_TRUE(asking.old(certificate).revoke()) << asking.errors();
    ASSERT_TRUE(desk_.revoked.contains(certificate));
    EXPECT_EQ(desk_.revoked.at(certificate).first, std::max(reason, 0));
    EXPECT_EQ(desk_.revoked.at(certificate).second, reference);
  };
  CmpClient by_another = client();
  revoked(with_roots(by_another).signer(first.certificate, first.key), second.certificate, 4);
  CmpClient by_itself = client();
  revoked(with_roots(by_itself).signer(first.certificate, first.key), first.certificate, 1);
  CmpClient by_secret = client();
  revoked(with_secret(by_secret, reference), third.certificate, -1);
}

// ---- information ----

TEST_F(CmpTest, InformationIsGivenInTheFormsThatOpensslAsksFor) {
  const std::string reference = desk_.enter("box-7.example");
  const auto asks = [&](const std::function<int(OSSL_CMP_CTX*)>& ask) {
    CmpClient asking = client();
    with_secret(asking, reference);
    EXPECT_EQ(ask(asking.native()), 1) << OSSL_CMP_CTX_get_status(asking.native());
  };
  asks([&](OSSL_CMP_CTX* context) {
    STACK_OF(X509)* certificates = nullptr;
    const int done = OSSL_CMP_get1_caCerts(context, &certificates);
    const std::vector<Bytes> got = CmpClient::list(test::ClientCertificates(certificates));
    EXPECT_EQ(got, (std::vector<Bytes>{desk_.authority(Branch::ml_dsa).issuing->der(), desk_.authority(Branch::classical).issuing->der(),
                                       desk_.authority(Branch::devices).issuing->der()}));
    return done;
  });
  asks([&](OSSL_CMP_CTX* context) {
    X509* newer = nullptr;
    const auto root = test::client_certificate(desk_.authority(Branch::ml_dsa).root->der());
    const int done = OSSL_CMP_get1_rootCaKeyUpdate(context, root.get(), &newer, nullptr, nullptr);
    EXPECT_EQ(newer, nullptr) << "no root has a successor";
    return done;
  });
  asks([&](OSSL_CMP_CTX* context) {
    OSSL_CRMF_CERTTEMPLATE* wanted = nullptr;
    OSSL_CMP_ATAVS* keys = nullptr;
    const int done = OSSL_CMP_get1_certReqTemplate(context, &wanted, &keys);
    EXPECT_NE(wanted, nullptr);
    const X509_NAME* subject = OSSL_CRMF_CERTTEMPLATE_get0_subject(wanted);
    std::array<char, 64> text{};
    EXPECT_GT(X509_NAME_get_text_by_NID(const_cast<X509_NAME*>(subject), NID_commonName, text.data(), static_cast<int>(text.size())), 0);
    EXPECT_STREQ(text.data(), "box-7.example");
    EXPECT_EQ(OSSL_CMP_ATAV_get_rsaKeyLen(sk_OSSL_CMP_ATAV_value(keys, 0)), 3072);
    EXPECT_EQ(static_cast<std::size_t>(sk_OSSL_CRMF_ATTRIBUTETYPEANDVALUE_num(keys)), all_subject_keys.size());
    OSSL_CRMF_CERTTEMPLATE_free(wanted);
    sk_OSSL_CRMF_ATTRIBUTETYPEANDVALUE_pop_free(keys, OSSL_CRMF_ATTRIBUTETYPEANDVALUE_free);
    return done;
  });
}

TEST_F(CmpTest, OpensslTakesTheUpdateOfTheRootThatItNamesAndOfNoOther) {
  const UnixMs now = clock_.now_ms();
  const Authority old = must(make_device_authority("Test", now, *rng_));
  const NextDevices next = must(make_next_device_authority(old, now, *rng_));
  desk_.succeeds = Succession{.to_come = true,
                              .old_with_old = old.certificate.der(),
                              .new_with_new = next.succession.new_with_new.der(),
                              .new_with_old = next.succession.new_with_old->der(),
                              .old_with_new = next.succession.old_with_new->der()};
  const std::string reference = desk_.enter("box-7.example");
  const auto update_of = [&](const crypto::Certificate& root, Bytes& new_with_old, Bytes& old_with_new) {
    CmpClient asking = client();
    with_secret(asking, reference);
    std::array<X509*, 3> got{};
    const auto named = test::client_certificate(root.der());
    EXPECT_EQ(OSSL_CMP_get1_rootCaKeyUpdate(asking.native(), named.get(), &got[0], &got[1], &got[2]), 1) << asking.errors();
    std::array<Bytes, 3> out;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const test::ClientCertificate one(got.at(i));
      if (one) out.at(i) = test::der_of_certificate(one.get());
    }
    new_with_old = out[1];
    old_with_new = out[2];
    return out[0];
  };
  Bytes new_with_old;
  Bytes old_with_new;
  EXPECT_EQ(update_of(old.certificate, new_with_old, old_with_new), desk_.succeeds->new_with_new);
  EXPECT_EQ(new_with_old, desk_.succeeds->new_with_old);
  EXPECT_EQ(old_with_new, desk_.succeeds->old_with_new);
  EXPECT_EQ(update_of(*desk_.authority(Branch::ml_dsa).root, new_with_old, old_with_new), Bytes()) << "that root has no successor";
  EXPECT_EQ(new_with_old, Bytes());
}

TEST_F(CmpTest, RevocationListIsGivenIfItIsNewerThanTheClients) {
  const std::string reference = desk_.enter("box-7.example");
  const Held held = enrolled(reference, "ML-DSA-65");
  const TestAuthority& authority = desk_.authority(Branch::ml_dsa);
  const UnixMs now = clock_.now_ms();
  const auto list_at = [&](std::uint64_t number, UnixMs at) {
    auto made = std::make_shared<PublishedList>();
    made->branch = Branch::ml_dsa;
    made->number = number;
    made->this_update = at;
    crypto::RevocationList list;
    list.number = number;
    list.this_update = at;
    list.next_update = at + test::day_ms;
    made->der = must(crypto::make_revocation_list(list, *authority.issuing, authority.key));
    return made;
  };
  lists_[{Branch::ml_dsa, "full"}] = list_at(1, now - 100'000);
  const auto asks = [&](const X509_CRL* known) {
    CmpClient asking = client();
    with_secret(asking, reference);
    X509_CRL* got = nullptr;
    EXPECT_EQ(OSSL_CMP_get1_crlUpdate(asking.native(), known == nullptr ? test::client_certificate(held.certificate).get() : nullptr, known, &got), 1);
    return std::unique_ptr<X509_CRL, test::OpensslDeleter<X509_CRL_free>>(got);
  };
  const auto first = asks(nullptr);
  ASSERT_TRUE(first);
  EXPECT_FALSE(asks(first.get())) << "the client has the latest";
  lists_[{Branch::ml_dsa, "full"}] = list_at(2, now);
  EXPECT_TRUE(asks(first.get()));
}

TEST_F(CmpTest, QuestionsThatNobodyAnswersHereAreNamedAsSuch) {
  const std::string reference = desk_.enter("box-7.example");
  CmpClient asking = client();
  with_secret(asking, reference);
  for (const int type : {NID_id_it_signKeyPairTypes, NID_id_it_preferredSymmAlg}) {
    OSSL_CMP_CTX_push0_genm_ITAV(asking.native(), OSSL_CMP_ITAV_create(OBJ_nid2obj(type), nullptr));
  }
  STACK_OF(OSSL_CMP_ITAV)* const answers = OSSL_CMP_exec_GENM_ses(asking.native());
  ASSERT_EQ(sk_OSSL_CMP_ITAV_num(answers), 2);
  EXPECT_EQ(OBJ_obj2nid(OSSL_CMP_ITAV_get0_type(sk_OSSL_CMP_ITAV_value(answers, 0))), NID_id_it_signKeyPairTypes);
  EXPECT_EQ(OBJ_obj2nid(OSSL_CMP_ITAV_get0_type(sk_OSSL_CMP_ITAV_value(answers, 1))), NID_id_it_unsupportedOIDs);
  sk_OSSL_CMP_ITAV_pop_free(answers, OSSL_CMP_ITAV_free);
}

}  // namespace
}  // namespace qanat::cas
