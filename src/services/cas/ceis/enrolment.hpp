// The CEIS for software of others, put together: the protocols, their listener with its own certificates, and what they keep.
#pragma once

#include "services/cas/acme/acme.hpp"
#include "services/cas/ceis/front.hpp"
#include "services/cas/ceis/made_keys.hpp"
#include "services/cas/ceis/own_server.hpp"
#include "services/cas/cmp/service.hpp"
#include "services/cas/csp/csp.hpp"
#include "services/cas/est/est.hpp"
#include "services/cas/scep/scep.hpp"

namespace qanat::cas {

class Enrolment {
 public:
  Enrolment(node::Node& node, Records& records, const Authorities& authorities, const CasSettings& settings, Desk& desk, Csp& csp);

  /// Those that plain HTTP may carry too, for the listener of CSP. That one must stop before this object.
  [[nodiscard]] std::vector<net::ForeignService> plain() { return front_.plain(services()); }
  Result<void> start();
  void stop();
  [[nodiscard]] std::uint16_t port() const noexcept { return front_.port(); }

 private:
  [[nodiscard]] std::vector<EnrolmentService> services();
  Result<void> keep_house(UnixMs now);

  node::Node& node_;
  const Authorities& authorities_;
  MadeKeys made_keys_;
  OwnServer own_server_;
  est::Est est_;
  Acme acme_;
  Scep scep_;
  CmpService cmp_;
  EnrolmentFront front_;  // last: the first to go
};

}  // namespace qanat::cas
