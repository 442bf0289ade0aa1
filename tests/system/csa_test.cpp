// Cryptography as a service over the wire: applications with their own certificates, operators, software of others by curl, the command line, and kill -9.
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "crypto/foreign_issue.hpp"
#include "point_test.hpp"
#include "program.hpp"
#include "test_network.hpp"
#include "wire/base64.hpp"

namespace qanat::test {
namespace {

using app::RunningNetwork;
using points::Endpoint;
using wire::Json;

class CryptographyAsAService : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;
    SharedNetwork::SetUpTestSuite();
    folder_ = std::make_unique<TemporaryDirectory>();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B", "C"}) net().enrol(uid);
    give_listener();
  }
  static void TearDownTestSuite() {
    SharedNetwork::TearDownTestSuite();
    folder_.reset();
  }

  /// The list of the applications' root names these, and no others.
  static void revoke(const std::vector<std::string>& names) {
    std::vector<std::filesystem::path> certificates;
    certificates.reserve(names.size());
    for (const std::string& name : names) certificates.push_back(*folder_ / (name + ".pem"));
    const auto list = crypto::make_foreign_crl({.certificate = *folder_ / "root.pem", .key = *folder_ / "root.key"}, certificates);
    ASSERT_TRUE(list) << list.error().message;
    std::ofstream(*folder_ / "crls.new") << *list;
    std::filesystem::rename(*folder_ / "crls.new", *folder_ / "crls.pem");
  }
  /// kms-a lets software of others in, and destroys keys within seconds.
  static void give_listener() {
    const auto files = [](const char* name) { return crypto::PemFiles{.certificate = *folder_ / (std::string(name) + ".pem"), .key = *folder_ / (std::string(name) + ".key")}; };
    const auto ecdsa = crypto::ForeignKey::ecdsa_p256;
    ASSERT_TRUE(crypto::make_foreign_root(files("root"), "applications", ecdsa));
    ASSERT_TRUE(crypto::make_foreign_leaf(files("kms"), {.common_name = "kms-a", .uris = {}, .dns = {"localhost"}, .addresses = {}}, ecdsa, files("root")));
    for (const char* name : {"billing", "other"}) {
      ASSERT_TRUE(crypto::make_foreign_leaf(files(name), {.common_name = name, .uris = {}, .dns = {std::string(name) + ".example"}, .addresses = {}}, ecdsa, files("root")));
    }
    revoke({});
    const auto ports = app::free_ports(1);
    ASSERT_TRUE(ports);
    port_ = ports->front();
    net().running().stop_element("kms-a", RunningNetwork::Ending::orderly);
    std::ofstream(net().network().config_of("kms-a"), std::ios::app)
        << "\n[kms.csa]\ndeletion_wait_min_s = 1\nport = " << port_ << "\ncertificate = \"" << files("kms").certificate.string() << "\"\nkey = \""
        << files("kms").key.string() << "\"\nroots = \"" << files("root").certificate.string() << "\"\ncrls = \"" << (*folder_ / "crls.pem").string() << "\"\n";
    const auto started = net().running().start_element("kms-a");
    ASSERT_TRUE(started) << started.error().message;
  }

