// Certification requests (PKCS#10, RFC 2986).
#include <algorithm>
#include <array>

#include "crypto/x509_names.hpp"
#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {

struct CertificateRequest::State {
  Bytes der;
  PublicKeyOctets key;
  SubjectNames names;
};

namespace {

/// Foreign clients with a P-384 key choose the digest themselves; a request is short-lived, so every one of SHA-2 will do.
constexpr std::array further_request_signatures{NID_ecdsa_with_SHA256, NID_ecdsa_with_SHA512};

Result<void> check_possession(X509_REQ* request) {
  const int signature = X509_REQ_get_signature_nid(request);
  if (!is_our_signature(signature) && std::ranges::find(further_request_signatures, signature) == further_request_signatures.end()) {
    return fail(ErrorCode::invalid_argument, "certificate request: signed with an unknown algorithm");
  }
  if (signature == NID_SM2_with_SM3) {
    Asn1OctetString id = new_distinguishing_id();
    if (!id) return openssl_failure("certificate request");
    X509_REQ_set0_distinguishing_id(request, id.release());
  }
  if (X509_REQ_verify(request, X509_REQ_get0_pubkey(request)) != 1) {
    return fail(ErrorCode::denied, "certificate request: its signature does not hold under its own key");
  }
  return {};
}

Result<SubjectNames> names_of(X509_REQ* request) {
  AlternativeNames alternatives;
  if (const X509Extensions extensions(X509_REQ_get_extensions(request)); extensions) {
    int critical = -1;
    void* decoded = X509V3_get_d2i(extensions.get(), NID_subject_alt_name, &critical, nullptr);
    ASSIGN_OR_RETURN(alternatives, take_alternative_names(decoded, critical));
  }
  return read_names(X509_REQ_get_subject_name(request), alternatives.get());
}

Result<void> add_alternative_names(X509_REQ* request, const SubjectNames& names) {
  ASSIGN_OR_RETURN(const AlternativeNames alternatives, make_alternative_names(names));
  if (!alternatives) return {};
  STACK_OF(X509_EXTENSION)* list = nullptr;
  const int added = X509V3_add1_i2d(&list, NID_subject_alt_name, alternatives.get(), 0, X509V3_ADD_DEFAULT);
  const X509Extensions extensions(list);
  if (added != 1 || X509_REQ_add_extensions(request, extensions.get()) != 1) return openssl_failure("certificate request");
  return {};
}

}  // namespace

Result<CertificateRequest> CertificateRequest::parse(ByteView der) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const X509Request request, from_der<X509Request, d2i_X509_REQ>(der, "certificate request"));
  if (to_der<i2d_X509_REQ>(request.get()) != to_bytes(der)) return fail(ErrorCode::invalid_argument, "certificate request: not DER of one");
  auto state = std::make_shared<State>();
  ASSIGN_OR_RETURN(state->key, read_public_key(X509_REQ_get_X509_PUBKEY(request.get())));
  ASSIGN_OR_RETURN(state->names, names_of(request.get()));
  TRY(check_possession(request.get()));
  state->der = to_bytes(der);

  CertificateRequest out;
  out.state_ = std::move(state);
  return out;
}

const Bytes& CertificateRequest::der() const noexcept { return state_->der; }
KeyAlgorithm CertificateRequest::key_algorithm() const noexcept { return state_->key.algorithm; }
const Bytes& CertificateRequest::public_key() const noexcept { return state_->key.octets; }
const SubjectNames& CertificateRequest::names() const noexcept { return state_->names; }

Result<Bytes> make_request(const PrivateKey& key, const SubjectNames& names) {
  const ErrorScope errors;
  TRY(check_names(names));
  ASSIGN_OR_RETURN(const EvpKey native_key, to_openssl(key));
  ASSIGN_OR_RETURN(const X509Name subject, make_subject(names));
  const X509Request request(X509_REQ_new());
  if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 || X509_REQ_set_subject_name(request.get(), subject.get()) != 1 ||
      X509_REQ_set_pubkey(request.get(), native_key.get()) != 1) {
    return openssl_failure("certificate request");
  }
  TRY(add_alternative_names(request.get(), names));
  ASSIGN_OR_RETURN(const SigningContext signer, SigningContext::make(native_key.get(), key.algorithm));
  if (X509_REQ_sign_ctx(request.get(), signer.get()) <= 0) return openssl_failure("certificate request");
  Bytes der = to_der<i2d_X509_REQ>(request.get());
  if (der.empty()) return openssl_failure("certificate request");
  return der;
}

}  // namespace qanat::crypto
