#include "services/iam/web/scim.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "net/http.hpp"
#include "node/subscriber.hpp"
#include "services/iam/web/form.hpp"
#include "services/iam/web/scim_schemas.hpp"

namespace qanat::iam {
namespace {

constexpr std::string_view scim_type = "application/scim+json";
constexpr std::string_view error_schema = "urn:ietf:params:scim:api:messages:2.0:Error";
constexpr std::array error_types{std::string_view("invalidFilter"), std::string_view("invalidSyntax"), std::string_view("invalidPath"),
                                 std::string_view("noTarget"),      std::string_view("invalidValue"),  std::string_view("mutability"),
                                 std::string_view("uniqueness")};
constexpr std::string_view stale = "preconditionFailed";
constexpr std::string_view narrow = "insufficient_scope";  // RFC 6750 §3.1
constexpr std::string_view no_token = "an access token is wanted: Authorization: Bearer";  // no error: nothing was shown (RFC 6750 §3.1)
constexpr std::size_t uid_stem_max = 48;
constexpr int uid_attempts_max = 100;
constexpr std::int64_t page_of_register = 200;

WebAnswer answer_with(unsigned status, wire::Json body) { return {.status = status, .body = std::move(body), .content_type = std::string(scim_type)}; }

/// "W/"3"", ""3"" or "*", alone or in a list (RFC 9110 §13.1).
bool names_version(std::string_view tags, std::int64_t version) {
  const std::string weak = scim_entity_tag(version);
  const std::string strong = weak.substr(2);
  while (!tags.empty()) {
    const std::size_t comma = tags.find(',');
    std::string_view one = tags.substr(0, comma);
    tags = comma == std::string_view::npos ? std::string_view() : tags.substr(comma + 1);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one == "*" || one == weak || one == strong) return true;
  }
  return false;
}

/// A uid that can be read, out of the directory's name: "wang.li@example.com" → "wang.li".
std::string uid_stem(std::string_view user_name) {
  std::string out(user_name.substr(0, std::min(user_name.find('@'), uid_stem_max)));
  for (char& c : out) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!fits) c = '-';
  }
  return out.empty() ? "person" : out;
}

Result<std::int64_t> number_of(const std::map<std::string, std::string>& query, const std::string& name, std::int64_t absent, std::int64_t min,
                               std::int64_t max) {
  const auto found = query.find(name);
  if (found == query.end()) return absent;
  std::int64_t out = 0;
  const std::string& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return fail(ErrorCode::invalid_argument, "invalidValue: " + name + " must be a number");
  return std::clamp(out, min, max);
}

std::string text_in_query(const std::map<std::string, std::string>& query, const std::string& name) {
  const auto found = query.find(name);
  return found == query.end() ? std::string() : found->second;
}

Result<ScimSelection> selection_in(const std::map<std::string, std::string>& query) {
  return ScimSelection::parse(text_in_query(query, "attributes"), text_in_query(query, "excludedAttributes"));
}

Result<std::map<std::string, std::string>> read_scim_query(const std::string& query) {
  auto out = read_form(query);
  if (!out) return fail(ErrorCode::invalid_argument, "invalidValue: " + out.error().message);
  return out;
}

Result<wire::Json> read_body(std::string_view body) {
  auto out = wire::Json::parse(body);
  if (!out) return fail(ErrorCode::invalid_argument, "invalidSyntax: " + out.error().message);
  return out;
}

}  // namespace

WebAnswer scim_refusal(unsigned status, std::string_view why) {
  return answer_with(status,
                     wire::Json::object({{"schemas", wire::Json::array({wire::Json(error_schema)})}, {"status", std::to_string(status)}, {"detail", why}}));
}

WebAnswer scim_error(const Error& error) {
  // What failed inside is nobody's business outside.
  std::string detail = error.code == ErrorCode::internal ? "internal error" : error.message;
  unsigned status = net::http_status(error.code);
  wire::Json body = wire::Json::object({{"schemas", wire::Json::array({wire::Json(error_schema)})}});
  const std::size_t colon = detail.find(": ");
  const std::string type = colon == std::string::npos ? std::string() : detail.substr(0, colon);
  if (type == stale) status = 412;
  if (std::ranges::find(error_types, type) != error_types.end()) body.set("scimType", type);
  if (body.has("scimType") || type == stale || type == narrow) detail.erase(0, colon + 2);
  body.set("status", std::to_string(status)).set("detail", detail);
  WebAnswer out = answer_with(status, std::move(body));
  if (status == 401) out.fields.emplace_back("WWW-Authenticate", error.message == no_token ? "Bearer realm=\"scim\"" : "Bearer error=\"invalid_token\"");
  if (type == narrow) out.fields.emplace_back("WWW-Authenticate", "Bearer error=\"insufficient_scope\"");
  return out;
}

