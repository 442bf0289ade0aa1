#include "quantum/qkd/process/bob_end.hpp"

#include "quantum/qkd/process/first_key.hpp"

namespace qanat::qkd {

Result<void> BobEnd::turn(Deadline deadline) {
  const auto done = [&]() -> Result<void> {
    if (!session_) TRY(connect(deadline));
    return exchange(deadline);
  }();
  if (done) return done;
  session_.reset();
  outlet_.clear();
  runner_.set_connected(false);
  runner_.note_failure(done.error().message);
  return done;
}

Result<void> BobEnd::connect(Deadline deadline) {
  // A greeting costs a one-time key: make sure of Alice before one is spent.
  TRY(send_(write_exchange({.connection = ConnectionId(), .wants_run = false, .has_more = false, .is_first_key = false, .piece = {}}), deadline));
  TRY(agree_first_key(deadline));
  ASSIGN_OR_RETURN(DurableState state, runner_.load_state());
  session_.emplace(SessionParts<BobDevice>{runner_.parts().settings, *device_, runner_.parts().random, runner_.parts().clock}, std::move(state));
  connection_ = runner_.parts().random.id<ConnectionId>();
  inlet_.clear();
  outlet_.clear();
  runner_.count_session();
  TRY(carry_out(session_->start()));
  return {};
}

Result<void> BobEnd::agree_first_key(Deadline deadline) {
  const EndParts& parts = runner_.parts();
  ASSIGN_OR_RETURN(const bool may, runner_.may_agree_first_key());
  ASSIGN_OR_RETURN(const std::optional<DurableState> state, parts.records.load_state());
  if (!may || state) return {};
  ASSIGN_OR_RETURN(const FirstKeyRequest request, FirstKeyRequest::make(*parts.suite, parts.random));
  ASSIGN_OR_RETURN(
      const Bytes octets,
      send_(write_exchange({.connection = ConnectionId(), .wants_run = false, .has_more = false, .is_first_key = true, .piece = request.message()}), deadline));
  ASSIGN_OR_RETURN(const Exchange reply, parse_exchange(octets));
  if (!reply.is_first_key) return fail(ErrorCode::denied, "X-2: Alice does not agree on a first key");
  ASSIGN_OR_RETURN(const Secret preshared, request.finish(parts.settings.link, reply.piece));
  return runner_.begin_from(preshared);
}

Result<bool> BobEnd::carry_out(Step step) {
  const std::optional<Error> ended = step.ended;
  ASSIGN_OR_RETURN(std::vector<Bytes> frames, runner_.carry_out(std::move(step)));
  for (Bytes& frame : frames) outlet_.add(std::move(frame));
  return !ended;
}

Result<void> BobEnd::exchange(Deadline deadline) {
  Exchange request{.connection = connection_, .wants_run = run_, .has_more = false, .is_first_key = false, .piece = outlet_.take()};
  request.has_more = !outlet_.empty();
  ASSIGN_OR_RETURN(const Bytes octets, send_(write_exchange(request), deadline));
  ASSIGN_OR_RETURN(const Exchange reply, parse_exchange(octets));
  if (reply.connection != connection_) return fail(ErrorCode::denied, "X-2: the answer belongs to another connection");
  ASSIGN_OR_RETURN(const std::vector<Bytes> frames, inlet_.take(reply.piece));
  for (const Bytes& frame : frames) {
    ASSIGN_OR_RETURN(const bool alive, carry_out(session_->receive(frame)));
    if (alive) continue;
    // What it still has to say tells Alice why; whether she hears it makes no difference here.
    const Exchange last{.connection = connection_, .wants_run = false, .has_more = false, .is_first_key = false, .piece = outlet_.take()};
    if (!last.piece.empty()) (void)send_(write_exchange(last), deadline);
    return fail(ErrorCode::conflict, "the session has ended: " + runner_.facts().last_failure);
  }
  runner_.set_connected(true);
  return {};
}

}  // namespace qanat::qkd
