#include "services/iam/web/oauth.hpp"

#include <algorithm>

#include "base/utf8.hpp"
#include "node/subscriber.hpp"

namespace qanat::iam {
namespace {

using Form = std::map<std::string, std::string>;

constexpr std::string_view grant_client_credentials = "client_credentials";

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> form_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return fail(ErrorCode::invalid_argument, "form: '%' without two hexadecimal digits");
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  if (!is_utf8(out) || std::ranges::any_of(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; })) {
    return fail(ErrorCode::invalid_argument, "form: not UTF-8, or control characters");
  }
  return out;
}

Result<std::string> form_member(const Form& form, const std::string& name) {
  const auto found = form.find(name);
  if (found == form.end() || found->second.empty()) return fail(ErrorCode::invalid_argument, "form: " + name + " is missing");
  return found->second;
}

std::string form_member_or(const Form& form, const std::string& name, const std::string& absent) {
  const auto found = form.find(name);
  return found == form.end() ? absent : found->second;
}

std::string_view oauth_code(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_request";
    case ErrorCode::unauthenticated:
      return "invalid_client";
    case ErrorCode::not_found:
      return "unsupported_grant_type";
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

Result<Form> read_form(std::string_view text) {
  if (text.size() > form_octets_max) return fail(ErrorCode::invalid_argument, "form: over " + std::to_string(form_octets_max) + " octets");
  Form out;
  while (!text.empty()) {
    const std::size_t end = text.find('&');
    const std::string_view pair = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) return fail(ErrorCode::invalid_argument, "form: a member without '='");
    ASSIGN_OR_RETURN(std::string name, form_decoded(pair.substr(0, equals)));
    ASSIGN_OR_RETURN(std::string value, form_decoded(pair.substr(equals + 1)));
    if (out.size() >= form_members_max) return fail(ErrorCode::invalid_argument, "form: more than " + std::to_string(form_members_max) + " members");
    if (!out.emplace(std::move(name), std::move(value)).second) return fail(ErrorCode::invalid_argument, "form: a member is there twice");  // RFC 6749 §3.2
  }
  return out;
}

WebAnswer oauth_error(const Error& error) {
  // What failed inside is nobody's business outside.
  const std::string why = error.code == ErrorCode::internal ? "internal error" : error.message;
  unsigned status = 400;
  if (error.code == ErrorCode::unauthenticated) status = 401;
  if (error.code == ErrorCode::internal) status = 500;
  if (error.code == ErrorCode::conflict || error.code == ErrorCode::exhausted || error.code == ErrorCode::unavailable || error.code == ErrorCode::deadline_exceeded) status = 503;
  return {.status = status, .body = wire::Json::object({{"error", oauth_code(error.code)}, {"error_description", why}})};
}

/// RFC 8705 §2: the certificate is registered with the client; its name in the form, if given, must agree.
Result<IdentityRecord> OAuth::client(const WebCaller& caller, const Form& form) {
  auto found = desk_.identities().find_by_certificate(caller.thumbprint);
  if (!found && found.error().code == ErrorCode::not_found) return fail(ErrorCode::unauthenticated, "no client has registered this certificate");
  TRY(found);
  if (form.contains("client_id") && form.at("client_id") != found->uid.text()) return fail(ErrorCode::unauthenticated, "client_id is not whose certificate this is");
  if (found->of != IdentityClass::application) return fail(ErrorCode::unauthenticated, "'" + found->uid.text() + "' is no application");
  if (found->standing != Standing::active) return fail(ErrorCode::unauthenticated, "'" + found->uid.text() + "' is suspended");
  return found;
}

Result<wire::Json> OAuth::issue(const WebCaller& caller, const Form& form, std::string& client_name, std::string& what) {
  ASSIGN_OR_RETURN(const IdentityRecord who, client(caller, form));
  client_name = who.uid.text();
  ASSIGN_OR_RETURN(const std::string grant, form_member(form, "grant_type"));
  if (grant != grant_client_credentials) return fail(ErrorCode::not_found, "grant_type must be client_credentials");
  ASSIGN_OR_RETURN(const std::string audience, form_member(form, "audience"));
  TRY(node::parse_element_name(audience));
  TRY(desk_.require(who, "token.issue"));
  ASSIGN_OR_RETURN(const std::string scope, privileges_.grantable(who, form_member_or(form, "scope", "")));
  // A client whose TLS is classical has no ML-DSA to check the token with, as far as can be seen from here; it may say otherwise.
  const std::string standard(wire::name(caller.quantum_safe ? wire::TokenAlgorithm::ml_dsa_44 : wire::TokenAlgorithm::es256));
  ASSIGN_OR_RETURN(const wire::TokenAlgorithm algorithm, wire::parse_token_algorithm(form_member_or(form, "token_alg", standard)));
  ASSIGN_OR_RETURN(const auto issued, tokens_.jwt({.subject = client_name, .client = client_name, .audience = audience, .scope = scope, .holder = caller.thumbprint, .epoch = who.epoch}, algorithm, desk_.now()));
  what = std::string(wire::name(algorithm)) + " " + to_hex(issued.claims.token_id);
  wire::Json out = wire::Json::object({{"access_token", issued.token}, {"token_type", "Bearer"}, {"expires_in", issued.claims.expires_s - issued.claims.issued_s}});
  if (!scope.empty()) out.set("scope", scope);
  return out;
}

WebAnswer OAuth::recorded(const WebCaller& caller, std::string_view action, const std::string& subject, const std::string& object, const Result<wire::Json>& answer) {
  const auto written = desk_.node().record({.action = action,
                                            .outcome = answer ? audit::Outcome::success : audit::outcome_of(answer.error().code),
                                            .subject = subject.empty() ? std::string_view(caller.address) : std::string_view(subject),
                                            .object = object,
                                            .reason = answer ? std::string_view() : std::string_view(answer.error().message),
                                            .request_id = caller.request_id});
  if (!written) return oauth_error(written.error());
  if (!answer) return oauth_error(answer.error());
  return {.status = 200, .body = *answer};
}

WebAnswer OAuth::token(const WebCaller& caller, std::string_view text) {
  std::string client_name;
  std::string what;
  const auto form = read_form(text);
  const Result<wire::Json> answer = form ? issue(caller, *form, client_name, what) : Result<wire::Json>(fail(form.error()));
  return recorded(caller, "oauth.token", client_name, what, answer);
}

WebAnswer OAuth::introspect(const WebCaller& caller, std::string_view text) {
  std::string client_name;
  const auto ask = [&]() -> Result<wire::Json> {
    ASSIGN_OR_RETURN(const Form form, read_form(text));
    ASSIGN_OR_RETURN(const IdentityRecord who, client(caller, form));
    client_name = who.uid.text();
    TRY(desk_.require(who, "token.check"));
    ASSIGN_OR_RETURN(const std::string token, form_member(form, "token"));
    const auto claims = privileges_.active(token);
    if (!claims && claims.error().code != ErrorCode::denied && claims.error().code != ErrorCode::invalid_argument) return fail(claims.error());
    return claims && claims->audience == client_name ? introspection(*claims) : inactive();
  };
  const Result<wire::Json> answer = ask();
  return recorded(caller, "oauth.introspect", client_name, "", answer);
}

}  // namespace qanat::iam