namespace {

/// The document of this id, or the list of them if it is empty.
WebAnswer one_or_all(const wire::Json& all, const std::string& id) {
  if (!id.empty()) {
    const auto one = scim_member(all, id);
    return one ? answer_with(200, *one) : scim_error(one.error());
  }
  auto list = all.as_array().value();
  const auto count = std::ssize(list);
  return answer_with(200, scim_list(std::move(list), count, 1));
}

}  // namespace

Result<Scim::Client> Scim::admit(const ScimRequest& request, std::string_view action, std::string& who) {
  const auto refused = [](const std::string& why) { return fail(ErrorCode::unauthenticated, why); };
  if (request.token.empty()) return refused(std::string(no_token));
  const auto claims = privileges_.active(request.token);
  if (!claims && claims.error().code != ErrorCode::denied && claims.error().code != ErrorCode::invalid_argument) return fail(claims.error());
  if (!claims) return refused(claims.error().message);
  who = claims->subject;
  if (claims->audience != desk_.node().identity().name) return refused("token: is for " + claims->audience + ", not for this service");
  if (claims->holder != request.caller.thumbprint) return refused("token: is bound to another certificate than the one on this connection");
  ASSIGN_OR_RETURN(const Uid uid, node::parse_uid(claims->subject));
  ASSIGN_OR_RETURN(IdentityRecord record, desk_.identities().find(uid));
  const Client client{.record = std::move(record), .scope = claims->scope};
  TRY(may(client, action));
  return client;
}

Result<void> Scim::may(const Client& client, std::string_view action) {
  if (!wire::has_scope(client.scope, action)) return fail(ErrorCode::denied, std::string(narrow) + ": the token's scope does not have " + std::string(action));
  return desk_.require(client.record, action);
}

template <class Work>
WebAnswer Scim::recorded(const ScimRequest& request, std::string_view action, std::string_view needed, const Work& work) {
  std::string who = request.caller.address;
  std::string object = request.id;
  const auto done = [&]() -> Result<WebAnswer> {
    ASSIGN_OR_RETURN(const Client client, admit(request, needed, who));
    return work(client, object);
  }();
  const auto written = desk_.node().record({.action = action,
                                            .outcome = done ? audit::Outcome::success : audit::outcome_of(done.error().code),
                                            .subject = who,
                                            .object = object,
                                            .reason = done ? std::string_view() : std::string_view(done.error().message),
                                            .request_id = request.caller.request_id});
  if (!written) return scim_error(written.error());
  return done ? *done : scim_error(done.error());
}

Result<IdentityRecord> Scim::person(const std::string& id) {
  const auto nobody = [&] { return fail(ErrorCode::not_found, "there is no user '" + id.substr(0, 64) + "'"); };
  const auto uid = node::parse_uid(id);
  if (!uid) return nobody();
  auto found = desk_.identities().find(*uid);
  if (!found && found.error().code != ErrorCode::not_found) return found;
  if (!found || found->of != IdentityClass::person) return nobody();
  return found;
}

Result<IdentityRecord> Scim::changeable(const ScimRequest& request) {
  ASSIGN_OR_RETURN(IdentityRecord record, person(request.id));
  if (!request.if_match.empty() && !names_version(request.if_match, record.version)) {
    return fail(ErrorCode::conflict, std::string(stale) + ": the user is of version " + std::to_string(record.version));
  }
  ASSIGN_OR_RETURN(const Duty duty, desk_.privileges().duty_of(record.uid));
  if (duty != Duty::none) {
    return fail(ErrorCode::denied,
                "separation of duties: '" + record.uid.text() + "' has the duty " + std::string(name(duty)) + ": no directory changes that one");
  }
  return record;
}

WebAnswer Scim::rendered(const IdentityRecord& record, unsigned status, const ScimSelection& selection) const {
  WebAnswer out = answer_with(status, to_scim(record, location(record), selection));
  out.fields.emplace_back("ETag", scim_entity_tag(record.version));
  if (status == 201) out.fields.emplace_back("Location", location(record));
  return out;
}

