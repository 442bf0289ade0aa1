#include "quantum/qkm/sae_handovers.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "kme/stock/names.hpp"

namespace qanat::qkm {
namespace {

using kme::etsi020::Ack;
using kme::etsi020::AckStatus;

constexpr UnixMs first_pause_ms = 4000;  // longer than one attempt may take
constexpr UnixMs pause_max_ms = 60000;

std::optional<HandoverState> state_named(std::string_view text) {
  using enum HandoverState;
  for (const HandoverState state : {offered, relayed, sold, void_due, voided, failed}) {
    if (name(state) == text) return state;
  }
  return std::nullopt;
}

struct HandoverRow {
  Handover handover;
  HandoverState state{};
  Bytes acked;  // a bit per target and key

  [[nodiscard]] bool is_all_acked() const {
    for (std::size_t bit = 0; bit < handover.targets.size() * handover.count; ++bit) {
      if (((acked[bit / 8] >> (bit % 8)) & 1U) == 0) return false;
    }
    return true;
  }
};

Result<std::optional<HandoverRow>> find(store::Transaction& transaction, const BatchId& batch, const std::string& kme) {
  std::optional<HandoverRow> out;
  TRY(transaction.query("SELECT count, initiator, targets, acked, state FROM sae_handover WHERE batch_id = ? AND kme = ?",
                        {batch.view(), std::string_view(kme)}, [&](const store::Row& row) {
                          const auto state = state_named(row.text(4));
                          if (!state) return;
                          out = HandoverRow{.handover = {.batch = batch,
                                                 .kme = kme,
                                                 .count = static_cast<std::uint32_t>(row.integer(0)),
                                                 .initiator = kme::SaeId(row.text(1)),
                                                 .targets = kme::split_names(row.text(2))},
                                    .state = *state,
                                    .acked = row.blob(3)};
                        }));
  return out;
}

Result<void> move(store::Transaction& transaction, const Handover& handover, HandoverState from, HandoverState to, UnixMs now) {
  CHECK(may_become(from, to));
  TRY(transaction.run(
      "UPDATE sae_handover SET state = ?, next_ms = ?, changed_ms = ? WHERE batch_id = ? AND kme = ? AND state = ?",
      {name(to), static_cast<std::int64_t>(now), static_cast<std::int64_t>(now), handover.batch.view(), std::string_view(handover.kme), name(from)}));
  return {};
}

/// True if every key manager of the order has acknowledged, and the order is neither sold nor given up.
Result<bool> is_complete(store::Transaction& transaction, const BatchId& batch) {
  std::int64_t all = 0;
  std::int64_t relayed = 0;
  TRY(transaction.query("SELECT count(*), coalesce(sum(state = 'relayed'), 0) FROM sae_handover WHERE batch_id = ?", {batch.view()},
                        [&](const store::Row& row) {
                          all = row.integer(0);
                          relayed = row.integer(1);
                        }));
  return all > 0 && relayed == all;
}

class Acknowledging {
 public:
  Acknowledging(store::Transaction& transaction, UnixMs now, Handovers::Outcome& out) : transaction_(transaction), now_(now), out_(out) {}

  /// `indices`: of the keys of the row's batch that the acknowledgement names.
  Result<void> take(HandoverRow& row, const Ack& ack, std::span<const std::uint32_t> indices) {
    const auto target = std::ranges::find(row.handover.targets, ack.target);
    const bool fits = row.handover.initiator == ack.initiator && target != row.handover.targets.end() &&
                      std::ranges::all_of(indices, [&](std::uint32_t index) { return index < row.handover.count; });
    if (!fits) return {};
    const bool gone_all = row.handover.targets.size() == 1 && indices.size() == row.handover.count;
    if (row.state == HandoverState::void_due && gone_all && (ack.status == AckStatus::voided || ack.status == AckStatus::not_present)) {
      note(row, indices);
      return move(transaction_, row.handover, row.state, HandoverState::voided, now_);
    }
    const bool takes_back = row.state == HandoverState::relayed && ack.status != AckStatus::relayed;  // while the order is not sold yet
    if (row.state != HandoverState::offered && !takes_back) return {};
    note(row, indices);
    if (ack.status == AckStatus::relayed) return relayed(row, static_cast<std::size_t>(target - row.handover.targets.begin()), indices);
    out_.failed.emplace_back(row.handover.batch,
                             row.handover.kme + (ack.message.empty() ? " did not keep the keys" : " did not keep the keys: " + ack.message));
    return Handovers::give_up(transaction_, row.handover.batch, gone_all ? std::string_view(row.handover.kme) : std::string_view(), now_);
  }

