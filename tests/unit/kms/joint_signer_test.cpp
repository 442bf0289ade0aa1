#include "services/kms/kma/joint_signer.hpp"

#include <gtest/gtest.h>

#include <latch>
#include <set>
#include <thread>

#include "trusted_network.hpp"

namespace qanat::kms {
namespace {

using test::must;

class JointSignerTest : public testing::Test {
 protected:
  static constexpr std::chrono::minutes long_patience{1};
  using Delivery = wire::Framed<wire::KeyDeliver>;

  Delivery framed(const node::MessageSigner& own) {
    const crypto::Suite& suite = network_.suite();
    const wire::KeyDeliver message{.h_req = Bytes(suite.digest),
                                   .sid_wk = network_.rng().id<SidWk>(),
                                   .sid_call = {},
                                   .uid = Uid("A"),
                                   .kms_id = ElementName("kms-a"),
                                   .nonce = network_.rng().bytes(wire::nonce_size),
                                   .ts_ms = 1,
                                   .expiry_ms = 2,
                                   .flags = 0,
                                   .enc_kid = Bytes(suite.digest),
                                   .ct_classical = Bytes(suite.classical_ct),
                                   .ct_ml_kem = Bytes(suite.ml_kem_ct),
                                   .eph_ct_classical = {},
                                   .eph_ct_ml_kem = {},
                                   .sealed = Bytes(16),
                                   .fps = own.fps};
    return must(wire::frame(suite, 1, message));
  }
  std::shared_ptr<const node::MessageSigner> kms() { return network_.credentials(test::identity("qanat://a/kms/kms-a")).messages; }
  /// As the terminal reads it.
  Result<Delivery> received(const Delivery& made, const node::MessageSigner& by) {
    ASSIGN_OR_RETURN(Delivery out, wire::parse<wire::KeyDeliver>(made.octets));
    EXPECT_EQ(out.hash, made.hash);
    TRY(wire::verify(out, must(crypto::Verifier::from_key(network_.suite(), by.signer.verifying_key())), by.fps));
    return Result<Delivery>(std::move(out));
  }
  /// So many at a time, all on their way before the first is ready; each is then found good. Their paths.
  std::vector<Bytes> together(JointSigner& signer, const std::vector<std::shared_ptr<const node::MessageSigner>>& by) {
    std::vector<Delivery> made;
    for (const auto& own : by) made.push_back(framed(*own));
    std::latch all_coming(static_cast<std::ptrdiff_t>(by.size()));
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < by.size(); ++i) {
        threads.emplace_back([&, i] {
          JointSigner::Coming coming(signer);
          all_coming.arrive_and_wait();
          EXPECT_TRUE(signer.sign(coming, made[i], by[i], network_.rng()));
        });
      }
    }
    std::vector<Bytes> paths;
    for (std::size_t i = 0; i < by.size(); ++i) {
      const auto good = received(made[i], *by[i]);
      EXPECT_TRUE(good) << i << ": " << (good ? "" : good.error().message);
      if (good) paths.push_back(to_bytes(good->joint_path()));
    }
    return paths;
  }

  test::TrustedNetwork network_;
  const std::shared_ptr<const node::MessageSigner> own_ = kms();
};

TEST_F(JointSignerTest, WhoIsAloneGetsAnOrdinarySignature) {
  JointSigner signer(network_.suite(), wire::joint_messages_max);
  EXPECT_EQ(together(signer, {own_}), std::vector<Bytes>{Bytes{}});
}

TEST_F(JointSignerTest, WhoeverIsOnTheWaySharesOne) {
  JointSigner signer(network_.suite(), wire::joint_messages_max, long_patience);
  for (const std::size_t deliveries : std::initializer_list<std::size_t>{2, 3, 8}) {
    const std::vector<Bytes> paths = together(signer, std::vector(deliveries, own_));
    ASSERT_EQ(paths.size(), deliveries);
    std::set<int> places;
    for (const Bytes& path : paths) places.insert(path.empty() ? -1 : path[0]);
    EXPECT_EQ(places.size(), deliveries);
    EXPECT_FALSE(places.contains(-1));
  }
}

TEST_F(JointSignerTest, NoMoreThanSoManyShareOne) {
  JointSigner signer(network_.suite(), 2, long_patience);
  std::size_t alone = 0;
  for (const Bytes& path : together(signer, std::vector(7, own_))) {
    if (path.empty()) {
      ++alone;
    } else {
      EXPECT_EQ(path[1], 1) << "two at depth 1";
    }
  }
  EXPECT_EQ(alone, 1U);
  JointSigner each(network_.suite(), 1, long_patience);
  for (const Bytes& path : together(each, std::vector(3, own_))) EXPECT_TRUE(path.empty());
}

TEST_F(JointSignerTest, DeliveriesOfTwoSignersShareNone) {
  JointSigner signer(network_.suite(), wire::joint_messages_max);
  const auto next = kms();  // after a renewal, while some still work with the former
  EXPECT_EQ(together(signer, {own_, next, own_, next}).size(), 4U);
}

TEST_F(JointSignerTest, OneThatDoesNotComeAfterAllKeepsNobodyWaiting) {
  JointSigner patient(network_.suite(), wire::joint_messages_max, long_patience);
  {
    const JointSigner::Coming refused(patient);
  }
  EXPECT_EQ(together(patient, {own_}), std::vector<Bytes>{Bytes{}});
  JointSigner usual(network_.suite(), wire::joint_messages_max);
  const JointSigner::Coming still_coming(usual);
  EXPECT_EQ(together(usual, {own_}), std::vector<Bytes>{Bytes{}});
}

}  // namespace
}  // namespace qanat::kms
