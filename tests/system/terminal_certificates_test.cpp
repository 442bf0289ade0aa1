// The certificates of terminals in a running network: what is issued, as other software reads it, who must have agreed, and what becomes of them.
#include <fstream>

#include "crypto/certificate_bundle.hpp"
#include "crypto/x509_pkcs7.hpp"
#include "point_test.hpp"
#include "program.hpp"
#include "test_network.hpp"
#include "wire/est.hpp"

namespace qanat::test {
namespace {

using crypto::BundleRole;
using points::Endpoint;
using wire::Json;

class TerminalCertificates : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;
    options_.status_fresh_ms = 200;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B", "C"}) net().enrol(uid);
  }

  static unsigned status_of(const Result<net::Response>& response) {
    EXPECT_TRUE(response) << (response ? "" : response.error().message);
    return response ? response->status : 0;
  }
  /// What CAS says was issued in the terminal's name, the latest first.
  static std::vector<Json> issued_to(const std::string& uid) {
    const auto response = net().call(uid, Endpoint::ce2_issued, "cas", {});
    EXPECT_EQ(status_of(response), 200U);
    const auto json = response ? Json::parse(response->body) : Result<Json>(fail(response.error()));
    return json ? json->array("certificates").value_or(std::vector<Json>{}) : std::vector<Json>{};
  }
  /// The latest bundle among them.
  static std::optional<crypto::CertificateBundle> bundle_of(const std::string& uid) {
    std::map<BundleRole, Bytes> der;
    for (const Json& one : issued_to(uid)) {
      const auto role = crypto::parse_bundle_role(one.text("role").value_or(""));
      if (role && !der.contains(*role)) der[*role] = one.base64("certificate").value_or(Bytes());
    }
    if (der.size() != 4) return std::nullopt;
    auto bundle = crypto::parse_bundle(
        {der[BundleRole::classical_signing], der[BundleRole::ml_dsa_signing], der[BundleRole::classical_encryption], der[BundleRole::ml_kem_encryption]});
    EXPECT_TRUE(bundle) << bundle.error().message;
    return bundle ? std::optional(*std::move(bundle)) : std::nullopt;
  }
  Outcome openssl(const std::string& arguments) const {
    return run_line("OPENSSL_CONF=/dev/null " QANAT_SOURCE_DIR "/.deps/openssl/bin/openssl " + arguments + " 2>&1 </dev/null", folder_);
  }
  [[nodiscard]] std::string file_of(const crypto::Certificate& certificate, const std::string& name) const {
    std::ofstream(folder_ / name) << certificate.pem();
    return (folder_ / name).string();
  }
  /// A terminal's own process; the value is its result.
  Result<Json> terminal(const std::string& command, const std::string& uid) const {
    const Outcome outcome = run_program("terminal " + command + " --config " + net().network().config_of(uid).string(), folder_);
    if (outcome.code != 0) return fail(ErrorCode::unavailable, outcome.error);
    const auto last = Json::parse(std::string_view(outcome.out).substr(outcome.out.rfind('{', outcome.out.rfind("\"event\":\"result\""))));
    return last ? last->at("result") : last;
  }
  /// Until IAM has a record of this about the terminal.
  static void await_told(const std::string& uid, const std::string& action, const std::string& object = "") {
    TestNetwork::await("'" + action + "' about " + uid + " at IAM", [&] {
      const auto found = net().op().ask(Endpoint::x5_behaviour, "iam", Json::object({{"op", "query"}, {"uid", uid}, {"action", action}}));
      const auto records = found ? found->array("records").value_or(std::vector<Json>()) : std::vector<Json>();
      return std::ranges::any_of(records, [&](const Json& one) { return one.text("object").value_or("").contains(object); });
    });
  }
  /// A whole call between the processes of two terminals of domain a.
  Result<Json> call(const std::string& from, const std::string& to) { return net().hold_call(from, to, folder_ / "call", 8); }
  /// Puts lines behind a table's head in a configuration; gives back what it was.
  static std::string configure(const std::string& name, const std::string& table, const std::string& lines) {
    const std::filesystem::path file = net().network().config_of(name);
    std::string before = text_of(file);
    std::string after = before;
    after.insert(after.find(table + "\n") + table.size() + 1, lines);
    std::ofstream(file, std::ios::binary | std::ios::trunc) << after;
    return before;
  }
  static void restart(const std::string& element) {
    net().running().stop_element(element, app::RunningNetwork::Ending::orderly);
    const auto started = net().running().start_element(element);
    ASSERT_TRUE(started) << started.error().message;
  }
  [[nodiscard]] static std::string trust(const std::string& file) { return (net().network().trust() / file).string(); }
  TemporaryDirectory folder_;
};

