#include "kme/stock/received.hpp"

#include "kme/stock/names.hpp"

namespace qanat::kme {
namespace {

/// At most so many are there. Lists of other key managers are few: they may be counted.
Result<void> check_room(store::Transaction& transaction, std::size_t more) {
  std::int64_t there = 0;
  TRY(transaction.query("SELECT count(*) FROM sae_received", {}, [&](const store::Row& row) { there = row.integer(0); }));
  if (there + static_cast<std::int64_t>(more) <= received_keys_max) return {};
  return fail(ErrorCode::exhausted, "too many keys of other key managers are remembered");
}

}  // namespace

Result<ReceivedKeys::Arrival> ReceivedKeys::note(store::Transaction& transaction, const ExternalKeys& keys, UnixMs now) {
  const std::string targets = joined_names(keys.targets);
  std::size_t known = 0;
  bool same = true;
  for (const Key& key : keys.keys) {
    TRY(transaction.query("SELECT initiator, targets, voided FROM sae_received WHERE key_id = ?", {key.id.view()}, [&](const store::Row& row) {
      ++known;
      same = same && row.text(0) == keys.initiator.text() && row.text(1) == targets && row.integer(2) == 0;
    }));
  }
  if (known == keys.keys.size() && same) return Arrival::again;
  if (known > 0) return fail(ErrorCode::conflict, "a key of this list came before in another list, or was voided");
  TRY(check_room(transaction, keys.keys.size()));
  for (const Key& key : keys.keys) {
    TRY(transaction.run("INSERT INTO sae_received (key_id, initiator, targets, voided, at_ms) VALUES (?, ?, ?, 0, ?)",
                        {key.id.view(), std::string_view(keys.initiator.text()), std::string_view(targets), static_cast<std::int64_t>(now)}));
  }
  return Arrival::fresh;
}

Result<void> ReceivedKeys::note_voided(store::Transaction& transaction, const SaeId& initiator, std::span<const KeyId> ids, UnixMs now) {
  if (ids.empty()) {
    TRY(transaction.run("UPDATE sae_received SET voided = 1 WHERE initiator = ?", {std::string_view(initiator.text())}));
    return {};
  }
  TRY(check_room(transaction, ids.size()));
  for (const KeyId& id : ids) {
    TRY(transaction.run("INSERT INTO sae_received (key_id, initiator, targets, voided, at_ms) VALUES (?, ?, '', 1, ?) ON CONFLICT (key_id) DO NOTHING",
                        {id.view(), std::string_view(initiator.text()), static_cast<std::int64_t>(now)}));
    TRY(transaction.run("UPDATE sae_received SET voided = 1 WHERE key_id = ? AND initiator = ? AND voided = 0", {id.view(), std::string_view(initiator.text())}));
  }
  return {};
}

Result<void> ReceivedKeys::forget(store::Transaction& transaction, UnixMs before) {
  TRY(transaction.run("DELETE FROM sae_received WHERE key_id IN (SELECT key_id FROM sae_received WHERE at_ms < ? ORDER BY at_ms LIMIT 4096)",
                      {static_cast<std::int64_t>(before)}));
  return {};
}

}  // namespace qanat::kme
