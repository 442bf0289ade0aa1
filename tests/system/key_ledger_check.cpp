#include "key_ledger_check.hpp"

#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "audit/audit.hpp"
#include "base/key_run.hpp"
#include "quantum/qkm/schema.hpp"
#include "services/kms/schema.hpp"
#include "store/lifecycle.hpp"

namespace qanat::test {
namespace {

// A KMS looks every second for keys past their time; what has just come due may still be there when it is stopped.
constexpr UnixMs sweep_slack_ms = 3000;

bool is_used_once(const std::string& action) { return action == "link_key.used" || action == "relayed_key.delivered" || action == "km-1.delivered"; }

/// The keys that a QKM's record names: ids, and runs of ids, "<batch>[3..17]".
std::vector<std::string> keys_named(const std::string& text) {
  static const std::regex run("([0-9a-f]{24})\\[([0-9]+)\\.\\.([0-9]+)\\]");
  std::vector<std::string> out;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    std::smatch parts;
    if (!std::regex_match(word, parts, run)) {
      out.push_back(word);
      continue;
    }
    const auto batch = BatchId::parse_hex(parts[1].str());
    for (auto i = std::stoul(parts[2].str()); batch && i <= std::stoul(parts[3].str()); ++i) out.push_back(key_id(*batch, static_cast<std::uint32_t>(i)).hex());
  }
  return out;
}

/// What an audit record says was used. A session's working key goes to two terminals, which two same-domain legs tell apart.
std::vector<std::string> uses_of(const wire::Json& entry) {
  const std::string action = entry.text("action").value_or("");
  const std::string object = entry.text("object").value_or("");
  if (action == "km-1.delivered") return {action + " " + object + " to " + entry.text("subject").value_or("")};
  std::vector<std::string> out;
  for (const std::string& key : keys_named(object)) out.push_back(action + " " + key);
  return out;
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

using Database = Result<std::unique_ptr<store::Store>>;

/// Of a KMS that does not run.
Database database_of(const TestNetwork& network, const std::string& kms) {
  if (const auto place = network.place_of(kms, "kms")) return store::Store::open(*place, kms::migrations);
  return store::Store::open(network.network().state_of(kms) / "kms.db", kms::migrations);
}

void read(const Database& database, std::string_view sql, const std::function<void(const store::Row&)>& each) {
  ASSERT_TRUE(database) << database.error().message;
  const auto done = (*database)->transact([&](store::Transaction& transaction) { return transaction.query(sql, {}, each); });
  EXPECT_TRUE(done) << done.error().message;
}

struct LinkKeyRow {
  bool own = false;
  bool here = false;  // in stock, to be used
};
using LinkKeys = std::map<KeyId, LinkKeyRow>;

/// Keys that the database knows of, by link: in their chunk, or gone from it.
std::map<std::string, LinkKeys> link_keys_of(const app::Network& network, const std::string& qkm) {
  const Database database = store::Store::open(network.state_of(qkm) / "qkm.db", qkm::migrations);
  constexpr std::string_view prefix = "link/";
  std::map<std::string, LinkKeys> out;
  read(database, "SELECT stock, batch_id, own, size, gone, length(sealed) FROM key_chunk", [&](const store::Row& row) {
    const BatchId batch(row.blob(1));
    const Bytes gone = row.blob(4);
    std::int64_t left = 0;
    for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(row.integer(3)); ++i) {
      const bool here = ((gone[i / 8] >> (i % 8)) & 1U) == 0;
      left += here ? 1 : 0;
      if (row.text(0).starts_with(prefix)) out[row.text(0).substr(prefix.size())][key_id(batch, i)] = {.own = row.integer(2) == 1, .here = here};
    }
    EXPECT_EQ(row.integer(5), 32 * left + 28) << qkm << ": chunk " << batch.hex() << " has octets of other keys than those that are left";
    EXPECT_GT(left, 0) << qkm << ": chunk " << batch.hex() << " is empty and still there";
  });
  read(database, "SELECT stock, batch_id, first, count, state FROM key_run", [&](const store::Row& row) {
    for (std::int64_t i = 0; i < row.integer(3); ++i) {
      const KeyId id = key_id(BatchId(row.blob(1)), static_cast<std::uint32_t>(row.integer(2) + i));
      if (!row.text(0).starts_with(prefix)) continue;
      LinkKeyRow& key = out[row.text(0).substr(prefix.size())][id];
      EXPECT_FALSE(key.here) << qkm << ": link key " << id.hex() << " is " << row.text(4) << " and in stock";
    }
  });
  return out;
}

void expect_agreement(const std::string& link, const std::string& owner, const LinkKeys& at_owner, const std::string& other, const LinkKeys& at_other) {
  for (const auto& [id, mine] : at_owner) {
    const auto theirs = at_other.find(id);
    if (theirs == at_other.end() || !mine.own || !mine.here) continue;
    EXPECT_FALSE(theirs->second.own) << "link " << link << ": key " << id.hex() << " belongs to both ends";
    // The other way round is no harm: a key whose message was lost is destroyed at its owner and is never used by the other.
    EXPECT_TRUE(theirs->second.here) << "link " << link << ": " << owner << " would still use key " << id.hex() << ", which is gone at " << other;
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
    TestNetwork::await(
        "a whole audit chain of " + element,
        [&] {
          verified = audit::verify(network.network().state_of(element) / "audit.jsonl");
          return verified.has_value();
        },
        std::chrono::seconds(3));
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
      for (const std::string& use : uses_of(entry)) EXPECT_TRUE(uses.insert(use).second) << element << ": " << use << " a second time";
      if (action != "link_key.used") continue;
      for (const std::string& key : keys_named(entry.text("object").value_or(""))) used_over[key][element] = entry.text("subject").value_or("");
    }
    const auto kind = (*network.network().element(element))->identity.kind;
    EXPECT_EQ(!uses.empty(), kind == Kind::kms || kind == Kind::qkm) << element << " has " << uses.size() << " uses of keys on record";
  }
  for (const auto& [key, places] : used_over) EXPECT_LE(places.size(), 2U) << "link key " << key << " was used at more than the two ends of its link";
}

