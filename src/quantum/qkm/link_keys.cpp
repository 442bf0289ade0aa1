#include "quantum/qkm/link_keys.hpp"

#include "crypto/kdf.hpp"
#include "wire/writer.hpp"

namespace qanat::qkm {
namespace {

using store::KeyState;

constexpr std::int64_t burnt_unknown_max = 4096;  // per link: keys that a neighbour named before their block came

std::string what(const KeyId& id) { return "link key " + id.hex(); }
Bytes context(const KeyId& id) { return store::column_context("link_key.sealed", id.view()); }
std::int64_t number(UnixMs time) { return static_cast<std::int64_t>(time); }

struct StoredKey {
  KeyState state{};
  std::string link;
  bool own = false;
  Bytes sealed;
};

Result<std::optional<StoredKey>> find(store::Transaction& transaction, const KeyId& id) {
  std::optional<StoredKey> out;
  TRY(transaction.query("SELECT state, link, own, sealed FROM link_key WHERE key_id = ?", {id.view()}, [&](const store::Row& row) {
    out = StoredKey{.state = store::key_state_from_name(row.text(0)).value_or(KeyState::destroyed),
                    .link = row.text(1),
                    .own = row.integer(2) == 1,
                    .sealed = row.is_null(3) ? Bytes() : row.blob(3)};
  }));
  return out;
}

}  // namespace

KeyId link_key_id(const LinkId& link, std::uint64_t block_id, std::uint32_t index) {
  wire::Writer out;
  out.raw(as_bytes("qanat qkd key id"));
  out.u16(static_cast<std::uint16_t>(link.text().size()));
  out.raw(link.view());
  out.u64(block_id);
  out.u32(index);
  return KeyId(ByteView(crypto::digest(crypto::Hash::sha256, *std::move(out).finish())).first(KeyId::size));
}

Owner owner_of(std::uint32_t index, const ElementName& self, const ElementName& peer) {
  const bool self_is_first = self.text() < peer.text();
  return (index % 2 == 0) == self_is_first ? Owner::self : Owner::peer;
}

Result<std::uint64_t> LinkKeys::next_block(store::Transaction& transaction, const LinkId& link) {
  std::int64_t newest = 0;
  TRY(transaction.query("SELECT coalesce(max(block_id), 0) FROM link_block WHERE link = ?", {std::string_view(link.text())},
                        [&](const store::Row& row) { newest = row.integer(0); }));
  return static_cast<std::uint64_t>(newest) + 1;
}

Result<void> LinkKeys::ingest(store::Transaction& transaction, const LinkBlock& block, UnixMs now) {
  const std::size_t count = block.keys.size() / link_key_size;
  if (count == 0 || block.keys.size() % link_key_size != 0)
    return fail(ErrorCode::invalid_argument, "link block: " + std::to_string(block.keys.size()) + " octets are no whole keys");
  ASSIGN_OR_RETURN(const std::uint64_t next, next_block(transaction, block.link));
  if (block.block_id + 1 == next && block.block_id != 0) return {};
  if (block.block_id < next) {
    return fail(ErrorCode::conflict,
                "link " + block.link.text() + ": block " + std::to_string(block.block_id) + " is older than the newest one, " + std::to_string(next - 1));
  }
  const std::string_view link = block.link.text();
  const auto block_id = static_cast<std::int64_t>(block.block_id);
  TRY(transaction.run("INSERT INTO link_block (link, block_id, keys) VALUES (?, ?, ?)", {link, block_id, static_cast<std::int64_t>(count)}));
  for (std::uint32_t i = 0; i < count; ++i) {
    const KeyId id = link_key_id(block.link, block.block_id, i);
    const Secret key = Secret::copy_of(block.keys.reveal().subspan(i * link_key_size, link_key_size));
    ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(context(id), key));
    const auto own = static_cast<std::int64_t>(owner_of(i, self_, block.peer));
    // A row that is there already is of a key that was burnt before it came: it stays so.
    TRY(
        transaction.run("INSERT INTO link_key (key_id, link, block_id, position, own, state, sealed, changed_ms) VALUES (?, ?, ?, ?, ?, 'generated', ?, ?)"
                        " ON CONFLICT (key_id) DO NOTHING",
                        {id.view(), link, block_id, std::int64_t{i}, own, ByteView(sealed), number(now)}));
  }
  return drop_old_blocks(transaction, block.link, now);
}

