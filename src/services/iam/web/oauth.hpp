// OAuth 2.0 as decisions without a connection. Machines: client credentials (RFC 6749 §4.4) with mutual TLS for client authentication. People: the
// authorisation code grant (§4.1) with PKCE (RFC 7636), where the person's certificate on the connection says who it is. All tokens are bound to the
// certificate (RFC 8705). Introspection (RFC 7662), the keys (RFC 7517), metadata (RFC 8414). No refresh tokens: a token lives for minutes, and another is got
// without a question.
#pragma once

#include <string>

#include "services/iam/desk.hpp"
#include "services/iam/upm/authorization_codes.hpp"
#include "services/iam/upm/privilege_front.hpp"
#include "services/iam/upm/web_clients.hpp"
#include "services/iam/web/form.hpp"
#include "services/iam/web/web_answer.hpp"

namespace qanat::iam {

inline constexpr std::size_t verifier_min = 43;  // RFC 7636 §4.1
inline constexpr std::size_t verifier_max = 128;

class OAuth {
 public:
  struct Parts {
    Desk& desk;
    PrivilegeFront& privileges;
    const AccessTokens& tokens;
    WebClients& clients;
    AuthorizationCodes& codes;
  };
  /// `url`: how the listener is reached, "https://iam.example:8443", the issuer of its tokens; empty: no authorisation codes.
  OAuth(Parts parts, std::string url) : parts_(parts), url_(std::move(url)) {}

  /// POST /oauth2/token.
  WebAnswer token(const WebCaller& caller, std::string_view form);
  /// POST /oauth2/introspect.
  WebAnswer introspect(const WebCaller& caller, std::string_view form);
  /// GET /oauth2/authorize.
  WebAnswer authorize(const WebCaller& caller, std::string_view query);
  /// GET /oauth2/jwks.
  [[nodiscard]] WebAnswer jwks() const { return {.status = 200, .body = parts_.tokens.keys().jwks()}; }
  /// GET /.well-known/oauth-authorization-server.
  [[nodiscard]] WebAnswer metadata() const;
  [[nodiscard]] bool gives_codes() const noexcept { return !url_.empty(); }

 private:
  /// What goes on record with an outcome.
  struct Noted {
    std::string subject;
    std::string object;
  };
  Result<IdentityRecord> machine(const WebCaller& caller, const Form& form);
  Result<wire::Json> issue(const WebCaller& caller, const Form& form, Noted& noted);
  Result<wire::Json> by_credentials(const WebCaller& caller, const Form& form, Noted& noted);
  // oauth_code.cpp
  Result<wire::Json> by_code(const WebCaller& caller, const Form& form, Noted& noted);
  Result<WebClient> client_of(const Form& form);
  Result<IdentityRecord> person(const WebCaller& caller);
  Result<std::string> give_code(const WebCaller& caller, const Form& form, const WebClient& client, const std::string& redirect_uri, Noted& noted);
  [[nodiscard]] WebAnswer redirected(const std::string& redirect_uri, const Form& form, const Result<std::string>& code) const;

  Result<wire::Json> signed_token(const WebCaller& caller, const Form& form, const AccessOrder& order, Noted& noted);
  Result<void> record(const WebCaller& caller, std::string_view action, const Noted& noted, const Error* failure);
  WebAnswer recorded(const WebCaller& caller, std::string_view action, const Noted& noted, const Result<wire::Json>& answer);

  Parts parts_;
  std::string url_;
};

/// RFC 6749 §5.2. The message of an error may begin with the standard's name for it: "invalid_grant: …".
WebAnswer oauth_error(const Error& error);
/// The standard's name, and the rest of the message in the characters of RFC 6749 §5.2.
std::pair<std::string, std::string> oauth_words(const Error& error);

}  // namespace qanat::iam
