// OpenSSL's CMS with owners, and SCEP's attributes (RFC 8894 §3.2). Private to crypto.
#pragma once

#include <openssl/cms.h>
#include <openssl/pkcs7.h>

#include <algorithm>

#include "crypto/rsa_key.hpp"
#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {

struct RsaKey::State {
  EvpKey key;
  Bytes public_key_info;
};

inline void free_chain(BIO* chain) noexcept { BIO_free_all(chain); }

using Cms = Owned<CMS_ContentInfo, CMS_ContentInfo_free>;
using BioChain = Owned<BIO, free_chain>;
using ObjectId = Owned<ASN1_OBJECT, ASN1_OBJECT_free>;

/// What of SCEP stands in a SignerInfo's signed attributes (RFC 8894 §3.2.1, Appendix A), as dotted object identifiers.
namespace scep_attribute {
inline constexpr const char* message_type = "2.16.840.1.113733.1.9.2";
inline constexpr const char* status = "2.16.840.1.113733.1.9.3";
inline constexpr const char* fail_info = "2.16.840.1.113733.1.9.4";
inline constexpr const char* sender_nonce = "2.16.840.1.113733.1.9.5";
inline constexpr const char* recipient_nonce = "2.16.840.1.113733.1.9.6";
inline constexpr const char* transaction_id = "2.16.840.1.113733.1.9.7";
inline constexpr const char* fail_info_text = "1.3.6.1.5.5.7.24.1";
}  // namespace scep_attribute

inline ObjectId object_id(const char* dotted) { return ObjectId(OBJ_txt2obj(dotted, 1)); }

}  // namespace qanat::crypto
