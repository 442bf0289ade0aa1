#include "services/iam/uba/anomalies.hpp"

#include "services/iam/uba/evidence.hpp"

namespace qanat::iam {
namespace {

constexpr UnixMs quiet_ms = 600'000;  // the same rule tells of the same subject once in this time

std::string sequence_numbers(const std::vector<std::int64_t>& records) {
  wire::Json list = wire::Json::array();
  for (const std::int64_t seq : records) list.push(seq);
  return list.dump();
}

}  // namespace

wire::Json to_json(const Anomaly& anomaly) {
  wire::Json list = wire::Json::array();
  for (const std::int64_t seq : anomaly.records) list.push(seq);
  return wire::Json::object(
      {{"id", anomaly.id}, {"rule", anomaly.rule}, {"uid", anomaly.uid}, {"found_ms", anomaly.found_ms}, {"why", anomaly.why}, {"records", list}});
}

Result<RuleSettings> Anomalies::read_rules(store::Transaction& transaction) {
  std::vector<std::pair<std::string, std::string>> stored;
  TRY(transaction.query("SELECT name, settings FROM rule", {}, [&](const store::Row& row) { stored.emplace_back(row.text(0), row.text(1)); }));
  RuleSettings out;
  for (const auto& [rule, text] : stored) {
    ASSIGN_OR_RETURN(const wire::Json settings, wire::Json::parse(text));
    TRY(out.change(wire::Json::object({{rule, settings}})));
  }
  return out;
}

Result<RuleSettings> Anomalies::rules() {
  return store_.transact([](store::Transaction& transaction) { return read_rules(transaction); });
}

Result<RuleSettings> Anomalies::change_rules(const wire::Json& set) {
  return store_.transact([&](store::Transaction& transaction) -> Result<RuleSettings> {
    ASSIGN_OR_RETURN(RuleSettings rules, read_rules(transaction));
    TRY(rules.change(set));
    for (const RuleKind rule : all_rules) {
      const std::string text = rules.to_json(rule).dump();
      TRY(transaction.run("INSERT INTO rule (name, settings) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET settings = excluded.settings",
                          {name(rule), std::string_view(text)}));
    }
    return rules;
  });
}

Result<void> Anomalies::look(store::Transaction& transaction, const std::vector<StoredBehaviour>& fresh, UnixMs now) {
  ASSIGN_OR_RETURN(const RuleSettings rules, read_rules(transaction));
  ASSIGN_OR_RETURN(const auto findings, judge(transaction, rules, fresh, now));
  for (const auto& [uid, finding] : findings) TRY(keep(transaction, uid, finding, now));
  return {};
}

Result<void> Anomalies::keep(store::Transaction& transaction, const Uid& uid, const Finding& finding, UnixMs now) {
  bool quiet = false;
  TRY(transaction.query("SELECT 1 FROM anomaly_quiet WHERE rule = ? AND uid = ? AND until_ms > ?",
                        {name(finding.rule), std::string_view(uid.text()), store::column(now)}, [&](const store::Row&) { quiet = true; }));
  if (quiet) return {};
  TRY(transaction.run("INSERT OR REPLACE INTO anomaly_quiet (rule, uid, until_ms) VALUES (?, ?, ?)",
                      {name(finding.rule), std::string_view(uid.text()), store::column(now + quiet_ms)}));
  const std::string records = sequence_numbers(finding.records);
  TRY(transaction.run("INSERT INTO anomaly (rule, uid, found_ms, why, records) VALUES (?, ?, ?, ?, ?)",
                      {name(finding.rule), std::string_view(uid.text()), store::column(now), std::string_view(finding.why), std::string_view(records)}));
  Anomaly anomaly{.id = 0, .rule = std::string(name(finding.rule)), .uid = uid.text(), .found_ms = now, .why = finding.why, .records = finding.records};
  TRY(transaction.query("SELECT last_insert_rowid()", {}, [&](const store::Row& row) { anomaly.id = row.integer(0); }));
  if (cmsp_.empty()) return {};
  return Outbox::put(transaction, cmsp_, points::Endpoint::x12_notice, to_json(anomaly), now);
}

Result<std::vector<Anomaly>> Anomalies::list(const std::string& uid, std::int64_t after, std::int64_t limit) {
  struct Stored {
    Anomaly anomaly;
    std::string records;
  };
  std::vector<Stored> found;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT id, rule, uid, found_ms, why, records FROM anomaly WHERE id > ?1 AND (?2 = '' OR uid = ?2) ORDER BY id LIMIT ?3",
                             {after, std::string_view(uid), limit}, [&](const store::Row& row) {
                               found.push_back({{.id = row.integer(0),
                                                 .rule = row.text(1),
                                                 .uid = row.text(2),
                                                 .found_ms = static_cast<UnixMs>(row.integer(3)),
                                                 .why = row.text(4),
                                                 .records = {}},
                                                row.text(5)});
                             });
  }));
  std::vector<Anomaly> out;
  for (Stored& one : found) {
    ASSIGN_OR_RETURN(const wire::Json list, wire::Json::parse(one.records));
    ASSIGN_OR_RETURN(const auto numbers, list.as_array());
    for (const wire::Json& number : numbers) {
      ASSIGN_OR_RETURN(const std::int64_t seq, number.as_integer());
      one.anomaly.records.push_back(seq);
    }
    out.push_back(std::move(one.anomaly));
  }
  return out;
}

Result<std::int64_t> Anomalies::count() {
  std::int64_t out = 0;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT count(*) FROM anomaly", {}, [&](const store::Row& row) { out = row.integer(0); });
  }));
  return out;
}

}  // namespace qanat::iam
