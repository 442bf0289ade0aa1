#include "quantum/qkm/supply_handlers.hpp"

#include "node/recorded.hpp"
#include "wire/base64.hpp"

namespace qanat::qkm {
namespace {

constexpr std::chrono::milliseconds fetch_wait_max{2000};
constexpr std::chrono::milliseconds notice_max{5000};
constexpr std::size_t chain_identity_size = 32;  // octets

/// Somewhat before the request's own, so that the refusal arrives in time.
Deadline fetch_deadline(Deadline request) { return Deadline::after(std::min(fetch_wait_max, request.remaining() * 9 / 10)); }

Result<std::vector<KeyId>> read_key_ids(const wire::Json& body) {
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, body.texts("key_ids"));
  if (texts.empty() || texts.size() > keys_per_request_max) return fail(ErrorCode::invalid_argument, "key_ids: must be 1 to 64");
  std::vector<KeyId> out;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(const KeyId id, KeyId::parse_hex(text));
    out.push_back(id);
  }
  return out;
}

Result<void> read_demand(const wire::Json& quality, QualityDemand& out) {
  ASSIGN_OR_RETURN(out.proof, points::read_named_demand(quality));
  ASSIGN_OR_RETURN(const auto way, quality.optional_text("way"));
  if (!way) return {};
  if (*way != "hop_by_hop" && *way != "centralised") return fail(ErrorCode::invalid_argument, "way: must be hop_by_hop or centralised");
  out.ways = static_cast<std::uint8_t>(1U << static_cast<unsigned>(*way == "centralised" ? KeyWay::centralised : KeyWay::hop_by_hop));
  return {};
}

Result<Quality> read_quality(const wire::Json& body) {
  Quality out;
  if (!body.has("quality")) return out;
  ASSIGN_OR_RETURN(const wire::Json quality, body.object("quality"));
  TRY(quality.only({"paths", "relays_max", "bound", "eps_max", "photons", "way"}));
  if (quality.has("paths")) {
    ASSIGN_OR_RETURN(const std::int64_t paths, quality.integer("paths", 1, static_cast<std::int64_t>(paths_max)));
    out.paths = static_cast<std::size_t>(paths);
  }
  if (quality.has("relays_max")) {
    ASSIGN_OR_RETURN(const std::int64_t relays, quality.integer("relays_max", 0, static_cast<std::int64_t>(relay_nodes_max)));
    out.relays_max = static_cast<std::size_t>(relays);
  }
  TRY(read_demand(quality, out.demand));
  return out;
}

std::string_view kind_of(const RelayedKey& key) {
  if (key.relays() == 0) return "direct";
  return key.quality.way == KeyWay::centralised ? "centralised" : "hop_by_hop";
}

/// {"kind": "direct" | "hop_by_hop" | "centralised", "relays": n, "separate": k}
wire::Json describe_path(const RelayedKey& key, std::size_t separate) {
  return wire::Json::object({{"kind", kind_of(key)}, {"relays", key.relays()}, {"separate", static_cast<std::int64_t>(separate)}});
}

Result<KeySupply::Session> read_session(const wire::Json& body, const net::Request& request) {
  KeySupply::Session out;
  ASSIGN_OR_RETURN(out.peer_domain, body.text("peer_domain"));
  ASSIGN_OR_RETURN(const std::string sid_wk, body.text("sid_wk"));
  ASSIGN_OR_RETURN(out.sid_wk, SidWk::parse_hex(sid_wk));
  out.kms = request.peer.identity->uri();
  out.request_id = request.request_id;
  return out;
}

}  // namespace

Result<SiteWrapping> SiteWrapping::read(const std::filesystem::path& file) {
  if (file.empty()) return Result<SiteWrapping>(SiteWrapping{.key = crypto::SiteKey::from_secret(Secret(link_key_size)), .is_charged = false});
  ASSIGN_OR_RETURN(crypto::SiteKey key, crypto::SiteKey::read(file));
  return Result<SiteWrapping>(SiteWrapping{.key = std::move(key), .is_charged = true});
}

Result<void> SupplyHandlers::check_caller(const net::Request& request) const {
  if (request.peer.identity->domain == parts_.node.identity().domain) return {};
  return fail(ErrorCode::denied, "keys of domain " + parts_.node.identity().domain + " are for its own KMS");
}

Result<net::Response> SupplyHandlers::answer(std::span<const RelayedKey> keys) {
  wire::Json list = wire::Json::array();
  const std::size_t separate = separate_paths(keys);
  for (const RelayedKey& key : keys) {
    const Bytes wrapped = parts_.wrapping.key.wrap(concat({as_bytes("km-3"), key.id.view()}), key.key, parts_.node.rng());
    list.push(wire::Json::object({{"path_id", key.path_id().hex()},
                                  {"key_id", key.id.hex()},
                                  {"key", wire::to_base64(wrapped)},
                                  {"relays", key.relays()},
                                  {"proof", points::write(key.quality.proof)},
                                  {"path", describe_path(key, separate)},
                                  {"fetch_within_ms", static_cast<std::int64_t>(parts_.supply.fetch_within(key).count())},
                                  {"grade", parts_.wrapping.grade()}}));
  }
  return node::json_response(wire::Json::object({{"keys", list}}));
}

