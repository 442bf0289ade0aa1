// What CAS says was issued in a terminal's name, against what the terminal knows of.
#include "terminal/issuances.hpp"

#include <fstream>

#include "crypto/kdf.hpp"
#include "trusted_network.hpp"
#include "wire/base64.hpp"

namespace qanat::terminal {
namespace {

using qanat::test::must;

const Identity named = Identity::parse_uri("qanat://a/app1/alice").value();

class IssuancesTest : public testing::Test {
 protected:
  struct Terminal {
    node::MessageSigner signing;
    crypto::EncapsulationKey encryption;
    crypto::CertificateBundle bundle;
  };
  /// Somebody with keys of his own and certificates for alice.
  Terminal make(const crypto::SubjectNames& names) {
    const crypto::Suite& suite = network_.suite();
    crypto::Signer signer = must(crypto::Signer::generate(suite, network_.rng()));
    Terminal out{.signing = {.signer = std::move(signer), .classical = {}, .ml_dsa = {}, .fps = {}},
                 .encryption = must(crypto::Decapsulator::generate(suite, network_.rng())).encapsulation_key(),
                 .bundle = {}};
    out.bundle = network_.bundle(names, out.signing.signer.verifying_key(), out.encryption);
    out.signing.classical = out.bundle.classical_signing;
    out.signing.ml_dsa = out.bundle.ml_dsa_signing;
    return out;
  }
  static std::vector<Issuance> listed(const crypto::CertificateBundle& bundle, bool revoked = false) {
    std::vector<Issuance> out;
    for (const crypto::BundleRole role : crypto::all_bundle_roles)
      out.push_back({.role = std::string(name(role)), .certificate = bundle.of(role), .revoked = revoked});
    return out;
  }
  static std::set<Bytes> keys_of(const crypto::CertificateBundle& bundle) {
    std::set<Bytes> out;
    for (const crypto::BundleRole role : crypto::all_bundle_roles) out.insert(crypto::digest(crypto::Hash::sha256, bundle.of(role).public_key()));
    return out;
  }
  IssuanceFindings judged(std::vector<Issuance> issued) {
    return judge_issuances(network_.suite(), std::move(issued), keys_of(own_.bundle), own_.signing, own_.encryption);
  }

  const crypto::SubjectNames names_{.common_name = "alice", .element = named, .number = Number("+8613800000001"), .dns = {}};
  qanat::test::TrustedNetwork network_;
  const Terminal own_ = make(names_);
};

TEST_F(IssuancesTest, ItsOwnFourAreABundleAndNobodyIsAStranger) {
  const IssuanceFindings found = judged(listed(own_.bundle));
  EXPECT_TRUE(found.strangers.empty());
  EXPECT_TRUE(found.revoked_strangers.empty());
  ASSERT_TRUE(found.own);
  EXPECT_EQ(found.own->id(), own_.bundle.id());
  EXPECT_EQ(found.own->ml_kem_encryption.der(), own_.bundle.ml_kem_encryption.der());
}

TEST_F(IssuancesTest, CertificatesOverOtherKeysAreStrangers) {
  const Terminal forged = make(names_);
  std::vector<Issuance> issued = listed(own_.bundle);
  for (Issuance& one : listed(forged.bundle)) issued.push_back(std::move(one));
  const IssuanceFindings found = judged(std::move(issued));
  EXPECT_EQ(found.strangers.size(), 4U);
  EXPECT_TRUE(found.own) << "its own are there as well";
  const wire::Json json = to_json(found);
  EXPECT_EQ(must(json.array("strangers")).size(), 4U);
  EXPECT_EQ(must(must(json.array("strangers")).front().text("serial")), to_hex(forged.bundle.classical_signing.serial()));
}

TEST_F(IssuancesTest, RevokedStrangersAreToldApart) {
  std::vector<Issuance> issued = listed(own_.bundle);
  for (Issuance& one : listed(make(names_).bundle, true)) issued.push_back(std::move(one));
  const IssuanceFindings found = judged(std::move(issued));
  EXPECT_TRUE(found.strangers.empty());
  EXPECT_EQ(found.revoked_strangers.size(), 4U);
}

TEST_F(IssuancesTest, AnotherCertificateOverAnOwnKeyIsNoStrangerAndNoBundle) {
  const crypto::CertificateBundle again = network_.bundle(names_, own_.signing.signer.verifying_key(), own_.encryption);
  std::vector<Issuance> issued = listed(again);
  const IssuanceFindings found = judged(std::move(issued));
  EXPECT_TRUE(found.strangers.empty());
  EXPECT_FALSE(found.own) << "the encryption certificates are bound to a signing certificate that is not in force here";
}

TEST_F(IssuancesTest, AnIncompleteOrRevokedBundleIsNone) {
  for (const std::size_t missing : {2U, 3U}) {
    std::vector<Issuance> issued = listed(own_.bundle);
    issued.erase(issued.begin() + static_cast<std::ptrdiff_t>(missing));
    EXPECT_FALSE(judged(std::move(issued)).own);
    issued = listed(own_.bundle);
    issued[missing].revoked = true;
    EXPECT_FALSE(judged(std::move(issued)).own);
  }
}

TEST_F(IssuancesTest, TheAnswerIsReadStrictly) {
  const auto entry = [](const crypto::Certificate& certificate) {
    return wire::Json::object({{"certificate", wire::to_base64(certificate.der())}, {"role", "ml-dsa-signing"}, {"bundle", ""}, {"revoked", false}});
  };
  const auto answer = [](wire::Json one) { return wire::Json::object({{"certificates", wire::Json::array({std::move(one)})}}); };
  const auto good = parse_issuances(answer(entry(own_.bundle.ml_dsa_signing)), named);
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->front().certificate.der(), own_.bundle.ml_dsa_signing.der());
  const crypto::SubjectNames bob{
      .common_name = "bob", .element = Identity::parse_uri("qanat://a/app1/bob").value(), .number = Number("+8613800000002"), .dns = {}};
  EXPECT_EQ(parse_issuances(answer(entry(make(bob).bundle.ml_dsa_signing)), named).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(parse_issuances(answer(wire::Json::object({{"certificate", "AAAA"}, {"role", ""}, {"revoked", false}})), named).error().code,
            ErrorCode::invalid_argument);
  EXPECT_EQ(parse_issuances(wire::Json::object(), named).error().code, ErrorCode::invalid_argument);
  wire::Json many = wire::Json::array();
  for (int i = 0; i < 257; ++i) many.push(wire::Json::object());
  EXPECT_EQ(parse_issuances(wire::Json::object({{"certificates", many}}), named).error().code, ErrorCode::invalid_argument);
}

TEST_F(IssuancesTest, OwnKeysAreRememberedForGood) {
  const auto node = network_.open_node(named, {});
  const auto store = must(TerminalStore::open(node->settings().state / "terminal.db", node->device()));
  EXPECT_TRUE(must(store->own_keys()).empty());
  must(store->remember_own_keys({Bytes(32, 1), Bytes(32, 2)}));
  must(store->remember_own_keys({Bytes(32, 2), Bytes(32, 3)}));
  EXPECT_EQ(must(store->own_keys()), (std::set<Bytes>{Bytes(32, 1), Bytes(32, 2), Bytes(32, 3)}));
}

}  // namespace
}  // namespace qanat::terminal
