// Certification requests of software that others wrote (PKCS#10, RFC 2986; challengePassword: RFC 2985 §5.4.1).
#include <openssl/pem.h>

#include <algorithm>
#include <array>

#include "crypto/subject.hpp"
#include "crypto/subject_names.hpp"
#include "crypto/x509_names.hpp"
#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t challenge_octets_max = 256;
constexpr std::string_view request_where = "certificate request";

/// None with SHA-1: a request is what the certificate rests on.
constexpr std::array request_signatures{NID_sha256WithRSAEncryption,
                                        NID_sha384WithRSAEncryption,
                                        NID_sha512WithRSAEncryption,
                                        NID_ecdsa_with_SHA256,
                                        NID_ecdsa_with_SHA384,
                                        NID_ecdsa_with_SHA512,
                                        NID_SM2_with_SM3,
                                        NID_ML_DSA_44,
                                        NID_ML_DSA_65,
                                        NID_ML_DSA_87};

bool holds(X509_REQ* request) { return X509_REQ_verify(request, X509_REQ_get0_pubkey(request)) == 1; }

Result<void> check_self_signature(X509_REQ* request, SubjectAlgorithm algorithm) {
  if (!signs(algorithm))
    return fail(ErrorCode::denied, "certificate request: a key of " + std::string(name(algorithm)) + " signs nothing, not its request either");
  const int signature = X509_REQ_get_signature_nid(request);
  if (std::ranges::find(request_signatures, signature) == request_signatures.end()) {
    return fail(ErrorCode::denied, "certificate request: signed with an algorithm that is not taken here (SHA-2 with RSA or ECDSA, SM2 with SM3, ML-DSA)");
  }
  if (signature == NID_SM2_with_SM3) {
    Asn1OctetString id = new_distinguishing_id();
    if (!id) return openssl_failure(request_where);
    X509_REQ_set0_distinguishing_id(request, id.release());
    if (holds(request)) return {};
    X509_REQ_set0_distinguishing_id(request, nullptr);  // empty, as the openssl program signs
  }
  if (!holds(request)) return fail(ErrorCode::denied, "certificate request: its signature does not hold under its own key");
  return {};
}

struct WipedOctets {
  explicit WipedOctets(Bytes taken) : octets(std::move(taken)) {}
  ~WipedOctets() { wipe(octets); }
  WipedOctets(const WipedOctets&) = delete;
  WipedOctets& operator=(const WipedOctets&) = delete;
  Bytes octets;
};
std::shared_ptr<const Bytes> wiped_when_gone(Bytes octets) {
  const auto held = std::make_shared<WipedOctets>(std::move(octets));
  return {held, &held->octets};
}

/// The challengePassword; in the request itself it is no more.
Result<std::shared_ptr<const Secret>> challenge_of(X509_REQ* request) {
  const int at = X509_REQ_get_attr_by_NID(request, NID_pkcs9_challengePassword, -1);
  if (at < 0) return std::shared_ptr<const Secret>();
  X509_ATTRIBUTE* attribute = X509_REQ_get_attr(request, at);
  const bool single = X509_REQ_get_attr_by_NID(request, NID_pkcs9_challengePassword, at) < 0 && X509_ATTRIBUTE_count(attribute) == 1;
  const ASN1_TYPE* value = single ? X509_ATTRIBUTE_get0_type(attribute, 0) : nullptr;
  constexpr std::array kinds{V_ASN1_PRINTABLESTRING, V_ASN1_UTF8STRING, V_ASN1_IA5STRING, V_ASN1_T61STRING};
  if (value == nullptr || std::ranges::find(kinds, ASN1_TYPE_get(value)) == kinds.end()) {
    return fail(ErrorCode::invalid_argument, "certificate request: its challengePassword is not one text");
  }
  const ASN1_STRING* text = value->value.asn1_string;
  const ByteView octets(ASN1_STRING_get0_data(text), static_cast<std::size_t>(ASN1_STRING_length(text)));
  if (octets.empty() || octets.size() > challenge_octets_max) {
    return fail(ErrorCode::invalid_argument, "certificate request: its challengePassword has not 1 to " + std::to_string(challenge_octets_max) + " octets");
  }
  auto out = std::make_shared<const Secret>(Secret::copy_of(octets));
  OPENSSL_cleanse(const_cast<std::uint8_t*>(octets.data()), octets.size());  // what is verified is the encoding that OpenSSL has kept
  return out;
}

Result<AskedNames> asked_names(X509_REQ* request) {
  AlternativeNames alternatives;
  if (const X509Extensions extensions(X509_REQ_get_extensions(request)); extensions) {
    int critical = -1;
    void* decoded = X509V3_get_d2i(extensions.get(), NID_subject_alt_name, &critical, nullptr);
    ASSIGN_OR_RETURN(alternatives, take_alternative_names(decoded, critical));
  } else if (X509_REQ_get_attr_by_NID(request, NID_ext_req, -1) >= 0) {
    return fail(ErrorCode::invalid_argument, "certificate request: the extensions that it asks for are malformed");
  }
  return read_asked_names(request_where, X509_REQ_get_subject_name(request), alternatives.get(), OtherKinds::refused);
}

struct ReadRequest {
  X509Request native;
  std::shared_ptr<const SubjectPublicKey> key;
  AskedNames names;
  std::shared_ptr<const Secret> challenge;
};

Result<ReadRequest> read_request(ByteView der) {
  ReadRequest out;
  ASSIGN_OR_RETURN(out.native, (from_der<X509Request, d2i_X509_REQ>(der, request_where)));
  const auto again = wiped_when_gone(to_der<i2d_X509_REQ>(out.native.get()));
  if (!equal(*again, der)) return fail(ErrorCode::invalid_argument, "certificate request: not DER of one");
  ASSIGN_OR_RETURN(SubjectPublicKey key, SubjectPublicKey::parse(to_der<i2d_X509_PUBKEY>(X509_REQ_get_X509_PUBKEY(out.native.get()))));
  out.key = std::make_shared<const SubjectPublicKey>(std::move(key));
  ASSIGN_OR_RETURN(out.names, asked_names(out.native.get()));
  ASSIGN_OR_RETURN(out.challenge, challenge_of(out.native.get()));
  return Result<ReadRequest>(std::move(out));
}

}  // namespace

Result<SubjectRequest> SubjectRequest::parse(ByteView der) { return parse(der, Proof::self_signature); }

Result<SubjectRequest> SubjectRequest::parse_unproved(ByteView der) { return parse(der, Proof::none); }

Result<SubjectRequest> SubjectRequest::parse(ByteView der, Proof proof) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(ReadRequest read, read_request(der));
  if (proof == Proof::self_signature) TRY(check_self_signature(read.native.get(), read.key->algorithm()));
  SubjectRequest out;
  out.der_ = wiped_when_gone(to_bytes(der));
  out.key_ = std::move(read.key);
  out.names_ = std::move(read.names);
  out.challenge_ = std::move(read.challenge);
  return out;
}

Result<SubjectRequest> SubjectRequest::parse_pem(std::string_view pem) {
  const ErrorScope errors;
  if (pem.size() > max_der_octets) return fail(ErrorCode::invalid_argument, "PEM: over " + std::to_string(max_der_octets) + " octets");
  const MemoryBio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const X509Request request(in ? PEM_read_bio_X509_REQ(in.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!request) return fail(ErrorCode::invalid_argument, "PEM: no certificate request in it");
  return parse(to_der<i2d_X509_REQ>(request.get()));
}

}  // namespace qanat::crypto
