#include "points/points.hpp"

#include <array>

#include "base/check.hpp"

namespace qanat::points {
namespace {

// Section 2.2 of the paper, in its order: 7 management, 18 service, 25 identity, 5 communication.
constexpr std::array point_table{
    Point{"Mo-1", "CSO ↔ App", "service orchestration: security policy, pushed or fetched", false},
    Point{"Mo-2", "CSO ↔ KMA", "service orchestration towards a KMS: pool targets, lifetimes, path rules", false},
    Point{"Md-1", "CSM ↔ App crypto device", "device inventory, self-test results, remote disable and wipe", false},
    Point{"Ma-1", "CAM ↔ App", "account, number, service opened or not", false},
    Point{"Ma-2", "CAM ↔ KMS", "who is served here; locate the KMS of a number; session notification (steps 7, 8)", false},
    Point{"Mc-1", "compliance ↔ App", "known-answer results, random samples, parameter inventory", false},
    Point{"Mc-2", "compliance ↔ KMS", "the same plus key-lifecycle evidence", false},
    Point{"Km-1", "KMA ↔ App", "enrolment by proxy (1–2), key application and delivery (4, 11), confirmation", false},
    Point{"Km-2", "KMS ↔ KMS", "session key agreement between domains (9)", false},
    Point{"Km-3", "KMA ↔ QKM", "quantum keys for a peer domain, by id; status", false},
    Point{"Kq-1", "QKM ↔ QKD", "key blocks with ids, QBER, rates; start and stop", false},
    Point{"Kq-2", "QKM ↔ QKDNC", "link state and key volumes, routes", false},
    Point{"Cs-1", "PCS ↔ App", "two-party signing", false},
    Point{"Cc-1", "PCC ↔ App", "two-party decapsulation", false},
    Point{"Ck-1", "PKG ↔ App", "joint key generation", false},
    Point{"Ce-1", "KMS ↔ CEIS", "enrolment as agent for terminals; own certificates", false},
    Point{"Ce-2", "terminal ↔ CEIS", "direct enrolment, renewal", false},
    Point{"Ce-3", "CCS ↔ CEIS", "certificates for jointly generated keys", false},
    Point{"Ce-4", "QKDN ↔ CEIS", "certificates of QKD, QKM, QKDNC", false},
    Point{"Cq-1", "KMS ↔ CSP", "certificate status (OCSP)", false},
    Point{"Cq-2", "terminal ↔ CSP", "certificate status (OCSP)", false},
    Point{"Cq-3", "QKDN ↔ CSP", "certificate status (OCSP)", false},
    Point{"Cd-1", "KMS ↔ LDAP", "certificates and CRLs", false},
    Point{"Cd-2", "terminal ↔ LDAP", "certificates and CRLs", false},
    Point{"Cd-3", "QKDN ↔ LDAP", "certificates and CRLs", false},
    Point{"Ia-1", "CMSP ↔ App", "mutual authentication", false},
    Point{"Ia-2", "KMS ↔ App", "mutual authentication", false},
    Point{"Ia-3", "CAS ↔ App", "mutual authentication", false},
    Point{"Ia-4", "IAM ↔ App", "mutual authentication", false},
    Point{"Ia-5", "CCS ↔ App", "mutual authentication", false},
    Point{"Ia-6", "CMSP ↔ KMS", "mutual authentication", false},
    Point{"Ia-7", "KMS ↔ CAS", "mutual authentication", false},
    Point{"Ia-8", "KMS ↔ IAM", "mutual authentication", false},
    Point{"Ia-9", "KMS ↔ KMS", "mutual authentication", false},
    Point{"Ia-10", "CCS ↔ CAS", "mutual authentication", false},
    Point{"Ia-11", "CMSP ↔ QKDN", "mutual authentication", false},
    Point{"Ia-12", "KMA ↔ QKM", "mutual authentication", false},
    Point{"Ia-13", "CAS ↔ QKDN", "mutual authentication", false},
    Point{"Ia-14", "IAM ↔ QKDN", "mutual authentication", false},
    Point{"Ia-15", "QKD ↔ QKM", "mutual authentication", false},
    Point{"Ia-16", "QKM ↔ QKDNC", "mutual authentication", false},
    Point{"Id-1", "KMS ↔ IDM", "identities and attributes", false},
    Point{"Id-2", "App ↔ IDM", "identities and attributes", false},
    Point{"Id-3", "QKDN ↔ IDM", "identities and attributes", false},
    Point{"Pm-1", "KMS ↔ UPM", "policy decisions; access tokens (6)", false},
    Point{"Pm-2", "App ↔ UPM", "policy decisions; access tokens", false},
    Point{"Pm-3", "QKDN ↔ UPM", "policy decisions; access tokens", false},
    Point{"Ua-1", "KMS ↔ UBA", "behaviour records", false},
    Point{"Ua-2", "App ↔ UBA", "behaviour records", false},
    Point{"Ua-3", "QKDN ↔ UBA", "behaviour records", false},
    Point{"Ax-1", "APP-1 ↔ APP-1", "voice: SIP, end-to-end key exchange and SRTP keyed by WK", false},
    Point{"Ax-2", "APP-2 ↔ APP-2", "messages and files keyed by WK", false},
    Point{"Ax-3", "APP-3 ↔ APP-3", "SaaS to SaaS envelope encryption", false},
    Point{"Dx-1", "DEV-1 ↔ DEV-1", "gateway to gateway: IPsec with WK as PPK", false},
    Point{"Dx-2", "DEV-2 ↔ DEV-2", "device to device: OSCORE keyed by WK", false},
    Point{"X-1", "QKM ↔ QKM", "trusted relay, one hop", true},
    Point{"X-2", "QKD ↔ QKD", "classical channel of a pair", true},
    Point{"X-3", "CAS ↔ IAM", "proof of a terminal's first enrolment; whether a subject or an element is active", true},
    Point{"X-4", "CMSP, IAM, CCS, operator ↔ CAS", "their own certificates and certificate status", true},
    Point{"X-5", "operator ↔ IAM, CMSP, CAS, KMS", "subscribers, identities, privileges, accounts, registrations, revocation, keys and their recovery, charges, policy of the KMSs", true},
    Point{"X-6", "operator ↔ every element", "health and counters", true},
    Point{"X-7", "QKDNC ↔ QKDNC", "which of two controllers leads", true},
    Point{"X-8", "operator, CMSP ↔ QKDNC", "the quantum network in the shape of ETSI GS QKD 015", true},
    Point{"X-9", "every element ↔ IAM, CMSP", "checkpoints of audit records, cosigned by a witness", true},
    Point{"X-10", "CAS ↔ every element", "notice of revoked certificates", true},
    Point{"X-12", "CMSP, CAS, CCS ↔ IAM", "their behaviour records; notices of anomalies to the CMSP", true},
    Point{"X-13", "CAS ↔ CAM", "whether a terminal's number has an account, is served by its KMS, and its service is open", true},
    Point{"X-14", "App, operator ↔ CSA", "cryptography as a service: keys, encryption, signatures, authentication, random octets", true},
};

constexpr std::size_t paper_points = 55;
static_assert(point_table.size() > paper_points && !point_table[paper_points - 1].extension && point_table[paper_points].extension);

}  // namespace

std::span<const Point> all_points() noexcept { return point_table; }

const Point* find_point(std::string_view id) noexcept {
  for (const Point& point : point_table) {
    if (point.id == id) return &point;
  }
  return nullptr;
}

std::vector<net::Route> routes(Kind self, std::vector<Handler> handlers, const std::set<Endpoint>& chained) {
  std::vector<net::Route> out;
  out.reserve(handlers.size());
  for (Handler& handler : handlers) {
    const EndpointRow& line = row(handler.endpoint);
    CHECK(line.callees.has(self));
    out.push_back(net::Route{.point = std::string(line.point),
                             .method = std::string(line.method),
                             .path = std::string(line.path),
                             .callers = line.callers,
                             .anonymous = line.anonymous,
                             .body_max = line.body_max,
                             .request_type = std::string(line.request_type),
                             .chained = chained.contains(handler.endpoint),
                             .challenge = std::string(line.challenge),
                             .unknown_status = handler.unknown_status,
                             .answer = std::move(handler.answer)});
  }
  return out;
}

std::string_view name(KmsStore store) noexcept { return store == KmsStore::sqlite ? "SQLite" : "PostgreSQL"; }

bool working(std::string_view point, std::optional<KmsStore> store) noexcept {
  bool accepted = false;
  bool refused = false;
  for (const Evidence& evidence : all_evidence()) {
    if (evidence.point != point || (store && evidence.kms_store != *store)) continue;
    (evidence.refusal ? refused : accepted) = true;
  }
  return accepted && refused;
}

}  // namespace qanat::points