Result<void> LinkKeys::drop_old_blocks(store::Transaction& transaction, const LinkId& link, UnixMs now) {
  std::int64_t total = 0;
  std::int64_t oldest_kept = 0;
  TRY(transaction.query("SELECT block_id, keys FROM link_block WHERE link = ? ORDER BY block_id DESC", {std::string_view(link.text())},
                        [&](const store::Row& row) {
                          total += row.integer(1);
                          if (total <= keys_max_ || oldest_kept == 0) oldest_kept = row.integer(0);
                        }));
  if (total <= keys_max_) return {};
  TRY(transaction.run("UPDATE link_key SET state = 'destroyed', sealed = NULL, changed_ms = ? WHERE link = ? AND block_id < ? AND state = 'generated'",
                      {number(now), std::string_view(link.text()), oldest_kept}));
  TRY(transaction.run("DELETE FROM link_block WHERE link = ? AND block_id < ?", {std::string_view(link.text()), oldest_kept}));
  return {};
}

Result<HopKeys> LinkKeys::reserve(store::Transaction& transaction, const LinkId& link, UnixMs now) {
  struct Found {
    KeyId id;
    Bytes sealed;
  };
  std::vector<Found> found;
  TRY(transaction.query("SELECT key_id, sealed FROM link_key WHERE link = ? AND own = 1 AND state = 'generated' ORDER BY block_id, position LIMIT 2",
                        {std::string_view(link.text())}, [&](const store::Row& row) {
                          found.push_back({KeyId(row.blob(0)), row.blob(1)});
                        }));
  if (found.size() < 2) return fail(ErrorCode::exhausted, "link " + link.text() + " has no key left");
  HopKeys out;
  for (std::size_t i = 0; i < 2; ++i) {
    LinkKey& key = i == 0 ? out.pad : out.mac;
    key.id = found[i].id;
    ASSIGN_OR_RETURN(key.key, device_.unseal(context(key.id), found[i].sealed));
    TRY(advance(transaction, key.id, KeyState::reserved, now));
  }
  return Result<HopKeys>(std::move(out));
}

Result<void> LinkKeys::burn_unknown(store::Transaction& transaction, const LinkId& link, const KeyId& id, UnixMs now) {
  std::int64_t burnt = 0;
  TRY(transaction.query("SELECT count(*) FROM link_key WHERE link = ? AND block_id = 0 AND state = 'destroyed'", {std::string_view(link.text())},
                        [&](const store::Row& row) { burnt = row.integer(0); }));
  if (burnt >= burnt_unknown_max) return {};
  TRY(transaction.run("INSERT INTO link_key (key_id, link, block_id, position, own, state, sealed, changed_ms) VALUES (?, ?, 0, 0, 0, 'destroyed', NULL, ?)",
                      {id.view(), std::string_view(link.text()), number(now)}));
  return {};
}

Result<Secret> LinkKeys::use_up(store::Transaction& transaction, const LinkId& link, const KeyId& id, UnixMs now, std::optional<Error>& refusal) {
  const auto refuse = [&](ErrorCode code, std::string_view why) -> Result<Secret> {
    if (!refusal) refusal = Error{code, what(id) + ": " + std::string(why)};
    return Result<Secret>(Secret());
  };
  ASSIGN_OR_RETURN(const auto stored, find(transaction, id));
  if (!stored) {
    TRY(burn_unknown(transaction, link, id, now));
    return refuse(ErrorCode::not_found, "is not here; if it comes later it counts as used");
  }
  // These two leave the key alone: the neighbour has no say in it.
  if (stored->link != link.text()) return refuse(ErrorCode::denied, "belongs to another link");
  if (stored->own) return refuse(ErrorCode::denied, "the sender does not own it");
  if (stored->state != KeyState::generated) return refuse(ErrorCode::conflict, "was used before");
  ASSIGN_OR_RETURN(Secret key, device_.unseal(context(id), stored->sealed));
  TRY(advance(transaction, id, KeyState::destroyed, now));
  return Result<Secret>(std::move(key));
}

