#include "terminal/ax.hpp"

namespace qanat::terminal {
namespace {

using wire::MessageType;

template <class M>
Result<wire::Framed<M>> read(const AxParty& party, const wire::Envelope& envelope) {
  ASSIGN_OR_RETURN(auto framed, wire::parse<M>(envelope.message));
  const std::string what(wire::name(M::type));
  if (framed.suite != &party.suite) return fail(ErrorCode::denied, what + ": is of suite " + std::string(framed.suite->name));
  if (framed.header.policy_epoch != party.policy_epoch) {
    return fail(ErrorCode::denied, what + ": policy epoch " + std::to_string(framed.header.policy_epoch) + " is not in force");
  }
  return Result<wire::Framed<M>>(std::move(framed));
}

Bytes enclosed(const AxParty& party, Bytes message) {
  return wire::encode(wire::Envelope{.message = std::move(message), .classical = party.signer.classical.der(), .ml_dsa = party.signer.ml_dsa.der()});
}

/// The other end's certificates: good, those of the subscriber that the KMS named, and the ones that it named if it did.
Result<std::shared_ptr<const node::Sender>> check_certificates(const AxParty& party, const AxSession& session, const Number& number,
                                                               const wire::Envelope& envelope) {
  ASSIGN_OR_RETURN(auto peer, party.check_peer(envelope.classical, envelope.ml_dsa));
  TRY(names_subscriber(*peer, session.peer_uid, number, session.peer_kms));
  if (session.peer_fps != wire::no_fingerprints(party.suite) && session.peer_fps != peer->fps) {
    return fail(ErrorCode::denied, "the certificates of " + session.peer_uid.text() + " are not those that the KMS delivered, or that the call began with");
  }
  return Result<std::shared_ptr<const node::Sender>>(std::move(peer));
}

Result<Bytes> sealed_proof(const AxParty& party, MessageType type, const wire::SealingKey& key, ByteView transcript, ByteView associated) {
  const node::MessageSigner& own = party.signer;
  const wire::AxProof proof{.fps = own.fps, .signature = own.signer.sign(wire::ax_tbs(type, transcript, own.fps), party.rng)};
  ASSIGN_OR_RETURN(const Bytes octets, wire::encode_proof(party.suite, proof));
  return wire::seal_proof(party.suite, key, associated, octets);
}

Result<void> check_proof(const AxParty& party, MessageType type, const wire::SealingKey& key, ByteView transcript, ByteView associated, ByteView sealed,
                         const node::Sender& peer) {
  ASSIGN_OR_RETURN(const wire::AxProof proof, wire::open_proof(party.suite, key, associated, sealed));
  if (proof.fps != peer.fps) return fail(ErrorCode::denied, "the proof is of other certificates than the ones shown");
  return peer.verifier.verify(wire::ax_tbs(type, transcript, peer.fps), proof.signature);
}

AxKeys keys_of(const crypto::Suite& suite, const AxSession& session, const Secret& handshake, ByteView th3, const node::Sender& peer) {
  const Secret master = wire::ax_master_secret(suite, handshake, th3);
  return {.media = wire::media_keys(suite, master, session.sid_wk, session.sid_call), .sas = wire::short_authentication_string(suite, master), .peer_fps = peer.fps};
}

std::unexpected<Error> out_of_turn(std::string_view what) { return fail(ErrorCode::conflict, std::string(what) + ": out of turn, or the exchange is over"); }

}  // namespace

Result<AxInitiator> AxInitiator::start(const AxParty& party, AxSession session, const Secret& wk) {
  const crypto::Suite& suite = party.suite;
  ASSIGN_OR_RETURN(auto ephemeral, crypto::Decapsulator::generate(suite, party.rng));
  const wire::Ax1 message{.sid_wk = session.sid_wk,
                          .sid_call = session.sid_call,
                          .num_call = session.caller,
                          .num_called = session.called,
                          .nonce_i = party.rng.bytes(wire::nonce_size),
                          .ephemeral = ephemeral.encapsulation_key(),
                          .fps = party.signer.fps};
  ASSIGN_OR_RETURN(auto framed, wire::frame(suite, party.policy_epoch, message));
  wire::append_confirmation(framed, wire::ax1_tag(suite, wk, framed.header_and_body()));
  AxInitiator out(party, std::move(session), wire::ax_early_secret(suite, wk), std::move(ephemeral));
  out.opening_ = enclosed(party, framed.octets);
  out.ax1_ = std::move(framed.octets);
  return Result<AxInitiator>(std::move(out));
}

Result<AxInitiator::Finished> AxInitiator::finish(ByteView ax2_envelope) {
  if (std::exchange(over_, true)) return out_of_turn("AX2");
  // Gone when this returns, however it ends.
  const Secret early = std::move(early_);
  const std::optional<crypto::Decapsulator> ephemeral = std::exchange(ephemeral_, std::nullopt);
  const AxParty& party = party_;
  const crypto::Suite& suite = party.suite;
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(ax2_envelope));
  ASSIGN_OR_RETURN(const auto answer, read<wire::Ax2>(party, envelope));
  ASSIGN_OR_RETURN(const Bytes before, wire::octets_before_sealed(suite, party.policy_epoch, answer.message));
  const Bytes th2 = wire::th2_of(suite, ax1_, before);
  ASSIGN_OR_RETURN(const crypto::SharedSecrets secrets,
                   ephemeral->decapsulate(crypto::KemForm::to_ephemeral, answer.message.ct_classical, answer.message.ct_ml_kem));
  const Secret handshake = wire::ax_handshake_secret(suite, early, secrets.classical, secrets.ml_kem);

