#include "terminal/key_delivery.hpp"

#include "wire/injection.hpp"
#include "wire/token.hpp"

namespace qanat::terminal {
namespace {

std::unexpected<Error> delivery_denied(const std::string& why) { return fail(ErrorCode::denied, "KeyDeliver: " + why); }

}  // namespace

Result<KeyApplication> KeyApplication::make(const Applicant& applicant, KeyWanted wanted, const Bytes& token_ref, UnixMs now, crypto::Rng& rng,
                                            ApplicationKeys charged) {
  const crypto::Suite& suite = applicant.suite;
  ASSIGN_OR_RETURN(auto ephemeral, crypto::Decapsulator::generate(suite, rng));
  wire::KeyRequest message{.sid_wk = wanted.sid_wk,
                                 .sid_call = wanted.sid_call,
                                 .role = wanted.role,
                                 .uid = applicant.uid,
                                 .num_call = wanted.caller,
                                 .num_called = wanted.called,
                                 .kms_id = applicant.kms,
                                 .nonce = rng.bytes(wire::nonce_size),
                                 .ts_ms = now,
                                 .min_assurance = applicant.min_assurance,
                                 .flags = wire::flag_eph,
                                 .token_ref = token_ref,
                                 .fps = applicant.signer.fps,
                                 .enc_kid = wire::key_id_of(suite, applicant.encryption.encapsulation_key()),
                                 .ephemeral = ephemeral.encapsulation_key(),
                                 .ext = {}};
  using wire::ExtensionType;
  if (charged.authentication) {
    const TakenKey& key = *charged.authentication;
    ASSIGN_OR_RETURN(message, wire::prove(suite, applicant.policy_epoch, message, ExtensionType::symmetric_authentication, key.index, key.key));
  }
  if (charged.call) {
    ASSIGN_OR_RETURN(message, wire::prove(suite, applicant.policy_epoch, message, ExtensionType::injected_key, charged.call->index, charged.call->key));
  }
  ASSIGN_OR_RETURN(auto framed, wire::sign_message(suite, applicant.policy_epoch, message, applicant.signer.signer, applicant.signer.fps, rng));
  return Result<KeyApplication>(KeyApplication(applicant, std::move(wanted), std::move(framed), std::move(ephemeral), std::move(charged.call)));
}

Result<KeyApplication::Delivery> KeyApplication::authenticate(ByteView answer, const node::Sender& kms) const {
  ASSIGN_OR_RETURN(auto delivery, wire::parse<wire::KeyDeliver>(answer));
  const Applicant& applicant = applicant_;
  if (delivery.suite != &applicant.suite) return delivery_denied("is of suite " + std::string(delivery.suite->name));
  if (delivery.header.policy_epoch != applicant.policy_epoch) return delivery_denied("policy epoch " + std::to_string(delivery.header.policy_epoch) + " is not in force");
  TRY(wire::verify(delivery, kms.verifier, kms.fps));
  const wire::KeyDeliver& said = delivery.message;
  if (said.sid_wk != wanted_.sid_wk || said.sid_call != wanted_.sid_call || said.uid != applicant.uid || said.kms_id != applicant.kms) {
    return delivery_denied("is for another session, subscriber or KMS");
  }
  return Result<Delivery>(std::move(delivery));
}

Result<KeyApplication::Delivered> KeyApplication::open(const Delivery& delivery, const node::Sender& kms, UnixMs now) const {
  TRY(check_envelope(delivery.message, kms.fps, now));
  ASSIGN_OR_RETURN(wire::KeyDeliverPayload payload, unseal(delivery));
  TRY(check_payload(payload));
  if ((delivery.message.flags & wire::flag_directory) != 0 && payload.peer_kms == applicant_.get().kms)
    return delivery_denied("says that CMSP's directory granted a session within one KMS, which needs no grant");
  ASSIGN_OR_RETURN(Bytes token_ref, check_token(payload.token, now));
  return Result<Delivered>(Delivered{.key = {.wk = std::move(payload.wk),
                                             .assurance = payload.assurance,
                                             .injected = payload.injected,
                                             .charged = charged_ ? std::optional(charged_->charged) : std::nullopt,
                                             .symmetric = (delivery.message.flags & wire::flag_sym) != 0,
                                             .directory = (delivery.message.flags & wire::flag_directory) != 0,
                                             .n_paths = payload.n_paths,
                                             .path_min = payload.path_min,
                                             .peer_uid = std::move(payload.peer_uid),
                                             .peer_number = std::move(payload.peer_num),
                                             .peer_kms = std::move(payload.peer_kms),
                                             .peer_fps = std::move(payload.peer_fps),
                                             .h_deliver = delivery.hash},
                                     .token_ref = std::move(token_ref)});
}

Result<void> KeyApplication::check_envelope(const wire::KeyDeliver& said, const wire::Fingerprints& kms, UnixMs now) const {
  const wire::KeyRequest& asked = request_.message;
  if (said.fps != kms) return delivery_denied("names other certificates than the KMS's pinned ones");
  if (said.h_req != request_.hash) return delivery_denied("answers another application");
  // Whether symmetric mode was needed is the KMS's to say; whether it was offered, ours.
  // Nobody asks for a grant by the directory: it is shown.
  const auto flags = static_cast<std::uint8_t>(said.flags & ~wire::flag_directory);
  const bool more_than_asked = (flags & ~asked.flags) != 0;
  if (more_than_asked || ((flags ^ asked.flags) & ~wire::flag_sym) != 0) return delivery_denied("its flags are not those of the application");
  if (said.enc_kid != asked.enc_kid) return delivery_denied("is sealed to another encryption key");
  const UnixMs off = said.ts_ms > now ? said.ts_ms - now : now - said.ts_ms;
  if (off > delivery_clock_window_ms) return delivery_denied("its time is " + std::to_string(off) + " ms off, more than the clock window");
  if (said.expiry_ms <= now) return delivery_denied("the key has expired");
  if (said.expiry_ms - now > delivery_lifetime_max_ms) return delivery_denied("the key would live longer than a call needs to begin");
  return {};
}

Result<wire::KeyDeliverPayload> KeyApplication::unseal(const Delivery& delivery) const {
  const Applicant& applicant = applicant_;
  const wire::KeyDeliver& said = delivery.message;
  ASSIGN_OR_RETURN(const crypto::SharedSecrets fixed, applicant.encryption.decapsulate(crypto::KemForm::to_static, said.ct_classical, said.ct_ml_kem));
  const Secret ss_static = wire::hybrid_secret(applicant.suite,
                                               {.ss_classical = fixed.classical,
                                                .ss_ml_kem = fixed.ml_kem,
                                                .ct_classical = said.ct_classical,
                                                .ct_ml_kem = said.ct_ml_kem,
                                                .key = applicant.encryption.encapsulation_key()},
                                               wire::deliver_context(request_.hash));
  ASSIGN_OR_RETURN(const crypto::SharedSecrets fresh, ephemeral_.decapsulate(crypto::KemForm::to_ephemeral, said.eph_ct_classical, said.eph_ct_ml_kem));
  Secret ss = wire::mix_ephemeral(applicant.suite, ss_static,
                                        {.ss_classical = fresh.classical,
                                         .ss_ml_kem = fresh.ml_kem,
                                         .ct_classical = said.eph_ct_classical,
                                         .ct_ml_kem = said.eph_ct_ml_kem,
                                         .key = ephemeral_.encapsulation_key()});
  if (charged_) ss = wire::mix_injected(applicant.suite, ss, charged_->key, charged_->index, request_.hash);
  return wire::open_key_deliver(delivery, ss);
}

Result<void> KeyApplication::check_payload(const wire::KeyDeliverPayload& payload) const {
  if (payload.peer_num != wanted_.peer()) return delivery_denied("the key was agreed with " + payload.peer_num.text() + ", the call is with " + wanted_.peer().text());
  // A group's owner is the caller of its own leg.
  if (payload.peer_uid == applicant_.get().uid && wanted_.caller != wanted_.called) return delivery_denied("names this terminal as its own peer");
  if (payload.assurance < applicant_.get().min_assurance) {
    return delivery_denied("assurance " + std::to_string(static_cast<int>(payload.assurance)) + ", at least " +
                  std::to_string(static_cast<int>(applicant_.get().min_assurance)) + " is demanded");
  }
  const bool quantum = payload.assurance >= wire::Assurance::one_qkd_path;
  if (quantum && payload.n_paths == 0) return delivery_denied("claims a quantum key without a path that carried it");
  // Both ends know how the key came into the medium.
  if (payload.injected && !charged_) return delivery_denied("claims an injected key that this terminal did not use");
  if (charged_ && payload.injected != wire::counts(charged_->charged)) {
    return delivery_denied("the KMS and the medium do not agree on how charged key " + std::to_string(charged_->index) + " came: " +
                           std::string(wire::name(charged_->charged)) + " says the medium");
  }
  return {};
}

Result<Bytes> KeyApplication::check_token(const Bytes& token, UnixMs now) const {
  if (token.empty()) return Bytes{};
  const Applicant& applicant = applicant_;
  // IAM's signature is the KMS's to check; what this terminal can see is whether the token is its own.
  ASSIGN_OR_RETURN(const auto parsed, wire::parse<wire::Token>(token));
  TRY(wire::check_token(parsed.message, applicant.signer.fps, applicant.uid, applicant.kms, now));
  return crypto::digest(applicant.suite.hash, token);
}

Result<Bytes> KeyApplication::acknowledgement(const Bytes& h_deliver, bool ok, crypto::Rng& rng) const {
  const Applicant& applicant = applicant_;
  const wire::DeliverAck message{.sid_wk = wanted_.sid_wk, .uid = applicant.uid, .h_deliver = h_deliver, .ok = ok};
  ASSIGN_OR_RETURN(auto framed, wire::sign_message(applicant.suite, applicant.policy_epoch, message, applicant.signer.signer, applicant.signer.fps, rng));
  return std::move(framed.octets);
}

}  // namespace qanat::terminal
