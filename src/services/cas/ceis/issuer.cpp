#include "services/cas/ceis/issuer.hpp"

#include "node/crash_point.hpp"
#include "services/cas/csp/places.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t serial_size = 16;

Result<Issued> read(const Order& order, const std::vector<Recorded>& recorded) {
  Issued out;
  for (const Recorded& each : recorded) {
    ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::parse(each.der));
    (each.intention.branch == Branch::ml_dsa ? out.ml_dsa : out.classical) = std::move(certificate);
  }
  for (const Branch branch : all_branches) {
    if (order.of(branch).has_value() != out.of(branch).has_value()) return fail(ErrorCode::internal, "cas.db: a request with other certificates than it is for");
  }
  return out;
}

}  // namespace

Bytes draw_serial(crypto::Rng& rng) {
  Bytes serial = rng.bytes(serial_size);
  serial.front() = static_cast<std::uint8_t>((serial.front() & 0x3f) | 0x40);
  return serial;
}

Result<Issued> Issuer::issue(const Order& order, UnixMs now) {
  Issuance issuance{
      .identity = *order.names.element, .request_hash = order.request_hash, .expectation = order.expectation, .overlap = order.overlap, .intentions = {}};
  for (const Branch branch : all_branches) {
    if (!order.of(branch)) continue;
    issuance.intentions.push_back(
        {.branch = branch, .serial = draw_serial(rng_), .not_before = now - backdating_of(order.lifetime), .not_after = now + static_cast<UnixMs>(order.lifetime.count())});
  }
  ASSIGN_OR_RETURN(const std::vector<Recorded> intended, records_.intend(issuance, now));
  node::crash_point("cas.issue.intended");

  std::vector<std::pair<Bytes, Bytes>> made;
  for (const Recorded& each : intended) {
    if (!each.der.empty()) continue;
    ASSIGN_OR_RETURN(const crypto::Certificate certificate, sign(order, each.intention));
    made.emplace_back(each.intention.serial, certificate.der());
  }
  if (made.empty()) return read(order, intended);
  node::crash_point("cas.issue.signed");
  ASSIGN_OR_RETURN(const std::vector<Recorded> issued, records_.complete(order.request_hash, made));
  node::crash_point("cas.issue.recorded");
  return read(order, issued);
}

Result<crypto::Certificate> Issuer::sign(const Order& order, const Intention& intention) const {
  const Authority& authority = authorities_.of(intention.branch);
  const crypto::CertificateRequest& request = *order.of(intention.branch);
  return crypto::issue({.use = crypto::CertificateUse::tls_and_signing,
                        .names = order.names,
                        .key_algorithm = request.key_algorithm(),
                        .public_key = request.public_key(),
                        .serial = intention.serial,
                        .not_before = intention.not_before,
                        .not_after = intention.not_after,
                        .pointers = status_pointers(status_url_, intention.branch, intention.serial)},
                       &authority.certificate, authority.key);
}

}  // namespace qanat::cas
