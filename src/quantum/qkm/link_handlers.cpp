#include "quantum/qkm/link_handlers.hpp"

#include "node/crash_point.hpp"
#include "node/recorded.hpp"
#include "quantum/qkm/query.hpp"
#include "wire/writer.hpp"

namespace qanat::qkm {
namespace {

constexpr std::chrono::milliseconds poll_max{5000};
constexpr std::int64_t keys_per_block_max = 16384;
constexpr double rate_bps_max = 1e15;  // a controller takes no more
constexpr std::int64_t block_id_max = std::int64_t{1} << 53;

Bytes block_context(const LinkId& link, std::uint64_t block_id) {
  wire::Writer out;
  out.raw(as_bytes("kq-1"));
  out.raw(link.view());
  out.u64(block_id);
  return *std::move(out).finish();
}

Result<LinkReport> read_report(const wire::Json& report) {
  LinkReport out;
  ASSIGN_OR_RETURN(out.qber, report.number("qber"));
  ASSIGN_OR_RETURN(out.rate_bps, report.number("rate_bps"));
  if (!(out.rate_bps >= 0.0 && out.rate_bps <= rate_bps_max)) return fail(ErrorCode::invalid_argument, "report.rate_bps: must be between 0 and 1e15");
  ASSIGN_OR_RETURN(out.simulated, report.boolean("simulated"));
  ASSIGN_OR_RETURN(const auto loss, report.optional_number("loss_db"));
  out.loss_db = loss.value_or(0.0);
  ASSIGN_OR_RETURN(const auto bound, report.optional_text("bound"));
  ASSIGN_OR_RETURN(const auto eps_sec, report.optional_number("eps_sec"));
  ASSIGN_OR_RETURN(const auto eps_cor, report.optional_number("eps_cor"));
  out.proof = points::KeyProof::of_block(bound.value_or(""), eps_sec, eps_cor, out.simulated);
  return out;
}

}  // namespace

Result<const LinkSettings*> LinkHandlers::check_caller(const net::Request& request, const LinkId& link) const {
  const Identity& caller = *request.peer.identity;
  const auto settings = parts_.settings.links.find(link);
  if (settings == parts_.settings.links.end() || caller.name != settings->second.qkd.text() || caller.domain != parts_.node.identity().domain) {
    return fail(ErrorCode::denied, caller.name + " does not serve a link '" + link.text() + "' of this QKM");
  }
  return &settings->second;
}

Result<LinkHandlers::Incoming> LinkHandlers::read_block(const net::Request& request) const {
  ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
  TRY(body.only({"link", "block_id", "keys", "count", "report"}));
  Incoming out;
  ASSIGN_OR_RETURN(const std::string link, body.text("link"));
  out.block.link = LinkId(link);
  ASSIGN_OR_RETURN(const LinkSettings* settings, check_caller(request, out.block.link));
  out.block.peer = settings->peer;
  ASSIGN_OR_RETURN(const std::int64_t block_id, body.integer("block_id", 1, block_id_max));
  out.block.block_id = static_cast<std::uint64_t>(block_id);
  ASSIGN_OR_RETURN(const std::int64_t count, body.integer("count", 1, keys_per_block_max));
  ASSIGN_OR_RETURN(const Bytes wrapped, body.base64("keys"));
  ASSIGN_OR_RETURN(out.block.keys, parts_.wrapping.key.unwrap(block_context(out.block.link, out.block.block_id), wrapped));
  if (out.block.keys.size() != static_cast<std::size_t>(count) * link_key_size) return fail(ErrorCode::invalid_argument, "count: is not the number of keys");
  ASSIGN_OR_RETURN(const wire::Json report, body.object("report"));
  ASSIGN_OR_RETURN(out.report, read_report(report));
  out.block.proof = out.report.proof;
  return Result<Incoming>(std::move(out));
}

Result<net::Response> LinkHandlers::block(const net::Request& request) {
  return node::recorded(parts_.node, "kq-1.block", request, [&](node::Deed& deed) -> Result<net::Response> {
    ASSIGN_OR_RETURN(const Incoming incoming, read_block(request));
    deed.object = incoming.block.link.text() + "/" + std::to_string(incoming.block.block_id);
    ASSIGN_OR_RETURN(const std::uint64_t next, parts_.commits.transact([&](store::Transaction& transaction) -> Result<std::uint64_t> {
      TRY(parts_.link_keys.ingest(transaction, incoming.block, parts_.node.clock().now_ms()));
      return parts_.link_keys.next_block(transaction, incoming.block.link);
    }));
    node::crash_point("qkm.ingest.stored");
    parts_.links.set_report(incoming.block.link, incoming.report, parts_.node.clock().now_ms());
    parts_.arrivals.ring();
    TRY(refresh_stock());
    return node::json_response(wire::Json::object({{"next_block", next}}));
  });
}

Result<net::Response> LinkHandlers::control(const net::Request& request) {
  const LinkId link{std::string(query_value(request.query, "link"))};
  if (const auto known = check_caller(request, link); !known)
    return node::refusal_recorded(parts_.node, "kq-1.control", request, link.text(), Result<net::Response>(fail(known.error())));
  const bool have = query_value(request.query, "have") == "1";
  const Deadline until = Deadline::after(std::min(poll_max, request.deadline.remaining() / 2));  // the answer has its way to go
  while (true) {
    const bool run = parts_.links.await_run(link, have, until.sooner_of(stop_look_every), parts_.node.clock());
    if (run != have || until.passed() || parts_.node.stopping()) return node::json_response(wire::Json::object({{"run", run}}));
  }
}

Result<void> LinkHandlers::refresh_stock() {
  for (const auto& [link, settings] : parts_.settings.links) {
    ASSIGN_OR_RETURN(const LinkStock stock, parts_.commits.transact([&](store::Transaction& transaction) {
      return parts_.link_keys.stock(transaction, link, parts_.node.clock().now_ms());
    }));
    parts_.links.set_stock(link, stock);
  }
  return {};
}

}  // namespace qanat::qkm