 private:
  void note(const HandoverRow& row, std::span<const std::uint32_t> indices) {
    for (const std::uint32_t index : indices) out_.changed.push_back(key_id(row.handover.batch, index));
  }
  Result<void> relayed(HandoverRow& row, std::size_t target, std::span<const std::uint32_t> indices) {
    for (const std::uint32_t index : indices) {
      const std::size_t bit = target * row.handover.count + index;
      row.acked[bit / 8] = static_cast<std::uint8_t>(row.acked[bit / 8] | (1U << (bit % 8)));
    }
    TRY(transaction_.run("UPDATE sae_handover SET acked = ? WHERE batch_id = ? AND kme = ?",
                         {ByteView(row.acked), row.handover.batch.view(), std::string_view(row.handover.kme)}));
    if (!row.is_all_acked()) return {};
    TRY(move(transaction_, row.handover, row.state, HandoverState::relayed, now_));
    ASSIGN_OR_RETURN(const bool complete, is_complete(transaction_, row.handover.batch));
    if (complete) out_.complete.push_back(row.handover.batch);
    return {};
  }

  store::Transaction& transaction_;
  UnixMs now_;
  Handovers::Outcome& out_;
};

}  // namespace

std::string_view name(HandoverState state) noexcept {
  switch (state) {
    case HandoverState::offered:
      return "offered";
    case HandoverState::relayed:
      return "relayed";
    case HandoverState::sold:
      return "sold";
    case HandoverState::void_due:
      return "void_due";
    case HandoverState::voided:
      return "voided";
    case HandoverState::failed:
      return "failed";
  }
  return "failed";
}

std::vector<KeyId> Handover::ids() const {
  std::vector<KeyId> out;
  out.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) out.push_back(key_id(batch, i));
  return out;
}

Result<void> Handovers::offer(store::Transaction& transaction, const Handover& handover, UnixMs now) {
  const Bytes acked((handover.targets.size() * handover.count + 7) / 8);
  TRY(transaction.run("INSERT INTO sae_handover (batch_id, kme, count, initiator, targets, acked, state, tries, next_ms, changed_ms, offered_ms) "
                      "VALUES (?, ?, ?, ?, ?, ?, 'offered', 0, 0, ?, ?)",
                      {handover.batch.view(), std::string_view(handover.kme), std::int64_t{handover.count}, std::string_view(handover.initiator.text()),
                       std::string_view(kme::joined_names(handover.targets)), ByteView(acked), static_cast<std::int64_t>(now), static_cast<std::int64_t>(now)}));
  return {};
}

Result<Handovers::Outcome> Handovers::acknowledge(store::Transaction& transaction, const std::string& kme, std::span<const Ack> acks, UnixMs now) {
  Outcome out;
  Acknowledging acknowledging(transaction, now, out);
  for (const Ack& ack : acks) {
    std::map<BatchId, std::vector<std::uint32_t>> by_batch;
    for (const KeyId& id : ack.ids) by_batch[batch_of(id)].push_back(index_of(id));
    for (const auto& [batch, indices] : by_batch) {
      ASSIGN_OR_RETURN(std::optional<HandoverRow> row, find(transaction, batch, kme));
      if (row) TRY(acknowledging.take(*row, ack, indices));
    }
  }
  return out;
}

