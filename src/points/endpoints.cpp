#include <array>

#include "base/check.hpp"
#include "points/points.hpp"
#include "wire/est.hpp"

namespace qanat::points {
namespace {

constexpr KindSet operators{Kind::op};
constexpr KindSet every_element{Kind::qkd, Kind::qkm, Kind::qkdnc, Kind::kms, Kind::cmsp, Kind::cas, Kind::iam, Kind::ccs, Kind::dev1};
constexpr KindSet told_of_revocations{Kind::qkd, Kind::qkm, Kind::qkdnc, Kind::kms, Kind::cmsp, Kind::iam, Kind::ccs, Kind::dev1};
constexpr KindSet gateways{Kind::dev1};
constexpr KindSet witnesses{Kind::iam, Kind::cmsp};
constexpr KindSet enrols_by_x4{Kind::cmsp, Kind::iam, Kind::ccs, Kind::op, Kind::dev1};  // a gateway has no KMS that it enrols through
constexpr KindSet nobody{};
constexpr KindSet administers = apps | operators;  // keys of the CSA: their owners, and operators, who use none
constexpr std::size_t small = 4 * 1024;
constexpr std::size_t one_message = 32 * 1024;  // the largest QFC2 message (KeyDeliver with certificates) is under 20 KiB
constexpr std::size_t key_block = 512 * 1024;

constexpr std::array table{
    // endpoint, point, identity, callers, callees, method, path, request, response, body_max, anonymous
    EndpointRow{Endpoint::km1_enrol, "Km-1", "Ia-2", nobody, {Kind::kms}, "POST", "/km/1/enrol", type_qfc2, type_qfc2, one_message, true},
    EndpointRow{Endpoint::km1_receipt, "Km-1", "Ia-2", apps, {Kind::kms}, "POST", "/km/1/receipt", type_qfc2, "", one_message, false},
    EndpointRow{Endpoint::km1_application, "Km-1", "Ia-2", apps, {Kind::kms}, "POST", "/km/1/application", type_qfc2, type_qfc2, one_message, false},
    EndpointRow{Endpoint::km1_ack, "Km-1", "Ia-2", apps, {Kind::kms}, "POST", "/km/1/ack", type_qfc2, "", one_message, false},
    EndpointRow{Endpoint::km1_application_v1, "Km-1", "Ia-2", apps, {Kind::kms}, "POST", "/km/1/v1/application", type_octets, type_octets, one_message, false},
    EndpointRow{Endpoint::km2_offer, "Km-2", "Ia-9", {Kind::kms}, {Kind::kms}, "POST", "/km/2/offer", type_qfc2, type_qfc2, one_message, false},
    EndpointRow{Endpoint::km2_confirm, "Km-2", "Ia-9", {Kind::kms}, {Kind::kms}, "POST", "/km/2/confirm", type_qfc2, "", one_message, false},
    EndpointRow{Endpoint::km3_take, "Km-3", "Ia-12", {Kind::kms}, {Kind::qkm}, "POST", "/km/3/take", type_json, type_json, small, false},
    EndpointRow{Endpoint::km3_fetch, "Km-3", "Ia-12", {Kind::kms}, {Kind::qkm}, "POST", "/km/3/fetch", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::km3_done, "Km-3", "Ia-12", {Kind::kms}, {Kind::qkm}, "POST", "/km/3/done", type_json, "", one_message, false},
    EndpointRow{Endpoint::km3_status, "Km-3", "Ia-12", {Kind::kms}, {Kind::qkm}, "GET", "/km/3/status", "", type_json, 0, false},
    EndpointRow{Endpoint::km3_notice, "Km-3", "Ia-12", {Kind::kms}, {Kind::qkm}, "GET", "/km/3/notice", "", type_json, 0, false},
    EndpointRow{Endpoint::kq1_block, "Kq-1", "Ia-15", {Kind::qkd}, {Kind::qkm}, "POST", "/kq/1/block", type_json, type_json, key_block, false},
    EndpointRow{Endpoint::kq1_control, "Kq-1", "Ia-15", {Kind::qkd}, {Kind::qkm}, "GET", "/kq/1/control", "", type_json, 0, false},
    EndpointRow{Endpoint::kq2_state, "Kq-2", "Ia-16", {Kind::qkm}, {Kind::qkdnc}, "POST", "/kq/2/state", type_json, type_json, 4 * small, false},
    EndpointRow{Endpoint::kq2_route, "Kq-2", "Ia-16", {Kind::qkm}, {Kind::qkdnc}, "POST", "/kq/2/route", type_json, type_json, small, false},
    EndpointRow{Endpoint::kq2_relay, "Kq-2", "Ia-16", {Kind::qkm}, {Kind::qkdnc}, "POST", "/kq/2/relay", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::kq2_report, "Kq-2", "Ia-16", {Kind::qkdnc}, {Kind::qkm}, "POST", "/kq/2/report", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::kq2_deliver, "Kq-2", "Ia-16", {Kind::qkdnc}, {Kind::qkm}, "POST", "/kq/2/deliver", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::kq2_missing, "Kq-2", "Ia-16", {Kind::qkdnc}, {Kind::qkm}, "POST", "/kq/2/missing", type_json, "", one_message, false},
    EndpointRow{Endpoint::ce1_enrol, "Ce-1", "Ia-7", {Kind::kms}, {Kind::cas}, "POST", "/.well-known/est/ce-1/simpleenroll", type_pkcs10, type_certs_only, one_message, true, wire::basic_challenge},
    EndpointRow{Endpoint::ce1_terminal, "Ce-1", "Ia-7", {Kind::kms}, {Kind::cas}, "POST", "/ce/1/terminal", type_json, type_json, 2 * one_message, false},
    EndpointRow{Endpoint::ce4_enrol, "Ce-4", "Ia-13", qkdn, {Kind::cas}, "POST", "/.well-known/est/ce-4/simpleenroll", type_pkcs10, type_certs_only, one_message, true, wire::basic_challenge},
    EndpointRow{Endpoint::cq1_status, "Cq-1", "Ia-7", {Kind::kms}, {Kind::cas}, "POST", "/cq/1/status", type_ocsp_request, type_ocsp_response, small, false},
    EndpointRow{Endpoint::cq2_status, "Cq-2", "Ia-3", apps, {Kind::cas}, "POST", "/cq/2/status", type_ocsp_request, type_ocsp_response, small, false},
    EndpointRow{Endpoint::cq3_status, "Cq-3", "Ia-13", qkdn, {Kind::cas}, "POST", "/cq/3/status", type_ocsp_request, type_ocsp_response, small, false},
    EndpointRow{Endpoint::cd1_crl, "Cd-1", "Ia-7", {Kind::kms}, {Kind::cas}, "GET", "/cd/1/crl", "", type_crl, 0, false},
    EndpointRow{Endpoint::cd2_crl, "Cd-2", "Ia-3", apps, {Kind::cas}, "GET", "/cd/2/crl", "", type_crl, 0, false},
    EndpointRow{Endpoint::cd3_crl, "Cd-3", "Ia-13", qkdn, {Kind::cas}, "GET", "/cd/3/crl", "", type_crl, 0, false},
    EndpointRow{Endpoint::ma1_account, "Ma-1", "Ia-1", apps, {Kind::cmsp}, "GET", "/ma/1/account", "", type_json, 0, false},
    EndpointRow{Endpoint::ma2_register, "Ma-2", "Ia-6", {Kind::kms}, {Kind::cmsp}, "POST", "/ma/2/register", type_json, "", small, false},
    EndpointRow{Endpoint::ma2_locate, "Ma-2", "Ia-6", {Kind::kms}, {Kind::cmsp}, "POST", "/ma/2/locate", type_qfc2, type_qfc2, one_message, false},
    EndpointRow{Endpoint::ma2_notify, "Ma-2", "Ia-6", {Kind::cmsp}, {Kind::kms}, "POST", "/ma/2/notify", type_qfc2, "", one_message, false},
    EndpointRow{Endpoint::id1_subscriber, "Id-1", "Ia-8", {Kind::kms}, {Kind::iam}, "POST", "/id/1/subscriber", type_json, type_json, small, false},
    EndpointRow{Endpoint::pm1_token, "Pm-1", "Ia-8", {Kind::kms}, {Kind::iam}, "POST", "/pm/1/token", type_json, type_json, small, false},
    EndpointRow{Endpoint::ua1_record, "Ua-1", "Ia-8", {Kind::kms}, {Kind::iam}, "POST", "/ua/1/record", type_json, "", one_message, false},
    EndpointRow{Endpoint::x1_relay, "X-1", "", {Kind::qkm}, {Kind::qkm}, "POST", "/x/1/relay", type_octets, type_octets, one_message, false},
    EndpointRow{Endpoint::x1_activate, "X-1", "", {Kind::qkm}, {Kind::qkm}, "POST", "/x/1/activate", type_json, type_json, key_block, false},
    EndpointRow{Endpoint::x2_channel, "X-2", "", {Kind::qkd}, {Kind::qkd}, "POST", "/x/2/channel", type_octets, type_octets, 4 * key_block, false},
    EndpointRow{Endpoint::x3_enrolment, "X-3", "", {Kind::cas}, {Kind::iam}, "POST", "/x/3/enrolment", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::x4_enrol, "X-4", "", enrols_by_x4, {Kind::cas}, "POST", "/.well-known/est/x-4/simpleenroll", type_pkcs10, type_certs_only, one_message, true, wire::basic_challenge},
    EndpointRow{Endpoint::x4_status, "X-4", "", {Kind::cmsp, Kind::iam, Kind::ccs, Kind::op}, {Kind::cas}, "POST", "/x/4/status", type_ocsp_request, type_ocsp_response, small, false},
    EndpointRow{Endpoint::x5_subscriber, "X-5", "", operators, {Kind::iam}, "POST", "/x/5/subscriber", type_json, type_json, small, false},
    EndpointRow{Endpoint::x5_account, "X-5", "", operators, {Kind::cmsp}, "POST", "/x/5/account", type_json, "", small, false},
    EndpointRow{Endpoint::x5_revoke, "X-5", "", operators, {Kind::cas}, "POST", "/x/5/revoke", type_json, type_json, small, false},
    EndpointRow{Endpoint::x6_health, "X-6", "", operators, every_element, "GET", "/x/6/health", "", type_json, 0, false},
    EndpointRow{Endpoint::x7_lead, "X-7", "", {Kind::qkdnc}, {Kind::qkdnc}, "POST", "/x/7/lead", type_json, type_json, small, false},
    EndpointRow{Endpoint::x8_nodes, "X-8", "Ia-11", {Kind::op, Kind::cmsp}, {Kind::qkdnc}, "GET", "/restconf/data/etsi-qkd-sdn-node:qkd_node", "", type_json, 0, false},
    EndpointRow{Endpoint::x9_keys, "X-9", "", every_element, witnesses, "POST", "/x/9/keys", type_text, "", 2 * one_message, false},
    EndpointRow{Endpoint::x9_cosign, "X-9", "", every_element, witnesses, "POST", "/x/9/cosign", type_text, type_text, one_message, false},
    EndpointRow{Endpoint::x10_revoked, "X-10", "", {Kind::cas}, told_of_revocations, "POST", "/x/10/revoked", type_json, "", small, false},
    EndpointRow{Endpoint::id1_record, "Id-1", "Ia-8", {Kind::kms}, {Kind::iam}, "POST", "/id/1/record", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::id2_record, "Id-2", "Ia-4", apps, {Kind::iam}, "POST", "/id/2/record", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::id3_record, "Id-3", "Ia-14", qkdn, {Kind::iam}, "POST", "/id/3/record", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::pm1_decide, "Pm-1", "Ia-8", {Kind::kms}, {Kind::iam}, "POST", "/pm/1/decide", type_json, type_json, small, false},
    EndpointRow{Endpoint::pm1_introspect, "Pm-1", "Ia-8", {Kind::kms}, {Kind::iam}, "POST", "/pm/1/introspect", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::pm1_keys, "Pm-1", "Ia-8", {Kind::kms}, {Kind::iam}, "GET", "/pm/1/keys", "", type_json, 0, false},
    EndpointRow{Endpoint::pm1_revoked, "Pm-1", "Ia-8", {Kind::iam}, {Kind::kms}, "POST", "/pm/1/revoked", type_json, "", small, false},
    EndpointRow{Endpoint::pm2_token, "Pm-2", "Ia-4", apps, {Kind::iam}, "POST", "/pm/2/token", type_json, type_json, small, false},
    EndpointRow{Endpoint::pm2_decide, "Pm-2", "Ia-4", apps, {Kind::iam}, "POST", "/pm/2/decide", type_json, type_json, small, false},
    EndpointRow{Endpoint::pm3_token, "Pm-3", "Ia-14", qkdn, {Kind::iam}, "POST", "/pm/3/token", type_json, type_json, small, false},
    EndpointRow{Endpoint::pm3_decide, "Pm-3", "Ia-14", qkdn, {Kind::iam}, "POST", "/pm/3/decide", type_json, type_json, small, false},
    EndpointRow{Endpoint::ua2_record, "Ua-2", "Ia-4", apps, {Kind::iam}, "POST", "/ua/2/record", type_json, "", one_message, false},
    EndpointRow{Endpoint::ua3_record, "Ua-3", "Ia-14", qkdn, {Kind::iam}, "POST", "/ua/3/record", type_json, "", one_message, false},
    EndpointRow{Endpoint::x5_identity, "X-5", "", operators, {Kind::iam}, "POST", "/x/5/identity", type_json, type_json, key_block, false},
    EndpointRow{Endpoint::x5_privilege, "X-5", "", operators, {Kind::iam}, "POST", "/x/5/privilege", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::x5_behaviour, "X-5", "", operators, {Kind::iam}, "POST", "/x/5/behaviour", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::x12_record, "X-12", "", {Kind::cmsp, Kind::cas, Kind::ccs}, {Kind::iam}, "POST", "/x/12/record", type_json, "", one_message, false},
    EndpointRow{Endpoint::x12_notice, "X-12", "", {Kind::iam}, {Kind::cmsp}, "POST", "/x/12/notice", type_json, "", one_message, false},
    EndpointRow{Endpoint::x3_identity, "X-3", "", {Kind::cas}, {Kind::iam}, "POST", "/x/3/identity", type_json, type_json, small, false},
    EndpointRow{Endpoint::x5_registration, "X-5", "", operators, {Kind::cas}, "POST", "/x/5/registration", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::ce1_reenrol, "Ce-1", "Ia-7", {Kind::kms}, {Kind::cas}, "POST", "/.well-known/est/ce-1/simplereenroll", type_pkcs10, type_certs_only, one_message, false},
    EndpointRow{Endpoint::ce4_reenrol, "Ce-4", "Ia-13", qkdn, {Kind::cas}, "POST", "/.well-known/est/ce-4/simplereenroll", type_pkcs10, type_certs_only, one_message, false},
    EndpointRow{Endpoint::x4_reenrol, "X-4", "", enrols_by_x4, {Kind::cas}, "POST", "/.well-known/est/x-4/simplereenroll", type_pkcs10, type_certs_only, one_message, false},
    EndpointRow{Endpoint::ce1_cacerts, "Ce-1", "Ia-7", {Kind::kms}, {Kind::cas}, "GET", "/.well-known/est/ce-1/cacerts", "", type_certs_only, 0, false},
    EndpointRow{Endpoint::ce4_cacerts, "Ce-4", "Ia-13", qkdn, {Kind::cas}, "GET", "/.well-known/est/ce-4/cacerts", "", type_certs_only, 0, false},
    EndpointRow{Endpoint::x4_cacerts, "X-4", "", enrols_by_x4, {Kind::cas}, "GET", "/.well-known/est/x-4/cacerts", "", type_certs_only, 0, false},
    EndpointRow{Endpoint::km1_certificates, "Km-1", "Ia-2", apps, {Kind::kms}, "GET", "/km/1/certificates", "", type_octets, 0, false},
    EndpointRow{Endpoint::ce3_enrol, "Ce-3", "Ia-10", {Kind::ccs}, {Kind::cas}, "POST", "/.well-known/est/ce-3/simpleenroll", type_pkcs10, type_certs_only, one_message, false},
    EndpointRow{Endpoint::ce3_reenrol, "Ce-3", "Ia-10", {Kind::ccs}, {Kind::cas}, "POST", "/.well-known/est/ce-3/simplereenroll", type_pkcs10, type_certs_only, one_message, false},
    EndpointRow{Endpoint::x13_account, "X-13", "", {Kind::cas}, {Kind::cmsp}, "POST", "/x/13/account", type_json, "", small, false},
    EndpointRow{Endpoint::ce2_issued, "Ce-2", "Ia-3", apps, {Kind::cas}, "GET", "/ce/2/issued", "", type_json, 0, false},
    EndpointRow{Endpoint::ce2_reenrol, "Ce-2", "Ia-3", apps, {Kind::cas}, "POST", "/.well-known/est/ce-2/simplereenroll", type_pkcs10, type_certs_only, one_message, false},
    EndpointRow{Endpoint::ce2_cacerts, "Ce-2", "Ia-3", apps, {Kind::cas}, "GET", "/.well-known/est/ce-2/cacerts", "", type_certs_only, 0, false},
    EndpointRow{Endpoint::ce2_confirm, "Ce-2", "Ia-3", apps, {Kind::cas}, "POST", "/ce/2/confirm", type_json, "", small, false},
    EndpointRow{Endpoint::km1_renewed, "Km-1", "Ia-2", apps, {Kind::kms}, "POST", "/km/1/renewed", type_json, "", 4 * one_message, false},
    EndpointRow{Endpoint::km2_chain, "Km-2", "Ia-9", {Kind::kms}, {Kind::kms}, "POST", "/km/2/chain", type_json, "", small, false},
    EndpointRow{Endpoint::km3_chain, "Km-3", "Ia-12", {Kind::kms}, {Kind::qkm}, "POST", "/km/3/chain", type_json, "", small, false},
    EndpointRow{Endpoint::x5_keys, "X-5", "", operators, {Kind::kms}, "POST", "/x/5/keys", type_json, type_json, small, false},
    EndpointRow{Endpoint::x5_charges, "X-5", "", operators, {Kind::kms}, "POST", "/x/5/charges", type_json, type_json, small, false},
    EndpointRow{Endpoint::csa_encrypt, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/encrypt", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_decrypt, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/decrypt", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_generate_data_key, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/data-keys/generate", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_decrypt_data_key, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/data-keys/decrypt", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_sign, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/sign", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_verify, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/verify", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_mac, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/mac", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_verify_mac, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/mac/verify", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_challenge, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/authentication/challenge", type_json, type_json, small, false},
    EndpointRow{Endpoint::csa_prove, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/authentication/prove", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_authenticate, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/authentication/verify", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_encapsulate, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/encapsulate", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_decapsulate, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/decapsulate", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_public_key, "X-14", "", administers, {Kind::kms}, "POST", "/csa/v1/public-key", type_json, type_json, small, false},
    EndpointRow{Endpoint::csa_random, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/random", type_json, type_json, small, false},
    EndpointRow{Endpoint::csa_batch, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/batch", type_json, type_json, key_block, false},
    EndpointRow{Endpoint::csa_create_key, "X-14", "", administers, {Kind::kms}, "POST", "/csa/v1/keys/create", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_import_key, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/keys/import", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_export_key, "X-14", "", apps, {Kind::kms}, "POST", "/csa/v1/keys/export", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_list_keys, "X-14", "", administers, {Kind::kms}, "POST", "/csa/v1/keys/list", type_json, type_json, small, false},
    EndpointRow{Endpoint::csa_describe_key, "X-14", "", administers, {Kind::kms}, "POST", "/csa/v1/keys/describe", type_json, type_json, small, false},
    EndpointRow{Endpoint::csa_rotate_key, "X-14", "", administers, {Kind::kms}, "POST", "/csa/v1/keys/rotate", type_json, type_json, small, false},
    EndpointRow{Endpoint::csa_set_policy, "X-14", "", administers, {Kind::kms}, "POST", "/csa/v1/keys/policy", type_json, type_json, 4 * one_message, false},
    EndpointRow{Endpoint::csa_change_state, "X-14", "", administers, {Kind::kms}, "POST", "/csa/v1/keys/state", type_json, type_json, small, false},
    EndpointRow{Endpoint::csa_openapi, "X-14", "", administers, {Kind::kms}, "GET", "/csa/v1/openapi.json", "", type_json, 0, false},
    EndpointRow{Endpoint::dx1_key, "Dx-1", "", gateways, gateways, "POST", "/dx/1/key", type_json, type_json, small, false},
    EndpointRow{Endpoint::dx1_loaded, "Dx-1", "", gateways, gateways, "POST", "/dx/1/loaded", type_json, type_json, small, false},
    EndpointRow{Endpoint::km2_supply, "Km-2", "Ia-9", {Kind::kms}, {Kind::kms}, "POST", "/km/2/supply", type_qfc2, type_qfc2, one_message, false},
    EndpointRow{Endpoint::km2_activate, "Km-2", "Ia-9", {Kind::kms}, {Kind::kms}, "POST", "/km/2/activate", type_json, type_json, key_block, false},
    EndpointRow{Endpoint::km1_charge, "Km-1", "Ia-2", apps, {Kind::kms}, "POST", "/km/1/charge", type_qfc2, type_qfc2, one_message, false},
    EndpointRow{Endpoint::km1_charged, "Km-1", "Ia-2", apps, {Kind::kms}, "POST", "/km/1/charged", type_qfc2, "", one_message, false},
    EndpointRow{Endpoint::x5_medium, "X-5", "", operators, {Kind::kms}, "POST", "/x/5/medium", type_json, type_json, small, false},
    EndpointRow{Endpoint::x5_recovery, "X-5", "", operators, {Kind::kms}, "POST", "/x/5/recovery", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::mo2_policy, "Mo-2", "Ia-6", {Kind::kms}, {Kind::cmsp}, "GET", "/mo/2/policy", "", type_octets, 0, false},
    EndpointRow{Endpoint::mo2_state, "Mo-2", "Ia-6", {Kind::kms}, {Kind::cmsp}, "POST", "/mo/2/state", type_json, "", one_message, false},
    EndpointRow{Endpoint::x5_kms_policy, "X-5", "", operators, {Kind::cmsp}, "POST", "/x/5/kms-policy", type_json, "", small, false},
    EndpointRow{Endpoint::mc2_evidence, "Mc-2", "Ia-6", {Kind::kms}, {Kind::cmsp}, "POST", "/mc/2/evidence", type_json, type_json, one_message, false},
    EndpointRow{Endpoint::ma2_directory, "Ma-2", "Ia-6", {Kind::kms}, {Kind::cmsp}, "GET", "/ma/2/directory", "", type_octets, 0, false},
    EndpointRow{Endpoint::ma2_directory_page, "Ma-2", "Ia-6", {Kind::kms}, {Kind::cmsp}, "GET", "/ma/2/directory-page", "", type_qfc2, 0, false},
    EndpointRow{Endpoint::km2_open, "Km-2", "Ia-9", {Kind::kms}, {Kind::kms}, "POST", "/km/2/open", type_qfc2, "", one_message, false},
    EndpointRow{Endpoint::km1_group, "Km-1", "Ia-2", apps, {Kind::kms}, "POST", "/km/1/group", type_qfc2, type_qfc2, one_message, false},
    EndpointRow{Endpoint::km2_group, "Km-2", "Ia-9", {Kind::kms}, {Kind::kms}, "POST", "/km/2/group", type_qfc2, "", one_message, false},
    EndpointRow{Endpoint::x5_archive, "X-5", "", operators, {Kind::kms}, "POST", "/x/5/archive", type_json, type_json, small, false},
};
static_assert(table.size() == static_cast<std::size_t>(Endpoint::count_));

constexpr bool in_order() {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (static_cast<std::size_t>(table[i].endpoint) != i) return false;
  }
  return true;
}
static_assert(in_order(), "row(Endpoint) indexes the table");

// Nobody is anonymous except at the first enrolment: an element's by EST, a terminal's by its own message.
constexpr bool anonymous_only_to_enrol() {
  for (const EndpointRow& line : table) {
    const bool first_enrolment = line.path.ends_with("/simpleenroll") || line.path == "/km/1/enrol";
    if (line.anonymous && !first_enrolment) return false;
  }
  return true;
}
static_assert(anonymous_only_to_enrol());

}  // namespace

std::span<const EndpointRow> all_endpoints() noexcept { return table; }

const EndpointRow& row(Endpoint endpoint) noexcept {
  CHECK(endpoint < Endpoint::count_);
  return table[static_cast<std::size_t>(endpoint)];
}

}  // namespace qanat::points
