#include "services/cas/ceis/bundles.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "services/cas/ceis/issuer.hpp"
#include "services/cas/csp/places.hpp"

namespace qanat::cas {
namespace {

/// Which certificate a role's names (crypto/certificate_bundle.hpp).
std::optional<BundleRole> related_role(BundleRole role) {
  switch (role) {
    case BundleRole::classical_signing:
      return std::nullopt;
    case BundleRole::ml_dsa_signing:
      return BundleRole::classical_signing;
    case BundleRole::classical_encryption:
    case BundleRole::ml_kem_encryption:
      return BundleRole::ml_dsa_signing;
  }
  return std::nullopt;
}

}  // namespace

Result<BundleKeys> bundle_keys(const crypto::Suite& suite, const crypto::CertificateRequest& classical, const crypto::CertificateRequest& ml_dsa,
                               const crypto::EncapsulationKey& encryption) {
  BundleKeys out{{BundleRole::classical_signing, classical.public_key()},
                 {BundleRole::ml_dsa_signing, ml_dsa.public_key()},
                 {BundleRole::classical_encryption, encryption.point},
                 {BundleRole::ml_kem_encryption, encryption.ml_kem}};
  for (const BundleRole role : {BundleRole::classical_encryption, BundleRole::ml_kem_encryption}) {
    if (const auto sound = crypto::check_public_key(crypto::key_of(suite, role), out.at(role)); !sound) return fail_in("encryption keys", sound.error());
  }
  if (encryption.point == classical.public_key()) return fail(ErrorCode::invalid_argument, "encryption keys: the classical one is the key that signs");
  return out;
}

Draft BundleIssuer::draft_of(const BundleOrder& order, BundleRole role, const BundleMember& member) const {
  const Profile& profile = cas::profile(crypto::use_of(role) == crypto::LeafUse::signing ? "terminal-signing" : "terminal-encryption");
  Draft out = draft_for(profile, subject_algorithm(crypto::key_of(suite_, role)), order.keys.at(role),
                        {.branch = branch_of(role), .serial = member.serial, .not_before = member.not_before, .not_after = member.not_after});
  out.names = names_as_asked(order.names);
  return out;
}

Result<BundleIntention> BundleIssuer::intention_of(const BundleOrder& order, UnixMs now) {
  BundleIntention out{
      .request_hash = order.request_hash, .identity = *order.names.element, .number = *order.names.number, .home_kms = order.home_kms, .parts = {}};
  // The four end together: none outlives what its profile allows to another.
  const auto lifetime = std::min<std::chrono::milliseconds>(order.lifetime, cas::profile("terminal-encryption").lifetime_max);
  for (const auto& [role, key] : order.keys) {
    const Branch branch = branch_of(role);
    const crypto::Certificate& issuer = authorities_.of(branch).certificate;
    const Intention drawn = intention_under(branch, issuer, lifetime, now, rng_);
    BundleMember part{
        .serial = drawn.serial, .not_before = drawn.not_before, .not_after = drawn.not_after, .der = {}, .revoked_at = 0, .key_hash = key_hash_of(key)};
    // Before it is meant in earnest: what lint refuses leaves no row.
    TRY(lint(draft_of(order, role, part), under(branch, issuer)));
    out.parts[role] = std::move(part);
  }
  return out;
}

Result<Bundle> BundleIssuer::issue(const BundleOrder& order, UnixMs now) {
  ASSIGN_OR_RETURN(const BundleIntention intention, intention_of(order, now));
  ASSIGN_OR_RETURN(Bundle intended, records_.begin(intention, now));
  return finish(order, std::move(intended));
}

Result<Bundle> BundleIssuer::begin_renewal(const Bundle& former, const BundleOrder& order, UnixMs now, const Revoked& revoked) {
  ASSIGN_OR_RETURN(const BundleIntention intention, intention_of(order, now));
  ASSIGN_OR_RETURN(BundleRecords::Begun begun, records_.begin_renewal(former, intention, now));
  if (!begun.given_up.empty()) TRY(revoked(begun.given_up));
  return finish(order, std::move(begun.bundle));
}

Result<Bundle> BundleIssuer::continue_renewal(const Bundle& former, const BundleOrder& order, UnixMs now) {
  ASSIGN_OR_RETURN(const BundleIntention intention, intention_of(order, now));
  ASSIGN_OR_RETURN(Bundle intended, records_.continue_renewal(former, intention, now));
  return finish(order, std::move(intended));
}

Result<Bundle> BundleIssuer::finish(const BundleOrder& order, Bundle intended) {
  node::crash_point("cas.bundle.intended");
  std::map<BundleRole, Bytes> der;  // of the whole bundle, as far as it has come
  std::map<BundleRole, Bytes> made;
  for (const auto& [role, member] : intended.members) {  // in the order of the roles: each names one before it
    if (!member.der.empty()) {
      der[role] = member.der;
    } else if (order.keys.contains(role)) {  // otherwise meant by another request, which will come again
      ASSIGN_OR_RETURN(const crypto::Certificate certificate, sign(order, role, member, der));
      made[role] = certificate.der();
      der[role] = certificate.der();
    }
  }
  if (made.empty()) return intended;
  node::crash_point("cas.bundle.signed");
  ASSIGN_OR_RETURN(Bundle out, records_.complete(intended.row, made));
  node::crash_point("cas.bundle.recorded");
  return out;
}

Result<crypto::Certificate> BundleIssuer::sign(const BundleOrder& order, BundleRole role, const BundleMember& member,
                                               const std::map<BundleRole, Bytes>& signed_before) const {
  const Branch branch = branch_of(role);
  const Authority& authority = authorities_.of(branch);
  const std::optional<BundleRole> related = related_role(role);
  const Draft draft = draft_of(order, role, member);
  TRY(lint(draft, under(branch, authority.certificate)));
  ASSIGN_OR_RETURN(
      crypto::Certificate certificate,
      crypto::issue({.use = crypto::use_of(role) == crypto::LeafUse::signing ? crypto::CertificateUse::tls_and_signing : crypto::CertificateUse::encryption,
                     .names = order.names,
                     .key_algorithm = crypto::key_of(suite_, role),
                     .public_key = order.keys.at(role),
                     .serial = member.serial,
                     .not_before = member.not_before,
                     .not_after = member.not_after,
                     .pointers = status_pointers(status_url_, branch, authority.generation, member.serial),
                     .related = related ? crypto::digest(crypto::Hash::sha256, signed_before.at(*related)) : Bytes()},
                    &authority.certificate, authority.key));
  TRY(lint_signed(certificate.der(), draft, authority.certificate));
  return certificate;
}

}  // namespace qanat::cas
