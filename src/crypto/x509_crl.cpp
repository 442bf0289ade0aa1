#include "crypto/x509_crl.hpp"

#include <openssl/bn.h>

#include <algorithm>
#include <array>

#include "crypto/x509_pointers.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t list_octets_max = 64U * 1024 * 1024;

using NativeList = Owned<X509_CRL, X509_CRL_free>;
using Asn1Number = Owned<ASN1_INTEGER, ASN1_INTEGER_free>;
using IssuingPoint = Owned<ISSUING_DIST_POINT, ISSUING_DIST_POINT_free>;

enum class Weight : std::uint8_t { normal = 0, critical = 1 };

Result<void> add(X509_CRL* list, int nid, void* value, Weight weight) {
  if (X509_CRL_add1_ext_i2d(list, nid, value, static_cast<int>(weight), X509V3_ADD_DEFAULT) != 1) return openssl_failure("revocation list");
  return {};
}

Result<void> add_number(X509_CRL* list, int nid, std::uint64_t value, Weight weight) {
  const Asn1Number number(ASN1_INTEGER_new());
  if (!number || ASN1_INTEGER_set_uint64(number.get(), value) != 1) return openssl_failure("revocation list");
  return add(list, nid, number.get(), weight);
}

Result<void> add_key_identifier(X509_CRL* list, const Certificate& issuer) {
  const Owned<AUTHORITY_KEYID, AUTHORITY_KEYID_free> authority(AUTHORITY_KEYID_new());
  const ASN1_OCTET_STRING* own = X509_get0_subject_key_id(native(issuer));
  if (own == nullptr) return fail(ErrorCode::invalid_argument, "revocation list: the issuer's certificate has no subjectKeyIdentifier");
  if (!authority) return openssl_failure("revocation list");
  authority->keyid = ASN1_OCTET_STRING_dup(own);
  if (authority->keyid == nullptr) return openssl_failure("revocation list");
  return add(list, NID_authority_key_identifier, authority.get(), Weight::normal);
}

Result<void> add_issuing_point(X509_CRL* list, const std::string& url) {
  const IssuingPoint point(ISSUING_DIST_POINT_new());
  if (!point) return openssl_failure("issuingDistributionPoint");
  ASSIGN_OR_RETURN(auto name, distribution_point_name(url));
  point->distpoint = name.release();
  return add(list, NID_issuing_distribution_point, point.get(), Weight::critical);
}

Result<void> add_entry(X509_CRL* list, const RevokedSerial& revoked) {
  Owned<X509_REVOKED, X509_REVOKED_free> entry(X509_REVOKED_new());
  const Owned<BIGNUM, BN_free> magnitude(BN_bin2bn(revoked.serial.data(), static_cast<int>(revoked.serial.size()), nullptr));
  const Asn1Number serial(magnitude ? BN_to_ASN1_INTEGER(magnitude.get(), nullptr) : nullptr);
  ASSIGN_OR_RETURN(const Asn1Time at, make_time(revoked.revoked_at));
  if (!entry || !serial || X509_REVOKED_set_serialNumber(entry.get(), serial.get()) != 1 || X509_REVOKED_set_revocationDate(entry.get(), at.get()) != 1 ||
      X509_CRL_add0_revoked(list, entry.get()) != 1) {
    return openssl_failure("revocation list");
  }
  if (revoked.reason != 0) {
    const Owned<ASN1_ENUMERATED, ASN1_ENUMERATED_free> reason(ASN1_ENUMERATED_new());
    if (!reason || ASN1_ENUMERATED_set(reason.get(), revoked.reason) != 1 ||
        X509_REVOKED_add1_ext_i2d(entry.get(), NID_crl_reason, reason.get(), 0, X509V3_ADD_DEFAULT) != 1) {
      return openssl_failure("revocation list");
    }
  }
  [[maybe_unused]] const auto* const owned_by_list = entry.release();
  return {};
}

Result<void> add_list_extensions(X509_CRL* list, const RevocationList& wanted, const Certificate& issuer) {
  TRY(add_key_identifier(list, issuer));
  TRY(add_number(list, NID_crl_number, wanted.number, Weight::normal));
  if (wanted.base_number) TRY(add_number(list, NID_delta_crl, *wanted.base_number, Weight::critical));
  if (!wanted.distribution_point.empty()) TRY(add_issuing_point(list, wanted.distribution_point));
  if (wanted.delta_url.empty()) return {};
  ASSIGN_OR_RETURN(const DistributionPoints points, distribution_points(wanted.delta_url));
  return add(list, NID_freshest_crl, points.get(), Weight::normal);
}

// ---- reading ----

Result<NativeList> parse_list(ByteView der) {
  if (der.empty() || der.size() > list_octets_max) return fail(ErrorCode::invalid_argument, "revocation list: empty, or too large");
  const unsigned char* at = der.data();
  NativeList list(d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size())));
  if (!list || at != der.data() + der.size()) return fail(ErrorCode::invalid_argument, "revocation list: not DER of one");
  return Result<NativeList>(std::move(list));
}

