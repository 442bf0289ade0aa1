#include "terminal/issuances.hpp"

#include "crypto/kdf.hpp"
#include "node/log.hpp"

namespace qanat::terminal {
namespace {

constexpr std::size_t issuances_at_most = 256;

Bytes digest_of(ByteView public_key) { return crypto::digest(crypto::Hash::sha256, public_key); }

Result<void> record(node::Node& node, std::string_view action, const Issuance& stranger, std::string_view reason) {
  return node.record({.action = action,
                      .outcome = audit::Outcome::failure,
                      .subject = node.identity().uri(),
                      .object = to_hex(stranger.certificate.fingerprint(crypto::Hash::sha256)),
                      .reason = reason,
                      .request_id = ""});
}

}  // namespace

Result<std::vector<Issuance>> parse_issuances(const wire::Json& answer, const Identity& own) {
  std::vector<Issuance> out;
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, answer.array("certificates"));
  if (list.size() > issuances_at_most) return fail(ErrorCode::invalid_argument, "CAS lists more than " + std::to_string(issuances_at_most) + " certificates");
  for (const wire::Json& one : list) {
    Issuance read;
    ASSIGN_OR_RETURN(const Bytes der, one.base64("certificate"));
    ASSIGN_OR_RETURN(read.certificate, crypto::Certificate::parse(der));
    if (read.certificate.names().element != own)
      return fail(ErrorCode::invalid_argument, "CAS lists a certificate of " + read.certificate.subject() + " as this terminal's");
    ASSIGN_OR_RETURN(read.role, one.text("role"));
    ASSIGN_OR_RETURN(read.revoked, one.boolean("revoked"));
    out.push_back(std::move(read));
  }
  return out;
}

Result<std::vector<Issuance>> ask_issuances(node::Node& node, Deadline deadline) {
  ASSIGN_OR_RETURN(const std::string cas, node.peer_of(Kind::cas));
  ASSIGN_OR_RETURN(const wire::Json answer, node.call_json(points::Endpoint::ce2_issued, cas, wire::Json(), deadline, node.new_request_id()));
  return parse_issuances(answer, node.identity());
}

std::optional<crypto::CertificateBundle> bundle_among(const crypto::Suite& suite, const std::vector<Issuance>& issued, const crypto::Certificate& classical,
                                                      const crypto::Certificate& ml_dsa, const crypto::EncapsulationKey& encryption) {
  const Bytes named = ml_dsa.fingerprint(crypto::Hash::sha256);
  const crypto::Certificate* by_point = nullptr;
  const crypto::Certificate* by_ml_kem = nullptr;
  for (const Issuance& one : issued) {
    if (one.revoked || one.certificate.related() != named) continue;
    if (one.certificate.public_key() == encryption.point) by_point = &one.certificate;
    if (one.certificate.public_key() == encryption.ml_kem) by_ml_kem = &one.certificate;
  }
  if (by_point == nullptr || by_ml_kem == nullptr) return std::nullopt;
  crypto::CertificateBundle out{.classical_signing = classical, .ml_dsa_signing = ml_dsa, .classical_encryption = *by_point, .ml_kem_encryption = *by_ml_kem};
  if (!crypto::check_bundle(suite, out)) return std::nullopt;
  return out;
}

IssuanceFindings judge_issuances(const crypto::Suite& suite, std::vector<Issuance> issued, const std::set<Bytes>& own_keys, const node::MessageSigner& signing,
                                 const crypto::EncapsulationKey& encryption) {
  IssuanceFindings out{.strangers = {}, .revoked_strangers = {}, .own = bundle_among(suite, issued, signing.classical, signing.ml_dsa, encryption)};
  for (Issuance& one : issued) {
    // By its key: what is certified over a key of ours is of use to us alone. Of encryption keys that the KMS made, it may have kept a copy, which a
    // second certificate makes neither better nor worse.
    if (own_keys.contains(digest_of(one.certificate.public_key()))) continue;
    (one.revoked ? out.revoked_strangers : out.strangers).push_back(std::move(one));
  }
  return out;
}

Result<IssuanceFindings> check_issuances(node::Node& node, TerminalStore& store, const crypto::EncapsulationKey& encryption, Deadline deadline) {
  ASSIGN_OR_RETURN(std::vector<Issuance> issued, ask_issuances(node, deadline));
  const std::shared_ptr<const node::MessageSigner> in_force = node.signer();
  const node::MessageSigner& signing = *in_force;
  TRY(store.remember_own_keys(
      {digest_of(signing.classical.public_key()), digest_of(signing.ml_dsa.public_key()), digest_of(encryption.point), digest_of(encryption.ml_kem)}));
  ASSIGN_OR_RETURN(const std::set<Bytes> own_keys, store.own_keys());
  IssuanceFindings out = judge_issuances(node.suite(), std::move(issued), own_keys, signing, encryption);
  for (const Issuance& stranger : out.strangers) {
    const std::string what = "a certificate was issued in the name of " + node.identity().uri() + " over a key that this terminal never had";
    TRY(record(node, "ce-2.stranger", stranger, what));
    node::log(node::LogLevel::error,
              "ALARM: {}: serial {}, {}. Somebody can pass for this subscriber: have the certificates revoked, and ask who had it issued", what,
              to_hex(stranger.certificate.serial()), stranger.role.empty() ? "no role" : stranger.role);
  }
  for (const Issuance& stranger : out.revoked_strangers) {
    node::log(node::LogLevel::warning,
              "a revoked certificate in this terminal's name is over a key that it never had (serial {}): another medium's, before this one?",
              to_hex(stranger.certificate.serial()));
  }
  if (!out.own) {
    const std::string why = "CAS shows no encryption certificates of one bundle with this terminal's signing certificates";
    TRY(node.record(
        {.action = "ce-2.bundle", .outcome = audit::Outcome::failure, .subject = node.identity().uri(), .object = "", .reason = why, .request_id = ""}));
    node::log(node::LogLevel::error, "{}: it cannot be given working keys", why);
    return out;
  }
  for (const crypto::Certificate* certificate : {&out.own->classical_encryption, &out.own->ml_kem_encryption}) {
    TRY(node.check_certificate(*certificate, deadline, crypto::LeafUse::encryption));
  }
  return out;
}

wire::Json to_json(const IssuanceFindings& findings) {
  wire::Json out = wire::Json::object();
  if (findings.own) {
    wire::Json certificates = wire::Json::array();
    for (const crypto::BundleRole role : crypto::all_bundle_roles) {
      const crypto::Certificate& certificate = findings.own->of(role);
      certificates.push(wire::Json::object({{"role", name(role)}, {"serial", to_hex(certificate.serial())}, {"not_after_ms", certificate.not_after()}}));
    }
    out.set("bundle", to_hex(findings.own->id())).set("certificates", std::move(certificates));
  }
  wire::Json strangers = wire::Json::array();
  for (const Issuance& stranger : findings.strangers) {
    strangers.push(wire::Json::object({{"role", stranger.role},
                                       {"serial", to_hex(stranger.certificate.serial())},
                                       {"sha256", to_hex(stranger.certificate.fingerprint(crypto::Hash::sha256))},
                                       {"not_before_ms", stranger.certificate.not_before()}}));
  }
  out.set("strangers", std::move(strangers));
  return out;
}

}  // namespace qanat::terminal
