// Step 12 as two pure state machines: the caller is the initiator, the callee the responder. Three messages in envelopes; at the end both
// hold the media keys and the short authentication string, or nothing. Every failure is final: a machine that has failed refuses all that
// comes afterwards, and a new exchange needs a new working key.
//
//   initiator                                responder
//   start() → opening  ──────── AX1 ───────▶ answer()      tag under WK, certificates, signature over the transcript
//   finish()           ◀─────── AX2 ────────
//   → AX3 and keys     ──────── AX3 ───────▶ finish() → keys
//
// The initiator has keys before it knows that the responder has them too: it says nothing until the responder has shown that it does
// (media_control.hpp).
#pragma once

#include <array>
#include <functional>
#include <optional>

#include "crypto/hybrid_kem.hpp"
#include "node/credentials.hpp"
#include "terminal/peer_check.hpp"
#include "wire/ax_schedule.hpp"
#include "wire/envelope.hpp"

namespace qanat::terminal {

/// This end. Outlives the machines.
struct AxParty {
  const crypto::Suite& suite;
  std::uint32_t policy_epoch = 1;
  const node::MessageSigner& signer;
  CheckPeer check_peer;
  crypto::Rng& rng;
};

/// What both ends must agree on before they begin.
struct AxSession {
  SidWk sid_wk;
  SidCall sid_call;
  Number caller;
  Number called;
  Uid peer_uid;                 // as the KMS delivered it
  wire::Fingerprints peer_fps;  // as the KMS delivered them, or as the call's first exchange found them; all zero: not known before
  ElementName peer_kms = {};    // as the KMS delivered it: a certificate that names another is not taken
};

/// What a completed exchange leaves.
struct AxKeys {
  wire::MediaKeys media;
  std::array<std::uint8_t, 4> sas{};
  wire::Fingerprints peer_fps;  // of the certificates that the other end showed and signed by
};

class AxInitiator {
 public:
  /// `party` outlives the machine.
  static Result<AxInitiator> start(const AxParty& party, AxSession session, const Secret& wk);

  /// AX1 in its envelope.
  [[nodiscard]] const Bytes& opening() const noexcept { return opening_; }
  struct Finished {
    Bytes message;  // AX3 in its envelope
    AxKeys keys;
  };
  /// Takes AX2; once. denied if anything in it does not hold.
  Result<Finished> finish(ByteView ax2_envelope);
  /// Not after finish(), however it ended: the machine may live as long as its call.
  [[nodiscard]] bool holds_secrets() const noexcept { return !early_.empty() || ephemeral_.has_value(); }

 private:
  AxInitiator(const AxParty& party, AxSession session, Secret early, crypto::Decapsulator ephemeral)
      : party_(party), session_(std::move(session)), early_(std::move(early)), ephemeral_(std::move(ephemeral)) {}

  std::reference_wrapper<const AxParty> party_;
  AxSession session_;
  Secret early_;
  std::optional<crypto::Decapsulator> ephemeral_;
  Bytes ax1_;  // as it was sent
  Bytes opening_;
  bool over_ = false;
};

class AxResponder {
 public:
  /// `party` outlives the machine.
  AxResponder(const AxParty& party, AxSession session, Secret wk) : party_(party), session_(std::move(session)), wk_(std::move(wk)) {}

  /// Takes AX1; once. The value is AX2 in its envelope.
  Result<Bytes> answer(ByteView ax1_envelope);
  /// Takes AX3; once.
  Result<AxKeys> finish(ByteView ax3_envelope);
  /// Not after finish(), however it ended, nor after an answer() that failed.
  [[nodiscard]] bool holds_secrets() const noexcept { return !wk_.empty() || !handshake_.empty(); }

 private:
  enum class State : std::uint8_t { awaits_ax1, awaits_ax3, over };
  Result<Bytes> make_answer(const wire::Framed<wire::Ax1>& opening, const Secret& wk);

  std::reference_wrapper<const AxParty> party_;
  AxSession session_;
  Secret wk_;
  State state_ = State::awaits_ax1;
  std::shared_ptr<const node::Sender> peer_;  // shared with the directory that keeps it parsed
  Secret handshake_;
  Bytes th3_;
};

}  // namespace qanat::terminal
