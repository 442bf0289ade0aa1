// The listener of the CAS for everybody's software: OCSP by GET and POST, revocation lists, CA certificates.
#include <condition_variable>
#include <thread>

#include "cas_fixture.hpp"
#include "crypto/x509_crl.hpp"
#include "plain_http.hpp"
#include "services/cas/csp/ocsp_get.hpp"
#include "services/cas/csp/places.hpp"

namespace qanat::cas {
namespace {

using test::ask_plain;
using test::PlainAnswer;

const std::string test_url = "http://status.test";

void await(const std::string& what, const std::function<bool()>& holds) {
  const Deadline deadline = Deadline::after(std::chrono::seconds(30));
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  while (!holds()) {
    ASSERT_FALSE(deadline.passed()) << "waited in vain for " << what;
    never.wait_for(lock, std::chrono::milliseconds(2));
  }
}

/// Every character that is not a letter or a digit percent-encoded.
std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) {
      out += c;
    } else {
      out += '%' + to_hex(as_bytes(std::string_view(&c, 1)));
    }
  }
  return out;
}

class StatusFrontTest : public CasFixture, public testing::WithParamInterface<crypto::SuiteId> {
 protected:
  StatusFrontTest() : CasFixture(GetParam()) {
    start();
    const Bundle bundle = must(enrol_kms(requester(kms_a), secret_of(kms_a)));
    leaves_ = {bundle.ml_dsa, bundle.classical};
  }
  ~StatusFrontTest() override { service_->stop(); }

  void start() {
    CasSettings settings;
    settings.front.url = test_url;
    open_service(settings);
    must(service_->start());
  }
  [[nodiscard]] std::uint16_t port() { return service_->csp().port(); }
  [[nodiscard]] const crypto::Certificate& issuer_of(const crypto::Certificate& leaf) const { return *node_->trust().issuer_of(leaf); }
  PlainAnswer post(const Bytes& request) { return ask_plain(port(), "POST", "/ocsp", "Content-Type: application/ocsp-request\r\n", request); }
  PlainAnswer get(const Bytes& request, const std::string& fields = "") {
    return ask_plain(port(), "GET", "/ocsp/" + percent_encoded(wire::to_base64(request)), fields);
  }
  Result<crypto::StatusAnswer> posted(const crypto::Certificate& leaf, const Bytes& nonce) {
    const PlainAnswer answer = post(must(crypto::make_status_request(leaf, issuer_of(leaf), nonce)));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.fields.at("Content-Type"), "application/ocsp-response");
    return crypto::verify_status_response(answer.body, leaf, issuer_of(leaf), nonce, SystemClock().now_ms());
  }
  crypto::RevocationList list(Branch branch, std::string_view scope) {
    const PlainAnswer answer = ask_plain(port(), "GET", list_path(branch, scope));
    EXPECT_EQ(answer.status, 200) << scope;
    EXPECT_EQ(answer.fields.at("Content-Type"), "application/pkix-crl");
    return must(crypto::read_revocation_list(answer.body, branch == Branch::ml_dsa ? issuer_of(leaves_[0]) : issuer_of(leaves_[1])));
  }
  static bool holds(const crypto::RevocationList& list, const Bytes& serial) {
    return std::ranges::any_of(list.revoked, [&](const crypto::RevokedSerial& entry) { return entry.serial == serial; });
  }
  std::vector<crypto::Certificate> leaves_;
};

TEST(PresignedTest, TheAnswerThatCameFirstStaysWhicheverClockWasReadFirst) {
  constexpr UnixMs at = 1'790'000'000'000;
  const auto answer = [](std::uint8_t octet, UnixMs since) {
    return PresignedAnswer{.der = {octet}, .this_update = since, .next_update = since + 3'600'000, .tag = ""};
  };
  const PresignedKey key{.branch = Branch::ml_dsa, .hash = crypto::CertIdHash::sha256, .serial = {7}};
  Presigned answers(2);
  ASSERT_TRUE(answers.keep(key, answer(1, at), answers.generation()));
  EXPECT_TRUE(answers.keep(key, answer(2, at - 5), answers.generation()));
  ASSERT_TRUE(answers.find(key, at - 5));
  EXPECT_EQ(answers.find(key, at - 5)->der, Bytes{1});
  // A clock that was set back by hours: what was made before is of no use.
  EXPECT_FALSE(answers.find(key, at - 7'200'000));
  EXPECT_TRUE(answers.keep(key, answer(3, at - 7'200'000), answers.generation()));
  EXPECT_EQ(answers.find(key, at - 7'200'000)->der, Bytes{3});
}

