#include "crypto/x509_pkcs7.hpp"

#include <openssl/pkcs7.h>

#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {
namespace {

using Envelope = Owned<PKCS7, PKCS7_free>;

std::string too_many() { return "certificates in CMS: more than " + std::to_string(certs_only_max); }

}  // namespace

Result<Bytes> make_certs_only(std::span<const Bytes> certificates) {
  const ErrorScope errors;
  if (certificates.empty()) return fail(ErrorCode::invalid_argument, "certificates in CMS: none");
  if (certificates.size() > certs_only_max) return fail(ErrorCode::invalid_argument, too_many());
  const Envelope envelope(PKCS7_new());
  if (!envelope || PKCS7_set_type(envelope.get(), NID_pkcs7_signed) != 1 || PKCS7_content_new(envelope.get(), NID_pkcs7_data) != 1 ||
      PKCS7_set_detached(envelope.get(), 1) != 1) {
    return openssl_failure("certificates in CMS");
  }
  for (const Bytes& der : certificates) {
    ASSIGN_OR_RETURN(const auto certificate, (from_der<X509Certificate, d2i_X509>(der, "certificate")));
    if (PKCS7_add_certificate(envelope.get(), certificate.get()) != 1) return openssl_failure("certificates in CMS");
  }
  Bytes out = to_der<i2d_PKCS7>(envelope.get());
  if (out.empty()) return openssl_failure("certificates in CMS");
  return out;
}

Result<std::vector<Bytes>> read_certs_only(ByteView der) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const auto envelope, (from_der<Envelope, d2i_PKCS7>(der, "certificates in CMS")));
  if (!PKCS7_type_is_signed(envelope.get()) || envelope->d.sign == nullptr) return fail(ErrorCode::invalid_argument, "certificates in CMS: no SignedData");
  const PKCS7_SIGNED& signed_data = *envelope->d.sign;
  if (sk_PKCS7_SIGNER_INFO_num(signed_data.signer_info) > 0) return fail(ErrorCode::invalid_argument, "certificates in CMS: somebody signed it");
  if (signed_data.contents == nullptr || !PKCS7_type_is_data(signed_data.contents) || signed_data.contents->d.ptr != nullptr) {
    return fail(ErrorCode::invalid_argument, "certificates in CMS: it holds content");
  }
  const int count = sk_X509_num(signed_data.cert);
  if (count <= 0) return fail(ErrorCode::invalid_argument, "certificates in CMS: none");
  if (static_cast<std::size_t>(count) > certs_only_max) return fail(ErrorCode::invalid_argument, too_many());
  std::vector<Bytes> out;
  for (int i = 0; i < count; ++i) {
    Bytes certificate = to_der<i2d_X509>(sk_X509_value(signed_data.cert, i));
    if (certificate.empty()) return openssl_failure("certificates in CMS");
    out.push_back(std::move(certificate));
  }
  return out;
}

}  // namespace qanat::crypto