  const wire::SealingKey responder_key = wire::ax_responder_key(suite, handshake, th2);
  if (const auto opens = wire::open_proof(suite, responder_key, th2, answer.message.sealed); !opens) {
    return fail_in("AX2: the other end has another working key, or the message was altered", opens.error());
  }
  ASSIGN_OR_RETURN(const auto peer, check_certificates(party, session_, session_.called, envelope));
  if (auto held = check_proof(party, MessageType::ax2, responder_key, th2, th2, answer.message.sealed, *peer); !held) return fail_in("AX2", held.error());

  const Bytes th3 = wire::th3_of(suite, th2, answer.message.sealed);
  ASSIGN_OR_RETURN(Bytes sealed, sealed_proof(party, MessageType::ax3, wire::ax_initiator_key(suite, handshake, th3), th3,
                                              wire::ax3_associated(suite, party.policy_epoch, th3)));
  ASSIGN_OR_RETURN(auto framed, wire::frame(suite, party.policy_epoch, wire::Ax3{.sealed = std::move(sealed)}));
  // The certificates went with AX1.
  return Result<Finished>(Finished{.message = wire::encode(wire::Envelope{.message = std::move(framed.octets), .classical = {}, .ml_dsa = {}}),
                                   .keys = keys_of(suite, session_, handshake, th3, *peer)});
}

Result<Bytes> AxResponder::answer(ByteView ax1_envelope) {
  const Secret wk = std::move(wk_);  // gone when this returns, however it ends
  if (std::exchange(state_, State::over) != State::awaits_ax1) {  // over, until all of it has held
    handshake_ = Secret();
    return out_of_turn("AX1");
  }
  const AxParty& party = party_;
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(ax1_envelope));
  ASSIGN_OR_RETURN(const auto opening, read<wire::Ax1>(party, envelope));
  const wire::Ax1& said = opening.message;
  TRY(wire::verify_ax1(opening, wk));
  if (said.sid_wk != session_.sid_wk || said.sid_call != session_.sid_call || said.num_call != session_.caller || said.num_called != session_.called) {
    return fail(ErrorCode::denied, "AX1: is for another call");
  }
  ASSIGN_OR_RETURN(peer_, check_certificates(party, session_, session_.caller, envelope));
  if (said.fps != peer_->fps) return fail(ErrorCode::denied, "AX1: names other certificates than the ones shown");
  auto answer = make_answer(opening, wk);
  if (answer) {
    state_ = State::awaits_ax3;
  } else {
    handshake_ = Secret();
  }
  return answer;
}

Result<Bytes> AxResponder::make_answer(const wire::Framed<wire::Ax1>& opening, const Secret& wk) {
  const AxParty& party = party_;
  const crypto::Suite& suite = party.suite;
  ASSIGN_OR_RETURN(const crypto::Encapsulation made, crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, opening.message.ephemeral, party.rng));
  wire::Ax2 message{.nonce_r = party.rng.bytes(wire::nonce_size), .ct_classical = made.ct_classical, .ct_ml_kem = made.ct_ml_kem, .sealed = {}};
  ASSIGN_OR_RETURN(const Bytes before, wire::octets_before_sealed(suite, party.policy_epoch, message));
  const Bytes th2 = wire::th2_of(suite, opening.octets, before);
  handshake_ = wire::ax_handshake_secret(suite, wire::ax_early_secret(suite, wk), made.ss_classical, made.ss_ml_kem);
  ASSIGN_OR_RETURN(message.sealed, sealed_proof(party, MessageType::ax2, wire::ax_responder_key(suite, handshake_, th2), th2, th2));
  th3_ = wire::th3_of(suite, th2, message.sealed);
  ASSIGN_OR_RETURN(auto framed, wire::frame(suite, party.policy_epoch, message));
  return enclosed(party, std::move(framed.octets));
}

Result<AxKeys> AxResponder::finish(ByteView ax3_envelope) {
  const State before = std::exchange(state_, State::over);
  const Secret handshake = std::move(handshake_);
  wk_ = Secret();
  if (before != State::awaits_ax3) return out_of_turn("AX3");
  const AxParty& party = party_;
  const crypto::Suite& suite = party.suite;
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(ax3_envelope));
  if (!envelope.classical.empty() || !envelope.ml_dsa.empty()) return fail(ErrorCode::denied, "AX3: brings certificates, which belong to AX1");
  ASSIGN_OR_RETURN(const auto closing, read<wire::Ax3>(party, envelope));
  auto held = check_proof(party, MessageType::ax3, wire::ax_initiator_key(suite, handshake, th3_), th3_,
                          wire::ax3_associated(suite, party.policy_epoch, th3_), closing.message.sealed, *peer_);
  if (!held) return fail_in("AX3", held.error());
  return Result<AxKeys>(keys_of(suite, session_, handshake, th3_, *peer_));
}

}  // namespace qanat::terminal
