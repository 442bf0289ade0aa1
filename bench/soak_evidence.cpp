#include "soak_evidence.hpp"

#include <array>
#include <charconv>
#include <fstream>
#include <sstream>

#include "audit/auditor.hpp"
#include "base/key_run.hpp"
#include "quantum/qkm/schema.hpp"
#include "services/kms/schema.hpp"
#include "wire/json.hpp"

namespace qanat::bench {
namespace {

constexpr std::string_view link_key_used = "link_key.used";
constexpr std::string_view relayed_key_delivered = "relayed_key.delivered";
constexpr std::string_view working_key_delivered = "km-1.delivered";
constexpr std::size_t findings_max = 100;
constexpr std::string_view link_stock = "link/";  // what a link's stock is called, before the link's name

std::optional<std::uint32_t> number_in(std::string_view text) {
  std::uint32_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

/// The keys that a QKM's record names: ids, and runs of ids, "<batch>[3..17]".
std::vector<std::string> keys_named(const std::string& object) {
  std::vector<std::string> out;
  std::istringstream words(object);
  for (std::string word; words >> word;) {
    const std::size_t open = word.find('[');
    const std::size_t dots = word.find("..");
    const auto batch = open == std::string::npos ? std::nullopt : std::optional(BatchId::parse_hex(word.substr(0, open)));
    if (!batch || !*batch || dots == std::string::npos || !word.ends_with(']')) {
      out.push_back(word);
      continue;
    }
    const std::string_view text = word;
    const auto first = number_in(text.substr(open + 1, dots - open - 1));
    const auto last = number_in(text.substr(dots + 2, text.size() - dots - 3));
    if (!first || !last) continue;
    for (std::uint64_t i = *first; i <= *last; ++i) out.push_back(key_id(**batch, static_cast<std::uint32_t>(i)).hex());
  }
  return out;
}

/// A finding's list that does not outgrow a reader.
class Findings {
 public:
  void add(std::string what) {
    if (list_.size() < findings_max) list_.push_back(std::move(what));
  }
  void add(const std::vector<std::string>& more) {
    for (const std::string& what : more) add(what);
  }
  std::vector<std::string> take() { return std::move(list_); }

 private:
  std::vector<std::string> list_;
};

Result<void> read_file(const std::filesystem::path& file, std::span<const store::Migration> migrations, std::string_view sql,
                       const std::function<void(const store::Row&)>& each) {
  ASSIGN_OR_RETURN(const auto database, store::Store::open(file, migrations));
  return database->transact([&](store::Transaction& transaction) { return transaction.query(sql, {}, each); });
}

using Rows = std::map<LegKey, LegRow>;

/// All charging records, as table c: after a day they are in the archive.
const std::string charges = "(SELECT sid_wk, leg, confirmed_ms FROM charging_record UNION ALL SELECT sid_wk, leg, confirmed_ms FROM charging_archive) AS c";
const std::string charges_without_key = "SELECT count(*) FROM " + charges +
                                        " WHERE NOT EXISTS (SELECT 1 FROM working_key w WHERE w.sid_wk = c.sid_wk AND w.leg = c.leg)"
                                        " AND NOT EXISTS (SELECT 1 FROM used_session u WHERE u.sid_wk = c.sid_wk AND u.leg = c.leg)";
const std::string keys_and_charges = " FROM working_key w LEFT JOIN " + charges + " ON c.sid_wk = w.sid_wk AND c.leg = w.leg";

struct Ledger {
  Rows rows;
  std::int64_t orphans = 0;  // charging records of no key
};

Result<Ledger> ledger_of_file(const std::filesystem::path& file) {
  Ledger out;
  TRY(read_file(file, kms::migrations,
                "SELECT w.sid_wk, w.leg, w.state, w.sealed_wk IS NOT NULL, c.sid_wk IS NOT NULL, c.confirmed_ms IS NOT NULL" + keys_and_charges,
                [&](const store::Row& row) {
                  out.rows[{SidWk(row.blob(0)), row.integer(1)}] = {
                      .state = row.text(2), .octets = row.integer(3) == 1, .charged = row.integer(4) == 1, .confirmed = row.integer(5) == 1};
                }));
  TRY(read_file(file, kms::migrations, charges_without_key, [&](const store::Row& row) { out.orphans = row.integer(0); }));
  return Result<Ledger>(std::move(out));
}

Result<Ledger> ledger_of_server(const test::PostgresqlServer& server) {
  const std::string database(SoakNetwork::database_name);
  ASSIGN_OR_RETURN(const std::vector<std::string> lines,
                   server.answer("SET search_path = kms; SELECT encode(w.sid_wk, 'hex') || ' ' || w.leg || ' ' || w.state || ' ' || "
                                 "(w.sealed_wk IS NOT NULL)::int || ' ' || (c.sid_wk IS NOT NULL)::int || ' ' || (c.confirmed_ms IS NOT NULL)::int" +
                                     keys_and_charges,
                                 database));
  Ledger out;
  for (const std::string& line : lines) {
    std::istringstream words(line);
    std::string session;
    std::int64_t leg = 0;
    LegRow row;
    if (!(words >> session >> leg >> row.state >> row.octets >> row.charged >> row.confirmed))
      return fail(ErrorCode::internal, "the ledger has a row: " + line);
    ASSIGN_OR_RETURN(const SidWk sid_wk, SidWk::parse_hex(session));
    out.rows[{sid_wk, leg}] = std::move(row);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> orphans, server.answer("SET search_path = kms; " + charges_without_key, database));
  if (orphans.size() != 1) return fail(ErrorCode::internal, "the count of charging records has not come");
  out.orphans = std::stoll(orphans.front());
  return Result<Ledger>(std::move(out));
}

Result<void> judge_ledgers(const SoakNetwork& network, const std::vector<LegRecord>& legs, Evidence& evidence, Findings& findings) {
  const auto states = network.states();
  ASSIGN_OR_RETURN(const Ledger of_a, ledger_of_server(network.database()));
  ASSIGN_OR_RETURN(const Ledger of_b, ledger_of_file(states.at("kms-b") / "kms.db"));
  for (const auto& [domain, ledger] : {std::pair("a", &of_a), std::pair("b", &of_b)}) {
    std::vector<LegRecord> own;
    std::ranges::copy_if(legs, std::back_inserter(own), [&](const LegRecord& leg) { return leg.domain == domain; });
    for (const std::string& what : findings_in(ledger->rows, own)) findings.add("kms-" + std::string(domain) + ": " + what);
    if (ledger->orphans != 0) findings.add("kms-" + std::string(domain) + ": " + std::to_string(ledger->orphans) + " charging records of no key");
    for (const auto& [key, row] : ledger->rows) evidence.charges += row.charged ? 1 : 0;
  }
  return {};
}

Result<void> judge_records(const SoakNetwork& network, const std::vector<crypto::Certificate>& roots, KeyUses& uses, Evidence& evidence, Findings& findings) {
  for (const auto& [name, state] : network.states()) {
    ASSIGN_OR_RETURN(const audit::AuditReport report, audit::audit_log(state, {.roots = roots, .checkpoints = {}, .witnesses = {}}));
    evidence.records += report.records;
    for (const std::string& what : report.findings) findings.add("audit record of " + name + ": " + what);
    std::ifstream in(audit::log_file_of(state));
    const std::string holder = name == SoakNetwork::second_front_end ? "kms-a" : name;
    for (std::string line; std::getline(in, line);) uses.add(holder, line);
  }
  return {};
}

struct StockKey {
  bool own = false;
  bool here = false;  // to be used
};
using Stock = std::map<std::string, StockKey>;  // by key id; of all links

Result<Stock> stock_of(const std::filesystem::path& file) {
  Stock out;
  TRY(read_file(file, qkm::migrations, "SELECT stock, batch_id, own, size, gone FROM key_chunk", [&](const store::Row& row) {
    if (!row.text(0).starts_with(link_stock)) return;
    const Bytes gone = row.blob(4);
    for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(row.integer(3)); ++i)
      out[key_id(BatchId(row.blob(1)), i).hex()] = {.own = row.integer(2) == 1, .here = ((gone[i / 8] >> (i % 8)) & 1U) == 0};
  }));
  TRY(read_file(file, qkm::migrations, "SELECT stock, batch_id, first, count FROM key_run", [&](const store::Row& row) {
    if (!row.text(0).starts_with(link_stock)) return;
    for (std::int64_t i = 0; i < row.integer(3); ++i) out.try_emplace(key_id(BatchId(row.blob(1)), static_cast<std::uint32_t>(row.integer(2) + i)).hex());
  }));
  return Result<Stock>(std::move(out));
}

/// No key that was used is in its user's stock; and none that an end may still choose is gone at the other.
Result<void> judge_stocks(const SoakNetwork& network, const KeyUses& uses, Findings& findings) {
  const auto states = network.states();
  std::map<std::string, Stock> stocks;
  for (const char* qkm : {"qkm-a", "qkm-r", "qkm-b"}) {
    ASSIGN_OR_RETURN(stocks[qkm], stock_of(states.at(qkm) / "qkm.db"));
    for (const std::string& key : uses.link_keys_of(qkm)) {
      const auto found = stocks[qkm].find(key);
      if (found != stocks[qkm].end() && found->second.here) findings.add(std::string(qkm) + ": link key " + key + " was used and is in stock");
    }
  }
  for (const auto& [one, other] : {std::pair("qkm-a", "qkm-r"), std::pair("qkm-r", "qkm-a"), std::pair("qkm-r", "qkm-b"), std::pair("qkm-b", "qkm-r")}) {
    for (const auto& [key, mine] : stocks[one]) {
      const auto theirs = stocks[other].find(key);
      if (theirs == stocks[other].end() || !mine.own || !mine.here) continue;
      if (theirs->second.own) findings.add("link key " + key + " belongs to both " + one + " and " + other);
      if (!theirs->second.here) findings.add(std::string(one) + " would still use link key " + key + ", which is gone at " + other);
    }
  }
  return {};
}

}  // namespace

void KeyUses::add(const std::string& holder, std::string_view line) {
  static constexpr std::array actions{link_key_used, relayed_key_delivered, working_key_delivered};
  if (std::ranges::none_of(actions, [&](std::string_view action) { return line.contains(action); })) return;
  const auto entry = wire::Json::parse(line);
  if (!entry || entry->text("outcome").value_or("") != "success") return;
  const std::string action = entry->text("action").value_or("");
  if (std::ranges::find(actions, action) == actions.end()) return;
  const std::string object = entry->text("object").value_or("");
  const bool working = action == working_key_delivered;
  const std::vector<std::string> used = working ? std::vector{object + " to " + entry->text("subject").value_or("")} : keys_named(object);
  for (const std::string& key : used) {
    if (!uses_[holder].insert(action + " " + key).second && findings_.size() < findings_max)
      findings_.push_back(holder + ": " + action + " " + key + " a second time");
    if (action == link_key_used) {
      used_[holder].insert(key);
      std::set<std::string>& places = places_[key];
      places.insert(holder);
      if (places.size() > 2 && findings_.size() < findings_max) findings_.push_back("link key " + key + " was used at more than the two ends of its link");
    }
  }
  if (working) deliveries_ += used.size();
  if (action == relayed_key_delivered) relayed_ += used.size();
}

const std::set<std::string>& KeyUses::link_keys_of(const std::string& holder) const {
  static const std::set<std::string> none;
  const auto found = used_.find(holder);
  return found == used_.end() ? none : found->second;
}

std::vector<std::string> findings_in(const std::map<LegKey, LegRow>& rows, const std::vector<LegRecord>& legs) {
  Findings out;
  for (const auto& [key, row] : rows) {
    const std::string what = "working key " + key.first.hex() + ", leg " + std::to_string(key.second) + ", is " + row.state;
    if ((row.state == "destroyed") == row.octets) out.add(what + (row.octets ? " and has octets" : " and has none"));
    if ((row.state == "delivered" || row.state == "confirmed") && !row.charged) out.add(what + " and not charged");
  }
  for (const LegRecord& leg : legs) {
    const std::string what = "working key " + leg.session.hex() + ", leg " + std::to_string(static_cast<int>(leg.role));
    const auto found = rows.find({leg.session, static_cast<std::int64_t>(leg.role)});
    if (found == rows.end()) {
      out.add(what + ", which a terminal has, is lost: it is in no ledger");
      continue;
    }
    const LegRow& row = found->second;
    if (!row.charged) out.add(what + ", which a terminal has, has no charging record");
    if (row.state != "delivered" && row.state != "confirmed" && row.state != "destroyed") out.add(what + ", which a terminal has, is " + row.state);
    if (leg.acknowledged && (row.state != "destroyed" || !row.confirmed)) out.add(what + " was acknowledged, and is " + row.state);
  }
  return out.take();
}

Result<Evidence> gather(const SoakNetwork& network, const std::vector<LegRecord>& legs, const std::vector<crypto::Certificate>& roots) {
  Evidence out;
  Findings findings;
  KeyUses uses;
  TRY(judge_records(network, roots, uses, out, findings));
  findings.add(uses.findings());
  TRY(judge_ledgers(network, legs, out, findings));
  TRY(judge_stocks(network, uses, findings));
  if (uses.link_keys() == 0 || uses.relayed_keys() == 0 || uses.deliveries() == 0) findings.add("no use of keys is on record");
  out.link_keys = uses.link_keys();
  out.relayed_keys = uses.relayed_keys();
  out.findings = findings.take();
  return Result<Evidence>(std::move(out));
}

}  // namespace qanat::bench