Result<void> check_list_signature(X509_CRL* list, ByteView der, const Certificate& issuer) {
  const auto bad = [] { return fail(ErrorCode::denied, "revocation list: its signature does not hold under the issuing CA's key"); };
  if (X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(native(issuer))) != 0) {
    return fail(ErrorCode::denied, "revocation list: issued by another than " + issuer.subject());
  }
  if (X509_CRL_get_signature_nid(list) != key_row(issuer.key_algorithm()).signature) return bad();
  const ASN1_BIT_STRING* signature = nullptr;
  const X509_ALGOR* algorithm = nullptr;
  X509_CRL_get0_signature(list, &signature, &algorithm);
  constexpr long unused_bits = 7;  // a signature is whole octets; OpenSSL keeps here how many bits of the last one do not count
  if ((signature->flags & unused_bits) != 0) return bad();
  Asn1OctetString id;
  if (issuer.key_algorithm() == KeyAlgorithm::sm2) {
    id = new_distinguishing_id();
    if (!id) return openssl_failure("revocation list");
  }
  // What is signed, encoded anew from what was read: nothing that the signature does not cover is ever used.
  unsigned char* octets = nullptr;
  const int length = i2d_re_X509_CRL_tbs(list, &octets);
  const OpensslOctets owner(octets);
  if (length <= 0) return openssl_failure("revocation list");
  // That it is not merely BER with the same meaning: one list has one text.
  if (to_der<i2d_X509_CRL>(list) != to_bytes(der)) return fail(ErrorCode::invalid_argument, "revocation list: not DER of one");
  const EvpKeyContext key(EVP_PKEY_CTX_new_from_pkey(nullptr, X509_get0_pubkey(native(issuer)), nullptr));
  const EvpDigestContext context(EVP_MD_CTX_new());
  if (!key || !context) return openssl_failure("revocation list");
  if (id && EVP_PKEY_CTX_set1_id(key.get(), ASN1_STRING_get0_data(id.get()), ASN1_STRING_length(id.get())) <= 0) return openssl_failure("SM2 identity");
  EVP_MD_CTX_set_pkey_ctx(context.get(), key.get());
  if (EVP_DigestVerifyInit(context.get(), nullptr, digest_for(issuer.key_algorithm()), nullptr, X509_get0_pubkey(native(issuer))) <= 0) {
    return openssl_failure("revocation list");
  }
  if (EVP_DigestVerify(context.get(), ASN1_STRING_get0_data(signature), static_cast<std::size_t>(ASN1_STRING_length(signature)), octets,
                       static_cast<std::size_t>(length)) != 1) {
    return bad();
  }
  return {};
}

Result<void> check_known_extensions(const X509_CRL* list) {
  constexpr std::array known{NID_crl_number, NID_delta_crl, NID_issuing_distribution_point, NID_authority_key_identifier, NID_freshest_crl};
  for (int i = 0; i < X509_CRL_get_ext_count(list); ++i) {
    X509_EXTENSION* extension = X509_CRL_get_ext(list, i);
    const int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));
    if (X509_EXTENSION_get_critical(extension) != 0 && std::ranges::find(known, nid) == known.end()) {
      return fail(ErrorCode::invalid_argument, "revocation list: holds a critical extension that is not known here");
    }
  }
  return {};
}

Result<std::optional<std::uint64_t>> read_number(const X509_CRL* list, int nid) {
  int critical = -1;
  const Asn1Number number(static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(list, nid, &critical, nullptr)));
  if (!number && critical == -1) return std::optional<std::uint64_t>();
  std::uint64_t value = 0;
  if (!number || ASN1_INTEGER_get_uint64(&value, number.get()) != 1) {
    return fail(ErrorCode::invalid_argument, "revocation list: a number of it is malformed, or does not fit 64 bits");
  }
  return std::optional(value);
}

Result<std::string> read_issuing_point(const X509_CRL* list) {
  int critical = -1;
  const IssuingPoint point(static_cast<ISSUING_DIST_POINT*>(X509_CRL_get_ext_d2i(list, NID_issuing_distribution_point, &critical, nullptr)));
  if (!point && critical == -1) return std::string();
  if (!point || point->onlyuser > 0 || point->onlyCA > 0 || point->indirectCRL > 0 || point->onlyattr > 0 || point->onlysomereasons != nullptr) {
    return fail(ErrorCode::invalid_argument, "revocation list: its issuingDistributionPoint is malformed, or narrower than a distribution point");
  }
  return url_of(point->distpoint);
}

