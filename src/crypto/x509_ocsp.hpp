// OCSP requests as OpenSSL holds them, read within bounds; what asking and answering share. Private to crypto.
#pragma once

#include <vector>

#include "crypto/x509_openssl.hpp"
#include "crypto/x509_respond.hpp"

namespace qanat::crypto {

using OcspRequest = Owned<OCSP_REQUEST, OCSP_REQUEST_free>;
using OcspResponse = Owned<OCSP_RESPONSE, OCSP_RESPONSE_free>;
using OcspBasic = Owned<OCSP_BASICRESP, OCSP_BASICRESP_free>;
using OcspCertId = Owned<OCSP_CERTID, OCSP_CERTID_free>;

inline constexpr std::size_t max_nonce_octets = 128;  // RFC 9654 §2.1

/// SHA-1 here only names the issuer (RFC 6960 §4.1.1, what foreign clients send); no signature rests on it.
const EVP_MD* digest_of(CertIdHash hash) noexcept;

/// The CertID by which `issuer` has issued a certificate with this serial.
OcspCertId cert_id(const EVP_MD* digest, const Certificate& issuer, const ASN1_INTEGER* serial);

/// The nonce among an object's extensions, empty if there is none; a critical extension that we do not know is invalid_argument.
template <auto Count, auto Get, class T>
Result<Bytes> read_nonce(T* object);
/// Content of the nonce extension: an OCTET STRING within the extension's own.
Result<Bytes> decode_nonce(X509_EXTENSION* extension);

struct ParsedStatusRequest {
  OcspRequest request;
  std::vector<OCSP_CERTID*> ids;  // within request
  StatusQuestions questions;      // in their order
};
Result<ParsedStatusRequest> read_status_request(ByteView der);

template <auto Count, auto Get, class T>
Result<Bytes> read_nonce(T* object) {
  Bytes nonce;
  for (int i = 0; i < Count(object); ++i) {
    X509_EXTENSION* extension = Get(object, i);
    if (OBJ_obj2nid(X509_EXTENSION_get_object(extension)) == NID_id_pkix_OCSP_Nonce) {
      if (!nonce.empty()) return fail(ErrorCode::invalid_argument, "status: more than one nonce");
      ASSIGN_OR_RETURN(nonce, decode_nonce(extension));
    } else if (X509_EXTENSION_get_critical(extension) != 0) {
      return fail(ErrorCode::invalid_argument, "status: holds a critical extension that is not known here");
    }
  }
  return nonce;
}

}  // namespace qanat::crypto
