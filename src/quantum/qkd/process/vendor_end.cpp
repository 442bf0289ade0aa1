#include "quantum/qkd/process/vendor_end.hpp"

#include <algorithm>

#include "node/crash_point.hpp"

namespace qanat::qkd {
namespace {

constexpr std::chrono::seconds silence_max{60};  // Bob's longest pause and his longest exchange together are less

Result<void> check_link(const VendorMessage& message, const LinkId& own) {
  if (message.link != own) return fail(ErrorCode::denied, "X-2: the other end serves another link");
  return {};
}

Result<void> check_keys(const VendorKeys& keys) {
  const std::size_t count = keys.ids.size();
  if (count == 0 || count > vendor_keys_max || keys.octets.size() != count * link_key_bits / 8)
    return fail(ErrorCode::invalid_argument, "the KME gave " + std::to_string(count) + " keys in " + std::to_string(keys.octets.size()) + " octets");
  return {};
}

}  // namespace

void VendorAlice::set_run(bool run) {
  {
    const std::lock_guard lock(run_mutex_);
    run_ = run;
  }
  run_changed_.notify_all();
}

EndFacts VendorAlice::facts() const {
  EndFacts out = ledger_.facts();
  const std::lock_guard lock(run_mutex_);
  out.connected = out.connected && std::chrono::steady_clock::now() < heard_ + silence_max;
  return out;
}

Result<Bytes> VendorAlice::say(VendorKind kind, std::uint64_t block_id) const {
  return VendorMessage{.kind = kind, .link = ledger_.link(), .block_id = block_id, .tag = {}, .ids = {}, .reason = {}}.write();
}

Result<Bytes> VendorAlice::offer(const VendorBlock& block) const {
  return VendorMessage{.kind = VendorKind::offer,
                       .link = ledger_.link(),
                       .block_id = block.block_id,
                       .tag = vendor_proof(VendorProver::alice, ledger_.link(), block.block_id, block.keys.ids, block.keys.octets),
                       .ids = block.keys.ids,
                       .reason = {}}
      .write();
}

Result<Bytes> VendorAlice::answer(ByteView request, Deadline hold, Deadline deadline) {
  ASSIGN_OR_RETURN(const VendorMessage message, VendorMessage::read(request));
  TRY(check_link(message, ledger_.link()));
  ledger_.set_connected(true);
  {
    const std::lock_guard lock(run_mutex_);
    heard_ = std::chrono::steady_clock::now();
  }
  switch (message.kind) {
    case VendorKind::ask:
      return ask(message, hold, deadline);
    case VendorKind::acknowledge:
      return acknowledge(message);
    case VendorKind::refuse:
      return refuse(message);
    case VendorKind::nothing:
    case VendorKind::offer:
    case VendorKind::released:
    case VendorKind::voided:
      break;
  }
  return fail(ErrorCode::invalid_argument, "X-2: this is Alice's to say");
}

Result<Bytes> VendorAlice::ask(const VendorMessage& asked, Deadline hold, Deadline deadline) {
  {
    // What was begun is finished, whatever the orders are now.
    const std::lock_guard lock(work_);
    ASSIGN_OR_RETURN(const VendorState* state, ledger_.state());
    if (state->pending) return offer(*state->pending);
  }
  if (!await_run(asked.wants_run, hold)) return say(VendorKind::nothing);
  const std::lock_guard lock(work_);
  return begin(asked.block_id, deadline);
}

Result<Bytes> VendorAlice::begin(std::uint64_t after, Deadline deadline) {
  ASSIGN_OR_RETURN(const VendorState* state, ledger_.state());
  if (state->pending) return offer(*state->pending);  // an earlier question of Bob's, whose answer was lost, was still at work
  const std::uint64_t block_id = std::max(state->last_done, after) + 1;
  if (block_id > vendor_block_id_max) return fail(ErrorCode::exhausted, "link " + ledger_.link().text() + ": no block id is left");
  const UnixMs began = ledger_.now_ms();
  auto keys = source_.fresh(deadline);
  if (const auto usable = keys ? check_keys(*keys) : Result<void>(fail(keys.error())); !usable) {
    node::log(node::LogLevel::warning, "link {}: no fresh keys: {}", ledger_.link().text(), usable.error().message);
    ledger_.note_failure(usable.error().message);
    rest();
    return say(VendorKind::nothing);
  }
  node::crash_point("qkd.vendor.fetched");
  TRY(ledger_.keep({.block_id = block_id, .began_ms = began, .keys = std::move(*keys)}));
  ASSIGN_OR_RETURN(state, ledger_.state());
  return offer(*state->pending);
}

Result<Bytes> VendorAlice::acknowledge(const VendorMessage& said) {
  const std::lock_guard lock(work_);
  ASSIGN_OR_RETURN(const VendorState* state, ledger_.state());
  if (said.block_id == state->last_committed) return say(VendorKind::released, said.block_id);
  if (!state->pending || state->pending->block_id != said.block_id) return say(VendorKind::voided, said.block_id);
  const VendorBlock& block = *state->pending;
  if (!equal_constant_time(said.tag, vendor_proof(VendorProver::bob, ledger_.link(), block.block_id, block.keys.ids, block.keys.octets))) {
    TRY(ledger_.give_up(said.block_id, "the other end has different keys"));
    rest();
    return say(VendorKind::voided, said.block_id);
  }
  node::crash_point("qkd.vendor.told");
  TRY(ledger_.release());
  const std::lock_guard run(run_mutex_);
  next_rest_ = std::chrono::milliseconds(0);
  return say(VendorKind::released, said.block_id);
}

Result<Bytes> VendorAlice::refuse(const VendorMessage& said) {
  const std::lock_guard lock(work_);
  ASSIGN_OR_RETURN(const VendorState* state, ledger_.state());
  // Only an end that lost its state refuses what it acknowledged.
  if (said.block_id == state->last_committed) return say(VendorKind::released, said.block_id);
  if (state->pending && state->pending->block_id == said.block_id) {
    TRY(ledger_.give_up(said.block_id, "the other end: " + said.reason));
    rest();
  }
  return say(VendorKind::voided, said.block_id);
}

void VendorAlice::rest() {
  const std::lock_guard lock(run_mutex_);
  next_rest_ = std::clamp(2 * next_rest_, pace_.rest_first, pace_.rest_max);
  rest_until_ = std::chrono::steady_clock::now() + next_rest_;
}

bool VendorAlice::await_run(bool bob_wants_run, Deadline hold) {
  std::unique_lock lock(run_mutex_);
  run_changed_.wait_until(lock, std::min(hold.at(), rest_until_), [] { return false; });
  if (std::chrono::steady_clock::now() < rest_until_) return false;
  return run_changed_.wait_until(lock, hold.at(), [&] { return run_ || bob_wants_run; });
}

Result<void> VendorBob::turn(Deadline deadline) {
  const auto done = exchange(deadline);
  if (!done) ledger_.note_failure(done.error().message);
  return done;
}

Result<VendorMessage> VendorBob::send(VendorMessage message, Deadline deadline) {
  message.link = ledger_.link();
  auto answer = [&]() -> Result<VendorMessage> {
    ASSIGN_OR_RETURN(const Bytes octets, send_(message.write(), deadline));
    ASSIGN_OR_RETURN(VendorMessage read, VendorMessage::read(octets));
    TRY(check_link(read, ledger_.link()));
    return read;
  }();
  ledger_.set_connected(answer.has_value());
  return answer;
}

Result<void> VendorBob::exchange(Deadline deadline) {
  ASSIGN_OR_RETURN(const VendorState* state, ledger_.state());
  if (state->pending) return settle(*state->pending, deadline);
  ASSIGN_OR_RETURN(const VendorMessage answer,
                   send({.kind = VendorKind::ask, .link = {}, .block_id = state->last_done, .wants_run = run_, .tag = {}, .ids = {}, .reason = {}}, deadline));
  if (answer.kind == VendorKind::nothing) return {};
  if (answer.kind != VendorKind::offer) return fail(ErrorCode::conflict, "X-2: neither an offer nor nothing");
  return take(answer, deadline);
}

Result<void> VendorBob::settle(const VendorBlock& block, Deadline deadline) {
  const std::uint64_t id = block.block_id;
  ASSIGN_OR_RETURN(const VendorMessage answer, send({.kind = VendorKind::acknowledge,
                                                     .link = {},
                                                     .block_id = id,
                                                     .tag = vendor_proof(VendorProver::bob, ledger_.link(), id, block.keys.ids, block.keys.octets),
                                                     .ids = {},
                                                     .reason = {}},
                                                    deadline));
  if (answer.block_id != id) return fail(ErrorCode::conflict, "X-2: the answer is about another block");
  node::crash_point("qkd.vendor.told");
  if (answer.kind == VendorKind::released) return ledger_.release();
  if (answer.kind == VendorKind::voided) return ledger_.give_up(id, "the other end did not release it");
  return fail(ErrorCode::conflict, "X-2: no decision where one belongs");
}

Result<void> VendorBob::take(const VendorMessage& offer, Deadline deadline) {
  ASSIGN_OR_RETURN(const VendorState* state, ledger_.state());
  if (offer.block_id <= state->last_done) return refuse(offer.block_id, "that block is done with", deadline);
  if (std::exchange(fetching_, offer.block_id) != offer.block_id) fetches_ = 0;
  const UnixMs began = ledger_.now_ms();
  auto keys = source_.by_id(offer.ids, deadline);
  if (!keys) {
    const bool refused = keys.error().code == ErrorCode::invalid_argument;
    if (refused && ++fetches_ >= pace_.fetches_max) return refuse(offer.block_id, keys.error().message, deadline);
    return fail(keys.error());
  }
  node::crash_point("qkd.vendor.fetched");
  if (keys->ids != offer.ids) return refuse(offer.block_id, "the KME gave other keys", deadline);
  if (const auto usable = check_keys(*keys); !usable) return refuse(offer.block_id, usable.error().message, deadline);
  if (!equal_constant_time(offer.tag, vendor_proof(VendorProver::alice, ledger_.link(), offer.block_id, keys->ids, keys->octets)))
    return refuse(offer.block_id, "the two KMEs gave different keys", deadline);
  return ledger_.keep({.block_id = offer.block_id, .began_ms = began, .keys = std::move(*keys)});
}

Result<void> VendorBob::refuse(std::uint64_t block_id, std::string_view why, Deadline deadline) {
  // Done with first: what was refused must not be stored later. If Alice does not hear it, she offers it again, and it is refused again.
  ASSIGN_OR_RETURN(const VendorState* state, ledger_.state());
  if (block_id > state->last_done) TRY(ledger_.give_up(block_id, why));
  ASSIGN_OR_RETURN(const VendorMessage answer,
                   send({.kind = VendorKind::refuse, .link = {}, .block_id = block_id, .tag = {}, .ids = {}, .reason = std::string(why)}, deadline));
  if (answer.kind == VendorKind::voided && answer.block_id == block_id) return {};
  return fail(ErrorCode::conflict, "X-2: block " + std::to_string(block_id) + " was refused, and the other end does not give it up");
}

}  // namespace qanat::qkd
