#include "services/cas/cmp/signers.hpp"

#include "crypto/hybrid_sign.hpp"
#include "crypto/kdf.hpp"
#include "services/cas/ceis/issuer.hpp"
#include "services/cas/ceis/lint.hpp"
#include "services/cas/device_authority.hpp"

namespace qanat::cas {
namespace {

std::size_t place_of(CmpSignerKind kind) { return static_cast<std::size_t>(kind); }
Branch branch_of(CmpSignerKind kind) { return kind == CmpSignerKind::ml_dsa ? Branch::ml_dsa : Branch::devices; }

bool is_young(const crypto::CmpSigner& signer, UnixMs now) {
  const UnixMs begin = signer.certificate.not_before();
  const UnixMs life = signer.certificate.not_after() - begin;
  return now >= begin && now < begin + life / 3;
}

Result<crypto::PrivateKey> draw_key(CmpSignerKind kind, const crypto::Suite& suite, crypto::Rng& rng) {
  if (kind == CmpSignerKind::ecdsa) return make_device_key(rng);
  ASSIGN_OR_RETURN(const crypto::Signer keys, crypto::Signer::generate(suite, rng));
  return crypto::PrivateKey{.algorithm = crypto::ml_dsa_key(suite), .secret = std::move(keys.secret().ml_dsa_seed)};
}

}  // namespace

Result<std::shared_ptr<const crypto::CmpSigner>> CmpSigners::signer(CmpSignerKind kind) const {
  const std::lock_guard lock(mutex_);
  const auto& signer = signers_.at(place_of(kind));
  if (!signer) return fail(ErrorCode::unavailable, "CMP: nobody signs answers yet");
  return signer;
}

Result<void> CmpSigners::renew(UnixMs now) {
  for (const CmpSignerKind kind : all_cmp_signers) {
    const auto known = signer(kind);
    if (known && is_young(**known, now)) continue;
    ASSIGN_OR_RETURN(std::shared_ptr<const crypto::CmpSigner> appointed, appoint(kind, now));
    const std::lock_guard lock(mutex_);
    signers_.at(place_of(kind)) = std::move(appointed);
  }
  return {};
}

Result<std::shared_ptr<const crypto::CmpSigner>> CmpSigners::appoint(CmpSignerKind kind, UnixMs now) {
  const Branch branch = branch_of(kind);
  const Authority& authority = authorities_.of(branch);
  ASSIGN_OR_RETURN(crypto::PrivateKey key, draw_key(kind, suite_, rng_));
  ASSIGN_OR_RETURN(Bytes public_key, crypto::public_octets(key));
  const Profile& wanted = profile("cmp-signer");
  Intention intention = intention_under(branch, authority.certificate, wanted.lifetime, now, rng_);
  intention.key_hash = key_hash_of(public_key);
  const crypto::SubjectNames names{.common_name = "Qanat CMP " + std::string(crypto::name(key.algorithm)), .element = {}, .number = {}, .dns = {}};
  Draft draft = draft_for(wanted, subject_algorithm(key.algorithm), public_key, intention);
  draft.names = names_as_asked(names);
  TRY(lint(draft, under(branch, authority.certificate)));
  const Bytes request_hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat CMP signer"), public_key});
  TRY(records_.intend({.identity = self_, .request_hash = request_hash, .expectation = std::nullopt, .overlap = Overlap::allowed, .intentions = {intention}}, now));
  ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::issue({.use = crypto::CertificateUse::message_signer,
                                                                   .names = names,
                                                                   .key_algorithm = key.algorithm,
                                                                   .public_key = std::move(public_key),
                                                                   .serial = intention.serial,
                                                                   .not_before = intention.not_before,
                                                                   .not_after = intention.not_after},
                                                                  &authority.certificate, authority.key));
  TRY(lint_signed(certificate.der(), draft, authority.certificate));
  TRY(records_.complete(request_hash, {{intention.serial, certificate.der()}}));
  return std::make_shared<const crypto::CmpSigner>(
      crypto::CmpSigner{.certificate = std::move(certificate), .chain = {authority.certificate.der()}, .key = std::move(key)});
}

}  // namespace qanat::cas
