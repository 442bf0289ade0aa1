#include "quantum/qkd/process/alice_end.hpp"

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
  runner_.set_connected(false);
}

Result<Bytes> AliceEnd::answer(ByteView octets, Deadline hold) {
  ASSIGN_OR_RETURN(const Exchange request, parse_exchange(octets));
  Exchange reply{.connection = request.connection, .wants_run = false, .frames = {}};
  // Bob only asks whether Alice is there: a greeting costs a one-time key, and shall not be spent on a dead line.
  if (request.connection == ConnectionId()) return write_exchange(reply);
  ASSIGN_OR_RETURN(reply.frames, take_frames(request));
  if (reply.frames.empty() && await_run(request.wants_run, hold)) {
    ASSIGN_OR_RETURN(reply.frames, begin_block(request.connection));
  }
  return write_exchange(reply);
}

Result<AliceEnd::Frames> AliceEnd::take_frames(const Exchange& request) {
  const std::lock_guard lock(work_);
  if (request.connection != connection_) return connect(request);
  bool alive = true;
  auto replies = feed(*session_, request.frames, alive);
  if (!replies || !alive) disconnect();
  return replies;
}

Result<AliceEnd::Frames> AliceEnd::connect(const Exchange& request) {
  if (request.frames.empty() || !is_greeting(request.frames.front())) return fail(ErrorCode::conflict, "X-2: that connection is over; greet anew");
  ASSIGN_OR_RETURN(DurableState state, runner_.load_state());
  AliceSession session({runner_.parts().settings, *device_, runner_.parts().random, runner_.parts().clock}, std::move(state));
  bool alive = true;
  auto replies = feed(session, request.frames, alive);
  // A greeting that does not hold leaves the present connection as it is.
  if (!replies || !alive) return replies;
  session_ = std::move(session);
  connection_ = request.connection;
  runner_.set_connected(true);
  runner_.count_session();
  return replies;
}

Result<AliceEnd::Frames> AliceEnd::feed(AliceSession& session, const Frames& frames, bool& alive) {
  Frames replies;
  for (const Bytes& frame : frames) {
    Step step = session.receive(frame);
    alive = !step.ended;
    if (step.failed) {
      const std::lock_guard lock(run_mutex_);
      rest_until_ = std::chrono::steady_clock::now() + rest_after_failure;
    }
    ASSIGN_OR_RETURN(Frames out, runner_.carry_out(std::move(step)));
    for (Bytes& reply : out) replies.push_back(std::move(reply));
    if (!alive) break;
  }
  return replies;
}

bool AliceEnd::await_run(bool bob_wants_run, Deadline hold) {
  std::unique_lock lock(run_mutex_);
  run_changed_.wait_until(lock, std::min(hold.at(), rest_until_), [] { return false; });
  if (std::chrono::steady_clock::now() < rest_until_) return false;
  return run_changed_.wait_until(lock, hold.at(), [&] { return run_ || bob_wants_run; });
}

Result<AliceEnd::Frames> AliceEnd::begin_block(const ConnectionId& connection) {
  const std::lock_guard lock(work_);
  if (connection != connection_ || !session_) return fail(ErrorCode::conflict, "X-2: that connection is over; greet anew");
  if (!session_->idle()) return Frames();
  Step step = session_->begin_block();
  if (step.failed) {
    const std::lock_guard rest(run_mutex_);
    rest_until_ = std::chrono::steady_clock::now() + rest_after_failure;
  }
  const bool alive = !step.ended;
  auto frames = runner_.carry_out(std::move(step));
  if (!frames || !alive) disconnect();
  return frames;
}

}  // namespace qanat::qkd
