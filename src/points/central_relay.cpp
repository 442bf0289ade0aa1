#include "points/central_relay.hpp"

#include <algorithm>

#include "wire/base64.hpp"
#include "wire/writer.hpp"

namespace qanat::points {
namespace {

constexpr std::size_t runs_max = 128;
constexpr wire::Bounds text_bounds{.min = 1, .max = 64};

Result<std::string> read_name(const wire::Json& value) {
  ASSIGN_OR_RETURN(std::string text, value.as_text());
  if (text.empty() || text.size() > text_bounds.max) return fail(ErrorCode::invalid_argument, "a name must be 1 to 64 octets");
  return text;
}

wire::Json write_runs(std::span<const KeyRun> runs) {
  wire::Json out = wire::Json::array();
  for (const KeyRun& run : runs) {
    out.push(
        wire::Json::object({{"batch", run.batch.hex()}, {"first", static_cast<std::int64_t>(run.first)}, {"count", static_cast<std::int64_t>(run.count)}}));
  }
  return out;
}

Result<std::vector<KeyRun>> read_runs(const wire::Json& body, std::uint16_t keys) {
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, body.array("runs"));
  if (list.empty() || list.size() > runs_max) return fail(ErrorCode::invalid_argument, "runs: must be 1 to 128");
  std::vector<KeyRun> out;
  for (const wire::Json& entry : list) {
    TRY(entry.only({"batch", "first", "count"}));
    KeyRun run;
    ASSIGN_OR_RETURN(const std::string batch, entry.text("batch"));
    ASSIGN_OR_RETURN(run.batch, BatchId::parse_hex(batch));
    ASSIGN_OR_RETURN(const std::int64_t first, entry.integer("first", 0, central_keys_max - 1));
    ASSIGN_OR_RETURN(const std::int64_t count, entry.integer("count", 1, central_keys_max));
    run.first = static_cast<std::uint32_t>(first);
    run.count = static_cast<std::uint32_t>(count);
    out.push_back(run);
  }
  if (keys_in(out) != keys) return fail(ErrorCode::invalid_argument, "runs: are not as many keys as the relay has");
  return out;
}

wire::Json write_missing(const std::vector<BatchId>& missing) {
  wire::Json out = wire::Json::array();
  for (std::size_t i = 0; i < std::min(missing.size(), runs_max); ++i) out.push(missing[i].hex());
  return out;
}

Result<std::vector<BatchId>> read_missing(const wire::Json& body) {
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, body.texts("missing"));
  if (texts.empty() || texts.size() > runs_max) return fail(ErrorCode::invalid_argument, "missing: must be 1 to 128");
  std::vector<BatchId> out;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(const BatchId batch, BatchId::parse_hex(text));
    out.push_back(batch);
  }
  return out;
}

Result<KeyProof> read_proof_of(const wire::Json& body) {
  ASSIGN_OR_RETURN(const wire::Json proof, body.object("proof"));
  return read_proof(proof);
}

constexpr std::initializer_list<std::string_view> handover_members{"version", "relay_id", "origin_domain", "destination_domain", "path",
                                                                   "keys",    "demand",   "runs",          "proof",              "x"};
constexpr std::initializer_list<std::string_view> order_members{"version", "relay_id", "origin_domain", "destination_domain", "path",
                                                                "keys",    "demand",   "runs",          "proof",              "hop"};
constexpr std::initializer_list<std::string_view> notice_members{"version", "relay_id", "origin_domain", "destination_domain", "path", "keys", "demand", "hop", "missing"};

wire::Json write_relay(const CentralRelay& relay) {
  wire::Json path = wire::Json::array();
  for (const ElementName& node : relay.path) path.push(node.text());
  return wire::Json::object({{"version", central_version},
                             {"relay_id", relay.relay_id.hex()},
                             {"origin_domain", relay.origin_domain},
                             {"destination_domain", relay.destination_domain},
                             {"path", path},
                             {"keys", std::int64_t{relay.keys}},
                             {"demand", write(relay.demand)}});
}