  static std::string uri(const std::string& uid, const char* domain = "a") { return std::string("qanat://") + domain + "/app1/" + uid; }
  static Json grant(const std::string& caller, std::initializer_list<const char*> operations) {
    Json words = Json::array();
    for (const char* const operation : operations) words.push(operation);
    return Json::object({{"caller", caller}, {"operations", words}});
  }
  static Json key_of(const char* algorithm, const char* usage, std::vector<Json> grants) {
    return Json::object({{"algorithm", algorithm}, {"usage", usage}, {"policy", Json::object({{"grants", Json::array(std::move(grants))}})}});
  }
  static Json administer(Endpoint endpoint, const Json& body, const std::string& kms = "kms-a") {
    const auto answer = net().op().ask(endpoint, kms, body);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message) << " " << body.dump();
    return answer.value_or(Json::object());
  }
  static std::string created(const Json& body) { return text(administer(Endpoint::csa_create_key, body), "key_id"); }
  static std::string text(const Json& json, std::string_view name) {
    const auto found = json.text(name);
    EXPECT_TRUE(found) << json.dump();
    return found.value_or("");
  }
  static std::pair<unsigned, Json> ask(const std::string& caller, Endpoint endpoint, const Json& body, const std::string& kms = "kms-a") {
    const auto answer = net().call_json(caller, endpoint, kms, body);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    if (!answer) return {0, Json::object()};
    return {answer->status, Json::parse(answer->body).value_or(Json::object())};
  }
  static Json must_ask(const std::string& caller, Endpoint endpoint, const Json& body, const std::string& kms = "kms-a") {
    const auto [status, answer] = ask(caller, endpoint, body, kms);
    EXPECT_EQ(status, 200U) << caller << ": " << answer.dump();
    return answer;
  }
  static std::string base64(std::string_view octets) { return wire::to_base64(as_bytes(octets)); }

  struct Answered {
    int status = 0;
    std::string head;
    Json body;
  };
  static Answered curl(const char* who, const std::string& path, const std::string& body) {
    const std::string certificate = (*folder_ / who).string();
    const std::filesystem::path head = *folder_ / "head";
    const std::string sent = body.empty() ? "" : " -H 'Content-Type: application/json' -d '" + body + "'";
    const Outcome outcome = run_line("curl -sS --max-time 20 -D " + head.string() + " --cacert " + (*folder_ / "root.pem").string() + " --cert " + certificate + ".pem --key " + certificate +
                                         ".key -w '\\n%{http_code}'" + sent + " https://localhost:" + std::to_string(port_) + path,
                                     *folder_);
    const std::size_t line = outcome.out.rfind('\n');
    std::ifstream in(head, std::ios::binary);
    return {.status = std::atoi(outcome.out.c_str() + (line == std::string::npos ? 0 : line + 1)),
            .head = std::string(std::istreambuf_iterator<char>(in), {}),
            .body = Json::parse(std::string_view(outcome.out).substr(0, line)).value_or(Json::object())};
  }

  static Outcome csa(const std::string& uid, const std::string& arguments) {
    return run_program("csa " + arguments + " --json --config " + net().network().config_of(uid).string(), *folder_);
  }
  static std::filesystem::path write(const char* name, const std::string& content) {
    std::ofstream(*folder_ / name, std::ios::binary) << content;
    return *folder_ / name;
  }
  static std::string content_of(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  /// kms-a dies at the place while `work` is done, and starts again.
  static void crash(const std::string& place, const std::function<void()>& work) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, "kms-a dies at " + place);
    const std::filesystem::path mark = *folder_ / ("crashed-" + place);
    net().running().stop_element("kms-a", RunningNetwork::Ending::orderly);
    ASSERT_TRUE(net().running().start_element("kms-a", QANAT_CRASH_PROGRAM, {"QANAT_CRASH_AT=" + place, "QANAT_CRASH_ONCE=" + mark.string()}));
    work();
    TestNetwork::await("its death", [&] { return !net().running().lives("kms-a"); });
    EXPECT_TRUE(std::filesystem::exists(mark)) << "the place was not reached";
    net().running().stop_element("kms-a", RunningNetwork::Ending::kill);
    const auto restarted = net().running().start_element("kms-a");
    ASSERT_TRUE(restarted) << restarted.error().message;
  }

  static std::unique_ptr<TemporaryDirectory> folder_;
  static std::uint16_t port_;
};
std::unique_ptr<TemporaryDirectory> CryptographyAsAService::folder_;
std::uint16_t CryptographyAsAService::port_ = 0;

POINT_TEST(CryptographyAsAService, X_14, accepts, EncryptsForWhomThePolicyNames) {
  const std::string key = created(key_of("SM4-GCM", "encryption", {grant(uri("A"), {"encrypt"}), grant(uri("C"), {"decrypt"})}));
  const Json sealed = must_ask("A", Endpoint::csa_encrypt, Json::object({{"key_id", key}, {"plaintext", base64("forty-two")}, {"context", "invoice 7"}}));
  const Json opened = must_ask("C", Endpoint::csa_decrypt, Json::object({{"key_id", key}, {"ciphertext", text(sealed, "ciphertext")}, {"context", "invoice 7"}}));
  EXPECT_EQ(text(opened, "plaintext"), base64("forty-two"));
  net().expect_audit("kms-a", "csa.encrypt", "");
  const auto document = net().call("A", Endpoint::csa_openapi, "kms-a", {});
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(text(Json::parse(document->body).value_or(Json::object()), "openapi"), "3.1.0");
}