TEST_P(StatusFrontTest, AnswersANonceWithASignatureOfItsOwn) {
  for (const crypto::Certificate& leaf : leaves_) {
    const auto answer = posted(leaf, rng_->bytes(32));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, crypto::CertStatus::good);
  }
}

TEST_P(StatusFrontTest, GivesTheSameAnswerToEverybodyWhoSendsNoNonceWithTimesForCaches) {
  for (const crypto::Certificate& leaf : leaves_) {
    const Bytes request = must(crypto::make_status_request(leaf, issuer_of(leaf), {}));
    const PlainAnswer first = get(request);
    ASSERT_EQ(first.status, 200);
    const auto answer = must(crypto::verify_status_response(first.body, leaf, issuer_of(leaf), {}, SystemClock().now_ms()));
    EXPECT_EQ(answer.status, crypto::CertStatus::good);
    const PlainAnswer second = get(request);
    EXPECT_EQ(second.body, first.body);
    EXPECT_EQ(second.fields.at("ETag"), first.fields.at("ETag"));
    EXPECT_TRUE(first.fields.at("Cache-Control").starts_with("max-age=")) << first.fields.at("Cache-Control");
    EXPECT_TRUE(first.fields.contains("Expires"));
    EXPECT_TRUE(first.fields.contains("Last-Modified"));
    const PlainAnswer unchanged = get(request, "If-None-Match: " + first.fields.at("ETag") + "\r\n");
    EXPECT_EQ(unchanged.status, 304);
    EXPECT_TRUE(unchanged.body.empty());
    EXPECT_EQ(post(request).body, first.body);
    EXPECT_EQ(post(request).fields.at("Cache-Control"), "no-store") << "an answer to POST is not for caches";
  }
}

TEST_P(StatusFrontTest, MakesAnswersAheadOfTheFirstQuestion) {
  await("answers made ahead", [&] {
    wire::Json health = wire::Json::object();
    service_->csp().describe(health);
    // Both certificates and CAS's own, by both digests.
    return must(must(health.object("csp")).integer("answers_prepared")) >= 6;
  });
}

