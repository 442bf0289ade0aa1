// SCEP requests: SignedData read and verified, EnvelopedData opened.
#include <array>

#include "crypto/scep_cms.hpp"
#include "crypto/scep_message.hpp"

namespace qanat::crypto {
namespace {

constexpr std::string_view scep_where = "SCEP message";
constexpr std::size_t transaction_id_octets_max = 255;
constexpr std::size_t aes_block = 16;

template <class Value>
struct AlgorithmRow {
  int nid;
  Value value;
};
constexpr std::array scep_digests{AlgorithmRow<ScepDigest>{NID_sha256, ScepDigest::sha256}, AlgorithmRow<ScepDigest>{NID_sha384, ScepDigest::sha384},
                                  AlgorithmRow<ScepDigest>{NID_sha512, ScepDigest::sha512}};
constexpr std::array scep_ciphers{AlgorithmRow<ScepCipher>{NID_aes_128_cbc, ScepCipher::aes_128_cbc},
                                  AlgorithmRow<ScepCipher>{NID_aes_256_cbc, ScepCipher::aes_256_cbc}};
/// rsaEncryption stands for PKCS#1 v1.5 with the SignerInfo's digest (RFC 3370 §3.2).
constexpr std::array scep_signatures{NID_rsaEncryption,        NID_sha256WithRSAEncryption, NID_sha384WithRSAEncryption, NID_sha512WithRSAEncryption,
                                     NID_rsassaPss,            NID_ecdsa_with_SHA256,       NID_ecdsa_with_SHA384,       NID_ecdsa_with_SHA512,
                                     NID_SM2_with_SM3,         NID_ML_DSA_44,               NID_ML_DSA_65,               NID_ML_DSA_87};

template <class Rows>
auto find_algorithm(const Rows& rows, int nid) {
  const auto found = std::ranges::find(rows, nid, [](const auto& row) { return row.nid; });
  return found == rows.end() ? nullptr : &*found;
}

std::string name_of(const ASN1_OBJECT* object) {
  std::array<char, 80> text{};
  OBJ_obj2txt(text.data(), text.size(), object, 0);
  return text.data();
}

ScepFault bad_algorithm(std::string_view what, const ASN1_OBJECT* object) {
  return {.info = ScepFailInfo::bad_alg, .text = std::string(what) + ' ' + name_of(object) + " is not taken here"};
}

/// The one value of a signed attribute; nullptr if it is missing, there twice, or of another type.
const ASN1_STRING* attribute(CMS_SignerInfo* signer, const ASN1_OBJECT* type, int asn1_type) {
  return static_cast<const ASN1_STRING*>(CMS_signed_get0_data_by_OBJ(signer, type, -3, asn1_type));
}
const ASN1_STRING* attribute(CMS_SignerInfo* signer, const char* dotted, int asn1_type) {
  const ObjectId type = object_id(dotted);
  return type ? attribute(signer, type.get(), asn1_type) : nullptr;
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || std::string_view(" '()+,-./:=?").contains(c); });
}

Result<std::string> printable_attribute(CMS_SignerInfo* signer, const char* dotted, std::string_view what, std::size_t octets_max) {
  const ASN1_STRING* value = attribute(signer, dotted, V_ASN1_PRINTABLESTRING);
  const Bytes octets = value != nullptr ? octets_of(value) : Bytes();
  std::string text(as_text(octets));
  if (text.empty() || text.size() > octets_max || !is_printable(text)) {
    return fail(ErrorCode::invalid_argument,
                "SCEP message: its " + std::string(what) + " is not one PrintableString of 1 to " + std::to_string(octets_max) + " characters");
  }
  return text;
}

