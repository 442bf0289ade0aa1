#include "terminal/next_key.hpp"

namespace qanat::terminal {

Result<AxStep> AxExchange::begin() {
  const Secret wk = std::move(wk_);
  if (end_ == AxEnd::responder) {
    responder_.emplace(party_, std::move(session_), wk.duplicate());
    return Result<AxStep>(AxStep{});
  }
  ASSIGN_OR_RETURN(AxInitiator started, AxInitiator::start(party_, std::move(session_), wk));
  initiator_.emplace(std::move(started));
  return Result<AxStep>(AxStep{.message = initiator_->opening(), .keys = {}});
}

Result<AxStep> AxExchange::take(ByteView message) {
  if (initiator_) {
    ASSIGN_OR_RETURN(AxInitiator::Finished finished, initiator_->finish(message));
    return Result<AxStep>(AxStep{.message = std::move(finished.message), .keys = std::move(finished.keys)});
  }
  if (!responder_) return fail(ErrorCode::conflict, "the exchange has not begun");
  if (!answered_) {
    answered_ = true;
    ASSIGN_OR_RETURN(Bytes answer, responder_->answer(message));
    return Result<AxStep>(AxStep{.message = std::move(answer), .keys = {}});
  }
  ASSIGN_OR_RETURN(AxKeys keys, responder_->finish(message));
  return Result<AxStep>(AxStep{.message = {}, .keys = std::move(keys)});
}

}  // namespace qanat::terminal