Result<CentralRelay> read_relay(const wire::Json& body) {
  CentralRelay out;
  ASSIGN_OR_RETURN(const std::int64_t version, body.integer("version"));
  if (version != central_version) return fail(ErrorCode::invalid_argument, "version = " + std::to_string(version) + ": must be 2");
  ASSIGN_OR_RETURN(const std::string id, body.text("relay_id"));
  ASSIGN_OR_RETURN(out.relay_id, BatchId::parse_hex(id));
  ASSIGN_OR_RETURN(out.origin_domain, body.text("origin_domain"));
  ASSIGN_OR_RETURN(out.destination_domain, body.text("destination_domain"));
  for (const std::string* domain : {&out.origin_domain, &out.destination_domain}) {
    if (domain->empty() || domain->size() > text_bounds.max) return fail(ErrorCode::invalid_argument, "a domain must be 1 to 64 octets");
  }
  ASSIGN_OR_RETURN(const std::vector<wire::Json> nodes, body.array("path"));
  if (nodes.size() < 2 || nodes.size() > relay_nodes_max)
    return fail(ErrorCode::invalid_argument, "path: must be 2 to " + std::to_string(relay_nodes_max) + " nodes");
  for (const wire::Json& node : nodes) {
    ASSIGN_OR_RETURN(std::string text, read_name(node));
    ElementName name(std::move(text));
    if (std::ranges::find(out.path, name) != out.path.end()) return fail(ErrorCode::invalid_argument, "path: names " + name.text() + " twice");
    out.path.push_back(std::move(name));
  }
  ASSIGN_OR_RETURN(const std::int64_t keys, body.integer("keys", 1, central_keys_max));
  out.keys = static_cast<std::uint16_t>(keys);
  ASSIGN_OR_RETURN(const wire::Json demand, body.object("demand"));
  ASSIGN_OR_RETURN(out.demand, read_demand(demand));
  return out;
}

}  // namespace

wire::Json write(const CentralHandover& message) {
  wire::Json out = write_relay(message.relay);
  out.set("runs", write_runs(message.runs));
  out.set("proof", write(message.proof));
  out.set("x", wire::to_base64(message.x));
  return out;
}

wire::Json write(const CentralReportOrder& message) {
  wire::Json out = write_relay(message.relay);
  out.set("hop", std::int64_t{message.hop});
  out.set("runs", write_runs(message.runs));
  out.set("proof", write(message.proof));
  return out;
}

wire::Json write(const CentralReport& message) {
  if (!message.missing.empty()) return wire::Json::object({{"missing", write_missing(message.missing)}});
  return wire::Json::object({{"runs", write_runs(message.runs)}, {"proof", write(message.proof)}, {"x", wire::to_base64(message.x)}});
}

wire::Json write(const CentralNotice& message) {
  wire::Json out = write_relay(message.relay);
  out.set("hop", std::int64_t{message.hop});
  out.set("missing", write_missing(message.missing));
  return out;
}

wire::Json write(const CentralAnswer& message) {
  if (!message.missing.empty()) return wire::Json::object({{"hop", std::int64_t{message.hop}}, {"missing", write_missing(message.missing)}});
  return wire::Json::object({{"confirmation", wire::to_base64(message.confirmation)}, {"proof", write(message.proof)}});
}

Result<CentralHandover> read_central_handover(const wire::Json& body) {
  TRY(body.only(handover_members));
  CentralHandover out;
  ASSIGN_OR_RETURN(out.relay, read_relay(body));
  ASSIGN_OR_RETURN(out.runs, read_runs(body, out.relay.keys));
  ASSIGN_OR_RETURN(out.proof, read_proof_of(body));
  ASSIGN_OR_RETURN(out.x, body.base64("x"));
  return out;
}

