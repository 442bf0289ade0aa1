// SCEP by software that others wrote, unmodified: strongSwan's pki and micromdm's scepclient as Debian has them; and for ML-DSA, which neither of them has,
// messages by OpenSSL's CMS (scep_peer.hpp), whose parts the openssl program makes and reads.
#include <fstream>
#include <future>

#include "registered_network.hpp"
#include "scep_peer.hpp"
#include "wire/base64.hpp"

namespace qanat::test {
namespace {

namespace peer = test::scep;
using points::Endpoint;
using wire::Json;

class ScepPeers : public RegisteredNetwork {
 protected:
  /// With profile device: its challengePassword.
  static std::string registered(const std::string& uid, const Json& more = Json::object()) {
    const Registered made = RegisteredNetwork::registered(uid, "device", more);
    return made.reference + ":" + made.secret;
  }
  static Json four_eyes() { return Json::object({{"four_eyes", true}}); }
  static std::vector<Json> waiting() {
    return ask(net().op(), Endpoint::x5_registration, "cas", Json::object({{"op", "orders"}, {"state", "waiting"}}))
        .array("orders")
        .value_or(std::vector<Json>());
  }
  static void approve_all() {
    for (const Json& order : waiting()) {
      for (const auto& [name, op] : duties_)
        ask(*op, Endpoint::x5_registration, "cas", Json::object({{"op", "approve"}, {"ticket", order.text("ticket").value_or("")}}));
    }
  }

  static std::string url() { return "http://127.0.0.1:" + std::to_string((*net().network().element("cas"))->status_port) + "/scep"; }
  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }
  [[nodiscard]] Bytes read(const std::string& name) const {
    std::ifstream in(folder_ / name, std::ios::binary);
    const std::string octets{std::istreambuf_iterator<char>(in), {}};
    return to_bytes(octets);
  }
  void write(const std::string& name, ByteView octets) const { std::ofstream(folder_ / name, std::ios::binary) << as_text(octets); }

  /// In the test's folder; both streams.
  Outcome run(const std::string& line, int seconds = 60) const {
    const TemporaryDirectory errors;
    return run_line("cd " + path(".") + " && timeout " + std::to_string(seconds) + " " + line + " 2>&1 </dev/null", errors);
  }
  std::string must_run(const std::string& line) const {
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.code, 0) << line << "\n" << outcome.out;
    return outcome.out;
  }

  // ---- strongSwan ----

  /// ca.crt and ra.crt by strongSwan, and ra.der.
  void take_ca() const {
    must_run("pki --scepca --url " + url() + " --caout ca.crt --raout ra.crt --outform pem --force");
    must_run(openssl("x509 -in ra.crt -outform DER -out ra.der"));
  }
  void rsa_key(const std::string& name) const { must_run(openssl("genrsa -out " + name + ".key 2048")); }
  [[nodiscard]] std::string strongswan(const std::string& key, const std::string& uid, const std::string& more) const {
    return "sh -c 'pki --scep --url " + url() + " --in " + key + ".key --dn CN=" + uid +
           " --cacert-enc ra.crt --cacert-sig ra.crt --cacert ca.crt --outform pem " + more + " >" + key + ".crt'";
  }
  void expect_certified(const std::string& key) const {
    EXPECT_TRUE(must_run(openssl("verify -CAfile ca.crt " + key + ".crt")).contains("OK"));
    EXPECT_EQ(must_run(openssl("x509 -in " + key + ".crt -noout -pubkey")), must_run(openssl("pkey -in " + key + ".key -pubout")));
  }

  // ---- our own client ----

  struct Box {
    explicit Box(const std::string& kind) : key(peer::make_key(kind)), certificate(peer::make_certificate(key.get(), "box")) {}
    peer::Key key;
    Bytes certificate;
  };
  peer::Request request(const Box& box, Bytes content, const std::string& type = "19") const {
    return {.type = type,
            .transaction = to_hex(net().rng().bytes(10)),
            .content = std::move(content),
            .ra = read("ra.der"),
            .key = box.key.get(),
            .certificate = box.certificate};
  }
  /// The answer, by curl; nothing if there was none.
  std::optional<peer::Answer> post(const peer::Request& request) const {
    write("message.der", peer::make_message(request));
    const Outcome outcome =
        run("curl -sS --fail -H Content-Type:application/x-pki-message --data-binary @message.der -o answer.der " + url() + "?operation=PKIOperation");
    if (outcome.code != 0) return std::nullopt;
    return peer::read_answer(read("answer.der"), read("ra.der"));
  }

