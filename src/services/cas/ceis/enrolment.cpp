#include "services/cas/ceis/enrolment.hpp"

namespace qanat::cas {

Enrolment::Enrolment(node::Node& node, Records& records, const Authorities& authorities, const CasSettings& settings, Desk& desk, CmpService::FindList list)
    : node_(node),
      authorities_(authorities),
      made_keys_(records.store(), node.device()),
      own_server_(node, records, authorities, settings.front.url),
      est_(desk, made_keys_, node.clock()),
      cmp_(node, desk, records, authorities, std::move(list), settings.cmp),
      front_(settings.enrolment, {.issue = [this](const crypto::PrivateKey& key, const crypto::AskedNames& names,
                                                  std::chrono::seconds lifetime) { return own_server_.issue(key, names, lifetime); },
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

void Enrolment::stop() {
  front_.stop();
  cmp_.stop();
}

std::vector<EnrolmentService> Enrolment::services() { return {est_.service(), cmp_.service()}; }

Result<void> Enrolment::keep_house(UnixMs now) {
  TRY(made_keys_.sweep(now));
  return {};
}

}  // namespace qanat::cas
