#include <algorithm>

#include "quantum/qkd/amplification/toeplitz.hpp"
#include "quantum/qkd/reconciliation/permutation.hpp"
#include "quantum/qkd/reconciliation/verification.hpp"
#include "quantum/qkd/session/endpoint.hpp"

namespace qanat::qkd {
namespace {

enum class State : std::uint8_t { awaiting_hello, idle, sifting, reconciling, awaiting_ack };

std::string_view name(State state) {
  switch (state) {
    case State::awaiting_hello:
      return "waiting for the greeting";
    case State::idle:
      return "idle";
    case State::sifting:
      return "sifting";
    case State::reconciling:
      return "correcting errors";
    case State::awaiting_ack:
      return "waiting for the acknowledgement";
  }
  return "";
}

}  // namespace

struct AliceSession::Impl final : Endpoint {
  Impl(SessionParts<AliceDevice> parts, DurableState state)
      : Endpoint(parts.settings, Direction::alice_to_bob, std::move(state)), device(parts.device), random(parts.random), clock(parts.clock) {}

  Result<void> dispatch(Step& step, ByteView octets);
  Result<void> on_hello(Step& step, const Hello& hello);
  Result<void> on_detections(Step& step, const Detections& detections);
  Result<void> on_queries(Step& step, const std::vector<ParityQuery>& queries);
  Result<void> on_reconciled(Step& step, const Reconciled& reconciled);
  Result<void> close_block(Step& step, BlockReport report);
  Result<void> on_ack(Step& step);
  Result<void> check_chunk(const Detections& detections);
  void become_idle();

  AliceDevice& device;
  crypto::Rng& random;
  const Clock& clock;
  State now = State::awaiting_hello;

