#include "services/cas/cmp/server.hpp"

#include "node/crash_point.hpp"
#include "services/cas/cmp/exchange.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t swept_at_once = 64;
constexpr UnixMs looked_again_ms = 86'400'000;  // after what still waits for operators
constexpr UnixMs tried_again_ms = 30'000;

}  // namespace

Result<Bytes> CmpServer::answer(ByteView message, const CmpCall& call) {
  ASSIGN_OR_RETURN(crypto::CmpMessage parsed, crypto::CmpMessage::parse(message));
  return CmpExchange(parts_, settings_, call, std::move(parsed)).answer();
}

Result<bool> CmpServer::sweep() {
  ASSIGN_OR_RETURN(const std::vector<CmpTransaction> due, parts_.records.due(parts_.clock.now_ms(), swept_at_once));
  Result<void> outcome;
  for (const CmpTransaction& transaction : due) {
    Result<void> ended = end(transaction);
    if (ended) continue;
    // One that cannot be ended must not keep the others from it.
    TRY(parts_.records.postpone(transaction.reference, transaction.id, parts_.clock.now_ms() + tried_again_ms));
    if (outcome) outcome = std::move(ended);
  }
  if (!outcome) return fail(outcome.error());
  return due.size() == swept_at_once;
}

/// RFC 9810 §5.3.18 leaves to the CA what becomes of a certificate that is not confirmed: here it is revoked, so that none is in force that nobody has.
Result<void> CmpServer::end(CmpTransaction transaction) {
  const UnixMs now = parts_.clock.now_ms();
  const CmpState before = transaction.state;
  Bytes certificate;
  switch (before) {
    case CmpState::closed:
      return parts_.records.forget(transaction.reference, transaction.id);
    case CmpState::unconfirmed: {
      // From here on no confirmation is taken; the time stays over, so that this is taken up again should the process end before the revocation.
      transaction.state = CmpState::asked;
      const Result<void> claimed = parts_.records.move(transaction, before);
      if (!claimed) return claimed.error().code == ErrorCode::conflict ? Result<void>() : claimed;
      node::crash_point("cas.cmp.claimed");
      [[fallthrough]];
    }
    case CmpState::asked: {
      ASSIGN_OR_RETURN(certificate, transaction.serial.empty() ? parts_.records.issued_for(transaction) : parts_.desk.find(transaction.serial));
      break;
    }
    case CmpState::waiting: {
      const auto outcome = parts_.desk.collect(transaction.ticket);
      if (!outcome && outcome.error().code != ErrorCode::denied && outcome.error().code != ErrorCode::not_found) return fail(outcome.error());
      if (outcome && std::holds_alternative<Waiting>(*outcome)) {
        transaction.due = now + looked_again_ms;
        return parts_.records.move(transaction, before);
      }
      if (outcome) certificate = std::get<Given>(*outcome).certificate;
      break;
    }
  }
  if (!certificate.empty()) TRY(parts_.desk.revoke(certificate, reason_unspecified, transaction.reference + " (not confirmed in time)", ""));
  const CmpState from = std::exchange(transaction.state, CmpState::closed);
  transaction.due = now + 2 * static_cast<UnixMs>(std::chrono::milliseconds(settings_.clock_skew).count());
  return parts_.records.move(transaction, from);
}

}  // namespace qanat::cas
