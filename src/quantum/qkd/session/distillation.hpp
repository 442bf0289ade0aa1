// From a sifted key to a secret one: error correction, assessment, verification, privacy amplification. Message machines of either role,
// without I/O; the session frames, numbers and tags what they say, and decides when a block is released.
//
// The order of things matters for what is proved: Bob's key is fixed before Alice draws the seed of the error correction; his corrected key
// is fixed before she draws the keys of verification and privacy amplification.
//
// Memory, for n sifted bits: three or four times n/8 octets of keys and seed at either end, besides what the error correction and the
// transform of privacy amplification take (their headers say how much).
#pragma once

#include "crypto/random.hpp"
#include "quantum/qkd/amplification/toeplitz.hpp"
#include "quantum/qkd/session/assessment.hpp"
#include "quantum/qkd/session/state.hpp"

namespace qanat::qkd {

/// A message for the other end, yet without its frame.
struct Outgoing {
  MessageType type{};
  Bytes body;
};

/// Keys that each direction's pool could take out of a block's yield.
struct RefillWish {
  std::size_t alice_to_bob = 0;
  std::size_t bob_to_alice = 0;
};

class AliceDistillation {
 public:
  /// The references outlive the object. `hasher` keeps its buffers from block to block.
  AliceDistillation(const SessionSettings& settings, SiftedBlock block, crypto::Rng& random, ToeplitzHasher& hasher)
      : settings_(settings), random_(random), hasher_(hasher), block_(std::move(block)) {}
  AliceDistillation(const AliceDistillation&) = delete;  // the error correction refers to the key in here
  AliceDistillation& operator=(const AliceDistillation&) = delete;

  /// Draws the seed of the error correction, for Bob.
  [[nodiscard]] Result<Bytes> start();
  /// One question of Bob's.
  [[nodiscard]] Result<Bytes> answer(ByteView question);

  struct Closing {
    Close message;
    PreparedBlock block;
  };
  /// Bob has corrected his key. conflict when he counted differently; the errors of assess() mean that the block yields nothing.
  [[nodiscard]] Result<Closing> close(const Reconciled& reconciled, const RefillWish& wish);

 private:
  const SessionSettings& settings_;
  crypto::Rng& random_;
  ToeplitzHasher& hasher_;
  SiftedBlock block_;
  std::unique_ptr<ReconciliationReference> reference_;
};

class BobDistillation {
 public:
  /// As for Alice.
  BobDistillation(const SessionSettings& settings, SiftedBlock block, ToeplitzHasher& hasher)
      : settings_(settings), hasher_(hasher), block_(std::move(block)) {}

  /// With Alice's seed; then ask().
  [[nodiscard]] Result<void> start(ByteView seed);
  /// The next question, or that the key is corrected; conflict when it does not converge.
  [[nodiscard]] Result<Outgoing> ask();
  /// Alice's answer to the last question.
  [[nodiscard]] Result<void> learn(ByteView answer);
  /// denied when the corrected keys differ, conflict when the ends computed different reports.
  [[nodiscard]] Result<PreparedBlock> finish(const Close& close);

 private:
  const SessionSettings& settings_;
  ToeplitzHasher& hasher_;
  SiftedBlock block_;  // with the key as it was sifted, until it has been compared with the corrected one
  std::unique_ptr<ReconciliationCorrector> corrector_;
  Secret corrected_;
  std::optional<Reconciled> reconciled_;
};

}  // namespace qanat::qkd