POINT_TEST(CryptographyAsAService, X_14, refuses, WhomThePolicyDoesNotNameAndEveryOtherKind) {
  const std::string key = created(key_of("SM4-GCM", "encryption", {grant(uri("A"), {"encrypt"})}));
  const Json body = Json::object({{"key_id", key}, {"plaintext", base64("forty-two")}});
  const auto [status, answer] = ask("C", Endpoint::csa_encrypt, body);
  EXPECT_EQ(status, 403U);
  EXPECT_EQ(text(answer, "code"), "denied");
  net().expect_audit("kms-a", "csa.encrypt", "grants " + uri("C") + " nothing");
  for (const char* const caller : {"kms-b", "qkm-a", "iam", "cmsp", "operator"}) {
    if (std::string_view(caller) == "operator") net().close_op();
    EXPECT_EQ(ask(caller, Endpoint::csa_encrypt, body).first, 403U) << caller;
  }
  EXPECT_EQ(ask("", Endpoint::csa_encrypt, body).first, 401U);
  EXPECT_EQ(ask("A", Endpoint::csa_change_state, Json::object({{"key_id", key}, {"change", "disable"}})).first, 403U) << "who has a grant does not administer";
  EXPECT_EQ(ask("A", Endpoint::csa_encrypt, Json::object({{"key_id", key}})).first, 400U);
}

