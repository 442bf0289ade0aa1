// A user as it is answered: what was asked for, and what is always there.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "services/iam/web/scim_user.hpp"

namespace qanat::iam {

Result<ScimSelection> ScimSelection::parse(std::string_view attributes, std::string_view excluded) {
  ScimSelection out;
  if (!attributes.empty() && !excluded.empty()) {
    return fail(ErrorCode::invalid_argument, "invalidValue: attributes and excludedAttributes exclude each other");
  }
  out.sense_ = !attributes.empty() ? Sense::only : !excluded.empty() ? Sense::without : Sense::all;
  std::string_view rest = attributes.empty() ? excluded : attributes;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    std::string_view one = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    while (one.starts_with(' ')) one.remove_prefix(1);
    // A name that is none selects nothing.
    if (const auto field = find_scim_field(one)) out.named_.insert(*field);
  }
  return out;
}

bool ScimSelection::has(ScimField field) const {
  const auto part_of = [](ScimField whole, ScimField part) {
    if (whole == ScimField::emails) return part == ScimField::email_value || part == ScimField::email_type || part == ScimField::email_primary;
    if (whole == ScimField::name) return part == ScimField::name_formatted;
    return whole == ScimField::own && part == ScimField::domain;
  };
  const bool named = std::ranges::any_of(named_, [&](ScimField one) { return one == field || part_of(one, field); });
  if (sense_ == Sense::without) return !named;
  if (sense_ == Sense::all || named) return true;
  // The object around what was named.
  return std::ranges::any_of(named_, [&](ScimField one) { return part_of(field, one); });
}

wire::Json to_scim(const IdentityRecord& record, const std::string& location, const ScimSelection& selection) {
  // Always there: id and schemas (RFC 7643 §3.1, returned "always").
  wire::Json out = wire::Json::object({{"schemas", wire::Json::array({scim_user_schema, scim_own_schema})}, {"id", record.uid.text()}});
  if (selection.has(ScimField::user_name)) out.set("userName", record.user_name);
  if (selection.has(ScimField::external_id) && !record.external_id.empty()) out.set("externalId", record.external_id);
  if (!record.name.empty()) {
    if (selection.has(ScimField::display_name)) out.set("displayName", record.name);
    if (selection.has(ScimField::name_formatted)) out.set("name", wire::Json::object({{"formatted", record.name}}));
  }
  if (!record.mail.empty() && selection.has(ScimField::emails)) {
    wire::Json address = wire::Json::object();
    if (selection.has(ScimField::email_value)) address.set("value", record.mail);
    if (selection.has(ScimField::email_type)) address.set("type", "work");
    if (selection.has(ScimField::email_primary)) address.set("primary", true);
    out.set("emails", wire::Json::array({address}));
  }
  if (selection.has(ScimField::active)) out.set("active", record.standing == Standing::active);
  if (selection.has(ScimField::domain)) out.set(scim_own_schema, wire::Json::object({{"domain", record.domain}}));
  if (selection.has(ScimField::meta)) {
    out.set("meta", wire::Json::object({{"resourceType", "User"},
                                        {"created", scim_time(record.created_ms)},
                                        {"lastModified", scim_time(record.changed_ms)},
                                        {"location", location},
                                        {"version", scim_entity_tag(record.version)}}));
  }
  return out;
}

std::string scim_entity_tag(std::int64_t version) { return "W/\"" + std::to_string(version) + "\""; }

std::string scim_time(UnixMs time) {
  const std::chrono::sys_time<std::chrono::milliseconds> at{std::chrono::milliseconds(time)};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(at - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

}  // namespace qanat::iam
