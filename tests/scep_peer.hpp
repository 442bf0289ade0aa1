// The other end of SCEP, for tests: requests of every key and every fault, made with OpenSSL's CMS and none of our code; answers read back. A call that fails
// throws.
#pragma once

#include <openssl/cms.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace qanat::test::scep {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const noexcept {
    static_cast<void>(Free(object));
  }
};
template <class T, auto Free>
using Held = std::unique_ptr<T, Freer<Free>>;
using Key = Held<EVP_PKEY, EVP_PKEY_free>;
using Cert = Held<X509, X509_free>;
using Message = Held<CMS_ContentInfo, CMS_ContentInfo_free>;
using Stream = Held<BIO, BIO_free_all>;
using Object = Held<ASN1_OBJECT, ASN1_OBJECT_free>;

template <class T>
T need(T value, const char* what) {
  if (!value) throw std::runtime_error(std::string("SCEP peer: ") + what);
  return value;
}

template <auto Encode, class T>
Bytes encoded(T* object) {
  unsigned char* octets = nullptr;
  const int length = Encode(object, &octets);
  if (length <= 0) throw std::runtime_error("SCEP peer: cannot encode");
  Bytes out(octets, octets + length);
  OPENSSL_free(octets);
  return out;
}

/// "RSA", "EC" (P-256), "SM2", "ML-DSA-65" …
inline Key make_key(const std::string& kind, unsigned bits = 2048) {
  if (kind == "RSA") return Key(need(EVP_RSA_gen(bits), "RSA key"));
  if (kind == "EC") return Key(need(EVP_EC_gen("P-256"), "EC key"));
  return Key(need(EVP_PKEY_Q_keygen(nullptr, nullptr, kind.c_str()), "key"));
}
inline Bytes public_key_info(EVP_PKEY* key) { return encoded<i2d_PUBKEY>(key); }

/// The digest of signatures by this key over X.509 objects.
inline const EVP_MD* object_digest(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "SM2") == 1) return EVP_sm3();
  return EVP_PKEY_is_a(key, "RSA") == 1 || EVP_PKEY_is_a(key, "EC") == 1 ? EVP_sha256() : nullptr;
}

inline Cert to_certificate(ByteView der) {
  const unsigned char* at = der.data();
  return Cert(need(d2i_X509(nullptr, &at, static_cast<long>(der.size())), "certificate"));
}

inline void set_common_name(X509_NAME* name, const std::string& common_name) {
  X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common_name.data()),
                             static_cast<int>(common_name.size()), -1, 0);
}

/// The certificate that a first request is signed with (RFC 8894 §2.3), or one that `issuer` signed.
inline Bytes make_certificate(EVP_PKEY* key, const std::string& common_name, EVP_PKEY* issuer = nullptr, const std::string& issuer_name = "") {
  const Cert out(X509_new());
  X509_set_version(out.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(out.get()), 4711);
  X509_gmtime_adj(X509_getm_notBefore(out.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(out.get()), 86'400);
  set_common_name(X509_get_subject_name(out.get()), common_name);
  if (issuer != nullptr) {
    const Held<X509_NAME, X509_NAME_free> name(X509_NAME_new());
    set_common_name(name.get(), issuer_name);
    X509_set_issuer_name(out.get(), name.get());
  } else {
    X509_set_issuer_name(out.get(), X509_get_subject_name(out.get()));
  }
  X509_set_pubkey(out.get(), key);
  EVP_PKEY* signer = issuer != nullptr ? issuer : key;
  need(X509_sign(out.get(), signer, object_digest(signer)), "certificate signature");
  return encoded<i2d_X509>(out.get());
}

struct Csr {
  std::string common_name = "box-7";
  std::vector<std::string> dns = {};
  std::string challenge = {};
};
inline Bytes make_csr(EVP_PKEY* key, const Csr& wanted) {
  const Held<X509_REQ, X509_REQ_free> out(X509_REQ_new());
  X509_REQ_set_version(out.get(), X509_REQ_VERSION_1);
  set_common_name(X509_REQ_get_subject_name(out.get()), wanted.common_name);
  X509_REQ_set_pubkey(out.get(), key);
  if (!wanted.dns.empty()) {
    std::string names;
    for (const std::string& dns : wanted.dns) names += (names.empty() ? "DNS:" : ",DNS:") + dns;
    STACK_OF(X509_EXTENSION)* list = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(list, need(X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str()), "alternative names"));
    X509_REQ_add_extensions(out.get(), list);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  }
  if (!wanted.challenge.empty()) {
    need(X509_REQ_add1_attr_by_NID(out.get(), NID_pkcs9_challengePassword, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(wanted.challenge.data()),
                                   static_cast<int>(wanted.challenge.size())),
         "challenge");
  }
  need(X509_REQ_sign(out.get(), key, object_digest(key)), "request signature");
  return encoded<i2d_X509_REQ>(out.get());
}

inline Stream reader(ByteView octets) {
  return Stream(BIO_new_mem_buf(octets.empty() ? "" : static_cast<const void*>(octets.data()), static_cast<int>(octets.size())));
}

inline Bytes seal_to(ByteView content, const Bytes& certificate, const EVP_CIPHER* cipher) {
  const Cert recipient = to_certificate(certificate);
  STACK_OF(X509)* recipients = sk_X509_new_null();
  sk_X509_push(recipients, recipient.get());
  const Message out(CMS_encrypt(recipients, reader(content).get(), cipher, CMS_BINARY));
  sk_X509_free(recipients);
  return encoded<i2d_CMS_ContentInfo>(need(out.get(), "EnvelopedData"));
}

enum class Omit : unsigned char { nothing, transaction, type, nonce, certificate, content };

struct Request {
  std::string type = "19";
  std::string transaction = "transaction-1";
  Bytes nonce = Bytes(16, 0x5a);
  Bytes content = {};                  // of the envelope
  Bytes ra = {};                       // DER of the certificate that it is encrypted to
  EVP_PKEY* key = nullptr;             // signs
  Bytes certificate = {};              // of the signing key
  const EVP_MD* digest = nullptr;      // nullptr: SHA-256, ML-DSA SHA-512, SM2 SM3
  const EVP_CIPHER* cipher = nullptr;  // nullptr: AES-128-CBC
  Omit omit = Omit::nothing;
  std::optional<Bytes> envelope = {};     // in place of content sealed to ra
  std::string sm2_id = {};                // distinguishing identity of an SM2 signature; empty: the empty one
  std::optional<long> signing_time = {};  // seconds from now; OpenSSL sets the present time where nothing is said
};

inline const EVP_MD* message_digest(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "SM2") == 1) return EVP_sm3();
  return EVP_PKEY_is_a(key, "RSA") == 1 || EVP_PKEY_is_a(key, "EC") == 1 ? EVP_sha256() : EVP_sha512();  // RFC 9882 §3.3
}

