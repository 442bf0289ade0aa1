#include "crypto/x509_related.hpp"

#include <algorithm>
#include <array>

#include "crypto/x509_extensions.hpp"

namespace qanat::crypto {
namespace {

using Object = Owned<ASN1_OBJECT, ASN1_OBJECT_free>;

constexpr const char* related_oid = "1.3.6.1.5.5.7.1.36";  // id-pe-relatedCert, RFC 9763 §4.1
constexpr std::size_t sha256_octets = 32;
/// SEQUENCE { SEQUENCE { OID id-sha256 }, OCTET STRING of 32 octets } up to the digest. Parameters are absent (RFC 5754 §2).
constexpr std::array<std::uint8_t, 17> related_prefix{0x30, 0x2f, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x04, 0x20};

Result<Object> related_object() {
  Object object(OBJ_txt2obj(related_oid, 1));
  if (!object) return openssl_failure("relatedCertificate");
  return Result<Object>(std::move(object));
}

}  // namespace

Result<void> add_related(X509* cert, ByteView sha256) {
  if (sha256.size() != sha256_octets) return fail(ErrorCode::invalid_argument, "relatedCertificate: a digest of SHA-256 has 32 octets");
  return add_extension_der(cert, related_oid, concat({related_prefix, sha256}), Criticality::normal);
}

Result<Bytes> read_related(X509* cert) {
  ASSIGN_OR_RETURN(const Object object, related_object());
  const int at = X509_get_ext_by_OBJ(cert, object.get(), -1);
  if (at < 0) return Bytes();
  X509_EXTENSION* const extension = X509_get_ext(cert, at);
  const Bytes value = octets_of(X509_EXTENSION_get_data(extension));
  const bool well_formed = value.size() == related_prefix.size() + sha256_octets && std::ranges::equal(related_prefix, ByteView(value).first(related_prefix.size()));
  if (!well_formed || X509_EXTENSION_get_critical(extension) != 0 || X509_get_ext_by_OBJ(cert, object.get(), at) >= 0) {
    return fail(ErrorCode::invalid_argument, "relatedCertificate: not one SHA-256 digest, or critical");
  }
  return to_bytes(ByteView(value).last(sha256_octets));
}

}  // namespace qanat::crypto
