#include "services/cas/csp/delegates.hpp"

#include <algorithm>

#include "services/cas/ceis/appointment.hpp"
#include "services/cas/device_authority.hpp"
#include "services/cas/root.hpp"

namespace qanat::cas {
namespace {

Result<crypto::PrivateKey> take_key(KeyPair& keys, Branch branch, crypto::Rng& rng) {
  if (branch == Branch::devices) return make_device_key(rng);
  return Result<crypto::PrivateKey>(std::move(branch == Branch::ml_dsa ? keys.ml_dsa : keys.classical));
}

std::size_t at(Branch branch) { return static_cast<std::size_t>(branch); }

bool is_fresh(const crypto::StatusSigner& signer, UnixMs now) {
  const crypto::Certificate& certificate = signer.certificate();
  const UnixMs life = certificate.not_after() - certificate.not_before();
  return now >= certificate.not_before() && now + life / 3 * 2 < certificate.not_after();
}

}  // namespace

Result<crypto::StatusSigner> Delegates::signer(Branch branch) const {
  const std::lock_guard lock(mutex_);
  const auto& signer = signers_.at(at(branch));
  if (!signer) return fail(ErrorCode::unavailable, "no responder is appointed yet");
  return *signer;
}

Result<void> Delegates::renew(UnixMs now) {
  std::vector<Branch> stale;
  for (const Branch branch : authorities_.branches()) {
    const auto known = signer(branch);
    if (!known || !is_fresh(*known, now)) stale.push_back(branch);
  }
  if (stale.empty()) return {};
  ASSIGN_OR_RETURN(KeyPair keys, make_keys(suite_, rng_));
  for (const Branch branch : stale) {
    ASSIGN_OR_RETURN(const crypto::PrivateKey key, take_key(keys, branch, rng_));
    ASSIGN_OR_RETURN(crypto::StatusSigner appointed, certified(branch, key, now));
    const std::lock_guard lock(mutex_);
    signers_.at(at(branch)) = std::move(appointed);
  }
  return {};
}

Result<crypto::StatusSigner> Delegates::certified(Branch branch, const crypto::PrivateKey& key, UnixMs now) {
  const Profile& wanted = profile("ocsp-signer");
  const Appointment appointment{.branch = branch,
                                .profile = &wanted,
                                .use = crypto::CertificateUse::ocsp_signer,
                                .title = "Qanat status responder",
                                .lifetime = std::min<std::chrono::milliseconds>(lifetime_, wanted.lifetime_max)};
  ASSIGN_OR_RETURN(crypto::Certificate certificate,
                   appoint({.records = records_, .authorities = authorities_, .rng = rng_, .self = self_}, appointment, key, now));
  return crypto::StatusSigner::make(authorities_.of(branch).certificate, std::move(certificate), key);
}

}  // namespace qanat::cas
