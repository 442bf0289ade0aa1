// From a connection to the SAE at its other end, and back to an HTTP answer: what the adapters have in common.
#pragma once

#include <optional>

#include "kme/sae_registry.hpp"
#include "net/foreign.hpp"

namespace qanat::kme {

/// The SAE of the connection's certificate; nothing if none of its names is served here.
std::optional<Caller> caller_of(const SaeRegistry& registry, const net::ForeignRequest& request);
/// A caller for the audit even if it is nobody's SAE.
Caller stranger(const net::ForeignRequest& request);

net::ForeignResponse json_answer(unsigned status, std::string_view text);

}  // namespace qanat::kme