inline void add_attribute(CMS_SignerInfo* signer, const char* oid, int type, ByteView value) {
  const Object object(OBJ_txt2obj(oid, 1));
  need(CMS_signed_add1_attr_by_OBJ(signer, object.get(), type, value.data(), static_cast<int>(value.size())), "attribute");
}

inline Bytes make_message(const Request& request) {
  const Cert certificate = to_certificate(request.certificate);
  const unsigned detached = request.omit == Omit::content ? CMS_DETACHED : 0U;
  const Message out(CMS_sign(nullptr, nullptr, nullptr, nullptr, CMS_PARTIAL | CMS_BINARY | detached));
  const unsigned no_certificate = request.omit == Omit::certificate ? CMS_NOCERTS : 0U;
  CMS_SignerInfo* signer =
      need(CMS_add1_signer(out.get(), certificate.get(), request.key, request.digest != nullptr ? request.digest : message_digest(request.key),
                           CMS_BINARY | CMS_NOSMIMECAP | no_certificate | (request.sm2_id.empty() ? 0U : unsigned{CMS_KEY_PARAM})),
           "signer");
  if (!request.sm2_id.empty()) {
    need(EVP_PKEY_CTX_set1_id(CMS_SignerInfo_get0_pkey_ctx(signer), request.sm2_id.data(), static_cast<int>(request.sm2_id.size())) == 1, "identity");
  }
  if (request.omit != Omit::transaction) add_attribute(signer, "2.16.840.1.113733.1.9.7", V_ASN1_PRINTABLESTRING, as_bytes(request.transaction));
  if (request.omit != Omit::type) add_attribute(signer, "2.16.840.1.113733.1.9.2", V_ASN1_PRINTABLESTRING, as_bytes(request.type));
  if (request.omit != Omit::nonce) add_attribute(signer, "2.16.840.1.113733.1.9.5", V_ASN1_OCTET_STRING, request.nonce);
  if (request.signing_time) {
    const Held<ASN1_TIME, ASN1_TIME_free> at(X509_gmtime_adj(nullptr, *request.signing_time));
    CMS_signed_add1_attr_by_NID(signer, NID_pkcs9_signingTime, at->type, at.get(), -1);
  }
  const Bytes envelope =
      request.envelope ? *request.envelope : seal_to(request.content, request.ra, request.cipher != nullptr ? request.cipher : EVP_aes_128_cbc());
  need(CMS_final(out.get(), reader(envelope).get(), nullptr, CMS_BINARY | detached), "signature");
  return encoded<i2d_CMS_ContentInfo>(out.get());
}

struct Answer {
  std::string type;
  std::string status;
  std::string fail_info;
  std::string text;
  std::string transaction;
  Bytes recipient_nonce;
  Bytes sender_nonce;
  Bytes envelope;
  bool has_content = false;
};

inline Message to_message(ByteView der) {
  const unsigned char* at = der.data();
  return Message(need(d2i_CMS_ContentInfo(nullptr, &at, static_cast<long>(der.size())), "message"));
}

inline Bytes drained(BIO* stream) {
  char* octets = nullptr;
  const long size = BIO_get_mem_data(stream, &octets);
  return {octets, octets + size};
}

