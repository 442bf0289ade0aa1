#include "quantum/qkdnc/routing.hpp"

#include <algorithm>
#include <array>

#include "crypto/kdf.hpp"

namespace qanat::qkdnc {
namespace {

constexpr std::int64_t hop_cost = 1000;
constexpr std::int64_t stock_plenty = 64;     // keys; from here on more makes no difference
constexpr std::int64_t shortage_cost = 2000;  // of a stock of nothing; two hops round it are worth as much
constexpr std::int64_t not_alive_cost = 500;
constexpr std::int64_t unusable_cost = 1000000;  // more than any path of usable links
constexpr std::int64_t keys_per_relay = 2;
constexpr double key_bits = 256.0;
static_assert(static_cast<std::int64_t>(path_nodes_max) * (hop_cost + shortage_cost + not_alive_cost) < unusable_cost);

constexpr std::array<std::string_view, 3> priority_names{"background", "normal", "urgent"};

}  // namespace

std::string_view name(Priority priority) noexcept { return priority_names.at(static_cast<std::size_t>(priority)); }

Result<Priority> priority_from_name(std::string_view text) {
  const auto found = std::ranges::find(priority_names, text);
  if (found == priority_names.end()) return fail(ErrorCode::invalid_argument, "priority: must be background, normal or urgent");
  return static_cast<Priority>(found - priority_names.begin());
}

bool is_usable(const LinkState& link) { return link.alive || link.stock >= keys_per_relay; }

std::int64_t cost_of(const LinkState& link) {
  const std::int64_t stock = std::clamp<std::int64_t>(link.stock, 0, stock_plenty);
  return hop_cost + shortage_cost * (stock_plenty - stock) / stock_plenty + (link.alive ? 0 : not_alive_cost) +
         (link.stock < keys_per_relay ? unusable_cost : 0);
}

double relays_per_second(const LinkState& link) { return link.rate_bps / (2.0 * key_bits); }

PathId path_id_of(std::span<const ElementName> path) {
  Bytes names;
  for (const ElementName& node : path) {
    names.push_back(static_cast<std::uint8_t>(node.text().size()));
    append(names, node.view());
  }
  return PathId(ByteView(crypto::digest(crypto::Hash::sha256, names)).first(PathId::size));
}

}  // namespace qanat::qkdnc
