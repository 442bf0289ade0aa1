#include "services/kms/kim/enrolment.hpp"

#include "node/crash_point.hpp"
#include "node/enrolment.hpp"
#include "node/recorded.hpp"
#include "node/senders.hpp"
#include "services/kms/kp/owed_records.hpp"
#include "wire/base64.hpp"

namespace qanat::kms {
namespace {

Result<std::vector<Bytes>> chain_of(const wire::Json& answer, std::string_view name) {
  std::vector<Bytes> out;
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, answer.texts(name));
  if (texts.empty() || texts.size() > wire::chain_certificates_max)
    return fail(ErrorCode::invalid_argument, "CAS: chain '" + std::string(name) + "' has no certificate or too many");
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(Bytes der, wire::from_base64(text));
    out.push_back(std::move(der));
  }
  return out;
}

/// False for an answer from before a renewal: its envelope would have other certificates than it was signed under, so it is made anew.
bool signed_by(const node::MessageSigner& signer, const Bytes& answer) {
  const auto message = wire::parse<wire::EnrolDeliver>(answer);
  const auto verifier = crypto::Verifier::from_key(signer.signer.suite(), signer.signer.verifying_key());
  return message && verifier && wire::verify(*message, *verifier, signer.fps);
}

/// Where another subscriber had the number until now, whatever the KMS has of that one goes, as at a revocation; but for a medium, with which it may enrol
/// anew.
Result<void> end_former_holder(store::Transaction& transaction, Ledger& ledger, const Terminal& next, UnixMs now, std::vector<OwedRecord>& owed) {
  constexpr std::string_view why = "number taken over";
  ASSIGN_OR_RETURN(const std::optional<Terminal> former, find_terminal(transaction, next.number));
  if (!former || former->uid == next.uid) return {};
  TRY(EncryptionPairs::end(transaction, former->uid, why, now));
  ASSIGN_OR_RETURN(const std::vector<Destroyed> keys, ledger.destroy_of(transaction, former->uid, {.by = "kms", .why = std::string(why), .at_ms = now}));
  owed.reserve(keys.size() + 1);
  for (const Destroyed& gone : keys) {
    owed.push_back({.action = "wk.expired", .subject = gone.uid.text(), .object = gone.sid_wk.hex(), .reason = gone.reason(why)});
  }
  TRY(forget_terminal(transaction, former->uid));
  owed.push_back({.action = "kp.purged",
                  .subject = former->uid.text(),
                  .object = std::to_string(keys.size()) + " working keys",
                  .reason = "its number " + next.number.text() + " is that of " + next.uid.text() + " now: keys, certificates and token are gone here"});
  return {};
}

/// CAS or IAM has said no, and will say so again; here `unauthenticated` is of the Enrol message.
bool is_final(ErrorCode code) { return code == ErrorCode::unauthenticated || node::is_final_refusal(code); }

}  // namespace

Result<net::Response> EnrolmentService::enrol(const net::Request& http) {
  const auto parsed = wire::parse<wire::Enrol>(http.body);
  // It names nobody: what stands on record is where it came from.
  if (!parsed) return node::refusal_recorded(node_, "km-1.enrol", http, "", fail(parsed.error()));
  const wire::Framed<wire::Enrol>& request = *parsed;
  auto done = answer(http, request);
  const bool ok = done.has_value();
  TRY(node_.record({.action = "km-1.enrol",
                    .outcome = ok ? audit::Outcome::success : audit::outcome_of(done.error().code),
                    .subject = request.message.uid.text(),
                    .object = request.message.number.text(),
                    .reason = ok ? "" : std::string_view(done.error().message),
                    .request_id = http.request_id}));
  return done;
}

