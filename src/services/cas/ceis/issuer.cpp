#include "services/cas/ceis/issuer.hpp"

#include <algorithm>

#include "node/crash_point.hpp"
#include "services/cas/ceis/lint.hpp"
#include "services/cas/csp/places.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t serial_size = 16;

constexpr UnixMs whole_seconds(UnixMs time) noexcept { return time / 1000 * 1000; }

Result<Issued> read(const Order& order, const std::vector<Recorded>& recorded) {
  Issued out;
  for (const Recorded& each : recorded) {
    ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::parse(each.der));
    (each.intention.branch == Branch::ml_dsa ? out.ml_dsa : out.classical) = std::move(certificate);
  }
  for (const Branch branch : all_branches) {
    if (order.of(branch).has_value() != out.of(branch).has_value())
      return fail(ErrorCode::internal, "cas.db: a request with other certificates than it is for");
  }
  return out;
}

Draft draft_of(const Order& order, const Intention& intention) {
  const crypto::CertificateRequest& request = *order.of(intention.branch);
  Draft out = draft_for(*order.profile, subject_algorithm(request.key_algorithm()), request.public_key(), intention);
  out.names = names_as_asked(order.names);
  return out;
}

}  // namespace

Bytes draw_serial(crypto::Rng& rng) {
  Bytes serial = rng.bytes(serial_size);
  serial.front() = static_cast<std::uint8_t>((serial.front() & 0x3f) | 0x40);
  return serial;
}

Result<Bytes> sign_draft(Draft draft, ByteView public_key_info, Branch branch, const Authority& authority, const std::string& status_url,
                         const Bytes& related) {
  draft.pointers = status_pointers(status_url, branch, authority.generation, draft.serial);
  if (draft.short_lived) {  // RFC 9608 §3: where the CA's certificate is may still be said
    draft.pointers.ocsp.clear();
    draft.pointers.crl.clear();
  }
  TRY(lint(draft, under(branch, authority.certificate)));
  ASSIGN_OR_RETURN(Bytes der, crypto::issue_subject({.public_key_info = to_bytes(public_key_info),
                                                     .names = draft.names,
                                                     .usages = draft.usages,
                                                     .extended = draft.extended,
                                                     .serial = draft.serial,
                                                     .not_before = draft.not_before,
                                                     .not_after = draft.not_after,
                                                     .pointers = draft.pointers,
                                                     .related = related,
                                                     .no_rev_avail = draft.short_lived},
                                                    authority.certificate, authority.key));
  TRY(lint_signed(der, draft, authority.certificate));
  return der;
}

Intention intention_under(Branch branch, const crypto::Certificate& issuer, std::chrono::milliseconds lifetime, UnixMs now, crypto::Rng& rng) {
  return {.branch = branch,
          .serial = draw_serial(rng),
          // In whole seconds, as the certificate will have it: record and certificate end at the same moment.
          .not_before = std::max(whole_seconds(now - backdating_of(lifetime)), issuer.not_before()),
          .not_after = std::min(whole_seconds(now + static_cast<UnixMs>(lifetime.count())), issuer.not_after())};
}

Result<Issued> Issuer::issue(const Order& order, UnixMs now) {
  Issuance issuance{.identity = *order.names.element,
                    .held = order.profile->naming == Naming::joint ? Held::jointly : Held::alone,
                    .request_hash = order.request_hash,
                    .expectation = order.expectation,
                    .overlap = order.overlap,
                    .intentions = {}};
  for (const Branch branch : all_branches) {
    if (!order.of(branch)) continue;
    const auto lifetime = std::min<std::chrono::milliseconds>(order.lifetime, order.profile->lifetime_max);
    Intention intention = intention_under(branch, authorities_.of(branch).certificate, lifetime, now, rng_);
    intention.key_hash = key_hash_of(order.of(branch)->public_key());
    // Before it is meant in earnest: what lint refuses leaves no row.
    TRY(lint(draft_of(order, intention), under(branch, authorities_.of(branch).certificate)));
    issuance.intentions.push_back(std::move(intention));
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
  const Draft draft = draft_of(order, intention);
  TRY(lint(draft, under(intention.branch, authority.certificate)));
  const bool joint = order.profile->naming == Naming::joint;
  ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::issue({.use = joint ? crypto::CertificateUse::signing : crypto::CertificateUse::tls_and_signing,
                        .names = order.names,
                        .key_algorithm = request.key_algorithm(),
                        .public_key = request.public_key(),
                        .serial = intention.serial,
                        .not_before = intention.not_before,
                        .not_after = intention.not_after,
                        .pointers = status_pointers(status_url_, intention.branch, authority.generation, intention.serial)},
                       &authority.certificate, authority.key));
  TRY(lint_signed(certificate.der(), draft, authority.certificate));
  return certificate;
}

}  // namespace qanat::cas
