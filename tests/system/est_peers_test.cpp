// EST by software that others wrote, unmodified: curl and openssl as they are in a distribution, OpenSSL 3.5 for ML-DSA, strongSwan's pki.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "point_test.hpp"
#include "registered_network.hpp"
#include "wire/base64.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

class EstPeers : public RegisteredNetwork {
 protected:
  /// With a DNS name.
  static Registered registered(const std::string& uid, const std::string& profile, Json more = Json::object()) {
    return RegisteredNetwork::registered(uid, profile, more.set("dns", Json::array(std::vector<Json>{Json(uid + ".example")})));
  }

  static std::uint16_t port() { return (*net().network().element("cas"))->enrolment_port; }
  static std::string url(const std::string& path) { return "https://localhost:" + std::to_string(port()) + "/.well-known/est/" + path; }
  static std::string trust(const char* file) { return (net().network().trust() / file).string(); }
  [[nodiscard]] std::string here() const { return (folder_ / ".").string(); }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const std::string& octets) const { std::ofstream(folder_ / name, std::ios::binary) << octets; }

  /// In the test's folder; at most a minute.
  Outcome run(const std::string& line) const { return run_line("cd " + here() + " && timeout 60 sh -c '" + line + "' 2>&1 </dev/null", folder_); }
  std::string must_run(const std::string& line) const {
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.code, 0) << line << "\n" << outcome.out;
    return outcome.out;
  }

  /// key.pem, csr.der and csr.b64 (named with `name`).
  void request(const std::string& name, const std::string& key, const std::string& uid, const std::string& alternative = "") const {
    write("req.cnf", "[req]\nprompt=no\ndistinguished_name=dn\nreq_extensions=ext\n[dn]\nCN=" + uid +
                         "\n[ext]\nsubjectAltName=DNS:" + (alternative.empty() ? uid + ".example" : alternative) + "\n");
    if (!key.empty()) must_run(openssl("genpkey " + key + " -out " + name + ".key"));
    must_run(openssl("req -new -config req.cnf -key " + name + ".key -outform DER -out " + name + ".der"));
    must_run("openssl base64 -in " + name + ".der -out " + name + ".b64");
  }
  static constexpr const char* rsa = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
  static constexpr const char* p256 = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
  static constexpr const char* p384 = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";
  static constexpr const char* ml_dsa = "-algorithm ML-DSA-65";

  static std::string basic(const Registered& by) { return " -u " + by.reference + ":" + by.secret; }
  /// The distribution's curl: the HTTP status; the answer's body is in <name>.answer, its head in <name>.head.
  int curl(const std::string& name, const std::string& operation, const std::string& options) const {
    const std::string body = operation.ends_with("s") ? "" : " -H \"Content-Type: application/pkcs10\" --data-binary @" + name + ".b64";
    const Outcome outcome =
        run("curl -sS --cacert " + trust("device-ca.pem") + options + body + " -D " + name + ".head -o " + name + ".answer -w %{http_code} " + url(operation));
    EXPECT_EQ(outcome.code, 0) << outcome.out;
    return std::atoi(outcome.out.c_str());
  }
  /// The certificate of an answer as <name>.pem.
  void take_certificate(const std::string& name) const {
    EXPECT_TRUE(read(name + ".head").contains("application/pkcs7-mime; smime-type=certs-only")) << read(name + ".head");
    must_run("openssl base64 -d -A -in " + name + ".answer -out " + name + ".p7");
    must_run(openssl("pkcs7 -inform DER -in " + name + ".p7 -print_certs -out " + name + ".pem"));
  }
  /// That it is by the device CA or the ML-DSA branch, for the key.
  void expect_certified(const std::string& name, bool by_device_ca) const {
    const std::string chain =
        by_device_ca ? "-CAfile " + trust("device-ca.pem") : "-CAfile " + trust("root-ml_dsa.pem") + " -untrusted " + trust("issuing-ml_dsa.pem");
    EXPECT_TRUE(must_run(openssl("verify " + chain + " " + name + ".pem")).contains(": OK"));
    must_run(openssl("x509 -in " + name + ".pem -noout -pubkey -out " + name + ".certified"));
    must_run(openssl("pkey -in " + name + ".key -pubout -out " + name + ".public"));
    EXPECT_EQ(read(name + ".certified"), read(name + ".public"));
  }
  std::string serial(const std::string& name) const { return must_run(openssl("x509 -in " + name + ".pem -noout -serial")); }

  /// OpenSSL 3.5 as the HTTP client: what the listener sent.
  std::string s_client(const std::string& name, const std::string& operation, const std::string& fields, const std::string& options) const {
    const std::string body = read(name + ".b64");
    write(name + ".http", "POST /.well-known/est/" + operation + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/pkcs10\r\n" +
                              fields + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return run_line("cd " + here() + " && timeout 60 sh -c '" + openssl("s_client -quiet -servername localhost -connect 127.0.0.1:" + std::to_string(port())) +
                        " -verify_hostname localhost -verify_return_error -CAfile " + trust("enrolment-roots.pem") + " " + options + "' <" + name + ".http 2>" +
                        name + ".err",
                    folder_)
        .out;
  }
  static std::string basic_field(const Registered& by) { return "Authorization: Basic " + wire::to_base64(as_bytes(by.reference + ":" + by.secret)) + "\r\n"; }
  /// Head and body of an answer of s_client, as files like curl's; its status.
  int keep_answer(const std::string& name, const std::string& answer) const {
    const std::size_t end = answer.find("\r\n\r\n");
    if (end == std::string::npos) return 0;
    write(name + ".head", answer.substr(0, end));
    write(name + ".answer", answer.substr(end + 4));
    return answer.starts_with("HTTP/1.1 ") ? std::atoi(answer.c_str() + 9) : 0;
  }

  TemporaryDirectory folder_;
};

