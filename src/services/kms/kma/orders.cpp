#include "services/kms/kma/orders.hpp"

#include <algorithm>

#include "node/recorded.hpp"
#include "node/subscriber.hpp"
#include "services/kms/kma/charging_records.hpp"

namespace qanat::kms {

using store::KeyEvent;
using store::KeyState;

struct Orders::Order {
  KeyEvent event{};
  std::optional<SidWk> sid_wk;  // of one session; otherwise of one subscriber
  Uid uid;
  std::string reason;
};

namespace {

constexpr std::size_t order_reason_max = 200;

Result<KeyEvent> event_in(const std::string& op) {
  for (const KeyEvent event : {KeyEvent::suspend, KeyEvent::recover, KeyEvent::destroy}) {
    if (op == name(event)) return event;
  }
  return fail(ErrorCode::invalid_argument, "op: '" + op + "' is none of suspend, recover, destroy");
}

/// What became of one leg.
struct LegOutcome {
  LivingLeg leg;
  std::optional<KeyState> to;  // nothing: refused
  std::string why_not;         // if it was refused
  std::optional<Destroyed> destroyed;
};

wire::Json outcome_json(const LegOutcome& one) {
  wire::Json out = wire::Json::object({{"sid_wk", one.leg.sid_wk.hex()}, {"leg", leg_name(one.leg.leg)}, {"uid", one.leg.uid.text()}});
  out.set("state", name(one.to.value_or(one.leg.state)));
  if (!one.to) out.set("refused", one.why_not);
  return out;
}

}  // namespace

Result<net::Response> Orders::keys(const net::Request& request) {
  return node::recorded(node_, "x-5.keys", request, [&](node::Deed& deed) { return carry_out(request, deed); });
}

Result<net::Response> Orders::carry_out(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"op", "sid_wk", "uid", "reason"}));
  Order order;
  ASSIGN_OR_RETURN(const std::string op, json.text("op"));
  ASSIGN_OR_RETURN(order.event, event_in(op));
  ASSIGN_OR_RETURN(order.reason, json.text("reason"));
  if (order.reason.empty() || order.reason.size() > order_reason_max)
    return fail(ErrorCode::invalid_argument, "reason: 1 to " + std::to_string(order_reason_max) + " octets");
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
  const std::string by = request.peer.identity->uri();
  const UnixMs now = node_.clock().now_ms();
  const std::string why = std::string(name(order.event)) + " on order: " + order.reason;
  ASSIGN_OR_RETURN(const std::vector<LegOutcome> outcomes, store_.transact([&](store::Transaction& transaction) -> Result<std::vector<LegOutcome>> {
    ASSIGN_OR_RETURN(const std::vector<LivingLeg> legs, order.sid_wk ? ledger_.living(transaction, *order.sid_wk) : ledger_.living(transaction, order.uid));
    if (legs.empty()) return fail(ErrorCode::not_found, "no working key of " + deed.object + " lives at " + node_.identity().name);
    std::vector<LegOutcome> out;
    for (const LivingLeg& leg : legs) {
      LegOutcome one{.leg = leg, .to = {}, .why_not = {}, .destroyed = {}};
      const auto to = store::advance(store::KeyKind::working, leg.state, order.event, "working key " + leg.sid_wk.hex());
      if (!to) {
        one.why_not = to.error().message;
      } else if (*to == KeyState::destroyed) {
        ASSIGN_OR_RETURN(one.destroyed, ledger_.destroy(transaction, leg.sid_wk, leg.leg, {.by = by, .why = why, .at_ms = now}));
        one.to = *to;
      } else {
        TRY(ledger_.advance(transaction, leg.sid_wk, leg.leg, *to));
        one.to = *to;
      }
      out.push_back(std::move(one));
    }
    if (std::ranges::none_of(out, [](const LegOutcome& one) { return one.to.has_value(); })) return fail(ErrorCode::conflict, out.front().why_not);
    return Result<std::vector<LegOutcome>>(std::move(out));
  }));
  TRY(store_.settle());
  for (const LegOutcome& one : outcomes) agreement_.leg_changed(one.leg.sid_wk);
  wire::Json list = wire::Json::array();
  for (const LegOutcome& one : outcomes) {
    if (one.to) {
      TRY(node_.record({.action = "wk.ordered",
                        .outcome = audit::Outcome::success,
                        .subject = one.leg.uid.text(),
                        .object = one.leg.sid_wk.hex(),
                        .reason = (one.destroyed ? one.destroyed->reason(why) : why) + " by " + by,
                        .request_id = request.request_id}));
    }
    list.push(outcome_json(one));
  }
  return node::json_response(wire::Json::object({{"keys", std::move(list)}}));
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
