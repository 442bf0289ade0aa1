#include "key_ledger_check.hpp"

#include <map>
#include <set>

#include "audit/audit.hpp"
#include "quantum/qkm/schema.hpp"
#include "services/kms/schema.hpp"
#include "store/lifecycle.hpp"

namespace qanat::test {
namespace {

// A KMS looks every second for keys past their time; what has just come due may still be there when it is stopped.
constexpr UnixMs sweep_slack_ms = 3000;

bool is_used_once(const std::string& action) { return action == "link_key.used" || action == "relayed_key.delivered" || action == "km-1.delivered"; }

/// What an audit record says was used. A session's working key goes to two terminals, which two same-domain legs tell apart.
std::string use_of(const wire::Json& entry) {
  const std::string action = entry.text("action").value_or("");
  const std::string key = action + " " + entry.text("object").value_or("");
  return action == "km-1.delivered" ? key + " to " + entry.text("subject").value_or("") : key;
}

std::vector<std::string> started(const app::Network& network) {
  std::vector<std::string> out;
  for (const app::ElementPlan& element : network.elements()) {
    if (element.started) out.push_back(element.name());
  }
  return out;
}

std::vector<std::string> of_kind(const app::Network& network, Kind kind) {
  std::vector<std::string> out;
  for (const app::ElementPlan& element : network.elements()) {
    if (element.started && element.identity.kind == kind) out.push_back(element.name());
  }
  return out;
}

void read(const std::filesystem::path& file, std::span<const store::Migration> migrations, std::string_view sql, const std::function<void(const store::Row&)>& each) {
  const auto database = store::Store::open(file, migrations);
  ASSERT_TRUE(database) << database.error().message;
  const auto done = (*database)->transact([&](store::Transaction& transaction) { return transaction.query(sql, {}, each); });
  EXPECT_TRUE(done) << done.error().message;
}

struct LinkKeyRow {
  bool own = false;
  std::string state;
};
using LinkKeys = std::map<std::string, LinkKeyRow>;

std::map<std::string, LinkKeys> link_keys_of(const app::Network& network, const std::string& qkm) {
  std::map<std::string, LinkKeys> out;
  read(network.state_of(qkm) / "qkm.db", qkm::migrations, "SELECT link, key_id, own, state, sealed IS NULL FROM link_key", [&](const store::Row& row) {
    const std::string id = to_hex(row.blob(1));
    out[row.text(0)][id] = {.own = row.integer(2) == 1, .state = row.text(3)};
    EXPECT_EQ(row.text(3) == "destroyed", row.integer(4) == 1) << qkm << ": link key " << id << " is " << row.text(3);
  });
  read(network.state_of(qkm) / "qkm.db", qkm::migrations, "SELECT key_id, state, sealed IS NULL FROM relayed_key", [&](const store::Row& row) {
    const bool in_stock = row.text(1) == "generated" || row.text(1) == "reserved";
    EXPECT_EQ(in_stock, row.integer(2) == 0) << qkm << ": relayed key " << to_hex(row.blob(0)) << " is " << row.text(1);
  });
  return out;
}

void expect_agreement(const std::string& link, const std::string& owner, const LinkKeys& at_owner, const std::string& other, const LinkKeys& at_other) {
  for (const auto& [id, mine] : at_owner) {
    const auto theirs = at_other.find(id);
    if (theirs == at_other.end()) continue;
    if (mine.own) {
      EXPECT_FALSE(theirs->second.own) << "link " << link << ": key " << id << " belongs to both ends";
      // The other way round is no harm: a key whose message was lost is destroyed at its owner and is never used by the other.
      EXPECT_FALSE(mine.state == "generated" && theirs->second.state != "generated")
          << "link " << link << ": " << owner << " would still use key " << id << ", which is " << theirs->second.state << " at " << other;
    }
  }
}

}  // namespace

std::vector<std::string> key_holders(const app::Network& network) {
  std::vector<std::string> out = of_kind(network, Kind::qkm);
  for (const std::string& kms : of_kind(network, Kind::kms)) out.push_back(kms);
  return out;
}

void expect_whole_audit_chains(TestNetwork& network) {
  for (const std::string& element : started(network.network())) {
    // Of an element that runs the last line may be half written at the moment of a look.
    Result<std::size_t> verified = fail(ErrorCode::internal, "did not look");
    TestNetwork::await("a whole audit chain of " + element, [&] {
      verified = audit::verify(network.network().state_of(element) / "audit.jsonl");
      return verified.has_value();
    }, std::chrono::seconds(3));
    EXPECT_TRUE(verified) << element << ": " << verified.error().message;
  }
}

void expect_each_key_used_once(TestNetwork& network) {
  std::map<std::string, std::map<std::string, std::string>> used_over;  // link key → element → neighbour
  for (const std::string& element : started(network.network())) {
    std::set<std::string> uses;
    for (const wire::Json& entry : network.audit(element, "")) {
      const std::string action = entry.text("action").value_or("");
      if (!is_used_once(action) || entry.text("outcome").value_or("") != "success") continue;
      EXPECT_TRUE(uses.insert(use_of(entry)).second) << element << ": " << use_of(entry) << " a second time";
      if (action == "link_key.used") used_over[entry.text("object").value_or("")][element] = entry.text("subject").value_or("");
    }
    const auto kind = (*network.network().element(element))->identity.kind;
    EXPECT_EQ(!uses.empty(), kind == Kind::kms || kind == Kind::qkm) << element << " has " << uses.size() << " uses of keys on record";
  }
  for (const auto& [key, places] : used_over) EXPECT_LE(places.size(), 2U) << "link key " << key << " was used at more than the two ends of its link";
}

void expect_no_key_outlives_its_use(const app::Network& network, UnixMs stopped) {
  for (const std::string& kms : of_kind(network, Kind::kms)) {
    std::size_t rows = 0;
    read(network.state_of(kms) / "kms.db", kms::migrations, "SELECT sid_wk, state, sealed_wk IS NULL, expires_ms FROM working_key", [&](const store::Row& row) {
      ++rows;
      const std::string what = kms + ": working key " + to_hex(row.blob(0)) + " is " + row.text(1);
      const bool destroyed = row.text(1) == "destroyed";
      EXPECT_EQ(destroyed, row.integer(2) == 1) << what << (destroyed ? " and has octets" : " and has none");
      EXPECT_TRUE(destroyed || static_cast<UnixMs>(row.integer(3)) + sweep_slack_ms > stopped) << what << " past its time";
    });
    EXPECT_GT(rows, 0U) << kms << " has had no working key";
  }
}

void expect_links_to_agree(const app::Network& network) {
  std::map<std::string, std::map<std::string, LinkKeys>> stores;
  for (const std::string& qkm : of_kind(network, Kind::qkm)) stores[qkm] = link_keys_of(network, qkm);
  for (const app::LinkPlan& link : network.links()) {
    const LinkKeys& at_from = stores[link.from][link.name];
    const LinkKeys& at_to = stores[link.to][link.name];
    EXPECT_FALSE(at_from.empty() || at_to.empty()) << "link " << link.name << " has had no keys";
    expect_agreement(link.name, link.from, at_from, link.to, at_to);
    expect_agreement(link.name, link.to, at_to, link.from, at_from);
  }
}

void expect_keys_in_order(TestNetwork& network) {
  const UnixMs stopped = SystemClock().now_ms();
  for (const std::string& element : key_holders(network.network())) network.running().stop_element(element, app::RunningNetwork::Ending::orderly);
  expect_whole_audit_chains(network);
  expect_each_key_used_once(network);
  expect_no_key_outlives_its_use(network.network(), stopped);
  expect_links_to_agree(network.network());
  for (const std::string& element : key_holders(network.network())) {
    const auto running = network.running().start_element(element);
    EXPECT_TRUE(running) << running.error().message;
  }
}

void expect_all_working_keys_to_end(TestNetwork& network) {
  const auto lifetime = std::chrono::milliseconds(network.network().options().key_lifetime_ms + static_cast<std::int64_t>(2 * sweep_slack_ms));
  for (const std::string& kms : of_kind(network.network(), Kind::kms)) {
    TestNetwork::await("every working key at " + kms + " to be destroyed", [&] {
      const auto health = network.op().health(kms);
      const auto census = health ? health->object("working_keys") : health;
      if (!census) return false;
      return std::ranges::all_of(store::all_key_states, [&](store::KeyState state) {
        const std::int64_t count = census->integer(store::name(state)).value_or(-1);
        return state == store::KeyState::destroyed ? count > 0 : count == 0;
      });
    }, lifetime);
  }
}

}  // namespace qanat::test
