// SCEP put together: its registration authority, what waits, its paths.
#pragma once

#include "services/cas/csp/revocation_lists.hpp"
#include "services/cas/scep/scep_ra_certificate.hpp"
#include "services/cas/scep/scep_service.hpp"

namespace qanat::cas {

/// What SCEP needs of CSP.
struct ScepLinks {
  std::function<void()> issued;                                                              // Csp::issued
  std::function<std::shared_ptr<const PublishedList>(Branch, std::string_view scope)> list;  // Csp::list_in_force
};

class Scep {
 public:
  Scep(node::Node& node, Records& records, const Authorities& authorities, const std::string& status_url, Desk& desk, ScepLinks links);

  /// Must not outlive this object.
  [[nodiscard]] std::vector<EnrolmentService> services() { return service_.services(); }

 private:
  ScepRaKeeper keeper_;
  ScepTransactions transactions_;
  ScepService service_;
};

}  // namespace qanat::cas
