// OAuth 2.0 for machines, as decisions without a connection: client credentials (RFC 6749 §4.4) with mutual TLS for client authentication and tokens bound to the
// certificate (RFC 8705), introspection (RFC 7662), the keys (RFC 7517).
#pragma once

#include <map>
#include <string>

#include "services/iam/desk.hpp"
#include "services/iam/upm/privilege_front.hpp"

namespace qanat::iam {

inline constexpr std::size_t form_octets_max = 32 * 1024;
inline constexpr std::size_t form_members_max = 16;

/// application/x-www-form-urlencoded, read strictly: each name once, UTF-8 without control characters. invalid_argument for anything else.
Result<std::map<std::string, std::string>> read_form(std::string_view text);

/// Who is at the other end of the connection.
struct WebCaller {
  Bytes thumbprint;  // SHA-256 of the certificate that it shows
  bool quantum_safe = false;
  std::string address;
  std::string request_id;
};

struct WebAnswer {
  unsigned status = 200;
  wire::Json body;
};

class OAuth {
 public:
  OAuth(Desk& desk, PrivilegeFront& privileges, const AccessTokens& tokens) : desk_(desk), privileges_(privileges), tokens_(tokens) {}

  /// POST /oauth2/token.
  WebAnswer token(const WebCaller& caller, std::string_view form);
  /// POST /oauth2/introspect.
  WebAnswer introspect(const WebCaller& caller, std::string_view form);
  /// GET /oauth2/jwks.
  [[nodiscard]] WebAnswer jwks() const { return {.status = 200, .body = tokens_.keys().jwks()}; }

 private:
  Result<IdentityRecord> client(const WebCaller& caller, const std::map<std::string, std::string>& form);
  Result<wire::Json> issue(const WebCaller& caller, const std::map<std::string, std::string>& form, std::string& client, std::string& what);
  WebAnswer recorded(const WebCaller& caller, std::string_view action, const std::string& subject, const std::string& object, const Result<wire::Json>& answer);

  Desk& desk_;
  PrivilegeFront& privileges_;
  const AccessTokens& tokens_;
};

/// RFC 6749 §5.2.
WebAnswer oauth_error(const Error& error);

}  // namespace qanat::iam
