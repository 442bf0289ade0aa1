// The 55 reference points of the paper (section 2.2) and our extension rows, as data. Server routing, client calls, authorisation, audit
// and `qanat points` all read these tables: the reference-point table is the access-control policy.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "base/identity.hpp"
#include "net/http.hpp"

namespace qanat::points {

/// One reference point. `extension` rows (X-n) are ours, outside the paper's 55.
struct Point {
  std::string_view id;       // "Km-1"
  std::string_view between;  // "KMA ↔ App"
  std::string_view carries;
  bool extension;
};
std::span<const Point> all_points() noexcept;
const Point* find_point(std::string_view id) noexcept;

/// Every request that one element may send to another. The order is that of the table in endpoints.cpp.
enum class Endpoint : std::uint8_t {
  km1_enrol,
  km1_receipt,
  km1_application,
  km1_ack,
  km1_application_v1,
  km2_offer,
  km2_confirm,
  km3_take,
  km3_fetch,
  km3_done,
  km3_status,
  km3_notice,
  kq1_block,
  kq1_control,
  kq2_state,
  kq2_route,
  kq2_relay,
  kq2_report,
  kq2_deliver,
  kq2_missing,
  ce1_enrol,
  ce1_terminal,
  ce4_enrol,
  cq1_status,
  cq2_status,
  cq3_status,
  cd1_crl,
  cd2_crl,
  cd3_crl,
  ma1_account,
  ma2_register,
  ma2_locate,
  ma2_notify,
  id1_subscriber,
  pm1_token,
  ua1_record,
  x1_relay,
  x1_activate,
  x2_channel,
  x3_enrolment,
  x4_enrol,
  x4_status,
  x5_subscriber,
  x5_account,
  x5_revoke,
  x6_health,
  x7_lead,
  x8_nodes,
  x9_keys,
  x9_cosign,
  x10_revoked,
  id1_record,
  id2_record,
  id3_record,
  pm1_decide,
  pm1_introspect,
  pm1_keys,
  pm1_revoked,
  pm2_token,
  pm2_decide,
  pm3_token,
  pm3_decide,
  ua2_record,
  ua3_record,
  x5_identity,
  x5_privilege,
  x5_behaviour,
  x12_record,
  x12_notice,
  x3_identity,
  x5_registration,
  ce1_reenrol,
  ce4_reenrol,
  x4_reenrol,
  ce1_cacerts,
  ce4_cacerts,
  x4_cacerts,
  km1_certificates,
  ce3_enrol,
  ce3_reenrol,
  x13_account,
  ce2_issued,
  ce2_reenrol,
  ce2_cacerts,
  ce2_confirm,
  km1_renewed,
  km2_chain,
  km3_chain,
  x5_keys,
  x5_charges,
  csa_encrypt,
  csa_decrypt,
  csa_generate_data_key,
  csa_decrypt_data_key,
  csa_sign,
  csa_verify,
  csa_mac,
  csa_verify_mac,
  csa_challenge,
  csa_prove,
  csa_authenticate,
  csa_encapsulate,
  csa_decapsulate,
  csa_public_key,
  csa_random,
  csa_batch,
  csa_create_key,
  csa_import_key,
  csa_export_key,
  csa_list_keys,
  csa_describe_key,
  csa_rotate_key,
  csa_set_policy,
  csa_change_state,
  csa_openapi,
  dx1_key,
  dx1_loaded,
  km2_supply,
  km2_activate,
  km1_charge,
  km1_charged,
  x5_medium,
  x5_recovery,
  mo2_policy,
  mo2_state,
  x5_kms_policy,
  mc2_evidence,
  ma2_directory,
  ma2_directory_page,
  km2_open,
  km1_group,
  km2_group,
  x5_archive,
  count_,
};

/// One row: who may call whom, with what.
struct EndpointRow {
  Endpoint endpoint;
  std::string_view point;     // id of the reference point it belongs to
  std::string_view identity;  // id of the Ia row that authenticates it ("" where the paper has none)
  KindSet callers;
  KindSet callees;
  std::string_view method;
  std::string_view path;
  std::string_view request_type;   // content type, "" for none
  std::string_view response_type;  // "" for an empty answer
  std::size_t body_max;
  bool anonymous;  // a caller without certificate is let through: first enrolment only
  std::string_view challenge = {};  // WWW-Authenticate of its 401, where HTTP authentication takes the place of a certificate
};
std::span<const EndpointRow> all_endpoints() noexcept;
const EndpointRow& row(Endpoint endpoint) noexcept;

/// What answers an endpoint in this process.
struct Handler {
  Endpoint endpoint;
  std::function<Result<net::Response>(const net::Request&)> answer;
  net::UnknownStatus unknown_status = net::UnknownStatus::refused;
};
/// Routes for net::Server, every access rule taken from the table; those of `chained` over chained connections alone. CHECKs that `self` is among the row's
/// callees.
std::vector<net::Route> routes(Kind self, std::vector<Handler> handlers, const std::set<Endpoint>& chained = {});

/// Where the KMSs of a test's network keep their state.
enum class KmsStore : std::uint8_t { sqlite, postgresql };
inline constexpr std::array all_kms_stores{KmsStore::sqlite, KmsStore::postgresql};
std::string_view name(KmsStore store) noexcept;
/// The tests that drive a point, by reference-point id: taken from the test sources when the program is built. One that is run with both stores is there twice.
struct Evidence {
  std::string_view point;
  std::string_view test;
  bool refusal;  // the test shows a refusal (otherwise an acceptance)
  KmsStore kms_store;
  bool skippable;  // it is skipped on a machine that does not allow it, and proves something only where it ran
};
std::span<const Evidence> all_evidence() noexcept;
/// True where at least one accepting and one refusing test drive the point over the wire; with `store`, while the KMSs have their state there.
bool working(std::string_view point, std::optional<KmsStore> store = {}) noexcept;

inline constexpr std::string_view type_qfc2 = "application/qfc2";
inline constexpr std::string_view type_json = "application/json";
inline constexpr std::string_view type_ocsp_request = "application/ocsp-request";
inline constexpr std::string_view type_ocsp_response = "application/ocsp-response";
inline constexpr std::string_view type_crl = "application/pkix-crl";
inline constexpr std::string_view type_pkcs10 = "application/pkcs10";       // base64, as EST has it (RFC 7030 §4.2.1)
inline constexpr std::string_view type_certs_only = "application/pkcs7-mime; smime-type=certs-only";  // base64, §4.2.3
inline constexpr std::string_view type_octets = "application/octet-stream";
inline constexpr std::string_view type_text = "text/plain";
inline constexpr std::string_view type_tree_size = "text/x.tlog.size";  // C2SP tlog-witness

}  // namespace qanat::points
