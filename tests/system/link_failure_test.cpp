// A QKD link dies during a stream of relays: one of its processes by kill -9, or its classical channel. Its keys run out; from then on keys go
// the other way, or are refused in time. Nothing is used twice, both ends of every link and every relay agree.
#include <fstream>
#include <iostream>
#include <iterator>

#include "cuttable_wire.hpp"
#include "key_ledger_check.hpp"
#include "key_stream.hpp"
#include "quantum/qkm/relay_message.hpp"

namespace qanat::test {
namespace {

using app::RunningNetwork;
using points::Endpoint;
using wire::Json;

class LinkFailure : public SharedNetwork {
 protected:
  static constexpr std::int64_t together = KeyStream::together;
  static constexpr std::chrono::seconds patience = KeyStream::patience_default;

  static void SetUpTestSuite() {
    options_.paths = 2;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    // A small stock at most, so that it runs out while a test waits.
    for (const char* qkm : {"qkm-a", "qkm-r", "qkm-r2", "qkm-b"}) {
      net().running().stop_element(qkm, RunningNetwork::Ending::orderly);
      edit(qkm, "[qkm]\n", "[qkm]\nkeys_max = 1024\n");
      ASSERT_TRUE(net().running().start_element(qkm));
    }
    for (const char* uid : {"A", "B"}) net().enrol(uid);
    net().await_quantum_keys();
  }

  static void edit(const std::string& element, const std::string& from, const std::string& to) {
    const std::filesystem::path file = net().network().config_of(element);
    std::ifstream in(file);
    std::string text(std::istreambuf_iterator<char>(in), {});
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << file << " has no " << from;
    text.replace(at, from.size(), to);
    std::ofstream(file, std::ios::trunc) << text;
  }

  /// What qkm-a may still send over a link.
  static std::int64_t stock_of(const std::string& link) {
    const auto answer = net().call("operator", Endpoint::x6_health, "qkm-a", {});
    const auto body = answer ? Json::parse(answer->body) : Result<Json>(fail(answer.error()));
    const auto links = body ? body->array("links") : Result<std::vector<Json>>(fail(body.error()));
    if (!links) return -1;
    for (const Json& one : *links) {
      if (one.text("link").value() == link) return one.integer("own_keys").value();
    }
    return -1;
  }

  static std::string path_over(const char* relay) { return qkm::path_id_of(std::vector{ElementName("qkm-a"), ElementName(relay), ElementName("qkm-b")}).hex(); }
  /// `fail_link` stops the link a-r from making keys. Keys must flow until it has none left, then go over qkm-r2.
  void runs_dry_and_goes_round(const std::string& what, const std::function<void()>& fail_link) {
    keys_.until("keys over both", [&](const auto&) { return keys_.keys() >= 3 * together; });
    fail_link();
    keys_.until("the end of the link's keys, " + what, [](const auto&) { return stock_of("a-r") < together + 1; });
    std::size_t round = 0;
    keys_.until("keys the other way, " + what, [&](const std::vector<KeyStream::Key>& keys) {
      for (const KeyStream::Key& key : keys) round += key.path_id == path_over("qkm-r2") ? 1 : 0;
      return round >= 2 * together;
    });
    std::cout << "  " << what << ": " << keys_.keys() << " keys, each once at both ends, " << keys_.refusals() << " refusals in time\n";
  }
  void comes_back(const std::string& what) {
    const std::int64_t before = stock_of("a-r");
    TestNetwork::await(
        "new keys of the link after " + what, [&] { return stock_of("a-r") > before; }, patience);
    const auto pair = net().apply("A", "B");
    EXPECT_TRUE(pair.agree()) << pair.reasons();
    expect_keys_in_order(net());
  }
  KeyStream keys_{net()};
};

TEST_F(LinkFailure, AKilledQkdProcessLeavesItsLinkToRunDryAndKeysGoTheOtherWay) {
  for (const char* end : {"qkd-ar-alice", "qkd-ar-bob"}) {
    runs_dry_and_goes_round(std::string(end) + " killed", [&] { net().running().stop_element(end, RunningNetwork::Ending::kill); });
    const auto again = net().running().start_element(end);
    ASSERT_TRUE(again) << again.error().message;
    comes_back(std::string(end) + " killed");
  }
}

TEST_F(LinkFailure, ACutClassicalChannelLeavesItsLinkToRunDryAndComesBackWhenMended) {
  const auto port = [](const char* name) { return (*net().network().element(name))->port; };
  CuttableWire to_bob(port("qkd-ar-bob"));
  CuttableWire to_alice(port("qkd-ar-alice"));
  ASSERT_NE(to_bob.port(), 0);
  ASSERT_NE(to_alice.port(), 0);
  const auto lead_over = [&](const char* end, std::uint16_t from, std::uint16_t to) {
    net().running().stop_element(end, RunningNetwork::Ending::orderly);
    edit(end, "port = " + std::to_string(from) + "\n", "port = " + std::to_string(to) + "\n");
    ASSERT_TRUE(net().running().start_element(end));
  };
  lead_over("qkd-ar-alice", port("qkd-ar-bob"), to_bob.port());
  lead_over("qkd-ar-bob", port("qkd-ar-alice"), to_alice.port());
  keys_.until("the link at work over the wire", [&](const auto&) { return to_bob.octets() + to_alice.octets() > 100000; });
  runs_dry_and_goes_round("classical channel cut", [&] {
    to_bob.cut();
    to_alice.cut();
  });
  to_bob.mend();
  to_alice.mend();
  comes_back("classical channel cut");
  lead_over("qkd-ar-alice", to_bob.port(), port("qkd-ar-bob"));
  lead_over("qkd-ar-bob", to_alice.port(), port("qkd-ar-alice"));
}

}  // namespace
}  // namespace qanat::test
