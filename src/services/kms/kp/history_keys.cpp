#include "services/kms/kp/history_keys.hpp"

#include <algorithm>

#include "store/key_commitment.hpp"
#include "store/lifecycle.hpp"

namespace qanat::kms {
namespace {

static_assert(store::may(store::KeyKind::terminal_encryption, store::KeyState::archived, store::KeyState::destroyed), "what history keeps of a pair ends");

constexpr std::string_view history_key_over = "its pair, or the certificates of it, ended kms.history_keys_days ago";
constexpr std::string_view history_keeps_none = "kms.history is none";

Result<std::vector<ErasedKey>> keys_over(store::Transaction& transaction, const HistoryTerms& terms, UnixMs now, std::int64_t most) {
  const bool all = terms.policy == HistoryPolicy::none;
  const auto kept = static_cast<UnixMs>(std::chrono::milliseconds(terms.kept).count());
  std::vector<store::Value> values;
  if (!all) values.emplace_back(store::column(now - std::min(now, kept)));
  values.emplace_back(most);
  std::vector<ErasedKey> out;
  const std::string which = all ? "" : " AND coalesce(ended_ms, certified_until_ms) <= ?";
  TRY(transaction.query(
      "SELECT enc_kid, uid FROM history_key WHERE sealed_pair IS NOT NULL" + which + " ORDER BY coalesce(ended_ms, certified_until_ms) LIMIT ?",
      std::span<const store::Value>(values),
      [&](const store::Row& row) { out.push_back({.enc_kid = row.blob(0), .uid = Uid(row.text(1)), .commitment = {}}); }));
  return out;
}

}  // namespace

OwedRecord end_of(const ErasedKey& gone, std::string_view why) {
  return {.action = "kp.history.erased", .subject = gone.uid.text(), .object = to_hex(gone.enc_kid), .reason = reason_with(why, gone.commitment)};
}

Bytes pair_commitment(ByteView enc_kid, const Secret& pair) { return store::key_commitment(store::KeyKind::terminal_encryption, enc_kid, pair); }

Result<void> certify_in_history(store::Transaction& transaction, const Terminal& terminal) {
  const auto certificate = crypto::Certificate::parse(terminal.encryption_classical);  // the two of a bundle end together
  if (!certificate) return {};
  return transaction.change("UPDATE history_key SET certified_until_ms = ? WHERE enc_kid = ?",
                            {store::column(certificate->not_after()), ByteView(terminal.enc_kid)});
}

Result<ErasedKey> erase_history_key(store::Transaction& transaction, const Uid& uid, ByteView enc_kid, const Ending& ending) {
  ErasedKey out{.enc_kid = to_bytes(enc_kid), .uid = uid, .commitment = {}};
  bool there = false;
  TRY(transaction.query("SELECT commitment FROM history_key WHERE enc_kid = ? AND uid = ? AND sealed_pair IS NOT NULL", {enc_kid, std::string_view(uid.text())},
                        [&](const store::Row& row) {
                          there = true;
                          if (!row.is_null(0)) out.commitment = row.blob(0);
                        }));
  if (!there) return fail(ErrorCode::not_found, "history has no private key " + to_hex(enc_kid) + " of " + uid.text());
  TRY(transaction.change_one("UPDATE history_key SET sealed_pair = NULL, destroyed_ms = ?, destroyed_by = ?, destroyed_why = ? WHERE enc_kid = ?",
                             {store::column(ending.at_ms), std::string_view(ending.by), std::string_view(ending.why), enc_kid}));
  return out;
}

Result<std::int64_t> erase_history_keys(node::Node& node, store::Store& store, const HistoryTerms& terms, std::int64_t most) {
  const UnixMs now = node.clock().now_ms();
  const Ending ending{.by = "kms", .why = std::string(terms.policy == HistoryPolicy::none ? history_keeps_none : history_key_over), .at_ms = now};
  ASSIGN_OR_RETURN(const std::vector<ErasedKey> due, store.transact([&](store::Transaction& transaction) { return keys_over(transaction, terms, now, most); }));
  return end_each(node, store, due, ErrorCode::not_found, now, [&](store::Transaction& transaction, const ErasedKey& key) -> Result<OwedRecord> {
    ASSIGN_OR_RETURN(const ErasedKey gone, erase_history_key(transaction, key.uid, key.enc_kid, ending));
    return end_of(gone, ending.why);
  });
}

Result<void> end_history_keys(node::Node& node, store::Store& store, const HistoryTerms& terms) {
  while (true) {
    ASSIGN_OR_RETURN(const std::int64_t erased, erase_history_keys(node, store, terms));
    if (terms.policy != HistoryPolicy::none || erased == 0) return {};
  }
}

}  // namespace qanat::kms