Result<LinkKeys::Receipt> LinkKeys::receive(store::Transaction& transaction, const LinkId& link, const KeyId& pad_id, const KeyId& mac_id, UnixMs now) {
  if (pad_id == mac_id) return fail(ErrorCode::invalid_argument, what(pad_id) + ": cannot be pad and MAC key");
  std::optional<Error> refusal;
  ASSIGN_OR_RETURN(Secret pad, use_up(transaction, link, pad_id, now, refusal));
  ASSIGN_OR_RETURN(Secret mac, use_up(transaction, link, mac_id, now, refusal));
  Receipt out;
  if (refusal) {
    out.refusal = *refusal;
  } else {
    out.keys = HopKeys{.pad = {.id = pad_id, .key = std::move(pad)}, .mac = {.id = mac_id, .key = std::move(mac)}};
  }
  return Result<Receipt>(std::move(out));
}

Result<bool> LinkKeys::known(store::Transaction& transaction, const KeyId& id) {
  ASSIGN_OR_RETURN(const auto state, state_of(transaction, id));
  return state.has_value();
}

Result<std::optional<KeyState>> LinkKeys::state_of(store::Transaction& transaction, const KeyId& id) {
  std::optional<KeyState> state;
  TRY(transaction.query("SELECT state FROM link_key WHERE key_id = ?", {id.view()},
                        [&](const store::Row& row) { state = store::key_state_from_name(row.text(0)); }));
  return state;
}

Result<void> LinkKeys::advance(store::Transaction& transaction, const KeyId& id, KeyState to, UnixMs now) {
  ASSIGN_OR_RETURN(const auto from, state_of(transaction, id));
  if (!from) return fail(ErrorCode::not_found, what(id) + ": is not here");
  TRY(store::check_transition(*from, to, what(id)));
  const std::string_view sql = to == KeyState::destroyed ? "UPDATE link_key SET state = ?, changed_ms = ?, sealed = NULL WHERE key_id = ?"
                                                         : "UPDATE link_key SET state = ?, changed_ms = ? WHERE key_id = ?";
  TRY(transaction.run(sql, {store::name(to), number(now), id.view()}));
  return {};
}

Result<void> LinkKeys::destroy(store::Transaction& transaction, const KeyId& id, UnixMs now) { return advance(transaction, id, KeyState::destroyed, now); }

Result<std::vector<KeyId>> LinkKeys::recover(store::Transaction& transaction, UnixMs now) {
  std::vector<KeyId> out;
  TRY(transaction.query("SELECT key_id FROM link_key WHERE state IN ('reserved', 'delivered')", {},
                        [&](const store::Row& row) { out.emplace_back(row.blob(0)); }));
  for (const KeyId& id : out) TRY(destroy(transaction, id, now));
  return out;
}

Result<void> LinkKeys::forget(store::Transaction& transaction, UnixMs before) {
  TRY(transaction.run("DELETE FROM link_key WHERE state = 'destroyed' AND changed_ms < ?", {number(before)}));
  return {};
}

Result<LinkStock> LinkKeys::stock(store::Transaction& transaction, const LinkId& link) {
  LinkStock out;
  TRY(transaction.query("SELECT own, count(*) FROM link_key WHERE link = ? AND state = 'generated' GROUP BY own", {std::string_view(link.text())},
                        [&](const store::Row& row) { (row.integer(0) == 1 ? out.own : out.peer) = row.integer(1); }));
  return out;
}

}  // namespace qanat::qkm
