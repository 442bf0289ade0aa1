// OpenSSL objects with owners, and the way between them and our values. Private to crypto and net: no other layer may include it.
#pragma once

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "crypto/x509.hpp"

namespace qanat::crypto {

template <auto Free>
struct Releaser {
  template <class T>
  void operator()(T* object) const noexcept {
    static_cast<void>(Free(object));
  }
};
template <class T, auto Free>
using Owned = std::unique_ptr<T, Releaser<Free>>;

inline void free_octets(unsigned char* octets) noexcept { OPENSSL_free(octets); }
inline void free_text(char* text) noexcept { OPENSSL_free(text); }
inline void free_borrowing_stack(STACK_OF(X509) * stack) noexcept { sk_X509_free(stack); }
inline void free_extensions(STACK_OF(X509_EXTENSION) * stack) noexcept { sk_X509_EXTENSION_pop_free(stack, X509_EXTENSION_free); }

using EvpKey = Owned<EVP_PKEY, EVP_PKEY_free>;
using EvpKeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using EvpDigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using X509Certificate = Owned<X509, X509_free>;
using X509Request = Owned<X509_REQ, X509_REQ_free>;
using X509Name = Owned<X509_NAME, X509_NAME_free>;
using X509Extensions = Owned<STACK_OF(X509_EXTENSION), free_extensions>;
using BorrowedCertificates = Owned<STACK_OF(X509), free_borrowing_stack>;  // frees the stack, not the certificates
using AlternativeNames = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;
using Asn1OctetString = Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;
using Asn1Time = Owned<ASN1_TIME, ASN1_TIME_free>;
using MemoryBio = Owned<BIO, BIO_free>;
using OpensslOctets = Owned<unsigned char, free_octets>;
using OpensslText = Owned<char, free_text>;

/// Takes the errors raised inside its scope off this thread's queue again: a TLS connection that is served by the same thread
/// reads that queue, and would take a refused certificate for its own failure.
class ErrorScope {
 public:
  ErrorScope() noexcept { ERR_set_mark(); }
  ~ErrorScope() { ERR_pop_to_mark(); }
  ErrorScope(const ErrorScope&) = delete;
  ErrorScope& operator=(const ErrorScope&) = delete;
};
/// `internal`: an OpenSSL call that can only fail for want of memory or by a defect of ours; names OpenSSL's last reason.
[[nodiscard]] std::unexpected<Error> openssl_failure(std::string_view where);

// ---- what net's TLS code needs ----

/// The key as OpenSSL holds it. invalid_argument if the secret's length or the scalar's range is wrong.
Result<EvpKey> to_openssl(const PrivateKey& key);
/// Borrowed: lives as long as a copy of `cert` does. Not const only because OpenSSL's readers are not; nobody may change it.
X509* native(const Certificate& cert) noexcept;

/// What a certificate that others issued calls its holder, best first: the URIs of its subjectAltName, the DNS names, the common name. `denied` if one
/// is a qanat URI (our own elements are never taken for a foreign client), or if there is no name; invalid_argument if a name is over 256 octets, is not
/// UTF-8 or holds control characters.
Result<std::vector<std::string>> foreign_names(X509* certificate);

// ---- for crypto only ----

/// GB/T 32918.2 with GB/T 35276 §10: the default identity of a signer.
inline constexpr std::string_view sm2_distinguishing_id = "1234567812345678";
/// One DER object (certificate, request, status request or response). The largest of ours, a status response with ML-DSA-87, has 5 KiB.
inline constexpr std::size_t max_der_octets = 64U * 1024;
/// RFC 5280 §4.1.2.2.
inline constexpr std::size_t max_serial_octets = 20;

/// What OpenSSL calls the algorithm, and its lengths.
struct KeyRow {
  KeyAlgorithm algorithm;
  std::string_view name;
  const char* type;     // EVP_PKEY type
  const char* group;    // nullptr for ML-DSA and ML-KEM
  int curve;            // NID of the group
  std::size_t secret;   // scalar or seed, octets
  std::size_t public_;  // point or public key, octets
  int signature;        // NID of the signature algorithm that goes with the key; NID_undef: it signs nothing
};
const KeyRow& key_row(KeyAlgorithm algorithm) noexcept;

/// A public key from its octets; invalid_argument if it is none (wrong length, point not on the curve).
Result<EvpKey> public_to_openssl(KeyAlgorithm algorithm, ByteView octets);
/// The public octets of an EVP key that came from to_openssl().
Result<Bytes> public_octets_of(EVP_PKEY* key);

struct PublicKeyOctets {
  KeyAlgorithm algorithm{};
  Bytes octets;
};
/// Reads SubjectPublicKeyInfo; invalid_argument for an unknown algorithm or a compressed point.
Result<PublicKeyOctets> read_public_key(X509_PUBKEY* key);

/// True for the signature algorithms that certificates and status responses may carry (one for each KeyAlgorithm that signs).
bool is_our_signature(int signature_nid) noexcept;
/// The digest that goes with the key: SM3, SHA-384, none for pure ML-DSA, which signs the message itself (RFC 9881 §2).
const EVP_MD* digest_for(KeyAlgorithm algorithm) noexcept;
/// The SM2 identity as an object that X509_set0_distinguishing_id takes over.
Asn1OctetString new_distinguishing_id();

/// A digest context ready for X509_sign_ctx and its kin: digest and SM2 identity as the key wants them.
class SigningContext {
 public:
  static Result<SigningContext> make(EVP_PKEY* key, KeyAlgorithm algorithm);
  [[nodiscard]] EVP_MD_CTX* get() const noexcept { return digest_.get(); }