Result<net::Response> EnrolmentService::answer(const net::Request& http, const wire::Framed<wire::Enrol>& request) {
  const wire::Enrol& asked = request.message;
  if (request.suite != &node_.suite()) return fail(ErrorCode::denied, "Enrol: suite " + std::string(request.suite->name) + " is not this network's");
  if (asked.kms_id.text() != node_.identity().name) return fail(ErrorCode::denied, "Enrol: is for KMS " + asked.kms_id.text());
  if (!apps.has(asked.device_kind)) return fail(ErrorCode::invalid_argument, "Enrol: not a kind of terminal");
  if (asked.encryption_keys != wire::EncryptionKeys::kms_made)
    return fail(ErrorCode::denied, "Enrol: the policy in force is that the KMS makes encryption keys");

  // The same request again (its answer was lost): the same answer, as long as the terminal has not confirmed it.
  ASSIGN_OR_RETURN(const auto known, store_.transact([&](store::Transaction& transaction) { return find_enrolment(transaction, asked.uid); }));
  const std::shared_ptr<const node::MessageSigner> own = node_.signer();
  Bytes message;
  if (known && known->h_enrol == request.hash && !known->answer.empty() && signed_by(*own, known->answer)) {
    message = known->answer;
  } else {
    node::StepTrace::Timer step2(trace_, 2);
    TRY(check_subscriber(asked, http.deadline, http.request_id));
    ASSIGN_OR_RETURN(const EncryptionPairs::Prepared prepared, pairs_.prepare(asked.uid, request.hash));
    node::crash_point("kms.enrol.prepared");
    const auto certificates = certificates_for(request, prepared.pair.encapsulation_key(), http.deadline, http.request_id);
    if (!certificates) {
      // Whoever the message was from got nothing certified with this pair.
      if (prepared.fresh && is_final(certificates.error().code)) {
        TRY(store_.transact([&](store::Transaction& transaction) { return forget_prepared(transaction, asked.uid, request.hash); }));
      }
      return fail(certificates.error());
    }
    step2.done(asked.uid.text(),
               "certificates registered through " + node_.identity().name + ": two for the keys that sign, two for those that are encrypted to");
    node::crash_point("kms.enrol.certified");
    ASSIGN_OR_RETURN(message, inject(request, *certificates, prepared.pair, *own));
    node::crash_point("kms.enrol.stored");
  }
  // Said each time, also for an answer that is given again: the first time may have ended before this.
  ASSIGN_OR_RETURN(const std::string cmsp, node_.peer_of(Kind::cmsp));
  TRY(node_.call_json(points::Endpoint::ma2_register, cmsp, wire::Json::object({{"uid", asked.uid.text()}, {"number", asked.number.text()}}), http.deadline,
                      http.request_id));
  return net::Response{.status = 200, .content_type = std::string(points::type_qfc2), .body = node::enclose(*own, std::move(message))};
}

Result<void> EnrolmentService::check_subscriber(const wire::Enrol& asked, Deadline deadline, const std::string& request_id) {
  // IDM knows the subscriber and whose KMS he belongs to; CAS asks IAM itself whether the enrolment secret was the right one.
  ASSIGN_OR_RETURN(const std::string iam, node_.peer_of(Kind::iam));
  ASSIGN_OR_RETURN(const wire::Json subscriber,
                   node_.call_json(points::Endpoint::id1_subscriber, iam, wire::Json::object({{"uid", asked.uid.text()}}), deadline, request_id));
  ASSIGN_OR_RETURN(const std::string number, subscriber.text("number"));
  ASSIGN_OR_RETURN(const std::string home, subscriber.text("home_kms"));
  if (number != asked.number.text() || home != node_.identity().name) {
    return fail(ErrorCode::denied, "Enrol: " + asked.uid.text() + " with number " + asked.number.text() + " is not a subscriber of " + node_.identity().name);
  }
  return {};
}

