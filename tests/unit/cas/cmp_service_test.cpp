// CMP in a CAS that listens: its paths, the desk's own rules, signers that CAS appoints, what is looked after in the background.
#include <condition_variable>

#include "cas_fixture.hpp"
#include "cmp_client.hpp"
#include "plain_http.hpp"
#include "services/cas/cmp/signers.hpp"

namespace qanat::cas {
namespace {

using crypto::CmpFailure;
using test::ask_plain;
using test::client_key;
using test::CmpClient;
using test::PlainAnswer;

const Identity cmp_operator = identity("qanat://core/operator/operator");
const std::string cmp_type = "Content-Type: application/pkixcmp\r\n";

class CmpServiceTest : public CasFixture, public testing::WithParamInterface<crypto::SuiteId> {
 protected:
  CmpServiceTest() : CasFixture(GetParam()) { start({}); }
  ~CmpServiceTest() override {
    if (service_) service_->stop();
  }

  void start(CmpSettings cmp) {
    CasSettings settings;
    settings.front.url = "http://status.test";
    settings.cmp = cmp;
    open_service(settings);
    must(service_->start());
  }
  PlainAnswer post(const Bytes& message, const std::string& path = "/.well-known/cmp", const std::string& fields = cmp_type) {
    return ask_plain(service_->csp().port(), "POST", path, fields, message);
  }
  struct Registered {
    std::string reference;
    std::string secret;
  };
  Registered registered(const std::string& profile = "device") {
    const wire::Json body = wire::Json::object({{"op", "create"}, {"subject", "box-7"}, {"profile", profile}, {"reusable", true}, {"ra_vouches", true}});
    const wire::Json made = json_of(call(Endpoint::x5_registration, json_request(cmp_operator, body)));
    return {.reference = must(made.text("reference")), .secret = must(made.text("secret"))};
  }
  CmpClient client() {
    return CmpClient([this](const Bytes& request) -> std::optional<Bytes> {
      const PlainAnswer answer = post(request, path_);
      EXPECT_EQ(answer.status, 200);
      if (answer.status != 200) return std::nullopt;
      EXPECT_EQ(answer.fields.at("Content-Type"), "application/pkixcmp");
      EXPECT_EQ(answer.fields.at("Cache-Control"), "no-store");
      return answer.body;
    });
  }
  struct Held {
    Bytes certificate;
    test::ClientKey key;
  };
  Held enrolled(const Registered& box, const std::string& kind) {
    Held out{.certificate = {}, .key = client_key(kind)};
    CmpClient asking = client();
    out.certificate = asking.secret(box.reference, box.secret).new_key(out.key).request(OSSL_CMP_IR);
    EXPECT_FALSE(out.certificate.empty()) << asking.errors();
    return out;
  }
  [[nodiscard]] std::vector<Bytes> anchors() {
    return {service_->desk().ca_chain(Branch::ml_dsa).back(), service_->desk().ca_chain(Branch::devices).back()};
  }
  CmpClient& trusting(CmpClient& client) {
    const std::vector<Bytes> roots = anchors();
    return client.trusts({roots[0], roots[1]});
  }
  std::string audit_text() {
    std::ifstream in(node_->settings().state / "audit.jsonl");
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string path_ = "/.well-known/cmp";
};

TEST_P(CmpServiceTest, EnrolsUpdatesAndRevokesUnderTheDesksRules) {
  const Registered box = registered();
  for (const char* kind : {"ML-DSA-65", "EC:P-384", "RSA:2048"}) {
    const Held held = enrolled(box, kind);
    const auto next_key = client_key(kind);
    CmpClient update = client();
    trusting(update).signer(held.certificate, held.key).new_key(next_key);
    const Bytes next = update.request(OSSL_CMP_KUR);
    ASSERT_FALSE(next.empty()) << update.errors();
    CmpClient revocation = client();
    EXPECT_TRUE(trusting(revocation).signer(held.certificate, held.key).old(next).revoke()) << revocation.errors();
    CmpClient revoked = client();
    EXPECT_TRUE(trusting(revoked).signer(next, next_key).new_key(client_key(kind)).request(OSSL_CMP_CR).empty());
    EXPECT_EQ(revoked.failure(), static_cast<int>(CmpFailure::signer_not_trusted)) << revoked.errors();
  }
  EXPECT_NE(audit_text().find("ceis.revoke"), std::string::npos);
}

TEST_P(CmpServiceTest, NamesAndKeysOutsideTheRegistrationAreRefusedWithTheDesksWords) {
  const Registered box = registered();
  const auto refused = [&](CmpClient& asking, CmpFailure failure, std::string_view why) {
    EXPECT_TRUE(asking.secret(box.reference, box.secret).request(OSSL_CMP_IR).empty());
    EXPECT_EQ(asking.failure(), static_cast<int>(failure)) << asking.errors();
    EXPECT_NE(asking.errors().find(why), std::string::npos) << asking.errors();
  };
  CmpClient other_name = client();
  refused(other_name.new_key(client_key("EC:P-256")).subject("box-8"), CmpFailure::not_authorized, "is not registered");
  CmpClient other_dns = client();
  refused(other_dns.new_key(client_key("EC:P-256")).dns("box-8.example"), CmpFailure::not_authorized, "is not registered");
  CmpClient no_such_key = client();
  no_such_key.new_key(client_key("ML-KEM-768")).option(OSSL_CMP_OPT_POPO_METHOD, OSSL_CRMF_POPO_RAVERIFIED);
  refused(no_such_key, CmpFailure::bad_pop, "not for keys that cannot sign");
  CmpClient wrong_secret = client();
  EXPECT_TRUE(trusting(wrong_secret).secret(box.reference, "another").new_key(client_key("EC:P-256")).request(OSSL_CMP_IR).empty());
  EXPECT_EQ(wrong_secret.failure(), static_cast<int>(CmpFailure::bad_message_check)) << wrong_secret.errors();
  EXPECT_NE(audit_text().find("\"ceis.cmp\""), std::string::npos);
}

TEST_P(CmpServiceTest, SecondCertificateByASecretForOneIsRefused) {
  const wire::Json body = wire::Json::object({{"op", "create"}, {"subject", "box-7"}, {"profile", "device"}});
  const wire::Json made = json_of(call(Endpoint::x5_registration, json_request(cmp_operator, body)));
  const Registered box{.reference = must(made.text("reference")), .secret = must(made.text("secret"))};
  static_cast<void>(enrolled(box, "EC:P-256"));
  CmpClient again = client();
  EXPECT_TRUE(again.secret(box.reference, box.secret).new_key(client_key("EC:P-256")).request(OSSL_CMP_IR).empty());
  EXPECT_EQ(again.failure(), static_cast<int>(CmpFailure::not_authorized)) << again.errors();
  EXPECT_NE(again.errors().find("1 live certificate(s)"), std::string::npos) << again.errors();
}

TEST_P(CmpServiceTest, PathMayNameTheProfileOfTheRegistrationAndNoOther) {
  const Registered box = registered();
  path_ = "/.well-known/cmp/p/device";
  static_cast<void>(enrolled(box, "EC:P-256"));
  path_ = "/.well-known/cmp/p/server";
  CmpClient asking = client();
  EXPECT_TRUE(asking.secret(box.reference, box.secret).new_key(client_key("EC:P-256")).request(OSSL_CMP_IR).empty());
  EXPECT_EQ(asking.failure(), static_cast<int>(CmpFailure::unaccepted_policy)) << asking.errors();
}

TEST_P(CmpServiceTest, WhatIsNoMessageGetsHttpsRefusals) {
  EXPECT_EQ(post(to_bytes("hello")).status, 400);
  EXPECT_EQ(post(to_bytes("hello"), "/.well-known/cmp", "Content-Type: text/plain\r\n").status, 415);
  EXPECT_EQ(post(to_bytes("hello"), "/.well-known/cmp", "").status, 415);
  EXPECT_EQ(post(to_bytes("hello"), "/.well-known/cmp/other").status, 404);
  EXPECT_EQ(post(Bytes(crypto::cmp_octets_max + 1, 0x30)).status, 400);
  EXPECT_EQ(ask_plain(service_->csp().port(), "GET", "/.well-known/cmp").status, 405);
  EXPECT_EQ(audit_text().find("\"ceis.cmp\""), std::string::npos) << "strangers cannot fill the record with noise";
}

TEST_P(CmpServiceTest, CertificateThatNobodyConfirmsIsRevokedInTheBackground) {
  start({.confirm_wait = std::chrono::seconds(1)});
  const Registered box = registered();
  CmpClient asking = client();
  asking.secret(box.reference, box.secret).new_key(client_key("ML-DSA-65")).option(OSSL_CMP_OPT_DISABLE_CONFIRM, 1);
  const Bytes certificate = asking.request(OSSL_CMP_IR);
  ASSERT_FALSE(certificate.empty()) << asking.errors();
  const Deadline deadline = Deadline::after(std::chrono::seconds(20));
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  while (audit_text().find(box.reference + " (not confirmed in time)") == std::string::npos) {
    ASSERT_FALSE(deadline.passed()) << "waited in vain for the revocation";
    never.wait_for(lock, std::chrono::milliseconds(20));
  }
  EXPECT_EQ(test::refusal(service_->desk().holder_of(certificate)), ErrorCode::denied);
}

TEST_P(CmpServiceTest, CertificateThatWasIssuedButNotGivenIsFoundAndRevoked) {
  const Registered box = registered();
  // The desk issues, and the process ends before the transaction says so.
  const auto key = client_key("EC:P-256");
  const Asked asked{.protocol = Protocol::cmp,
                    .reference = box.reference,
                    .key = must(crypto::SubjectPublicKey::parse(test::public_key_info(key))),
                    .request_hash = Bytes(32, 5)};
  const Given given = std::get<Given>(must(service_->desk().order(asked, test::soon(), "")));
  const Held other = enrolled(box, "EC:P-256");
  const UnixMs now = SystemClock().now_ms();
  service_->stop();
  close_service();
  {
    const auto device = must(crypto::open_software_device(plan().master_key, *rng_));
    const auto kept = must(Records::open(state() / "cas.db", *device));
    CmpRecords records(kept->store());
    CmpTransaction begun{.reference = box.reference, .id = Bytes(16, 1), .kind = "ir", .request_hash = Bytes(32, 5), .first_nonce = Bytes(16, 2)};
    begun.key_hash = key_hash_of(asked.key.octets());
    begun.began = now - 5000;
    begun.due = now;
    must(records.begin(begun, {}));
    EXPECT_EQ(must(records.issued_for(begun)), given.certificate);
    begun.began = now + 120'000;
    EXPECT_EQ(must(records.issued_for(begun)), Bytes()) << "one that was issued before the transaction began is none of its";
  }
  start({});
  const Deadline deadline = Deadline::after(std::chrono::seconds(20));
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  while (service_->desk().holder_of(given.certificate)) {
    ASSERT_FALSE(deadline.passed()) << "waited in vain for the revocation";
    never.wait_for(lock, std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(service_->desk().holder_of(other.certificate));
}

TEST_P(CmpServiceTest, SignersAreAppointedAnewInTimeAndAreForSignaturesAlone) {
  service_->stop();
  close_service();
  const auto device = must(crypto::open_software_device(plan().master_key, *rng_));
  const auto kept = must(Records::open(state() / "cas.db", *device));
  const Authorities authorities = must(kept->authorities(suite_));
  CmpSigners signers(*kept, authorities, suite_, *rng_, cas_id);
  EXPECT_EQ(test::refusal(signers.signer(CmpSignerKind::ml_dsa)), ErrorCode::unavailable);
  const UnixMs now = SystemClock().now_ms();
  must(signers.renew(now));
  for (const CmpSignerKind kind : all_cmp_signers) {
    const auto first = must(signers.signer(kind));
    const auto certificate = must(crypto::SubjectCertificate::parse(first->certificate.der()));
    EXPECT_EQ(certificate.usages(), crypto::KeyUsages({crypto::KeyUsage::digital_signature}));
    EXPECT_TRUE(certificate.extended().empty());
    EXPECT_FALSE(certificate.is_ca());
    must(certificate.signed_by(authorities.of(kind == CmpSignerKind::ml_dsa ? Branch::ml_dsa : Branch::devices).certificate));
    EXPECT_EQ(must(kept->status(first->certificate)), crypto::CertStatus::good) << "on record";
    must(signers.renew(now + 9 * test::day_ms));
    EXPECT_EQ(must(signers.signer(kind)), first);
    must(signers.renew(now + 11 * test::day_ms));
    EXPECT_NE(must(signers.signer(kind)), first);
    must(signers.renew(now));
  }
}

INSTANTIATE_TEST_SUITE_P(Suites, CmpServiceTest, testing::Values(crypto::SuiteId::gm_hybrid, crypto::SuiteId::intl_hybrid),
                         [](const auto& info) { return info.param == crypto::SuiteId::gm_hybrid ? "GM" : "INTL"; });

}  // namespace
}  // namespace qanat::cas
