#include "services/kms/kim/key_draw.hpp"

#include "crypto/kdf.hpp"
#include "node/log.hpp"
#include "services/kms/kma/agreement.hpp"
#include "wire/injection.hpp"

namespace qanat::kms {
namespace {

constexpr std::chrono::milliseconds quantum_draw_max{1500};
constexpr std::string_view stock_label = "QFCI-v2 inj stock";

}  // namespace

DrawQuantum quantum_for_charges(node::Node& node, Agreement& agreement) {
  return [&node, &agreement](Deadline deadline, const std::string& request_id) -> std::optional<Secret> {
    const std::string& own = node.identity().domain;
    if (!node.peer_of(Kind::qkm, own)) return std::nullopt;
    const Deadline until = deadline.sooner_of(quantum_draw_max);
    for (const auto& [peer, target] : node.settings().peers) {
      if (target.expected.kind != Kind::kms || target.expected.domain == own || until.passed()) continue;
      auto drawn = agreement.draw(target.expected.domain, {.what_for = "charges", .session = node.rng().id<SidWk>()}, until, request_id);
      const bool good = drawn && drawn->keys.size() == 1 && drawn->quantum_grade;
      if (drawn) agreement.shares_done(drawn->refs, good ? Agreement::Fate::used : Agreement::Fate::unused, request_id);
      if (good) return std::optional(std::move(drawn->keys.front()));
      node::log(node::LogLevel::warning, "request {}: no quantum key for a charge: {}", request_id,
                drawn ? "none that travelled under a site key all the way" : std::string_view(drawn.error().message));
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