 private:
  EvpKeyContext key_;  // borrowed by digest_, so it must go after it
  EvpDigestContext digest_;
};

/// From UTCTime or GeneralizedTime in the form of RFC 5280 §4.1.2.5 (seconds, Z); invalid_argument for others and before 1970.
Result<UnixMs> read_time(const ASN1_TIME* time);
/// UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5); invalid_argument after 9999. Milliseconds are cut off.
Result<Asn1Time> make_time(UnixMs at);
/// "2026-07-01T12:00:00Z", for messages.
std::string readable_time(UnixMs at);
/// Magnitude, big-endian; invalid_argument if not positive or longer than max_serial_octets.
Result<Bytes> read_serial(const ASN1_INTEGER* serial);

inline Bytes octets_of(const ASN1_STRING* text) {
  const auto* begin = ASN1_STRING_get0_data(text);
  return {begin, begin + ASN1_STRING_length(text)};
}

/// DER of an object through its i2d function; empty if OpenSSL failed.
template <auto Encode, class T>
Bytes to_der(T* object) {
  unsigned char* octets = nullptr;
  const int length = Encode(object, &octets);
  const OpensslOctets owner(octets);
  return length > 0 ? Bytes(octets, octets + length) : Bytes();
}

/// One DER object of at most max_der_octets through its d2i function, with nothing behind it; `what` names it in the error.
template <class Owner, auto Decode>
Result<Owner> from_der(ByteView der, std::string_view what) {
  const std::string where(what);
  if (der.empty() || der.size() > max_der_octets) {
    return fail(ErrorCode::invalid_argument, where + ": " + std::to_string(der.size()) + " octets where 1 to " + std::to_string(max_der_octets) + " belong");
  }
  const unsigned char* at = der.data();
  Owner object(Decode(nullptr, &at, static_cast<long>(der.size())));
  if (!object) return fail(ErrorCode::invalid_argument, where + ": not DER of one");
  if (at != der.data() + der.size()) {
    return fail(ErrorCode::invalid_argument, where + ": " + std::to_string(der.data() + der.size() - at) + " octets behind its end");
  }
  return Result<Owner>(std::move(object));
}

struct Certificate::State {
  X509Certificate native;
  Bytes der;
  Bytes sha256;  // of the DER: what it is known by wherever its status is kept
  KeyAlgorithm key_algorithm{};
  Bytes public_key;
  SubjectNames names;
  Bytes related;
  UnixMs not_before = 0;
  UnixMs not_after = 0;
  Bytes serial;
  bool is_ca = false;
  std::string subject;
};

}  // namespace qanat::crypto