Result<std::string> read_delta_url(const X509_CRL* list) {
  int critical = -1;
  const DistributionPoints points(static_cast<CRL_DIST_POINTS*>(X509_CRL_get_ext_d2i(list, NID_freshest_crl, &critical, nullptr)));
  if (!points && critical == -1) return std::string();
  if (!points || sk_DIST_POINT_num(points.get()) != 1) {
    return fail(ErrorCode::invalid_argument, "revocation list: its freshestCRL is malformed, or names several");
  }
  return url_of(sk_DIST_POINT_value(points.get(), 0)->distpoint);
}

Result<void> read_entries(X509_CRL* list, std::vector<RevokedSerial>& out) {
  const STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(list);
  const int count = entries != nullptr ? sk_X509_REVOKED_num(entries) : 0;
  for (int i = 0; i < count; ++i) {
    const X509_REVOKED* entry = sk_X509_REVOKED_value(entries, i);
    if (X509_REVOKED_get_ext_by_critical(entry, 1, -1) >= 0) {
      return fail(ErrorCode::invalid_argument, "revocation list: an entry holds a critical extension that is not known here");
    }
    RevokedSerial revoked;
    ASSIGN_OR_RETURN(revoked.serial, read_serial(X509_REVOKED_get0_serialNumber(entry)));
    ASSIGN_OR_RETURN(revoked.revoked_at, read_time(X509_REVOKED_get0_revocationDate(entry)));
    int critical = -1;
    const Owned<ASN1_ENUMERATED, ASN1_ENUMERATED_free> reason(
        static_cast<ASN1_ENUMERATED*>(X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, &critical, nullptr)));
    if (!reason && critical != -1) return fail(ErrorCode::invalid_argument, "revocation list: an entry's reason is malformed, or there more than once");
    if (reason) revoked.reason = static_cast<int>(ASN1_ENUMERATED_get(reason.get()));
    out.push_back(std::move(revoked));
  }
  return {};
}

}  // namespace

Result<Bytes> make_revocation_list(const RevocationList& list, const Certificate& issuer, const PrivateKey& issuer_key) {
  const ErrorScope errors;
  if (list.next_update / 1000 <= list.this_update / 1000) return fail(ErrorCode::invalid_argument, "revocation list: nextUpdate is not later than thisUpdate");
  ASSIGN_OR_RETURN(const EvpKey key, to_openssl(issuer_key));
  if (issuer_key.algorithm != issuer.key_algorithm() || X509_check_private_key(native(issuer), key.get()) != 1) {
    return fail(ErrorCode::invalid_argument, "revocation list: the key is not the one of " + issuer.subject());
  }
  ASSIGN_OR_RETURN(const Asn1Time this_update, make_time(list.this_update));
  ASSIGN_OR_RETURN(const Asn1Time next_update, make_time(list.next_update));
  const NativeList out(X509_CRL_new());
  if (!out || X509_CRL_set_version(out.get(), X509_CRL_VERSION_2) != 1 || X509_CRL_set_issuer_name(out.get(), X509_get_subject_name(native(issuer))) != 1 ||
      X509_CRL_set1_lastUpdate(out.get(), this_update.get()) != 1 || X509_CRL_set1_nextUpdate(out.get(), next_update.get()) != 1) {
    return openssl_failure("revocation list");
  }
  for (const RevokedSerial& revoked : list.revoked) TRY(add_entry(out.get(), revoked));
  TRY(add_list_extensions(out.get(), list, issuer));
  ASSIGN_OR_RETURN(const SigningContext signer, SigningContext::make(key.get(), issuer_key.algorithm));
  if (X509_CRL_sort(out.get()) != 1 || X509_CRL_sign_ctx(out.get(), signer.get()) <= 0) return openssl_failure("revocation list");
  Bytes der = to_der<i2d_X509_CRL>(out.get());
  if (der.empty()) return openssl_failure("revocation list");
  return der;
}

Result<RevocationList> read_revocation_list(ByteView der, const Certificate& issuer) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const NativeList list, parse_list(der));
  TRY(check_list_signature(list.get(), der, issuer));
  TRY(check_known_extensions(list.get()));
  RevocationList out;
  ASSIGN_OR_RETURN(const auto number, read_number(list.get(), NID_crl_number));
  if (!number) return fail(ErrorCode::invalid_argument, "revocation list: has no number");
  out.number = *number;
  ASSIGN_OR_RETURN(out.base_number, read_number(list.get(), NID_delta_crl));
  ASSIGN_OR_RETURN(out.this_update, read_time(X509_CRL_get0_lastUpdate(list.get())));
  ASSIGN_OR_RETURN(out.next_update, read_time(X509_CRL_get0_nextUpdate(list.get())));
  ASSIGN_OR_RETURN(out.distribution_point, read_issuing_point(list.get()));
  ASSIGN_OR_RETURN(out.delta_url, read_delta_url(list.get()));
  TRY(read_entries(list.get(), out.revoked));
  return out;
}

}  // namespace qanat::crypto