/// The one SignerInfo.
Result<CMS_SignerInfo*> single_signer(CMS_ContentInfo* cms) {
  if (OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed || OBJ_obj2nid(CMS_get0_eContentType(cms)) != NID_pkcs7_data) {
    return fail(ErrorCode::invalid_argument, "SCEP message: no SignedData over data");
  }
  ASN1_OCTET_STRING** content = CMS_get0_content(cms);
  if (content == nullptr || *content == nullptr) return fail(ErrorCode::invalid_argument, "SCEP message: its SignedData has no content");
  STACK_OF(CMS_SignerInfo)* signers = CMS_get0_SignerInfos(cms);
  if (sk_CMS_SignerInfo_num(signers) != 1) return fail(ErrorCode::invalid_argument, "SCEP message: not signed by exactly one");
  return sk_CMS_SignerInfo_value(signers, 0);
}

/// The certificate by which the signature will be verified: OpenSSL's own choice among those of the message.
Result<X509Certificate> certificate_of(CMS_ContentInfo* cms, CMS_SignerInfo* signer) {
  X509* found = nullptr;
  if (CMS_set1_signers_certs(cms, nullptr, 0) == 1) CMS_SignerInfo_get0_algs(signer, nullptr, &found, nullptr, nullptr);
  if (found == nullptr || X509_up_ref(found) != 1) return fail(ErrorCode::invalid_argument, "SCEP message: the certificate of its signer is not in it");
  return X509Certificate(found);
}

/// Steps through definite-length elements.
class Elements {
 public:
  explicit Elements(ByteView octets) : rest_(octets) {}
  [[nodiscard]] bool next_is(int tag, int kind) const {
    Elements copy = *this;
    return copy.head() && copy.tag_ == tag && copy.kind_ == kind;
  }
  [[nodiscard]] bool enter(int tag, int kind) {
    if (!head() || tag_ != tag || kind_ != kind) return false;
    rest_ = rest_.first(length_);
    return true;
  }
  [[nodiscard]] bool skip() {
    if (!head()) return false;
    rest_ = rest_.subspan(length_);
    return true;
  }
  [[nodiscard]] ByteView rest() const { return rest_; }

 private:
  bool head() {
    const unsigned char* at = rest_.data();
    long length = 0;
    const int result = ASN1_get_object(&at, &length, &tag_, &kind_, static_cast<long>(rest_.size()));
    if ((result & 0x81) != 0 || length < 0) return false;
    rest_ = rest_.subspan(static_cast<std::size_t>(at - rest_.data()));
    length_ = static_cast<std::size_t>(length);
    return length_ <= rest_.size();
  }
  ByteView rest_;
  int tag_ = 0;
  int kind_ = 0;
  std::size_t length_ = 0;
};

using AlgorithmId = Owned<X509_ALGOR, X509_ALGOR_free>;

/// contentEncryptionAlgorithm (RFC 5652 §6.1), for which OpenSSL has no reader; null if the octets are no EnvelopedData.
AlgorithmId content_encryption(ByteView envelope) {
  const auto cms = from_der<Cms, d2i_CMS_ContentInfo>(envelope, scep_where);
  if (!cms || OBJ_obj2nid(CMS_get0_type(cms->get())) != NID_pkcs7_enveloped) return nullptr;
  const Bytes der = to_der<i2d_CMS_ContentInfo>(cms->get());  // of definite lengths, whatever they were
  Elements in(der);
  const bool found = in.enter(V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL) && in.skip() && in.enter(0, V_ASN1_CONTEXT_SPECIFIC) &&
                     in.enter(V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL) && in.skip() && (!in.next_is(0, V_ASN1_CONTEXT_SPECIFIC) || in.skip()) && in.skip() &&
                     in.enter(V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL) && in.skip();
  if (!found) return nullptr;
  const unsigned char* at = in.rest().data();
  return AlgorithmId(d2i_X509_ALGOR(nullptr, &at, static_cast<long>(in.rest().size())));
}

