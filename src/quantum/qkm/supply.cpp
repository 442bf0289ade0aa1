#include "quantum/qkm/supply.hpp"

#include "node/crash_point.hpp"

namespace qanat::qkm {

Result<std::vector<RelayedKey>> KeySupply::take(const Session& session, std::size_t count, Deadline deadline) {
  std::vector<KeyId> reserved;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<KeyId> found, parts_.store.transact([&](store::Transaction& transaction) {
      return parts_.relayed_keys.reserve(transaction, session.peer_domain, session.sid_wk, count - reserved.size(), parts_.clock.now_ms());
    }));
    reserved.insert(reserved.end(), found.begin(), found.end());
    if (reserved.size() == count) break;
    // Another session may take what this relay brings, but then that session's own relay brings one more.
    if (const auto relayed = parts_.relay.relay_to(session.peer_domain, deadline, session.request_id); !relayed) {
      if (reserved.empty()) return fail(relayed.error());
      break;
    }
  }
  node::crash_point("qkm.take.reserved");
  ASSIGN_OR_RETURN(std::vector<RelayedKey> out, deliver(session, reserved));
  node::crash_point("qkm.take.delivered");
  return Result<std::vector<RelayedKey>>(std::move(out));
}

Result<std::vector<RelayedKey>> KeySupply::fetch(const Session& session, std::span<const KeyId> ids, Deadline deadline) {
  while (true) {
    const std::uint64_t seen = parts_.arrivals.count();
    ASSIGN_OR_RETURN(const std::vector<KeyId> absent,
                     parts_.store.transact([&](store::Transaction& transaction) { return parts_.relayed_keys.absent(transaction, ids); }));
    if (absent.empty()) break;
    if (!parts_.arrivals.wait(seen, deadline)) return fail(ErrorCode::not_found, "relayed key " + absent.front().hex() + ": has not come");
  }
  TRY(parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    for (const KeyId& id : ids) TRY(parts_.relayed_keys.reserve_far(transaction, id, session.peer_domain, session.sid_wk, parts_.clock.now_ms()));
    return {};
  }));
  ASSIGN_OR_RETURN(std::vector<RelayedKey> out, deliver(session, ids));
  node::crash_point("qkm.fetch.delivered");
  return Result<std::vector<RelayedKey>>(std::move(out));
}

Result<std::vector<RelayedKey>> KeySupply::deliver(const Session& session, std::span<const KeyId> reserved) {
  const UnixMs now = parts_.clock.now_ms();
  const UnixMs keep_until = now + static_cast<UnixMs>(parts_.relay.place().lifetime.count());
  auto out = parts_.store.transact([&](store::Transaction& transaction) -> Result<std::vector<RelayedKey>> {
    std::vector<RelayedKey> keys;
    for (const KeyId& id : reserved) {
      ASSIGN_OR_RETURN(RelayedKey key, parts_.relayed_keys.deliver(transaction, id, keep_until, now));
      keys.push_back(std::move(key));
    }
    return Result<std::vector<RelayedKey>>(std::move(keys));
  });
  if (!out) return out;
  std::vector<KeyEvent> events;
  for (const KeyId& id : reserved) {
    events.push_back({.action = "relayed_key.delivered", .key = id, .subject = session.kms, .request_id = session.request_id});
  }
  TRY(parts_.record(events));
  return out;
}

Result<void> KeySupply::done(std::span<const KeyId> ids, RelayedKeys::Use use) {
  TRY(parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    for (const KeyId& id : ids) TRY(parts_.relayed_keys.done(transaction, id, use, parts_.clock.now_ms()));
    return {};
  }));
  node::crash_point("qkm.done.destroyed");
  return {};
}

Result<std::size_t> KeySupply::missing(const std::string& domain, std::size_t target) {
  ASSIGN_OR_RETURN(const auto stock,
                   parts_.store.transact([&](store::Transaction& transaction) { return parts_.relayed_keys.stock(transaction, parts_.clock.now_ms()); }));
  const auto found = stock.find(domain);
  const std::size_t there = found == stock.end() ? 0 : static_cast<std::size_t>(found->second);
  return target - std::min(there, target);
}

}  // namespace qanat::qkm