Result<IdentityRecord> Scim::enter(const ScimUser& user) {
  IdentityRegister& identities = desk_.identities();
  const auto taken = [&] { return fail(ErrorCode::conflict, "uniqueness: there is a user '" + user.user_name + "'"); };
  ASSIGN_OR_RETURN(const auto same, identities.find_by_user_name(user.user_name));
  if (same) return taken();
  IdentityRecord record;
  record.of = IdentityClass::person;
  record = with_user(std::move(record), user);
  const std::string stem = uid_stem(user.user_name);
  for (int attempt = 1; attempt <= uid_attempts_max; ++attempt) {
    record.uid = Uid(attempt == 1 ? stem : stem + "-" + std::to_string(attempt));
    // An id is never another's later (RFC 7643 §3.1): also those of the deleted are taken.
    ASSIGN_OR_RETURN(const bool is_free, identities.is_free(record.uid));
    if (!is_free) continue;
    if (const auto sound = check(record); !sound) return fail(ErrorCode::invalid_argument, "invalidValue: " + sound.error().message);
    auto made = identities.create(record, desk_.now());
    if (made || made.error().code != ErrorCode::conflict) return made;
    ASSIGN_OR_RETURN(const auto meanwhile, identities.find_by_user_name(user.user_name));
    if (meanwhile) return taken();
  }
  return fail(ErrorCode::conflict, "uniqueness: no id is free for '" + user.user_name + "'");
}

WebAnswer Scim::create(const ScimRequest& request) {
  return recorded(request, "scim.create", "identity.create", [&](const Client& client, std::string& object) -> Result<WebAnswer> {
    ASSIGN_OR_RETURN(const wire::Json body, read_body(request.body));
    ASSIGN_OR_RETURN(const ScimUser user, read_scim_user(body, {.domain = place_.domain}));
    object = user.user_name;
    if (!user.active) TRY(may(client, "identity.suspend"));
    TRY(desk_.intend(client.record.uid.text(), request.caller.request_id, "scim.create", object));
    ASSIGN_OR_RETURN(const IdentityRecord made, enter(user));
    object = made.uid.text();
    return rendered(made, 201, {});
  });
}

WebAnswer Scim::show(const ScimRequest& request) {
  return recorded(request, "scim.show", "identity.read", [&](const Client&, std::string&) -> Result<WebAnswer> {
    ASSIGN_OR_RETURN(const auto query, read_scim_query(request.query));
    ASSIGN_OR_RETURN(const ScimSelection selection, selection_in(query));
    ASSIGN_OR_RETURN(const IdentityRecord record, person(request.id));
    if (!request.if_none_match.empty() && names_version(request.if_none_match, record.version)) {
      return WebAnswer{.status = 304, .body = {}, .content_type = "", .fields = {{"ETag", scim_entity_tag(record.version)}}};
    }
    return rendered(record, 200, selection);
  });
}

Result<std::pair<std::vector<IdentityRecord>, std::int64_t>> Scim::find(const std::optional<ScimFilter>& filter, std::int64_t start, std::int64_t count) {
  IdentityRegister& identities = desk_.identities();
  std::pair<std::vector<IdentityRecord>, std::int64_t> out{{}, 0};
  const auto take = [&](IdentityRecord record) {
    if (record.of != IdentityClass::person || (filter && !filter->matches(record))) return;
    ++out.second;
    if (out.second >= start && std::ssize(out.first) < count) out.first.push_back(std::move(record));
  };
  // What directories ask all day is looked up; anything else is looked for.
  if (const auto name = filter ? filter->equals(ScimField::user_name) : std::nullopt) {
    ASSIGN_OR_RETURN(auto found, identities.find_by_user_name(*name));
    if (found) take(*std::move(found));
    return out;
  }
  const auto id = filter ? filter->equals(ScimField::external_id) : std::nullopt;
  std::string after;
  while (true) {
    ASSIGN_OR_RETURN(auto page, id ? identities.find_by_external_id(*id, after, page_of_register)
                                   : identities.list({.of = IdentityClass::person}, after, page_of_register));
    const bool last = std::ssize(page) < page_of_register;
    if (!page.empty()) after = page.back().uid.text();
    for (IdentityRecord& one : page) take(std::move(one));
    if (last) return out;
  }
}

