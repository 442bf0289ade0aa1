#include <algorithm>

#include "quantum/qkd/session/distillation.hpp"
#include "quantum/qkd/session/endpoint.hpp"

namespace qanat::qkd {
namespace {

enum class BobState : std::uint8_t { fresh, awaiting_hello, idle, sifting, reconciling, awaiting_close, awaiting_confirm };

std::string_view name(BobState state) {
  switch (state) {
    case BobState::fresh:
      return "not started";
    case BobState::awaiting_hello:
      return "waiting for the greeting";
    case BobState::idle:
      return "idle";
    case BobState::sifting:
      return "sifting";
    case BobState::reconciling:
      return "correcting errors";
    case BobState::awaiting_close:
      return "waiting for the end of the block";
    case BobState::awaiting_confirm:
      return "waiting for the confirmation";
  }
  return "";
}

}  // namespace

struct BobSession::Impl final : Endpoint {
  Impl(SessionParts<BobDevice> parts, DurableState state)
      : Endpoint(parts.settings, Direction::bob_to_alice, std::move(state)), device(parts.device), random(parts.random), clock(parts.clock) {}

  Result<void> dispatch(Step& step, const Frame& frame);
  Result<void> on_hello(Step& step, const Hello& hello);
  Result<void> on_begin(Step& step, const Frame& frame);
  Result<void> on_verdict(Step& step, const VerdictMessage& message);
  Result<void> on_close(Step& step, const Close& close);
  Result<void> on_confirm(Step& step);
  void send_chunk(Step& step);
  void ask(Step& step);
  void give_up(Step& step, const Error& error);
  void become_idle();

  BobDevice& device;
  crypto::Rng& random;
  const Clock& clock;
  BobState now = BobState::fresh;
  ToeplitzHasher hasher;

