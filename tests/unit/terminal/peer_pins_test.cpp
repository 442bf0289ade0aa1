// What a peer shows, against what it showed at the last call.
#include "terminal/peer_pins.hpp"

#include "crypto/certificate_bundle.hpp"
#include "trusted_network.hpp"

namespace qanat::terminal {
namespace {

using qanat::test::must;

class PeerPinsTest : public testing::Test {
 protected:
  std::shared_ptr<const node::Sender> sender(std::string_view uid) {
    const node::Credentials credentials = network_.credentials(Identity{.domain = "a", .kind = Kind::app1, .name = std::string(uid)}, Number("+8613800000002"));
    const node::MessageSigner& signer = *credentials.messages;
    return std::make_shared<const node::Sender>(node::Sender{.classical = signer.classical,
                                                             .ml_dsa = signer.ml_dsa,
                                                             .fps = signer.fps,
                                                             .verifier = must(crypto::Verifier::from_key(network_.suite(), signer.signer.verifying_key()))});
  }
  /// A call with who shows these certificates.
  PeerPin call(const std::shared_ptr<const node::Sender>& shown) {
    PeerPins pins(
        *store_, clock_, [&](ByteView, ByteView) { return Result<std::shared_ptr<const node::Sender>>(shown); },
        [&](const Uid& peer, const TerminalStore::PeerSeen&) { alarms_.push_back(peer.text()); });
    EXPECT_TRUE(pins.check()({}, {}));
    return must(pins.keep());
  }
  class SetClock final : public Clock {
   public:
    [[nodiscard]] UnixMs now_ms() const noexcept override { return now; }
    UnixMs now = SystemClock().now_ms();
  };

  qanat::test::TrustedNetwork network_;
  SetClock clock_;
  const std::unique_ptr<node::Node> node_ = network_.open_node(Identity{.domain = "a", .kind = Kind::app1, .name = "alice"}, {});
  const std::unique_ptr<TerminalStore> store_ = must(TerminalStore::open(node_->settings().state / "terminal.db", node_->device()));
  std::vector<std::string> alarms_;
};

TEST_F(PeerPinsTest, OtherCertificatesBeforeTheirTimeAreAnAlarm) {
  const auto bob = sender("bob");
  EXPECT_EQ(call(bob), PeerPin::first);
  EXPECT_EQ(call(bob), PeerPin::same);
  EXPECT_TRUE(alarms_.empty());
  // Those of the test's network hold for two days, the first of which is over: this moment is just before the middle.
  clock_.now = bob->ml_dsa.not_before() + 1;
  const auto other = sender("bob");
  EXPECT_EQ(call(other), PeerPin::changed);
  EXPECT_EQ(alarms_, std::vector<std::string>{"bob"});
  EXPECT_EQ(call(other), PeerPin::same) << "the user was told once";
}

TEST_F(PeerPinsTest, OtherCertificatesWhenTheOldAreDueAreARenewal) {
  const auto bob = sender("bob");
  EXPECT_EQ(call(bob), PeerPin::first);
  clock_.now = bob->ml_dsa.not_after() - 1;
  EXPECT_EQ(call(sender("bob")), PeerPin::renewed);
  EXPECT_TRUE(alarms_.empty());
}

TEST_F(PeerPinsTest, SubscribersAreToldApart) {
  EXPECT_EQ(call(sender("bob")), PeerPin::first);
  EXPECT_EQ(call(sender("carol")), PeerPin::first);
}

TEST_F(PeerPinsTest, ACallThatWasNotHeldLeavesNothing) {
  const auto bob = sender("bob");
  {
    PeerPins pins(
        *store_, clock_, [&](ByteView, ByteView) { return Result<std::shared_ptr<const node::Sender>>(bob); },
        [](const Uid&, const TerminalStore::PeerSeen&) {});
    EXPECT_TRUE(pins.check()({}, {}));
  }
  EXPECT_FALSE(must(store_->peer_seen(Uid("bob"))));
  PeerPins untouched(
      *store_, clock_, [](ByteView, ByteView) -> Result<std::shared_ptr<const node::Sender>> { return fail(ErrorCode::denied, "revoked"); },
      [](const Uid&, const TerminalStore::PeerSeen&) {});
  EXPECT_FALSE(untouched.check()({}, {}));
  EXPECT_EQ(must(untouched.keep()), PeerPin::unseen);
}

}  // namespace
}  // namespace qanat::terminal
