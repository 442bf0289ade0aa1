// The openssl program, unmodified, as client of CMP at the real CAS over plain HTTP: every command, with keys of every kind; operators who approve; what is
// refused; kill -9 in the middle. What is issued is verified by the program again.
#include <fstream>
#include <functional>

#include "program.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

class CmpPeers : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"box-7", "box-8"}) {
      const Json box = Json::object({{"uid", uid}, {"class", "application"}, {"domain", "a"}});
      const auto made = net().op().ask(Endpoint::x5_identity, "iam", Json::object({{"op", "create"}, {"identity", box}}));
      EXPECT_TRUE(made) << (made ? "" : made.error().message);
    }
    // Clients that wait for operators ask again every second, and what is not confirmed is revoked soon.
    net().running().stop_element("cas", app::RunningNetwork::Ending::orderly);
    std::string config = text_of(net().network().config_of("cas"));
    const std::size_t at = config.find("[cas]\n");
    EXPECT_NE(at, std::string::npos);
    config.insert(at + 6, "approval_retry_s = 1\n");
    std::ofstream(net().network().config_of("cas")) << config << "\n[cas.cmp]\nconfirm_wait_s = 5\n";
    EXPECT_TRUE(net().running().start_element("cas"));
  }
  static std::string status_url() { return "http://127.0.0.1:" + std::to_string((*net().network().element("cas"))->status_port); }
  [[nodiscard]] static std::string trust(const char* file) { return (net().network().trust() / file).string(); }
  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }
  [[nodiscard]] Outcome openssl(const std::string& arguments) const {
    return run_line("OPENSSL_CONF=/dev/null " QANAT_SOURCE_DIR "/.deps/openssl/bin/openssl " + arguments + " 2>&1 </dev/null", folder_);
  }
  /// Both trust anchors that answers may be verified by: of the ML-DSA branch, and the device CA.
  std::string roots() {
    EXPECT_EQ(run_line("curl -sS --fail " + status_url() + "/ca/devices.cer -o " + path("devices.cer"), folder_).code, 0);
    EXPECT_EQ(openssl("x509 -in " + path("devices.cer") + " -out " + path("devices.pem")).code, 0);
    std::ofstream(path("roots.pem")) << text_of(trust("root-ml_dsa.pem")) << text_of(path("devices.pem"));
    return path("roots.pem");
  }
  [[nodiscard]] Outcome cmp(const std::string& arguments) const {
    return openssl("cmp -config '' -server " + status_url() + " -path .well-known/cmp " + arguments);
  }
  struct Registered {
    std::string reference;
    std::string secret;
    [[nodiscard]] std::string options() const { return "-ref " + reference + " -secret pass:" + secret + " -mac hmacWithSHA256 "; }
  };
  static Registered registered(Json body) {
    body.set("op", "create");
    const auto made = net().op().ask(Endpoint::x5_registration, "cas", body);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    const Json json = made.value_or(Json::object());
    return {.reference = json.text("reference").value_or(""), .secret = json.text("secret").value_or("")};
  }
  static Registered device(const std::string& subject = "box-7") {
    Json names = Json::array();
    names.push(subject + ".example");
    return registered(Json::object({{"subject", subject}, {"profile", "device"}, {"reusable", true}, {"dns", names}}));
  }
  std::string new_key(const std::string& name, const std::string& options) {
    const Outcome made = openssl("genpkey " + options + " -out " + path(name));
    EXPECT_EQ(made.code, 0) << made.out;
    return path(name);
  }
  void expect_verified(const std::string& certificate, const std::string& kind) {
    std::string how = "-CAfile " + trust("root-ml_dsa.pem") + " -untrusted " + trust("issuing-ml_dsa.pem");
    if (kind == "EC" || kind == "RSA") how = "-CAfile " + path("devices.pem");
    // The program gives the distinguishing id of SM2 to the certificate in question alone, not to its issuers.
    if (kind == "SM2") how = "-partial_chain -vfyopt distid:1234567812345678 -CAfile " + trust("issuing-classical.pem");
    const Outcome verified = openssl("verify " + how + " " + certificate);
    EXPECT_EQ(verified.code, 0) << verified.out;
  }
  void expect_status(const std::string& certificate, const std::string& status) {
    std::string out;
    TestNetwork::await("the certificate's status to be " + status, [&] {
      const std::string by = " -issuer " + trust("issuing-ml_dsa.pem") + " -CAfile " + trust("root-ml_dsa.pem");
      out = openssl("ocsp -no_nonce -url " + status_url() + "/ocsp" + by + " -cert " + certificate).out;
      return out.contains(": " + status);
    });
    EXPECT_TRUE(out.contains("Response verify OK")) << out;
  }
  static void expect_revoked_by(const std::string& who) {
    TestNetwork::await("a revocation by " + who, [&] {
      const std::vector<Json> found = net().audit("cas", "ceis.revoke");
      return std::ranges::any_of(found, [&](const Json& one) { return one.text("subject").value_or("").starts_with(who); });
    });
  }
  static void expect_contains(const Outcome& outcome, int code, std::string_view part) {
    EXPECT_EQ(outcome.code, code) << outcome.out;
    EXPECT_NE(outcome.out.find(part), std::string::npos) << outcome.out;
  }
  /// An ML-DSA-65 certificate got by ir: its file, and that of its key.
  struct Held {
    std::string certificate;
    std::string key;
    [[nodiscard]] std::string options() const { return "-cert " + certificate + " -key " + key + " "; }
  };
  Held enrolled(const Registered& box, const std::string& name, const std::string& genpkey = "-algorithm ML-DSA-65") {
    Held out{.certificate = path(name + ".pem"), .key = new_key(name + ".key", genpkey)};
    const Outcome made = cmp("-cmd ir " + box.options() + "-newkey " + out.key + " -certout " + out.certificate);
    EXPECT_EQ(made.code, 0) << made.out;
    return out;
  }
  TemporaryDirectory folder_;
};

