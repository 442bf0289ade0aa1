// Chains: from a leaf over the issuing CAs to a root that this process trusts (RFC 5280 §6).
#include <mutex>

#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {
namespace {

using VerifyContext = Owned<X509_STORE_CTX, X509_STORE_CTX_free>;

/// CA certificates between leaf and root: one issuing CA, and a cross certificate of another operator's root.
constexpr int max_intermediates = 3;

/// Pointers only: OpenSSL takes its own references for the chain that it builds.
Result<BorrowedCertificates> borrowed_stack(const std::vector<Certificate>& certs) {
  BorrowedCertificates out(sk_X509_new_reserve(nullptr, static_cast<int>(certs.size())));
  if (!out) return openssl_failure("trust store");
  for (const Certificate& cert : certs) {
    if (sk_X509_push(out.get(), native(cert)) <= 0) return openssl_failure("trust store");
  }
  return Result<BorrowedCertificates>(std::move(out));
}

std::string time_of(const ASN1_TIME* time) {
  const auto at = read_time(time);
  return at ? readable_time(*at) : "an unreadable time";
}

/// The step that failed, for people.
std::string failed_step(X509_STORE_CTX* context) {
  const int error = X509_STORE_CTX_get_error(context);
  X509* at = X509_STORE_CTX_get_current_cert(context);
  const int depth = X509_STORE_CTX_get_error_depth(context);
  const std::string which = depth == 0 ? "certificate" : "CA certificate " + std::to_string(depth) + " above it";
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return which + " expired since " + (at != nullptr ? time_of(X509_get0_notAfter(at)) : "?");
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return which + " not valid before " + (at != nullptr ? time_of(X509_get0_notBefore(at)) : "?");
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return which + " bears a signature that does not hold under its issuer's key";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
      return which + " not issued under a trusted root";
    default:
      return which + ": " + X509_verify_cert_error_string(error);
  }
}

/// A key that encrypts must not sign as well: its private half was made elsewhere, and may be kept there. RFC 9935 §5: an ML-KEM key enciphers keys and nothing
/// else.
Result<void> check_encryption_usage(const Certificate& leaf) {
  const std::uint32_t usage = X509_get_key_usage(native(leaf));
  // RFC 8813 §3: a key on P-384 agrees on keys and enciphers none.
  const std::uint32_t wanted = leaf.key_algorithm() == KeyAlgorithm::ecdsa_p384 ? KU_KEY_AGREEMENT : KU_KEY_ENCIPHERMENT;
  const bool encrypts = usage != UINT32_MAX && (usage & wanted) != 0 && (usage & KU_DIGITAL_SIGNATURE) == 0;
  if (!encrypts || (!signs(leaf.key_algorithm()) && usage != KU_KEY_ENCIPHERMENT)) {
    return fail(ErrorCode::denied, leaf.subject() + ": its key is not for encryption alone (keyUsage)");
  }
  return {};
}

/// What a leaf must be besides well issued.
Result<void> check_leaf_usage(const Certificate& leaf, LeafUse use) {
  if (leaf.is_ca()) return fail(ErrorCode::denied, leaf.subject() + ": is a CA's certificate where a leaf belongs");
  if (use == LeafUse::encryption) return check_encryption_usage(leaf);
  // OpenSSL answers all ones for an absent extension: RFC 5280 §4.2.1.3 and §4.2.1.12 let such a key do everything, but our
  // profile always has keyUsage.
  const std::uint32_t usage = X509_get_key_usage(native(leaf));
  if (usage == UINT32_MAX || (usage & KU_DIGITAL_SIGNATURE) == 0) return fail(ErrorCode::denied, leaf.subject() + ": its key may not sign (keyUsage)");
  constexpr std::uint32_t both_ends = XKU_SSL_SERVER | XKU_SSL_CLIENT;
  const std::uint32_t extended = X509_get_extended_key_usage(native(leaf));
  if ((extended & both_ends) != both_ends && (extended & XKU_ANYEKU) == 0) {
    return fail(ErrorCode::denied, leaf.subject() + ": its key is not for both ends of TLS (extKeyUsage)");
  }
  return {};
}

}  // namespace

struct TrustStore::State {
  std::mutex mutex;
  // The last is in force. Earlier ones stay: somebody may hold a certificate of theirs. There is one for each change that an operator makes.
  std::vector<std::unique_ptr<const TrustSet>> sets;
  Renewed renewed;
};

TrustStore::TrustStore(std::vector<Certificate> roots, std::vector<Certificate> intermediates)
    : state_(std::make_shared<State>()) {
  state_->sets.push_back(std::make_unique<const TrustSet>(TrustSet{.roots = std::move(roots), .intermediates = std::move(intermediates)}));
}

TrustStore TrustStore::renewing(TrustSet first, Renewed renewed) {
  TrustStore out(std::move(first.roots), std::move(first.intermediates));
  out.state_->renewed = std::move(renewed);
  return out;
}

const TrustSet& TrustStore::in_force() const {
  const std::lock_guard lock(state_->mutex);
  if (state_->renewed) {
    if (auto next = state_->renewed()) state_->sets.push_back(std::make_unique<const TrustSet>(*std::move(next)));
  }
  return *state_->sets.back();
}

Result<void> TrustStore::verify(const Certificate& leaf, UnixMs now, LeafUse use) const {
  TRY(verified_issuer(leaf, now, use));
  return {};
}

Result<const Certificate*> TrustStore::verified_issuer(const Certificate& leaf, UnixMs now, LeafUse use) const {
  const ErrorScope errors;
  TRY(check_leaf_usage(leaf, use));
  const TrustSet& set = in_force();
  ASSIGN_OR_RETURN(const BorrowedCertificates trusted, borrowed_stack(set.roots));
  ASSIGN_OR_RETURN(const BorrowedCertificates untrusted, borrowed_stack(set.intermediates));
  const VerifyContext context(X509_STORE_CTX_new());
  if (!context || X509_STORE_CTX_init(context.get(), nullptr, native(leaf), untrusted.get()) != 1) return openssl_failure("trust store");
  X509_STORE_CTX_set0_trusted_stack(context.get(), trusted.get());
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, static_cast<std::time_t>(now / 1000));
  X509_VERIFY_PARAM_set_depth(parameters, max_intermediates);
  // Strict: RFC 5280's demands on CA certificates are checked too. No partial chains: only a root ends one.
  if (X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT) != 1) return openssl_failure("trust store");
  if (X509_verify_cert(context.get()) != 1) return fail(ErrorCode::denied, leaf.subject() + ": " + failed_step(context.get()));
  const STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(context.get());
  const X509* const above = sk_X509_num(chain) > 1 ? sk_X509_value(chain, 1) : nullptr;
  for (const Certificate& candidate : set.intermediates) {
    if (above != nullptr && X509_cmp(native(candidate), above) == 0) return &candidate;
  }
  return nullptr;
}

const Certificate* TrustStore::issuer_of(const Certificate& leaf) const {
  const ErrorScope errors;
  for (const Certificate& candidate : in_force().intermediates) {
    if (X509_check_issued(native(candidate), native(leaf)) != X509_V_OK) continue;
    if (X509_verify(native(leaf), X509_get0_pubkey(native(candidate))) == 1) return &candidate;
  }
  return nullptr;
}

}  // namespace qanat::crypto
