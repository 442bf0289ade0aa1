#include "services/kms/kma/history_desk.hpp"

#include "node/recorded.hpp"
#include "services/kms/kma/charging_records.hpp"

namespace qanat::kms {
namespace {

constexpr std::chrono::seconds pause_after_failure{30};

wire::Json to_json(const HistorySegment& one) {
  return wire::Json::object({{"segment", one.head.number},
                             {"file", one.head.file_name()},
                             {"front_end", one.front_end},
                             {"began_ms", one.began_ms},
                             {"grown_ms", one.grown_ms},
                             {"keys", one.extent.records},
                             {"octets", one.extent.octets},
                             {"previous", to_hex(one.head.previous)},
                             {"sha256", to_hex(one.extent.digest)}});
}

}  // namespace

HistoryDesk::HistoryDesk(node::Node& node, store::Store& store, Ledger& ledger, const KmsSettings& settings)
    : node_(node),
      store_(store),
      ledger_(ledger),
      history_(store, ledger,
               {.folder = node.settings().state / "archive",
                .kms = node.identity().name,
                .front_end = node.settings().store ? std::to_string(node.settings().store->front_end) : "",
                .retention_ms = static_cast<UnixMs>(std::chrono::milliseconds(settings.history_retention).count())}) {}

Result<void> HistoryDesk::keep_up() {
  const auto now = std::chrono::steady_clock::now();
  if (now < not_before_) return {};
  const auto owed = node_.rng().id<OwedId>();
  not_before_ = now + pause_after_failure;
  ASSIGN_OR_RETURN(const KeyHistory::Moved moved, history_.archive(node_.clock().now_ms(), owed));
  not_before_ = now;
  return moved.owes ? pay_records(node_, store_, owed) : Result<void>();
}

void HistoryDesk::describe(wire::Json& body) {
  if (const auto census = store_.transact([&](store::Transaction& transaction) { return ledger_.census(transaction); })) {
    wire::Json states = wire::Json::object();
    for (std::size_t i = 0; i < census->size(); ++i) states.set(store::name(store::all_key_states[i]), (*census)[i]);
    body.set("working_keys", states);
    body.set("working_keys_counted_to", Ledger::census_max);
  }
  if (const auto newest = store_.look([](store::Transaction& transaction) { return newest_segment(transaction); })) {
    body.set("archive", wire::Json::object({{"keys", *newest ? (*newest)->keys : 0}, {"segments", *newest ? (*newest)->head.number : 0}}));
  }
}

Result<net::Response> HistoryDesk::answer(const net::Request& request) {
  return node::recorded(node_, "x-5.archive", request, [&](node::Deed& deed) -> Result<net::Response> {
    ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
    TRY(json.only({"after", "sid_wk"}));
    if (json.has("after") == json.has("sid_wk")) return fail(ErrorCode::invalid_argument, "either after or sid_wk says what is asked for");
    if (json.has("after")) {
      ASSIGN_OR_RETURN(const std::int64_t after, json.integer("after", 0, INT64_MAX));
      deed.object = "segments after " + std::to_string(after);
      ASSIGN_OR_RETURN(const wire::Json out, segments(after));
      return node::json_response(out);
    }
    ASSIGN_OR_RETURN(const std::string hex, json.text("sid_wk"));
    ASSIGN_OR_RETURN(const SidWk sid_wk, SidWk::parse_hex(hex));
    deed.object = sid_wk.hex();
    ASSIGN_OR_RETURN(const wire::Json out, keys(sid_wk));
    return node::json_response(out);
  });
}

Result<wire::Json> HistoryDesk::segments(std::int64_t after) {
  ASSIGN_OR_RETURN(const std::vector<HistorySegment> page, store_.look([&](store::Transaction& transaction) { return list_segments(transaction, after); }));
  wire::Json list = wire::Json::array();
  for (const HistorySegment& one : page) list.push(to_json(one));
  wire::Json out = wire::Json::object({{"segments", std::move(list)}});
  if (std::ssize(page) == segments_per_page) out.set("next", page.back().head.number);
  return out;
}

Result<wire::Json> HistoryDesk::keys(const SidWk& sid_wk) {
  ASSIGN_OR_RETURN(const std::vector<ArchivedKey> found, store_.look([&](store::Transaction& transaction) { return find_archived(transaction, sid_wk); }));
  if (found.empty()) return fail(ErrorCode::not_found, "session " + sid_wk.hex() + " is not in the archive of " + node_.identity().name);
  wire::Json list = wire::Json::array();
  for (const ArchivedKey& one : found) {
    const std::string name = one.segment.head.file_name();
    wire::Json entry = wire::Json::object({{"leg", leg_name(one.leg)}, {"file", name}, {"front_end", one.segment.front_end}, {"place", one.place}});
    const auto line = line_of_segment(history_.folder() / name, one.place);
    if (!line && line.error().code != ErrorCode::not_found) return fail(line.error());
    if (line) {
      const auto key = wire::Json::parse(std::string_view(*line));
      if (!key || key->text("sid_wk").value_or("") != sid_wk.hex() || key->text("leg").value_or("") != leg_name(one.leg))
        return fail(ErrorCode::internal, name + ": has another key at octet " + std::to_string(one.place) + ": `qanat kms verify-archive` says what is wrong");
      entry.set("key", *key);
    }
    list.push(std::move(entry));
  }
  return wire::Json::object({{"keys", std::move(list)}});
}

}  // namespace qanat::kms
