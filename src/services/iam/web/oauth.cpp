#include "services/iam/web/oauth.hpp"

#include <algorithm>
#include <array>

#include "node/subscriber.hpp"

namespace qanat::iam {
namespace {

constexpr std::array oauth_names{std::string_view("invalid_request"),        std::string_view("invalid_client"),
                                 std::string_view("invalid_grant"),          std::string_view("unauthorized_client"),
                                 std::string_view("unsupported_grant_type"), std::string_view("unsupported_response_type"),
                                 std::string_view("invalid_scope"),          std::string_view("access_denied")};

std::string_view name_for(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
    case ErrorCode::not_found:
      return "invalid_request";
    case ErrorCode::unauthenticated:
      return "invalid_client";
    case ErrorCode::denied:
      return "invalid_scope";
    case ErrorCode::conflict:
    case ErrorCode::exhausted:
    case ErrorCode::unavailable:
    case ErrorCode::deadline_exceeded:
      return "temporarily_unavailable";
    case ErrorCode::internal:
      break;
  }
  return "server_error";
}

}  // namespace

std::pair<std::string, std::string> oauth_words(const Error& error) {
  // What failed inside is nobody's business outside.
  if (error.code == ErrorCode::internal) return {"server_error", "internal error"};
  std::string name(name_for(error.code));
  std::string why = error.message;
  const std::size_t colon = why.find(": ");
  const std::string first = why.substr(0, colon == std::string::npos ? 0 : colon);
  if (std::ranges::find(oauth_names, first) != oauth_names.end()) {
    name = first;
    why.erase(0, colon + 2);
  }
  // What may stand in error_description: printable ASCII without quotation mark and backslash. The message may hold words of the request.
  std::ranges::replace_if(why, [](char c) { return c < ' ' || c > '~' || c == '"' || c == '\\'; }, '?');
  return {name, why};
}

WebAnswer oauth_error(const Error& error) {
  const auto [name, why] = oauth_words(error);
  unsigned status = 400;
  if (name == "invalid_client") status = 401;
  if (name == "server_error") status = 500;
  if (name == "temporarily_unavailable") status = 503;
  return {.status = status, .body = wire::Json::object({{"error", name}, {"error_description", why}})};
}

/// RFC 8705 §2: the certificate is registered with the client; its name in the form, if given, must agree.
Result<IdentityRecord> OAuth::machine(const WebCaller& caller, const Form& form) {
  auto found = parts_.desk.identities().find_by_certificate(caller.thumbprint);
  if (!found && found.error().code == ErrorCode::not_found) return fail(ErrorCode::unauthenticated, "no client has registered this certificate");
  TRY(found);
  if (form.contains("client_id") && form.at("client_id") != found->uid.text())
    return fail(ErrorCode::unauthenticated, "client_id is not whose certificate this is");
  if (found->of != IdentityClass::application) return fail(ErrorCode::unauthenticated, "'" + found->uid.text() + "' is no application");
  if (found->standing != Standing::active) return fail(ErrorCode::unauthenticated, "'" + found->uid.text() + "' is suspended");
  return found;
}

Result<wire::Json> OAuth::issue(const WebCaller& caller, const Form& form, Noted& noted) {
  ASSIGN_OR_RETURN(const std::string grant, form_member(form, "grant_type"));
  if (grant == "client_credentials") return by_credentials(caller, form, noted);
  if (grant == "authorization_code" && gives_codes()) return by_code(caller, form, noted);
  return fail(ErrorCode::invalid_argument,
              "unsupported_grant_type: grant_type must be client_credentials" + std::string(gives_codes() ? " or authorization_code" : ""));
}

Result<wire::Json> OAuth::by_credentials(const WebCaller& caller, const Form& form, Noted& noted) {
  ASSIGN_OR_RETURN(const IdentityRecord who, machine(caller, form));
  noted.subject = who.uid.text();
  ASSIGN_OR_RETURN(const std::string audience, form_member(form, "audience"));
  TRY(node::parse_element_name(audience));
  TRY(parts_.desk.require(who, "token.issue"));
  ASSIGN_OR_RETURN(const std::string scope, parts_.privileges.grantable(who, form_member_or(form, "scope", "")));
  return signed_token(
      caller, form, {.subject = noted.subject, .client = noted.subject, .audience = audience, .scope = scope, .holder = caller.thumbprint, .epoch = who.epoch},
      noted);
}

