#include "services/kms/kma/group_rows.hpp"

#include "services/kms/kma/group_rules.hpp"

namespace qanat::kms {
namespace {

using store::Value;

/// "+8655110000001 kms-a,+8655120000002 kms-b": numbers and names have no space, and no KMS with a comma in its name is let in (group_key.cpp).
std::string roster_text(const wire::Roster& roster) {
  std::string out;
  for (const wire::GroupMember& member : roster) out += (out.empty() ? "" : ",") + member.number.text() + " " + member.kms.text();
  return out;
}

wire::Roster roster_from(std::string_view text) {
  wire::Roster out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view one = text.substr(0, end);
    const std::size_t space = std::min(one.find(' '), one.size());
    out.push_back({.number = Number(std::string(one.substr(0, space))), .kms = ElementName(std::string(one.substr(std::min(space + 1, one.size()))))});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

Value optional_blob(const Bytes& octets) { return octets.empty() ? Value() : Value(ByteView(octets)); }

}  // namespace

Result<std::optional<GroupRow>> find_group(store::Transaction& transaction, const wire::GroupId& group) {
  std::optional<GroupRow> out;
  TRY(transaction.query("SELECT owner_uid, owner, owner_kms, begun, epoch, roster, h_req, answer, changed_ms, nonce FROM call_group WHERE group_id = ?",
                        {group.view()}, [&](const store::Row& row) {
                          out = GroupRow{.group = group,
                                         .owner_uid = Uid(row.text(0)),
                                         .owner = Number(row.text(1)),
                                         .owner_kms = ElementName(row.text(2)),
                                         .begun = static_cast<std::uint32_t>(row.integer(3)),
                                         .epoch = static_cast<std::uint32_t>(row.integer(4)),
                                         .nonce = wire::GroupNonce(row.blob(9)),
                                         .roster = roster_from(row.text(5)),
                                         .h_req = row.is_null(6) ? Bytes{} : row.blob(6),
                                         .answer = row.is_null(7) ? Bytes{} : row.blob(7),
                                         .changed_ms = static_cast<UnixMs>(row.integer(8))};
                        }));
  return out;
}

Result<void> add_group(store::Transaction& transaction, const GroupRow& row) {
  ASSIGN_OR_RETURN(const auto known, find_group(transaction, row.group));
  if (known) return fail(ErrorCode::conflict, "group " + row.group.hex() + " was opened before");
  std::int64_t count = 0;
  TRY(transaction.query("SELECT count(*) FROM call_group WHERE owner_uid = ? AND owner_kms = ?",
                        {std::string_view(row.owner_uid.text()), std::string_view(row.owner_kms.text())},
                        [&](const store::Row& found) { count = found.integer(0); }));
  if (count >= groups_per_owner_max) return fail(ErrorCode::exhausted, "group: " + row.owner_uid.text() + " has opened as many as one subscriber may have");
  const std::string roster = roster_text(row.roster);
  TRY(
      transaction.run("INSERT INTO call_group (group_id, owner_uid, owner, owner_kms, begun, epoch, nonce, roster, h_req, answer, changed_ms)"
                      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      {row.group.view(), std::string_view(row.owner_uid.text()), std::string_view(row.owner.text()), std::string_view(row.owner_kms.text()),
                       std::int64_t{row.begun}, std::int64_t{row.epoch}, row.nonce.view(), std::string_view(roster), optional_blob(row.h_req),
                       optional_blob(row.answer), store::column(row.changed_ms)}));
  return {};
}

Result<void> begin_epoch(store::Transaction& transaction, const GroupRow& before, UnixMs now) {
  ASSIGN_OR_RETURN(const std::int64_t changed, transaction.run("UPDATE call_group SET begun = ?, changed_ms = ? WHERE group_id = ? AND begun = ? AND epoch = ?",
                                                               {std::int64_t{before.begun} + 1, store::column(now), before.group.view(),
                                                                std::int64_t{before.begun}, std::int64_t{before.epoch}}));
  if (changed != 1) return fail(ErrorCode::conflict, "group " + before.group.hex() + ": another order came in between");
  return {};
}

Result<void> put_epoch_in_force(store::Transaction& transaction, const GroupRow& before, const GroupRow& next) {
  const std::string roster = roster_text(next.roster);
  ASSIGN_OR_RETURN(const std::int64_t changed,
                   transaction.run("UPDATE call_group SET begun = ?, epoch = ?, nonce = ?, roster = ?, h_req = ?, answer = ?, changed_ms = ?"
                                   " WHERE group_id = ? AND begun = ? AND epoch = ?",
                                   {std::int64_t{next.begun}, std::int64_t{next.epoch}, next.nonce.view(), std::string_view(roster), optional_blob(next.h_req),
                                    optional_blob(next.answer), store::column(next.changed_ms), before.group.view(), std::int64_t{before.begun},
                                    std::int64_t{before.epoch}}));
  if (changed != 1) return fail(ErrorCode::conflict, "group " + before.group.hex() + ": another order came in between");
  return {};
}

Result<void> forget_unborn_group(store::Transaction& transaction, const wire::GroupId& group) {
  TRY(transaction.run("DELETE FROM call_group WHERE group_id = ? AND epoch = 0", {group.view()}));
  return {};
}

Result<void> forget_idle_groups(store::Transaction& transaction, UnixMs changed_before) {
  TRY(transaction.run("DELETE FROM call_group WHERE changed_ms < ?", {store::column(changed_before)}));
  return {};
}

}  // namespace qanat::kms
