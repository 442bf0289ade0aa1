// During a stream of relays the leading controller dies, or both separate paths at once: what can go on goes on, what cannot is refused in its time and says
// why, and the keys of every element are in order afterwards.
#include <iostream>
#include <thread>

#include "key_ledger_check.hpp"
#include "key_stream.hpp"

namespace qanat::test {
namespace {

using app::RunningNetwork;

/// Two controllers, of which one leads; how keys are relayed is the suite's.
class StreamFailure : public SharedNetwork {
 protected:
  static constexpr std::size_t beyond_pools = 48;  // keys: more than the pools hold, so that some are relayed anew
  static constexpr std::chrono::seconds succession_max{30};

  static void set_up() {
    options_.controllers = 2;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B"}) net().enrol(uid);
    net().await_quantum_keys();
  }

  static bool leads(const std::string& controller) {
    const auto health = net().op().health(controller);
    return health && health->boolean("leads").value_or(false);
  }
  static std::string await_leader() {
    std::string leader;
    TestNetwork::await(
        "a leader",
        [&] {
          for (const char* name : {"qkdnc", "qkdnc-2"}) {
            if (leads(name)) leader = name;
          }
          return !leader.empty();
        },
        succession_max);
    return leader;
  }
  /// Kills them while a request for keys is under way.
  void kill_during_the_stream(const std::vector<std::string>& elements) {
    std::thread death([&] {
      for (const std::string& element : elements) net().running().stop_element(element, RunningNetwork::Ending::kill);
    });
    keys_.until("an answer while something dies", [](const auto&) { return true; });
    death.join();
  }
  static void expect_calls_and_order() {
    const auto pair = net().apply("A", "B");
    EXPECT_TRUE(pair.agree()) << pair.reasons();
    expect_keys_in_order(net());
  }

  void survive_the_leaders_death() {
    keys_.until_more("keys under the leader", 3 * KeyStream::together);
    const std::string leader = await_leader();
    ASSERT_FALSE(leader.empty());
    const std::string other = leader == "qkdnc" ? "qkdnc-2" : "qkdnc";
    kill_during_the_stream({leader});
    keys_.until_more("keys while nobody leads, and after", beyond_pools);
    TestNetwork::await("the other controller leads", [&] { return leads(other); }, succession_max);
    // A QKM that starts anew knows no routes but those that the other controller gives.
    net().running().stop_element("qkm-a", RunningNetwork::Ending::orderly);
    ASSERT_TRUE(net().running().start_element("qkm-a"));
    keys_.until_more("keys under the other controller", beyond_pools);
    std::cout << "  death of " << leader << ": " << keys_.keys() << " keys, each once at both ends, " << keys_.refusals() << " refusals in time\n";
    ASSERT_TRUE(net().running().start_element(leader));
    keys_.until_more("keys with both again", KeyStream::together);
    TestNetwork::await("one leader and no more", [&] { return leads(leader) != leads(other); }, succession_max);
    expect_calls_and_order();
  }

  KeyStream keys_{net()};
};

class StreamOverTwoPaths : public StreamFailure {
 protected:
  static void SetUpTestSuite() {
    options_.paths = 2;
    set_up();
  }
};

TEST_F(StreamOverTwoPaths, GoesOnUnderTheOtherControllerWhenTheLeaderIsKilled) { survive_the_leaders_death(); }

TEST_F(StreamOverTwoPaths, IsRefusedInTimeWhileBothPathsAreCutAndGoesOnWhenTheyAreMended) {
  keys_.until_more("keys over both paths", 3 * KeyStream::together);
  const std::vector<std::string> relays{"qkm-r", "qkm-r2"};
  kill_during_the_stream(relays);
  keys_.until("the end of the keys in stock", [](const auto& keys) { return keys.empty(); });
  const std::size_t at_the_end = keys_.keys();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(keys_.take().empty()) << "a key over no path";
  EXPECT_GE(keys_.refusals(), 4U);
  EXPECT_EQ(keys_.keys(), at_the_end);
  std::cout << "  both paths cut after " << at_the_end << " keys; refused: " << keys_.last_refusal() << "\n";
  net().expect_audit("qkm-a", "km-3.take", keys_.last_refusal());
  for (const std::string& relay : relays) {
    const auto restarted = net().running().start_element(relay);
    ASSERT_TRUE(restarted) << restarted.error().message;
  }
  keys_.until_more("keys over the mended paths", beyond_pools);
  expect_calls_and_order();
}

class CentralisedStream : public StreamFailure {
 protected:
  static void SetUpTestSuite() {
    options_.relay = "centralised";
    set_up();
  }
};

// Here the leader is part of each relay, so that some are under way in it when it dies.
TEST_F(CentralisedStream, GoesOnUnderTheOtherControllerWhenTheLeaderIsKilled) { survive_the_leaders_death(); }

}  // namespace
}  // namespace qanat::test
