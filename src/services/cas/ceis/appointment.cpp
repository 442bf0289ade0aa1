#include "services/cas/ceis/appointment.hpp"

#include "crypto/kdf.hpp"
#include "services/cas/ceis/lint.hpp"

namespace qanat::cas {

Result<crypto::Certificate> appoint(const Appointer& appointer, const Appointment& wanted, const crypto::PrivateKey& key, UnixMs now) {
  const Authority& authority = appointer.authorities.of(wanted.branch);
  ASSIGN_OR_RETURN(Bytes public_key, crypto::public_octets(key));
  Intention intention = intention_under(wanted.branch, authority.certificate, wanted.lifetime, now, appointer.rng);
  intention.key_hash = key_hash_of(public_key);
  const crypto::SubjectNames names{
      .common_name = wanted.title + " " + std::string(crypto::name(key.algorithm)), .element = {}, .number = {}, .dns = {}};
  Draft draft = draft_for(*wanted.profile, subject_algorithm(key.algorithm), public_key, intention);
  draft.names = names_as_asked(names);
  TRY(lint(draft, under(wanted.branch, authority.certificate)));
  const Bytes request_hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat appointment"), public_key});
  const Issuance issuance{
      .identity = appointer.self, .request_hash = request_hash, .expectation = std::nullopt, .overlap = Overlap::allowed, .intentions = {intention}};
  TRY(appointer.records.intend(issuance, now));
  ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::issue({.use = wanted.use,
                                                                   .names = names,
                                                                   .key_algorithm = key.algorithm,
                                                                   .public_key = std::move(public_key),
                                                                   .serial = intention.serial,
                                                                   .not_before = intention.not_before,
                                                                   .not_after = intention.not_after},
                                                                  &authority.certificate, authority.key));
  TRY(lint_signed(certificate.der(), draft, authority.certificate));
  TRY(appointer.records.complete(request_hash, {{intention.serial, certificate.der()}}));
  return certificate;
}

}  // namespace qanat::cas
