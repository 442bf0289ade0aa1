// The register of charges: one row each, from the order or request to the receipt.
#pragma once

#include "services/kms/kim/stock.hpp"

namespace qanat::kms {

enum class ChargeState : std::uint8_t {
  waiting,   // by file: for a second operator
  rejected,  // by an operator, or because nobody approved it in time, or its medium was wiped
  given,     // by file: keys are in the stock, and the file may be on its way. Over a wire: from the request on, so that what comes to nothing counts too
  received,  // the terminal has said that it has them (over a wire)
};
std::string_view name(ChargeState state) noexcept;

struct Charge {
  wire::ChargeId id;
  wire::MediumId medium;
  ChargeState state = ChargeState::waiting;
  SetCounts counts{};
  std::string made_by;
  UnixMs made_ms = 0;  // of the order or request; once there is an answer, that one's
  std::string decided_by;
  Bytes h_req;      // over a wire; empty by file
  Bytes h_deliver;  // likewise
  Bytes answer;     // empty once it is received, or where the process died before it was made
};

Result<void> add_charge(store::Transaction& transaction, const Charge& charge);
Result<std::optional<Charge>> find_charge(store::Transaction& transaction, const wire::ChargeId& id);
Result<std::optional<Charge>> find_charge_of_request(store::Transaction& transaction, ByteView h_req);
Result<std::vector<Charge>> list_charges(store::Transaction& transaction, ChargeState state, std::int64_t limit);
/// Charges of the medium over a wire since then whose receipt has not come.
Result<std::int64_t> count_unreceived(store::Transaction& transaction, const wire::MediumId& medium, UnixMs made_after);
/// All of them.
Result<std::int64_t> count_over_wire(store::Transaction& transaction, const wire::MediumId& medium, UnixMs made_after);
/// conflict if it is not `from` any more. What is received is not given again: its answer is forgotten.
Result<void> move_charge(store::Transaction& transaction, const wire::ChargeId& id, ChargeState from, ChargeState to, std::string_view by);
Result<void> keep_answer(store::Transaction& transaction, const wire::ChargeId& id, ByteView h_deliver, ByteView answer, UnixMs now);
/// What is too old to be asked for again.
Result<void> forget_answers(store::Transaction& transaction, UnixMs made_until);

inline constexpr UnixMs charge_answer_life_ms = 7ULL * 86'400'000;  // how long the sealed charge is given again
inline constexpr UnixMs charge_order_life_ms = 7ULL * 86'400'000;   // for another operator to approve it
inline constexpr UnixMs charge_kept_ms = 30ULL * 86'400'000;        // the row: what was done is in the audit record
/// Time for all charges: answers are forgotten, orders that nobody approved are rejected, rows go. To be called about once a second.
Result<void> sweep_charges(store::Transaction& transaction, UnixMs now);

}  // namespace qanat::kms
