#include "quantum/qkm/relayed_keys.hpp"

#include <algorithm>

namespace qanat::qkm {
namespace {

using store::KeyState;

RelayedKey one_key(const Taken& taken, const std::vector<ElementName>& path) {
  return {.id = taken.run.id(0), .path = path, .way = taken.about, .key = taken.key(0), .quality = taken.quality, .expires_ms = taken.expires_ms};
}

}  // namespace

std::size_t separate_paths(std::span<const RelayedKey> keys) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (const RelayedKey& other : keys.subspan(i + 1)) {
      if (!are_disjoint(keys[i].path, other.path)) return 1;
    }
  }
  return keys.size();
}

Result<void> RelayedKeys::add(store::Transaction& transaction, const RelayedBatch& batch, UnixMs now) {
  std::vector<Chunk> chunks;
  chunks.push_back({.batch = batch.id,
                    .owner = batch.end == End::near ? Owner::self : Owner::peer,
                    .keys = batch.keys.duplicate(),
                    .about = batch.way.substr(0, about_max),
                    .expires_ms = batch.expires_ms,
                    .quality = batch.quality});
  TRY(stock_.add(transaction, stock_of(batch.peer_domain, batch.path), {}, chunks, now));
  return {};
}

Result<std::vector<RelayedKey>> RelayedKeys::take(store::Transaction& transaction, const Pool& pool, const Handout& handout, UnixMs now) {
  ASSIGN_OR_RETURN(const std::vector<Taken> taken,
                   stock_.claim(transaction, stock_of(pool.peer_domain, pool.path), {.least = handout.least, .most = handout.most, .each = true, .demand = handout.demand},
                                {.state = KeyState::delivered, .holder = handout.holder, .until_ms = handout.keep_until}, now));
  std::vector<RelayedKey> out;
  out.reserve(taken.size());
  for (const Taken& one : taken) out.push_back(one_key(one, pool.path));
  return Result<std::vector<RelayedKey>>(std::move(out));
}

Result<std::vector<KeyId>> RelayedKeys::absent(store::Transaction& transaction, std::span<const KeyId> ids) {
  std::vector<KeyId> out;
  for (const KeyId& id : ids) {
    ASSIGN_OR_RETURN(const auto state, stock_.state_of(transaction, id));
    if (!state) out.push_back(id);
  }
  return out;
}

Result<RelayedKey> RelayedKeys::fetch(store::Transaction& transaction, const KeyId& id, std::string_view peer_domain, const Handout& handout, UnixMs now) {
  ASSIGN_OR_RETURN(const auto stock, stock_.stock_with(transaction, id));
  if (!stock || !stock->text().starts_with(domain_stocks)) return fail(ErrorCode::not_found, "relayed key " + id.hex() + ": is not here");
  ASSIGN_OR_RETURN(const Pool pool, pool_named(*stock));
  if (pool.peer_domain != peer_domain) return fail(ErrorCode::denied, "relayed key " + id.hex() + ": is not shared with domain " + std::string(peer_domain));
  ASSIGN_OR_RETURN(const KeyStock::Receipt receipt,
                   stock_.redeem(transaction, *stock, std::array{KeyRun::one(id)},
                                 {.state = KeyState::delivered, .holder = handout.holder, .until_ms = handout.keep_until}, KeyStock::Unknown::leave, now));
  if (receipt.refusal) return fail_in("relayed key", *receipt.refusal);
  return Result<RelayedKey>(one_key(receipt.keys.front(), pool.path));
}

Result<void> RelayedKeys::done(store::Transaction& transaction, const KeyId& id, Use use, UnixMs now) {
  ASSIGN_OR_RETURN(const auto state, state_of(transaction, id));
  if (state == KeyState::destroyed) return {};
  if (!state) return fail(ErrorCode::not_found, "relayed key " + id.hex() + ": is not here");
  if (state == KeyState::generated) return fail(ErrorCode::conflict, "relayed key " + id.hex() + ": was not handed out");
  const KeyRun run = KeyRun::one(id);
  if (use == Use::confirmed) TRY(stock_.advance(transaction, run, KeyState::confirmed, now));
  return stock_.advance(transaction, run, KeyState::destroyed, now);
}

Result<bool> RelayedKeys::has(store::Transaction& transaction, const Pool& pool, const QualityDemand& demand, UnixMs now) {
  ASSIGN_OR_RETURN(const auto found, stock_.quality(transaction, stock_of(pool.peer_domain, pool.path), demand, now));
  return found.has_value();
}

Result<std::vector<Pool>> RelayedKeys::pools(store::Transaction& transaction, std::string_view peer_domain, UnixMs now) {
  const std::string prefix = std::string(domain_stocks) + (peer_domain.empty() ? "" : std::string(peer_domain) + "/");
  ASSIGN_OR_RETURN(const std::vector<StockName> names, stock_.stocks(transaction, prefix));
  std::vector<Pool> out;
  for (const StockName& name : names) {
    ASSIGN_OR_RETURN(Pool pool, pool_named(name));
    ASSIGN_OR_RETURN(const StockLevel level, stock_.level(transaction, name, now));
    pool.keys = level.own;
    out.push_back(std::move(pool));
  }
  return out;
}

}  // namespace qanat::qkm
