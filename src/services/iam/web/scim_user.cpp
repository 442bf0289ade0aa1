#include "services/iam/web/scim_user.hpp"

#include <algorithm>

namespace qanat::iam {
namespace {

std::unexpected<Error> refuse(std::string_view type, const std::string& detail) { return fail(ErrorCode::invalid_argument, std::string(type) + ": " + detail); }

Result<std::string> text_value(const wire::Json& value, std::string_view what) {
  const auto text = value.as_text();
  if (!text) return refuse("invalidValue", std::string(what) + " must be a text");
  return *text;
}

/// true and false, and the texts that some directories send in their place.
Result<bool> truth_value(const wire::Json& value, std::string_view what) {
  if (const auto truth = value.as_boolean()) return *truth;
  const std::string text = lower_case(value.as_text().value_or(""));
  if (text == "true") return true;
  if (text == "false") return false;
  return refuse("invalidValue", std::string(what) + " must be true or false");
}

/// The member of an object under this name, whatever its case.
std::optional<wire::Json> member(const wire::Json& object, std::string_view name) {
  for (const std::string& one : object.names()) {
    if (lower_case(one) == name) return object.at(one).value();
  }
  return std::nullopt;
}

/// The address out of [{"value", "primary"}…], one such object, or the text alone: the primary one, or the first.
Result<std::string> address_in(const wire::Json& value) {
  if (const auto text = value.as_text()) return *text;
  std::vector<wire::Json> list{value};
  if (value.is_array()) list = value.as_array().value();
  std::optional<std::string> out;
  for (const wire::Json& one : list) {
    if (!one.is_object()) return refuse("invalidValue", "emails must be a list of objects");
    const auto address = member(one, "value");
    if (!address) continue;
    ASSIGN_OR_RETURN(std::string text, text_value(*address, "emails.value"));
    const auto primary = member(one, "primary");
    if (!out || (primary && truth_value(*primary, "emails.primary").value_or(false))) out = std::move(text);
  }
  return out.value_or("");
}

enum class Op : std::uint8_t { add, replace, remove };

Result<void> set_name(ScimUser& user, const wire::Json& value) {
  if (!value.is_object()) return refuse("invalidValue", "name must be an object");
  if (const auto formatted = member(value, "formatted")) {
    ASSIGN_OR_RETURN(user.display_name, text_value(*formatted, "name.formatted"));
  }
  return {};
}

Result<void> set_field(ScimUser& user, ScimField field, const wire::Json& value);

Result<void> set_own(ScimUser& user, const wire::Json& value) {
  if (!value.is_object()) return refuse("invalidValue", std::string(scim_own_schema) + " must be an object");
  for (const std::string& name : value.names()) {
    const auto field = find_scim_field(std::string(scim_own_schema) + ":" + name);
    if (!field) return refuse("invalidSyntax", "there is no attribute '" + name.substr(0, 64) + "' in " + std::string(scim_own_schema));
    TRY(set_field(user, *field, value.at(name).value()));
  }
  return {};
}

Result<void> set_text(std::string& out, const wire::Json& value, std::string_view what) {
  ASSIGN_OR_RETURN(out, text_value(value, what));
  return {};
}

Result<void> set_field(ScimUser& user, ScimField field, const wire::Json& value) {
  switch (field) {
    case ScimField::user_name:
      return set_text(user.user_name, value, "userName");
    case ScimField::external_id:
      return set_text(user.external_id, value, "externalId");
    case ScimField::display_name:
    case ScimField::name_formatted:
      return set_text(user.display_name, value, "displayName");
    case ScimField::domain:
      return set_text(user.domain, value, "domain");
    case ScimField::name:
      return set_name(user, value);
    case ScimField::emails:
    case ScimField::email_value: {
      ASSIGN_OR_RETURN(user.mail, address_in(value));
      return {};
    }
    case ScimField::active: {
      ASSIGN_OR_RETURN(user.active, truth_value(value, "active"));
      return {};
    }
    case ScimField::own:
      return set_own(user, value);
    case ScimField::email_type:
    case ScimField::email_primary:
    case ScimField::not_kept:
      return {};
    case ScimField::id:
    case ScimField::meta:
    case ScimField::schemas:
      break;
  }
  return refuse("mutability", "id, meta and schemas are the service's own to say");
}

Result<void> remove_field(ScimUser& user, ScimField field) {
  switch (field) {
    case ScimField::external_id:
      user.external_id.clear();
      return {};
    case ScimField::display_name:
    case ScimField::name:
    case ScimField::name_formatted:
      user.display_name.clear();
      return {};
    case ScimField::emails:
    case ScimField::email_value:
      user.mail.clear();
      return {};
    case ScimField::email_type:
    case ScimField::email_primary:
    case ScimField::not_kept:
      return {};
    case ScimField::user_name:
    case ScimField::active:
    case ScimField::own:
    case ScimField::domain:
      return refuse("invalidValue", "userName, active and the domain are not removed");
    case ScimField::id:
    case ScimField::meta:
    case ScimField::schemas:
      break;
  }
  return refuse("mutability", "id, meta and schemas are the service's own to say");
}

Result<Op> read_op(const wire::Json& operation) {
  const auto name = member(operation, "op");
  const std::string op = name ? lower_case(name->as_text().value_or("")) : "";
  if (op == "add") return Op::add;
  if (op == "replace") return Op::replace;
  if (op == "remove") return Op::remove;
  return refuse("invalidSyntax", "op must be add, replace or remove");
}

/// Without a path: the value is an object of attributes, each under its path.
Result<void> apply_object(ScimUser& user, const wire::Json& value) {
  if (!value.is_object()) return refuse("invalidSyntax", "without a path the value must be an object");
  for (const std::string& name : value.names()) {
    if (lower_case(name) == "schemas") continue;
    const auto field = find_scim_field(name);
    if (!field) return refuse("invalidPath", "there is no attribute '" + name.substr(0, 64) + "'");
    TRY(set_field(user, *field, value.at(name).value()));
  }
  return {};
}

Result<void> apply(ScimUser& user, const IdentityRecord& record, const wire::Json& operation) {
  if (!operation.is_object()) return refuse("invalidSyntax", "an operation must be an object");
  ASSIGN_OR_RETURN(const Op op, read_op(operation));
  const auto at = member(operation, "path");
  const auto value = member(operation, "value");
  if (op != Op::remove && !value) return refuse("invalidSyntax", "add and replace have a value");
  if (!at) {
    if (op == Op::remove) return refuse("noTarget", "remove has a path");
    return apply_object(user, *value);
  }
  const auto text = at->as_text();
  if (!text) return refuse("invalidPath", "path must be a text");
  ASSIGN_OR_RETURN(const ScimPath path, parse_scim_path(*text));
  // What an earlier operation of this PATCH made of the user is what the path looks at.
  const bool there = !path.which || path.which->matches(with_user(record, user));
  if (op == Op::remove) return there ? remove_field(user, path.field) : Result<void>();
  if (there) return set_field(user, path.field, *value);
  // RFC 7644 §3.5.2.1: what is added may be new, if it is then what the path says.
  ScimUser with_it = user;
  const bool is_new = op == Op::add && user.mail.empty();
  if (is_new) TRY(set_field(with_it, path.field, *value));
  if (!is_new || !path.which->matches(with_user(record, with_it))) return refuse("noTarget", "nothing of this user is at '" + text->substr(0, 64) + "'");
  user = std::move(with_it);
  return {};
}

}  // namespace

ScimUser scim_user_of(const IdentityRecord& record) {
  return {.user_name = record.user_name,
          .display_name = record.name,
          .mail = record.mail,
          .external_id = record.external_id,
          .domain = record.domain,
          .active = record.standing == Standing::active};
}

IdentityRecord with_user(IdentityRecord record, const ScimUser& user) {
  record.user_name = user.user_name;
  record.name = user.display_name;
  record.mail = user.mail;
  record.external_id = user.external_id;
  record.domain = user.domain;
  record.standing = user.active ? Standing::active : Standing::suspended;
  return record;
}

Result<ScimUser> read_scim_user(const wire::Json& body, const ScimUser& before) {
  if (!body.is_object()) return refuse("invalidSyntax", "the body must be an object");
  const auto schemas = member(body, "schemas");
  const auto list = schemas ? schemas->as_array() : Result<std::vector<wire::Json>>(fail(ErrorCode::invalid_argument, ""));
  if (!list || std::ranges::none_of(*list, [](const wire::Json& one) { return one.as_text().value_or("") == scim_user_schema; })) {
    return refuse("invalidSyntax", "schemas must name " + std::string(scim_user_schema));
  }
  ScimUser out{.domain = before.domain, .active = before.active};
  for (const std::string& name : body.names()) {
    const auto field = find_scim_field(name);
    if (!field) return refuse("invalidSyntax", "there is no attribute '" + name.substr(0, 64) + "'");
    // RFC 7644 §3.3 and §3.5.1: what is read-only is read over.
    if (*field == ScimField::id || *field == ScimField::meta || *field == ScimField::schemas) continue;
    const wire::Json value = body.at(name).value();
    if (*field == ScimField::name && !out.display_name.empty()) continue;  // the same text by its other name
    if (value.is_null()) continue;                                         // RFC 7643 §2.5: as if it were not there
    TRY(set_field(out, *field, value));
  }
  TRY(check_scim_user(out));
  return out;
}

Result<void> check_scim_user(const ScimUser& user) {
  const auto readable = [](const std::string& text) {
    return text.size() <= identity_text_max && std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; });
  };
  for (const auto& [name, text] : {std::pair<std::string_view, const std::string*>{"userName", &user.user_name},
                                   {"displayName", &user.display_name},
                                   {"emails.value", &user.mail},
                                   {"externalId", &user.external_id}}) {
    if (!readable(*text))
      return refuse("invalidValue", std::string(name) + ": at most " + std::to_string(identity_text_max) + " octets, no control characters");
  }
  if (user.user_name.empty()) return refuse("invalidValue", "userName is required");
  return {};
}

Result<ScimUser> patched(const IdentityRecord& record, const wire::Json& body) {
  if (!body.is_object()) return refuse("invalidSyntax", "the body must be an object");
  const auto schemas = member(body, "schemas");
  const auto names = schemas ? schemas->as_array() : Result<std::vector<wire::Json>>(fail(ErrorCode::invalid_argument, ""));
  if (!names || std::ranges::none_of(*names, [](const wire::Json& one) { return one.as_text().value_or("") == scim_patch_schema; })) {
    return refuse("invalidSyntax", "schemas must name " + std::string(scim_patch_schema));
  }
  const auto operations = member(body, "operations");
  if (!operations || !operations->is_array()) return refuse("invalidSyntax", "Operations must be a list");
  const std::vector<wire::Json> list = operations->as_array().value();
  if (list.empty() || list.size() > scim_operations_max)
    return refuse("invalidSyntax", "Operations must have 1 to " + std::to_string(scim_operations_max) + " members");
  ScimUser out = scim_user_of(record);
  for (const wire::Json& one : list) TRY(apply(out, record, one));
  TRY(check_scim_user(out));
  return out;
}

}  // namespace qanat::iam
