// A desk whose decisions the test makes, with issuing CAs of its own, and a CMP server before it: for tests of CMP without a CAS.
#pragma once

#include <map>

#include "cmp_client.hpp"
#include "crypto/kdf.hpp"
#include "registered_desk.hpp"
#include "services/cas/cmp/server.hpp"
#include "services/cas/cmp/schema.hpp"
#include "services/cas/ceis/issuer.hpp"
#include "temporary_directory.hpp"
#include "trusted_network.hpp"

namespace qanat::cas {

using crypto::CmpFailure;
using test::client_key;
using test::CmpClient;
using test::must;

inline constexpr std::array all_subject_keys{crypto::SubjectAlgorithm::rsa,        crypto::SubjectAlgorithm::ecdsa_p256, crypto::SubjectAlgorithm::ecdsa_p384,
                                             crypto::SubjectAlgorithm::sm2,        crypto::SubjectAlgorithm::ml_dsa_44,  crypto::SubjectAlgorithm::ml_dsa_65,
                                             crypto::SubjectAlgorithm::ml_dsa_87,  crypto::SubjectAlgorithm::ml_kem_768};
inline constexpr Profile box_profile{.name = "box",
                                     .naming = Naming::registered,
                                     .keys = all_subject_keys,
                                     .signing_usages = {crypto::KeyUsage::digital_signature},
                                     .encryption_usages = {crypto::KeyUsage::key_encipherment},
                                     .extended = {},
                                     .lifetime_max = std::chrono::days(90),
                                     .lifetime = std::chrono::days(30),
                                     .says = ""};

/// Issuing CA and root of one branch; of the device CA, which is its own root, one certificate.
struct TestAuthority {
  TestAuthority(crypto::Rng& rng, crypto::KeyAlgorithm algorithm, const std::string& label, bool own_root) {
    const auto make_key = [&] {
      const bool on_p384 = algorithm == crypto::KeyAlgorithm::ecdsa_p384;
      const crypto::Suite& suite = crypto::suite(on_p384 ? crypto::SuiteId::intl_hybrid : crypto::SuiteId::gm_hybrid);
      crypto::SigningSecret secret = must(crypto::Signer::generate(suite, rng)).secret();
      const bool seed = algorithm == crypto::KeyAlgorithm::ml_dsa_65;
      return crypto::PrivateKey{.algorithm = algorithm, .secret = std::move(seed ? secret.ml_dsa_seed : secret.scalar)};
    };
    crypto::PrivateKey root_key = make_key();
    root = certify(rng, crypto::CertificateUse::root_ca, label + " root", root_key, nullptr, root_key);
    key = own_root ? std::move(root_key) : make_key();
    issuing = own_root ? *root : certify(rng, crypto::CertificateUse::issuing_ca, label + " issuing", key, &*root, root_key);
  }
  static crypto::Certificate certify(crypto::Rng& rng, crypto::CertificateUse use, const std::string& name, const crypto::PrivateKey& subject,
                                     const crypto::Certificate* issuer, const crypto::PrivateKey& issuer_key) {
    const UnixMs now = SystemClock().now_ms();
    return must(crypto::issue({.use = use,
                               .names = {.common_name = name, .element = {}, .number = {}, .dns = {}},
                               .key_algorithm = subject.algorithm,
                               .public_key = must(crypto::public_octets(subject)),
                               .serial = draw_serial(rng),
                               .not_before = now - 60'000,
                               .not_after = now + 400 * test::day_ms},
                              issuer, issuer_key));
  }
  std::optional<crypto::Certificate> root;
  std::optional<crypto::Certificate> issuing;
  crypto::PrivateKey key;
};

class DeskDouble final : public RegisteredDesk {
 public:
  explicit DeskDouble(crypto::Rng& rng) : RegisteredDesk(rng, box_profile) {
    authorities_.emplace(Branch::ml_dsa, std::make_unique<TestAuthority>(rng, crypto::KeyAlgorithm::ml_dsa_65, "ML-DSA", false));
    authorities_.emplace(Branch::classical, std::make_unique<TestAuthority>(rng, crypto::KeyAlgorithm::sm2, "SM2", false));
    authorities_.emplace(Branch::devices, std::make_unique<TestAuthority>(rng, crypto::KeyAlgorithm::ecdsa_p384, "device", true));
  }