TEST_F(EstPeers, OnePortShowsEachClientTheChainThatItCanVerify) {
  const auto shown = [&](const std::string& options) {
    return run(openssl("s_client -brief -servername localhost -connect 127.0.0.1:" + std::to_string(port())) +
               " -verify_hostname localhost -verify_return_error -CAfile " + trust("enrolment-roots.pem") + " " + options)
        .out;
  };
  const std::string best = shown("");
  EXPECT_TRUE(best.contains("Peer signature type: mldsa65") || best.contains("Signature type: mldsa65")) << best;
  EXPECT_TRUE(best.contains("X25519MLKEM768") && best.contains("Verification: OK")) << best;
  const std::string classical = shown("-sigalgs ecdsa_secp384r1_sha384 -groups X25519");
  EXPECT_TRUE(classical.contains("ecdsa_secp384r1_sha384") && classical.contains("Verification: OK")) << classical;
  const std::string old = shown("-tls1_2");
  EXPECT_TRUE(old.contains("TLSv1.2") && old.contains("Verification: OK")) << old;
  for (const char* options : {"", "-sigalgs ecdsa_secp384r1_sha384 -groups X25519", "-tls1_2"}) {
    const std::string stapled =
        run(openssl("s_client -status -servername localhost -connect 127.0.0.1:" + std::to_string(port())) + " " + options).out;
    EXPECT_TRUE(stapled.contains("OCSP Response Status: successful") && stapled.contains("Cert Status: good")) << stapled;
  }
  for (const char* version : {"--tls-max 1.2", "--tlsv1.3"}) {
    EXPECT_EQ(run(std::string("curl -sS -o /dev/null -w %{http_code} --cacert ") + trust("device-ca.pem") + " " + version + " " + url("cacerts")).out, "200");
  }
}

TEST_F(EstPeers, CurlEnrolsRsaAndEllipticKeys) {
  const struct {
    const char* name;
    const char* key;
    const char* version;
  } rows[] = {{"est-rsa", rsa, "--tls-max 1.2"}, {"est-p256", p256, "--tlsv1.3"}, {"est-p384", p384, ""}};
  for (const auto& row : rows) {
    const Registered by = registered(row.name, "device");
    request(row.name, row.key, row.name);
    ASSERT_EQ(curl(row.name, "simpleenroll", basic(by) + " " + row.version), 200) << read(std::string(row.name) + ".answer");
    take_certificate(row.name);
    expect_certified(row.name, true);
    EXPECT_TRUE(
        must_run(openssl("x509 -noout -ext subjectAltName -in " + std::string(row.name) + ".pem")).contains("DNS:" + std::string(row.name) + ".example"));
    // The same request gets the same certificate, also with the profile's label.
    const std::string first = serial(row.name);
    ASSERT_EQ(curl(row.name, "device/simpleenroll", basic(by)), 200);
    take_certificate(row.name);
    EXPECT_EQ(serial(row.name), first);
  }
}

