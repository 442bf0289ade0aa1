#include <algorithm>

#include "quantum/qkd/session/distillation.hpp"
#include "quantum/qkd/session/endpoint.hpp"

namespace qanat::qkd {
namespace {

enum class AliceState : std::uint8_t { awaiting_hello, idle, sifting, reconciling, awaiting_ack };

std::string_view name(AliceState state) {
  switch (state) {
    case AliceState::awaiting_hello:
      return "waiting for the greeting";
    case AliceState::idle:
      return "idle";
    case AliceState::sifting:
      return "sifting";
    case AliceState::reconciling:
      return "correcting errors";
    case AliceState::awaiting_ack:
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
  Result<void> on_reconciled(Step& step, const Reconciled& reconciled);
  [[nodiscard]] RefillWish wish() const;
  Result<void> on_ack(Step& step);
  Result<void> check_chunk(const Detections& detections);
  void become_idle();

  AliceDevice& device;
  crypto::Rng& random;
  const Clock& clock;
  AliceState now = AliceState::awaiting_hello;
  ToeplitzHasher hasher;

  // Of the block under way.
  UnixMs began_ms = 0;
  Bytes nonce;
  Bytes bob_nonce;
  std::size_t clicks_seen = 0;
  std::uint64_t last_index = 0;
  Sifted sifted;
  std::uint64_t gates = 0;
  std::optional<AliceDistillation> distillation;
  std::optional<PreparedBlock> pending;
};

void AliceSession::Impl::become_idle() {
  now = AliceState::idle;
  sifted = Sifted();
  distillation.reset();
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
  if (frame.type == MessageType::block_failed && now != AliceState::awaiting_hello && now != AliceState::idle) {
    step.failed = BlockFailure{.block_id = block_id_, .error = reason_of(frame)};
    become_idle();
    return {};
  }
  if (frame.type == MessageType::hello && now == AliceState::awaiting_hello) {
    ASSIGN_OR_RETURN(const Hello hello, Hello::read(frame.body));
    return on_hello(step, hello);
  }
  if (frame.type == MessageType::detections && now == AliceState::sifting) {
    ASSIGN_OR_RETURN(const Detections detections, Detections::read(frame.body));
    return on_detections(step, detections);
  }
  if (frame.type == MessageType::question && now == AliceState::reconciling) {
    ASSIGN_OR_RETURN(const Bytes answer, distillation->answer(frame.body));
    send_untagged(step, MessageType::answer, answer);
    return {};
  }
  if (frame.type == MessageType::reconciled && now == AliceState::reconciling) {
    ASSIGN_OR_RETURN(const Reconciled reconciled, Reconciled::read(frame.body));
    return on_reconciled(step, reconciled);
  }
  if (frame.type == MessageType::ack && now == AliceState::awaiting_ack) return on_ack(step);
  return unexpected(frame.type, name(now));
}

Result<void> AliceSession::Impl::on_hello(Step& step, const Hello& hello) {
  TRY(check_peer(hello));
  const bool same = hello.last_committed == state_.last_committed && pools_match(hello);
  const bool bob_lacks_last = hello.prepared != 0 && hello.prepared == state_.last_committed && hello.last_committed < hello.prepared;
  if (!same && !bob_lacks_last)
    return fail(ErrorCode::conflict, "handshake: the ends remember different blocks or authentication keys; a new pre-shared key is needed");
  state_.last_started = std::max({state_.last_started, hello.last_started, hello.prepared});
  now = AliceState::idle;
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
  VerdictMessage answer{.verdict = judge(sent, detections.clicks, sifted), .seed = {}};
  clicks_seen += detections.clicks.indices.size();
  last_index = detections.clicks.indices.back();
  if (clicks_seen == detections.total) {
    distillation.emplace(settings_, sifted.take(block_id_, gates), random, hasher);
    ASSIGN_OR_RETURN(answer.seed, distillation->start());
    now = AliceState::reconciling;
  }
  send_untagged(step, MessageType::verdict, answer.write());
  return {};
}

RefillWish AliceSession::Impl::wish() const {
  const auto wanted = [this](Direction direction, std::size_t to_spend) {
    const std::size_t left = state_.pool.stock(direction) - std::min(to_spend, state_.pool.stock(direction));
    return settings_.authentication_target - std::min(left, settings_.authentication_target);
  };
  return {.alice_to_bob = wanted(Direction::alice_to_bob, 2), .bob_to_alice = wanted(Direction::bob_to_alice, 1)};
}

Result<void> AliceSession::Impl::on_reconciled(Step& step, const Reconciled& reconciled) {
  auto closing = distillation->close(reconciled, wish());
  if (!closing && closing.error().code == ErrorCode::conflict) return fail(closing.error());
  if (!closing) {
    fail_block(step, closing.error());
    become_idle();
    return {};
  }
  pending = std::move(closing->block);
  distillation.reset();
  now = AliceState::awaiting_ack;
  return send_tagged(step, MessageType::close, closing->message.write());
}

Result<void> AliceSession::Impl::on_ack(Step& step) {
  TRY(send_tagged(step, MessageType::confirm, {}));
  pending->report.times = {.began_ms = began_ms, .wall_ms = clock.now_ms() - began_ms};
  ASSIGN_OR_RETURN(KeyBlock block, state_.commit(std::move(*pending)));
  step.deliver.push_back(std::move(block));
  become_idle();
  return {};
}

AliceSession::AliceSession(SessionParts<AliceDevice> parts, DurableState state) : impl_(std::make_unique<Impl>(parts, std::move(state))) {}
AliceSession::AliceSession(AliceSession&&) noexcept = default;
AliceSession& AliceSession::operator=(AliceSession&&) noexcept = default;
AliceSession::~AliceSession() = default;

bool AliceSession::idle() const noexcept { return impl_->now == AliceState::idle && !impl_->ended_; }

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
  alice.block_id_ = alice.state_.last_started + 1;
  alice.state_.last_started += alice.settings_.ids_per_block();
  alice.state_changed_ = true;
  alice.began_ms = alice.clock.now_ms();
  alice.nonce = alice.random.bytes(nonce_size);
  alice.clicks_seen = 0;
  alice.last_index = 0;
  alice.now = AliceState::sifting;
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