  TemporaryDirectory folder_;
};

TEST_F(ScepPeers, StrongswanFindsTheCaAndItsRegistrationAuthority) {
  take_ca();
  EXPECT_TRUE(must_run(openssl("verify -CAfile ca.crt ra.crt")).contains("OK"));
  const std::string ca = (net().network().trust() / "device-ca.pem").string();
  EXPECT_EQ(must_run(openssl("x509 -in ca.crt -noout -fingerprint -sha256")), must_run(openssl("x509 -in " + ca + " -noout -fingerprint -sha256")));
  EXPECT_TRUE(must_run(openssl("x509 -in ra.crt -noout -ext keyUsage")).contains("Digital Signature, Key Encipherment"));
  // Its status is answered for like every other's.
  const std::string status = must_run(openssl("ocsp -url http://127.0.0.1:" + std::to_string((*net().network().element("cas"))->status_port) +
                                              "/ocsp -issuer ca.crt -CAfile ca.crt -cert ra.crt"));
  EXPECT_TRUE(status.contains("ra.crt: good")) << status;
}

TEST_F(ScepPeers, StrongswanEnrolsAndRenewsWithAnotherKey) {
  take_ca();
  const std::string challenge = registered("swan-1");
  rsa_key("first");
  const Outcome first = run(strongswan("first", "swan-1", "--password " + challenge));
  ASSERT_EQ(first.code, 0) << first.out;
  EXPECT_TRUE(first.out.contains("ssued certificate is trusted")) << first.out;
  expect_certified("first");
  net().expect_audit("cas", "ceis.order", "");
  // The same key again: the same transaction, the same certificate.
  must_run("cp first.key again.key");
  const Outcome again = run(strongswan("again", "swan-1", "--password " + challenge));
  ASSERT_EQ(again.code, 0) << again.out;
  EXPECT_EQ(read("again.crt"), read("first.crt"));
  // Another key by the same secret: it has given its certificate.
  rsa_key("other");
  const Outcome other = run(strongswan("other", "swan-1", "--password " + challenge));
  EXPECT_NE(other.code, 0);
  EXPECT_TRUE(other.out.contains("badRequest")) << other.out;
  // By the certificate instead.
  rsa_key("second");
  const Outcome renewed = run(strongswan("second", "swan-1", "--cert first.crt --key first.key"));
  ASSERT_EQ(renewed.code, 0) << renewed.out;
  expect_certified("second");
  EXPECT_NE(read("second.crt"), read("first.crt"));
}

TEST_F(ScepPeers, StrongswanIsRefusedForWhatIsWrong) {
  take_ca();
  const std::string challenge = registered("swan-2");
  rsa_key("key");
  const auto refused = [&](const std::string& uid, const std::string& more, const char* info) {
    const Outcome outcome = run(strongswan("key", uid, more));
    EXPECT_NE(outcome.code, 0) << more;
    EXPECT_TRUE(outcome.out.contains(info)) << outcome.out;
    EXPECT_TRUE(read("key.crt").empty());
  };
  refused("swan-2", "--password " + challenge + "x", "badMessageCheck");
  net().expect_audit("cas", "ceis.scep", "does not fit");
  refused("swan-2", "--password r-0000000000000000:abc", "badMessageCheck");
  refused("swan-2", "", "badMessageCheck");
  refused("swan-3", "--password " + challenge, "badRequest");  // a name that is not registered
  net().expect_audit("cas", "ceis.order", "'swan-3' is not registered");
  // A renewal with a certificate that this CAS did not issue.
  must_run(openssl("req -x509 -new -key key.key -subj /CN=swan-2 -days 2 -out self.crt"));
  refused("swan-2", "--cert self.crt --key key.key", "badMessageCheck");
  // 3DES and SHA-1 are not offered; this client sends them nevertheless.
  refused("swan-2", "--cipher des3 --password " + challenge, "badAlg");
  refused("swan-2", "--digest sha1 --password " + challenge, "badAlg");
  // Nothing of it has used up the secret.
  const Outcome right = run(strongswan("key", "swan-2", "--digest sha512 --password " + challenge));
  EXPECT_EQ(right.code, 0) << right.out;
}

TEST_F(ScepPeers, StrongswanPollsUntilTwoOperatorsHaveApproved) {
  take_ca();
  const std::string challenge = registered("swan-4", four_eyes());
  rsa_key("key");
  const std::string line = strongswan("key", "swan-4", "--interval 1 --maxpolltime 50 --password " + challenge);
  auto polling = std::async(std::launch::async, [&] { return run(line); });
  TestNetwork::await("the order", [] { return !waiting().empty(); });
  approve_all();
  const Outcome outcome = polling.get();
  EXPECT_EQ(outcome.code, 0) << outcome.out;
  EXPECT_TRUE(outcome.out.contains("SCEP request pending")) << outcome.out;
  expect_certified("key");
}