/// The signed attributes as they are signed (RFC 5652 §5.4): the DER of a SET OF.
Bytes signed_attributes(CMS_SignerInfo* signer) {
  const int count = CMS_signed_get_attr_count(signer);
  std::vector<Bytes> each;
  each.reserve(static_cast<std::size_t>(std::max(count, 0)));
  for (int i = 0; i < count; ++i) each.push_back(to_der<i2d_X509_ATTRIBUTE>(CMS_signed_get_attr(signer, i)));
  std::ranges::sort(each);
  Bytes content;
  for (const Bytes& attribute : each) append(content, attribute);
  Bytes out(static_cast<std::size_t>(ASN1_object_size(1, static_cast<int>(content.size()), V_ASN1_SET)) - content.size());
  unsigned char* at = out.data();
  ASN1_put_object(&at, 1, static_cast<int>(content.size()), V_ASN1_SET, V_ASN1_UNIVERSAL);
  append(out, content);
  return out;
}

/// OpenSSL verifies a SignerInfo of an SM2 key with the empty distinguishing id alone; here with the standard one.
bool sm2_holds(CMS_SignerInfo* signer, X509* certificate) {
  EVP_PKEY* key = X509_get0_pubkey(certificate);
  const EvpKeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  const EvpDigestContext digest(EVP_MD_CTX_new());
  if (!context || !digest || EVP_PKEY_CTX_set1_id(context.get(), sm2_distinguishing_id.data(), static_cast<int>(sm2_distinguishing_id.size())) <= 0)
    return false;
  EVP_MD_CTX_set_pkey_ctx(digest.get(), context.get());
  const Bytes attributes = signed_attributes(signer);
  const ASN1_OCTET_STRING* signature = CMS_SignerInfo_get0_signature(signer);
  return EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sm3(), nullptr, key) == 1 &&
         EVP_DigestVerify(digest.get(), ASN1_STRING_get0_data(signature), static_cast<std::size_t>(ASN1_STRING_length(signature)), attributes.data(),
                          attributes.size()) == 1;
}

/// Whether the signature and the digest of the content hold; the content goes into `content`.
bool signature_holds(CMS_ContentInfo* cms, CMS_SignerInfo* signer, X509* certificate, SubjectAlgorithm algorithm, Bytes& content) {
  const ASN1_OBJECT* content_type = OBJ_nid2obj(NID_pkcs9_contentType);
  if (CMS_signed_get0_data_by_OBJ(signer, content_type, -3, V_ASN1_OBJECT) == nullptr) return false;
  const bool own_check = algorithm == SubjectAlgorithm::sm2 && sm2_holds(signer, certificate);
  const MemoryBio out(BIO_new(BIO_s_mem()));
  const unsigned flags = CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY | (own_check ? CMS_NO_ATTR_VERIFY : 0U);
  if (!out || CMS_verify(cms, nullptr, nullptr, nullptr, out.get(), flags) != 1) return false;
  char* octets = nullptr;
  const long size = BIO_get_mem_data(out.get(), &octets);
  content = size > 0 ? to_bytes(std::string_view(octets, static_cast<std::size_t>(size))) : Bytes();
  return true;
}

/// The size of the DER SEQUENCE that begins the octets; 0 if none does.
std::size_t sequence_size(ByteView octets) {
  constexpr std::uint8_t sequence = 0x30;
  if (octets.size() < 2 || octets[0] != sequence) return 0;
  if (octets[1] < 0x80) return std::size_t{2} + octets[1];
  const std::size_t lengths = octets[1] & 0x7fU;
  if (lengths == 0 || lengths > 3 || octets.size() < 2 + lengths) return 0;
  std::size_t length = 0;
  for (const std::uint8_t octet : octets.subspan(2, lengths)) length = (length << 8) | octet;
  return 2 + lengths + length;
}

Result<Bytes> name_in(ByteView certificate_der, const X509_NAME* (*which)(const X509*)) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const X509Certificate certificate, (from_der<X509Certificate, d2i_X509>(certificate_der, "certificate")));
  Bytes out = to_der<i2d_X509_NAME>(which(certificate.get()));
  if (out.empty()) return openssl_failure("certificate");
  return out;
}

}  // namespace