  // Of the block under way.
  UnixMs began_ms = 0;
  Bytes nonce;
  DetectionRecord record;
  std::size_t total = 0;  // of clicks
  Clicks chunk;           // announced, until Alice has judged it
  Sifted sifted;
  std::optional<BobDistillation> distillation;
};

void BobSession::Impl::become_idle() {
  now = BobState::idle;
  record = DetectionRecord();
  chunk = Clicks();
  sifted = Sifted();
  distillation.reset();
}

void BobSession::Impl::give_up(Step& step, const Error& error) {
  fail_block(step, error);
  become_idle();
}

Result<void> BobSession::Impl::dispatch(Step& step, const Frame& frame) {
  if (frame.type == MessageType::begin && now == BobState::idle) return on_begin(step, frame);
  if (frame.type == MessageType::hello && now == BobState::awaiting_hello) {
    ASSIGN_OR_RETURN(const Hello hello, Hello::read(frame.body));
    return on_hello(step, hello);
  }
  if (frame.block_id != block_id_) return fail(ErrorCode::conflict, "qkd session: message of another block");
  const bool may_fail = now == BobState::sifting || now == BobState::reconciling || now == BobState::awaiting_close;
  if (frame.type == MessageType::block_failed && may_fail) {
    step.failed = BlockFailure{.block_id = block_id_, .error = reason_of(frame)};
    become_idle();
    return {};
  }
  if (frame.type == MessageType::verdict && now == BobState::sifting) {
    ASSIGN_OR_RETURN(const VerdictMessage message, VerdictMessage::read(frame.body, chunk.indices.size()));
    return on_verdict(step, message);
  }
  if (frame.type == MessageType::answer && now == BobState::reconciling) {
    TRY(distillation->learn(frame.body));
    ask(step);
    return {};
  }
  if (frame.type == MessageType::close && now == BobState::awaiting_close) {
    ASSIGN_OR_RETURN(const Close close, Close::read(frame.body));
    return on_close(step, close);
  }
  if (frame.type == MessageType::confirm && now == BobState::awaiting_confirm) return on_confirm(step);
  return unexpected(frame.type, name(now));
}

Result<void> BobSession::Impl::on_hello(Step& step, const Hello& hello) {
  TRY(check_peer(hello));
  if (state_.prepared) {
    // Alice's decision stands in her last committed block; hers was tagged together with our nonce, so it is today's.
    PreparedBlock block = std::move(*state_.prepared);
    state_.prepared.reset();
    if (hello.last_committed == block.block_id) {
      ASSIGN_OR_RETURN(KeyBlock released, state_.commit(std::move(block)));
      step.deliver.push_back(std::move(released));
    } else {
      step.dropped = block.block_id;
    }
  }
  if (hello.last_committed != state_.last_committed || !pools_match(hello)) {
    return fail(ErrorCode::conflict, "handshake: the ends remember different blocks or authentication keys; a new pre-shared key is needed");
  }
  state_.last_started = std::max(state_.last_started, hello.last_started);
  become_idle();
  return {};
}

Result<void> BobSession::Impl::on_begin(Step& step, const Frame& frame) {
  ASSIGN_OR_RETURN(const Begin begin, Begin::read(frame.body));
  if (frame.block_id <= state_.last_started) return fail(ErrorCode::conflict, "qkd session: block " + std::to_string(frame.block_id) + " was begun before");
  block_id_ = frame.block_id;  // not yet remembered: `begin` has no tag, and a forged number must not block the later ones
  began_ms = clock.now_ms();
  nonce = random.bytes(nonce_size);
  const std::size_t clicks = clicks_needed(settings_.block_size, settings_.parameters.key_basis_probability);
  if (auto started = device.start(run_id(settings_.link, block_id_, begin.nonce, nonce)); !started) {
    give_up(step, started.error());
    return {};
  }
  auto collected = device.collect(clicks);
  if (!collected || collected->clicks.size() != clicks) {
    give_up(step, collected ? Error{.code = ErrorCode::internal, .message = "Bob's device: fewer clicks than it was asked for"} : collected.error());
    return {};
  }
  if (auto sound = check_monitor(collected->monitor, settings_.parameters); !sound) {
    give_up(step, sound.error());
    return {};
  }
  record = std::move(*collected);
  sifted = Sifted(clicks);
  total = clicks;
  now = BobState::sifting;
  send_chunk(step);
  return {};
}

void BobSession::Impl::send_chunk(Step& step) {
  chunk = record.clicks.take(clicks_per_chunk);
  const Detections detections{.nonce = nonce, .total = static_cast<std::uint32_t>(total), .gates = record.gates, .clicks = announce(chunk)};
  send_untagged(step, MessageType::detections, detections.write());
}

Result<void> BobSession::Impl::on_verdict(Step& step, const VerdictMessage& message) {
  const bool is_last = record.clicks.size() == 0;
  if (is_last == message.seed.empty()) return fail(ErrorCode::invalid_argument, "sifting: the seed belongs to the last verdict");
  TRY(apply(message.verdict, chunk, sifted));
  if (!is_last) {
    send_chunk(step);
    return {};
  }
  const std::uint64_t gates = record.gates;
  record = DetectionRecord();
  chunk = Clicks();
  distillation.emplace(settings_, sifted.take(block_id_, gates), hasher);
  if (auto started = distillation->start(message.seed); !started) {
    give_up(step, started.error());
    return {};
  }
  now = BobState::reconciling;
  ask(step);
  return {};
}

void BobSession::Impl::ask(Step& step) {
  const auto next = distillation->ask();
  if (!next) {
    give_up(step, next.error());
    return;
  }
  if (next->type == MessageType::reconciled) now = BobState::awaiting_close;
  send_untagged(step, next->type, next->body);
}

Result<void> BobSession::Impl::on_close(Step& step, const Close& close) {
  auto finished = distillation->finish(close);
  if (!finished) {
    give_up(step, finished.error());
    return {};
  }
  finished->report.times = {.began_ms = began_ms, .wall_ms = clock.now_ms() - began_ms};
  distillation.reset();
  state_.prepared = std::move(*finished);
  state_.last_started = block_id_ + settings_.ids_per_block() - 1;
  now = BobState::awaiting_confirm;
  return send_tagged(step, MessageType::ack, {});
}

Result<void> BobSession::Impl::on_confirm(Step& step) {
  PreparedBlock block = std::move(*state_.prepared);
  state_.prepared.reset();
  ASSIGN_OR_RETURN(KeyBlock released, state_.commit(std::move(block)));
  step.deliver.push_back(std::move(released));
  become_idle();
  return {};
}

BobSession::BobSession(SessionParts<BobDevice> parts, DurableState state) : impl_(std::make_unique<Impl>(parts, std::move(state))) {}
BobSession::BobSession(BobSession&&) noexcept = default;
BobSession& BobSession::operator=(BobSession&&) noexcept = default;
BobSession::~BobSession() = default;

bool BobSession::idle() const noexcept { return impl_->now == BobState::idle && !impl_->ended_; }

Step BobSession::start() {
  CHECK(impl_->now == BobState::fresh);
  Step step;
  impl_->now = BobState::awaiting_hello;
  const Result<void> outcome = impl_->send_tagged(step, MessageType::hello, impl_->own_hello(impl_->random.bytes(nonce_size)).write());
  return impl_->finish(std::move(step), outcome);
}

Step BobSession::receive(ByteView octets) {
  Step step;
  if (impl_->ended_) {
    step.ended = Error{.code = ErrorCode::conflict, .message = "qkd session: has ended"};
    return step;
  }
  const Result<void> outcome = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const Frame frame, impl_->channel_.receive(octets, impl_->state_.pool));
    if (is_tagged(frame.type)) impl_->state_changed_ = true;
    if (frame.type == MessageType::abort) {
      impl_->peer_ended_ = true;
      return fail(Endpoint::reason_of(frame));
    }
    // `begin` opens a transcript; it is itself the first entry.
    if (frame.type == MessageType::begin) impl_->channel_.restart_transcript(octets, impl_->state_.pool);
    return impl_->dispatch(step, frame);
  }();
  return impl_->finish(std::move(step), outcome);
}

}  // namespace qanat::qkd
