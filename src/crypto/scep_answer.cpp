// SCEP answers: certs-only SignedData, EnvelopedData around them, CertRep around that.
#include <array>

#include "crypto/scep_cms.hpp"
#include "crypto/scep_message.hpp"

namespace qanat::crypto {
namespace {

constexpr std::string_view answer_where = "SCEP answer";

const EVP_CIPHER* cipher_for(ScepCipher cipher) { return cipher == ScepCipher::aes_256_cbc ? EVP_aes_256_cbc() : EVP_aes_128_cbc(); }
const EVP_MD* digest_for(ScepDigest digest) {
  if (digest == ScepDigest::sha512) return EVP_sha512();
  return digest == ScepDigest::sha384 ? EVP_sha384() : EVP_sha256();
}

MemoryBio reader(ByteView octets) {
  static constexpr char nothing = 0;  // no octets have an address too
  return MemoryBio(BIO_new_mem_buf(octets.empty() ? static_cast<const void*>(&nothing) : octets.data(), static_cast<int>(octets.size())));
}

Result<Bytes> finished(CMS_ContentInfo* cms) {
  Bytes der = to_der<i2d_CMS_ContentInfo>(cms);
  if (der.empty()) return openssl_failure(answer_where);
  return der;
}

bool add_text(CMS_SignerInfo* signer, const char* attribute, int type, std::string_view text) {
  const ObjectId object = object_id(attribute);
  return object && CMS_signed_add1_attr_by_OBJ(signer, object.get(), type, text.data(), static_cast<int>(text.size())) == 1;
}
bool add_octets(CMS_SignerInfo* signer, const char* attribute, ByteView octets) {
  const ObjectId object = object_id(attribute);
  return object && CMS_signed_add1_attr_by_OBJ(signer, object.get(), V_ASN1_OCTET_STRING, octets.data(), static_cast<int>(octets.size())) == 1;
}

bool add_attributes(CMS_SignerInfo* signer, const ScepAnswer& answer) {
  const auto number = [](auto value) { return std::to_string(static_cast<int>(value)); };
  bool ok = add_text(signer, scep_attribute::message_type, V_ASN1_PRINTABLESTRING, number(ScepType::cert_rep)) &&
            add_text(signer, scep_attribute::status, V_ASN1_PRINTABLESTRING, number(answer.status)) &&
            add_text(signer, scep_attribute::transaction_id, V_ASN1_PRINTABLESTRING, answer.transaction_id) &&
            add_octets(signer, scep_attribute::sender_nonce, answer.sender_nonce) &&
            add_octets(signer, scep_attribute::recipient_nonce, answer.recipient_nonce);
  if (answer.fault) {
    ok = ok && add_text(signer, scep_attribute::fail_info, V_ASN1_PRINTABLESTRING, number(answer.fault->info));
    if (!answer.fault->text.empty()) ok = ok && add_text(signer, scep_attribute::fail_info_text, V_ASN1_UTF8STRING, answer.fault->text);
  }
  return ok;
}

/// A SignedData with one signer, not finished yet.
struct Unfinished {
  Cms cms;
  CMS_SignerInfo* signer = nullptr;
};
Result<Unfinished> signed_by(const ScepRa& authority, const EVP_MD* digest, unsigned flags) {
  ASSIGN_OR_RETURN(const X509Certificate certificate, (from_der<X509Certificate, d2i_X509>(authority.certificate, "certificate")));
  Unfinished out{.cms = Cms(CMS_sign(nullptr, nullptr, nullptr, nullptr, CMS_PARTIAL | CMS_BINARY | flags))};
  if (out.cms) out.signer = CMS_add1_signer(out.cms.get(), certificate.get(), authority.key.state().key.get(), digest, CMS_BINARY | CMS_NOSMIMECAP);
  if (out.signer == nullptr) return openssl_failure(answer_where);
  return Result<Unfinished>(std::move(out));
}

}  // namespace

Result<Bytes> make_list_only(ByteView revocation_list) {
  using Crl = Owned<X509_CRL, X509_CRL_free>;
  const ErrorScope errors;
  const unsigned char* at = revocation_list.data();
  const Crl list(d2i_X509_CRL(nullptr, &at, static_cast<long>(revocation_list.size())));
  if (!list) return fail(ErrorCode::invalid_argument, "revocation list: not DER of one");
  const Cms cms(CMS_sign(nullptr, nullptr, nullptr, nullptr, CMS_PARTIAL | CMS_BINARY | CMS_DETACHED));
  if (!cms || CMS_add1_crl(cms.get(), list.get()) != 1) return openssl_failure(answer_where);
  return finished(cms.get());
}

Result<Bytes> seal_to_certificate(ByteView content, ByteView certificate_der, ScepCipher cipher) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(X509Certificate certificate, (from_der<X509Certificate, d2i_X509>(certificate_der, "certificate")));
  if (EVP_PKEY_is_a(X509_get0_pubkey(certificate.get()), "RSA") != 1)
    return fail(ErrorCode::invalid_argument, "SCEP answer: the key of the certificate does not encrypt");
  const BorrowedCertificates recipients(sk_X509_new_null());
  const MemoryBio in = reader(content);
  if (!recipients || !in || sk_X509_push(recipients.get(), certificate.get()) < 1) return openssl_failure(answer_where);
  const Cms cms(CMS_encrypt(recipients.get(), in.get(), cipher_for(cipher), CMS_BINARY));
  if (!cms) return openssl_failure(answer_where);
  return finished(cms.get());
}

