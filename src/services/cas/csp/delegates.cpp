#include "services/cas/csp/delegates.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "services/cas/ceis/issuer.hpp"
#include "services/cas/ceis/lint.hpp"
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
    ASSIGN_OR_RETURN(crypto::StatusSigner appointed, appoint(branch, key, now));
    const std::lock_guard lock(mutex_);
    signers_.at(at(branch)) = std::move(appointed);
  }
  return {};
}

Result<crypto::StatusSigner> Delegates::appoint(Branch branch, const crypto::PrivateKey& key, UnixMs now) {
  const Authority& authority = authorities_.of(branch);
  ASSIGN_OR_RETURN(Bytes public_key, crypto::public_octets(key));
  Intention intention = intention_under(branch, authority.certificate, std::min(lifetime_, profile("ocsp-signer").lifetime_max), now, rng_);
  intention.key_hash = key_hash_of(public_key);
  const crypto::SubjectNames names{
      .common_name = "Qanat status responder " + std::string(crypto::name(key.algorithm)), .element = {}, .number = {}, .dns = {}};
  Draft draft = draft_for(profile("ocsp-signer"), subject_algorithm(key.algorithm), public_key, intention);
  draft.names = names_as_asked(names);
  TRY(lint(draft, under(branch, authority.certificate)));
  const Bytes request_hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat status responder"), public_key});
  TRY(records_.intend({.identity = self_, .request_hash = request_hash, .expectation = std::nullopt, .overlap = Overlap::allowed, .intentions = {intention}},
                      now));
  ASSIGN_OR_RETURN(
      crypto::Certificate certificate,
      crypto::issue({.use = crypto::CertificateUse::ocsp_signer,
                     .names = names,
                     .key_algorithm = key.algorithm,
                     .public_key = std::move(public_key),
                     .serial = intention.serial,
                     .not_before = intention.not_before,
                     .not_after = intention.not_after},
                    &authority.certificate, authority.key));
  TRY(lint_signed(certificate.der(), draft, authority.certificate));
  TRY(records_.complete(request_hash, {{intention.serial, certificate.der()}}));
  return crypto::StatusSigner::make(authority.certificate, std::move(certificate), key);
}

}  // namespace qanat::cas