struct ClientKind {
  const char* name;
  const char* genpkey;
  const char* options;
};
constexpr ClientKind kinds[] = {
    {"EC", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256", ""},
    {"EC", "-algorithm EC -pkeyopt ec_paramgen_curve:P-384", "-digest sha384 "},
    {"RSA", "-algorithm RSA -pkeyopt rsa_keygen_bits:3072", ""},
    {"ML-DSA", "-algorithm ML-DSA-65", ""},
    {"ML-DSA", "-algorithm ML-DSA-87", ""},
    {"SM2", "-algorithm SM2", "-digest sm3 "},
};

TEST_F(CmpPeers, InitialRequestsOfEveryKindOfKeyAreGrantedUnderASecretAndVerify) {
  roots();
  const Registered box = device();
  for (const ClientKind& kind : kinds) {
    SCOPED_TRACE(kind.genpkey);
    const std::string key = new_key("key.pem", kind.genpkey);
    const std::string files = " -certout " + path("box.pem") + " -chainout " + path("chain.pem") + " -cacertsout " + path("ca.pem");
    const Outcome made = cmp("-cmd ir " + box.options() + kind.options + "-newkey " + key + " -subject /CN=box-7 -sans box-7.example" + files);
    expect_contains(made, 0, "received PKICONF");
    expect_verified(path("box.pem"), kind.name);
    const Outcome shown = openssl("x509 -noout -subject -ext subjectAltName -in " + path("box.pem"));
    EXPECT_TRUE(shown.out.contains("CN=box-7") && shown.out.contains("DNS:box-7.example")) << shown.out;
    // The key is the one that was sent.
    EXPECT_EQ(openssl("x509 -noout -pubkey -in " + path("box.pem")).out, openssl("pkey -pubout -in " + key).out);
    EXPECT_TRUE(text_of(path("ca.pem")).contains("BEGIN CERTIFICATE")) << "roots that the secret vouches for";
    // The device CA is its own root, which the program leaves out of chains.
    const bool has_chain = std::string_view(kind.name) == "ML-DSA" || std::string_view(kind.name) == "SM2";
    EXPECT_EQ(text_of(path("chain.pem")).contains("BEGIN CERTIFICATE"), has_chain);
    std::filesystem::remove(path("chain.pem"));
  }
  net().expect_audit("cas", "ceis.order", "");
}

TEST_F(CmpPeers, KeysThatEncapsulateAreVouchedForWhereTheRegistrationSaysSo) {
  roots();
  const Registered trusted = registered(Json::object({{"subject", "box-7"}, {"profile", "device-encryption"}, {"ra_vouches", true}}));
  const std::string key = new_key("kem.pem", "-algorithm ML-KEM-768");
  const std::string ir = "-cmd ir -newkey " + key + " -subject /CN=box-7 -certout " + path("box.pem") + " ";
  expect_contains(cmp(ir + trusted.options() + "-popo 0"), 0, "received PKICONF");
  expect_verified(path("box.pem"), "ML-DSA");
  EXPECT_TRUE(openssl("x509 -noout -ext keyUsage -in " + path("box.pem")).out.contains("Key Encipherment"));
  const Registered strict = registered(Json::object({{"subject", "box-8"}, {"profile", "device-encryption"}}));
  const std::string other = "-cmd ir -newkey " + new_key("kem2.pem", "-algorithm ML-KEM-768") + " -certout " + path("none.pem") + " ";
  expect_contains(cmp(other + strict.options() + "-popo 0"), 1, "badPOP");
  expect_contains(cmp(other + trusted.options() + "-popo 2"), 1, "badPOP");
  EXPECT_FALSE(std::filesystem::exists(path("none.pem")));
}

TEST_F(CmpPeers, CertificatesAskForMoreAreUpdatedAndRevokedUnderSignaturesOfTheirOwn) {
  const std::string anchors = "-trusted " + roots() + " ";
  const Registered box = device();
  for (const ClientKind& kind : kinds) {
    SCOPED_TRACE(kind.genpkey);
    const std::string key = new_key("first.key", kind.genpkey);
    expect_contains(cmp("-cmd ir " + box.options() + kind.options + "-newkey " + key + " -certout " + path("first.pem")), 0, "received PKICONF");
    const std::string by_first = "-cert " + path("first.pem") + " -key " + key + " " + kind.options + anchors;
    const std::string second = new_key("second.key", kind.genpkey);
    expect_contains(cmp("-cmd cr " + by_first + "-newkey " + second + " -subject /CN=box-7 -certout " + path("second.pem")), 0, "received PKICONF");
    expect_verified(path("second.pem"), kind.name);
    const std::string third = new_key("third.key", kind.genpkey);
    expect_contains(cmp("-cmd kur " + by_first + "-newkey " + third + " -certout " + path("third.pem")), 0, "received KUP");
    expect_verified(path("third.pem"), kind.name);
    expect_contains(cmp("-cmd rr " + by_first + "-oldcert " + path("second.pem") + " -revreason 4"), 0, "revocation accepted");
    expect_contains(cmp("-cmd rr " + by_first + "-oldcert " + path("first.pem") + " -revreason 1"), 0, "revocation accepted");
    // What it was is of no use any more.
    expect_contains(cmp("-cmd cr " + by_first + "-newkey " + second + " -certout " + path("none.pem")), 1, "signerNotTrusted");
    EXPECT_FALSE(std::filesystem::exists(path("none.pem")));
    if (std::string_view(kind.name) != "ML-DSA") continue;
    expect_status(path("first.pem"), "revoked");
    expect_status(path("second.pem"), "revoked");
    expect_status(path("third.pem"), "good");
  }
  net().expect_audit("cas", "ceis.revoke", "reason 1");
}

TEST_F(CmpPeers, Pkcs10IsGranted) {
  roots();
  const Registered box = device();
  for (const ClientKind& kind : kinds) {
    SCOPED_TRACE(kind.genpkey);
    const std::string key = new_key("key.pem", kind.genpkey);
    std::ofstream(path("req.cnf")) << "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=box-7\n";
    const bool sm2 = std::string_view(kind.name) == "SM2";
    const Outcome request = openssl("req -new -config " + path("req.cnf") + " -key " + key + " -out " + path("box.csr") + (sm2 ? " -sm3" : ""));
    ASSERT_EQ(request.code, 0) << request.out;
    expect_contains(cmp("-cmd p10cr " + box.options() + "-csr " + path("box.csr") + " -certout " + path("box.pem")), 0, "received PKICONF");
    expect_verified(path("box.pem"), kind.name);
  }
}

TEST_F(CmpPeers, ConfirmationMayBeImplicitAndIsNotForgotten) {
  roots();
  const Registered box = device();
  const auto ir = [&](const std::string& name) {
    return "-cmd ir " + box.options() + "-newkey " + new_key(name + ".key", "-algorithm ML-DSA-65") + " -certout " + path(name + ".pem") + " ";
  };
  const Outcome implicit = cmp(ir("implicit") + "-implicit_confirm");
  EXPECT_EQ(implicit.code, 0) << implicit.out;
  EXPECT_FALSE(implicit.out.contains("CERTCONF")) << implicit.out;
  const Outcome silent = cmp(ir("silent") + "-disable_confirm");
  EXPECT_EQ(silent.code, 0) << silent.out;
  // Who trusts another root than that which issues says no to what it gets.
  const Outcome rejected = cmp(ir("rejected") + "-out_trusted " + path("devices.pem") + " -rspout " + path("ip") + "," + path("conf"));
  EXPECT_NE(rejected.code, 0);
  expect_contains(rejected, rejected.code, "received PKICONF");
  expect_revoked_by(box.reference + " (certConf: rejected");
  expect_revoked_by(box.reference + " (not confirmed in time)");
  expect_status(path("silent.pem"), "revoked");
  expect_status(path("implicit.pem"), "good");
}

TEST_F(CmpPeers, TheSameIsServedOverTls) {
  const std::string anchors = "-trusted " + roots() + " ";
  const Registered box = device();
  const std::string server = "cmp -config '' -server localhost:" + std::to_string((*net().network().element("cas"))->enrolment_port) +
                             " -path .well-known/cmp/p/device -tls_used -tls_host localhost -tls_trusted ";
  // The program offers ML-DSA, so that it is shown the ML-DSA chain.
  const std::string tls = server + trust("enrolment-roots.pem") + " ";
  const std::string key = new_key("key.pem", "-algorithm ML-DSA-65");
  expect_contains(openssl(tls + "-cmd ir " + box.options() + "-newkey " + key + " -certout " + path("box.pem")), 0, "received PKICONF");
  expect_verified(path("box.pem"), "ML-DSA");
  const std::string next = new_key("next.pem", "-algorithm ML-DSA-65");
  const std::string kur = "-cmd kur -cert " + path("box.pem") + " -key " + key + " " + anchors + "-newkey " + next + " -certout " + path("next-box.pem");
  expect_contains(openssl(tls + kur), 0, "received PKICONF");
  expect_verified(path("next-box.pem"), "ML-DSA");
  const std::string other_root = server + trust("issuing-classical.pem") + " ";
  const std::string ir = "-cmd ir " + box.options() + "-newkey " + key + " -certout " + path("none.pem");
  expect_contains(openssl(other_root + ir), 1, "certificate verify failed");
  EXPECT_FALSE(std::filesystem::exists(path("none.pem")));
}

TEST_F(CmpPeers, InformationIsGiven) {
  roots();
  const Registered box = device();
  const Held held = enrolled(box, "box");
  const std::string genm = "-cmd genm " + box.options();
  expect_contains(cmp(genm + "-infotype caCerts -cacertsout " + path("ca.pem")), 0, "received GENP");
  EXPECT_TRUE(text_of(path("ca.pem")).contains(text_of(path("devices.pem")))) << "the device CA is among them";
  const std::string root = "-infotype rootCaCert -oldwithold " + trust("root-ml_dsa.pem") + " -newwithnew " + path("new.pem");
  expect_contains(cmp(genm + root), 0, "no root CA certificate update available");
  expect_contains(cmp(genm + "-infotype certReqTemplate -template " + path("template.der") + " -keyspec " + path("keys.der")), 0, "received GENP");
  EXPECT_TRUE(openssl("asn1parse -inform DER -in " + path("template.der")).out.contains("box-7"));
  EXPECT_TRUE(openssl("asn1parse -inform DER -in " + path("keys.der")).out.contains("ML-DSA-65"));
  expect_contains(cmp(genm + "-infotype crlStatusList -crlcert " + held.certificate + " -crlout " + path("box.crl")), 0, "received GENP");
  const Outcome list = openssl("crl -inform DER -noout -text -in " + path("box.crl") + " -CAfile " + trust("issuing-ml_dsa.pem"));
  EXPECT_TRUE(list.out.contains("verify OK")) << list.out;
  const std::string signed_genm = "-cmd genm " + held.options() + "-trusted " + path("roots.pem") + " ";
  expect_contains(cmp(signed_genm + "-infotype caCerts -cacertsout " + path("ca2.pem")), 0, "received GENP");
  EXPECT_EQ(text_of(path("ca2.pem")), text_of(path("ca.pem")));
}

TEST_F(CmpPeers, ClientPollsWhileTwoOperatorsApprove) {
  roots();
  const Registered box = registered(Json::object({{"subject", "box-7"}, {"profile", "device"}, {"four_eyes", true}, {"reusable", true}}));
  const std::string ir = "-cmd ir " + box.options() + "-total_timeout 60 -newkey ";
  // Line by line, so that its log can be read while it waits.
  const std::string waiting = "OPENSSL_CONF=/dev/null stdbuf -oL -eL " QANAT_SOURCE_DIR "/.deps/openssl/bin/openssl cmp -config '' -server " + status_url() +
                              " -path .well-known/cmp ";
  net().close_op();  // the commands open the same identity
  const auto operators = [&](const std::string& line) { return run_program("ca " + line + " --state " + net().network().folder().string(), folder_); };
  const auto in_background = [&](const std::string& name) {
    const std::string key = new_key(name + ".key", "-algorithm ML-DSA-65");
    const std::string log = path(name + ".log");
    const std::string asks = waiting + ir + key + " -certout " + path(name + ".pem") + " > " + log + " 2>&1 ; echo done >> " + log;
    EXPECT_EQ(run_line("( " + asks + " ) </dev/null >/dev/null 2>&1 &", folder_).code, 0);
  };
  const auto log_says = [&](const std::string& name, std::string_view part) { return text_of(path(name + ".log")).contains(part); };
  const auto held_ticket = [&] {
    std::string out;
    TestNetwork::await("the order", [&] {
      const Outcome outcome = operators("orders --json");
      const auto json = Json::parse(std::string_view(outcome.out));
      if (!json) return false;
      for (const Json& one : json->array("orders").value_or(std::vector<Json>())) {
        if (one.text("state").value_or("") == "waiting" && one.text("reference").value_or("") == box.reference) out = one.text("ticket").value_or("");
      }
      return !out.empty();
    });
    return out;
  };

  in_background("approved");
  const std::string first = held_ticket();
  TestNetwork::await("a poll", [&] { return log_says("approved", "received polling response"); });
  EXPECT_EQ(operators("approve " + first + " --as administrator").code, 0);
  EXPECT_EQ(operators("approve " + first + " --as auditor").code, 0);
  TestNetwork::await("the end", [&] { return log_says("approved", "done"); });
  EXPECT_TRUE(log_says("approved", "received PKICONF")) << text_of(path("approved.log"));
  expect_verified(path("approved.pem"), "ML-DSA");

  in_background("rejected");
  const std::string second = held_ticket();
  EXPECT_EQ(operators("reject " + second + " --why 'nobody knows this box' --as administrator").code, 0);
  TestNetwork::await("the end", [&] { return log_says("rejected", "done"); });
  EXPECT_TRUE(log_says("rejected", "nobody knows this box")) << text_of(path("rejected.log"));
  EXPECT_FALSE(std::filesystem::exists(path("rejected.pem")));
}

TEST_F(CmpPeers, RefusalsSayWhatIsWrongAndAreOnRecord) {
  const std::string anchors = "-trusted " + roots() + " ";
  const Registered box = device();
  const Registered other = device("box-8");
  const std::string newkey = "-newkey " + new_key("key.pem", "-algorithm ML-DSA-65") + " -certout " + path("none.pem") + " ";
  const Registered mixed{.reference = box.reference, .secret = other.secret};
  expect_contains(cmp("-cmd ir " + mixed.options() + "-unprotected_errors " + newkey), 1, "badMessageCheck");
  net().expect_audit("cas", "ceis.cmp", "the MAC does not hold");
  expect_contains(cmp("-cmd ir -ref " + box.reference + " -secret pass:" + box.secret + " -unprotected_errors " + newkey), 1, "badAlg");
  expect_contains(cmp("-cmd ir " + box.options() + newkey + "-subject /CN=box-8"), 1, "is not registered");
  expect_contains(cmp("-cmd ir " + box.options() + newkey + "-sans box-8.example"), 1, "is not registered");
  expect_contains(cmp("-cmd ir " + box.options() + newkey + "-profile server"), 1, "unacceptedPolicy");
  const std::string other_profile = "cmp -config '' -server " + status_url() + " -path .well-known/cmp/p/server ";
  expect_contains(openssl(other_profile + "-cmd ir " + box.options() + newkey), 1, "unacceptedPolicy");
  expect_contains(cmp("-cmd ir " + box.options() + newkey + "-popo 0"), 1, "badPOP");
  expect_contains(cmp("-cmd ir -unprotected_requests -unprotected_errors -subject /CN=box-7 " + newkey), 1, "messages must be protected");
  EXPECT_FALSE(std::filesystem::exists(path("none.pem")));
  const Held mine = enrolled(box, "mine");
  const Held theirs = enrolled(other, "theirs");
  expect_contains(cmp("-cmd rr " + mine.options() + anchors + "-oldcert " + theirs.certificate), 1, "badCertId");
  expect_contains(cmp("-cmd kur " + mine.options() + anchors + newkey + "-oldcert " + theirs.certificate), 1, "badCertId");
  expect_status(theirs.certificate, "good");

  // HTTP's own refusals: what is no CMP message gets no answer of CMP's.
  std::ofstream(path("large")) << std::string(70'000, '0');
  const auto status_of = [&](const std::string& options) {
    return run_line("curl -sS -o /dev/null -w '%{http_code}' " + status_url() + "/.well-known/cmp " + options, folder_).out;
  };
  EXPECT_EQ(status_of("-H 'Content-Type: application/pkixcmp' --data-binary @" + path("roots.pem")), "400");
  EXPECT_EQ(status_of("-H 'Content-Type: text/plain' --data-binary @" + path("roots.pem")), "415");
  EXPECT_EQ(status_of(""), "405");
  EXPECT_EQ(status_of("-H 'Content-Type: application/pkixcmp' --data-binary @" + path("large")), "400");
}

class CmpCrash : public CmpPeers {
 protected:
  /// CAS dies at this place, which the work makes it pass, and is started again.
  void crash(const std::string& place, const std::function<void()>& work) {
    SCOPED_TRACE(place);
    const std::filesystem::path mark = folder_ / (place + ".mark");
    net().running().stop_element("cas", app::RunningNetwork::Ending::orderly);
    ASSERT_TRUE(net().running().start_element("cas", QANAT_CRASH_PROGRAM, {"QANAT_CRASH_AT=" + place, "QANAT_CRASH_ONCE=" + mark.string()}));
    work();
    TestNetwork::await("its death", [&] { return !net().running().lives("cas"); });
    EXPECT_TRUE(std::filesystem::exists(mark)) << "the place was not reached";
    net().running().stop_element("cas", app::RunningNetwork::Ending::kill);
    ASSERT_TRUE(net().running().start_element("cas"));
  }
  [[nodiscard]] std::string ir(const Registered& box) const {
    return "-cmd ir " + box.options() + "-newkey " + path("key.pem") + " -certout " + path("box.pem") + " ";
  }

  /// A message that comes again after the crash gets one certificate however often it comes, which is revoked, for nobody confirms it.
  void expect_one_certificate(const Registered& box) {
    EXPECT_FALSE(std::filesystem::exists(path("box.pem")));
    expect_contains(cmp(ir(box) + "-disable_confirm -reqin " + path("ir.der")), 0, "received IP");
    std::filesystem::rename(path("box.pem"), path("first.pem"));
    expect_contains(cmp(ir(box) + "-disable_confirm -reqin " + path("ir.der")), 0, "received IP");
    EXPECT_EQ(text_of(path("first.pem")), text_of(path("box.pem")));
    expect_status(path("first.pem"), "revoked");
    std::filesystem::remove(path("box.pem"));
  }
};

TEST_F(CmpCrash, AMessageThatComesAgainGetsTheSameCertificate) {
  roots();
  const Registered box = device();
  const auto ask = [&] {
    static_cast<void>(new_key("key.pem", "-algorithm ML-DSA-65"));
    EXPECT_NE(cmp(ir(box) + "-reqout " + path("ir.der")).code, 0);
  };
  crash("cas.cmp.asked", ask);
  expect_one_certificate(box);
  crash("cas.ceis.signed", ask);
  expect_one_certificate(box);
  crash("cas.cmp.given", ask);
  expect_one_certificate(box);
}

TEST_F(CmpCrash, WhatIsNotConfirmedOrGivenBackIsRevoked) {
  roots();
  const Registered box = device();
  static_cast<void>(new_key("key.pem", "-algorithm ML-DSA-65"));
  crash("cas.cmp.claimed", [&] { expect_contains(cmp(ir(box) + "-disable_confirm"), 0, "received IP"); });
  expect_status(path("box.pem"), "revoked");

  // A client that trusts another CA alone gives back what it gets.
  const std::string new_ca = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=other -days 1";
  const std::string other = openssl(new_ca + " -keyout " + path("other.key") + " -out " + path("other.pem")).out;
  ASSERT_TRUE(std::filesystem::exists(path("other.pem"))) << other;
  const std::size_t before = net().audit("cas", "ceis.revoke").size();
  crash("cas.cmp.rejected", [&] { EXPECT_NE(cmp(ir(box) + "-out_trusted " + path("other.pem")).code, 0); });
  EXPECT_GT(net().audit("cas", "ceis.revoke").size(), before);  // once more where the sweep came first after the start
  expect_contains(cmp(ir(box)), 0, "received PKICONF");
}

}  // namespace
}  // namespace qanat::test