Result<Bytes> seal_to_password(ByteView content, const Secret& password, ScepCipher cipher) {
  const ErrorScope errors;
  if (password.empty()) return fail(ErrorCode::invalid_argument, "SCEP answer: no password to encrypt to");
  const Cms cms(CMS_EnvelopedData_create(cipher_for(cipher)));
  CMS_RecipientInfo* recipient =
      cms ? CMS_add0_recipient_password(cms.get(), scep_password_iterations, NID_id_alg_PWRI_KEK, -1, nullptr, 0, cipher_for(cipher)) : nullptr;
  if (recipient == nullptr || CMS_set_detached(cms.get(), 0) != 1) return openssl_failure(answer_where);
  auto* copy = static_cast<unsigned char*>(OPENSSL_memdup(password.reveal().data(), password.size()));
  if (copy == nullptr) return openssl_failure(answer_where);
  CMS_RecipientInfo_set0_password(recipient, copy, static_cast<ossl_ssize_t>(password.size()));  // which wipes it when it goes
  const MemoryBio in = reader(content);
  if (!in || CMS_final(cms.get(), in.get(), nullptr, CMS_BINARY) != 1) return openssl_failure(answer_where);
  return finished(cms.get());
}

Result<Bytes> sign_scep_answer(const ScepAnswer& answer, const ScepRa& authority) {
  const ErrorScope errors;
  // Without an envelope there is no content at all (§3): CMS_DETACHED leaves it out, and what is signed is the digest of nothing.
  const unsigned flags = answer.envelope.empty() ? CMS_DETACHED : 0U;
  ASSIGN_OR_RETURN(const Unfinished out, signed_by(authority, digest_for(answer.digest), flags));
  const MemoryBio in = reader(answer.envelope);
  if (!add_attributes(out.signer, answer) || !in || CMS_final(out.cms.get(), in.get(), nullptr, CMS_BINARY | flags) != 1) return openssl_failure(answer_where);
  return finished(out.cms.get());
}

Result<Bytes> sign_next_certificates(ByteView certs_only, const ScepRa& authority) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const Unfinished out, signed_by(authority, EVP_sha256(), 0));
  const MemoryBio in = reader(certs_only);
  if (!in || CMS_final(out.cms.get(), in.get(), nullptr, CMS_BINARY) != 1) return openssl_failure(answer_where);
  return finished(out.cms.get());
}

}  // namespace qanat::crypto
