#include "node/revocation_lists.hpp"

namespace qanat::node {
namespace {

constexpr UnixMs list_fresh_ms = 600'000;  // a younger list is not asked for again
constexpr UnixMs clock_slack_ms = 120'000;

}  // namespace

Result<crypto::StatusAnswer> RevocationLists::status(const crypto::Certificate& cert, const crypto::Certificate& issuer, Deadline deadline) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const Kept> list, list_of(issuer, deadline));
  crypto::StatusAnswer out{.status = crypto::CertStatus::good, .this_update = list->this_update, .next_update = list->next_update};
  if (const auto found = list->revoked.find(cert.serial()); found != list->revoked.end()) {
    out.status = crypto::CertStatus::revoked;
    out.revoked_at = found->second.revoked_at;
    out.reason = found->second.reason;
  }
  return out;
}

void RevocationLists::keep_ready(const crypto::Certificate& issuer, Deadline deadline) {
  (void)list_of(issuer, deadline);  // nobody needs it yet
}

void RevocationLists::out_of_date() {
  const std::lock_guard lock(mutex_);
  ++generation_;
}

Result<std::shared_ptr<const RevocationLists::Kept>> RevocationLists::list_of(const crypto::Certificate& issuer, Deadline deadline) {
  const Bytes fingerprint = issuer.fingerprint(crypto::Hash::sha256);
  std::shared_ptr<const Kept> before;
  std::uint64_t generation = 0;
  {
    const std::lock_guard lock(mutex_);
    generation = generation_;
    if (const auto found = kept_.find(fingerprint); found != kept_.end()) before = found->second;
  }
  const UnixMs now = clock_.now_ms();
  const bool holds = before && before->generation == generation && now < before->next_update;
  if (holds && now < before->fetched_at + list_fresh_ms) return before;
  auto made = fetched(issuer, before, generation, deadline);
  if (!made) {
    const bool silent = made.error().code == ErrorCode::unavailable || made.error().code == ErrorCode::deadline_exceeded;
    if (silent && holds) return before;
    return fail_in("revocation list", made.error());
  }
  const std::lock_guard lock(mutex_);
  kept_.insert_or_assign(fingerprint, *made);
  return made;
}

Result<std::shared_ptr<const RevocationLists::Kept>> RevocationLists::fetched(const crypto::Certificate& issuer, const std::shared_ptr<const Kept>& before,
                                                                              std::uint64_t generation, Deadline deadline) {
  ASSIGN_OR_RETURN(const Bytes der, fetch_(issuer, deadline));
  ASSIGN_OR_RETURN(crypto::RevocationList list, crypto::read_revocation_list(der, issuer));
  const UnixMs now = clock_.now_ms();
  if (list.base_number || !list.distribution_point.empty()) return fail(ErrorCode::denied, "is not the complete list of its issuer");
  if (list.this_update > now + clock_slack_ms) return fail(ErrorCode::denied, "is of the future");
  if (now >= list.next_update) return fail(ErrorCode::unavailable, "is past its time");
  if (before && list.number < before->number)
    return fail(ErrorCode::denied, "number " + std::to_string(list.number) + " came after number " + std::to_string(before->number));
  auto out = std::make_shared<Kept>();
  out->number = list.number;
  out->this_update = list.this_update;
  out->next_update = list.next_update;
  out->fetched_at = now;
  out->generation = generation;
  for (crypto::RevokedSerial& one : list.revoked) {
    Bytes serial = one.serial;
    out->revoked.insert_or_assign(std::move(serial), std::move(one));
  }
  return Result<std::shared_ptr<const Kept>>(std::move(out));
}

}  // namespace qanat::node
