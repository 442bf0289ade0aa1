#include "services/kms/backup.hpp"

#include <system_error>

#include "node/crash_point.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kp/database.hpp"
#include "services/kms/schema.hpp"

namespace qanat::kms {
namespace {

std::filesystem::path kms_file_of(const node::Node& node) { return node.settings().state / "kms.db"; }

Result<void> record(node::Node& node, std::string_view action, const std::string& object, const std::string& reason) {
  return node.record({.action = action, .outcome = audit::Outcome::success, .subject = "", .object = object, .reason = reason, .request_id = ""});
}

/// The copy beside the database first, whole and on the disk; then in its place. What is left of the former database goes with it.
Result<void> put_in_place(const node::Node& node, const std::filesystem::path& file) {
  const std::filesystem::path place = kms_file_of(node);
  const std::filesystem::path beside = place.string() + ".restoring";
  std::error_code error;
  std::filesystem::remove(beside, error);
  {
    // Opened once as it is: whether it is a sound database of this kind, and nobody else's, and its log is in it when it is closed.
    ASSIGN_OR_RETURN(const auto copy, store::Store::open(file, migrations));
    const auto refused = copy->transact([](store::Transaction& transaction) { return check_is_no_backup(transaction); });
    if (refused) return fail(ErrorCode::invalid_argument, file.string() + ": was not made by `qanat kms backup`");
    TRY(copy->copy_to(beside));
  }
  for (const char* rest : {"-wal", "-shm"}) {
    if (std::filesystem::exists(place.string() + rest, error))
      return fail(ErrorCode::conflict, place.string() + rest + " is there: start and stop the KMS, or move the database away");
  }
  std::filesystem::rename(beside, place, error);
  if (error) return fail(ErrorCode::internal, place.string() + ": " + error.message());
  return {};
}

}  // namespace

Result<void> backup(node::Node& node, const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const auto store, node.open_store("kms", migrations));
  TRY(store->copy_to(file));
  ASSIGN_OR_RETURN(const auto copy, store::Store::open(file, migrations));
  TRY(copy->transact([&](store::Transaction& transaction) { return mark_as_backup(transaction, node.clock().now_ms()); }));
  return record(node, "database.backup", file.filename().string(), "");
}

Result<Restored> restore(node::Node& node, const KmsSettings& settings, const std::optional<std::filesystem::path>& file) {
  if (file && node.settings().store)
    return fail(ErrorCode::invalid_argument, "a PostgreSQL database is restored by the server's own means; then restore it without a file");
  if (file) TRY(put_in_place(node, *file));
  node::crash_point("kms.restore.placed");
  // What was signed up to now may bear a time that lies ahead by the clock window, and what it was answered with may be forgotten.
  const UnixMs now = node.clock().now_ms();
  Restored out{.destroyed = 0, .not_before_ms = now + static_cast<UnixMs>(settings.clock_window.count())};
  // A file from elsewhere has another guard than this KMS's anchor speaks of: its rows are taken as they are, since nothing of them is to be delivered.
  Accepted accepted;
  if (!node.settings().store) {
    ASSIGN_OR_RETURN(accepted, accept_database(node, "restored from a backup", out.not_before_ms));
  }
  ASSIGN_OR_RETURN(const Database database, open_kms_database(node, [](store::Transaction&) -> Result<void> { return {}; }));
  store::Store* const store = database.store.get();
  ASSIGN_OR_RETURN(const std::size_t others, store->other_processes());
  if (others > 0) return fail(ErrorCode::conflict, std::to_string(others) + " front ends have the database open: stop them first");
  TRY(record(node, "database.restore_intended", "", ""));
  ASSIGN_OR_RETURN(out.destroyed,
                   store->transact([&](store::Transaction& transaction) { return begin_life(transaction, now, out.not_before_ms, NewLife::restored); }));
  out.destroyed += accepted.destroyed;
  node::crash_point("kms.restore.begun");
  TRY(record(node, "database.restored", "", "working keys destroyed: " + std::to_string(out.destroyed)));
  if (database.guard != nullptr) TRY(database.guard->close());
  return out;
}

}  // namespace qanat::kms
