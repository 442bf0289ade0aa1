#include "services/iam/web/scim_attributes.hpp"

#include <algorithm>
#include <array>

namespace qanat::iam {
namespace {

struct Named {
  std::string_view path;  // in lower case
  ScimField field;
};
constexpr std::array core_fields{
    Named{"id", ScimField::id},
    Named{"schemas", ScimField::schemas},
    Named{"username", ScimField::user_name},
    Named{"externalid", ScimField::external_id},
    Named{"displayname", ScimField::display_name},
    Named{"name", ScimField::name},
    Named{"name.formatted", ScimField::name_formatted},
    Named{"emails", ScimField::emails},
    Named{"emails.value", ScimField::email_value},
    Named{"emails.type", ScimField::email_type},
    Named{"emails.primary", ScimField::email_primary},
    Named{"emails.display", ScimField::not_kept},
    Named{"active", ScimField::active},
    Named{"meta", ScimField::meta},
};
/// Of RFC 7643 §4.1 and §4.3, with all that is in them: directories send them, the register has no place for them.
constexpr std::array not_kept_fields{
    std::string_view("name"),         std::string_view("nickname"),
    std::string_view("profileurl"),   std::string_view("title"),
    std::string_view("usertype"),     std::string_view("locale"),
    std::string_view("timezone"),     std::string_view("password"),
    std::string_view("phonenumbers"), std::string_view("preferredlanguage"),
    std::string_view("ims"),          std::string_view("photos"),
    std::string_view("addresses"),    std::string_view("groups"),
    std::string_view("entitlements"), std::string_view("roles"),
    std::string_view("x509certificates"),
};

/// What follows "urn:…:User:"; nothing if the path is of another schema.
std::optional<std::string_view> within(std::string_view path, std::string_view schema) {
  const std::string prefix = lower_case(schema) + ":";
  if (!path.starts_with(prefix)) return std::nullopt;
  return path.substr(prefix.size());
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::optional<ScimField> find_scim_field(std::string_view text) {
  const std::string whole = lower_case(text);
  if (whole == lower_case(scim_own_schema)) return ScimField::own;
  if (const auto own = within(whole, scim_own_schema)) return *own == "domain" ? std::optional(ScimField::domain) : std::nullopt;
  if (whole == lower_case(scim_enterprise_schema) || within(whole, scim_enterprise_schema)) return ScimField::not_kept;
  const std::string_view path = within(whole, scim_user_schema).value_or(whole);
  if (const auto found = std::ranges::find(core_fields, path, &Named::path); found != core_fields.end()) return found->field;
  const std::string_view first = path.substr(0, path.find('.'));
  if (first == "meta") return ScimField::meta;
  if (std::ranges::find(not_kept_fields, first) != not_kept_fields.end()) return ScimField::not_kept;
  return std::nullopt;
}

std::optional<ScimValue> scim_value(const IdentityRecord& record, ScimField field) {
  const auto text = [](const std::string& value) { return value.empty() ? std::nullopt : std::optional<ScimValue>(value); };
  switch (field) {
    case ScimField::id:
      return text(record.uid.text());
    case ScimField::user_name:
      return text(record.user_name);
    case ScimField::external_id:
      return text(record.external_id);
    case ScimField::display_name:
    case ScimField::name:
    case ScimField::name_formatted:
      return text(record.name);
    case ScimField::emails:
    case ScimField::email_value:
      return text(record.mail);
    case ScimField::email_type:
      return record.mail.empty() ? std::nullopt : std::optional<ScimValue>("work");
    case ScimField::email_primary:
      return record.mail.empty() ? std::nullopt : std::optional<ScimValue>(true);
    case ScimField::active:
      return record.standing == Standing::active;
    case ScimField::own:
    case ScimField::domain:
      return text(record.domain);
    case ScimField::meta:
    case ScimField::schemas:
    case ScimField::not_kept:
      return std::nullopt;
  }
  return std::nullopt;
}

bool is_case_exact(ScimField field) noexcept { return field == ScimField::id || field == ScimField::external_id || field == ScimField::domain; }

}  // namespace qanat::iam
