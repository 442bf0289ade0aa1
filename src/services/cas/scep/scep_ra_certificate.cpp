#include "services/cas/scep/scep_ra_certificate.hpp"

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "services/cas/ceis/issuer.hpp"
#include "services/cas/ceis/lint.hpp"
#include "services/cas/ceis/registrations.hpp"

namespace qanat::cas {
namespace {

Draft draft_of_ra(const crypto::SubjectPublicKey& key, const Intention& intention) {
  Draft out = draft_for(profile("scep-ra"), key, intention);
  out.names.common_name = "Qanat SCEP registration authority";
  return out;
}

Result<Bytes> certify(const ScepRaParts& parts, const crypto::SubjectPublicKey& key, UnixMs now) {
  SubjectRecords certificates(parts.records.store());
  const Bytes request_hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat SCEP registration authority"), key.der()});
  SubjectIssuance issuance{.identity = parts.self.uri(),
                           .registration = "",
                           .request_hash = request_hash,
                           .intention = intention_under(Branch::devices, parts.authorities.of(Branch::devices).certificate, profile("scep-ra").lifetime, now, parts.rng)};
  issuance.intention.key_hash = key_hash_of(key.octets());
  TRY(lint(draft_of_ra(key, issuance.intention), under(Branch::devices, parts.authorities.of(Branch::devices).certificate)));
  ASSIGN_OR_RETURN(SubjectCertificateRow row, certificates.intend(issuance, now));
  if (row.abandoned || row.revoked || row.intention.not_after <= now) return fail(ErrorCode::denied, "the certificate of this key is no longer good");
  if (row.issued) return row.der;
  ASSIGN_OR_RETURN(const Bytes der,
                   sign_draft(draft_of_ra(key, row.intention), key.der(), Branch::devices, parts.authorities.of(Branch::devices), parts.status_url));
  TRY(parts.record({.action = "certificate.issued",
                    .outcome = audit::Outcome::success,
                    .subject = parts.self.uri(),
                    .object = to_hex(row.intention.serial),
                    .reason = "",
                    .request_id = ""}));
  ASSIGN_OR_RETURN(row, certificates.complete(request_hash, row.intention.serial, der));
  parts.issued();
  return row.der;
}

}  // namespace

CertifyRa scep_ra_certifier(ScepRaParts parts) {
  return [parts = std::move(parts)](const crypto::SubjectPublicKey& key, UnixMs now) { return certify(parts, key, now); };
}

}  // namespace qanat::cas
