#include "services/iam/uba/behaviour_front.hpp"

#include <algorithm>

#include "node/subscriber.hpp"

namespace qanat::iam {
namespace {

using points::Endpoint;

constexpr std::int64_t behaviour_per_page = 100;

Result<BehaviourRecord> read_behaviour(const wire::Json& json) {
  TRY(json.only({"time_ms", "uid", "action", "outcome", "object"}));
  BehaviourRecord out;
  ASSIGN_OR_RETURN(const std::int64_t time, json.integer("time_ms", 0, INT64_MAX));
  out.time_ms = static_cast<UnixMs>(time);
  ASSIGN_OR_RETURN(const std::string uid, json.text("uid"));
  ASSIGN_OR_RETURN(out.uid, node::parse_uid(uid));
  ASSIGN_OR_RETURN(out.action, json.text("action"));
  ASSIGN_OR_RETURN(out.outcome, json.text("outcome"));
  ASSIGN_OR_RETURN(out.object, json.text("object"));
  return out;
}

Result<Report> read_report(const net::Request& request) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"id", "records"}));
  Report out{.reporter = *request.peer.identity};
  ASSIGN_OR_RETURN(const auto id, json.optional_text("id"));
  out.id = id.value_or("");
  if (out.id.size() > report_id_max) return fail(ErrorCode::invalid_argument, "id: over " + std::to_string(report_id_max) + " octets");
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, json.array("records"));
  for (const wire::Json& each : list) {
    ASSIGN_OR_RETURN(BehaviourRecord record, read_behaviour(each));
    out.records.push_back(std::move(record));
  }
  return out;
}

wire::Json to_json(const StoredBehaviour& one) {
  return wire::Json::object({{"seq", one.seq},
                             {"reporter", one.reporter},
                             {"received_ms", one.received_ms},
                             {"time_ms", one.record.time_ms},
                             {"uid", one.record.uid.text()},
                             {"action", one.record.action},
                             {"outcome", one.record.outcome},
                             {"object", one.record.object}});
}

}  // namespace

std::vector<points::Handler> BehaviourFront::handlers() {
  return {recorded_handler(desk_, *this, Endpoint::ua1_record, "ua-1.record", &BehaviourFront::record),
          recorded_handler(desk_, *this, Endpoint::ua2_record, "ua-2.record", &BehaviourFront::record_own),
          recorded_handler(desk_, *this, Endpoint::ua3_record, "ua-3.record", &BehaviourFront::record_own),
          recorded_handler(desk_, *this, Endpoint::x12_record, "x-12.record", &BehaviourFront::record),
          recorded_handler(desk_, *this, Endpoint::x5_behaviour, "x-5.behaviour", &BehaviourFront::administer)};
}

Result<net::Response> BehaviourFront::append(const Report& report) {
  const UnixMs now = desk_.now();
  TRY(behaviour_.append(report, now,
                        [&](store::Transaction& transaction, const std::vector<StoredBehaviour>& fresh) { return anomalies_.look(transaction, fresh, now); }));
  outbox_.ring();
  return net::Response{.status = 200, .content_type = "", .body = {}};
}

Result<net::Response> BehaviourFront::record(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const Report report, read_report(request));
  deed.object = std::to_string(report.records.size()) + " records";
  return append(report);
}

Result<net::Response> BehaviourFront::record_own(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const Report report, read_report(request));
  deed.object = std::to_string(report.records.size()) + " records";
  ASSIGN_OR_RETURN(const IdentityRecord caller, desk_.caller(request));
  TRY(desk_.require(caller, "behaviour.append"));
  for (const BehaviourRecord& one : report.records) {
    if (one.uid != caller.uid) return fail(ErrorCode::denied, "'" + caller.uid.text() + "' reports about '" + one.uid.text() + "'");
  }
  return append(report);
}

Result<net::Response> BehaviourFront::administer(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const std::string op, json.text("op"));
  ASSIGN_OR_RETURN(const IdentityRecord caller, desk_.caller(request));
  deed.object = op;
  if (op == "set_rules") {
    TRY(json.only({"op", "rules"}));
    ASSIGN_OR_RETURN(const wire::Json rules, json.object("rules"));
    TRY(RuleSettings().change(rules));  // malformed before it is recorded as intended
    TRY(desk_.require(caller, "behaviour.rule"));
    TRY(desk_.intend(request, "behaviour.rule", rules.dump()));
    ASSIGN_OR_RETURN(const RuleSettings now_in_force, anomalies_.change_rules(rules));
    return node::json_response(now_in_force.to_json());
  }
  TRY(desk_.require(caller, "behaviour.read"));
  Result<wire::Json> out = fail(ErrorCode::invalid_argument, "op must be query, anomalies, rules or set_rules");
  if (op == "query") out = query(json);
  if (op == "anomalies") out = anomalies(json);
  if (op == "rules") {
    ASSIGN_OR_RETURN(const RuleSettings rules, anomalies_.rules());
    out = rules.to_json();
  }
  TRY(out);
  return node::json_response(*out);
}

Result<wire::Json> BehaviourFront::query(const wire::Json& json) {
  TRY(json.only({"op", "uid", "action", "outcome", "from_ms", "until_ms", "after", "limit"}));
  BehaviourQuery wanted;
  ASSIGN_OR_RETURN(const auto uid, json.optional_text("uid"));
  ASSIGN_OR_RETURN(const auto action, json.optional_text("action"));
  ASSIGN_OR_RETURN(const auto outcome, json.optional_text("outcome"));
  ASSIGN_OR_RETURN(const auto from, json.optional_integer("from_ms", 0, INT64_MAX));
  ASSIGN_OR_RETURN(const auto until, json.optional_integer("until_ms", 0, INT64_MAX));
  ASSIGN_OR_RETURN(const auto after, json.optional_integer("after", 0, INT64_MAX));
  ASSIGN_OR_RETURN(const auto limit, json.optional_integer("limit", 1, page_max));
  wanted.uid = uid.value_or("");
  wanted.action = action.value_or("");
  wanted.outcome = outcome.value_or("");
  wanted.from_ms = static_cast<UnixMs>(from.value_or(0));
  wanted.until_ms = static_cast<UnixMs>(until.value_or(INT64_MAX));
  wanted.after = after.value_or(0);
  wanted.limit = limit.value_or(behaviour_per_page);
  ASSIGN_OR_RETURN(const auto found, behaviour_.query(wanted));
  wire::Json list = wire::Json::array();
  for (const StoredBehaviour& one : found) list.push(to_json(one));
  wire::Json out = wire::Json::object({{"records", list}});
  if (std::ssize(found) == wanted.limit) out.set("next", found.back().seq);
  return out;
}

Result<wire::Json> BehaviourFront::anomalies(const wire::Json& json) {
  TRY(json.only({"op", "uid", "after", "limit"}));
  ASSIGN_OR_RETURN(const auto uid, json.optional_text("uid"));
  ASSIGN_OR_RETURN(const auto after, json.optional_integer("after", 0, INT64_MAX));
  ASSIGN_OR_RETURN(const auto limit, json.optional_integer("limit", 1, page_max));
  ASSIGN_OR_RETURN(const auto found, anomalies_.list(uid.value_or(""), after.value_or(0), limit.value_or(behaviour_per_page)));
  wire::Json list = wire::Json::array();
  for (const Anomaly& one : found) list.push(iam::to_json(one));
  wire::Json out = wire::Json::object({{"anomalies", list}});
  if (std::ssize(found) == limit.value_or(behaviour_per_page)) out.set("next", found.back().id);
  return out;
}

}  // namespace qanat::iam
