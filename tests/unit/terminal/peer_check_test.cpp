// Whom a peer's certificates must name: the subscriber, the number and the KMS that the working key was delivered for.
#include "terminal/peer_check.hpp"

#include "trusted_network.hpp"

namespace qanat::terminal {
namespace {

using qanat::test::must;

class PeerCheckTest : public testing::Test {
 protected:
  node::Sender sender(std::optional<ElementName> home_kms) {
    const crypto::SubjectNames names{.common_name = "bob",
                                     .element = Identity::parse_uri("qanat://b/app1/bob").value(),
                                     .number = Number("+8613900000002"),
                                     .dns = {},
                                     .home_kms = std::move(home_kms)};
    const crypto::Signer signer = must(crypto::Signer::generate(network_.suite(), network_.rng()));
    const crypto::EncapsulationKey encryption = must(crypto::Decapsulator::generate(network_.suite(), network_.rng())).encapsulation_key();
    const crypto::CertificateBundle bundle = network_.bundle(names, signer.verifying_key(), encryption);
    return {.classical = bundle.classical_signing,
            .ml_dsa = bundle.ml_dsa_signing,
            .fps = wire::fingerprints(network_.suite(), bundle.classical_signing.der(), bundle.ml_dsa_signing.der()),
            .verifier = must(crypto::Verifier::from_key(network_.suite(), signer.verifying_key()))};
  }
  qanat::test::TrustedNetwork network_;
  const Uid bob_{"bob"};
  const Number number_{"+8613900000002"};
  const ElementName kms_b_{"kms-b"};
};

TEST_F(PeerCheckTest, SubscriberNumberAndHomeKmsAreThoseOfTheWorkingKey) {
  const node::Sender good = sender(kms_b_);
  const auto taken = names_subscriber(good, bob_, number_, kms_b_);
  EXPECT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(names_subscriber(good, Uid("eve"), number_, kms_b_).error().code, ErrorCode::denied);
  EXPECT_EQ(names_subscriber(good, bob_, Number("+8613900000003"), kms_b_).error().code, ErrorCode::denied);
  const auto elsewhere = names_subscriber(good, bob_, number_, ElementName("kms-evil"));
  ASSERT_FALSE(elsewhere) << "a key that was agreed with another KMS than the subscriber's";
  EXPECT_NE(elsewhere.error().message.find("is served by kms-b"), std::string::npos) << elsewhere.error().message;
}

TEST_F(PeerCheckTest, ACertificateThatNamesNoHomeKmsSaysNothingAboutIt) { EXPECT_TRUE(names_subscriber(sender(std::nullopt), bob_, number_, kms_b_)); }

}  // namespace
}  // namespace qanat::terminal