TEST_F(CryptographyAsAService, ASaasWithACertificateOfItsOwnKindIsServed) {
  // It enrols as a terminal does, through its KMS (Km-1), as app3.
  const app::Network& network = net().network();
  const app::TerminalPlan plan{.uid = "billing", .number = "+8655110000077", .domain = "a", .kms = "kms-a"};
  const auto made = net().op().ask(Endpoint::x5_subscriber, "iam",
                                   Json::object({{"op", "create"}, {"uid", plan.uid}, {"number", plan.number}, {"home_kms", plan.kms}, {"domain", plan.domain}, {"device", "app3"}}));
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE(net().op().set_service(plan, "open"));
  const std::filesystem::path secret = network.secret_of("billing.enrolment");
  std::ofstream(secret) << text(*made, "enrolment_secret");
  std::filesystem::permissions(secret, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  std::string config = content_of(network.config_of("A"));
  const std::string number = (*network.terminal("A"))->number;
  for (const auto& [from, to] : {std::pair<std::string, std::string>{"qanat://a/app1/A", "qanat://a/app3/billing"},
                                 {network.state_of("A").string() + "\"", network.state_of("billing").string() + "\""},
                                 {network.secret_of("A.master").string(), network.secret_of("billing.master").string()},
                                 {network.secret_of("A.enrolment").string(), secret.string()},
                                 {"uid = \"A\"", "uid = \"billing\""},
                                 {number, plan.number}}) {
    const std::size_t at = config.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    config.replace(at, from.size(), to);
  }
  std::ofstream(network.config_of("billing")) << config;
  std::filesystem::create_directories(network.state_of("billing"));
  const Outcome enrolled = run_program("terminal enrol --config " + network.config_of("billing").string(), *folder_);
  ASSERT_EQ(enrolled.code, 0) << enrolled.error;
  const Json key = must_ask("billing", Endpoint::csa_create_key, Json::object({{"algorithm", "HMAC-SM3"}, {"usage", "mac"}}));
  EXPECT_EQ(must_ask("billing", Endpoint::csa_mac, Json::object({{"key_id", text(key, "key_id")}, {"message", base64("pay")}})).integer("version").value_or(0), 1);
  const Json described = administer(Endpoint::csa_describe_key, Json::object({{"key_id", text(key, "key_id")}}));
  EXPECT_EQ(text(described, "owner"), "qanat://a/app3/billing");
}

/// A key of kms-a that kms-b has too: A's own CSA seals with it, B's opens.
class EnvelopesAcrossDomains : public CryptographyAsAService {
 protected:
  static std::string shared_key() {
    const Json receiver = must_ask("B", Endpoint::csa_create_key, Json::object({{"algorithm", "SM2+ML-KEM-768"}, {"usage", "encapsulation"}}), "kms-b");
    Json body = key_of("SM4-GCM", "encryption", {grant(uri("A"), {"generate_data_key", "decrypt_data_key", "export_key"})});
    Json policy = body.object("policy").value_or(Json::object());
    policy.set("export_under", Json::array({Json::object({{"algorithm", "SM2+ML-KEM-768"}, {"public_key", text(receiver, "public_key")}})}));
    const Json made = administer(Endpoint::csa_create_key, Json::object({{"algorithm", "SM4-GCM"}, {"usage", "encryption"}, {"policy", policy}}));
    const std::string key = text(made, "key_id");
    const Json exported = must_ask("A", Endpoint::csa_export_key, Json::object({{"key_id", key}, {"public_key", text(receiver, "public_key")}, {"context", "to b"}}));
    const Json imported = must_ask("B", Endpoint::csa_import_key,
                                   Json::object({{"under", text(receiver, "key_id")},
                                                 {"algorithm", "SM4-GCM"},
                                                 {"usage", "encryption"},
                                                 {"wrapped", text(exported, "wrapped")},
                                                 {"statement", text(exported, "statement")},
                                                 {"context", "to b"}}),
                                   "kms-b");
    EXPECT_EQ(text(imported, "key_id"), key);
    net().expect_audit("kms-b", "csa.import_key", "");
    return key;
  }
};

POINT_TEST(EnvelopesAcrossDomains, Ax_3, accepts, AFileGoesFromAnApplicationToOneOfAnotherDomain) {
  const std::string key = shared_key();
  std::string content(200'000, 'x');
  content += "the end";
  const std::filesystem::path file = write("book", content);
  const std::filesystem::path sealed = *folder_ / "book.q";
  const Outcome out = csa("A", "encrypt " + key + " " + file.string() + " --out " + sealed.string() + " --context 'book 1'");
  ASSERT_EQ(out.code, 0) << out.error;
  EXPECT_EQ(content_of(sealed).find("the end"), std::string::npos);
  const std::filesystem::path opened = *folder_ / "book.opened";
  const Outcome back = csa("B", "decrypt " + sealed.string() + " --out " + opened.string());
  ASSERT_EQ(back.code, 0) << back.error;
  EXPECT_EQ(content_of(opened), content);
  struct stat facts {};
  ASSERT_EQ(::stat(opened.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U);
}

POINT_TEST(EnvelopesAcrossDomains, Ax_3, refuses, WhoHasNoGrantAndAFileThatIsNotAsItWasSealed) {
  const std::string key = shared_key();
  const std::filesystem::path file = write("page", std::string(70'000, 'y'));
  const std::filesystem::path sealed = *folder_ / "page.q";
  ASSERT_EQ(csa("A", "encrypt " + key + " " + file.string() + " --out " + sealed.string()).code, 0);
  const std::filesystem::path opened = *folder_ / "page.opened";
  const auto refused = [&](const std::string& uid, const std::filesystem::path& from, const char* why) {
    const Outcome outcome = csa(uid, "decrypt " + from.string() + " --out " + opened.string());
    EXPECT_EQ(outcome.code, 1) << why;
    EXPECT_NE(outcome.error.find(why), std::string::npos) << outcome.error;
    EXPECT_FALSE(std::filesystem::exists(opened) || std::filesystem::exists(opened.string() + ".part")) << "nothing is left";
  };
  refused("C", sealed, "nothing");
  const std::string octets = content_of(sealed);
  std::string changed = octets;
  changed[changed.size() - 100] ^= 1;
  refused("B", write("changed.q", changed), "was changed");
  refused("B", write("short.q", octets.substr(0, octets.size() - 4480)), "cut short");
  refused("B", file, "no file that qanat csa encrypt wrote");
}

TEST_F(CryptographyAsAService, ACommandSignsAFileAndAnotherChecksIt) {
  const std::string key = created(key_of("SM2+ML-DSA-65", "signature", {grant(uri("A"), {"sign"}), grant(uri("C"), {"verify"})}));
  const std::filesystem::path file = write("contract", "we agree");
  const std::filesystem::path signature = *folder_ / "contract.sig";
  ASSERT_EQ(csa("A", "sign " + key + " " + file.string() + " --out " + signature.string()).code, 0);
  EXPECT_EQ(csa("C", "verify " + key + " " + file.string() + " " + signature.string()).code, 0);
  const Outcome other = csa("C", "verify " + key + " " + write("contract2", "we do not agree").string() + " " + signature.string());
  EXPECT_EQ(other.code, 1);
  EXPECT_NE(other.error.find("does not hold"), std::string::npos) << other.error;
}

TEST_F(CryptographyAsAService, SoftwareOfOthersAsksByCurl) {
  const std::string key = created(key_of("AES-256-GCM", "encryption", {grant("foreign:billing.example", {"encrypt", "decrypt"})}));
  const Answered sealed = curl("billing", "/csa/v1/encrypt", Json::object({{"key_id", key}, {"plaintext", base64("forty-two")}}).dump());
  ASSERT_EQ(sealed.status, 200) << sealed.body.dump();
  EXPECT_NE(sealed.head.find("Qanat-Quantum-Safe: no"), std::string::npos) << sealed.head;
  net().expect_audit("kms-a", "csa.encrypt", "which is not quantum safe");
  const Answered opened = curl("billing", "/csa/v1/decrypt", Json::object({{"key_id", key}, {"ciphertext", text(sealed.body, "ciphertext")}}).dump());
  EXPECT_EQ(text(opened.body, "plaintext"), base64("forty-two"));
  const Answered other = curl("other", "/csa/v1/encrypt", Json::object({{"key_id", key}, {"plaintext", base64("forty-two")}}).dump());
  EXPECT_EQ(other.status, 403);
  EXPECT_EQ(text(other.body, "code"), "denied");
  EXPECT_EQ(curl("billing", "/csa/v1/encrypt", "{").status, 400);
  EXPECT_EQ(curl("billing", "/csa/v1/keys/create", Json::object({{"algorithm", "SM4-GCM"}, {"usage", "encryption"}}).dump()).status, 404) << "keys are made elsewhere";
  const Answered document = curl("billing", "/csa/v1/openapi.json", "");
  EXPECT_EQ(document.status, 200);
  EXPECT_EQ(text(document.body, "openapi"), "3.1.0");
}

TEST_F(CryptographyAsAService, SoftwareWhoseCertificateIsRevokedIsServedNoLonger) {
  const auto status = [](const char* who) { return curl(who, "/csa/v1/openapi.json", "").status; };
  EXPECT_EQ(status("other"), 200);
  revoke({"other"});
  // A connection that was open when the list was taken up ends, too: that one is not on record.
  TestNetwork::await("the list to be taken up", [&] { return status("other") == 0 && !net().audit("kms-a", "csa.connection", "revoked").empty(); });
  EXPECT_EQ(status("billing"), 200);
  revoke({});
  TestNetwork::await("the list to be taken up", [&] { return status("other") == 200; });
}

TEST_F(CryptographyAsAService, AKeyThatIsOverIsDestroyed) {
  const std::string key = created(key_of("HMAC-SM3", "mac", {grant(uri("A"), {"mac"})}));
  administer(Endpoint::csa_change_state, Json::object({{"key_id", key}, {"change", "schedule_deletion"}, {"after_s", 1}}));
  TestNetwork::await("its destruction",
                     [&] { return text(administer(Endpoint::csa_describe_key, Json::object({{"key_id", key}})), "state") == "destroyed"; });
  EXPECT_EQ(ask("A", Endpoint::csa_mac, Json::object({{"key_id", key}, {"message", base64("pay")}})).first, 409U);
  net().expect_audit("kms-a", "csa.destroying", "its time has come");
}

TEST_F(CryptographyAsAService, WhateverDiesNoKeyIsUsedBeforeItIsDurable) {
  const Json mine = Json::object({{"algorithm", "SM4-GCM"}, {"usage", "encryption"}, {"label", "made before the death"}, {"creation_id", "order-17"}});
  const auto count = [&] { return must_ask("C", Endpoint::csa_list_keys, Json::object()).array("keys").value_or(std::vector<Json>{}).size(); };
  const std::size_t before = count();
  crash("kms.csa.key_stored", [&] { EXPECT_FALSE(net().call_json("C", Endpoint::csa_create_key, "kms-a", mine)) << "it was answered"; });
  EXPECT_EQ(count(), before + 1) << "it is there, and nobody was told its name before";
  EXPECT_EQ(must_ask("C", Endpoint::csa_create_key, mine).integer("version").value_or(0), 1) << "the same request again is answered";
  EXPECT_EQ(count(), before + 1) << "and makes no second key";

  const std::string key = created(key_of("SM4-GCM", "encryption", {grant(uri("A"), {"encrypt", "decrypt", "rotate_key"})}));
  const Json body = Json::object({{"key_id", key}, {"plaintext", base64("forty-two")}});
  const std::string sealed = text(must_ask("A", Endpoint::csa_encrypt, body), "ciphertext");
  const auto opens = [&](const std::string& ciphertext) { return ask("A", Endpoint::csa_decrypt, Json::object({{"key_id", key}, {"ciphertext", ciphertext}})).first; };
  const Json rotation = Json::object({{"key_id", key}, {"rotation_id", "june"}});
  crash("kms.csa.version_stored", [&] { EXPECT_FALSE(net().call_json("A", Endpoint::csa_rotate_key, "kms-a", rotation)); });
  EXPECT_EQ(must_ask("A", Endpoint::csa_rotate_key, rotation).integer("version").value_or(0), 2) << "the same request again is answered, and makes no third version";
  const Json after = must_ask("A", Endpoint::csa_encrypt, body);
  EXPECT_EQ(after.integer("version").value_or(0), 2) << "the version that was stored is in force";
  EXPECT_EQ(opens(sealed), 200U);
  EXPECT_EQ(opens(text(after, "ciphertext")), 200U);

  crash("kms.csa.seals_reserved", [&] { EXPECT_FALSE(net().call_json("A", Endpoint::csa_encrypt, "kms-a", body)); });
  EXPECT_EQ(opens(text(must_ask("A", Endpoint::csa_encrypt, body), "ciphertext")), 200U);
}

TEST_F(CryptographyAsAService, AChallengeIsSpentAlsoWhereTheAnswerWasLost) {
  const std::string key = created(key_of("HMAC-SM3", "authentication", {grant(uri("A"), {"prove"}), grant(uri("C"), {"challenge", "authenticate"})}));
  const auto authentication = [&] {
    const std::string challenge = text(must_ask("C", Endpoint::csa_challenge, Json::object({{"key_id", key}})), "challenge");
    const Json proof = must_ask("A", Endpoint::csa_prove, Json::object({{"key_id", key}, {"challenge", challenge}, {"verifier", uri("C")}}));
    return Json::object({{"key_id", key}, {"challenge", challenge}, {"claimant", uri("A")}, {"proof", text(proof, "proof")}});
  };
  EXPECT_EQ(text(must_ask("C", Endpoint::csa_authenticate, authentication()), "claimant"), uri("A"));
  const Json lost = authentication();
  crash("kms.csa.challenge_taken", [&] { EXPECT_FALSE(net().call_json("C", Endpoint::csa_authenticate, "kms-a", lost)); });
  EXPECT_EQ(ask("C", Endpoint::csa_authenticate, lost).first, 403U) << "once";
  EXPECT_EQ(text(must_ask("C", Endpoint::csa_authenticate, authentication()), "claimant"), uri("A"));
}

TEST_F(CryptographyAsAService, ADestructionThatWasInterruptedIsCompleted) {
  const std::string key = created(key_of("HMAC-SM3", "mac", {grant(uri("A"), {"mac"})}));
  crash("kms.csa.destroying",
        [&] { static_cast<void>(net().op().ask(Endpoint::csa_change_state, "kms-a", Json::object({{"key_id", key}, {"change", "schedule_deletion"}, {"after_s", 1}}))); });
  TestNetwork::await("its destruction",
                     [&] { return text(administer(Endpoint::csa_describe_key, Json::object({{"key_id", key}})), "state") == "destroyed"; });
  const auto destroyed = [&] {
    return std::ranges::any_of(net().audit("kms-a", "csa.destroyed", "(commitment "), [&](const Json& record) { return record.text("object").value_or("") == key + "/1"; });
  };
  TestNetwork::await("the record with its proof", destroyed);
}

}  // namespace
}  // namespace qanat::test