  // Of the block under way.
  UnixMs began_ms = 0;
  Bytes nonce;
  Bytes bob_nonce;
  std::size_t clicks_seen = 0;
  std::uint64_t last_index = 0;
  Sifted sifted;
  Secret key;  // sifted, one bit per octet
  std::optional<ParityReference> reference;
  std::uint64_t gates = 0;
  std::optional<PreparedBlock> pending;
};

void AliceSession::Impl::become_idle() {
  now = State::idle;
  sifted = Sifted();
  reference.reset();
  key = Secret();
  pending.reset();
}

Result<void> AliceSession::Impl::dispatch(Step& step, ByteView octets) {
  ASSIGN_OR_RETURN(const Frame frame, channel_.receive(octets, state_.pool));
  if (is_tagged(frame.type)) state_changed_ = true;
  if (frame.type == MessageType::abort) {
    peer_ended_ = true;
    return fail(reason_of(frame));
  }
  if (frame.type != MessageType::hello && frame.block_id != block_id_) return fail(ErrorCode::conflict, "qkd session: message of another block");
  if (frame.type == MessageType::block_failed && now != State::awaiting_hello && now != State::idle) {
    step.failed = BlockFailure{.block_id = block_id_, .error = reason_of(frame)};
    become_idle();
    return {};
  }
  if (frame.type == MessageType::hello && now == State::awaiting_hello) {
    ASSIGN_OR_RETURN(const Hello hello, Hello::read(frame.body));
    return on_hello(step, hello);
  }
  if (frame.type == MessageType::detections && now == State::sifting) {
    ASSIGN_OR_RETURN(const Detections detections, Detections::read(frame.body));
    return on_detections(step, detections);
  }
  if (frame.type == MessageType::parity_query && now == State::reconciling) {
    ASSIGN_OR_RETURN(const auto queries, read_queries(frame.body));
    return on_queries(step, queries);
  }
  if (frame.type == MessageType::reconciled && now == State::reconciling) {
    ASSIGN_OR_RETURN(const Reconciled reconciled, Reconciled::read(frame.body));
    return on_reconciled(step, reconciled);
  }
  if (frame.type == MessageType::ack && now == State::awaiting_ack) return on_ack(step);
  return unexpected(frame.type, name(now));
}

Result<void> AliceSession::Impl::on_hello(Step& step, const Hello& hello) {
  TRY(check_peer(hello));
  const bool same = hello.last_committed == state_.last_committed && pools_match(hello);
  const bool bob_lacks_last = hello.prepared != 0 && hello.prepared == state_.last_committed && hello.last_committed < hello.prepared;
  if (!same && !bob_lacks_last)
    return fail(ErrorCode::conflict, "handshake: the ends remember different blocks or authentication keys; a new pre-shared key is needed");
  state_.last_started = std::max({state_.last_started, hello.last_started, hello.prepared});
  now = State::idle;
  // The tag covers Bob's greeting with its nonce: this answer fits no other connection.
  return send_tagged(step, MessageType::hello, own_hello(random.bytes(nonce_size)).write());
}

Result<void> AliceSession::Impl::check_chunk(const Detections& detections) {
  const Announcement& clicks = detections.clicks;
  const std::size_t expected_total = clicks_needed(settings_.block_size, settings_.parameters.key_basis_probability);
  if (detections.total != expected_total || clicks.indices.size() > expected_total - clicks_seen) {
    return fail(ErrorCode::invalid_argument, "sifting: a number of clicks that does not fit the settings");
  }
  if (clicks_seen == 0) {
    bob_nonce = detections.nonce;
    gates = detections.gates;
    sifted = Sifted(expected_total);
    return device.start(run_id(settings_.link, block_id_, nonce, bob_nonce));
  }
  if (detections.nonce != bob_nonce || detections.gates != gates || clicks.indices.front() <= last_index) {
    return fail(ErrorCode::invalid_argument, "sifting: chunks do not fit together");
  }
  return {};
}

Result<void> AliceSession::Impl::on_detections(Step& step, const Detections& detections) {
  TRY(check_chunk(detections));
  ASSIGN_OR_RETURN(const EmissionRecord sent, device.emissions(detections.clicks.indices));
  VerdictMessage answer{.verdict = judge(sent, detections.clicks, sifted), .shuffle_seed = {}};
  clicks_seen += detections.clicks.indices.size();
  last_index = detections.clicks.indices.back();
  if (clicks_seen == detections.total) {
    answer.shuffle_seed = random.bytes(shuffle_seed_size);
    key = sifted.take_bits();
    // Too few bits: Bob sees it too, and it is his turn to say so.
    if (key.size() >= settings_.block_size) reference.emplace(key, answer.shuffle_seed);
    now = State::reconciling;
  }
  send_untagged(step, MessageType::verdict, answer.write());
  return {};
}

Result<void> AliceSession::Impl::on_queries(Step& step, const std::vector<ParityQuery>& queries) {
  if (!reference) return fail(ErrorCode::conflict, "error correction: the sifted key is too short to begin");
  ASSIGN_OR_RETURN(const Bytes parities, reference->answer(queries));
  send_untagged(step, MessageType::parity_answer, write_parities(parities));
  return {};
}

Result<void> AliceSession::Impl::on_reconciled(Step& step, const Reconciled& reconciled) {
  if (!reference || reconciled.asked != reference->disclosed() || reconciled.corrected > key.size()) {
    return fail(ErrorCode::conflict, "error correction: the ends counted different parities");
  }
  const auto report =
      assess(settings_, {.key = sifted.key(), .check = sifted.check(), .parities = reconciled.asked, .corrected = reconciled.corrected, .gates = gates});
  if (!report) {
    fail_block(step, report.error());
    become_idle();
    return {};
  }
  return close_block(step, *report);
}

Result<void> AliceSession::Impl::close_block(Step& step, BlockReport report) {
  const auto wanted = [this](Direction direction, std::size_t to_spend) {
    const std::size_t left = state_.pool.stock(direction) - std::min(to_spend, state_.pool.stock(direction));
    return settings_.authentication_target - std::min(left, settings_.authentication_target);
  };
  const std::size_t affordable = report.length / one_time_key_bits;
  const std::size_t refill_own = std::min(wanted(Direction::alice_to_bob, 2), affordable / 2);
  const std::size_t refill_bob = std::min(wanted(Direction::bob_to_alice, 1), affordable - refill_own);
  report.authentication_bits_refilled = (refill_own + refill_bob) * one_time_key_bits;

  const std::size_t key_bits = key.size();
  const Secret packed = pack_bits(key);
  Close close{.verification_key = random.bytes(verification_key_size),
              .verification_hash = {},
              .length = report.length,
              .refill_alice_to_bob = static_cast<std::uint32_t>(refill_own),
              .refill_bob_to_alice = static_cast<std::uint32_t>(refill_bob),
              .toeplitz_seed = random.bytes(toeplitz_seed_size(key_bits, report.length))};
  close.verification_hash = verification_hash(close.verification_key, packed);
  ASSIGN_OR_RETURN(Secret output, toeplitz_hash(packed, key_bits, close.toeplitz_seed, report.length));
  pending = PreparedBlock{.block_id = block_id_,
                          .output = std::move(output),
                          .refill_alice_to_bob = close.refill_alice_to_bob,
                          .refill_bob_to_alice = close.refill_bob_to_alice,
                          .report = std::move(report)};
  reference.reset();
  key = Secret();
  now = State::awaiting_ack;
  return send_tagged(step, MessageType::close, close.write());
}

Result<void> AliceSession::Impl::on_ack(Step& step) {
  TRY(send_tagged(step, MessageType::confirm, {}));
  pending->report.wall_ms = clock.now_ms() - began_ms;
  ASSIGN_OR_RETURN(KeyBlock block, state_.commit(std::move(*pending)));
  step.deliver.push_back(std::move(block));
  become_idle();
  return {};
}

AliceSession::AliceSession(SessionParts<AliceDevice> parts, DurableState state) : impl_(std::make_unique<Impl>(parts, std::move(state))) {}
AliceSession::AliceSession(AliceSession&&) noexcept = default;
AliceSession& AliceSession::operator=(AliceSession&&) noexcept = default;
AliceSession::~AliceSession() = default;

bool AliceSession::idle() const noexcept { return impl_->now == State::idle && !impl_->ended_; }

Step AliceSession::begin_block() {
  Impl& alice = *impl_;
  Step step;
  if (!idle()) {
    step.failed = BlockFailure{.block_id = 0, .error = {.code = ErrorCode::conflict, .message = "qkd session: not idle"}};
    return step;
  }
  const std::size_t reserve = alice.settings_.authentication_reserve;
  if (alice.state_.pool.stock(Direction::alice_to_bob) < reserve + 2 || alice.state_.pool.stock(Direction::bob_to_alice) < reserve + 1) {
    step.failed = BlockFailure{.block_id = 0,
                               .error = {.code = ErrorCode::exhausted, .message = "authentication pool is at its reserve: a new pre-shared key is needed"}};
    return step;
  }
  alice.block_id_ = ++alice.state_.last_started;
  alice.state_changed_ = true;
  alice.began_ms = alice.clock.now_ms();
  alice.nonce = alice.random.bytes(nonce_size);
  alice.clicks_seen = 0;
  alice.last_index = 0;
  alice.now = State::sifting;
  alice.channel_.restart_transcript();
  alice.send_untagged(step, MessageType::begin, Begin{.nonce = alice.nonce}.write());
  return alice.finish(std::move(step), {});
}

Step AliceSession::receive(ByteView frame) {
  Step step;
  if (impl_->ended_) {
    step.ended = Error{.code = ErrorCode::conflict, .message = "qkd session: has ended"};
    return step;
  }
  const Result<void> outcome = impl_->dispatch(step, frame);
  return impl_->finish(std::move(step), outcome);
}

}  // namespace qanat::qkd
