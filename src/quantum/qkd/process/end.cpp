#include "quantum/qkd/process/end.hpp"

#include "node/crash_point.hpp"
#include "quantum/qkd/process/account.hpp"

namespace qanat::qkd {

Result<std::vector<Bytes>> StepRunner::carry_out(Step step) {
  if (step.persist || !step.deliver.empty()) {
    TRY(parts_.records.commit(step.persist, step.deliver));
    node::crash_point(step.deliver.empty() ? "qkd.state.stored" : "qkd.block.stored");
  }
  {
    const std::lock_guard lock(mutex_);
    for (const KeyBlock& block : step.deliver) {
      ++facts_.blocks;
      facts_.last_block_id = block.block_id;
      facts_.last_block = summary_of(block);
    }
    if (step.failed) {
      ++facts_.failed_blocks;
      facts_.last_failure = step.failed->error.message;
    }
    if (step.ended) facts_.last_failure = step.ended->message;
  }
  const std::string& link = parts_.settings.link.text();
  for (const KeyBlock& block : step.deliver) {
    node::log(node::LogLevel::note, "link {}: block {}: {} key bits in {} ms; {}", link, block.block_id, block.bit_count, block.report.times.wall_ms,
              account_of(block.report));
  }
  if (step.failed) node::log(node::LogLevel::warning, "link {}: block {} gives no key: {}", link, step.failed->block_id, step.failed->error.message);
  if (step.dropped) node::log(node::LogLevel::warning, "link {}: block {} was not released by the other end and is destroyed", link, *step.dropped);
  if (!step.deliver.empty()) parts_.block_stored();
  return std::move(step.send);
}

Result<DurableState> StepRunner::load_state() {
  ASSIGN_OR_RETURN(std::optional<DurableState> state, parts_.records.load_state());
  if (!state) return fail(ErrorCode::internal, "link " + parts_.settings.link.text() + ": this end has no state");
  return Result<DurableState>(std::move(*state));
}

Result<bool> StepRunner::may_agree_first_key() {
  if (parts_.suite == nullptr || parts_.settings.first_key != FirstKey::pqc) return false;
  ASSIGN_OR_RETURN(const std::optional<DurableState> state, parts_.records.load_state());
  return !state || (state->last_committed == 0 && !state->prepared);
}

Result<void> StepRunner::begin_from(const Secret& preshared) {
  ASSIGN_OR_RETURN(DurableState state, DurableState::fresh(preshared));
  state.last_started = parts_.clock.now_ms();
  return parts_.records.commit(state.encode(), {});
}

EndFacts StepRunner::facts() const {
  const std::lock_guard lock(mutex_);
  return facts_;
}

void StepRunner::set_connected(bool connected) {
  const std::lock_guard lock(mutex_);
  facts_.connected = connected;
}

void StepRunner::note_failure(std::string_view what) {
  const std::lock_guard lock(mutex_);
  facts_.last_failure = what;
}

void StepRunner::count_session() {
  const std::lock_guard lock(mutex_);
  ++facts_.sessions;
}

}  // namespace qanat::qkd
