// certbot, lego, dehydrated and uacme, unmodified, at the real CAS over its own TLS: certificates for keys of their own, signed by the device CA, and for
// ML-DSA-65 requests made by the openssl program, signed by the ML-DSA CA; renewed, revoked, refused. What they get is checked by the openssl program.
#include <thread>

#include "acme_peers.hpp"
#include "acme_suite.hpp"
#include "wire/base64.hpp"

namespace qanat::test {
namespace {

class AcmePeers : public AcmeNetwork {
 protected:
  static void SetUpTestSuite() {
    AcmeNetwork::SetUpTestSuite();
    for (const char* program : {"certbot", "lego", "dehydrated", "uacme"}) {
      ASSERT_TRUE(std::filesystem::exists(std::filesystem::path("/usr/bin") / program)) << "run `make setup`: it installs " << program;
    }
  }
  template <class Peer>
  std::unique_ptr<AcmePeer> peer(const std::string& home, const Registered& registration, const std::filesystem::path& roots = device_ca()) const {
    return std::make_unique<Peer>(folder_ / home,
                                  AcmeAccess{.directory = directory(), .roots = roots, .reference = registration.reference, .secret = registration.secret});
  }
  Outcome openssl(const std::string& arguments) const {
    return run_line(
        "OPENSSL_CONF=" QANAT_SOURCE_DIR "/.deps/openssl/ssl/openssl.cnf " QANAT_SOURCE_DIR "/.deps/openssl/bin/openssl " + arguments + " 2>&1 </dev/null",
        folder_);
  }
  /// Verified, for these names, by a key of this kind; its serial.
  std::string expect_good(const AcmePeer::Files& files, const std::vector<std::string>& names, const std::string& key, const std::string& issuers_key) const {
    const Outcome verified = openssl("verify -CAfile " + all_roots().string() + " -untrusted " + files.chain.string() + ' ' + files.certificate.string());
    EXPECT_EQ(verified.code, 0) << verified.out;
    const std::string text = openssl("x509 -noout -text -in " + files.certificate.string()).out;
    EXPECT_TRUE(text.contains("Public Key Algorithm: " + key)) << text;
    EXPECT_TRUE(text.contains("Signature Algorithm: " + issuers_key)) << text;
    EXPECT_TRUE(text.contains("Subject: CN=" + names.front())) << text;
    for (const std::string& name : names) EXPECT_TRUE(text.contains("DNS:" + name)) << text;
    return openssl("x509 -noout -serial -in " + files.certificate.string()).out;
  }
  /// What the status listener says of the certificate: "good", "revoked".
  std::string status(const AcmePeer::Files& files) const {
    const std::string issuer = (folder_ / "issuer.pem").string();
    const std::string chain = openssl("storeutl -noout -text -certs " + files.chain.string()).out;
    EXPECT_TRUE(chain.contains("Certificate")) << chain;
    // The issuer is the last of the chain's file.
    EXPECT_EQ(run_line("awk '/BEGIN/{text=\"\"} {text=text $0 \"\\n\"} END{printf \"%s\", text}' " + files.chain.string() + " > " + issuer, folder_).code, 0);
    const std::string url = "http://127.0.0.1:" + std::to_string((*net().network().element("cas"))->status_port);
    const std::string out =
        openssl("ocsp -url " + url + "/ocsp -issuer " + issuer + " -CAfile " + all_roots().string() + " -cert " + files.certificate.string()).out;
    EXPECT_TRUE(out.contains("Response verify OK")) << out;
    const std::string mark = files.certificate.string() + ": ";
    const std::size_t at = out.find(mark);
    return at == std::string::npos ? out : out.substr(at + mark.size(), out.find('\n', at) - at - mark.size());
  }
  /// Copies, since clients move what they revoke.
  AcmePeer::Files kept(const AcmePeer::Files& files) const {
    const AcmePeer::Files out{.certificate = folder_ / "kept.pem", .chain = folder_ / "kept-chain.pem"};
    std::filesystem::copy_file(files.certificate, out.certificate, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(files.chain, out.chain, std::filesystem::copy_options::overwrite_existing);
    return out;
  }

  template <class Peer>
  void own_keys(const std::string& uid) {
    const std::vector<std::string> names{"a." + uid + ".example", "b." + uid + ".example"};
    const auto client = peer<Peer>("home", registered(uid, names));
    const Outcome obtained = client->obtain(names);
    ASSERT_EQ(obtained.code, 0) << obtained.out << obtained.error;
    const AcmePeer::Files files = client->files(names.front());
    const std::string first = expect_good(files, names, client->key_algorithm(), "ecdsa-with-SHA");
    const Outcome renewed = client->renew(names);
    ASSERT_EQ(renewed.code, 0) << renewed.out << renewed.error;
    EXPECT_NE(expect_good(files, names, client->key_algorithm(), "ecdsa-with-SHA"), first) << "another certificate";
    const AcmePeer::Files copies = kept(files);
    EXPECT_EQ(status(copies), "good");
    const Outcome revoked = client->revoke(files.certificate, names.front());
    EXPECT_EQ(revoked.code, 0) << revoked.out << revoked.error;
    EXPECT_EQ(status(copies), "revoked");
    refused(*client, client->obtain({"x." + uid + ".example"}), "rejectedIdentifier");
  }
  template <class Peer>
  void ml_dsa_request(const std::string& uid) {
    const std::vector<std::string> names{"a." + uid + ".example", "b." + uid + ".example"};
    const auto client = peer<Peer>("home", registered(uid, names));
    const std::filesystem::path request = folder_ / "box.csr";
    const Outcome made = openssl("req -new -newkey ML-DSA-65 -noenc -keyout " + (folder_ / "box.key").string() + " -subj /CN=" + names[0] +
                                 " -addext subjectAltName=DNS:" + names[0] + ",DNS:" + names[1] + " -out " + request.string());
    ASSERT_EQ(made.code, 0) << made.out;
    // Some make their account with their first certificate alone.
    const Outcome own = client->obtain(names);
    ASSERT_EQ(own.code, 0) << own.out << own.error;
    for (int turn = 0; turn < 2; ++turn) {
      const Outcome obtained = client->obtain_for(request);
      ASSERT_EQ(obtained.code, 0) << obtained.out << obtained.error;
      static_cast<void>(expect_good(client->files_for(request, names[0]), names, "ML-DSA-65", "ML-DSA-65"));
    }
    const AcmePeer::Files files = client->files_for(request, names[0]);
    const AcmePeer::Files copies = kept(files);
    const Outcome revoked = client->revoke(files.certificate, names.front());
    EXPECT_EQ(revoked.code, 0) << revoked.out << revoked.error;
    EXPECT_EQ(status(copies), "revoked");
  }
  template <class Peer>
  void strangers(const std::string& uid) {
    const std::string name = uid + ".example";
    Registered registration = registered(uid, {name});
    const auto elsewhere = peer<Peer>("other-roots", registration, net().network().trust() / "root-ml_dsa.pem");
    const Outcome unknown = elsewhere->obtain({name});
    EXPECT_NE(unknown.code, 0) << "took a listener whose CA it does not know: " << unknown.out;
    registration.secret = wire::to_base64url(net().rng().bytes(32));
    const auto stranger = peer<Peer>("other-secret", registration);
    refused(*stranger, stranger->obtain({name}), "externalAccountBinding: not made with the secret");
    net().expect_audit("cas", "ceis.acme", "externalAccountBinding");
  }
  static void refused(const AcmePeer& client, const Outcome& outcome, const std::string& why) {
    EXPECT_NE(outcome.code, 0) << outcome.out;
    EXPECT_TRUE((outcome.out + outcome.error + client.log()).contains(why)) << outcome.out << outcome.error;
  }
  TemporaryDirectory folder_;
};

TEST_F(AcmePeers, CertbotObtainsRenewsAndRevokesForKeysOfItsOwn) { own_keys<Certbot>("certbot-own"); }
TEST_F(AcmePeers, CertbotHandsInAnMlDsaRequest) { ml_dsa_request<Certbot>("certbot-ml"); }
TEST_F(AcmePeers, CertbotWithoutTheSecretOrOurRootIsRefused) { strangers<Certbot>("certbot-no"); }

TEST_F(AcmePeers, LegoObtainsRenewsAndRevokesForKeysOfItsOwn) { own_keys<Lego>("lego-own"); }
TEST_F(AcmePeers, LegoHandsInAnMlDsaRequest) { ml_dsa_request<Lego>("lego-ml"); }
TEST_F(AcmePeers, LegoWithoutTheSecretOrOurRootIsRefused) { strangers<Lego>("lego-no"); }

TEST_F(AcmePeers, DehydratedObtainsRenewsAndRevokesForKeysOfItsOwn) { own_keys<Dehydrated>("dehydrated-own"); }
TEST_F(AcmePeers, DehydratedHandsInAnMlDsaRequest) { ml_dsa_request<Dehydrated>("dehydrated-ml"); }
TEST_F(AcmePeers, DehydratedWithoutTheSecretOrOurRootIsRefused) { strangers<Dehydrated>("dehydrated-no"); }

TEST_F(AcmePeers, UacmeObtainsRenewsAndRevokesForKeysOfItsOwn) { own_keys<Uacme>("uacme-own"); }
TEST_F(AcmePeers, UacmeHandsInAnMlDsaRequest) { ml_dsa_request<Uacme>("uacme-ml"); }
TEST_F(AcmePeers, UacmeWithoutTheSecretOrOurRootIsRefused) { strangers<Uacme>("uacme-no"); }

TEST_F(AcmePeers, LegoWaitsUntilTwoOperatorsHaveApproved) {
  const std::string name = "lego-waits.example";
  const auto client = peer<Lego>("home", registered("lego-waits", {name}, true));
  net().close_op();  // the commands open the same identity
  Outcome obtained;
  std::thread waiting([&] { obtained = client->obtain({name}); });
  const TemporaryDirectory folder;
  const std::string on = " --state " + net().network().folder().string();
  std::string ticket;
  TestNetwork::await("the order among those that wait", [&] {
    const Outcome orders = run_program("ca orders --only waiting --json" + on, folder);
    const std::size_t at = orders.out.find("\"o-");
    if (at != std::string::npos) ticket = orders.out.substr(at + 1, orders.out.find('"', at + 1) - at - 1);
    return !ticket.empty();
  });
  for (const char* who : {"administrator", "auditor"}) {
    const Outcome approved = run_program("ca approve " + ticket + " --as " + who + on, folder);
    EXPECT_EQ(approved.code, 0) << approved.error;
  }
  waiting.join();
  EXPECT_EQ(obtained.code, 0) << obtained.out;
  static_cast<void>(expect_good(client->files(name), {name}, client->key_algorithm(), "ecdsa-with-SHA"));
}

}  // namespace
}  // namespace qanat::test