Result<ScepRequest> ScepRequest::parse(ByteView der) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const Cms cms, (from_der<Cms, d2i_CMS_ContentInfo>(der, scep_where)));
  ASSIGN_OR_RETURN(CMS_SignerInfo * signer, single_signer(cms.get()));
  ASSIGN_OR_RETURN(const X509Certificate certificate, certificate_of(cms.get(), signer));

  ScepRequest out;
  ASSIGN_OR_RETURN(out.transaction_id_, printable_attribute(signer, scep_attribute::transaction_id, "transactionID", transaction_id_octets_max));
  ASSIGN_OR_RETURN(const std::string type, printable_attribute(signer, scep_attribute::message_type, "messageType", 2));
  if (!std::ranges::all_of(type, [](char c) { return c >= '0' && c <= '9'; }))
    return fail(ErrorCode::invalid_argument, "SCEP message: its messageType is no number");
  for (const char digit : type) out.type_ = out.type_ * 10 + (digit - '0');
  const ASN1_STRING* nonce = attribute(signer, scep_attribute::sender_nonce, V_ASN1_OCTET_STRING);
  if (nonce == nullptr || ASN1_STRING_length(nonce) != static_cast<int>(scep_nonce_size)) {
    return fail(ErrorCode::invalid_argument, "SCEP message: its senderNonce is not one OCTET STRING of " + std::to_string(scep_nonce_size) + " octets");
  }
  out.sender_nonce_ = octets_of(nonce);
  out.signer_ = to_der<i2d_X509>(certificate.get());

  X509_ALGOR* digest = nullptr;
  X509_ALGOR* signature = nullptr;
  CMS_SignerInfo_get0_algs(signer, nullptr, nullptr, &digest, &signature);
  auto key = SubjectPublicKey::parse(to_der<i2d_X509_PUBKEY>(X509_get_X509_PUBKEY(certificate.get())));
  if (!key) {
    out.fault_ = ScepFault{.info = ScepFailInfo::bad_alg, .text = "the signer's " + key.error().message};
    return out;
  }
  const auto* digest_row = find_algorithm(scep_digests, OBJ_obj2nid(digest->algorithm));
  const bool sm3 = key->algorithm() == SubjectAlgorithm::sm2 && OBJ_obj2nid(digest->algorithm) == NID_sm3;
  if (digest_row == nullptr && !sm3) {
    out.fault_ = bad_algorithm("the digest", digest->algorithm);
    return out;
  }
  if (digest_row != nullptr) out.digest_ = digest_row->value;
  if (std::ranges::find(scep_signatures, OBJ_obj2nid(signature->algorithm)) == scep_signatures.end()) {
    out.fault_ = bad_algorithm("the signature algorithm", signature->algorithm);
    return out;
  }
  if (!signature_holds(cms.get(), signer, certificate.get(), key->algorithm(), out.envelope_)) {
    out.fault_ = ScepFault{.info = ScepFailInfo::bad_message_check, .text = "the message's signature does not hold"};
    return out;
  }
  const AlgorithmId encryption = content_encryption(out.envelope_);
  if (!encryption) {
    out.fault_ = ScepFault{.info = ScepFailInfo::bad_request, .text = "the message holds no EnvelopedData"};
    return out;
  }
  const auto* cipher_row = find_algorithm(scep_ciphers, OBJ_obj2nid(encryption->algorithm));
  if (cipher_row == nullptr) {
    out.fault_ = bad_algorithm("the content encryption", encryption->algorithm);
    return out;
  }
  out.cipher_ = cipher_row->value;
  if (const ASN1_OBJECT* at = OBJ_nid2obj(NID_pkcs9_signingTime); CMS_signed_get_attr_by_OBJ(signer, at, -1) >= 0) {
    const ASN1_STRING* time = attribute(signer, at, V_ASN1_UTCTIME);
    if (time == nullptr) time = attribute(signer, at, V_ASN1_GENERALIZEDTIME);
    const auto read = time != nullptr ? read_time(time) : fail(ErrorCode::invalid_argument, "");
    out.signing_time_ = read ? *read : 0;  // one that cannot be read is a time that fits nowhere
  }
  out.signer_key_ = std::make_shared<const SubjectPublicKey>(*std::move(key));
  return out;
}