Result<bool> Handovers::sell(store::Transaction& transaction, const BatchId& batch, UnixMs now) {
  ASSIGN_OR_RETURN(const bool complete, is_complete(transaction, batch));
  if (!complete) return false;
  TRY(transaction.run("UPDATE sae_handover SET state = 'sold', changed_ms = ? WHERE batch_id = ? AND state = 'relayed'",
                      {static_cast<std::int64_t>(now), batch.view()}));
  return true;
}

Result<void> Handovers::give_up(store::Transaction& transaction, const BatchId& batch, std::string_view kme, UnixMs now) {
  const auto at = static_cast<std::int64_t>(now);
  TRY(transaction.run("UPDATE sae_handover SET state = 'failed', changed_ms = ? WHERE batch_id = ? AND kme = ? AND state = 'offered'",
                      {at, batch.view(), kme}));
  TRY(transaction.run("UPDATE sae_handover SET state = 'void_due', next_ms = ?, changed_ms = ? WHERE batch_id = ? AND state IN ('offered', 'relayed')",
                      {at, at, batch.view()}));
  return {};
}

Result<std::vector<Handovers::Duty>> Handovers::due(store::Transaction& transaction, std::size_t most, UnixMs give_up_after_ms, UnixMs now) {
  struct Found {
    Duty duty;
    std::int64_t tries;
  };
  std::vector<Found> found;
  TRY(transaction.query("SELECT batch_id, kme, count, initiator, targets, tries, offered_ms FROM sae_handover WHERE state = 'void_due' AND next_ms <= ? "
                        "ORDER BY next_ms LIMIT ?",
                        {static_cast<std::int64_t>(now), static_cast<std::int64_t>(most)}, [&](const store::Row& row) {
                          found.push_back({.duty = {.handover = {.batch = BatchId(row.blob(0)),
                                                                 .kme = row.text(1),
                                                                 .count = static_cast<std::uint32_t>(row.integer(2)),
                                                                 .initiator = kme::SaeId(row.text(3)),
                                                                 .targets = kme::split_names(row.text(4))},
                                                    .last = static_cast<UnixMs>(row.integer(6)) + give_up_after_ms < now},
                                           .tries = row.integer(5)});
                        }));
  std::vector<Duty> out;
  for (Found& one : found) {
    const UnixMs pause = std::min(pause_max_ms, first_pause_ms << std::min<std::int64_t>(one.tries, 6));
    TRY(transaction.run("UPDATE sae_handover SET tries = tries + 1, next_ms = ? WHERE batch_id = ? AND kme = ?",
                        {static_cast<std::int64_t>(now + pause), one.duty.handover.batch.view(), std::string_view(one.duty.handover.kme)}));
    out.push_back(std::move(one.duty));
  }
  return out;
}

Result<void> Handovers::voided(store::Transaction& transaction, const Handover& handover, HandoverState to, UnixMs now) {
  return move(transaction, handover, HandoverState::void_due, to, now);
}

Result<std::int64_t> Handovers::recover(store::Transaction& transaction, UnixMs now) {
  const auto at = static_cast<std::int64_t>(now);
  return transaction.run("UPDATE sae_handover SET state = 'void_due', next_ms = ?, changed_ms = ? WHERE state IN ('offered', 'relayed')", {at, at});
}

Result<void> Handovers::forget(store::Transaction& transaction, UnixMs before) {
  TRY(transaction.run("DELETE FROM sae_handover WHERE rowid IN (SELECT rowid FROM sae_handover WHERE changed_ms < ? AND state IN ('sold', 'voided', 'failed') "
                      "ORDER BY changed_ms LIMIT 1024)",
                      {static_cast<std::int64_t>(before)}));
  return {};
}

}  // namespace qanat::qkm
