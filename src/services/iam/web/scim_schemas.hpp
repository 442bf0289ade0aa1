// What this SCIM service says of itself (RFC 7643 §5 to §7): its configuration, its one type of resource, and the attributes of it that it keeps.
#pragma once

#include "wire/json.hpp"

namespace qanat::iam {

inline constexpr std::int64_t scim_results_max = 200;  // users in one answer

/// `base`: the URL of the service, "https://iam.example:8443/scim/v2", or its path.
wire::Json scim_provider_config(const std::string& base);
wire::Json scim_resource_types(const std::string& base);
wire::Json scim_schemas(const std::string& base);
/// Of a list, the member with this id; not_found if there is none.
Result<wire::Json> scim_member(const wire::Json& list, const std::string& id);
/// RFC 7644 §3.4.2.
wire::Json scim_list(std::vector<wire::Json> resources, std::int64_t total, std::int64_t start);

}  // namespace qanat::iam
