// A trusted relay is killed during a stream of relays over two paths: keys go on over the other, nothing is used twice, and how long it took is
// printed.
#include <atomic>
#include <iostream>
#include <set>
#include <thread>

#include "crypto/kdf.hpp"
#include "crypto/site_key.hpp"
#include "key_ledger_check.hpp"

namespace qanat::test {
namespace {

using app::RunningNetwork;

class RelayFailure : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.paths = 2;
    SharedNetwork::SetUpTestSuite();
  }

  /// One quantum key for domain b, by id; nothing if the QKM has none in time.
  static std::optional<std::string> take_one() {
    const auto answer = net().call_json("kms-a", points::Endpoint::km3_take, "qkm-a",
                                        wire::Json::object({{"peer_domain", "b"}, {"sid_wk", to_hex(net().rng().bytes(16))}, {"count", 1}, {"kms", "kms-a"}}));
    if (!answer || answer->status != 200) return std::nullopt;
    const auto json = wire::Json::parse(answer->body);
    const auto keys = json ? json->array("keys") : Result<std::vector<wire::Json>>(fail(json.error()));
    if (!keys || keys->size() != 1) return std::nullopt;
    return keys->front().text("key_id").value();
  }
  static bool fetch_one(const std::string& id) {
    wire::Json ids = wire::Json::array();
    ids.push(id);
    const auto answer = net().call_json("kms-b", points::Endpoint::km3_fetch, "qkm-b",
                                        wire::Json::object({{"peer_domain", "a"}, {"key_ids", ids}, {"sid_wk", to_hex(net().rng().bytes(16))}}));
    return answer && answer->status == 200;
  }
};

TEST_F(RelayFailure, AKilledRelayStopsNoStreamOfKeysWhileTheOtherPathLives) {
  net().await_quantum_keys();
  using clock = std::chrono::steady_clock;
  std::set<std::string> ids;
  clock::duration longest_gap{};
  clock::time_point last_key = clock::now();
  const auto take_until = [&](std::size_t count) {
    TestNetwork::await(
        "keys",
        [&] {
          const auto id = take_one();
          if (!id) return false;
          EXPECT_TRUE(ids.insert(*id).second) << "a key came twice";
          longest_gap = std::max(longest_gap, clock::now() - last_key);
          last_key = clock::now();
          EXPECT_TRUE(fetch_one(*id)) << "a key that the near end was given is not at the far end";
          return ids.size() >= count;
        },
        std::chrono::seconds(60));
  };
  take_until(20);
  for (const char* relay : {"qkm-r", "qkm-r2"}) {
    longest_gap = {};
    last_key = clock::now();
    net().running().stop_element(relay, RunningNetwork::Ending::kill);
    // More than the pools can hold, so that relays must go the other way.
    take_until(ids.size() + 40);
    std::cout << "  40 keys one by one after the death of " << relay << ": the longest wait for one was "
              << std::chrono::duration_cast<std::chrono::milliseconds>(longest_gap).count() << " ms\n";
    const auto restarted = net().running().start_element(relay);
    ASSERT_TRUE(restarted) << restarted.error().message;
    take_until(ids.size() + 5);
  }
  // A call, so that the KMSs have something on record too.
  for (const char* uid : {"A", "B"}) net().enrol(uid);
  const auto pair = net().apply("A", "B");
  EXPECT_TRUE(pair.agree()) << pair.reasons();
  expect_each_key_used_once(net());
}

}  // namespace
}  // namespace qanat::test