TEST_F(TerminalCertificates, FourOfOneBundleAsTheOpensslProgramSeesThem) {
  const auto bundle = bundle_of("A");
  ASSERT_TRUE(bundle);
  const auto sound = crypto::check_bundle(net().suite(), *bundle);
  EXPECT_TRUE(sound) << sound.error().message;
  EXPECT_EQ(bundle->ml_dsa_signing.der(), net().identity_of("A")->chain.front().der()) << "the one that it shows in TLS";
  std::map<BundleRole, std::string> files;
  for (const BundleRole role : crypto::all_bundle_roles) {
    files[role] = file_of(bundle->of(role), std::string(name(role)) + ".pem");
    const bool classical = role == BundleRole::classical_signing || role == BundleRole::classical_encryption;
    const std::string branch = classical ? "classical" : "ml_dsa";
    // SM2 with the standard identity, link for link: the program gives it to the certificate that stands on its command line alone.
    const std::string identity = classical ? "-vfyopt distid:1234567812345678 " : "";
    const Outcome upper =
        openssl("verify -x509_strict " + identity + "-CAfile " + trust("root-" + branch + ".pem") + " " + trust("issuing-" + branch + ".pem"));
    EXPECT_EQ(upper.code, 0) << upper.out;
    const Outcome lower = openssl("verify -x509_strict " + identity + "-partial_chain -trusted " + trust("issuing-" + branch + ".pem") + " " + files[role]);
    EXPECT_EQ(lower.code, 0) << name(role) << ": " << lower.out;
    if (classical) {
      EXPECT_NE(openssl("verify -partial_chain -trusted " + trust("issuing-" + branch + ".pem") + " " + files[role]).code, 0)
          << "an empty identity must not do";
    }
  }
  // RFC 9763 by other eyes: the digest that the program computes of one certificate stands in the extension that it finds in the other.
  const auto names = [&](BundleRole role, BundleRole named) {
    EXPECT_EQ(openssl("x509 -in " + files[named] + " -outform DER -out " + files[named] + ".der").code, 0);
    std::string text = openssl("dgst -sha256 -r " + files[named] + ".der").out.substr(0, 64);
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    const Outcome parsed = openssl("asn1parse -in " + files[role]);
    return text.size() == 64 && parsed.out.contains("1.3.6.1.5.5.7.1.36") && parsed.out.contains(text);
  };
  EXPECT_TRUE(names(BundleRole::ml_dsa_signing, BundleRole::classical_signing));
  EXPECT_TRUE(names(BundleRole::classical_encryption, BundleRole::ml_dsa_signing));
  EXPECT_TRUE(names(BundleRole::ml_kem_encryption, BundleRole::ml_dsa_signing));
  EXPECT_FALSE(names(BundleRole::classical_signing, BundleRole::ml_dsa_signing)) << "the first names nobody";
  const Outcome usage = openssl("x509 -noout -ext keyUsage -in " + files[BundleRole::ml_kem_encryption]);
  EXPECT_TRUE(usage.out.contains("Key Encipherment") && !usage.out.contains(",")) << usage.out;
}

POINT_TEST(TerminalCertificates, Ce_2, accepts, ATerminalLearnsWhatWasIssuedInItsNameAlone) {
  const std::vector<Json> own = issued_to("A");
  ASSERT_EQ(own.size(), 4U);
  for (const Json& one : own) {
    const auto certificate = crypto::Certificate::parse(one.base64("certificate").value_or(Bytes()));
    ASSERT_TRUE(certificate);
    EXPECT_EQ(certificate->names().element->name, "A");
  }
}

POINT_TEST(TerminalCertificates, Ce_2, refuses, WhoIsNoTerminal) {
  for (const char* caller : {"kms-a", "qkm-a"}) EXPECT_EQ(status_of(net().call(caller, Endpoint::ce2_issued, "cas", {})), 403U) << caller;
  EXPECT_EQ(status_of(net().call("", Endpoint::ce2_issued, "cas", {})), 401U);
  const auto request = crypto::make_request(
      {.algorithm = crypto::classical_key(net().suite()), .secret = crypto::Signer::generate(net().suite(), net().rng()).value().secret().scalar.duplicate()},
      bundle_of("A")->ml_dsa_signing.names());
  ASSERT_TRUE(request);
  const std::string body = wire::est_body(*request);
  EXPECT_EQ(status_of(net().call("C", Endpoint::ce2_reenrol, "cas", as_bytes(body))), 403U) << "a request in A's name by C";
  EXPECT_EQ(status_of(net().call("kms-a", Endpoint::ce2_reenrol, "cas", as_bytes(body))), 403U);
  EXPECT_EQ(status_of(net().call("", Endpoint::ce2_reenrol, "cas", as_bytes(body))), 401U);
  EXPECT_EQ(status_of(net().call("A", Endpoint::ce2_reenrol, "cas", as_bytes("no request"))), 400U);
}

