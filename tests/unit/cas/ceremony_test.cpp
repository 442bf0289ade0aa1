#include <sys/stat.h>

#include "cas_fixture.hpp"
#include "node/renewal.hpp"

namespace qanat::cas {
namespace {

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

unsigned mode_of(const std::filesystem::path& file) {
  struct stat status {};
  EXPECT_EQ(::stat(file.c_str(), &status), 0) << file;
  return status.st_mode & 0777U;
}

class CeremonyTest : public CasFixture, public testing::WithParamInterface<crypto::SuiteId> {
 protected:
  CeremonyTest() : CasFixture(GetParam()) {}
};

TEST_P(CeremonyTest, RootKeysAreOfflineAndAreThoseOfTheRoots) {
  for (const Branch branch : all_branches) {
    const std::filesystem::path file = offline() / ("root-" + std::string(name(branch)) + ".key");
    EXPECT_EQ(mode_of(file), 0600U);
    const std::string digits = content(file);
    const auto octets = from_hex(digits);
    ASSERT_TRUE(octets);
    EXPECT_EQ(to_hex(*octets), digits) << "lower case, nothing else in the file";
    const auto roots = must(crypto::Certificate::parse_pem_chain(content(trust() / ("root-" + std::string(name(branch)) + ".pem"))));
    ASSERT_EQ(roots.size(), 1U);
    EXPECT_EQ(must(crypto::public_octets({.algorithm = roots[0].key_algorithm(), .secret = Secret::copy_of(*octets)})), roots[0].public_key());
    EXPECT_EQ(roots[0].key_algorithm(), key_algorithm(suite_, branch));
    EXPECT_TRUE(roots[0].is_ca());
  }
  EXPECT_EQ(mode_of(offline()), 0700U);
}

TEST_P(CeremonyTest, NoPrivateKeyIsInClearInCassDatabase) {
  close_service();
  const std::string database = content(state() / "cas.db");
  for (const Branch branch : all_branches) {
    const auto root = from_hex(content(offline() / ("root-" + std::string(name(branch)) + ".key")));
    EXPECT_FALSE(database.contains(as_text(*root)));
  }
  const auto rng = must(crypto::open_rng());
  const auto device = must(crypto::open_software_device(plan().master_key, *rng));
  const auto records = must(Records::open(state() / "cas.db", *device));
  const Authorities authorities = must(records->authorities(suite_));
  for (const Branch branch : all_branches) {
    const Authority& authority = authorities.of(branch);
    EXPECT_EQ(must(crypto::public_octets(authority.key)), authority.certificate.public_key());
    EXPECT_FALSE(database.contains(as_text(authority.key.secret.reveal())));
  }
  EXPECT_FALSE(database.contains(as_text(proof_key_of(secret_of(kms_a)).reveal())));
}

TEST_P(CeremonyTest, OfTwoDevicesEitherOpensTheKeysAfterAStartWithBoth) {
  close_service();
  const auto rng = must(crypto::open_rng());
  const auto open_under = [&](const std::filesystem::path& first) {
    const crypto::PairSettings settings{.members = {crypto::PairMember{.device = {}, .file = first}, crypto::PairMember{.device = {}, .file = state() / "second.key"}},
                                        .retry_after = std::chrono::milliseconds(0)};
    const auto device = must(crypto::open_pair_device(settings, *rng));
    return must(Records::open(state() / "cas.db", *device))->authorities(suite_);
  };
  ASSERT_TRUE(open_under(plan().master_key)) << "the device that CAS had, and a second one";
  const auto without = open_under(state() / "put-in-its-place.key");
  ASSERT_TRUE(without) << without.error().message;
  for (const Branch branch : all_branches) EXPECT_EQ(must(crypto::public_octets(without->of(branch).key)), without->of(branch).certificate.public_key());
}

TEST_P(CeremonyTest, IsHeldOnce) {
  close_service();
  EXPECT_EQ(refusal(hold_ceremony(plan())), ErrorCode::conflict);
  std::filesystem::remove(state() / "cas.db");
  EXPECT_EQ(refusal(hold_ceremony(plan())), ErrorCode::conflict) << "the roots are still there";
}

TEST_P(CeremonyTest, CasShowsACertificateOfItsOwnThatItsNetworkTrustsAndKeepsIt) {
  const auto leaf = node_->credentials().tls->chain.front();
  EXPECT_EQ(leaf.names().element, cas_id);
  EXPECT_TRUE(node_->trust().verify(leaf, SystemClock().now_ms()));
  EXPECT_TRUE(node_->check_certificate(leaf, test::soon()));
  open_service();
  EXPECT_EQ(node_->credentials().tls->chain.front().der(), leaf.der());
}

TEST_P(CeremonyTest, CasReplacesItsOwnCertificateAndKeyWhenMostOfItsLifeIsOver) {
  close_service();
  std::filesystem::remove(state() / "credentials.db");
  const CasSettings short_lived{.element_lifetime = std::chrono::seconds(3), .terminal_lifetime = std::chrono::days(30), .status_lifetime = std::chrono::seconds(60)};
  open_service(short_lived);
  const auto first = node_->credentials().tls->chain.front();
  auto second = first;
  for (const Deadline until = test::soon(); second.der() == first.der() && !until.passed();) {
    open_service(short_lived);
    second = node_->credentials().tls->chain.front();
  }
  EXPECT_GE(SystemClock().now_ms(), node::renewal_due(first, 67, 0));
  EXPECT_NE(second.serial(), first.serial());
  EXPECT_NE(second.public_key(), first.public_key());
  EXPECT_TRUE(node_->check_certificate(second, test::soon()));
}

TEST_P(CeremonyTest, EveryCertificateHoldsUnderTheTrustFolder) {
  const Bundle bundle = must(enrol_kms(requester(kms_a), secret_of(kms_a)));
  for (const crypto::Certificate& leaf : {bundle.ml_dsa, bundle.classical}) {
    EXPECT_TRUE(node_->trust().verify(leaf, SystemClock().now_ms()));
    const crypto::Certificate* issuer = node_->trust().issuer_of(leaf);
    ASSERT_NE(issuer, nullptr);
    EXPECT_EQ(issuer->key_algorithm(), leaf.key_algorithm()) << "each leaf under the CA of its own kind";
  }
}

INSTANTIATE_TEST_SUITE_P(BothSuites, CeremonyTest, testing::Values(crypto::SuiteId::gm_hybrid, crypto::SuiteId::intl_hybrid),
                         [](const auto& instance) { return instance.param == crypto::SuiteId::gm_hybrid ? "Gm" : "Intl"; });

}  // namespace
}  // namespace qanat::cas