TEST_F(ScepPeers, ScepclientOfMicromdmIsRefusedForDesAndSha1) {
  take_ca();
  const std::string challenge = registered("micro-1");
  const std::string fingerprint = must_run("sh -c 'sha256sum ra.der | cut -c1-64'");
  const Outcome outcome = run("scepclient -server-url " + url() + " -private-key client.key -certificate client.pem -cn micro-1 -challenge " + challenge +
                              " -ca-fingerprint " + fingerprint.substr(0, 64));
  EXPECT_NE(outcome.code, 0);
  EXPECT_TRUE(outcome.out.contains("failInfo: badAlg")) << outcome.out;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "client.pem"));
  // The secret is not spent.
  rsa_key("key");
  const Outcome right = run(strongswan("key", "micro-1", "--password " + challenge));
  EXPECT_EQ(right.code, 0) << right.out;
}

TEST_F(ScepPeers, AnMlDsaKeyEnrolsUnderItsChallenge) {
  take_ca();
  const std::string challenge = registered("pq-1");
  // Key, request and the certificate that signs by the program.
  write("req.cnf", as_bytes("[req]\nprompt=no\ndistinguished_name=dn\nattributes=at\n[dn]\nCN=pq-1\n[at]\nchallengePassword=" + challenge + "\n"));
  must_run(openssl("genpkey -algorithm ML-DSA-65 -out pq.key"));
  must_run(openssl("req -new -config req.cnf -key pq.key -outform DER -out pq.csr"));
  must_run(openssl("req -x509 -config req.cnf -key pq.key -days 2 -outform DER -out self.der"));
  must_run(openssl("cms -encrypt -binary -in pq.csr -aes-256-cbc -outform DER -out envelope.der ra.crt"));
  // What the program cannot do: SCEP's signed attributes.
  must_run(openssl("pkcs8 -topk8 -nocrypt -in pq.key -outform DER -out pq.p8"));
  const Bytes pkcs8 = read("pq.p8");
  const unsigned char* at = pkcs8.data();
  const peer::Key key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(pkcs8.size())));
  ASSERT_TRUE(key);
  const auto answer = post({.transaction = "pq-1", .key = key.get(), .certificate = read("self.der"), .envelope = read("envelope.der")});
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->status, "0") << answer->fail_info << " " << answer->text;
  // The answer by the program: the RA's signature, the password, the certificate.
  must_run(openssl("cms -verify -inform DER -in answer.der -certfile ra.crt -CAfile ca.crt -purpose any -binary -out inner.der"));
  write("password", as_bytes(challenge));
  must_run("sh -c '" + openssl("cms -decrypt -inform DER -in inner.der -binary -out certs.p7 -pwri_password $(cat password)") + "'");
  must_run(openssl("pkcs7 -inform DER -in certs.p7 -print_certs -out pq.crt"));
  const std::string trust = net().network().trust().string();
  EXPECT_TRUE(must_run(openssl("verify -CAfile " + trust + "/root-ml_dsa.pem -untrusted " + trust + "/issuing-ml_dsa.pem pq.crt")).contains("OK"));
  EXPECT_EQ(must_run(openssl("x509 -in pq.crt -noout -pubkey")), must_run(openssl("pkey -in pq.key -pubout")));
  // Its CA by SCEP too.
  must_run("curl -sS --fail -o chain.p7 '" + url() + "?operation=GetCACert&message=ml_dsa'");
  EXPECT_EQ(peer::certificates_in(read("chain.p7")).size(), 3U);
}

