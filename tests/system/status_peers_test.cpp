// The openssl program, unmodified, as client of the CAS's listener: OCSP, revocation lists, chains with their revocation checked.
#include <fstream>

#include "program.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

class StatusPeers : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.spares = {{.domain = "a", .kind = Kind::kms, .name = "kms-spare"}};
    options_.optics = false;
    SharedNetwork::SetUpTestSuite();
  }
  [[nodiscard]] static std::string url() { return "http://127.0.0.1:" + std::to_string((*net().network().element("cas"))->status_port); }
  [[nodiscard]] static std::string trust(const char* file) { return (net().network().trust() / file).string(); }
  Outcome openssl(const std::string& arguments) const {
    return run_line("OPENSSL_CONF=/dev/null " QANAT_SOURCE_DIR "/.deps/openssl/bin/openssl " + arguments + " 2>&1 </dev/null", folder_);
  }
  [[nodiscard]] std::string file_of(const std::string& element) const {
    const std::filesystem::path file = folder_ / (element + ".pem");
    std::ofstream(file) << net().identity_of(element)->chain.front().pem();
    return file.string();
  }
  [[nodiscard]] std::string ocsp(const std::string& more) const {
    return openssl("ocsp -url " + url() + "/ocsp -issuer " + trust("issuing-ml_dsa.pem") + " -CAfile " + trust("root-ml_dsa.pem") + " " + more).out;
  }
  TemporaryDirectory folder_;
};

TEST_F(StatusPeers, OpensslOcspTakesGoodWithAndWithoutNonce) {
  const std::string certificate = file_of("kms-a");
  for (const char* more : {"", "-no_nonce ", "-sha256 ", "-sha256 -no_nonce "}) {
    const std::string out = ocsp(std::string(more) + "-cert " + certificate);
    EXPECT_TRUE(out.contains("Response verify OK")) << out;
    EXPECT_TRUE(out.contains(certificate + ": good")) << out;
    EXPECT_FALSE(out.contains("WARNING")) << "of a nonce that was not answered: " << out;
  }
}

TEST_F(StatusPeers, OpensslOcspAsksForSeveralCertificatesAtOnce) {
  const std::string first = file_of("kms-a");
  const std::string second = file_of("qkm-a");
  const std::string out = ocsp("-cert " + first + " -cert " + second + " -serial 77");
  EXPECT_TRUE(out.contains("Response verify OK")) << out;
  EXPECT_TRUE(out.contains(first + ": good") && out.contains(second + ": good") && out.contains("77: unknown")) << out;
}

TEST_F(StatusPeers, OpensslOcspIsRefusedForAnotherCa) {
  const std::string out = openssl("ocsp -url " + url() + "/ocsp -issuer " + trust("root-ml_dsa.pem") + " -CAfile " + trust("root-ml_dsa.pem") + " -cert " +
                                  trust("issuing-ml_dsa.pem"))
                              .out;
  EXPECT_TRUE(out.contains("unauthorized")) << out;
}

TEST_F(StatusPeers, OpensslSeesARevocationInTheAnswerInTheListsAndInTheChain) {
  static_cast<void>(net().enrol_spare("kms-spare"));
  const std::string certificate = file_of("kms-spare");
  const std::string chain = "verify -crl_check -crl_download -CAfile " + trust("root-ml_dsa.pem") + " -untrusted " + trust("issuing-ml_dsa.pem") + " ";
  EXPECT_TRUE(ocsp("-no_nonce -cert " + certificate).contains(": good"));
  // The program fetches the list of the certificate's shard from where the certificate says.
  const Outcome good = openssl(chain + certificate);
  EXPECT_EQ(good.code, 0) << good.out;

  ASSERT_TRUE(net().op().revoke({.domain = "a", .kind = Kind::kms, .name = "kms-spare"}));
  for (const char* more : {"", "-no_nonce "}) {
    const std::string out = ocsp(std::string(more) + "-cert " + certificate);
    EXPECT_TRUE(out.contains("Response verify OK") && out.contains(": revoked")) << out;
  }
  Outcome revoked;
  TestNetwork::await("the list of its shard", [&] {
    revoked = openssl(chain + certificate);
    return revoked.code != 0;
  });
  EXPECT_TRUE(revoked.out.contains("certificate revoked")) << revoked.out;

  for (const char* list : {"ml_dsa", "ml_dsa-delta"}) {
    const std::string file = (folder_ / list).string();
    ASSERT_EQ(run_line("curl -sS --fail -o " + file + " " + url() + "/crl/" + list + ".crl", folder_).code, 0);
    const Outcome read = openssl("crl -inform DER -noout -text -in " + file + " -CAfile " + trust("issuing-ml_dsa.pem"));
    EXPECT_TRUE(read.out.contains("verify OK")) << read.out;
    EXPECT_TRUE(read.out.contains("Serial Number: ")) << read.out;
    EXPECT_EQ(read.out.contains("Delta CRL Indicator"), std::string_view(list) == "ml_dsa-delta") << read.out;
  }
}

TEST_F(StatusPeers, CurlGetsTheCaCertificateAndCachesByItsTag) {
  const std::string file = (folder_ / "ca.cer").string();
  ASSERT_EQ(run_line("curl -sS --fail -o " + file + " " + url() + "/ca/ml_dsa.cer", folder_).code, 0);
  const Outcome subject = openssl("verify -CAfile " + trust("root-ml_dsa.pem") + " " + file);
  EXPECT_EQ(subject.code, 0) << subject.out;
  const std::string tag = (folder_ / "tag").string();
  const std::string list = "curl -sS --etag-save " + tag + " --etag-compare " + tag + " -o /dev/null -w '%{http_code}' " + url() + "/crl/ml_dsa.crl";
  EXPECT_EQ(run_line("touch " + tag + "; " + list, folder_).out, "200");
  EXPECT_EQ(run_line(list, folder_).out, "304");
}

}  // namespace
}  // namespace qanat::test
