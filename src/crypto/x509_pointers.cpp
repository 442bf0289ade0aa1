#include "crypto/x509_pointers.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t url_octets_max = 256;

using UrlName = Owned<GENERAL_NAME, GENERAL_NAME_free>;
using AuthorityAccess = Owned<AUTHORITY_INFO_ACCESS, AUTHORITY_INFO_ACCESS_free>;
using AccessDescription = Owned<ACCESS_DESCRIPTION, ACCESS_DESCRIPTION_free>;

Result<UrlName> url_name(const std::string& url) {
  UrlName name(GENERAL_NAME_new());
  Owned<ASN1_IA5STRING, ASN1_IA5STRING_free> value(ASN1_IA5STRING_new());
  if (url.size() > url_octets_max) {
    return fail(ErrorCode::invalid_argument, "status pointer: an URL of more than " + std::to_string(url_octets_max) + " octets");
  }
  if (!name || !value || ASN1_STRING_set(value.get(), url.data(), static_cast<int>(url.size())) != 1) return openssl_failure("status pointer");
  GENERAL_NAME_set0_value(name.get(), GEN_URI, value.release());
  return Result<UrlName>(std::move(name));
}

Result<void> add_access(AUTHORITY_INFO_ACCESS* access, int method, const std::string& url) {
  if (url.empty()) return {};
  AccessDescription description(ACCESS_DESCRIPTION_new());
  if (!description) return openssl_failure("authorityInfoAccess");
  ASSIGN_OR_RETURN(UrlName location, url_name(url));
  GENERAL_NAME_free(description->location);
  description->location = location.release();
  ASN1_OBJECT_free(description->method);
  description->method = OBJ_nid2obj(method);
  if (sk_ACCESS_DESCRIPTION_push(access, description.get()) <= 0) return openssl_failure("authorityInfoAccess");
  [[maybe_unused]] const auto* const owned_by_access = description.release();
  return {};
}

Result<void> add(X509* cert, int nid, void* value) {
  if (X509_add1_ext_i2d(cert, nid, value, 0, X509V3_ADD_DEFAULT) != 1) return openssl_failure("certificate extension");
  return {};
}

}  // namespace

Result<Owned<DIST_POINT_NAME, DIST_POINT_NAME_free>> distribution_point_name(const std::string& url) {
  using Name = Owned<DIST_POINT_NAME, DIST_POINT_NAME_free>;
  Name out(DIST_POINT_NAME_new());
  AlternativeNames names(GENERAL_NAMES_new());
  if (!out || !names) return openssl_failure("distribution point");
  ASSIGN_OR_RETURN(UrlName name, url_name(url));
  if (sk_GENERAL_NAME_push(names.get(), name.get()) <= 0) return openssl_failure("distribution point");
  [[maybe_unused]] const auto* const owned_by_names = name.release();
  out->type = 0;  // fullName
  out->name.fullname = names.release();
  return Result<Name>(std::move(out));
}

Result<std::string> url_of(const DIST_POINT_NAME* name) {
  if (name == nullptr || name->type != 0 || sk_GENERAL_NAME_num(name->name.fullname) != 1) {
    return fail(ErrorCode::invalid_argument, "distribution point: has not one full name");
  }
  const GENERAL_NAME* one = sk_GENERAL_NAME_value(name->name.fullname, 0);
  if (one->type != GEN_URI) return fail(ErrorCode::invalid_argument, "distribution point: its name is no URL");
  const Bytes octets = octets_of(one->d.uniformResourceIdentifier);
  if (octets.size() > url_octets_max) return fail(ErrorCode::invalid_argument, "distribution point: its URL is too long");
  return std::string(as_text(octets));
}

Result<DistributionPoints> distribution_points(const std::string& url) {
  DistributionPoints out(CRL_DIST_POINTS_new());
  Owned<DIST_POINT, DIST_POINT_free> point(DIST_POINT_new());
  if (!out || !point) return openssl_failure("distribution point");
  ASSIGN_OR_RETURN(auto name, distribution_point_name(url));
  point->distpoint = name.release();
  if (sk_DIST_POINT_push(out.get(), point.get()) <= 0) return openssl_failure("distribution point");
  [[maybe_unused]] const auto* const owned_by_points = point.release();
  return Result<DistributionPoints>(std::move(out));
}

Result<void> add_status_pointers(X509* cert, const StatusPointers& pointers) {
  if (!pointers.ocsp.empty() || !pointers.ca_issuers.empty()) {
    const AuthorityAccess access(AUTHORITY_INFO_ACCESS_new());
    if (!access) return openssl_failure("authorityInfoAccess");
    TRY(add_access(access.get(), NID_ad_OCSP, pointers.ocsp));
    TRY(add_access(access.get(), NID_ad_ca_issuers, pointers.ca_issuers));
    TRY(add(cert, NID_info_access, access.get()));
  }
  if (!pointers.crl.empty()) {
    ASSIGN_OR_RETURN(const DistributionPoints points, distribution_points(pointers.crl));
    TRY(add(cert, NID_crl_distribution_points, points.get()));
  }
  return {};
}

}  // namespace qanat::crypto