Result<wire::Json> OAuth::signed_token(const WebCaller& caller, const Form& form, const AccessOrder& order, Noted& noted) {
  // A client whose TLS is classical has no ML-DSA to check the token with, as far as can be seen from here; it may say otherwise.
  const std::string standard(wire::name(caller.quantum_safe ? wire::TokenAlgorithm::ml_dsa_44 : wire::TokenAlgorithm::es256));
  ASSIGN_OR_RETURN(const wire::TokenAlgorithm algorithm, wire::parse_token_algorithm(form_member_or(form, "token_alg", standard)));
  ASSIGN_OR_RETURN(const auto issued, parts_.tokens.jwt(order, algorithm, parts_.desk.now()));
  noted.object = std::string(wire::name(algorithm)) + " " + to_hex(issued.claims.token_id) + " for " + order.client;
  wire::Json out =
      wire::Json::object({{"access_token", issued.token}, {"token_type", "Bearer"}, {"expires_in", issued.claims.expires_s - issued.claims.issued_s}});
  if (!order.scope.empty()) out.set("scope", order.scope);
  return out;
}

Result<void> OAuth::record(const WebCaller& caller, std::string_view action, const Noted& noted, const Error* failure) {
  return parts_.desk.node().record({.action = action,
                                    .outcome = failure == nullptr ? audit::Outcome::success : audit::outcome_of(failure->code),
                                    .subject = noted.subject.empty() ? std::string_view(caller.address) : std::string_view(noted.subject),
                                    .object = noted.object,
                                    .reason = failure == nullptr ? std::string_view() : std::string_view(failure->message),
                                    .request_id = caller.request_id});
}

WebAnswer OAuth::recorded(const WebCaller& caller, std::string_view action, const Noted& noted, const Result<wire::Json>& answer) {
  const auto written = record(caller, action, noted, answer ? nullptr : &answer.error());
  if (!written) return oauth_error(written.error());
  if (!answer) return oauth_error(answer.error());
  return {.status = 200, .body = *answer};
}

WebAnswer OAuth::token(const WebCaller& caller, std::string_view text) {
  Noted noted;
  const auto form = read_form(text);
  const Result<wire::Json> answer = form ? issue(caller, *form, noted) : Result<wire::Json>(fail(form.error()));
  return recorded(caller, "oauth.token", noted, answer);
}

WebAnswer OAuth::introspect(const WebCaller& caller, std::string_view text) {
  Noted noted;
  const auto ask = [&]() -> Result<wire::Json> {
    ASSIGN_OR_RETURN(const Form form, read_form(text));
    ASSIGN_OR_RETURN(const IdentityRecord who, machine(caller, form));
    noted.subject = who.uid.text();
    ASSIGN_OR_RETURN(const std::string token, form_member(form, "token"));
    return parts_.privileges.introspected(who, token, noted.object);
  };
  const Result<wire::Json> answer = ask();
  return recorded(caller, "oauth.introspect", noted, answer);
}

WebAnswer OAuth::metadata() const {
  const auto texts = [](std::initializer_list<const char*> list) {
    wire::Json out = wire::Json::array();
    for (const char* one : list) out.push(one);
    return out;
  };
  wire::Json scopes = wire::Json::array();
  for (const Action& one : all_actions()) scopes.push(one.name);
  return {.status = 200,
          .body = wire::Json::object({{"issuer", url_},
                                      {"authorization_endpoint", url_ + "/oauth2/authorize"},
                                      {"token_endpoint", url_ + "/oauth2/token"},
                                      {"jwks_uri", url_ + "/oauth2/jwks"},
                                      {"introspection_endpoint", url_ + "/oauth2/introspect"},
                                      {"scopes_supported", scopes},
                                      {"response_types_supported", texts({"code"})},
                                      {"response_modes_supported", texts({"query"})},
                                      {"grant_types_supported", texts({"authorization_code", "client_credentials"})},
                                      {"code_challenge_methods_supported", texts({"S256"})},
                                      {"token_endpoint_auth_methods_supported", texts({"tls_client_auth", "none"})},
                                      {"introspection_endpoint_auth_methods_supported", texts({"tls_client_auth"})},
                                      {"tls_client_certificate_bound_access_tokens", true},
                                      {"authorization_response_iss_parameter_supported", true}})};
}

}  // namespace qanat::iam
