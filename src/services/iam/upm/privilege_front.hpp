// UPM at the reference points: decisions and tokens at Pm-1 … Pm-3, roles and grants at X-5.
#pragma once

#include "services/iam/desk.hpp"
#include "services/iam/upm/access_tokens.hpp"
#include "services/iam/upm/authorization_codes.hpp"
#include "services/iam/upm/web_clients.hpp"

namespace qanat::iam {

class PrivilegeFront {
 public:
  PrivilegeFront(Desk& desk, const AccessTokens& tokens, WebClients& clients, AuthorizationCodes& codes)
      : desk_(desk), tokens_(tokens), clients_(clients), codes_(codes) {}
  std::vector<points::Handler> handlers();

  /// The claims of a token that holds now: ours, in time, not void, of an epoch that is not over, of an active subject. `denied` otherwise.
  Result<wire::AccessClaims> active(std::string_view token);
  /// What the caller is told of a token (RFC 7662); `denied` unless it may ask. `object`: which token that was, for the record.
  Result<wire::Json> introspected(const IdentityRecord& caller, std::string_view token, std::string& object);
  /// The part of the wanted scope that the subject may have, all of it or `denied`; every name is an action. Empty stays empty.
  Result<std::string> grantable(const IdentityRecord& subject, const std::string& wanted);

 private:
  Result<net::Response> token(const net::Request& request, node::Deed& deed);
  Result<net::Response> decide(const net::Request& request, node::Deed& deed);
  Result<net::Response> introspect(const net::Request& request, node::Deed& deed);
  Result<net::Response> keys(const net::Request& request);
  Result<net::Response> administer(const net::Request& request, node::Deed& deed);
  Result<wire::Json> read(const IdentityRecord& caller, const wire::Json& json, const std::string& op, node::Deed& deed);
  Result<wire::Json> change(const net::Request& request, const IdentityRecord& caller, const wire::Json& json, const std::string& op, node::Deed& deed);

  Result<wire::Json> change_client(const net::Request& request, const IdentityRecord& caller, const wire::Json& json, const std::string& op, node::Deed& deed);

  Desk& desk_;
  const AccessTokens& tokens_;
  WebClients& clients_;
  AuthorizationCodes& codes_;
};

}  // namespace qanat::iam