WebAnswer Scim::list(const ScimRequest& request) {
  return recorded(request, "scim.list", "identity.read", [&](const Client&, std::string& object) -> Result<WebAnswer> {
    ASSIGN_OR_RETURN(const auto query, read_scim_query(request.query));
    ASSIGN_OR_RETURN(const ScimSelection selection, selection_in(query));
    ASSIGN_OR_RETURN(const std::int64_t start, number_of(query, "startIndex", 1, 1, INT64_MAX));
    ASSIGN_OR_RETURN(const std::int64_t count, number_of(query, "count", scim_results_max, 0, scim_results_max));
    std::optional<ScimFilter> filter;
    if (query.contains("filter")) {
      ASSIGN_OR_RETURN(filter, ScimFilter::parse(query.at("filter")));
    }
    ASSIGN_OR_RETURN(const auto found, find(filter, start, count));
    std::vector<wire::Json> resources;
    resources.reserve(found.first.size());
    for (const IdentityRecord& one : found.first) resources.push_back(to_scim(one, location(one), selection));
    object = std::to_string(found.second) + " users";
    return answer_with(200, scim_list(std::move(resources), found.second, start));
  });
}

Result<WebAnswer> Scim::change(const ScimRequest& request, const Client& client, const IdentityRecord& before, const ScimUser& wanted,
                               std::string& object) {
  if (wanted.domain != before.domain) return fail(ErrorCode::invalid_argument, "mutability: a user stays in the domain " + before.domain);
  const ScimUser is = scim_user_of(before);
  if (wanted.active != is.active) TRY(may(client, "identity.suspend"));
  object = before.uid.text() + (wanted.active == is.active ? "" : wanted.active ? " active" : " suspended");
  TRY(desk_.intend(client.record.uid.text(), request.caller.request_id, "scim.change", object));
  auto done = desk_.identities().put(before.version, with_user(before, wanted), desk_.now());
  if (!done && done.error().code == ErrorCode::conflict) {
    ASSIGN_OR_RETURN(const auto other, desk_.identities().find_by_user_name(wanted.user_name));
    const bool taken = other && other->uid != before.uid;
    return fail(ErrorCode::conflict, taken ? "uniqueness: there is a user '" + wanted.user_name + "'" : std::string(stale) + ": " + done.error().message);
  }
  TRY(done);
  return rendered(*done, 200, {});
}

WebAnswer Scim::replace(const ScimRequest& request) {
  return recorded(request, "scim.replace", "identity.change", [&](const Client& client, std::string& object) -> Result<WebAnswer> {
    ASSIGN_OR_RETURN(const wire::Json body, read_body(request.body));
    ASSIGN_OR_RETURN(const IdentityRecord before, changeable(request));
    ASSIGN_OR_RETURN(const ScimUser wanted, read_scim_user(body, scim_user_of(before)));
    return change(request, client, before, wanted, object);
  });
}

WebAnswer Scim::patch(const ScimRequest& request) {
  return recorded(request, "scim.patch", "identity.change", [&](const Client& client, std::string& object) -> Result<WebAnswer> {
    ASSIGN_OR_RETURN(const wire::Json body, read_body(request.body));
    ASSIGN_OR_RETURN(const IdentityRecord before, changeable(request));
    ASSIGN_OR_RETURN(const ScimUser wanted, patched(before, body));
    return change(request, client, before, wanted, object);
  });
}

WebAnswer Scim::remove(const ScimRequest& request) {
  return recorded(request, "scim.delete", "identity.delete", [&](const Client& client, std::string& object) -> Result<WebAnswer> {
    ASSIGN_OR_RETURN(const IdentityRecord before, changeable(request));
    TRY(desk_.intend(client.record.uid.text(), request.caller.request_id, "scim.delete", object));
    TRY(desk_.identities().remove(before.uid, before.version, desk_.now()));
    return WebAnswer{.status = 204, .body = {}, .content_type = ""};
  });
}

WebAnswer Scim::provider_config(const ScimRequest&) { return answer_with(200, scim_provider_config(place_.base)); }

WebAnswer Scim::resource_types(const ScimRequest& request) { return one_or_all(scim_resource_types(place_.base), request.id); }

WebAnswer Scim::schemas(const ScimRequest& request) { return one_or_all(scim_schemas(place_.base), request.id); }

}  // namespace qanat::iam