Result<CentralReportOrder> read_central_report_order(const wire::Json& body) {
  TRY(body.only(order_members));
  CentralReportOrder out;
  ASSIGN_OR_RETURN(out.relay, read_relay(body));
  ASSIGN_OR_RETURN(const std::int64_t hop, body.integer("hop", 1, static_cast<std::int64_t>(out.relay.path.size()) - 2));
  out.hop = static_cast<std::uint8_t>(hop);
  ASSIGN_OR_RETURN(out.runs, read_runs(body, out.relay.keys));
  ASSIGN_OR_RETURN(out.proof, read_proof_of(body));
  return out;
}

Result<CentralNotice> read_central_notice(const wire::Json& body) {
  TRY(body.only(notice_members));
  CentralNotice out;
  ASSIGN_OR_RETURN(out.relay, read_relay(body));
  ASSIGN_OR_RETURN(const std::int64_t hop, body.integer("hop", 0, static_cast<std::int64_t>(out.relay.path.size()) - 2));
  out.hop = static_cast<std::uint8_t>(hop);
  ASSIGN_OR_RETURN(out.missing, read_missing(body));
  return out;
}

Result<CentralAnswer> read_central_answer(const wire::Json& body) {
  CentralAnswer out;
  if (body.has("missing")) {
    TRY(body.only({"hop", "missing"}));
    ASSIGN_OR_RETURN(const std::int64_t hop, body.integer("hop", 1, static_cast<std::int64_t>(relay_nodes_max) - 1));
    out.hop = static_cast<std::uint8_t>(hop);
    ASSIGN_OR_RETURN(out.missing, read_missing(body));
    return out;
  }
  TRY(body.only({"confirmation", "proof"}));
  ASSIGN_OR_RETURN(out.confirmation, body.base64("confirmation"));
  if (out.confirmation.size() != central_confirmation_size) return fail(ErrorCode::invalid_argument, "confirmation: is not 32 octets");
  ASSIGN_OR_RETURN(out.proof, read_proof_of(body));
  return out;
}

bool are_named(std::span<const BatchId> missing, std::span<const KeyRun> runs) {
  return std::ranges::all_of(missing, [&](const BatchId& batch) { return std::ranges::find(runs, batch, &KeyRun::batch) != runs.end(); });
}

Result<CentralReport> read_central_report(const wire::Json& body, std::uint16_t keys) {
  CentralReport out;
  if (body.has("missing")) {
    TRY(body.only({"missing"}));
    ASSIGN_OR_RETURN(out.missing, read_missing(body));
    return out;
  }
  TRY(body.only({"runs", "proof", "x"}));
  ASSIGN_OR_RETURN(out.runs, read_runs(body, keys));
  ASSIGN_OR_RETURN(out.proof, read_proof_of(body));
  ASSIGN_OR_RETURN(out.x, body.base64("x"));
  return out;
}

Bytes central_context(const CentralRelay& relay, std::uint8_t hop, std::span<const KeyRun> runs, const KeyProof& proof) {
  wire::Writer out;
  out.raw(as_bytes("qanat kq-2 x, 2"));
  out.raw(relay.relay_id.view());
  out.opaque("origin_domain", relay.origin_domain, text_bounds);
  out.opaque("destination_domain", relay.destination_domain, text_bounds);
  out.u8(static_cast<std::uint8_t>(relay.path.size()));
  for (const ElementName& node : relay.path) out.opaque("node", node.text(), text_bounds);
  out.u16(relay.keys);
  write(out, relay.demand);
  out.u8(hop);
  write(out, proof);
  for (const KeyRun& run : runs) {
    out.raw(run.batch.view());
    out.u32(run.first);
    out.u32(run.count);
  }
  auto octets = std::move(out).finish();
  // What the functions above have read is within the bounds; anything else has a context that nothing was sealed for.
  return octets ? *std::move(octets) : Bytes();
}

}  // namespace qanat::points