POINT_TEST(TerminalCertificates, X_13, accepts, TheAccountOfAnEnrolledTerminal) {
  const auto& plan = **net().network().terminal("A");
  const auto answer = net().call_json("cas", Endpoint::x13_account, "cmsp", Json::object({{"uid", plan.uid}, {"number", plan.number}, {"home_kms", plan.kms}}));
  EXPECT_EQ(status_of(answer), 200U);
}

POINT_TEST(TerminalCertificates, X_13, refuses, NumbersOfOthersAndCallersThatAreNotCas) {
  const auto& plan = **net().network().terminal("A");
  const auto ask = [&](const std::string& caller, const std::string& uid, const std::string& number, const std::string& kms) {
    return status_of(net().call_json(caller, Endpoint::x13_account, "cmsp", Json::object({{"uid", uid}, {"number", number}, {"home_kms", kms}})));
  };
  EXPECT_EQ(ask("cas", "B", plan.number, plan.kms), 403U);
  EXPECT_EQ(ask("cas", plan.uid, plan.number, "kms-b"), 403U);
  EXPECT_EQ(ask("cas", plan.uid, "+999999999", plan.kms), 404U);
  EXPECT_EQ(ask("kms-a", plan.uid, plan.number, plan.kms), 403U);
}

TEST_F(TerminalCertificates, ARenewedTerminalCallsOnAndTheFormerBundleEnds) {
  const auto before = bundle_of("A");
  const auto former = net().identity_of("A");
  ASSERT_TRUE(before);
  const auto renewed = terminal("renew", "A");
  ASSERT_TRUE(renewed) << renewed.error().message;
  const auto after = bundle_of("A");
  ASSERT_TRUE(after);
  EXPECT_TRUE(crypto::check_bundle(net().suite(), *after));
  EXPECT_NE(after->id(), before->id());
  EXPECT_EQ(renewed->text("bundle").value_or(""), to_hex(after->id()));
  EXPECT_TRUE(renewed->array("strangers").value_or(std::vector<Json>(1)).empty());
  EXPECT_EQ(after->encryption_key(), before->encryption_key());
  EXPECT_NE(after->ml_dsa_signing.public_key(), before->ml_dsa_signing.public_key());
  EXPECT_EQ(net().identity_of("A")->chain.front().der(), after->ml_dsa_signing.der());
  for (const BundleRole role : crypto::all_bundle_roles) {
    const auto entries = issued_to("A");
    const auto old = std::ranges::find(entries, before->of(role).der(), [](const Json& one) { return one.base64("certificate").value_or(Bytes()); });
    ASSERT_NE(old, entries.end());
    EXPECT_TRUE(old->boolean("revoked").value_or(false)) << name(role);
  }
  // Whoever has the former key is nobody any more.
  const auto refused = net()
                           .client("kms-a", former)
                           ->call({.method = "POST",
                                   .path = "/km/1/renewed",
                                   .query = "",
                                   .content_type = "application/json",
                                   .body = as_bytes("{}"),
                                   .request_id = "0123456789abcdef"},
                                  Deadline::after(std::chrono::seconds(5)));
  EXPECT_EQ(status_of(refused), 403U);
  const auto summary = call("A", "C");
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->text("wk_fingerprint_a").value_or("a"), summary->text("wk_fingerprint_b").value_or("b"));
  net().expect_audit("cas", "ce-2.reenrol", "");
  net().expect_audit("cas", "ce-2.confirm", "");
  net().expect_audit("kms-a", "km-1.renewed", "");
  await_told("A", "renewal", to_hex(after->ml_dsa_signing.serial()));
}

