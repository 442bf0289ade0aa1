#include "terminal/renewal.hpp"

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "node/enrolment.hpp"
#include "node/log.hpp"
#include "node/renewal.hpp"
#include "wire/base64.hpp"
#include "wire/est.hpp"

namespace qanat::terminal {
namespace {

constexpr std::size_t links_told_max = 4;  // the KMS hears of each renewal before the next one begins: one is enough, unless its database is an older copy

Bytes fingerprint(const crypto::Certificate& certificate) { return certificate.fingerprint(crypto::Hash::sha256); }

Result<Bytes> key_digest(ByteView request) {
  ASSIGN_OR_RETURN(const crypto::CertificateRequest parsed, crypto::CertificateRequest::parse(request));
  return crypto::digest(crypto::Hash::sha256, parsed.public_key());
}

}  // namespace

RenewalTransport renewal_transport(node::Node& node, const std::string& kms) {
  const auto ask_cas = [&node](points::Endpoint endpoint, std::string_view body, Deadline deadline) -> Result<net::Response> {
    ASSIGN_OR_RETURN(const std::string cas, node.peer_of(Kind::cas));
    return node.call(endpoint, cas, as_bytes(body), deadline, node.new_request_id());
  };
  return {.reenrol = [ask_cas](ByteView request, Deadline deadline) -> Result<crypto::Certificate> {
            ASSIGN_OR_RETURN(const net::Response response, ask_cas(points::Endpoint::ce2_reenrol, wire::est_body(request), deadline));
            return node::read_est_answer(response);
          },
          .issued = [&node](Deadline deadline) { return ask_issuances(node, deadline); },
          .tell_kms = [&node, kms](const wire::Json& renewed, Deadline deadline) -> Result<void> {
            TRY(node.call_json(points::Endpoint::km1_renewed, kms, renewed, deadline, node.new_request_id()));
            return {};
          },
          .confirm = [ask_cas](const Bytes& bundle, Deadline deadline) -> Result<void> {
            TRY(ask_cas(points::Endpoint::ce2_confirm, wire::Json::object({{"bundle", to_hex(bundle)}}).dump(), deadline));
            return {};
          }};
}

crypto::SubjectNames TerminalRenewal::names() const {
  return {.common_name = node_.identity().name, .element = node_.identity(), .number = settings_.number, .dns = {}, .home_kms = ElementName(settings_.kms)};
}

bool TerminalRenewal::due() const { return node::renewal_due(node_.signer()->ml_dsa, node_.settings().renew_at_percent, 0) <= node_.clock().now_ms(); }

Result<bool> TerminalRenewal::to_be_told() {
  ASSIGN_OR_RETURN(const std::optional<Bytes> obtained, store_.renewal());
  return obtained == fingerprint(node_.signer()->ml_dsa);
}

Result<void> TerminalRenewal::run(Deadline deadline) {
  const std::string former = to_hex(node_.signer()->ml_dsa.serial());
  const Result<void> done = renew(deadline);
  const std::string serial = to_hex(node_.signer()->ml_dsa.serial());
  if (done) {  // the same one if an earlier attempt had obtained it
    node::log(node::LogLevel::note, "certificates renewed: {} {}", serial, serial == former ? "is known to its KMS and to CAS" : "follows " + former);
  } else {
    node::log(node::LogLevel::warning, "certificates not renewed, {} is in force: {}", serial, done.error().message);
  }
  TRY(node_.record({.action = "certificate.renewed",
                    .outcome = done ? audit::Outcome::success : audit::outcome_of(done.error().code),
                    .subject = node_.identity().uri(),
                    .object = serial,
                    .reason = done ? std::string_view(former) : std::string_view(done.error().message),
                    .request_id = ""}));
  return done;
}

Result<void> TerminalRenewal::renew(Deadline deadline) {
  ASSIGN_OR_RETURN(const bool obtained, to_be_told());
  if (!obtained) TRY(obtain(deadline));
  return tell(deadline);
}

/// The certificate for one of the two requests, and the issuing CA above it, if it is this terminal's and leads to our roots.
Result<std::vector<crypto::Certificate>> TerminalRenewal::certified(ByteView request, crypto::KeyAlgorithm algorithm, Deadline deadline) {
  auto leaf = transport_.reenrol(request, deadline);
  if (!leaf) {
    if (node::is_final_refusal(leaf.error().code)) TRY(credentials_.drop_next());
    return fail_in("renewal", leaf.error());
  }
  if (leaf->key_algorithm() != algorithm || leaf->names() != names()) return fail(ErrorCode::denied, "renewal: CAS sent a certificate of " + leaf->subject());
  return node::issued_chain(node_.trust(), *leaf, node_.clock().now_ms());
}

Result<void> TerminalRenewal::obtain(Deadline deadline) {
  const crypto::Suite& suite = node_.suite();
  ASSIGN_OR_RETURN(const node::CredentialStore::Requests requests, credentials_.prepare_next(names(), true));
  // Known as ours before anybody certifies them.
  ASSIGN_OR_RETURN(const Bytes classical_key, key_digest(requests.classical));
  ASSIGN_OR_RETURN(const Bytes ml_dsa_key, key_digest(requests.ml_dsa));
  TRY(store_.remember_own_keys({classical_key, ml_dsa_key}));
  node::crash_point("terminal.renew.prepared");
  ASSIGN_OR_RETURN(const std::vector<crypto::Certificate> classical, certified(requests.classical, crypto::classical_key(suite), deadline));
  node::crash_point("terminal.renew.half");
  ASSIGN_OR_RETURN(const std::vector<crypto::Certificate> ml_dsa, certified(requests.ml_dsa, crypto::ml_dsa_key(suite), deadline));
  node::crash_point("terminal.renew.certified");
  // The former keys go with the next step: not before it is certain that the new bundle is whole.
  ASSIGN_OR_RETURN(const std::vector<Issuance> issued, transport_.issued(deadline));
  const auto bundle = bundle_among(suite, issued, classical.front(), ml_dsa.front(), encryption_);
  if (!bundle) return fail(ErrorCode::denied, "renewal: CAS shows no encryption certificates of one bundle with the new signing certificates");
  for (const crypto::BundleRole role : crypto::all_bundle_roles) TRY(node_.trust().verify(bundle->of(role), node_.clock().now_ms(), crypto::use_of(role)));
  TRY(store_.begin_renewal(fingerprint(ml_dsa.front())));
  TRY(credentials_.finish_next(ml_dsa, classical));
  node::crash_point("terminal.renew.stored");
  ASSIGN_OR_RETURN(auto made, credentials_.load());
  if (!made || !made->messages) return fail(ErrorCode::internal, "renewal: credentials were stored but do not load");
  return node_.install_credentials(std::move(*made));
}

Result<void> TerminalRenewal::tell(Deadline deadline) {
  const std::shared_ptr<const node::MessageSigner> in_force = node_.signer();
  ASSIGN_OR_RETURN(const std::vector<Issuance> issued, transport_.issued(deadline));
  const auto bundle = bundle_among(node_.suite(), issued, in_force->classical, in_force->ml_dsa, encryption_);
  if (!bundle) return fail(ErrorCode::denied, "renewal: CAS does not show the bundle in force any more");
  const std::shared_ptr<const std::vector<wire::Succession>> links = node_.credentials().successions;
  ASSIGN_OR_RETURN(const Bytes octets, wire::encode_successions(node_.suite(), std::span(*links).last(std::min(links->size(), links_told_max))));
  const wire::Json encryption =
      wire::Json::object({{"classical", wire::to_base64(bundle->classical_encryption.der())}, {"ml_kem", wire::to_base64(bundle->ml_kem_encryption.der())}});
  TRY(transport_.tell_kms(wire::Json::object({{"successions", wire::to_base64(octets)}, {"encryption", encryption}}), deadline));
  node::crash_point("terminal.renew.told");
  TRY(transport_.confirm(bundle->id(), deadline));
  node::crash_point("terminal.renew.confirmed");
  return store_.end_renewal();
}

}  // namespace qanat::terminal