inline Bytes attribute(CMS_SignerInfo* signer, const char* oid, int type) {
  const Object object(OBJ_txt2obj(oid, 1));
  const auto* value = static_cast<const ASN1_STRING*>(CMS_signed_get0_data_by_OBJ(signer, object.get(), -3, type));
  if (value == nullptr) return {};
  return {ASN1_STRING_get0_data(value), ASN1_STRING_get0_data(value) + ASN1_STRING_length(value)};
}

/// Signed with the RA's key, or it throws.
inline Answer read_answer(ByteView der, const Bytes& ra) {
  const Message message = to_message(der);
  const Cert signer_certificate = to_certificate(ra);
  STACK_OF(X509)* certificates = sk_X509_new_null();
  sk_X509_push(certificates, signer_certificate.get());
  const Stream out(BIO_new(BIO_s_mem()));
  ASN1_OCTET_STRING** content = CMS_get0_content(message.get());
  Answer answer;
  answer.has_content = content != nullptr && *content != nullptr;
  const Stream nothing = reader({});
  const int ok = CMS_verify(message.get(), certificates, nullptr, answer.has_content ? nullptr : nothing.get(), out.get(),
                            CMS_NO_SIGNER_CERT_VERIFY | CMS_NOINTERN | CMS_BINARY);
  sk_X509_free(certificates);
  need(ok == 1, "the RA's signature does not hold");
  CMS_SignerInfo* signer = sk_CMS_SignerInfo_value(CMS_get0_SignerInfos(message.get()), 0);
  const auto text = [&](const char* oid, int type = V_ASN1_PRINTABLESTRING) { return std::string(as_text(attribute(signer, oid, type))); };
  answer.type = text("2.16.840.1.113733.1.9.2");
  answer.status = text("2.16.840.1.113733.1.9.3");
  answer.fail_info = text("2.16.840.1.113733.1.9.4");
  answer.text = text("1.3.6.1.5.5.7.24.1", V_ASN1_UTF8STRING);
  answer.transaction = text("2.16.840.1.113733.1.9.7");
  answer.sender_nonce = attribute(signer, "2.16.840.1.113733.1.9.5", V_ASN1_OCTET_STRING);
  answer.recipient_nonce = attribute(signer, "2.16.840.1.113733.1.9.6", V_ASN1_OCTET_STRING);
  if (answer.has_content) answer.envelope = drained(out.get());
  return answer;
}

inline Bytes open_with_key(ByteView envelope, EVP_PKEY* key, const Bytes& certificate) {
  const Message message = to_message(envelope);
  const Cert recipient = to_certificate(certificate);
  const Stream out(BIO_new(BIO_s_mem()));
  need(CMS_decrypt(message.get(), key, recipient.get(), nullptr, out.get(), CMS_BINARY | CMS_DEBUG_DECRYPT), "the envelope does not open with the key");
  return drained(out.get());
}
inline Bytes open_with_password(ByteView envelope, std::string password) {
  const Message message = to_message(envelope);
  const Stream out(BIO_new(BIO_s_mem()));
  need(CMS_decrypt_set1_password(message.get(), reinterpret_cast<unsigned char*>(password.data()), static_cast<ossl_ssize_t>(password.size())) == 1 &&
           CMS_decrypt(message.get(), nullptr, nullptr, nullptr, out.get(), CMS_BINARY) == 1,
       "the envelope does not open with the password");
  return drained(out.get());
}

/// Of a certs-only SignedData.
inline std::vector<Bytes> certificates_in(ByteView der) {
  const Message message = to_message(der);
  STACK_OF(X509)* all = CMS_get1_certs(message.get());
  std::vector<Bytes> out;
  for (int i = 0; i < sk_X509_num(all); ++i) out.push_back(encoded<i2d_X509>(sk_X509_value(all, i)));
  sk_X509_pop_free(all, X509_free);
  return out;
}
inline std::vector<Bytes> lists_in(ByteView der) {
  const Message message = to_message(der);
  STACK_OF(X509_CRL)* all = CMS_get1_crls(message.get());
  std::vector<Bytes> out;
  for (int i = 0; i < sk_X509_CRL_num(all); ++i) out.push_back(encoded<i2d_X509_CRL>(sk_X509_CRL_value(all, i)));
  sk_X509_CRL_pop_free(all, X509_CRL_free);
  return out;
}

/// IssuerAndSerialNumber of a certificate, or IssuerAndSubject.
inline Bytes issuer_and_serial(const Bytes& certificate) {
  const Cert read = to_certificate(certificate);
  Bytes content = encoded<i2d_X509_NAME>(X509_get_issuer_name(read.get()));
  append(content, encoded<i2d_ASN1_INTEGER>(X509_get_serialNumber(read.get())));
  Bytes out(static_cast<std::size_t>(ASN1_object_size(1, static_cast<int>(content.size()), V_ASN1_SEQUENCE)) - content.size());
  unsigned char* at = out.data();
  ASN1_put_object(&at, 1, static_cast<int>(content.size()), V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
  append(out, content);
  return out;
}

}  // namespace qanat::test::scep
