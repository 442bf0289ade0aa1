#include "services/cmsp/csm/notices.hpp"

#include "node/subscriber.hpp"

namespace qanat::cmsp {
namespace {

constexpr std::size_t rule_max = 64;
constexpr std::size_t why_max = 1024;

}  // namespace

Result<Notice> read_notice(const wire::Json& json) {
  TRY(json.only({"id", "rule", "uid", "found_ms", "why", "records"}));
  Notice out;
  ASSIGN_OR_RETURN(out.id, json.integer("id", 1, INT64_MAX));
  ASSIGN_OR_RETURN(out.rule, json.text("rule"));
  ASSIGN_OR_RETURN(out.uid, json.text("uid"));
  TRY(node::parse_uid(out.uid));
  ASSIGN_OR_RETURN(const std::int64_t found, json.integer("found_ms", 0, INT64_MAX));
  out.found_ms = static_cast<UnixMs>(found);
  ASSIGN_OR_RETURN(out.why, json.text("why"));
  if (out.rule.size() > rule_max || out.why.size() > why_max) return fail(ErrorCode::invalid_argument, "notice: its rule or reason is too long");
  return out;
}

Result<void> Notices::take(const std::string& iam, const Notice& notice, UnixMs now) {
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.run("INSERT INTO notice (iam, id, rule, uid, found_ms, why, received_ms) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (iam, id) DO NOTHING",
                           {std::string_view(iam), notice.id, std::string_view(notice.rule), std::string_view(notice.uid), store::column(notice.found_ms),
                            std::string_view(notice.why), store::column(now)});
  }));
  return {};
}

Result<Notices::Census> Notices::census() {
  Census out;
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.query("SELECT count(*) FROM notice", {}, [&](const store::Row& row) { out.count = row.integer(0); }));
    return transaction.query("SELECT rule, uid, why FROM notice ORDER BY received_ms DESC, id DESC LIMIT 1", {},
                             [&](const store::Row& row) { out.last = row.text(0) + " of " + row.text(1) + ": " + row.text(2); });
  }));
  return out;
}

}  // namespace qanat::cmsp
