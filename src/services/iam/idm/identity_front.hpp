// IDM at the reference points: Id-1 … Id-3 for those who are in the register, X-5 for operators.
#pragma once

#include "services/iam/desk.hpp"

namespace qanat::iam {

class IdentityFront {
 public:
  explicit IdentityFront(Desk& desk) : desk_(desk) {}
  std::vector<points::Handler> handlers();

 private:
  /// Id-1, Id-2, Id-3: one's own record, whom a uid, number or certificate belongs to.
  Result<net::Response> at_point(const net::Request& request, node::Deed& deed);
  Result<net::Response> saes(const net::Request& request, const IdentityRecord& caller, const wire::Json& json);
  Result<net::Response> administer(const net::Request& request, node::Deed& deed);
  Result<IdentityRecord> operate(const net::Request& request, const IdentityRecord& caller, const wire::Json& json, const std::string& op, node::Deed& deed);
  Result<net::Response> several(const net::Request& request, const IdentityRecord& caller, const wire::Json& json, const std::string& op, node::Deed& deed);
  Result<IdentityRecord> look_up(const wire::Json& json);

  Desk& desk_;
};

}  // namespace qanat::iam