TEST_F(EstPeers, CurlEnrolsAnMlDsaKeyAndOpensslRenewsItByMutualTls) {
  const Registered by = registered("est-mldsa", "device");
  request("old", ml_dsa, "est-mldsa");
  ASSERT_EQ(curl("old", "simpleenroll", basic(by)), 200) << read("old.answer");
  take_certificate("old");
  expect_certified("old", false);
  request("new", ml_dsa, "est-mldsa");
  ASSERT_EQ(keep_answer("new", s_client("new", "simplereenroll", "", "-sigalgs mldsa65 -cert old.pem -key old.key")), 200)
      << read("new.answer") << read("new.err");
  take_certificate("new");
  expect_certified("new", false);
  EXPECT_NE(serial("new"), serial("old"));
}

TEST_F(EstPeers, CurlRenewsByMutualTlsUntilTheCertificateIsRevoked) {
  const Registered by = registered("est-renew", "device");
  request("old", p256, "est-renew");
  ASSERT_EQ(curl("old", "simpleenroll", basic(by)), 200) << read("old.answer");
  take_certificate("old");
  request("new", p256, "est-renew");
  ASSERT_EQ(curl("new", "simplereenroll", " --cert old.pem --key old.key"), 200) << read("new.answer");
  take_certificate("new");
  expect_certified("new", true);
  // Another name than the certificate's.
  request("other", p256, "est-renew", "other.example");
  EXPECT_EQ(curl("other", "simplereenroll", " --cert old.pem --key old.key"), 403);
  EXPECT_TRUE(read("other.answer").contains("not those of the certificate")) << read("other.answer");
  // No certificate at all.
  EXPECT_EQ(curl("new", "simplereenroll", basic(by)), 403);

  must_run(openssl("x509 -in old.pem -outform DER -out old.cert"));
  ask(net().op(), Endpoint::x5_registration, "cas",
      Json::object({{"op", "revoke"}, {"certificate", wire::to_base64(as_bytes(read("old.cert")))}, {"reason", "keyCompromise"}}));
  request("late", p256, "est-renew");
  EXPECT_EQ(curl("late", "simplereenroll", " --cert old.pem --key old.key"), 403);
  EXPECT_TRUE(read("late.answer").contains("revoked")) << read("late.answer");
  net().expect_audit("cas", "ceis.est", "revoked");
  ASSERT_EQ(curl("late", "simplereenroll", " --cert new.pem --key new.key"), 200) << read("late.answer");
}