Result<EnrolmentService::Certificates> EnrolmentService::certificates_for(const wire::Framed<wire::Enrol>& request, const crypto::EncapsulationKey& encryption,
                                                                          Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(const std::string cas, node_.peer_of(Kind::cas));
  const wire::Json keys = wire::Json::object({{"classical", wire::to_base64(encryption.point)}, {"ml_kem", wire::to_base64(encryption.ml_kem)}});
  const wire::Json body = wire::Json::object({{"uid", request.message.uid.text()}, {"enrol", wire::to_base64(request.octets)}, {"encryption", keys}});
  ASSIGN_OR_RETURN(const wire::Json answer, node_.call_json(points::Endpoint::ce1_terminal, cas, body, deadline, request_id));
  Certificates out;
  ASSIGN_OR_RETURN(out.classical, chain_of(answer, "classical"));
  ASSIGN_OR_RETURN(out.ml_dsa, chain_of(answer, "ml_dsa"));
  ASSIGN_OR_RETURN(const wire::Json certified, answer.at("encryption"));
  ASSIGN_OR_RETURN(out.encryption_classical, certified.base64("classical"));
  ASSIGN_OR_RETURN(out.encryption_ml_kem, certified.base64("ml_kem"));
  if (const auto sound = check_certificates(request.message, encryption, out); !sound) return fail_in("CAS", sound.error());
  return out;
}

Result<void> EnrolmentService::check_certificates(const wire::Enrol& asked, const crypto::EncapsulationKey& encryption,
                                                  const Certificates& certificates) const {
  ASSIGN_OR_RETURN(const crypto::CertificateBundle bundle, crypto::parse_bundle({certificates.classical.front(), certificates.ml_dsa.front(),
                                                                                 certificates.encryption_classical, certificates.encryption_ml_kem}));
  TRY(crypto::check_bundle(node_.suite(), bundle));
  for (const crypto::BundleRole role : crypto::all_bundle_roles) TRY(node_.trust().verify(bundle.of(role), node_.clock().now_ms(), crypto::use_of(role)));
  const crypto::SubjectNames& names = bundle.ml_dsa_signing.names();
  if (names.element->name != asked.uid.text() || names.number != asked.number || names.home_kms != asked.kms_id) {
    return fail(ErrorCode::denied, "certificates for " + bundle.ml_dsa_signing.subject());
  }
  if (bundle.encryption_key() != encryption) return fail(ErrorCode::denied, "certificates over other encryption keys than those that were asked for");
  return {};
}

Result<Bytes> EnrolmentService::inject(const wire::Framed<wire::Enrol>& request, const Certificates& certificates, const crypto::Decapsulator& pair,
                                       const node::MessageSigner& own) {
  const crypto::Suite& suite = node_.suite();
  // Until the terminal confirms, the private keys stay here, sealed: without them a lost answer would leave a terminal that cannot read.
  ASSIGN_OR_RETURN(const Bytes sealed, pairs_.seal_for(request.message.uid, pair.secret()));
  ASSIGN_OR_RETURN(const Bytes message, deliver(request, certificates, pair.encapsulation_key(), pair.secret(), own));
  const Enrolment enrolment{.terminal = {.uid = request.message.uid,
                                         .number = request.message.number,
                                         .classical = certificates.classical.front(),
                                         .ml_dsa = certificates.ml_dsa.front(),
                                         .encryption = pair.encapsulation_key(),
                                         .enc_kid = wire::key_id_of(suite, pair.encapsulation_key()),
                                         .encryption_classical = certificates.encryption_classical,
                                         .encryption_ml_kem = certificates.encryption_ml_kem,
                                         .confirmed = false},
                            .h_enrol = request.hash,
                            .answer = message,
                            .sealed_encryption = sealed};
  TRY(save(enrolment));
  return message;
}

Result<void> EnrolmentService::save(const Enrolment& enrolment) {
  const auto id = node_.rng().id<OwedId>();
  const UnixMs now = node_.clock().now_ms();
  ASSIGN_OR_RETURN(const bool taken_over, store_.transact([&](store::Transaction& transaction) -> Result<bool> {
    std::vector<OwedRecord> owed;
    TRY(end_former_holder(transaction, ledger_, enrolment.terminal, now, owed));
    TRY(save_enrolment(transaction, enrolment));
    TRY(owe_records(transaction, id, owed, now));
    return !owed.empty();
  }));
  return taken_over ? pay_records(node_, store_, id) : Result<void>();
}

