// X-5 for enrolment: an operator registers software of others, looks at what waits, approves or rejects it, and revokes single certificates.
#pragma once

#include "node/recorded.hpp"
#include "services/cas/ceis/front_desk.hpp"

namespace qanat::cas {

class RegistrationFront {
 public:
  RegistrationFront(node::Node& node, FrontDesk& desk) : node_(node), desk_(desk) {}

  /// {"op": "create" | "list" | "show" | "close" | "orders" | "approve" | "reject" | "issue" | "collect" | "revoke", …} (docs/operations/enrolment.md).
  Result<net::Response> answer(const net::Request& request, node::Deed& deed);

 private:
  Result<net::Response> create(const wire::Json& json, const net::Request& request, node::Deed& deed);
  Result<net::Response> list(const wire::Json& json);
  Result<net::Response> show(const wire::Json& json, node::Deed& deed);
  Result<net::Response> close(const wire::Json& json, const net::Request& request, node::Deed& deed);
  Result<net::Response> orders(const wire::Json& json);
  Result<net::Response> approve(const wire::Json& json, const net::Request& request, node::Deed& deed);
  Result<net::Response> reject(const wire::Json& json, node::Deed& deed);
  Result<net::Response> issue(const wire::Json& json, const net::Request& request, node::Deed& deed);
  Result<net::Response> collect(const wire::Json& json, node::Deed& deed);
  Result<net::Response> revoke(const wire::Json& json, const net::Request& request, node::Deed& deed);
  Result<Registration> read(const wire::Json& json, const net::Request& request);

  node::Node& node_;
  FrontDesk& desk_;
};

}  // namespace qanat::cas