Result<net::Response> SupplyHandlers::take_keys(const net::Request& request, std::string& session_id) {
  TRY(check_caller(request));
  ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
  TRY(body.only({"peer_domain", "sid_wk", "count", "kms", "quality", "wait"}));
  ASSIGN_OR_RETURN(KeySupply::Session session, read_session(body, request));
  ASSIGN_OR_RETURN(session.quality, read_quality(body));
  ASSIGN_OR_RETURN(const auto waits, body.optional_boolean("wait"));
  session.waits = waits.value_or(false);
  session_id = session.sid_wk.hex();
  ASSIGN_OR_RETURN(const std::int64_t count, body.integer("count", 1, keys_per_request_max));
  ASSIGN_OR_RETURN(const std::string kms, body.text("kms"));
  if (session.quality.paths > 1 && static_cast<std::size_t>(count) != session.quality.paths)
    return fail(ErrorCode::invalid_argument, "count: keys over separate paths are one per path");
  if (kms != request.peer.identity->name) return fail(ErrorCode::denied, "kms: the caller is " + request.peer.identity->name);
  node::StepTrace::Timer timer(parts_.trace, 9);
  ASSIGN_OR_RETURN(const std::vector<RelayedKey> keys, parts_.supply.take(session, static_cast<std::size_t>(count), request.deadline));
  for (const RelayedKey& key : keys) timer.done(session_id, key.way);
  parts_.taken();
  return answer(keys);
}

Result<net::Response> SupplyHandlers::fetch_keys(const net::Request& request, std::string& session_id) {
  TRY(check_caller(request));
  ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
  TRY(body.only({"peer_domain", "key_ids", "sid_wk"}));
  ASSIGN_OR_RETURN(const KeySupply::Session session, read_session(body, request));
  session_id = session.sid_wk.hex();
  ASSIGN_OR_RETURN(const std::vector<KeyId> ids, read_key_ids(body));
  ASSIGN_OR_RETURN(const std::vector<RelayedKey> keys, parts_.supply.fetch(session, ids, fetch_deadline(request.deadline)));
  return answer(keys);
}

Result<net::Response> SupplyHandlers::take(const net::Request& request) {
  std::string session;
  auto answer = take_keys(request, session);
  return node::refusal_recorded(parts_.node, "km-3.take", request, session, std::move(answer));
}

Result<net::Response> SupplyHandlers::fetch(const net::Request& request) {
  std::string session;
  auto answer = fetch_keys(request, session);
  return node::refusal_recorded(parts_.node, "km-3.fetch", request, session, std::move(answer));
}

Result<net::Response> SupplyHandlers::done(const net::Request& request) {
  return node::recorded(parts_.node, "km-3.done", request, [&](node::Deed& deed) -> Result<net::Response> {
    TRY(check_caller(request));
    ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
    TRY(body.only({"key_ids", "used"}));
    ASSIGN_OR_RETURN(const std::vector<KeyId> ids, read_key_ids(body));
    ASSIGN_OR_RETURN(const bool used, body.boolean("used"));
    for (const KeyId& id : ids) deed.object += (deed.object.empty() ? "" : " ") + id.hex();
    TRY(parts_.supply.done(ids, used ? RelayedKeys::Use::confirmed : RelayedKeys::Use::unused));
    return net::Response{.status = 204, .content_type = "", .body = {}};
  });
}

Result<net::Response> SupplyHandlers::chain(const net::Request& request) {
  return node::recorded(parts_.node, "km-3.chain", request, [&](node::Deed&) -> Result<net::Response> {
    TRY(check_caller(request));
    ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
    TRY(body.only({"identity"}));
    ASSIGN_OR_RETURN(const std::string text, body.text("identity"));
    const auto identity = from_hex(text);
    if (!identity || identity->size() != chain_identity_size)
      return fail(ErrorCode::invalid_argument, "identity: must be " + std::to_string(2 * chain_identity_size) + " hexadecimal digits");
    TRY(parts_.node.expect_chained(request, *identity, parts_.wrapping.key.derive(concat({as_bytes("km-3 chain"), *identity}))));
    return net::Response{.status = 204, .content_type = "", .body = {}};
  });
}

Result<net::Response> SupplyHandlers::notice(const net::Request& request) {
  return node::refusal_recorded(parts_.node, "km-3.notice", request, "", await_stock(request));
}

Result<net::Response> SupplyHandlers::await_stock(const net::Request& request) {
  TRY(check_caller(request));
  const std::string domain(query_value(request.query, "peer_domain"));
  ASSIGN_OR_RETURN(const std::int64_t least, query_number(request.query, "least", 1, 1000000));
  const Deadline until = Deadline::after(std::min(notice_max, request.deadline.remaining() / 2));  // the answer has its way to go
  while (true) {
    const std::uint64_t seen = parts_.arrivals.count();
    ASSIGN_OR_RETURN(const std::int64_t stock, parts_.supply.stock(domain));
    if (stock >= least || until.passed() || parts_.node.stopping()) {
      return node::json_response(wire::Json::object({{"peer_domain", domain}, {"stock", stock}}));
    }
    parts_.arrivals.wait(seen, until.sooner_of(stop_look_every));
  }
}

}  // namespace qanat::qkm
