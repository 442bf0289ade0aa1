#include "services/kms/kp/database.hpp"

#include <fstream>

#include "node/log.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/schema.hpp"

namespace qanat::kms {
namespace {

constexpr std::string_view opened_action = "kp.database.opened";

std::filesystem::path file_of(const node::Node& node) { return node.settings().state / "kms.db"; }

/// True if a database with a guard was opened here before. Looked for in the record itself: node::Node::open has verified it.
bool was_guarded(const node::Node& node) {
  std::ifstream in(node.settings().state / "audit.jsonl", std::ios::binary);
  // Quotes within a recorded text are escaped: this is the field.
  const std::string wanted = "\"action\":\"" + std::string(opened_action) + "\",\"outcome\":\"success\"";
  for (std::string line; std::getline(in, line);) {
    if (line.contains(wanted)) return true;
  }
  return false;
}

store::GuardSettings guard_of(node::Node& node) {
  return {.anchor = node.settings().state / "kms.anchor",
          .tables = guarded_tables,
          .suite = &node.suite(),
          .device = &node.device(),
          .may_adopt = [&node]() -> Result<void> {
            if (was_guarded(node)) return fail(ErrorCode::denied, "the database has no guard, and the audit record says that it had one");
            return {};
          }};
}

Result<void> record(node::Node& node, std::string_view action, audit::Outcome outcome, std::string_view object, std::string_view reason) {
  return node.record({.action = action, .outcome = outcome, .subject = node.identity().uri(), .object = object, .reason = reason, .request_id = ""});
}

}  // namespace

Result<std::unique_ptr<store::GuardedStore>> open_database(node::Node& node) {
  ASSIGN_OR_RETURN(auto plain, store::Store::open(file_of(node), migrations));
  auto guarded = store::GuardedStore::open(std::move(plain), guard_of(node));
  if (!guarded) {
    TRY(record(node, opened_action, audit::outcome_of(guarded.error().code), "kms.db", guarded.error().message));
    return guarded;
  }
  TRY(record(node, opened_action, audit::Outcome::success, "kms.db, epoch " + std::to_string((*guarded)->epoch()),
             (*guarded)->after_crash() ? "the process before this one did not stop in order" : ""));
  return guarded;
}

Result<Database> open_kms_database(node::Node& node, std::function<Result<void>(store::Transaction&)> on_other_history) {
  if (node.settings().store) {
    ASSIGN_OR_RETURN(auto plain, node.open_store("kms", migrations, std::move(on_other_history)));
    node::log(node::LogLevel::warning, "the database in PostgreSQL is not guarded: rows that its administrator changes are not noticed");
    TRY(record(node, opened_action, audit::Outcome::success, "kms in PostgreSQL", "not guarded"));
    return Database{.store = std::move(plain)};
  }
  ASSIGN_OR_RETURN(auto guarded, open_database(node));
  store::GuardedStore* const guard = guarded.get();
  return Database{.store = std::move(guarded), .guard = guard};
}

Result<Accepted> accept_database(node::Node& node, std::string_view reason, UnixMs not_before_ms) {
  if (node.settings().store) return fail(ErrorCode::invalid_argument, "a database in PostgreSQL has no guard; `qanat kms restore` makes a restored one serve");
  if (reason.empty()) return fail(ErrorCode::invalid_argument, "a reason must be given: it goes into the audit record");
  ASSIGN_OR_RETURN(const auto plain, store::Store::open(file_of(node), migrations));
  // The intention first: whoever is asked later finds who took the database as it is, whatever became of it.
  TRY(record(node, "kp.database.accepting", audit::Outcome::success, "kms.db", reason));
  Accepted out;
  ASSIGN_OR_RETURN(out.findings, store::GuardedStore::accept(*plain, guard_of(node), [&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(out.destroyed, begin_life(transaction, node.clock().now_ms(), not_before_ms, NewLife::accepted));
    return {};
  }));
  for (const std::string& finding : out.findings) TRY(record(node, "kp.database.accepted", audit::Outcome::success, finding, reason));
  return out;
}

}  // namespace qanat::kms
