// Certificates of the device CA: their status as software that knows RSA and ECDSA alone asks for it, seen by the openssl program.
#include "cas_fixture.hpp"
#include "crypto/x509_crl.hpp"
#include "plain_http.hpp"
#include "services/cas/authority_schema.hpp"
#include "services/cas/ceis/schema.hpp"
#include "services/cas/csp/places.hpp"
#include "services/cas/csp/schema.hpp"
#include "subject_keys.hpp"
#include "unit/crypto/x509_hierarchy.hpp"

namespace qanat::cas {
namespace {

using crypto::testing::ProgramResult;
using crypto::testing::run_openssl;
using crypto::testing::TemporaryFolder;
using test::ask_plain;
using test::PlainAnswer;

class DeviceStatusTest : public CasFixture {
 protected:
  DeviceStatusTest() {
    CasSettings settings;
    settings.front.url = "http://status.test";
    open_service(settings);
    must(service_->start());
    const wire::Json body = wire::Json::object({{"op", "create"}, {"subject", "box-7"}, {"profile", "device"}, {"reusable", true}});
    const wire::Json made = json_of(call(Endpoint::x5_registration, json_request(identity("qanat://core/operator/op"), body)));
    reference_ = must(made.text("reference"));
  }
  ~DeviceStatusTest() override { service_->stop(); }

  Bytes issue(crypto::SubjectAlgorithm algorithm) {
    const Asked asked{.protocol = Protocol::scep, .reference = reference_, .key = subject_key(algorithm), .request_hash = rng_->bytes(32)};
    return std::get<Given>(must(service_->desk().order(asked, test::soon(), "1"))).certificate;
  }
  std::string ca() {
    const PlainAnswer answer = get(ca_path(Branch::devices));
    return files_.file("ca.pem", as_bytes(must(crypto::Certificate::parse(answer.body)).pem()));
  }
  PlainAnswer get(const std::string& path) {
    PlainAnswer answer = ask_plain(service_->csp().port(), "GET", path);
    EXPECT_EQ(answer.status, 200) << path;
    return answer;
  }
  std::string leaf(const Bytes& der) { return files_.file("leaf.der", der); }
  std::string asked_by_openssl(const Bytes& der, const std::string& nonce) {
    const std::string ca_file = ca();
    const ProgramResult result = run_openssl("ocsp -issuer " + ca_file + " -CAfile " + ca_file + " -cert " + leaf(der) + " " + nonce +
                                             " -url http://127.0.0.1:" + std::to_string(service_->csp().port()) + std::string(ocsp_path));
    EXPECT_EQ(result.status, 0) << result.output;
    EXPECT_NE(result.output.find("Response verify OK"), std::string::npos) << result.output;
    return result.output;
  }
  ProgramResult verified(const Bytes& der, const std::string& scope) {
    const std::string list = files_.file("list.crl", get(list_path(Branch::devices, scope)).body);
    return run_openssl("verify -x509_strict -crl_check -CAfile " + ca() + " -CRLfile " + list + " " + leaf(der));
  }