TEST_P(StatusFrontTest, RevocationSwapsTheAnswerAtOnce) {
  const Bytes request = must(crypto::make_status_request(leaves_[0], issuer_of(leaves_[0]), {}));
  const PlainAnswer before = get(request);
  json_of(revoke(kms_a));
  const PlainAnswer after = get(request);
  EXPECT_NE(after.body, before.body);
  const UnixMs now = SystemClock().now_ms();
  const auto answer = must(crypto::verify_status_response(after.body, leaves_[0], issuer_of(leaves_[0]), {}, now));
  EXPECT_EQ(answer.status, crypto::CertStatus::revoked);
  EXPECT_LE(now - answer.revoked_at, 60'000U) << "with the time of the revocation";
  EXPECT_EQ(must(posted(leaves_[1], rng_->bytes(16))).status, crypto::CertStatus::revoked);
}

TEST_P(StatusFrontTest, NumbersThatNobodyWasGivenAreUnknown) {
  crypto::SigningSecret secret = must(crypto::Signer::generate(suite_, *rng_)).secret();
  const crypto::PrivateKey key{.algorithm = crypto::ml_dsa_key(suite_), .secret = std::move(secret.ml_dsa_seed)};
  const UnixMs now = SystemClock().now_ms();
  service_->stop();
  close_service();
  std::optional<crypto::Certificate> unrecorded;
  {
    const auto device = must(crypto::open_software_device(plan().master_key, *rng_));
    const auto records = must(Records::open(state() / "cas.db", *device));
    const Authorities authorities = must(records->authorities(suite_));
    unrecorded = must(crypto::issue({.use = crypto::CertificateUse::tls_and_signing,
                                     .names = element_names(kms_a),
                                     .key_algorithm = key.algorithm,
                                     .public_key = must(crypto::public_octets(key)),
                                     .serial = draw_serial(*rng_),
                                     .not_before = now - 1000,
                                     .not_after = now + test::day_ms},
                                    &authorities.ml_dsa.certificate, authorities.ml_dsa.key));
  }
  start();
  EXPECT_EQ(must(posted(*unrecorded, {})).status, crypto::CertStatus::unknown);
  EXPECT_EQ(get(must(crypto::make_status_request(*unrecorded, issuer_of(*unrecorded), {}))).fields.at("Cache-Control"), "no-store");
}

TEST_P(StatusFrontTest, OtherIssuersAndNoiseGetTheirErrorsExactly) {
  test::TrustedNetwork elsewhere(suite_.id);
  const auto foreign = elsewhere.credentials(kms_a).tls;
  const Bytes request = must(crypto::make_status_request(foreign->chain[0], foreign->chain[1], {}));
  EXPECT_EQ(post(request).body, crypto::make_status_error(6));
  EXPECT_EQ(get(request).body, crypto::make_status_error(6));
  EXPECT_EQ(post(Bytes(100, 0x30)).body, crypto::make_status_error(1));
  EXPECT_EQ(ask_plain(port(), "GET", "/ocsp/not*base64").body, crypto::make_status_error(1));
  EXPECT_EQ(get(Bytes(100, 0x30)).body, crypto::make_status_error(1));
}

TEST_P(StatusFrontTest, WhatIsNoStatusRequestIsRefusedByHttp) {
  const Bytes request = must(crypto::make_status_request(leaves_[0], issuer_of(leaves_[0]), {}));
  EXPECT_EQ(ask_plain(port(), "POST", "/ocsp", "Content-Type: text/plain\r\n", request).status, 415);
  EXPECT_EQ(ask_plain(port(), "POST", "/ocsp", "Content-Type: application/ocsp-request\r\n", Bytes(20'000, 0x30)).status, 400);
  EXPECT_EQ(ask_plain(port(), "PUT", "/ocsp", "", request).status, 405);
  EXPECT_EQ(ask_plain(port(), "GET", "/x/5/revoke").status, 404) << "nothing of the elements' interface is here";
  EXPECT_EQ(ask_plain(port(), "GET", "/crl/other.crl").status, 404);
  EXPECT_EQ(ask_plain(port(), "GET", "/crl/ml_dsa-99.crl").status, 404);
  EXPECT_EQ(ask_plain(port(), "GET", "/ocsp/" + std::string(20'000, 'A')).status, 431);
  EXPECT_TRUE(posted(leaves_[0], {})) << "and it goes on";
}

TEST_P(StatusFrontTest, ListsShowARevocationWithHigherNumbers) {
  struct Both {
    Branch branch;
    std::size_t leaf;
  };
  std::map<Branch, std::uint64_t> numbers;
  for (const Branch branch : all_branches) {
    const crypto::RevocationList full = list(branch, full_scope);
    EXPECT_TRUE(full.revoked.empty());
    EXPECT_EQ(full.delta_url, test_url + list_path(branch, delta_scope));
    numbers[branch] = full.number;
  }
  json_of(revoke(kms_a));
  for (const Both& both : {Both{Branch::ml_dsa, 0}, Both{Branch::classical, 1}}) {
    const Bytes& serial = leaves_[both.leaf].serial();
    await("the complete list", [&] { return holds(list(both.branch, full_scope), serial); });
    const crypto::RevocationList full = list(both.branch, full_scope);
    EXPECT_GT(full.number, numbers[both.branch]);
    const crypto::RevocationList delta = list(both.branch, delta_scope);
    EXPECT_TRUE(holds(delta, serial));
    EXPECT_EQ(delta.number, full.number) << "RFC 5280 §5.2.4: of one moment";
    EXPECT_EQ(delta.base_number, numbers[both.branch]);
    const std::string shard = shard_of(serial);
    EXPECT_TRUE(holds(list(both.branch, shard), serial));
    EXPECT_EQ(list(both.branch, shard).distribution_point, test_url + list_path(both.branch, shard));
    const std::string other = shard == "0" ? "1" : "0";
    EXPECT_FALSE(holds(list(both.branch, other), serial));
  }
}

TEST_P(StatusFrontTest, NumbersGrowOverRestarts) {
  const std::uint64_t before = list(Branch::ml_dsa, full_scope).number;
  json_of(revoke(kms_a));
  service_->stop();
  start();
  const crypto::RevocationList after = list(Branch::ml_dsa, full_scope);
  EXPECT_GT(after.number, before);
  EXPECT_TRUE(holds(after, leaves_[0].serial())) << "whether or not a list of it was made before";
}

TEST_P(StatusFrontTest, CertificatesNameTheListenerAndTheirShard) {
  for (const Branch branch : all_branches) {
    const crypto::Certificate& leaf = leaves_[branch == Branch::ml_dsa ? 0 : 1];
    const std::string_view text = as_text(leaf.der());
    EXPECT_TRUE(text.contains(test_url + "/ocsp"));
    EXPECT_TRUE(text.contains(test_url + list_path(branch, shard_of(leaf.serial()))));
    const PlainAnswer ca = ask_plain(port(), "GET", ca_path(branch));
    EXPECT_EQ(ca.status, 200);
    EXPECT_EQ(ca.fields.at("Content-Type"), "application/pkix-cert");
    EXPECT_EQ(ca.body, issuer_of(leaf).der());
  }
  EXPECT_EQ(ask_plain(port(), "GET", "/ca/root.cer").status, 404);
}

TEST_P(StatusFrontTest, ElementsFetchListsAtTheirOwnPoints) {
  net::Request request = test::request_from(kms_a, {});
  request.query = "branch=ml_dsa&list=full";
  const net::Response answer = must(call(Endpoint::cd1_crl, request));
  EXPECT_EQ(must(crypto::read_revocation_list(answer.body, issuer_of(leaves_[0]))).number, list(Branch::ml_dsa, full_scope).number);
  request.query = "branch=ml_dsa&list=other";
  EXPECT_EQ(refusal(call(Endpoint::cd2_crl, request)), ErrorCode::not_found);
  request.query = "list=full";
  EXPECT_EQ(refusal(call(Endpoint::cd3_crl, request)), ErrorCode::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(BothSuites, StatusFrontTest, testing::Values(crypto::SuiteId::gm_hybrid, crypto::SuiteId::intl_hybrid),
                         [](const auto& instance) { return instance.param == crypto::SuiteId::gm_hybrid ? "Gm" : "Intl"; });

TEST(OcspGetTest, ReadsWhatClientsSendAndNothingElse) {
  const Bytes der{0x30, 0xfb, 0xef, 0xff, 0x00};
  EXPECT_EQ(wire::to_base64(der), "MPvv/wA=");
  for (const char* path : {"MPvv/wA=", "MPvv%2FwA%3D", "MPvv%2fwA%3d", "MPvv/wA", "%4D%50%76%76%2F%77%41%3D"}) {
    const auto read = read_status_path(path);
    ASSERT_TRUE(read) << path << ": " << read.error().message;
    EXPECT_EQ(*read, der) << path;
  }
  for (const char* path : {"", "MPvv*wA=", "MPvv/wA=%", "MPvv/wA=%3", "MPvv/wA=%zz", "MPvv wA=", "MPvv/wB="}) EXPECT_FALSE(read_status_path(path)) << path;
  EXPECT_FALSE(read_status_path(std::string(status_path_octets_max + 4, 'A')));
}

}  // namespace
}  // namespace qanat::cas
