// The CSA's interface as an OpenAPI 3.1 document, made from the tables that routes and requests are read by.
#pragma once

#include <vector>

#include "wire/json.hpp"

namespace qanat::kms::csa {

wire::Json openapi_document();
/// The statuses that a refusal of the CSA, or of the server before it, can have.
std::vector<unsigned> refusal_statuses();

}  // namespace qanat::kms::csa
