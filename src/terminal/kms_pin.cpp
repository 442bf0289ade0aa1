#include "terminal/kms_pin.hpp"

#include "node/log.hpp"

namespace qanat::terminal {

Result<std::shared_ptr<const node::Sender>> KmsPin::check(Deadline deadline) {
  ASSIGN_OR_RETURN(const auto certificate, crypto::Certificate::parse(kept_.ml_dsa));
  const bool again = std::exchange(checked_, true);
  if (again || certificate.not_after() <= node_.clock().now_ms()) TRY(ask_for_successors(deadline));
  return senders_.check(kept_.classical, kept_.ml_dsa, kms_, deadline);
}

std::string KmsPin::fingerprint() const { return to_hex(wire::fingerprints(node_.suite(), kept_.classical, kept_.ml_dsa).pq); }

std::string KmsPin::query() const { return "kms=" + fingerprint(); }

Result<void> KmsPin::ask_for_successors(Deadline deadline) {
  ASSIGN_OR_RETURN(const Bytes octets, ask_("since=" + fingerprint(), deadline));
  ASSIGN_OR_RETURN(const std::vector<wire::Succession> links, wire::parse_successions(node_.suite(), octets));
  if (links.empty()) return {};
  ASSIGN_OR_RETURN(KmsCertificates last, wire::follow(node_.suite(), kept_, links));
  // The former keys say so, and the CA must say so too: name, chain, validity and status.
  TRY(senders_.check(last.classical, last.ml_dsa, kms_, deadline));
  TRY(store_.save_kms(last.classical, last.ml_dsa));
  node::log(node::LogLevel::note, "{} has renewed its certificates, as its former ones say", kms_.uri());
  kept_ = std::move(last);
  return {};
}

}  // namespace qanat::terminal