const ScepRa* scep_recipient(const ScepRequest& request, std::span<const ScepRa> authorities) {
  const ErrorScope errors;
  const auto cms = from_der<Cms, d2i_CMS_ContentInfo>(request.envelope(), scep_where);
  if (!cms) return nullptr;
  STACK_OF(CMS_RecipientInfo)* recipients = CMS_get0_RecipientInfos(cms->get());
  for (const ScepRa& authority : authorities) {
    const auto certificate = from_der<X509Certificate, d2i_X509>(authority.certificate, "certificate");
    if (!certificate) continue;
    for (int i = 0; i < sk_CMS_RecipientInfo_num(recipients); ++i) {
      CMS_RecipientInfo* each = sk_CMS_RecipientInfo_value(recipients, i);
      if (CMS_RecipientInfo_type(each) == CMS_RECIPINFO_TRANS && CMS_RecipientInfo_ktri_cert_cmp(each, certificate->get()) == 0) return &authority;
    }
  }
  return nullptr;
}

Secret open_scep_envelope(const ScepRequest& request, const ScepRa& authority) {
  const ErrorScope errors;
  const auto cms = from_der<Cms, d2i_CMS_ContentInfo>(request.envelope(), scep_where);
  const auto certificate = from_der<X509Certificate, d2i_X509>(authority.certificate, "certificate");
  // With the certificate, so that OpenSSL goes on with a random key where it finds none.
  if (!cms || !certificate || CMS_decrypt_set1_pkey(cms->get(), authority.key.state().key.get(), certificate->get()) != 1) return {};
  const BioChain chain(CMS_dataInit(cms->get(), nullptr));
  BIO* cipher = chain ? BIO_find_type(chain.get(), BIO_TYPE_CIPHER) : nullptr;
  EVP_CIPHER_CTX* context = nullptr;
  if (cipher == nullptr || BIO_get_cipher_ctx(cipher, &context) != 1 || EVP_CIPHER_CTX_set_padding(context, 0) != 1) return {};
  Secret plain(request.envelope().size());
  std::size_t size = 0;
  while (size < plain.size()) {
    const int read = BIO_read(chain.get(), plain.writable().data() + size, static_cast<int>(plain.size() - size));
    if (read <= 0) break;
    size += static_cast<std::size_t>(read);
  }
  if (BIO_get_cipher_status(cipher) != 1) return {};  // no whole number of blocks
  const ByteView octets = plain.reveal().first(size);
  const std::size_t object = sequence_size(octets);
  if (object == 0 || object >= size || size - object > aes_block) return {};
  return Secret::copy_of(octets.first(object));
}

Result<ScepCertificateId> parse_scep_certificate_id(ByteView der) {
  const ErrorScope errors;
  using IssuerAndSerial = Owned<PKCS7_ISSUER_AND_SERIAL, PKCS7_ISSUER_AND_SERIAL_free>;
  ASSIGN_OR_RETURN(const IssuerAndSerial read, (from_der<IssuerAndSerial, d2i_PKCS7_ISSUER_AND_SERIAL>(der, "IssuerAndSerialNumber")));
  ScepCertificateId out;
  ASSIGN_OR_RETURN(out.serial, read_serial(read->serial));
  out.issuer = to_der<i2d_X509_NAME>(read->issuer);
  return out;
}

Result<Bytes> certificate_issuer_name(ByteView certificate_der) {
  return name_in(certificate_der, [](const X509* certificate) -> const X509_NAME* { return X509_get_issuer_name(certificate); });
}
Result<Bytes> certificate_subject_name(ByteView certificate_der) {
  return name_in(certificate_der, [](const X509* certificate) -> const X509_NAME* { return X509_get_subject_name(certificate); });
}

}  // namespace qanat::crypto
