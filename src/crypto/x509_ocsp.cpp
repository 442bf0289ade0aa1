#include "crypto/x509_ocsp.hpp"

namespace qanat::crypto {
namespace {

Result<CertIdHash> hash_of(const ASN1_OBJECT* algorithm) {
  switch (OBJ_obj2nid(algorithm)) {
    case NID_sha1:
      return CertIdHash::sha1;
    case NID_sha256:
      return CertIdHash::sha256;
    default:
      return fail(ErrorCode::invalid_argument, "status request: its CertID uses neither SHA-1 nor SHA-256");
  }
}

Result<StatusQuestion> read_question(OCSP_ONEREQ* one) {
  ASN1_OCTET_STRING* name_hash = nullptr;
  ASN1_OBJECT* algorithm = nullptr;
  ASN1_OCTET_STRING* key_hash = nullptr;
  ASN1_INTEGER* serial = nullptr;
  if (OCSP_id_get0_info(&name_hash, &algorithm, &key_hash, &serial, OCSP_onereq_get0_id(one)) != 1) return openssl_failure("status request");
  StatusQuestion out;
  ASSIGN_OR_RETURN(out.hash, hash_of(algorithm));
  const int hash_octets = EVP_MD_get_size(digest_of(out.hash));
  if (ASN1_STRING_length(name_hash) != hash_octets || ASN1_STRING_length(key_hash) != hash_octets) {
    return fail(ErrorCode::invalid_argument, "status request: a hash in its CertID has not the length of its algorithm");
  }
  ASSIGN_OR_RETURN(out.serial, read_serial(serial));
  out.issuer_name_hash = octets_of(name_hash);
  out.issuer_key_hash = octets_of(key_hash);
  TRY(read_nonce<OCSP_ONEREQ_get_ext_count, OCSP_ONEREQ_get_ext>(one));
  return out;
}

}  // namespace

const EVP_MD* digest_of(CertIdHash hash) noexcept { return hash == CertIdHash::sha1 ? EVP_sha1() : EVP_sha256(); }

OcspCertId cert_id(const EVP_MD* digest, const Certificate& issuer, const ASN1_INTEGER* serial) {
  return OcspCertId(OCSP_cert_id_new(digest, X509_get_subject_name(native(issuer)), X509_get0_pubkey_bitstr(native(issuer)), serial));
}

Result<Bytes> decode_nonce(X509_EXTENSION* extension) {
  const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(extension);
  const ByteView der(ASN1_STRING_get0_data(value), static_cast<std::size_t>(ASN1_STRING_length(value)));
  ASSIGN_OR_RETURN(const Asn1OctetString nonce, from_der<Asn1OctetString, d2i_ASN1_OCTET_STRING>(der, "nonce"));
  Bytes out = octets_of(nonce.get());
  if (out.empty() || out.size() > max_nonce_octets) {
    return fail(ErrorCode::invalid_argument, "nonce: " + std::to_string(out.size()) + " octets where 1 to " + std::to_string(max_nonce_octets) + " belong");
  }
  return out;
}

Result<ParsedStatusRequest> read_status_request(ByteView der) {
  ParsedStatusRequest out;
  ASSIGN_OR_RETURN(out.request, from_der<OcspRequest, d2i_OCSP_REQUEST>(der, "status request"));
  const int count = OCSP_request_onereq_count(out.request.get());
  if (count < 1 || static_cast<std::size_t>(count) > status_questions_max) {
    return fail(ErrorCode::invalid_argument,
                "status request: asks for " + std::to_string(count) + " certificates where 1 to " + std::to_string(status_questions_max) + " belong");
  }
  for (int i = 0; i < count; ++i) {
    OCSP_ONEREQ* one = OCSP_request_onereq_get0(out.request.get(), i);
    ASSIGN_OR_RETURN(StatusQuestion question, read_question(one));
    out.ids.push_back(OCSP_onereq_get0_id(one));
    out.questions.about.push_back(std::move(question));
  }
  ASSIGN_OR_RETURN(out.questions.nonce, (read_nonce<OCSP_REQUEST_get_ext_count, OCSP_REQUEST_get_ext>(out.request.get())));
  return Result<ParsedStatusRequest>(std::move(out));
}

Result<StatusQuestions> parse_status_questions(ByteView der) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(ParsedStatusRequest parsed, read_status_request(der));
  return std::move(parsed.questions);
}

bool names_issuer(const StatusQuestion& question, const Certificate& issuer) {
  const ErrorScope errors;
  const auto same = [&](const ASN1_OCTET_STRING* ours, const Bytes& theirs) {
    return equal({ASN1_STRING_get0_data(ours), static_cast<std::size_t>(ASN1_STRING_length(ours))}, theirs);
  };
  const OcspCertId expected = cert_id(digest_of(question.hash), issuer, X509_get0_serialNumber(native(issuer)));
  ASN1_OCTET_STRING* name_hash = nullptr;
  ASN1_OCTET_STRING* key_hash = nullptr;
  if (!expected || OCSP_id_get0_info(&name_hash, nullptr, &key_hash, nullptr, expected.get()) != 1) return false;
  return same(name_hash, question.issuer_name_hash) && same(key_hash, question.issuer_key_hash);
}

}  // namespace qanat::crypto
