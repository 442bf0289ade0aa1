// Roots and issuing CAs that come and go while an element runs.
#include "node/trust_folder.hpp"

#include "trusted_network.hpp"

namespace qanat::node {
namespace {

namespace fs = std::filesystem;

class TrustFolderTest : public testing::Test {
 protected:
  static crypto::Certificate leaf_of(test::TrustedNetwork& network) { return network.credentials(test::identity("qanat://a/kms/kms-a")).tls->chain.front(); }
  [[nodiscard]] bool trusted(const crypto::Certificate& leaf) const { return trust_->verify(leaf, SystemClock().now_ms()).has_value(); }
  /// Whether that becomes so: a folder is looked at again after a while only.
  [[nodiscard]] bool becomes(bool wanted, const crypto::Certificate& leaf) const {
    const Deadline deadline = test::soon();
    while (trusted(leaf) != wanted && !deadline.passed()) std::this_thread::yield();
    return trusted(leaf) == wanted;
  }
  /// The files of the other network under names of their own.
  void bring(const std::string& kind) const {
    for (const auto& entry : fs::directory_iterator(other_.trust())) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(kind)) fs::copy_file(entry.path(), own_.trust() / (kind + "other-" + name), fs::copy_options::overwrite_existing);
    }
  }

  test::TrustedNetwork own_;
  test::TrustedNetwork other_;
  std::shared_ptr<const crypto::TrustStore> trust_ = test::must(read_trust(own_.trust()));
  crypto::Certificate own_leaf_ = leaf_of(own_);
  crypto::Certificate other_leaf_ = leaf_of(other_);
};

TEST_F(TrustFolderTest, WhatIsPutThereIsTrustedWithoutARestartAndWhatIsTakenAwayNoMore) {
  const crypto::Certificate* issuer = trust_->issuer_of(own_leaf_);
  ASSERT_NE(issuer, nullptr);
  EXPECT_TRUE(trusted(own_leaf_));
  EXPECT_FALSE(trusted(other_leaf_));
  bring("issuing-");
  EXPECT_TRUE(trusted(own_leaf_));
  EXPECT_FALSE(trusted(other_leaf_)) << "without its root";
  bring("root-");
  EXPECT_TRUE(becomes(true, other_leaf_));
  EXPECT_TRUE(trusted(own_leaf_));
  for (const auto& entry : fs::directory_iterator(own_.trust())) {
    if (entry.path().filename().string().starts_with("root-other-")) fs::remove(entry.path());
  }
  EXPECT_TRUE(becomes(false, other_leaf_));
  EXPECT_TRUE(trusted(own_leaf_));
  EXPECT_EQ(issuer->names(), trust_->issuer_of(own_leaf_)->names()) << "what was given out before still lives";
}

TEST_F(TrustFolderTest, AFileThatIsHalfWrittenLeavesInForceWhatWasAndIsTakenWhenItIsWhole) {
  bring("root-");
  bring("issuing-");
  const fs::path half = own_.trust() / "issuing-half.pem";
  std::ofstream(half) << "-----BEGIN CERTIFICATE-----\nMIIB";
  const Deadline deadline = Deadline::after(TrustFolder::pause * 3);
  while (!deadline.passed()) {
    ASSERT_TRUE(trusted(own_leaf_));
    ASSERT_FALSE(trusted(other_leaf_)) << "a folder is taken whole or not at all";
  }
  std::ofstream(half) << trust_->issuer_of(own_leaf_)->pem();
  EXPECT_TRUE(becomes(true, other_leaf_));
}

TEST_F(TrustFolderTest, WhatCouldNotBeReadIsReadAgainAlsoWhereItLooksTheSame) {
  const std::string pem = other_.issuing(false).pem();
  const fs::path file = own_.trust() / "issuing-other.pem";
  std::ofstream(file) << std::string(pem.size(), '-');
  const auto written = fs::last_write_time(file);
  bring("root-");
  const Deadline deadline = Deadline::after(TrustFolder::pause * 3);
  while (!deadline.passed()) ASSERT_TRUE(trusted(own_leaf_));
  const fs::path aside = own_.trust() / "aside";
  std::ofstream(aside) << pem;
  fs::last_write_time(aside, written);
  fs::rename(aside, file);
  EXPECT_TRUE(becomes(true, other_leaf_));
}

TEST_F(TrustFolderTest, AFolderThatIsGoneOrHasNoRootLeavesInForceWhatWas) {
  const fs::path aside = own_.trust().string() + ".aside";
  fs::rename(own_.trust(), aside);
  const Deadline deadline = Deadline::after(TrustFolder::pause * 2);
  while (!deadline.passed()) ASSERT_TRUE(trusted(own_leaf_));
  EXPECT_EQ(test::refusal(read_trust(own_.trust())), ErrorCode::not_found);
  fs::create_directories(own_.trust());
  EXPECT_EQ(test::refusal(read_trust(own_.trust())), ErrorCode::not_found) << "no root";
  fs::remove(own_.trust());
  fs::rename(aside, own_.trust());
  bring("root-");
  bring("issuing-");
  EXPECT_TRUE(becomes(true, other_leaf_));
}

}  // namespace
}  // namespace qanat::node
