#include "store/guard_lane.hpp"

#include <algorithm>

#include "store/guard.hpp"
#include "store/guard_rows.hpp"

namespace qanat::store {

GuardLane::GuardLane(std::string shard, std::filesystem::path anchor, crypto::Hash hash, const Secret& anchor_key)
    : shard_(std::move(shard)), file_(std::move(anchor)), hash_(hash), key_(anchor_key) {}
GuardLane::~GuardLane() = default;

const GuardState* GuardLane::sealed_as(std::int64_t epoch, ByteView octets) const noexcept {
  return epoch == sealed_for_ && std::ranges::equal(sealed_, octets) ? state_.get() : nullptr;
}

void GuardLane::has_sealed(std::int64_t epoch, Bytes octets, GuardState state) {
  sealed_for_ = epoch;
  sealed_ = std::move(octets);
  state_ = std::make_unique<const GuardState>(std::move(state));
}

Result<void> GuardLane::read() {
  ASSIGN_OR_RETURN(const auto text, read_anchor(file_));
  if (!text) return {};
  ASSIGN_OR_RETURN(found_, parse_anchor(*text, shard_, hash_, key_));
  return {};
}

Result<void> GuardLane::check(std::optional<std::int64_t> epoch) const {
  if (!epoch) {
    // An anchor of floor 0 is left by a process that ended before it had written anything.
    if (found_ && found_->floor > 0)
      return fail(ErrorCode::denied, "the database is an older copy: it has not got to epoch " + std::to_string(found_->floor) + ", at which it was");
    return {};
  }
  if (!found_) return fail(ErrorCode::denied, "the anchor " + file_.string() + " is gone");
  if (*epoch < found_->floor)
    return fail(ErrorCode::denied, "the database is an older copy: it is at epoch " + std::to_string(*epoch) + ", and was at " + std::to_string(found_->floor));
  if (*epoch > found_->ceiling)
    return fail(ErrorCode::denied, "the anchor is older than the database: it reaches to epoch " + std::to_string(found_->ceiling) + ", the database is at " +
                                       std::to_string(*epoch));
  return {};
}

Result<void> GuardLane::begin(std::int64_t epoch) {
  after_crash_ = found_ && !(found_->floor == epoch && found_->ceiling == epoch);
  durable_ = epoch;
  if (!found_) {
    const std::lock_guard lock(mutex_);
    return place(0, guard_epochs_ahead);
  }
  floor_ = found_->floor;
  ceiling_ = found_->ceiling;
  return reach(epoch + 1);
}

Result<void> GuardLane::reach(std::int64_t epoch) {
  if (epoch <= ceiling_) return {};
  const std::lock_guard lock(mutex_);
  if (epoch <= ceiling_) return {};
  return place(std::max(floor_, durable_.load()), epoch + guard_epochs_ahead);
}

void GuardLane::became_durable(std::int64_t epoch) {
  std::int64_t known = durable_;
  while (known < epoch && !durable_.compare_exchange_weak(known, epoch)) {
  }
}

Result<void> GuardLane::settle() {
  const std::lock_guard lock(mutex_);
  const std::int64_t durable = durable_;
  if (durable == floor_ && ceiling_ > durable) return {};
  return place(durable, durable + guard_epochs_ahead);
}

Result<void> GuardLane::close() {
  const std::lock_guard lock(mutex_);
  const std::int64_t durable = durable_;
  return place(durable, durable);
}

Result<void> GuardLane::place(std::int64_t floor, std::int64_t ceiling) {
  TRY(place_anchor(file_, write_anchor({.floor = floor, .ceiling = ceiling}, shard_, hash_, key_)));
  floor_ = floor;
  ceiling_ = ceiling;
  return {};
}

}  // namespace qanat::store
