#include "services/cas/ceis/enrolment.hpp"

#include <algorithm>

#include "services/cas/acme/acme_service.hpp"

namespace qanat::cas {

Enrolment::Enrolment(node::Node& node, Records& records, const Authorities& authorities, const CasSettings& settings, Desk& desk, Csp& csp)
    : node_(node),
      authorities_(authorities),
      made_keys_(records.store(), node.device()),
      own_server_(node, records, authorities, settings.front.url),
      est_(desk, made_keys_, node.clock()),
      acme_(settings.acme, desk, records.store(), node.rng(), node.clock(), [&node](const audit::Event& event) { return node.record(event); }),
      scep_(node, records, authorities, settings.front.url, desk,
            {.issued = [&csp] { csp.issued(); }, .list = [&csp](Branch branch, std::string_view scope) { return csp.list_in_force(branch, scope); }}),
      cmp_(node, desk, records, authorities, [&csp](Branch branch, std::string_view scope) { return csp.list_in_force(branch, scope); }, settings.cmp),
      front_(settings.enrolment, {.issue = [this](const crypto::PrivateKey& key, const crypto::AskedNames& names,
                                                  std::chrono::seconds lifetime) { return own_server_.issue(key, names, lifetime); },
                                  .staple = [&csp](ByteView certificate) { return csp.staple(certificate); },
                                  .client_roots = [&node, &authorities] { return client_roots(authorities, node.trust()); },
                                  .record = [&node](const audit::Event& event) { return node.record(event); },
                                  .housekeeping = [this](UnixMs now) { return keep_house(now); },
                                  .rng = node.rng(),
                                  .clock = node.clock()}) {}

Result<void> Enrolment::start() {
  TRY(write_listener_roots(node_.settings().state, authorities_, node_.trust()));
  TRY(cmp_.start());
  return front_.start(services());
}

std::vector<EnrolmentService> Enrolment::services() {
  std::vector<EnrolmentService> out{est_.service(), acme_service(acme_), cmp_.service()};
  std::ranges::move(scep_.services(), std::back_inserter(out));
  return out;
}

void Enrolment::stop() {
  front_.stop();
  cmp_.stop();
}

Result<void> Enrolment::keep_house(UnixMs now) {
  TRY(made_keys_.sweep(now));
  return acme_.keep_house(now);
}

}  // namespace qanat::cas
