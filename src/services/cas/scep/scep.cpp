#include "services/cas/scep/scep.hpp"

#include "services/cas/csp/places.hpp"

namespace qanat::cas {

Scep::Scep(node::Node& node, Records& records, const Authorities& authorities, const std::string& status_url, Desk& desk, ScepLinks links)
    : keeper_(records.store(), node.device(),
              scep_ra_certifier({.records = records,
                                 .authorities = authorities,
                                 .rng = node.rng(),
                                 .self = node.identity(),
                                 .status_url = status_url,
                                 .issued = std::move(links.issued),
                                 .record = [&node](const audit::Event& event) { return node.record(event); }}),
              [&authorities] { return authorities.of(Branch::devices).certificate.der(); }),
      transactions_(records.store(), node.device()),
      service_({.desk = desk,
                .transactions = transactions_,
                .rng = node.rng(),
                .clock = node.clock(),
                .list =
                    [list = std::move(links.list)](Branch branch) {
                      const auto found = list(branch, full_scope);
                      return found ? found->der : Bytes();
                    }},
               keeper_) {}

}  // namespace qanat::cas
