#include "services/cas/cmp/signers.hpp"

#include "crypto/hybrid_sign.hpp"
#include "services/cas/ceis/appointment.hpp"
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
    ASSIGN_OR_RETURN(std::shared_ptr<const crypto::CmpSigner> appointed, draw(kind, now));
    const std::lock_guard lock(mutex_);
    signers_.at(place_of(kind)) = std::move(appointed);
  }
  return {};
}

Result<std::shared_ptr<const crypto::CmpSigner>> CmpSigners::draw(CmpSignerKind kind, UnixMs now) {
  const Branch branch = branch_of(kind);
  const Profile& wanted = profile("cmp-signer");
  ASSIGN_OR_RETURN(crypto::PrivateKey key, draw_key(kind, suite_, rng_));
  const Appointment appointment{
      .branch = branch, .profile = &wanted, .use = crypto::CertificateUse::message_signer, .title = "Qanat CMP", .lifetime = wanted.lifetime};
  ASSIGN_OR_RETURN(crypto::Certificate certificate,
                   appoint({.records = records_, .authorities = authorities_, .rng = rng_, .self = self_}, appointment, key, now));
  std::vector<Bytes> chain{authorities_.of(branch).certificate.der()};
  const auto link = branch == Branch::devices ? link_in_force(authorities_, now) : std::nullopt;
  if (link) chain.push_back(link->der());  // for those who trust the device CA before
  return std::make_shared<const crypto::CmpSigner>(crypto::CmpSigner{.certificate = std::move(certificate), .chain = std::move(chain), .key = std::move(key)});
}

}  // namespace qanat::cas
