// The attributes of a SCIM User (RFC 7643 §4.1) that this service keeps, those that it knows and does not keep, and what a record of the register says under
// each. Names are compared without regard to case (RFC 7643 §2.1).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "services/iam/idm/identity_record.hpp"

namespace qanat::iam {

inline constexpr std::string_view scim_user_schema = "urn:ietf:params:scim:schemas:core:2.0:User";
inline constexpr std::string_view scim_own_schema = "urn:qanat:scim:schemas:2.0:User";  // domain
inline constexpr std::string_view scim_enterprise_schema = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

enum class ScimField : std::uint8_t {
  id,
  meta,  // and what is in it
  schemas,
  user_name,
  external_id,
  display_name,
  name,            // {"formatted"}
  name_formatted,  // the same text as displayName
  emails,          // [{"value", "type": "work", "primary": true}], one at most
  email_value,
  email_type,
  email_primary,
  active,
  own,     // the object of scim_own_schema
  domain,  // in it
  not_kept,
};

/// By its path: "userName", "emails.value", "urn:…:User:userName". Nothing for a name that is none.
std::optional<ScimField> find_scim_field(std::string_view path);
/// ASCII letters in lower case.
std::string lower_case(std::string_view text);

/// What the register has under a field that holds one value; nothing if it has none.
using ScimValue = std::variant<std::string, bool>;
std::optional<ScimValue> scim_value(const IdentityRecord& record, ScimField field);
/// Whether texts in it differ by their case (RFC 7643 §7, caseExact).
bool is_case_exact(ScimField field) noexcept;

}  // namespace qanat::iam
