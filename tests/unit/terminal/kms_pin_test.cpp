// The certificates of its KMS that a terminal keeps to, from renewal to renewal.
#include "terminal/kms_pin.hpp"

#include <gtest/gtest.h>

#include "small_network.hpp"

namespace qanat::terminal {
namespace {

class KmsPinTest : public ::testing::TestWithParam<crypto::SuiteId> {
 protected:
  static KmsCertificates certificates_of(const node::MessageSigner& signer) { return {.classical = signer.classical.der(), .ml_dsa = signer.ml_dsa.der()}; }
  wire::Succession link(const node::MessageSigner& former, const node::MessageSigner& next) {
    return wire::make_succession(network_.suite(), former.fps, next.classical.der(), next.ml_dsa.der(), former.signer, network_.rng()).value();
  }
  Result<KmsCertificates> follow_from(const node::MessageSigner& kept, const std::vector<wire::Succession>& links) {
    return follow(network_.suite(), certificates_of(kept), links);
  }
  test::SmallNetwork& network_ = test::network(GetParam());
  node::MessageSigner first_ = network_.signer(Kind::kms, "kms-a");
  node::MessageSigner second_ = network_.signer(Kind::kms, "kms-a");
  node::MessageSigner third_ = network_.signer(Kind::kms, "kms-a");
};

TEST_P(KmsPinTest, LinksLeadFromTheCertificatesThatAreKeptToTheLast) {
  EXPECT_EQ(follow_from(first_, {}).value(), certificates_of(first_));
  EXPECT_EQ(follow_from(first_, {link(first_, second_)}).value(), certificates_of(second_));
  EXPECT_EQ(follow_from(first_, {link(first_, second_), link(second_, third_)}).value(), certificates_of(third_));
  EXPECT_EQ(follow_from(second_, {link(second_, third_)}).value(), certificates_of(third_));
}

TEST_P(KmsPinTest, CertificateThatTheFormerKeysHaveNotSignedIsNotTaken) {
  // The same CA, the same name: all that a dishonest CA could do.
  EXPECT_FALSE(follow_from(first_, {link(second_, third_)}));
  EXPECT_FALSE(follow_from(first_, {link(first_, second_), link(first_, third_)})) << "the second must be signed by the second";
  wire::Succession forged = link(third_, second_);
  forged.former = first_.fps;
  const auto refused = follow_from(first_, {forged});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
  wire::Succession altered = link(first_, second_);
  altered.ml_dsa = third_.ml_dsa.der();
  EXPECT_FALSE(follow_from(first_, {altered}));
}

INSTANTIATE_TEST_SUITE_P(BothSuites, KmsPinTest, ::testing::ValuesIn(test::both_suites), test::suite_name);

}  // namespace
}  // namespace qanat::terminal