void expect_no_key_outlives_its_use(const TestNetwork& network, UnixMs stopped) {
  for (const std::string& kms : of_kind(network.network(), Kind::kms)) {
    std::size_t rows = 0;
    read(database_of(network, kms), "SELECT sid_wk, state, sealed_wk IS NULL, expires_ms FROM working_key", [&](const store::Row& row) {
      ++rows;
      const std::string what = kms + ": working key " + to_hex(row.blob(0)) + " is " + row.text(1);
      const bool destroyed = row.text(1) == "destroyed";
      EXPECT_EQ(destroyed, row.integer(2) == 1) << what << (destroyed ? " and has octets" : " and has none");
      EXPECT_TRUE(destroyed || static_cast<UnixMs>(row.integer(3)) + sweep_slack_ms > stopped) << what << " past its time";
    });
    EXPECT_GT(rows, 0U) << kms << " has had no working key";
  }
}

void expect_ends_on_record(TestNetwork& network) {
  static const std::set<std::string> ends{"km-1.destroyed", "wk.expired", "wk.ordered", "wk.superseded", "wk.carried"};
  for (const std::string& kms : of_kind(network.network(), Kind::kms)) {
    std::set<std::string> recorded;
    for (const wire::Json& entry : network.audit(kms, "")) {
      if (ends.contains(entry.text("action").value_or(""))) recorded.insert(entry.text("object").value_or("") + " of " + entry.text("subject").value_or(""));
    }
    const Database database = database_of(network, kms);
    if (network.place_of(kms, "kms"))
      read(database, "SELECT action, object, subject FROM owed_record", [&](const store::Row& row) {
        if (ends.contains(row.text(0))) recorded.insert(row.text(1) + " of " + row.text(2));
      });
    read(database, "SELECT sid_wk, uid FROM working_key WHERE state = 'destroyed'", [&](const store::Row& row) {
      const std::string leg = to_hex(row.blob(0)) + " of " + row.text(1);
      EXPECT_TRUE(recorded.contains(leg)) << kms << ": the end of working key " << leg << " is not on record";
    });
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
  expect_no_key_outlives_its_use(network, stopped);
  expect_ends_on_record(network);
  expect_links_to_agree(network.network());
  for (const std::string& element : key_holders(network.network())) {
    const auto running = network.running().start_element(element);
    EXPECT_TRUE(running) << running.error().message;
  }
}

void expect_all_working_keys_to_end(TestNetwork& network) {
  const auto lifetime = std::chrono::milliseconds(network.network().options().key_lifetime_ms + static_cast<std::int64_t>(2 * sweep_slack_ms));
  for (const std::string& kms : of_kind(network.network(), Kind::kms)) {
    TestNetwork::await(
        "every working key at " + kms + " to be destroyed",
        [&] {
          const auto health = network.op().health(kms);
          const auto census = health ? health->object("working_keys") : health;
          if (!census) return false;
          return std::ranges::all_of(store::all_key_states, [&](store::KeyState state) {
            const std::int64_t count = census->integer(store::name(state)).value_or(-1);
            return state == store::KeyState::destroyed ? count > 0 : count == 0;
          });
        },
        lifetime);
  }
}

}  // namespace qanat::test
