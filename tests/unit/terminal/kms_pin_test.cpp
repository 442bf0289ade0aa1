// The certificates of its KMS that a terminal keeps to, from renewal to renewal.
#include "terminal/kms_pin.hpp"

#include <gtest/gtest.h>

#include "small_network.hpp"
#include "trusted_network.hpp"

namespace qanat::terminal {
namespace {

using qanat::test::must;

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

/// The pin itself: what it asks, what it takes, and what is kept for the next time.
class KmsPinKeptTest : public ::testing::Test {
 protected:
  KmsPinKeptTest() {
    must(store_->save_asked({.message = Bytes(3), .ephemeral = pair_.secret()}));
    must(store_->save_delivered(
        {.answer = Bytes(3), .encryption = pair_.secret(), .kms_classical = first_->classical.der(), .kms_ml_dsa = first_->ml_dsa.der()}));
  }
  std::shared_ptr<const node::MessageSigner> kms(const char* uri) { return network_.credentials(qanat::test::identity(uri)).messages; }
  void answer_with(const node::MessageSigner& next) {
    const auto link = must(wire::make_succession(network_.suite(), first_->fps, next.classical.der(), next.ml_dsa.der(), first_->signer, network_.rng()));
    answer_ = must(wire::encode_successions(network_.suite(), {&link, 1}));
  }
  Result<Bytes> fingerprint_of_checked() {
    ASSIGN_OR_RETURN(const auto sender, pin_.check(qanat::test::soon()));
    return sender->fps.pq;
  }
  Bytes kept() { return must(store_->delivered()).kms_ml_dsa; }

  qanat::test::TrustedNetwork network_;
  std::set<Bytes> revoked_;
  const std::unique_ptr<node::Node> node_ =
      network_.open_node(qanat::test::identity("qanat://a/app1/alice"), {}, [this](const crypto::Certificate& certificate, Deadline) -> Result<void> {
        if (revoked_.contains(certificate.serial())) return fail(ErrorCode::denied, "certificate of " + certificate.subject() + " is revoked");
        return {};
      });
  const std::unique_ptr<TerminalStore> store_ = must(TerminalStore::open(node_->settings().state / "terminal.db", node_->device()));
  const crypto::Decapsulator pair_ = must(crypto::Decapsulator::generate(network_.suite(), network_.rng()));
  const std::shared_ptr<const node::MessageSigner> first_ = kms("qanat://a/kms/kms-a");
  const std::shared_ptr<const node::MessageSigner> second_ = kms("qanat://a/kms/kms-a");
  node::SenderDirectory senders_{*node_};
  Bytes answer_ = must(wire::encode_successions(network_.suite(), {}));
  std::vector<std::string> asked_;
  KmsPin pin_{*node_,
              *store_,
              senders_,
              qanat::test::identity("qanat://a/kms/kms-a"),
              {.classical = first_->classical.der(), .ml_dsa = first_->ml_dsa.der()},
              [this](const std::string& query, Deadline) -> Result<Bytes> {
                asked_.push_back(query);
                return answer_;
              }};
};

TEST_F(KmsPinKeptTest, FromTheSecondTimeOnTheKmsIsAskedAndItsSuccessorKept) {
  EXPECT_EQ(must(fingerprint_of_checked()), first_->fps.pq);
  EXPECT_TRUE(asked_.empty());
  EXPECT_EQ(must(fingerprint_of_checked()), first_->fps.pq) << "it has no other certificates";
  EXPECT_EQ(asked_, std::vector<std::string>{"since=" + to_hex(first_->fps.pq)});
  answer_with(*second_);
  EXPECT_EQ(must(fingerprint_of_checked()), second_->fps.pq);
  EXPECT_EQ(kept(), second_->ml_dsa.der());
  EXPECT_EQ(pin_.query(), "kms=" + to_hex(second_->fps.pq));
}

TEST_F(KmsPinKeptTest, ASuccessorThatIsNotGoodIsNotKept) {
  must(fingerprint_of_checked());
  answer_with(*second_);
  revoked_ = {second_->classical.serial()};
  EXPECT_EQ(qanat::test::refusal(fingerprint_of_checked()), ErrorCode::denied);
  EXPECT_EQ(kept(), first_->ml_dsa.der());
  answer_with(*kms("qanat://a/kms/kms-b"));
  EXPECT_EQ(qanat::test::refusal(fingerprint_of_checked()), ErrorCode::denied) << "another KMS";
  EXPECT_EQ(kept(), first_->ml_dsa.der());
  answer_with(*second_);
  revoked_.clear();
  EXPECT_EQ(must(fingerprint_of_checked()), second_->fps.pq) << "and nothing else was wrong";
}

INSTANTIATE_TEST_SUITE_P(BothSuites, KmsPinTest, ::testing::ValuesIn(test::both_suites), test::suite_name);

}  // namespace
}  // namespace qanat::terminal