TEST_F(ScepPeers, AnRsaDeviceOfStrongswansMovesToMlDsa) {
  take_ca();
  rsa_key("old");
  const Outcome first = run(strongswan("old", "pq-2", "--password " + registered("pq-2")));
  ASSERT_EQ(first.code, 0) << first.out;
  must_run(openssl("x509 -in old.crt -outform DER -out old.der"));
  must_run(openssl("pkcs8 -topk8 -nocrypt -in old.key -outform DER -out old.p8"));
  const Bytes pkcs8 = read("old.p8");
  const unsigned char* at = pkcs8.data();
  Box old("ML-DSA-65");  // whose key and certificate are the RSA ones of the device
  old.key.reset(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(pkcs8.size())));
  old.certificate = read("old.der");
  const peer::Key fresh = peer::make_key("ML-DSA-65");
  const auto answer = post(request(old, peer::make_csr(fresh.get(), {.common_name = "pq-2"}), "17"));
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->status, "0") << answer->fail_info << " " << answer->text;
  const auto certificates = peer::certificates_in(peer::open_with_key(answer->envelope, old.key.get(), old.certificate));
  ASSERT_EQ(certificates.size(), 1U);
  const auto leaf = crypto::Certificate::parse(certificates.front());
  ASSERT_TRUE(leaf) << leaf.error().message;
  EXPECT_TRUE(net().trust().verify(*leaf, SystemClock().now_ms())) << "under the network's ML-DSA CA";
  // The holder asks for what he has, and for the list.
  const auto same = post(request(old, peer::issuer_and_serial(old.certificate), "21"));
  ASSERT_TRUE(same && same->status == "0");
  EXPECT_EQ(peer::certificates_in(peer::open_with_key(same->envelope, old.key.get(), old.certificate)), std::vector<Bytes>{old.certificate});
  const auto list = post(request(old, peer::issuer_and_serial(old.certificate), "22"));
  ASSERT_TRUE(list && list->status == "0");
  EXPECT_EQ(peer::lists_in(peer::open_with_key(list->envelope, old.key.get(), old.certificate)).size(), 1U);
}

// ---- kill -9 ----

class ScepUnderCrashes : public ScepPeers {
 protected:
  static std::int64_t issued() {
    const auto health = net().op().health("cas");
    return health ? health->integer("certificates_issued").value_or(-1) : -1;
  }
  /// CAS dies at the place while `work` is done, and starts again.
  void crash(const std::string& place, const std::function<void()>& work) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, place);
    const std::filesystem::path mark = folder_ / place;
    net().running().stop_element("cas", app::RunningNetwork::Ending::orderly);
    ASSERT_TRUE(net().running().start_element("cas", QANAT_CRASH_PROGRAM, {"QANAT_CRASH_AT=" + place, "QANAT_CRASH_ONCE=" + mark.string()}));
    work();
    TestNetwork::await("its death", [&] { return !net().running().lives("cas"); });
    EXPECT_TRUE(std::filesystem::exists(mark)) << "the place was not reached";
    net().running().stop_element("cas", app::RunningNetwork::Ending::kill);
    ASSERT_TRUE(net().running().start_element("cas"));
  }
};

TEST_F(ScepUnderCrashes, OneRegistrationAuthorityIsMadeHoweverOftenItDies) {
  const auto question = [&] { EXPECT_NE(run("curl -sS --fail -o ca.p7 " + url() + "?operation=GetCACert").code, 0) << "CAS answered"; };
  crash("cas.scep.ra_begun", question);
  crash("cas.scep.ra_certified", question);
  take_ca();
  const Bytes ra = read("ra.crt");
  const std::int64_t before = issued();
  take_ca();
  EXPECT_EQ(read("ra.crt"), ra);
  EXPECT_EQ(issued(), before);
  // It was issued once.
  const std::string serial = must_run(openssl("x509 -in ra.crt -noout -serial"));
  std::size_t found = 0;
  for (const Json& event : net().audit("cas", "certificate.issued")) {
    std::string object = event.text("object").value_or("");
    std::ranges::transform(object, object.begin(), [](char c) { return static_cast<char>(std::toupper(c)); });
    if (!object.empty() && serial.contains(object)) ++found;
  }
  EXPECT_EQ(found, 1U);
}

TEST_F(ScepUnderCrashes, ARequestThatWaitsIsNotLost) {
  take_ca();
  const std::string challenge = registered("pq-3", four_eyes());
  const Box box("ML-DSA-65");
  peer::Request wanted = request(box, peer::make_csr(box.key.get(), {.common_name = "pq-3", .challenge = challenge}));
  crash("cas.scep.ordered", [&] { EXPECT_FALSE(post(wanted)) << "CAS answered"; });
  const auto pending = post(wanted);
  ASSERT_TRUE(pending);
  EXPECT_EQ(pending->status, "3") << pending->text;
  EXPECT_EQ(waiting().size(), 1U) << "one order for one request";
  approve_all();
  wanted.type = "20";
  const auto answer = post(wanted);
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->status, "0") << answer->text;
  EXPECT_EQ(peer::certificates_in(peer::open_with_password(answer->envelope, challenge)).size(), 1U);
}

}  // namespace
}  // namespace qanat::test