TEST_F(TerminalCertificates, ATerminalRenewsByItselfBeforeACallWhenItsTimeHasCome) {
  // Certificates of two minutes, to be renewed when a tenth of that is over.
  const std::string cas = configure("cas", "[cas]", "terminal_lifetime_s = 120\n");
  const std::string own = configure("C", "[node]", "renew_at_percent = 10\n");
  restart("cas");
  ASSERT_TRUE(terminal("renew", "C"));
  const auto before = bundle_of("C");
  ASSERT_TRUE(before);
  const crypto::Certificate& certificate = before->ml_dsa_signing;
  const UnixMs due = certificate.not_before() + (certificate.not_after() - certificate.not_before()) / 10;
  TestNetwork::await("its time", [&] { return SystemClock().now_ms() > due; });
  const auto summary = call("A", "C");
  ASSERT_TRUE(summary) << summary.error().message;
  const auto after = bundle_of("C");
  ASSERT_TRUE(after);
  EXPECT_NE(after->id(), before->id());
  std::ofstream(net().network().config_of("cas"), std::ios::binary | std::ios::trunc) << cas;
  std::ofstream(net().network().config_of("C"), std::ios::binary | std::ios::trunc) << own;
  restart("cas");
  ASSERT_TRUE(terminal("renew", "C"));
}

TEST_F(TerminalCertificates, WhatSomebodyElseHadIssuedIsAnAlarm) {
  // Whoever has C's key, for once, and renews with it: the terminal itself comes too late, and sees why.
  ASSERT_EQ(terminal("certificates", "C")->array("strangers").value_or(std::vector<Json>(1)).size(), 0U);
  const crypto::SubjectNames names = bundle_of("C")->ml_dsa_signing.names();
  crypto::SigningSecret secret = crypto::Signer::generate(net().suite(), net().rng()).value().secret();
  const Bytes classical = crypto::make_request({.algorithm = crypto::classical_key(net().suite()), .secret = std::move(secret.scalar)}, names).value();
  const std::string body = wire::est_body(classical);
  ASSERT_EQ(status_of(net().call("C", Endpoint::ce2_reenrol, "cas", as_bytes(body))), 200U);
  const Outcome outcome = run_program("terminal certificates --config " + net().network().config_of("C").string(), folder_);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_TRUE(outcome.error.contains("ALARM")) << outcome.error;
  EXPECT_TRUE(outcome.out.contains("\"strangers\":[{")) << outcome.out;
  net().expect_audit("C", "ce-2.stranger", "over a key that this terminal never had");
  await_told("C", "own_certificates");
  // Its own renewal makes an end of what came half way.
  ASSERT_TRUE(terminal("renew", "C"));
  EXPECT_EQ(terminal("certificates", "C")->array("strangers").value_or(std::vector<Json>(1)).size(), 0U);
}

POINT_TEST(TerminalCertificates, Km_1, refuses, ARenewalThatTheFormerKeysDidNotSign) {
  const auto bundle = bundle_of("A");
  ASSERT_TRUE(bundle);
  const Json body = Json::object({{"successions", "AA=="}, {"encryption", Json::object({{"classical", "AA=="}, {"ml_kem", "AA=="}})}});
  // C's certificate is good, and no link leads to it from anything else.
  EXPECT_EQ(status_of(net().call_json("C", Endpoint::km1_renewed, "kms-a", body)), 200U) << "it is what the KMS has";
  EXPECT_EQ(status_of(net().call_json("B", Endpoint::km1_renewed, "kms-a", body)), 403U) << "another KMS's terminal";
  EXPECT_EQ(status_of(net().call_json("kms-b", Endpoint::km1_renewed, "kms-a", body)), 403U);
}

/// Last: it takes C's certificates away.
TEST_F(TerminalCertificates, RevocationTakesAllFourAndTheNextCallIsRefused) {
  ASSERT_TRUE(net().apply("A", "C").agree()) << "before";
  const auto bundle = bundle_of("C");
  ASSERT_TRUE(bundle);
  const auto revoked = net().op().revoke({.domain = "a", .kind = Kind::app1, .name = "C"});
  ASSERT_TRUE(revoked) << revoked.error().message;
  EXPECT_EQ(revoked->size(), 4U);
  const std::string responder = "http://127.0.0.1:" + std::to_string((*net().network().element("cas"))->status_port) + "/ocsp";
  for (const BundleRole role : crypto::all_bundle_roles) {
    if (role == BundleRole::classical_signing || role == BundleRole::classical_encryption) continue;  // the program has no way to give it the identity of SM2
    const std::string file = file_of(bundle->of(role), "revoked.pem");
    const Outcome answer =
        openssl("ocsp -url " + responder + " -issuer " + trust("issuing-ml_dsa.pem") + " -CAfile " + trust("root-ml_dsa.pem") + " -cert " + file);
    EXPECT_TRUE(answer.out.contains("Response verify OK") && answer.out.contains(": revoked")) << name(role) << ": " << answer.out;
  }
  const auto refused = net().apply("A", "C");
  EXPECT_FALSE(refused.callee);
  EXPECT_FALSE(net().apply("C", "A").caller);
}

}  // namespace
}  // namespace qanat::test