  void refused(Protocol protocol, std::string_view reference, std::string_view why, const std::string&) override {
    EXPECT_EQ(protocol, Protocol::cmp);
    refusals.push_back(std::string(reference) + ": " + std::string(why));
  }
  [[nodiscard]] std::vector<Bytes> ca_chain(Branch branch) const override {
    const TestAuthority& authority = *authorities_.at(branch);
    if (branch == Branch::devices) return {authority.issuing->der()};
    return {authority.issuing->der(), authority.root->der()};
  }
  [[nodiscard]] const TestAuthority& authority(Branch branch) const { return *authorities_.at(branch); }

  store::Store* store = nullptr;  // with the table of certificates
  std::vector<std::string> refusals;

 private:
  Given issue(const Asked& asked) override {
    const TestAuthority& authority = *authorities_.at(branch_for(asked.key.algorithm()));
    const Registration& entered = entry(asked.reference);
    const UnixMs now = SystemClock().now_ms();
    const bool signs = crypto::signs(asked.key.algorithm());
    Given out{.certificate = must(crypto::issue_subject({.public_key_info = asked.key.der(),
                                                         .names = {.common_name = entered.common_name, .dns = entered.dns},
                                                         .usages = signs ? box_profile.signing_usages : box_profile.encryption_usages,
                                                         .serial = draw_serial(rng_),
                                                         .not_before = now - 60'000,
                                                         .not_after = now + 30 * test::day_ms},
                                                        *authority.issuing, authority.key)),
              .chain = {authority.issuing->der()}};
    must(store->transact([&](store::Transaction& transaction) -> Result<void> {
      const Bytes serial = must(crypto::cmp_certificate_id(out.certificate)).serial;
      const Bytes key_hash = key_hash_of(asked.key.octets());
      TRY(transaction.run("INSERT INTO certificate (serial, registration, key_hash, state, not_before_ms, der) VALUES (?, ?, ?, 'issued', ?, ?)",
                          {ByteView(serial), std::string_view(asked.reference), ByteView(key_hash), store::column(now - 60'000), ByteView(out.certificate)}));
      return {};
    }));
    return out;
  }

  std::map<Branch, std::unique_ptr<TestAuthority>> authorities_;
};

class CmpFixture : public testing::Test {
 protected:
  CmpFixture() : rng_(must(crypto::open_rng())), desk_(*rng_) {
    for (const CmpSignerKind kind : all_cmp_signers) {
      const TestAuthority& authority = desk_.authority(kind == CmpSignerKind::ml_dsa ? Branch::ml_dsa : Branch::devices);
      TestAuthority own(*rng_, authority.key.algorithm, "signer", true);
      const std::string name = "CMP " + std::to_string(static_cast<int>(kind));
      crypto::Certificate certificate =
          TestAuthority::certify(*rng_, crypto::CertificateUse::tls_and_signing, name, own.key, &*authority.issuing, authority.key);
      signers_.at(static_cast<std::size_t>(kind)) = std::make_shared<const crypto::CmpSigner>(
          crypto::CmpSigner{.certificate = std::move(certificate), .chain = {authority.issuing->der()}, .key = std::move(own.key)});
    }
    start();
  }
  /// As after a restart: nothing is kept but what is in the database.
  void start() {
    server_.reset();
    records_.reset();
    store_.reset();
    // What CMP looks up in the table of certificates, which is the desk's.
    static constexpr std::string_view certificates = R"sql(
      CREATE TABLE certificate (
        serial BLOB PRIMARY KEY, registration TEXT, key_hash BLOB, state TEXT, revoked_ms INTEGER, not_before_ms INTEGER, der BLOB) STRICT)sql";
    static constexpr std::array migrations{store::Migration{1, cmp_schema}, store::Migration{2, certificates}};
    store_ = must(store::Store::open(directory_ / "cas.db", migrations));
    desk_.store = store_.get();
    records_.emplace(*store_);
    using Signer = Result<std::shared_ptr<const crypto::CmpSigner>>;
    const CmpParts parts{.desk = desk_,
                         .records = *records_,
                         .clock = clock_,
                         .rng = *rng_,
                         .signer = [this](CmpSignerKind kind) -> Signer { return signers_.at(static_cast<std::size_t>(kind)); },
                         .list = [this](Branch branch, std::string_view scope) { return find_list(branch, scope); }};
    server_.emplace(parts, settings_);
  }
  [[nodiscard]] std::shared_ptr<const PublishedList> find_list(Branch branch, std::string_view scope) const {
    const auto found = lists_.find({branch, std::string(scope)});
    return found != lists_.end() ? found->second : nullptr;
  }
  std::optional<Bytes> carry(const Bytes& request) {
    auto answer = server_->answer(request, {.profile = profile_, .deadline = test::soon(), .request_id = "0123456789abcdef"});
    if (!answer) {
      ADD_FAILURE() << answer.error().message;
      return std::nullopt;
    }
    return std::move(*answer);
  }
  CmpClient client() {
    return CmpClient([this](const Bytes& request) { return carry(request); });
  }
  /// One that shares the registration's secret.
  CmpClient& with_secret(CmpClient& client, const std::string& reference) { return client.secret(reference, desk_.secret_text(reference)); }
  CmpClient& with_roots(CmpClient& client) {
    return client.trusts({desk_.authority(Branch::ml_dsa).root->der(), desk_.authority(Branch::devices).root->der()});
  }
  struct Held {
    Bytes certificate;
    test::ClientKey key;
  };
  /// A certificate that the registration's holder got by ir.
  Held enrolled(const std::string& reference, const std::string& kind) {
    Held out{.certificate = {}, .key = client_key(kind)};
    CmpClient asking = client();
    with_secret(asking, reference).new_key(out.key);
    if (kind.starts_with("ML-KEM")) asking.option(OSSL_CMP_OPT_POPO_METHOD, OSSL_CRMF_POPO_RAVERIFIED);
    out.certificate = asking.request(OSSL_CMP_IR);
    EXPECT_FALSE(out.certificate.empty()) << asking.errors();
    return out;
  }
  CmpState state_of(const std::string& reference, const Bytes& message) {
    const auto found = must(records_->find(reference, must(crypto::CmpMessage::parse(message)).header().transaction_id));
    EXPECT_TRUE(found);
    return found ? found->state : CmpState::asked;
  }
  void expect_refusal(const CmpClient& client, CmpFailure failure, std::string_view why) {
    EXPECT_EQ(client.failure(), static_cast<int>(failure)) << client.errors();
    EXPECT_NE(client.errors().find(why), std::string::npos) << client.errors();
  }
  void expect_on_record(const std::string& reference, std::string_view why) {
    ASSERT_FALSE(desk_.refusals.empty());
    EXPECT_TRUE(desk_.refusals.back().starts_with(reference + ": ")) << desk_.refusals.back();
    EXPECT_NE(desk_.refusals.back().find(why), std::string::npos) << desk_.refusals.back();
  }

  test::TemporaryDirectory directory_;
  std::unique_ptr<crypto::Rng> rng_;
  ClockAhead clock_;
  DeskDouble desk_;
  CmpSettings settings_;
  std::string profile_;
  std::array<std::shared_ptr<const crypto::CmpSigner>, 2> signers_;
  std::map<std::pair<Branch, std::string>, std::shared_ptr<const PublishedList>> lists_;
  std::unique_ptr<store::Store> store_;
  std::optional<CmpRecords> records_;
  std::optional<CmpServer> server_;
};

}  // namespace qanat::cas