Result<Bytes> EnrolmentService::deliver(const wire::Framed<wire::Enrol>& request, const Certificates& certificates, const crypto::EncapsulationKey& encryption,
                                        crypto::DecapsulationSecret secret, const node::MessageSigner& own) {
  const crypto::Suite& suite = node_.suite();
  ASSIGN_OR_RETURN(const crypto::Encapsulation made, crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, request.message.ephemeral, node_.rng()));
  const Secret ss = wire::hybrid_secret(suite, wire::transcript(made, request.message.ephemeral), wire::enrol_context(request.hash));
  ASSIGN_OR_RETURN(const Bytes chain_classical, wire::encode_chain(certificates.classical));
  ASSIGN_OR_RETURN(const Bytes chain_pq, wire::encode_chain(certificates.ml_dsa));
  wire::EnrolDeliver message{.h_enrol = request.hash,
                             .uid = request.message.uid,
                             .chain_classical = chain_classical,
                             .chain_pq = chain_pq,
                             .encryption_keys = wire::EncryptionKeys::kms_made,
                             .ct_classical = made.ct_classical,
                             .ct_ml_kem = made.ct_ml_kem,
                             .enc_kid = wire::key_id_of(suite, encryption),
                             .ts_ms = node_.clock().now_ms(),
                             .sealed = {}};
  const wire::EnrolPayload payload{.encryption = std::move(secret), .kms = own.fps};
  ASSIGN_OR_RETURN(const wire::EnrolDeliver sealed, wire::seal_enrol(suite, node_.settings().policy_epoch, std::move(message), ss, payload));
  ASSIGN_OR_RETURN(const auto framed, wire::sign_message(suite, node_.settings().policy_epoch, sealed, own.signer, own.fps, node_.rng()));
  return framed.octets;
}

Result<net::Response> EnrolmentService::receipt(const net::Request& http) {
  ASSIGN_OR_RETURN(const auto receipt, wire::parse<wire::EnrolReceipt>(http.body));
  const Uid& uid = receipt.message.uid;
  ASSIGN_OR_RETURN(const auto known, store_.transact([&](store::Transaction& transaction) { return find_enrolment(transaction, uid); }));
  if (!known || !http.peer.certificate || http.peer.certificate->der() != known->terminal.ml_dsa) {
    return fail(ErrorCode::denied, "EnrolReceipt: the connection is not that of a terminal " + uid.text() + " that enrols here");
  }
  ASSIGN_OR_RETURN(const crypto::Certificate classical, crypto::Certificate::parse(known->terminal.classical));
  ASSIGN_OR_RETURN(const crypto::Verifier verifier,
                   crypto::Verifier::from_key(node_.suite(), {.point = classical.public_key(), .ml_dsa = http.peer.certificate->public_key()}));
  TRY(wire::verify(receipt, verifier, wire::fingerprints(node_.suite(), known->terminal.classical, known->terminal.ml_dsa)));
  if (!known->terminal.confirmed) {
    if (receipt.message.h_deliver != crypto::digest(node_.suite().hash, known->answer))
      return fail(ErrorCode::denied, "EnrolReceipt: is not for the answer that was given");
    if (!receipt.message.ok) return fail(ErrorCode::conflict, "EnrolReceipt: the terminal could not open its keys; it must enrol again");
    TRY(pairs_.confirm(known->terminal, receipt.message.h_deliver, http.request_id));
  }
  TRY(node_.record({.action = "km-1.receipt",
                    .outcome = audit::Outcome::success,
                    .subject = uid.text(),
                    .object = to_hex(known->terminal.enc_kid),
                    .reason = "",
                    .request_id = http.request_id}));
  return net::Response{.status = 204, .content_type = "", .body = {}};
}

}  // namespace qanat::kms
