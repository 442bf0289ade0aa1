#include "crypto/cmp_answer.hpp"

#include <openssl/crmf.h>

#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "crypto/cmp_der.hpp"
#include "crypto/cmp_oids.hpp"
#include "crypto/subject_names.hpp"
#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {
namespace {

constexpr int answer_mac_iterations = 500;
constexpr std::size_t answer_mac_salt_octets = 16;
constexpr std::size_t free_text_max = 400;

Bytes oid(std::string_view content) { return cmp_der::element(cmp_der::tag_oid, as_bytes(content)); }

/// PKIFreeText of one text, cut at a whole character.
Bytes free_text(std::string_view text) {
  std::size_t size = std::min(text.size(), free_text_max);
  while (size < text.size() && size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return cmp_der::sequence({cmp_der::element(cmp_der::tag_utf8, as_bytes(text.substr(0, size)))});
}

Bytes status_info(const CmpStatus& status) {
  return cmp_der::sequence({cmp_der::integer(static_cast<std::int64_t>(status.value)), status.text.empty() ? Bytes() : free_text(status.text),
                            status.failure ? cmp_der::named_bit(static_cast<unsigned>(*status.failure)) : Bytes()});
}

Bytes joined(std::span<const Bytes> elements) {
  Bytes out;
  for (const Bytes& element : elements) append(out, element);
  return out;
}

Bytes info(std::string_view type, ByteView value) { return cmp_der::sequence({oid(type), value}); }

Bytes header_der(const CmpAnswerHeader& header, ByteView algorithm, ByteView key_id) {
  const auto octets = [](unsigned number, ByteView value) {
    return value.empty() ? Bytes() : cmp_der::element(cmp_der::context(number), cmp_der::element(cmp_der::tag_octet_string, value));
  };
  Bytes general;
  if (header.implicit_confirm) append(general, info(cmp_oid::implicit_confirm, cmp_der::element(cmp_der::tag_null, ByteView())));
  if (header.confirm_until) append(general, info(cmp_oid::confirm_wait_time, cmp_der::generalized_time(*header.confirm_until)));
  return cmp_der::sequence({cmp_der::integer(header.version), header.sender, header.recipient,
                            cmp_der::element(cmp_der::context(0), cmp_der::generalized_time(header.time)), cmp_der::element(cmp_der::context(1), algorithm),
                            octets(2, key_id), octets(4, header.transaction_id), octets(5, header.sender_nonce), octets(6, header.recipient_nonce),
                            general.empty() ? Bytes() : cmp_der::element(cmp_der::context(8), cmp_der::sequence({general}))});
}

// ---- protection ----

using MacParameters = Owned<OSSL_CRMF_PBMPARAMETER, OSSL_CRMF_PBMPARAMETER_free>;

/// Header and body as they are protected, and the protection.
struct Protected {
  Bytes header;
  Bytes protection;
};

Result<Protected> protect_by_mac(const CmpAnswerHeader& header, ByteView body, const CmpProtector& protector) {
  const MacParameters parameters(OSSL_CRMF_pbmp_new(nullptr, answer_mac_salt_octets, NID_sha256, answer_mac_iterations, NID_hmacWithSHA256));
  if (!parameters) return openssl_failure("password based MAC");
  const Bytes algorithm = cmp_der::sequence({oid(cmp_oid::password_based_mac), to_der<i2d_OSSL_CRMF_PBMPARAMETER>(parameters.get())});
  Protected out{.header = header_der(header, algorithm, protector.reference), .protection = {}};
  const Bytes part = cmp_der::sequence({out.header, body});
  unsigned char* mac = nullptr;
  std::size_t size = 0;
  const ByteView key = protector.secret->reveal();
  const int made = OSSL_CRMF_pbm_new(nullptr, nullptr, parameters.get(), part.data(), part.size(), key.data(), key.size(), &mac, &size);
  const OpensslOctets owner(mac);
  if (made != 1) return openssl_failure("password based MAC");
  out.protection = Bytes(mac, mac + size);
  return Result<Protected>(std::move(out));
}

Result<Protected> protect_by_signature(const CmpAnswerHeader& header, ByteView body, const CmpSigner& signer) {
  ASSIGN_OR_RETURN(const EvpKey key, to_openssl(signer.key));
  const Bytes algorithm = cmp_der::sequence({to_der<i2d_ASN1_OBJECT>(OBJ_nid2obj(key_row(signer.key.algorithm).signature))});
  const ASN1_OCTET_STRING* const key_id = X509_get0_subject_key_id(native(signer.certificate));
  Protected out{.header = header_der(header, algorithm, key_id != nullptr ? octets_of(key_id) : Bytes()), .protection = {}};
  const Bytes part = cmp_der::sequence({out.header, body});
  ASSIGN_OR_RETURN(const SigningContext context, SigningContext::make(key.get(), signer.key.algorithm));
  std::size_t size = 0;
  if (EVP_DigestSign(context.get(), nullptr, &size, part.data(), part.size()) != 1) return openssl_failure("message's signature");
  out.protection.resize(size);
  if (EVP_DigestSign(context.get(), out.protection.data(), &size, part.data(), part.size()) != 1) return openssl_failure("message's signature");
  out.protection.resize(size);
  return Result<Protected>(std::move(out));
}

/// extraCerts, each once: the signer's first (RFC 9483 §3.3).
Bytes extra_der(std::span<const Bytes> extra, const CmpSigner* signer) {
  std::vector<Bytes> list;
  if (signer != nullptr) {
    list.push_back(signer->certificate.der());
    list.insert(list.end(), signer->chain.begin(), signer->chain.end());
  }
  list.insert(list.end(), extra.begin(), extra.end());
  std::vector<Bytes> once;
  for (Bytes& each : list) {
    if (std::ranges::find(once, each) == once.end()) once.push_back(std::move(each));
  }
  if (once.empty()) return {};
  return cmp_der::element(cmp_der::context(1), cmp_list_value(once));
}

// ---- values ----

struct KeyIdentifierRow {
  SubjectAlgorithm algorithm;
  int id;     // NID
  int curve;  // parameters; NID_undef: absent
};
constexpr std::array key_identifiers{
    KeyIdentifierRow{SubjectAlgorithm::ecdsa_p256, NID_X9_62_id_ecPublicKey, NID_X9_62_prime256v1},
    KeyIdentifierRow{SubjectAlgorithm::ecdsa_p384, NID_X9_62_id_ecPublicKey, NID_secp384r1},
    KeyIdentifierRow{SubjectAlgorithm::sm2, NID_X9_62_id_ecPublicKey, NID_sm2},
    KeyIdentifierRow{SubjectAlgorithm::ml_dsa_44, NID_ML_DSA_44, NID_undef},
    KeyIdentifierRow{SubjectAlgorithm::ml_dsa_65, NID_ML_DSA_65, NID_undef},
    KeyIdentifierRow{SubjectAlgorithm::ml_dsa_87, NID_ML_DSA_87, NID_undef},
    KeyIdentifierRow{SubjectAlgorithm::ml_kem_768, NID_ML_KEM_768, NID_undef},
    KeyIdentifierRow{SubjectAlgorithm::ml_kem_1024, NID_ML_KEM_1024, NID_undef},
};
constexpr std::int64_t rsa_bits_wanted = 3072;

Bytes object_der(int nid) { return to_der<i2d_ASN1_OBJECT>(OBJ_nid2obj(nid)); }

Bytes key_identifier_der(SubjectAlgorithm algorithm) {
  if (algorithm == SubjectAlgorithm::rsa) return cmp_der::sequence({object_der(NID_rsaEncryption), cmp_der::element(cmp_der::tag_null, ByteView())});
  const auto* const row = std::ranges::find(key_identifiers, algorithm, &KeyIdentifierRow::algorithm);
  CHECK(row != key_identifiers.end());
  return cmp_der::sequence({object_der(row->id), row->curve != NID_undef ? object_der(row->curve) : Bytes()});
}

/// CertTemplate with subject and alternative names alone (RFC 4211 §5).
Result<Bytes> asked_template(const AskedNames& names) {
  ASSIGN_OR_RETURN(const X509Name subject, make_asked_subject(names));
  ASSIGN_OR_RETURN(const AlternativeNames alternatives, make_asked_alternatives(names));
  Bytes extensions;
  if (alternatives) {
    const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(X509V3_EXT_i2d(NID_subject_alt_name, 0, alternatives.get()));
    if (!extension) return openssl_failure("certificate template");
    extensions = cmp_der::element(cmp_der::context(9), to_der<i2d_X509_EXTENSION>(extension.get()));
  }
  return cmp_der::sequence({cmp_der::element(cmp_der::context(5), to_der<i2d_X509_NAME>(subject.get())), extensions});
}

}  // namespace

Bytes cmp_certificate_content(std::int64_t id, const CmpStatus& status, ByteView certificate, std::span<const Bytes> ca_certificates) {
  const Bytes public_certificates = ca_certificates.empty() ? Bytes() : cmp_der::element(cmp_der::context(1), cmp_list_value(ca_certificates));
  const Bytes pair = certificate.empty() ? Bytes() : cmp_der::sequence({cmp_der::element(cmp_der::context(0), certificate)});
  const Bytes response = cmp_der::sequence({cmp_der::integer(id), status_info(status), pair});
  return cmp_der::sequence({public_certificates, cmp_der::sequence({response})});
}

Bytes cmp_revocation_content(const CmpStatus& status, const CmpCertificateId& certificate) {
  const Bytes statuses = cmp_der::sequence({status_info(status)});
  if (certificate.issuer.empty()) return cmp_der::sequence({statuses});
  const Bytes id = cmp_der::sequence({cmp_directory_name(certificate.issuer), cmp_der::unsigned_integer(certificate.serial)});
  return cmp_der::sequence({statuses, cmp_der::element(cmp_der::context(0), cmp_der::sequence({id}))});
}

Bytes cmp_error_content(const CmpStatus& status) { return cmp_der::sequence({status_info(status)}); }

Bytes cmp_poll_content(std::int64_t id, std::chrono::seconds check_after, std::string_view reason) {
  return cmp_der::sequence(
      {cmp_der::sequence({cmp_der::integer(id), cmp_der::integer(check_after.count()), reason.empty() ? Bytes() : free_text(reason)})});
}

Bytes cmp_confirmed_content() { return cmp_der::element(cmp_der::tag_null, ByteView()); }

Result<Bytes> cmp_information_content(std::span<const CmpQuestion> information) {
  Bytes list;
  for (const CmpQuestion& each : information) {
    ASSIGN_OR_RETURN(const Bytes type, cmp_oid::der_of(each.type));
    append(list, cmp_der::sequence({type, each.value}));
  }
  return cmp_der::sequence({list});
}

Bytes cmp_list_value(std::span<const Bytes> elements) { return cmp_der::sequence({joined(elements)}); }

Bytes cmp_root_update_value(ByteView new_with_new, ByteView new_with_old, ByteView old_with_new) {
  const auto link = [](unsigned number, ByteView certificate) {
    return certificate.empty() ? Bytes() : cmp_der::element(cmp_der::context(number), certificate);
  };
  return cmp_der::sequence({new_with_new, link(0, new_with_old), link(1, old_with_new)});
}

Result<Bytes> cmp_unsupported_value(std::span<const std::string> types) {
  Bytes list;
  for (const std::string& type : types) {
    ASSIGN_OR_RETURN(const Bytes der, cmp_oid::der_of(type));
    append(list, der);
  }
  return cmp_der::sequence({list});
}

Result<Bytes> cmp_key_types_value(std::span<const SubjectAlgorithm> keys) {
  const ErrorScope errors;
  Bytes list;
  for (const SubjectAlgorithm key : keys) append(list, key_identifier_der(key));
  return cmp_der::sequence({list});
}

Result<Bytes> cmp_template_value(const AskedNames& names, std::span<const SubjectAlgorithm> keys) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const Bytes wanted, asked_template(names));
  Bytes specifications;
  for (const SubjectAlgorithm key : keys) {
    append(specifications, key == SubjectAlgorithm::rsa ? info(cmp_oid::reg_ctrl_rsa_key_len, cmp_der::integer(rsa_bits_wanted))
                                                        : info(cmp_oid::reg_ctrl_alg_id, key_identifier_der(key)));
  }
  return cmp_der::sequence({wanted, specifications.empty() ? Bytes() : cmp_der::sequence({specifications})});
}

Bytes cmp_directory_name(ByteView name_der) { return cmp_der::element(cmp_der::context(4), name_der); }

Result<Bytes> make_cmp_message(const CmpAnswerHeader& header, CmpBody body, ByteView content, std::span<const Bytes> extra, const CmpProtector& protector) {
  const ErrorScope errors;
  CHECK((protector.secret != nullptr) != (protector.signer != nullptr));
  const Bytes body_der = cmp_der::element(cmp_der::context(static_cast<unsigned>(body)), content);
  ASSIGN_OR_RETURN(const Protected made, protector.secret != nullptr ? protect_by_mac(header, body_der, protector)
                                                                    : protect_by_signature(header, body_der, *protector.signer));
  return cmp_der::sequence({made.header, body_der, cmp_der::element(cmp_der::context(0), cmp_der::bit_string(made.protection)),
                            extra_der(extra, protector.signer)});
}

}  // namespace qanat::crypto
