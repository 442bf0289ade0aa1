// Certificates: reading, and what they say.
#include <openssl/pem.h>

#include <algorithm>

#include "base/check.hpp"
#include "crypto/x509_names.hpp"
#include "crypto/x509_openssl.hpp"
#include "crypto/x509_related.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t max_chain_certificates = 16;
constexpr std::size_t max_chain_text = 2 * max_chain_certificates * max_der_octets;  // base64 and some prose between the blocks

const EVP_MD* digest_of(Hash hash) noexcept {
  switch (hash) {
    case Hash::sm3:
      return EVP_sm3();
    case Hash::sha256:
      return EVP_sha256();
    case Hash::sha384:
      return EVP_sha384();
  }
  return nullptr;
}

/// What the profile demands of every certificate, whoever signed it.
Result<void> check_form(X509* cert, ByteView der) {
  // An object that is BER, not DER, would have several fingerprints.
  if (to_der<i2d_X509>(cert) != to_bytes(der)) return fail(ErrorCode::invalid_argument, "certificate: not DER of one");
  // Only version 3 says whether a certificate is a CA's.
  if (X509_get_version(cert) != X509_VERSION_3) return fail(ErrorCode::invalid_argument, "certificate: not of version 3");
  if (!is_our_signature(X509_get_signature_nid(cert))) return fail(ErrorCode::invalid_argument, "certificate: signed with an unknown algorithm");
  // OpenSSL reads the extensions when they are first asked for. Done here once, the object is only read from now on.
  if (X509_check_purpose(cert, -1, 0) != 1) return fail(ErrorCode::invalid_argument, "certificate: its extensions are malformed or contradict each other");
  return {};
}

Bytes digest_over(ByteView octets, Hash hash) {
  Bytes out(EVP_MAX_MD_SIZE);
  unsigned int length = 0;
  CHECK(EVP_Digest(octets.data(), octets.size(), out.data(), &length, digest_of(hash), nullptr) == 1);
  out.resize(length);
  return out;
}

Result<void> set_distinguishing_id(X509* cert) {
  // By the signature's algorithm, not the key's: for any other OpenSSL would try to give the identity to a key that takes none.
  if (X509_get_signature_nid(cert) != NID_SM2_with_SM3) return {};
  Asn1OctetString id = new_distinguishing_id();
  if (!id) return openssl_failure("certificate");
  X509_set0_distinguishing_id(cert, id.release());
  return {};
}

}  // namespace

Result<Certificate> Certificate::parse(ByteView der) {
  const ErrorScope errors;
  auto state = std::make_shared<State>();
  ASSIGN_OR_RETURN(state->native, from_der<X509Certificate, d2i_X509>(der, "certificate"));
  X509* cert = state->native.get();
  TRY(check_form(cert, der));
  TRY(set_distinguishing_id(cert));

  ASSIGN_OR_RETURN(PublicKeyOctets key, read_public_key(X509_get_X509_PUBKEY(cert)));
  state->key_algorithm = key.algorithm;
  state->public_key = std::move(key.octets);

  int critical = -1;
  void* decoded = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, nullptr);
  ASSIGN_OR_RETURN(const AlternativeNames alternatives, take_alternative_names(decoded, critical));
  ASSIGN_OR_RETURN(state->names, read_names(X509_get_subject_name(cert), alternatives.get()));
  ASSIGN_OR_RETURN(state->related, read_related(cert));
  ASSIGN_OR_RETURN(state->subject, readable_name(X509_get_subject_name(cert)));
  ASSIGN_OR_RETURN(state->not_before, read_time(X509_get0_notBefore(cert)));
  ASSIGN_OR_RETURN(state->not_after, read_time(X509_get0_notAfter(cert)));
  ASSIGN_OR_RETURN(state->serial, read_serial(X509_get0_serialNumber(cert)));
  state->is_ca = (X509_get_extension_flags(cert) & EXFLAG_CA) != 0;
  state->der = to_bytes(der);
  state->sha256 = digest_over(der, Hash::sha256);

  Certificate out;
  out.state_ = std::move(state);
  return out;
}

Result<std::vector<Certificate>> Certificate::parse_pem_chain(std::string_view pem) {
  if (pem.empty() || pem.size() > max_chain_text) {
    return fail(ErrorCode::invalid_argument, "PEM: " + std::to_string(pem.size()) + " octets where 1 to " + std::to_string(max_chain_text) + " belong");
  }
  const ErrorScope errors;
  const MemoryBio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!in) return openssl_failure("PEM");
  std::vector<Certificate> out;
  while (true) {
    char* label = nullptr;
    char* header = nullptr;
    unsigned char* octets = nullptr;
    long length = 0;
    const bool read = PEM_read_bio(in.get(), &label, &header, &octets, &length) == 1;
    const OpensslText label_owner(label);
    const OpensslText header_owner(header);
    const OpensslOctets octets_owner(octets);
    if (!read) {
      if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) return fail(ErrorCode::invalid_argument, "PEM: block is malformed");
      break;
    }
    if (std::string_view(label) != PEM_STRING_X509 || !std::string_view(header).empty()) {
      return fail(ErrorCode::invalid_argument, "PEM: holds something other than certificates");
    }
    if (out.size() == max_chain_certificates) {
      return fail(ErrorCode::invalid_argument, "PEM: more than " + std::to_string(max_chain_certificates) + " certificates");
    }
    ASSIGN_OR_RETURN(Certificate cert, parse({octets, static_cast<std::size_t>(length)}));
    out.push_back(std::move(cert));
  }
  if (out.empty()) return fail(ErrorCode::invalid_argument, "PEM: no certificate in it");
  return out;
}

const Bytes& Certificate::der() const noexcept { return state_->der; }
KeyAlgorithm Certificate::key_algorithm() const noexcept { return state_->key_algorithm; }
const Bytes& Certificate::public_key() const noexcept { return state_->public_key; }
const SubjectNames& Certificate::names() const noexcept { return state_->names; }
const Bytes& Certificate::related() const noexcept { return state_->related; }
UnixMs Certificate::not_before() const noexcept { return state_->not_before; }
UnixMs Certificate::not_after() const noexcept { return state_->not_after; }
const Bytes& Certificate::serial() const noexcept { return state_->serial; }
bool Certificate::is_ca() const noexcept { return state_->is_ca; }
const std::string& Certificate::subject() const noexcept { return state_->subject; }

std::string Certificate::pem() const {
  const MemoryBio out(BIO_new(BIO_s_mem()));
  CHECK(out && PEM_write_bio(out.get(), PEM_STRING_X509, "", state_->der.data(), static_cast<long>(state_->der.size())) > 0);
  char* text = nullptr;
  const long length = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(length)};
}

Bytes Certificate::fingerprint(Hash hash) const { return hash == Hash::sha256 ? state_->sha256 : digest_over(state_->der, hash); }

X509* native(const Certificate& cert) noexcept { return cert.state().native.get(); }

}  // namespace qanat::crypto