  const TemporaryFolder files_;
  std::string reference_;
};

TEST_F(DeviceStatusTest, OpensslVerifiesStatusListAndChainOfRsaAndEcdsaCertificates) {
  for (const crypto::SubjectAlgorithm algorithm : {crypto::SubjectAlgorithm::rsa, crypto::SubjectAlgorithm::ecdsa_p256, crypto::SubjectAlgorithm::ecdsa_p384}) {
    SCOPED_TRACE(crypto::name(algorithm));
    const Bytes der = issue(algorithm);
    EXPECT_NE(asked_by_openssl(der, "-nonce").find(": good"), std::string::npos);
    EXPECT_NE(asked_by_openssl(der, "-no_nonce").find(": good"), std::string::npos);
    const ProgramResult chained = verified(der, full_scope.data());
    EXPECT_EQ(chained.status, 0) << chained.output;

    must(service_->desk().revoke(der, key_compromise, "test", "1"));
    for (const char* nonce : {"-nonce", "-no_nonce"}) {
      const std::string revoked = asked_by_openssl(der, nonce);
      EXPECT_NE(revoked.find(": revoked"), std::string::npos) << revoked;
      EXPECT_NE(revoked.find("Reason: keyCompromise"), std::string::npos) << revoked;
    }
    const Bytes serial = must(crypto::SubjectCertificate::parse(der)).serial();
    const crypto::Certificate& issuer = service_->authorities().of(Branch::devices).certificate;
    const auto listed = [&](std::string_view scope) {
      const crypto::RevocationList list = must(crypto::read_revocation_list(get(list_path(Branch::devices, scope)).body, issuer));
      const auto found = std::ranges::find(list.revoked, serial, &crypto::RevokedSerial::serial);
      return found != list.revoked.end() && found->reason == key_compromise;
    };
    const Deadline deadline = Deadline::after(std::chrono::seconds(30));
    while (!listed(full_scope) && !deadline.passed()) std::this_thread::yield();
    EXPECT_TRUE(listed(full_scope));
    EXPECT_TRUE(listed(shard_of(serial)));
    EXPECT_TRUE(listed(delta_scope));
    const ProgramResult refused = verified(der, full_scope.data());
    EXPECT_NE(refused.status, 0);
    EXPECT_NE(refused.output.find("certificate revoked"), std::string::npos) << refused.output;
  }
}

TEST_F(DeviceStatusTest, TheDeviceCaIsMadeOnceAndNobodyInTheNetworkTrustsIt) {
  const Bytes der = service_->authorities().of(Branch::devices).certificate.der();
  EXPECT_EQ(get(ca_path(Branch::devices)).body, der);
  for (const auto& entry : std::filesystem::directory_iterator(trust())) {
    EXPECT_EQ(entry.path().filename().string().find("devices"), std::string::npos) << entry.path();
  }
  const crypto::Certificate leaf = must(crypto::Certificate::parse(issue(crypto::SubjectAlgorithm::ecdsa_p384)));
  EXPECT_FALSE(node_->trust().verify(leaf, SystemClock().now_ms()));
  service_->stop();
  open_service();
  EXPECT_EQ(service_->authorities().of(Branch::devices).certificate.der(), der);
}

TEST_F(DeviceStatusTest, TheDeviceCaIsNamedAfterTheNetwork) {
  const crypto::Certificate& certificate = service_->authorities().of(Branch::devices).certificate;
  EXPECT_EQ(certificate.key_algorithm(), crypto::KeyAlgorithm::ecdsa_p384);
  EXPECT_TRUE(certificate.is_ca());
  EXPECT_EQ(certificate.subject(), "CN=Qanat devices ECDSA-P-384");
}

/// A database as it was before the device CA.
TEST(CasMigrationTest, CertificatesListsAndAuthoritiesSurviveTheThirdBranch) {
  const test::TemporaryDirectory folder;
  const auto file = folder / "cas.db";
  const auto rng = must(crypto::open_rng());
  const auto device = must(crypto::open_software_device(folder / "master", *rng));
  const crypto::testing::Hierarchy h(crypto::KeyAlgorithm::ml_dsa_65);
  {
    constexpr std::array before{store::Migration{1, first_schema}, store::Migration{2, status_schema}, store::Migration{3, authority_schema}};
    const auto store = must(store::Store::open(file, before));
    must(store->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run("INSERT INTO authority (branch, certificate, sealed_key, generation) VALUES ('ml_dsa', ?, ?, 3)",
                          {ByteView(h.issuing.der()), ByteView(h.issuing.der())}));
      TRY(
          transaction.run("INSERT INTO certificate (serial, branch, identity, request_hash, state, not_before_ms, not_after_ms, der) VALUES (?, 'ml_dsa', "
                          "'qanat://city-a/kms/kms-a', ?, 'issued', 1, 9999999999999, ?)",
                          {ByteView(h.leaf.serial()), ByteView(h.leaf.serial()), ByteView(h.leaf.der())}));
      TRY(
          transaction.run("INSERT INTO revocation_list (branch, scope, number, base_number, base_ms, this_update_ms, next_update_ms, der) VALUES ('ml_dsa', "
                          "'full', 41, 40, 1, 2, 3, ?)",
                          {ByteView(h.leaf.der())}));
      TRY(transaction.run("DELETE FROM outbox", {}));
      return {};
    }));
  }
  const auto records = must(Records::open(file, *device));
  EXPECT_EQ(must(records->status(Branch::ml_dsa, 3, h.leaf.serial())), crypto::CertStatus::good);
  StatusRecords status(records->store());
  EXPECT_EQ(must(status.list(Branch::ml_dsa, "full"))->number, 41U);
  EXPECT_EQ(must(status.errands_waiting()), 0);
  // The key is known from now on, and the triggers are there again.
  const Bytes key_hash = key_hash_of(h.leaf.public_key());
  EXPECT_EQ(refusal(records->store().transact([&](store::Transaction& transaction) { return Records::check_key(transaction, "subject:other", key_hash, 5); })),
            ErrorCode::denied);
  EXPECT_TRUE(must(records->revoke_certificate(h.leaf.serial(), 4, 5)));
  EXPECT_FALSE(must(records->revoke_certificate(h.leaf.serial(), 1, 6))) << "the first revocation stands";
  const Standing standing = must(status.standing(Branch::ml_dsa, h.leaf.serial()));
  EXPECT_EQ(standing.revoked_at, 5U);
  EXPECT_EQ(standing.reason, 4);
  EXPECT_EQ(must(status.errands_waiting()), 1);
  must(status.publish(std::array{PublishedList{.branch = Branch::devices, .scope = "full", .number = 1, .base_number = 1, .der = h.leaf.der()}}));
  EXPECT_EQ(must(status.errands_waiting()), 2);
}

}  // namespace
}  // namespace qanat::cas