TEST_F(EstPeers, RefusesWhoIsNotRegisteredAndWhatIsNot) {
  const Registered by = registered("est-refused", "device");
  request("good", p256, "est-refused");
  EXPECT_EQ(curl("good", "simpleenroll", ""), 401);
  EXPECT_TRUE(read("good.head").contains("WWW-Authenticate: Basic")) << read("good.head");
  EXPECT_EQ(curl("good", "simpleenroll", basic({by.reference, "wrong"})), 401);
  net().expect_audit("cas", "ceis.est", "does not fit");
  EXPECT_EQ(curl("good", "server/simpleenroll", basic(by)), 403);
  EXPECT_EQ(curl("good", "nothing/simpleenroll", basic(by)), 404);

  request("name", p256, "est-refused", "somebody-else.example");
  EXPECT_EQ(curl("name", "simpleenroll", basic(by)), 403);
  EXPECT_TRUE(read("name.answer").contains("somebody-else.example")) << read("name.answer");

  // A request whose signature does not hold.
  std::string der = read("good.der");
  der.back() = static_cast<char>(der.back() ^ 1);
  write("bad.b64", wire::to_base64(as_bytes(der)));
  EXPECT_EQ(curl("bad", "simpleenroll", basic(by)), 403);
  EXPECT_TRUE(read("bad.answer").contains("signature does not hold")) << read("bad.answer");

  write("bad.b64", "this is not base64!");
  EXPECT_EQ(curl("bad", "simpleenroll", basic(by)), 400);
  write("bad.b64", std::string(200'000, 'A'));
  EXPECT_EQ(curl("bad", "simpleenroll", basic(by)), 400);
  request("weak", "-algorithm RSA -pkeyopt rsa_keygen_bits:1024", "est-refused");
  EXPECT_EQ(curl("weak", "simpleenroll", basic(by)), 403);
  ASSERT_EQ(curl("good", "simpleenroll", basic(by)), 200) << read("good.answer");
}

TEST_F(EstPeers, ACertificateOfAnotherCaEndsTheHandshake) {
  request("new", p256, "kms-a");
  must_run(openssl("req -x509 -config req.cnf -key new.key -days 1 -out stranger.pem"));
  EXPECT_EQ(
      run("curl -sS -o /dev/null -w %{http_code} --cacert " + trust("device-ca.pem") + " --cert stranger.pem --key new.key " + url("cacerts")).out.find("200"),
      std::string::npos);
  net().expect_audit("cas", "enrolment.connection", "handshake");
}

TEST_F(EstPeers, TwoOperatorsApproveAndTheSameRequestGetsItsCertificate) {
  const Registered by = registered("est-four", "device", Json::object({{"four_eyes", true}}));
  request("four", p256, "est-four");
  ASSERT_EQ(curl("four", "simpleenroll", basic(by)), 202) << read("four.answer");
  EXPECT_TRUE(read("four.head").contains("Retry-After: ")) << read("four.head");
  const std::string answer = read("four.answer");
  const std::size_t at = answer.find("(ticket ");
  ASSERT_NE(at, std::string::npos) << answer;
  const std::string ticket = answer.substr(at + 8, answer.find(')', at) - at - 8);
  const Json approve = Json::object({{"op", "approve"}, {"ticket", ticket}});
  ask(*duties_.at("administrator"), Endpoint::x5_registration, "cas", approve);
  EXPECT_EQ(curl("four", "simpleenroll", basic(by)), 202) << "one is not two";
  ask(*duties_.at("auditor"), Endpoint::x5_registration, "cas", approve);
  ASSERT_EQ(curl("four", "simpleenroll", basic(by)), 200) << read("four.answer");
  take_certificate("four");
  expect_certified("four", true);
}

TEST_F(EstPeers, ServerkeygenHandsOutAKeyWithItsCertificateAndTheSameOnesAgain) {
  const Registered by = registered("est-vault", "device-encryption");
  request("ask", p256, "est-vault");
  const auto taken = [&](const std::string& name) {
    const std::string body = read(name + ".answer");
    const std::string head = read(name + ".head");
    const std::size_t at = head.find("boundary=");
    EXPECT_NE(at, std::string::npos) << head;
    const std::string boundary = "--" + head.substr(at + 9, head.find_first_of("\r\n", at) - at - 9);
    const auto part = [&](const std::string& type) {
      const std::size_t begin = body.find(boundary + "\r\nContent-Type: " + type);
      EXPECT_NE(begin, std::string::npos) << body;
      const std::size_t content = body.find("\r\n\r\n", begin) + 4;
      return body.substr(content, body.find("\r\n" + boundary, content) - content);
    };
    write(name + ".key.b64", part("application/pkcs8"));
    write(name + ".p7.b64", part("application/pkcs7-mime"));
    must_run("openssl base64 -d -in " + name + ".key.b64 -out " + name + ".p8");
    must_run("openssl base64 -d -in " + name + ".p7.b64 -out " + name + ".p7");
    must_run(openssl("pkey -inform DER -in " + name + ".p8 -out " + name + ".key"));
    must_run(openssl("pkcs7 -inform DER -in " + name + ".p7 -print_certs -out " + name + ".pem"));
  };
  write("kem.b64", read("ask.b64"));
  ASSERT_EQ(keep_answer("kem", s_client("kem", "device-encryption.ML-KEM-768/serverkeygen", basic_field(by), "")), 200)
      << read("kem.answer") << read("kem.err");
  taken("kem");
  expect_certified("kem", false);
  EXPECT_TRUE(must_run(openssl("x509 -in kem.pem -noout -text")).contains("ML-KEM-768"));
  EXPECT_TRUE(must_run(openssl("x509 -in kem.pem -noout -ext keyUsage")).contains("Key Encipherment"));
  // A secret that is encapsulated to the certificate comes out with the key.
  must_run(openssl("pkeyutl -encap -certin -inkey kem.pem -out kem.ct -secret kem.a"));
  must_run(openssl("pkeyutl -decap -inkey kem.key -in kem.ct -secret kem.b"));
  EXPECT_EQ(read("kem.a"), read("kem.b"));

  const std::string first = read("kem.p8") + serial("kem");
  ASSERT_EQ(keep_answer("kem", s_client("kem", "device-encryption.ML-KEM-768/serverkeygen", basic_field(by), "")), 200);
  taken("kem");
  EXPECT_EQ(read("kem.p8") + serial("kem"), first);

  // The distribution's curl has no hybrid group: an ML-KEM key is not handed over such a connection, an RSA key is.
  EXPECT_EQ(curl("ask", "device-encryption.ML-KEM-768/serverkeygen", basic(by)), 403);
  EXPECT_TRUE(read("ask.answer").contains("quantum-safe connection alone")) << read("ask.answer");
  const Registered rsa_by = registered("est-vault-rsa", "device-encryption");
  request("rsa", rsa, "est-vault-rsa");
  ASSERT_EQ(curl("rsa", "serverkeygen", basic(rsa_by)), 200) << read("rsa.answer");
  const std::string asked = must_run(openssl("pkey -in rsa.key -pubout"));
  taken("rsa");
  expect_certified("rsa", true);
  EXPECT_NE(must_run(openssl("pkey -in rsa.key -pubout")), asked);
}

TEST_F(EstPeers, CurlReadsTheAttributesOfAProfile) {
  EXPECT_EQ(curl("attributes", "device/csrattrs", ""), 200);
  must_run("openssl base64 -d -A -in attributes.answer -out attributes.der");
  const std::string printed = must_run(openssl("asn1parse -inform DER -in attributes.der"));
  for (const char* part : {"rsaEncryption", "prime256v1", "secp384r1", "ML-DSA-65"}) EXPECT_TRUE(printed.contains(part)) << printed;
}

TEST_F(EstPeers, StrongswanFetchesTheCasAndEnrolsRsaAndEllipticKeys) {
  // Of the CAs it takes those that it can read, which are not the ML-DSA ones.
  must_run("pki --estca --url https://localhost:" + std::to_string(port()) + " --cacert " + trust("device-ca.pem") + " --caout ca.pem --outform pem");
  EXPECT_EQ(must_run(openssl("x509 -noout -fingerprint -sha256 -in ca.pem")),
            must_run(openssl("x509 -noout -fingerprint -sha256 -in " + trust("device-ca.pem"))));
  for (const char* kind : {"rsa", "ecdsa"}) {
    const std::string uid = std::string("swan-") + kind;
    const Registered by = registered(uid, "device");
    must_run(std::string("pki --gen --type ") + kind + (kind == std::string("rsa") ? " --size 3072" : " --size 256") + " --outform pem > " + uid + ".key");
    must_run("pki --req --in " + uid + ".key --dn CN=" + uid + " --san " + uid + ".example > " + uid + ".req");
    const std::string enrol = "pki --est --url https://localhost:" + std::to_string(port()) + " --in " + uid + ".req --cacert " + trust("device-ca.pem");
    const Outcome wrong = run(enrol + " --userpass " + by.reference + ":wrong > wrong.pem");
    EXPECT_NE(wrong.code, 0) << wrong.out;
    must_run(enrol + " --userpass " + by.reference + ":" + by.secret + " --outform pem > " + uid + ".pem 2>" + uid + ".log || { cat " + uid +
             ".log; exit 1; }");
    expect_certified(uid, true);
    // Renewal: simplereenroll with the certificate in the handshake.
    must_run("pki --gen --type ecdsa --size 384 --outform pem > next.key && pki --req --in next.key --dn CN=" + uid + " --san " + uid + ".example > next.req");
    must_run("pki --est --url https://localhost:" + std::to_string(port()) + " --in next.req --cacert " + trust("device-ca.pem") + " --cert " + uid +
             ".pem --key " + uid + ".key --outform pem > next.pem 2>next.log || { cat next.log; exit 1; }");
    expect_certified("next", true);
  }
}

TEST_F(EstPeers, AClientThatVanishesMidWayLeavesNoCertificateAndDisturbsNobody) {
  const Registered by = registered("est-gone", "device");
  request("gone", p256, "est-gone");
  const std::string body = read("gone.b64");
  write("half.http", "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/pkcs10\r\n" + basic_field(by) +
                         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body.substr(0, body.size() / 2));
  for (int i = 0; i < 5; ++i) {
    run_line("cd " + here() + " && timeout 20 sh -c '" + openssl("s_client -servername localhost -connect 127.0.0.1:" + std::to_string(port())) +
                 "' <half.http >/dev/null 2>&1",
             folder_);
  }
  const auto orders = [&] {
    return std::ranges::count_if(net().audit("cas", "ceis.order"), [&](const Json& record) { return record.dump().contains(by.reference); });
  };
  EXPECT_EQ(orders(), 0);
  ASSERT_EQ(curl("gone", "simpleenroll", basic(by)), 200) << read("gone.answer");
  EXPECT_EQ(orders(), 1);
}

// ---- death in the middle ----

class CrashDuringEst : public EstPeers {
 protected:
  /// CAS dies there while it answers; it is started again, and the request comes again.
  void crash(const std::string& place, const std::string& operation, const std::string& profile) {
    const std::string uid = "crash-" + std::to_string(++count_);
    const Registered by = registered(uid, profile);
    request(uid, rsa, uid);
    const std::filesystem::path mark = folder_ / ("crashed-" + uid);
    net().running().stop_element("cas", app::RunningNetwork::Ending::orderly);
    const auto armed = net().running().start_element("cas", QANAT_CRASH_PROGRAM, {"QANAT_CRASH_AT=" + place, "QANAT_CRASH_ONCE=" + mark.string()});
    const bool dies_at_once = !armed;  // at a place that it passes before it is ready
    if (!dies_at_once) {
      const Outcome lost = run("curl -sS --cacert " + trust("device-ca.pem") + basic(by) + " -H \"Content-Type: application/pkcs10\" --data-binary @" + uid +
                               ".b64 " + url(operation));
      EXPECT_NE(lost.code, 0) << place << ": an answer came: " << lost.out;
    }
    ASSERT_TRUE(std::filesystem::exists(mark)) << place << " was not passed";
    const auto again = net().running().start_element("cas");
    ASSERT_TRUE(again) << again.error().message;
    ASSERT_EQ(curl(uid, operation, basic(by)), 200) << place << ": " << read(uid + ".answer");
    const std::string first = certificate_of(uid, operation);
    ASSERT_EQ(curl(uid, operation, basic(by)), 200);
    EXPECT_EQ(certificate_of(uid, operation), first) << place;
    // It is the only one, and on record: CAS's own status answer knows it.
    const Json known = ask(net().op(), Endpoint::x5_registration, "cas", Json::object({{"op", "show"}, {"reference", by.reference}}));
    EXPECT_EQ(text(known, "reference"), by.reference);
    write("one.pem", first);
    const std::string status = must_run(openssl("ocsp -no_nonce -url http://127.0.0.1:" + std::to_string((*net().network().element("cas"))->status_port) +
                                                "/ocsp -issuer " + trust("device-ca.pem") + " -CAfile " + trust("device-ca.pem") + " -cert one.pem"));
    EXPECT_TRUE(status.contains("one.pem: good")) << status;
  }
  std::string certificate_of(const std::string& uid, const std::string& operation) const {
    const std::string body = read(uid + ".answer");
    std::string base64 = body;
    if (operation.contains("serverkeygen")) {
      const std::size_t begin = body.find("\r\n\r\n", body.find("application/pkcs7-mime")) + 4;
      base64 = body.substr(begin, body.find("\r\n--", begin) - begin);
    }
    std::erase_if(base64, [](char c) { return c == '\n'; });
    write("one.b64", base64);
    must_run("openssl base64 -d -A -in one.b64 -out one.p7");
    return must_run(openssl("pkcs7 -inform DER -in one.p7 -print_certs"));
  }
  inline static int count_ = 0;
};

TEST_F(CrashDuringEst, BetweenIntentionSignatureAndRecord) {
  crash("cas.ceis.intended", "simpleenroll", "device");
  crash("cas.ceis.signed", "simpleenroll", "device");
  crash("cas.ceis.recorded", "simpleenroll", "device");
}

TEST_F(CrashDuringEst, WithAKeyThatWasMadeAndNotHandedOut) {
  crash("cas.made_key.kept", "serverkeygen", "device-encryption");
  crash("cas.est.key_issued", "serverkeygen", "device-encryption");
}

TEST_F(CrashDuringEst, WhileTheListenersOwnCertificatesAreIssued) { crash("cas.front.intended", "simpleenroll", "device"); }

}  // namespace
}  // namespace qanat::test
