#include "services/kms/kim/key_draw.hpp"

#include "crypto/kdf.hpp"
#include "node/log.hpp"
#include "wire/injection.hpp"

namespace qanat::kms {
namespace {

constexpr std::chrono::milliseconds quantum_draw_max{1500};
constexpr std::string_view stock_label = "QFCI-v2 inj stock";

/// One key with its peer domain, as Km-3 delivers it: wrapped under the site key.
Result<Secret> take_one(node::Node& node, const crypto::SiteKey& site_key, const std::string& qkm, const std::string& domain, Deadline deadline,
                        const std::string& request_id) {
  const wire::Json question =
      wire::Json::object({{"peer_domain", domain}, {"sid_wk", to_hex(node.rng().bytes(SidWk::size))}, {"count", 1}, {"kms", node.identity().name}});
  ASSIGN_OR_RETURN(const wire::Json answer, node.call_json(points::Endpoint::km3_take, qkm, question, deadline, request_id));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> keys, answer.array("keys"));
  if (keys.size() != 1) return fail(ErrorCode::invalid_argument, "Km-3: " + std::to_string(keys.size()) + " keys where one was asked for");
  ASSIGN_OR_RETURN(const std::string id, keys.front().text("key_id"));
  ASSIGN_OR_RETURN(const KeyId key_id, KeyId::parse_hex(id));
  ASSIGN_OR_RETURN(const std::string grade, keys.front().text("grade"));
  if (grade != "qkd") return fail(ErrorCode::unavailable, "Km-3: key " + id + " is of grade " + grade);
  ASSIGN_OR_RETURN(const Bytes wrapped, keys.front().base64("key"));
  ASSIGN_OR_RETURN(Secret key, site_key.unwrap(concat({as_bytes("km-3"), key_id.view()}), wrapped));
  wire::Json ids = wire::Json::array();
  ids.push(id);
  const auto told = node.call_json(points::Endpoint::km3_done, qkm, wire::Json::object({{"key_ids", std::move(ids)}, {"used", true}}), deadline, request_id);
  if (!told) node::log(node::LogLevel::warning, "request {}: {}", request_id, told.error().message);  // it destroys delivered keys by itself
  return Result<Secret>(std::move(key));
}

}  // namespace

DrawQuantum quantum_from_qkm(node::Node& node, crypto::SiteKey site_key) {
  auto shared = std::make_shared<const crypto::SiteKey>(std::move(site_key));  // by the copies of the function
  return [&node, shared](Deadline deadline, const std::string& request_id) -> std::optional<Secret> {
    const auto qkm = node.peer_of(Kind::qkm, node.identity().domain);
    if (!qkm) return std::nullopt;
    const Deadline until = deadline.sooner_of(quantum_draw_max);
    for (const auto& [peer, target] : node.settings().peers) {
      if (target.expected.kind != Kind::kms || until.passed()) continue;
      auto key = take_one(node, *shared, *qkm, target.expected.domain, until, request_id);
      if (key) return std::optional(std::move(*key));
      node::log(node::LogLevel::warning, "request {}: no quantum key for a charge: {}", request_id, key.error().message);
    }
    return std::nullopt;
  };
}

Result<DrawnKeys> draw_keys(node::Node& node, const std::optional<Secret>& quantum, const wire::ChargeId& charge, std::size_t count) {
  const crypto::Hash hash = node.suite().hash;
  const Secret none(wire::charged_key_size);
  DrawnKeys out{.keys = {}, .origin = quantum ? wire::ChargeOrigin::quantum : wire::ChargeOrigin::device};
  for (std::size_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const Secret drawn, node.device().random(wire::charged_key_size));
    const Secret prk = crypto::hkdf_extract(hash, quantum ? *quantum : none, drawn);
    out.keys.push_back(
        crypto::hkdf_expand(hash, prk, {as_bytes(stock_label), charge.view(), wire::index_octets(static_cast<std::uint32_t>(i))}, wire::charged_key_size));
  }
  return Result<DrawnKeys>(std::move(out));
}

}  // namespace qanat::kms
