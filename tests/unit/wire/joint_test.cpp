#include "wire/joint.hpp"

#include <gtest/gtest.h>

#include "crypto/kdf.hpp"
#include "unit/wire/answers.hpp"
#include "wire/token.hpp"

namespace qanat::wire {
namespace {

class JointTest : public testing::TestWithParam<std::size_t> {
 protected:
  const Answers a{GetParam()};
  std::unique_ptr<crypto::Rng> rng = must(crypto::open_rng());
  const Bytes block_ = a.signer("kms_a").sign(joint_tbs(a.derived("joint_root"), a.fps("kms_a")), *rng);

  Bytes leaf(std::size_t of) const { return joint_leaf(a.suite(), Bytes(5, static_cast<std::uint8_t>(of + 1))); }
  JointTree tree(std::size_t messages) const {
    std::vector<Bytes> leaves;
    for (std::size_t i = 0; i < messages; ++i) leaves.push_back(leaf(i));
    return {a.suite(), std::move(leaves)};
  }
  /// `name` of the script's deliveries with its path, signed together with the others.
  Bytes joint(const std::string& name) const {
    Bytes out = to_bytes(must(parse<KeyDeliver>(a.octets(name))).header_and_body());
    append(out, block_);
    append(out, a.derived("joint_path_" + name));
    return out;
  }
  /// The same with its octets changed.
  template <class Change>
  Result<void> verified(const std::string& name, const Change& change) const {
    Bytes octets = joint(name);
    change(octets);
    ASSIGN_OR_RETURN(const auto message, parse<KeyDeliver>(octets));
    return verify(message, a.verifier("kms_a"), a.fps("kms_a"));
  }
};
INSTANTIATE_TEST_SUITE_P(Suites, JointTest, testing::Range(std::size_t{0}, suite_count()),
                         [](const auto& info) { return info.param == 0 ? "GmHybrid" : "IntlHybrid"; });

TEST_P(JointTest, TheScriptsDeliveriesHoldEachByItself) {
  EXPECT_EQ(to_hex(crypto::digest(a.suite().hash, joint_tbs(a.derived("joint_root"), a.fps("kms_a")))), to_hex(a.derived("joint_tbs_digest")));
  for (const std::string name : {"deliver", "deliver_eph", "deliver_same_domain"}) {
    SCOPED_TRACE(name);
    const auto message = must(parse<KeyDeliver>(joint(name)));
    EXPECT_EQ(to_hex(message.hash), to_hex(crypto::digest(a.suite().hash, joint(name))));
    const Bytes tbs = to_be_signed(MessageType::key_deliver, message.header_and_body(), a.fps("kms_a"));
    EXPECT_EQ(to_hex(joint_root(a.suite(), joint_leaf(a.suite(), tbs), message.joint_path())), to_hex(a.derived("joint_root")));
    const auto held = verify(message, a.verifier("kms_a"), a.fps("kms_a"));
    EXPECT_TRUE(held) << held.error().message;
    EXPECT_FALSE(verify(message, a.verifier("kms_b"), a.fps("kms_a")));
    EXPECT_FALSE(verify(message, a.verifier("kms_a"), a.fps("kms_b")));
  }
}

TEST_P(JointTest, OurTreeIsTheScripts) {
  std::vector<Bytes> leaves;
  for (const std::string name : {"deliver", "deliver_eph", "deliver_same_domain"}) {
    const auto message = must(parse<KeyDeliver>(a.octets(name)));
    leaves.push_back(joint_leaf(a.suite(), to_be_signed(MessageType::key_deliver, message.header_and_body(), a.fps("kms_a"))));
  }
  const JointTree made(a.suite(), leaves);
  EXPECT_EQ(to_hex(made.signed_root()), to_hex(a.derived("joint_root")));
  EXPECT_EQ(to_hex(made.path(1)), to_hex(a.derived("joint_path_deliver_eph")));
}

TEST_P(JointTest, EveryLeafLeadsToTheRootAndNoOtherDoes) {
  for (const std::size_t messages : std::initializer_list<std::size_t>{2, 3, 4, 5, 8, 33, 64}) {
    SCOPED_TRACE(messages);
    const JointTree made = tree(messages);
    for (std::size_t place = 0; place < messages; ++place) {
      const Bytes path = made.path(place);
      ASSERT_TRUE(check_joint_path(a.suite(), path));
      EXPECT_EQ(joint_root(a.suite(), leaf(place), path), made.signed_root());
      EXPECT_NE(joint_root(a.suite(), leaf((place + 1) % messages), path), made.signed_root());
    }
  }
  EXPECT_NE(tree(3).signed_root(), tree(4).signed_root());
}

TEST_P(JointTest, AnInnerNodePassesForNoLeaf) {
  const JointTree made = tree(4);
  // The node over the first two, one step nearer to the root.
  const Bytes node = crypto::digest(a.suite().hash, {Bytes{1}, leaf(0), leaf(1)});
  Bytes shorter{0, 1};
  append(shorter, ByteView(made.path(0)).last(a.suite().digest));
  ASSERT_EQ(made.path(0).size(), 2 + 2 * a.suite().digest);
  EXPECT_NE(joint_root(a.suite(), node, shorter), made.signed_root()) << "the depth is signed";
  // What is hashed to a node, shown as a message.
  Bytes both = leaf(0);
  append(both, leaf(1));
  EXPECT_NE(joint_leaf(a.suite(), both), node);
}

TEST_P(JointTest, APathOfAnotherFormIsRefused) {
  const std::size_t digest = a.suite().digest;
  const auto path = [&](std::uint8_t place, std::uint8_t depth, std::size_t octets) {
    Bytes out{place, depth};
    out.resize(2 + octets);
    return check_joint_path(a.suite(), out);
  };
  EXPECT_TRUE(path(0, 1, digest));
  EXPECT_TRUE(path(63, 6, 6 * digest));
  EXPECT_FALSE(check_joint_path(a.suite(), Bytes{0}));
  EXPECT_FALSE(path(0, 0, 0));
  EXPECT_FALSE(path(0, 7, 7 * digest));
  EXPECT_FALSE(path(2, 1, digest)) << "no such place at this depth";
  EXPECT_FALSE(path(0, 1, digest - 1));
  EXPECT_FALSE(path(0, 1, digest + 1));
  EXPECT_FALSE(path(0, 255, 255 * digest));
}

TEST_P(JointTest, AnyChangedOctetIsRefused) {
  const std::string name = "deliver_same_domain";
  EXPECT_TRUE(verified(name, [](Bytes&) {}));
  const std::size_t path_at = must(parse<KeyDeliver>(a.octets("deliver_same_domain"))).octets.size();
  const std::size_t size = joint(name).size();
  ASSERT_EQ(size, path_at + 2 + 2 * a.suite().digest);
  std::size_t at = 0;
  const auto refused = [&] { EXPECT_FALSE(verified(name, [&](Bytes& octets) { octets[at] ^= 0x01; })) << "octet " << at; };
  for (at = 0; at < path_at; at += 97) refused();
  for (at = path_at; at < size; ++at) refused();
  EXPECT_FALSE(verified(name, [&](Bytes& octets) { octets.resize(path_at); })) << "the path taken away";
  EXPECT_FALSE(verified(name, [&](Bytes& octets) { octets.push_back(0); }));
}

TEST_P(JointTest, OneOfADeliverysOwnSignaturesIsNoneOverSeveral) {
  Bytes octets = a.octets("deliver");
  append(octets, a.derived("joint_path_deliver"));
  const auto mixed = must(parse<KeyDeliver>(octets));
  EXPECT_FALSE(verify(mixed, a.verifier("kms_a"), a.fps("kms_a")));
}

TEST_P(JointTest, NoOtherMessageMayBringAPath) {
  const Bytes path = a.derived("joint_path_deliver");
  const auto with_path = [&](const std::string& name) {
    Bytes out = a.octets(name);
    append(out, path);
    return out;
  };
  EXPECT_FALSE(parse<KeyRequest>(with_path("key_request")));
  EXPECT_FALSE(parse<DeliverAck>(with_path("deliver_ack")));
  EXPECT_FALSE(parse<Token>(with_path("token")));
  EXPECT_FALSE(parse<KmsAccept>(with_path("kms_accept_1")));
}

}  // namespace
}  // namespace qanat::wire
