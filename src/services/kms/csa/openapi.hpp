// The CSA's interface as an OpenAPI 3.1 document, made from the tables that routes and requests are read by.
#pragma once

#include <cstdint>
#include <vector>

#include "wire/json.hpp"

namespace qanat::kms::csa {

/// Before which the CSA stands: the elements' own server, or the listener for software of others, which has fewer paths and refuses in its own way.
enum class Server : std::uint8_t { elements, foreign };

wire::Json openapi_document(Server server);
/// The statuses that a refusal of the CSA, or of the server before it, can have.
std::vector<unsigned> refusal_statuses(Server server);

}  // namespace qanat::kms::csa
