// A SCIM User (RFC 7643 §4.1) read, written, and changed by PATCH (RFC 7644 §3.5.2); pure. What is refused is invalid_argument, and its message begins with the
// scimType (RFC 7644 §3.12): "invalidPath: …".
#pragma once

#include <set>
#include <string>
#include <vector>

#include "services/iam/idm/identity_record.hpp"
#include "services/iam/web/scim_filter.hpp"
#include "wire/json.hpp"

namespace qanat::iam {

inline constexpr std::string_view scim_patch_schema = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
inline constexpr std::size_t scim_operations_max = 64;  // of one PATCH

/// What a client may say of a user.
struct ScimUser {
  std::string user_name = {};
  std::string display_name = {};
  std::string mail = {};
  std::string external_id = {};
  std::string domain = {};
  bool active = true;
  bool operator==(const ScimUser&) const = default;
};
ScimUser scim_user_of(const IdentityRecord& record);
/// The record with what the user says; the rest as it is.
IdentityRecord with_user(IdentityRecord record, const ScimUser& user);

/// The body of POST and PUT: what is not in it is empty, except for `active` and the domain, which stay as in `before`.
Result<ScimUser> read_scim_user(const wire::Json& body, const ScimUser& before);
/// A user that may be kept: texts within their bounds, a name to log in with. The domain is the register's to check.
Result<void> check_scim_user(const ScimUser& user);

/// The operations of a PATCH body, in their order, on `before`: all or none.
Result<ScimUser> patched(const IdentityRecord& record, const wire::Json& body);

/// Which attributes of a user are answered (RFC 7644 §3.9).
class ScimSelection {
 public:
  /// Lists of paths, separated by commas; one of them at most.
  static Result<ScimSelection> parse(std::string_view attributes, std::string_view excluded);
  [[nodiscard]] bool has(ScimField field) const;

 private:
  std::set<ScimField> named_;
  enum class Sense : std::uint8_t { all, only, without };
  Sense sense_ = Sense::all;
};
/// `location`: the URL of the user.
wire::Json to_scim(const IdentityRecord& record, const std::string& location, const ScimSelection& selection);

/// W/"3" (RFC 7644 §3.14).
std::string scim_entity_tag(std::int64_t version);
/// "2027-01-15T08:00:00.000Z".
std::string scim_time(UnixMs time);

}  // namespace qanat::iam
