// Dx-1 between two agents: "take this key" and "this is in force, keep these". No key travels here, only ids.
#pragma once

#include <optional>
#include <vector>

#include "base/id.hpp"
#include "wire/json.hpp"

namespace qanat::terminal::gateway {

inline constexpr std::size_t tunnel_name_max = 32;  // [a-z0-9-]
inline constexpr std::size_t dx1_keys_max = 16;

bool is_tunnel_name(std::string_view text) noexcept;

/// dx1_key: {"tunnel", "key"}. The responder fetches the key and puts it into its gateway before it answers {}.
struct Dx1Key {
  std::string tunnel;
  KeyId key;
};
wire::Json write(const Dx1Key& message);
Result<Dx1Key> read_dx1_key(const wire::Json& body);

/// dx1_loaded: {"tunnel", "turn", "in_force"?, "keep"}. The responder forgets every other key.
struct Dx1Loaded {
  std::string tunnel;
  std::int64_t turn = 0;  // grows from message to message
  std::optional<KeyId> in_force;
  std::vector<KeyId> keep;
};
wire::Json write(const Dx1Loaded& message);
Result<Dx1Loaded> read_dx1_loaded(const wire::Json& body);

/// Its answer: {"loaded"}, what the responder's gateway holds.
wire::Json write_loaded(const std::vector<KeyId>& loaded);
Result<std::vector<KeyId>> read_loaded(const wire::Json& body);

}  // namespace qanat::terminal::gateway
