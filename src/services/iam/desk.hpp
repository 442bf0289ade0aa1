// What every front of IAM does first: who calls, whether that one may, and that it is on record before anything changes.
#pragma once

#include "node/node.hpp"
#include "node/recorded.hpp"
#include "services/iam/idm/register.hpp"
#include "services/iam/upm/privileges.hpp"

namespace qanat::iam {

class Desk {
 public:
  Desk(node::Node& node, IdentityRegister& identities, Privileges& privileges) : node_(node), identities_(identities), privileges_(privileges) {}

  /// The record that the caller's certificate names; `denied` if there is none.
  Result<IdentityRecord> caller(const net::Request& request);
  /// `denied`, with the reason that decided, unless the subject may.
  Result<void> require(const IdentityRecord& subject, const Question& question);
  Result<void> require(const IdentityRecord& subject, std::string_view action) { return require(subject, Question{.action = std::string(action)}); }
  /// On record before the effect: "identity.create.intended".
  Result<void> intend(const net::Request& request, std::string_view action, std::string_view object) {
    return intend(request.peer.identity->uri(), request.request_id, action, object);
  }
  Result<void> intend(std::string_view who, std::string_view request_id, std::string_view action, std::string_view object);

  [[nodiscard]] node::Node& node() noexcept { return node_; }
  [[nodiscard]] IdentityRegister& identities() noexcept { return identities_; }
  [[nodiscard]] Privileges& privileges() noexcept { return privileges_; }
  [[nodiscard]] UnixMs now() const { return node_.clock().now_ms(); }

 private:
  node::Node& node_;
  IdentityRegister& identities_;
  Privileges& privileges_;
};

/// The handler of an endpoint whose outcome goes into the audit record.
template <class Front>
points::Handler recorded_handler(Desk& desk, Front& front, points::Endpoint endpoint, std::string_view action,
                                 Result<net::Response> (Front::*work)(const net::Request&, node::Deed&)) {
  return {endpoint, [&desk, &front, action, work](const net::Request& request) {
            return node::recorded(desk.node(), action, request, [&](node::Deed& deed) { return (front.*work)(request, deed); });
          }};
}

/// SHA-256 of the certificate on the connection (RFC 8705 §3.1).
Bytes holder_of(const net::Request& request);

}  // namespace qanat::iam
