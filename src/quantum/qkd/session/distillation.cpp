#include "quantum/qkd/session/distillation.hpp"

#include <algorithm>

#include "crypto/aead.hpp"
#include "quantum/qkd/reconciliation/verification.hpp"

namespace qanat::qkd {
namespace {

constexpr std::size_t expansion_key_size = 32;
constexpr std::array<std::uint8_t, 16> first_counter{};

ReconciliationSetup setup_of(const SessionSettings& settings, const SiftedBlock& block, ByteView seed) {
  return {.method = settings.reconciliation, .key_bits = block.key_bits, .error_rate = expected_error_rate(block.check), .seed = to_bytes(seed)};
}

/// That a frame can hold it.
Result<void> check_size(ByteView body) {
  if (body.size() + frame_header_size + frame_trailer_size <= frame_size_max) return {};
  return fail(ErrorCode::exhausted, "error correction: a message of " + std::to_string(body.size()) + " octets; blocks must be smaller");
}

/// As good as the generator's own octets, and at the speed that seeds of megabytes need: AES-256 in counter mode under a key that the
/// generator drew for this seed alone.
Bytes public_seed(crypto::Rng& random, std::size_t size) {
  const Secret key = random.secret(expansion_key_size);
  const Secret stream = crypto::ctr_keystream(crypto::BlockCipher::aes_256, key, first_counter, size);
  return to_bytes(stream.reveal());
}

}  // namespace

Result<Bytes> AliceDistillation::start() {
  Bytes seed = random_.bytes(reconciliation_seed_size);
  // Too little or too bad a key: Bob sees it too, and it is his turn to say so.
  if (check_sifted(settings_, block_)) {
    ASSIGN_OR_RETURN(reference_, make_reference(setup_of(settings_, block_, seed), block_.key));
  }
  return Result<Bytes>(std::move(seed));
}

Result<Bytes> AliceDistillation::answer(ByteView question) {
  if (!reference_) return fail(ErrorCode::conflict, "error correction: the sifted key does not suit");
  ASSIGN_OR_RETURN(Bytes answer, reference_->answer(question));
  TRY(check_size(answer));
  return Result<Bytes>(std::move(answer));
}

Result<AliceDistillation::Closing> AliceDistillation::close(const Reconciled& reconciled, const RefillWish& wish) {
  if (!reference_ || reconciled.disclosed != reference_->disclosed()) {
    return fail(ErrorCode::conflict, "error correction: the ends counted different disclosures");
  }
  reference_.reset();
  ASSIGN_OR_RETURN(BlockReport report, assess(settings_, block_, reconciled));
  const std::size_t affordable = report.length / one_time_key_bits;
  const std::size_t refill_own = std::min(wish.alice_to_bob, affordable / 2);
  const std::size_t refill_bob = std::min(wish.bob_to_alice, affordable - refill_own);
  report.authentication_bits_refilled = (refill_own + refill_bob) * one_time_key_bits;

  Close close{.verification_key = random_.bytes(verification_key_size),
              .verification_hash = {},
              .length = report.length,
              .refill_alice_to_bob = static_cast<std::uint32_t>(refill_own),
              .refill_bob_to_alice = static_cast<std::uint32_t>(refill_bob),
              .agreement = {},
              .toeplitz_seed = public_seed(random_, toeplitz_seed_size(block_.key_bits, report.length))};
  close.verification_hash = verification_hash(close.verification_key, block_.key);
  report.agreement = report.digest(settings_.link, block_.block_id, close.verification_key, close.verification_hash);
  close.agreement = report.agreement;
  ASSIGN_OR_RETURN(Secret output, hasher_.hash(block_.key, block_.key_bits, close.toeplitz_seed, report.length));
  block_.key = Secret();
  return Closing{.message = std::move(close),
                 .block = {.block_id = block_.block_id,
                           .output = std::move(output),
                           .refill_alice_to_bob = static_cast<std::uint32_t>(refill_own),
                           .refill_bob_to_alice = static_cast<std::uint32_t>(refill_bob),
                           .report = std::move(report)}};
}

Result<void> BobDistillation::start(ByteView seed) {
  TRY(check_sifted(settings_, block_));
  ASSIGN_OR_RETURN(corrector_, make_corrector(setup_of(settings_, block_, seed), block_.key.duplicate()));
  return {};
}

Result<Outgoing> BobDistillation::ask() {
  CHECK(corrector_);
  ASSIGN_OR_RETURN(std::optional<Bytes> question, corrector_->next());
  if (question) {
    TRY(check_size(*question));
    return Outgoing{.type = MessageType::question, .body = std::move(*question)};
  }
  reconciled_.emplace();
  reconciled_->disclosed = corrector_->disclosed();
  corrected_ = corrector_->take_bits();
  corrector_.reset();
  reconciled_->errors = differences_by_intensity(block_.key, corrected_, block_.marks);
  block_.key = Secret();
  return Outgoing{.type = MessageType::reconciled, .body = reconciled_->write()};
}

Result<void> BobDistillation::learn(ByteView answer) {
  CHECK(corrector_);
  return corrector_->learn(answer);
}

Result<PreparedBlock> BobDistillation::finish(const Close& close) {
  CHECK(reconciled_);
  ASSIGN_OR_RETURN(BlockReport report, assess(settings_, block_, *reconciled_));
  const std::uint64_t refill_bits = (std::uint64_t{close.refill_alice_to_bob} + close.refill_bob_to_alice) * one_time_key_bits;
  if (close.length != report.length || refill_bits > report.length) return fail(ErrorCode::conflict, "the ends computed different key lengths");
  report.authentication_bits_refilled = refill_bits;
  report.agreement = report.digest(settings_.link, block_.block_id, close.verification_key, close.verification_hash);
  if (report.agreement != close.agreement) return fail(ErrorCode::conflict, "the ends computed different reports");
  if (!equal_constant_time(verification_hash(close.verification_key, corrected_), close.verification_hash)) {
    return fail(ErrorCode::denied, "verification: the corrected keys differ");
  }
  ASSIGN_OR_RETURN(Secret output, hasher_.hash(corrected_, block_.key_bits, close.toeplitz_seed, report.length));
  corrected_ = Secret();
  return PreparedBlock{.block_id = block_.block_id,
                       .output = std::move(output),
                       .refill_alice_to_bob = close.refill_alice_to_bob,
                       .refill_bob_to_alice = close.refill_bob_to_alice,
                       .report = std::move(report)};
}

}  // namespace qanat::qkd
