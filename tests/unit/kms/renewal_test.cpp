// A terminal that has renewed its certificates says so: whom the KMS believes.
#include "services/kms/kim/renewal.hpp"

#include "kms_core.hpp"
#include "services/kms/schema.hpp"
#include "wire/succession.hpp"
#include "store_kinds.hpp"

namespace qanat::kms {
namespace {

class KmsRenewalTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  struct Bundle {
    crypto::Signer signer;
    crypto::CertificateBundle certificates;
  };
  KmsRenewalTest() {
    node_ = network_.open_node(kms_id, {}, [this](const crypto::Certificate& certificate, Deadline) -> Result<void> {
      if (revoked_.contains(certificate.serial())) return fail(ErrorCode::denied, "certificate of " + certificate.subject() + " is revoked");
      return {};
    });
    store_ = must(stores_.open(node_->settings().state / "kms.db", migrations));
    put(first_);
  }
  Bundle make(const crypto::SubjectNames& names) { return make(names, pair_.encapsulation_key()); }
  Bundle make(const crypto::SubjectNames& names, const crypto::EncapsulationKey& encryption) {
    crypto::Signer signer = must(crypto::Signer::generate(network_.suite(), network_.rng()));
    crypto::CertificateBundle certificates = network_.bundle(names, signer.verifying_key(), encryption);
    return {.signer = std::move(signer), .certificates = std::move(certificates)};
  }
  void put(const Bundle& bundle) {
    const crypto::CertificateBundle& certificates = bundle.certificates;
    const Enrolment enrolment{.terminal = {.uid = Uid("alice"),
                                           .number = *names_.number,
                                           .classical = certificates.classical_signing.der(),
                                           .ml_dsa = certificates.ml_dsa_signing.der(),
                                           .encryption = pair_.encapsulation_key(),
                                           .enc_kid = Bytes(32, 1),
                                           .encryption_classical = certificates.classical_encryption.der(),
                                           .encryption_ml_kem = certificates.ml_kem_encryption.der(),
                                           .confirmed = false},
                              .h_enrol = Bytes(32, 2),
                              .answer = Bytes(3),
                              .sealed_encryption = {}};
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(save_enrolment(transaction, enrolment));
      TRY(transaction.run("INSERT INTO token (uid, digest, expires_ms, level_max) VALUES ('alice', x'00', 1, 1) ON CONFLICT (uid) DO NOTHING", {}));
      return confirm_terminal(transaction, Uid("alice"));
    }));
  }
  wire::Succession link(const Bundle& from, const Bundle& to) { return link_signed(from, to, from.signer); }
  wire::Succession link_signed(const Bundle& from, const Bundle& to, const crypto::Signer& signer) {
    const auto former = wire::fingerprints(network_.suite(), from.certificates.classical_signing.der(), from.certificates.ml_dsa_signing.der());
    return must(
        wire::make_succession(network_.suite(), former, to.certificates.classical_signing.der(), to.certificates.ml_dsa_signing.der(), signer, network_.rng()));
  }
  Result<net::Response> say(const std::vector<wire::Succession>& links, const Bundle& now) { return say(links, now, now.certificates); }
  Result<net::Response> say(const std::vector<wire::Succession>& links, const Bundle& shown, const crypto::CertificateBundle& encryption) {
    const wire::Json body = wire::Json::object({{"successions", wire::to_base64(must(wire::encode_successions(network_.suite(), links)))},
                                                {"encryption", wire::Json::object({{"classical", wire::to_base64(encryption.classical_encryption.der())},
                                                                                   {"ml_kem", wire::to_base64(encryption.ml_kem_encryption.der())}})}});
    const crypto::Certificate& certificate = shown.certificates.ml_dsa_signing;
    return take_renewal(*node_, *store_, test::request_from(certificate.names().element, to_bytes(body.dump()), certificate));
  }
  Terminal pooled() {
    return must(store_->transact([&](store::Transaction& transaction) { return find_terminal(transaction, Uid("alice")); })).value();
  }
  std::int64_t tokens() {
    std::int64_t out = -1;
    must(store_->transact([&](store::Transaction& transaction) {
      return transaction.query("SELECT count(*) FROM token", {}, [&](const store::Row& row) { out = row.integer(0); });
    }));
    return out;
  }
  void expect_unchanged() { EXPECT_EQ(pooled().ml_dsa, first_.certificates.ml_dsa_signing.der()); }

  const crypto::SubjectNames names_{.common_name = "alice", .element = identity("qanat://a/app1/alice"), .number = Number("+8613800000001"), .dns = {}};
  test::TrustedNetwork network_;
  const crypto::Decapsulator pair_ = must(crypto::Decapsulator::generate(network_.suite(), network_.rng()));
  std::set<Bytes> revoked_;
  const Bundle first_ = make(names_);
  std::unique_ptr<node::Node> node_;
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_;
};

INSTANTIATE_TEST_SUITE_P(Stores, KmsRenewalTest, test::every_store_kind, test::name_of);

