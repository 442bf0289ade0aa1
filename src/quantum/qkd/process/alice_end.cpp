#include "quantum/qkd/process/alice_end.hpp"

#include "quantum/qkd/process/first_key.hpp"
#include "quantum/qkd/session/message.hpp"

namespace qanat::qkd {
namespace {

constexpr std::chrono::milliseconds rest_after_failure{2000};  // a link that gives no key shall not keep the processor busy

bool is_greeting(ByteView frame) {
  const auto parsed = parse_frame(frame);
  return parsed && parsed->type == MessageType::hello;
}

}  // namespace

void AliceEnd::set_run(bool run) {
  {
    const std::lock_guard lock(run_mutex_);
    run_ = run;
  }
  run_changed_.notify_all();
}

void AliceEnd::disconnect() {
  session_.reset();
  connection_ = ConnectionId();
  inlet_.clear();
  outlet_.clear();
  runner_.set_connected(false);
}

void AliceEnd::rest() {
  const std::lock_guard lock(run_mutex_);
  rest_until_ = std::chrono::steady_clock::now() + rest_after_failure;
}

Result<Bytes> AliceEnd::answer(ByteView octets, Deadline hold) {
  ASSIGN_OR_RETURN(const Exchange request, parse_exchange(octets));
  Exchange reply{.connection = request.connection, .wants_run = false, .has_more = false, .is_first_key = false, .piece = {}};
  if (request.is_first_key) {
    reply.is_first_key = true;
    ASSIGN_OR_RETURN(reply.piece, agree_first_key(request.piece));
    return write_exchange(reply);
  }
  // Bob only asks whether Alice is there: a greeting costs a one-time key, and shall not be spent on a dead line.
  if (request.connection == ConnectionId()) return write_exchange(reply);
  bool may_begin = false;
  {
    const std::lock_guard lock(work_);
    FrameOutlet last_words;
    TRY(take(request, last_words));
    if (!last_words.empty()) {
      reply.piece = last_words.take();
      return write_exchange(reply);
    }
    may_begin = outlet_.empty() && !inlet_.awaits_more() && !request.has_more;
  }
  if (may_begin && await_run(request.wants_run, hold)) TRY(begin_block(request.connection));
  const std::lock_guard lock(work_);
  if (request.connection != connection_) return fail(ErrorCode::conflict, "X-2: that connection is over; greet anew");
  reply.piece = outlet_.take();
  reply.has_more = !outlet_.empty();
  return write_exchange(reply);
}

Result<Bytes> AliceEnd::agree_first_key(ByteView request) {
  const std::lock_guard lock(work_);
  ASSIGN_OR_RETURN(const bool may, runner_.may_agree_first_key());
  if (!may) return fail(ErrorCode::denied, "X-2: this end has its first key; a new one must be ordered here");
  const EndParts& parts = runner_.parts();
  ASSIGN_OR_RETURN(FirstKeyAnswer answer, answer_first_key(*parts.suite, parts.settings.link, request, parts.random));
  disconnect();
  TRY(runner_.begin_from(answer.preshared));
  return std::move(answer.message);
}

Result<void> AliceEnd::take(const Exchange& request, FrameOutlet& last_words) {
  if (request.connection != connection_) return connect(request, last_words);
  const auto alive = [&]() -> Result<bool> {
    ASSIGN_OR_RETURN(const std::vector<Bytes> frames, inlet_.take(request.piece));
    return feed(*session_, frames, outlet_);
  }();
  if (alive && !*alive) last_words = std::move(outlet_);
  if (!alive || !*alive) disconnect();
  if (!alive) return fail(alive.error());
  return {};
}

Result<void> AliceEnd::connect(const Exchange& request, FrameOutlet& last_words) {
  FrameInlet inlet;
  ASSIGN_OR_RETURN(const std::vector<Bytes> frames, inlet.take(request.piece));
  if (frames.empty() || !is_greeting(frames.front())) return fail(ErrorCode::conflict, "X-2: that connection is over; greet anew");
  ASSIGN_OR_RETURN(DurableState state, runner_.load_state());
  AliceSession session({runner_.parts().settings, *device_, runner_.parts().random, runner_.parts().clock}, std::move(state));
  FrameOutlet replies;
  ASSIGN_OR_RETURN(const bool alive, feed(session, frames, replies));
  if (!alive) {
    // A greeting that does not hold leaves the present connection as it is.
    last_words = std::move(replies);
    return {};
  }
  session_ = std::move(session);
  connection_ = request.connection;
  inlet_ = std::move(inlet);
  outlet_ = std::move(replies);
  runner_.set_connected(true);
  runner_.count_session();
  return {};
}

Result<bool> AliceEnd::feed(AliceSession& session, const std::vector<Bytes>& frames, FrameOutlet& replies) {
  for (const Bytes& frame : frames) {
    Step step = session.receive(frame);
    const bool alive = !step.ended;
    if (step.failed) rest();
    ASSIGN_OR_RETURN(std::vector<Bytes> out, runner_.carry_out(std::move(step)));
    for (Bytes& reply : out) replies.add(std::move(reply));
    if (!alive) return false;
  }
  return true;
}

bool AliceEnd::await_run(bool bob_wants_run, Deadline hold) {
  std::unique_lock lock(run_mutex_);
  run_changed_.wait_until(lock, std::min(hold.at(), rest_until_), [] { return false; });
  if (std::chrono::steady_clock::now() < rest_until_) return false;
  return run_changed_.wait_until(lock, hold.at(), [&] { return run_ || bob_wants_run; });
}

Result<void> AliceEnd::begin_block(const ConnectionId& connection) {
  const std::lock_guard lock(work_);
  if (connection != connection_ || !session_) return fail(ErrorCode::conflict, "X-2: that connection is over; greet anew");
  if (!session_->idle()) return {};
  Step step = session_->begin_block();
  if (step.failed) rest();
  const bool alive = !step.ended;
  auto frames = runner_.carry_out(std::move(step));
  if (!frames || !alive) disconnect();
  if (!frames) return fail(frames.error());
  for (Bytes& frame : *frames) outlet_.add(std::move(frame));
  return {};
}

}  // namespace qanat::qkd
