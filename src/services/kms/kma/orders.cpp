#include "services/kms/kma/orders.hpp"

#include "node/recorded.hpp"
#include "node/subscriber.hpp"
#include "services/kms/kma/charging_records.hpp"
#include "services/kms/kp/encryption_state.hpp"
#include "services/kms/kp/owed_records.hpp"

namespace qanat::kms {

using store::KeyEvent;
using store::KeyState;

struct Orders::Order {
  KeyEvent event{};
  std::optional<SidWk> sid_wk;  // of one session; otherwise of one subscriber
  Uid uid;
  std::string reason;
  std::string by;
  std::string why;
};
/// What became of one leg.
struct Orders::LegOutcome {
  LivingLeg leg;
  std::optional<KeyState> to;  // nothing: refused
  std::string why_not;         // if it was refused
};

namespace {

constexpr std::size_t order_reason_max = 200;
constexpr std::int64_t legs_told_max = 1000;  // in one answer

Result<KeyEvent> event_in(const std::string& op) {
  for (const KeyEvent event : {KeyEvent::suspend, KeyEvent::recover, KeyEvent::destroy}) {
    if (op == name(event)) return event;
  }
  return fail(ErrorCode::invalid_argument, "op: '" + op + "' is none of suspend, recover, destroy");
}

Result<std::string> reason_in(const wire::Json& json) {
  ASSIGN_OR_RETURN(std::string reason, json.text("reason"));
  if (reason.empty() || reason.size() > order_reason_max)
    return fail(ErrorCode::invalid_argument, "reason: 1 to " + std::to_string(order_reason_max) + " octets");
  return reason;
}

}  // namespace

wire::Json Orders::outcome_json(const LegOutcome& one) {
  wire::Json out = wire::Json::object({{"sid_wk", one.leg.sid_wk.hex()}, {"leg", leg_name(one.leg.leg)}, {"uid", one.leg.uid.text()}});
  out.set("state", name(one.to.value_or(one.leg.state)));
  if (!one.to) out.set("refused", one.why_not);
  return out;
}

Result<net::Response> Orders::keys(const net::Request& request) {
  return node::recorded(node_, "x-5.keys", request, [&](node::Deed& deed) { return carry_out(request, deed); });
}

Result<net::Response> Orders::carry_out(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  if (json.has("encryption_key_of")) return of_encryption_key(json, request, deed);
  TRY(json.only({"op", "sid_wk", "uid", "reason"}));
  Order order;
  ASSIGN_OR_RETURN(const std::string op, json.text("op"));
  ASSIGN_OR_RETURN(order.event, event_in(op));
  ASSIGN_OR_RETURN(order.reason, reason_in(json));
  if (json.has("sid_wk") == json.has("uid")) return fail(ErrorCode::invalid_argument, "either sid_wk or uid names the keys");
  if (json.has("sid_wk")) {
    ASSIGN_OR_RETURN(const std::string hex, json.text("sid_wk"));
    ASSIGN_OR_RETURN(order.sid_wk, SidWk::parse_hex(hex));
    deed.object = hex;
  } else {
    ASSIGN_OR_RETURN(const std::string text, json.text("uid"));
    ASSIGN_OR_RETURN(order.uid, node::parse_uid(text));
    deed.object = text;
  }
  order.by = request.peer.identity->uri();
  order.why = std::string(name(order.event)) + " on order: " + order.reason;
  wire::Json list = wire::Json::array();
  std::int64_t listed = 0;
  std::int64_t further = 0;
  bool reached = false;
  std::string why_not;  // of the first that the order could not reach
  std::optional<LivingLeg> last;
  while (true) {
    if (request.deadline.passed())
      return fail(ErrorCode::deadline_exceeded, "after " + std::to_string(listed + further) + " legs of " + deed.object + ": order again for the others");
    ASSIGN_OR_RETURN(const std::vector<LegOutcome> outcomes, reach(order, last, request.request_id));
    for (const LegOutcome& one : outcomes) {
      reached = reached || one.to.has_value();
      if (why_not.empty()) why_not = one.why_not;
      if (listed == legs_told_max) {
        ++further;
        continue;
      }
      list.push(outcome_json(one));
      ++listed;
    }
    if (order.sid_wk || outcomes.size() < Ledger::living_at_once) break;
    last = outcomes.back().leg;
  }
  if (listed == 0) return fail(ErrorCode::not_found, "no working key of " + deed.object + " lives at " + node_.identity().name);
  if (!reached) return fail(ErrorCode::conflict, why_not);
  wire::Json out = wire::Json::object({{"keys", std::move(list)}});
  if (further > 0) out.set("further", further);
  return node::json_response(out);
}

Result<std::vector<Orders::LegOutcome>> Orders::reach(const Order& order, const std::optional<LivingLeg>& after, const std::string& request_id) {
  const UnixMs now = node_.clock().now_ms();
  const auto owed_id = node_.rng().id<OwedId>();
  ASSIGN_OR_RETURN(std::vector<LegOutcome> outcomes, store_.transact([&](store::Transaction& transaction) -> Result<std::vector<LegOutcome>> {
    ASSIGN_OR_RETURN(const std::vector<LivingLeg> legs,
                     order.sid_wk ? ledger_.living(transaction, *order.sid_wk) : ledger_.living(transaction, order.uid, after));
    std::vector<LegOutcome> out;
    std::vector<OwedRecord> owed;
    for (const LivingLeg& leg : legs) {
      LegOutcome one{.leg = leg, .to = {}, .why_not = {}};
      const auto to = store::advance(store::KeyKind::working, leg.state, order.event, "working key " + leg.sid_wk.hex());
      if (!to) {
        one.why_not = to.error().message;
      } else {
        OwedRecord record{.action = "wk.ordered", .subject = leg.uid.text(), .object = leg.sid_wk.hex(), .reason = order.why};
        if (*to == KeyState::destroyed) {
          ASSIGN_OR_RETURN(const Destroyed gone, ledger_.destroy(transaction, leg.sid_wk, leg.leg, {.by = order.by, .why = order.why, .at_ms = now}));
          record.reason = gone.reason(order.why);
        } else {
          TRY(ledger_.advance(transaction, leg.sid_wk, leg.leg, *to));
        }
        record.reason += " by " + order.by;
        owed.push_back(std::move(record));
        one.to = *to;
      }
      out.push_back(std::move(one));
    }
    TRY(owe_records(transaction, owed_id, owed, now));
    return Result<std::vector<LegOutcome>>(std::move(out));
  }));
  TRY(store_.settle());
  for (const LegOutcome& one : outcomes) agreement_.leg_changed(one.leg.sid_wk);
  TRY(pay_records(node_, store_, owed_id, request_id));
  return Result<std::vector<LegOutcome>>(std::move(outcomes));
}

Result<net::Response> Orders::of_encryption_key(const wire::Json& json, const net::Request& request, node::Deed& deed) {
  TRY(json.only({"op", "encryption_key_of", "reason"}));
  ASSIGN_OR_RETURN(const std::string text, json.text("encryption_key_of"));
  ASSIGN_OR_RETURN(const Uid uid, node::parse_uid(text));
  deed.object = "encryption key of " + text;
  ASSIGN_OR_RETURN(const std::string op, json.text("op"));
  const UnixMs now = node_.clock().now_ms();
  if (op == "show") {
    ASSIGN_OR_RETURN(const EncryptionKey key, store_.look([&](store::Transaction& transaction) { return find_encryption_key(transaction, uid, now); }));
    return node::json_response(wire::Json::object({{"encryption_key", to_json(key)}}));
  }
  ASSIGN_OR_RETURN(const KeyEvent event, event_in(op));
  if (event == KeyEvent::destroy)
    return fail(ErrorCode::invalid_argument, "op: a terminal's encryption key is destroyed by the revocation of its certificates, or by another enrolment");
  ASSIGN_OR_RETURN(const std::string reason, reason_in(json));
  const auto owed_id = node_.rng().id<OwedId>();
  ASSIGN_OR_RETURN(const EncryptionKey key, store_.transact([&](store::Transaction& transaction) -> Result<EncryptionKey> {
    ASSIGN_OR_RETURN(EncryptionKey changed, change_encryption_key(transaction, uid, event, now));
    const OwedRecord record{.action = "kp.encryption_key", .subject = uid.text(), .object = to_hex(changed.enc_kid),
                            .reason = std::string(store::name(changed.state)) + ": " + op + " on order: " + reason + " by " + request.peer.identity->uri()};
    TRY(owe_records(transaction, owed_id, {&record, 1}, now));
    return changed;
  }));
  TRY(store_.settle());
  TRY(pay_records(node_, store_, owed_id, request.request_id));
  return node::json_response(wire::Json::object({{"encryption_key", to_json(key)}}));
}

Result<net::Response> Orders::charges(const net::Request& request) {
  return node::recorded(node_, "x-5.charges", request, [&](node::Deed& deed) -> Result<net::Response> {
    ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
    TRY(json.only({"from_ms", "until_ms", "after"}));
    ASSIGN_OR_RETURN(const std::int64_t from, json.integer("from_ms", 0, INT64_MAX));
    ASSIGN_OR_RETURN(const std::int64_t until, json.integer("until_ms", 0, INT64_MAX));
    deed.object = std::to_string(from) + " to " + std::to_string(until);
    ChargingPlace after{.delivered_ms = static_cast<UnixMs>(from), .sid_wk = {}, .leg = 0};
    if (json.has("after")) {
      ASSIGN_OR_RETURN(const wire::Json place, json.object("after"));
      TRY(place.only({"delivered_ms", "sid_wk", "leg"}));
      ASSIGN_OR_RETURN(const std::int64_t at, place.integer("delivered_ms", from, INT64_MAX));
      ASSIGN_OR_RETURN(const std::string hex, place.text("sid_wk"));
      ASSIGN_OR_RETURN(after.sid_wk, SidWk::parse_hex(hex));
      ASSIGN_OR_RETURN(after.leg, place.integer("leg", 1, 2));
      after.delivered_ms = static_cast<UnixMs>(at);
    }
    ASSIGN_OR_RETURN(const std::vector<ChargingRecord> page,
                     store_.transact([&](store::Transaction& transaction) { return list_charging_records(transaction, after, static_cast<UnixMs>(until)); }));
    wire::Json list = wire::Json::array();
    for (const ChargingRecord& one : page) list.push(to_json(one));
    wire::Json out = wire::Json::object({{"charges", std::move(list)}});
    if (std::ssize(page) == charges_per_page) {
      const ChargingPlace last = place_of(page.back());
      out.set("next", wire::Json::object({{"delivered_ms", last.delivered_ms}, {"sid_wk", last.sid_wk.hex()}, {"leg", last.leg}}));
    }
    return node::json_response(out);
  });
}

}  // namespace qanat::kms
