// UBA at the reference points: reports at Ua-1 … Ua-3 and X-12, queries and rules at X-5.
#pragma once

#include "services/iam/desk.hpp"
#include "services/iam/uba/anomalies.hpp"

namespace qanat::iam {

class BehaviourFront {
 public:
  BehaviourFront(Desk& desk, Behaviour& behaviour, Anomalies& anomalies, Outbox& outbox)
      : desk_(desk), behaviour_(behaviour), anomalies_(anomalies), outbox_(outbox) {}
  std::vector<points::Handler> handlers();

 private:
  /// A KMS, CMSP, CAS or CCS reports about anybody.
  Result<net::Response> record(const net::Request& request, node::Deed& deed);
  /// A terminal or an element of the QKDN reports about itself.
  Result<net::Response> record_own(const net::Request& request, node::Deed& deed);
  Result<net::Response> administer(const net::Request& request, node::Deed& deed);
  Result<net::Response> append(const Report& report);
  Result<wire::Json> query(const wire::Json& json);
  Result<wire::Json> anomalies(const wire::Json& json);

  Desk& desk_;
  Behaviour& behaviour_;
  Anomalies& anomalies_;
  Outbox& outbox_;
};

}  // namespace qanat::iam