TEST_P(KmsRenewalTest, ThePoolFollowsWhatTheFormerKeysSay) {
  const Bundle second = make(names_);
  ASSERT_EQ(tokens(), 1);
  const auto taken = say({link(first_, second)}, second);
  ASSERT_TRUE(taken) << taken.error().message;
  const Terminal now = pooled();
  EXPECT_EQ(now.ml_dsa, second.certificates.ml_dsa_signing.der());
  EXPECT_EQ(now.classical, second.certificates.classical_signing.der());
  EXPECT_TRUE(bundle_of(network_.suite(), now));
  EXPECT_TRUE(now.confirmed);
  EXPECT_EQ(tokens(), 0) << "the token was bound to the former certificates";
  EXPECT_TRUE(say({link(first_, second)}, second)) << "said twice";
  EXPECT_TRUE(test::audited(network_.state_of(kms_id), "km-1.renewed"));
}

TEST_P(KmsRenewalTest, HistoryKnowsUntilWhenThePairIsUsed) {
  const auto until = [&] {
    std::int64_t out = -1;
    must(store_->transact([&](store::Transaction& transaction) {
      return transaction.query("SELECT coalesce(certified_until_ms, 0) FROM history_key", {}, [&](const store::Row& row) { out = row.integer(0); });
    }));
    return out;
  };
  must(store_->transact([](store::Transaction& transaction) {
    const Bytes enc_kid(32, 1);
    return transaction.run("INSERT INTO history_key (enc_kid, uid, number, since_ms) VALUES (?, 'alice', '+8613800000001', 1)", {ByteView(enc_kid)});
  }));
  const Bundle second = make(names_);
  ASSERT_EQ(until(), 0);
  ASSERT_TRUE(say({link(first_, second)}, second));
  EXPECT_EQ(until(), store::column(second.certificates.classical_encryption.not_after()));
}

TEST_P(KmsRenewalTest, SeveralRenewalsAreFollowedAtOnce) {
  const Bundle second = make(names_);
  const Bundle third = make(names_);
  ASSERT_TRUE(say({link(first_, second), link(second, third)}, third));
  EXPECT_EQ(pooled().ml_dsa, third.certificates.ml_dsa_signing.der());
  const Bundle fourth = make(names_);
  EXPECT_TRUE(say({link(first_, second), link(second, third), link(third, fourth)}, fourth)) << "earlier links are read over";
}

TEST_P(KmsRenewalTest, NobodyElseCanSayIt) {
  const Bundle second = make(names_);
  EXPECT_EQ(test::refusal(say({link_signed(first_, second, second.signer)}, second)), ErrorCode::denied)
      << "certificates that CAS issued, without the former keys";
  EXPECT_EQ(test::refusal(say({}, second)), ErrorCode::denied);
  const Bundle other = make(names_);
  EXPECT_EQ(test::refusal(say({link(first_, second)}, other)), ErrorCode::denied) << "the link leads elsewhere";
  EXPECT_EQ(test::refusal(say({link(first_, second)}, other, second.certificates)), ErrorCode::denied) << "than to who says it";
  EXPECT_EQ(test::refusal(say({link(other, second)}, second)), ErrorCode::denied) << "it begins elsewhere";
  EXPECT_EQ(test::refusal(say({link(first_, second), link_signed(first_, other, second.signer)}, other)), ErrorCode::denied) << "the second follows other ones";
  expect_unchanged();
}

TEST_P(KmsRenewalTest, TheNewFourMustBeOneGoodBundleOverTheSameKeys) {
  const Bundle second = make(names_);
  const std::vector links{link(first_, second)};
  EXPECT_EQ(test::refusal(say(links, second, first_.certificates)), ErrorCode::denied) << "encryption certificates of the former bundle";
  const Bundle foreign = make(names_, must(crypto::Decapsulator::generate(network_.suite(), network_.rng())).encapsulation_key());
  EXPECT_EQ(test::refusal(say({link(first_, foreign)}, foreign)), ErrorCode::denied) << "over other encryption keys than the pool's";
  for (const crypto::BundleRole role : crypto::all_bundle_roles) {
    revoked_ = {second.certificates.of(role).serial()};
    EXPECT_EQ(test::refusal(say(links, second)), ErrorCode::denied) << name(role);
  }
  revoked_.clear();
  crypto::SubjectNames renamed = names_;
  renamed.number = Number("+8613800000009");
  const Bundle moved = make(renamed);
  EXPECT_EQ(test::refusal(say({link(first_, moved)}, moved)), ErrorCode::denied) << "another number";
  expect_unchanged();
  EXPECT_TRUE(say(links, second)) << "and nothing else was wrong";
}

TEST_P(KmsRenewalTest, OnlyATerminalThatIsEnrolledHere) {
  crypto::SubjectNames bob = names_;
  bob.common_name = "bob";
  bob.element = identity("qanat://a/app1/bob");
  const Bundle second = make(bob);
  EXPECT_EQ(test::refusal(say({link(first_, second)}, second)), ErrorCode::denied);
  crypto::SubjectNames namesake = names_;
  namesake.element = identity("qanat://b/app1/alice");
  const Bundle elsewhere = make(namesake);
  EXPECT_EQ(test::refusal(say({link(first_, elsewhere)}, elsewhere)), ErrorCode::denied) << "the same name in another domain";
  EXPECT_EQ(test::refusal(take_renewal(*node_, *store_, test::request_from(names_.element, to_bytes("{}"), make(names_).certificates.ml_dsa_signing))),
            ErrorCode::invalid_argument);
  expect_unchanged();
}

}  // namespace
}  // namespace qanat::kms
