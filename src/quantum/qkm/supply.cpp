#include "quantum/qkm/supply.hpp"

#include <algorithm>

#include "node/crash_point.hpp"

namespace qanat::qkm {
namespace {

constexpr std::chrono::milliseconds reserve_for_answer{200};
constexpr std::chrono::milliseconds look_again_every{250};  // while keys cannot be had: link keys ring no bell here

std::string ids_of(std::span<const RelayedKey> keys) {
  std::string out;
  for (const RelayedKey& key : keys) out += (out.empty() ? "" : " ") + key.id.hex();
  return out;
}

bool is_good_enough(const Path& path, const Quality& quality) { return path.size() - 2 <= quality.relays_max; }

}  // namespace

std::string describe(const Quality& quality) {
  std::string out = "at most " + std::to_string(quality.relays_max) + " relays";
  if (quality.paths > 1) out += ", " + std::to_string(quality.paths) + " separate paths";
  if (!quality.demand.proof.is_any()) out += ", " + points::describe(quality.demand.proof);
  if ((quality.demand.ways & (1U << static_cast<unsigned>(KeyWay::hop_by_hop))) == 0) out += ", by a controller";
  if ((quality.demand.ways & (1U << static_cast<unsigned>(KeyWay::centralised))) == 0) out += ", hop by hop";
  return out;
}

Result<Secret> combine(std::span<const RelayedKey> shares) {
  if (shares.empty()) return fail(ErrorCode::invalid_argument, "a key has one share at least");
  Secret out = shares.front().key.duplicate();
  for (const RelayedKey& share : shares) {
    if (share.key.size() != relay_secret_size) return fail(ErrorCode::invalid_argument, "share " + share.id.hex() + ": is not 32 octets");
  }
  for (const RelayedKey& share : shares.subspan(1)) out.xor_with(share.key);
  return Result<Secret>(std::move(out));
}

GivenKeys::Take KeySupply::named(const Session& session, std::size_t count) {
  return {.sid_wk = session.sid_wk,
          .paths = session.quality.paths,
          .holder = GivenKeys::holder_of(session.sid_wk, session.kms),
          .asked = std::to_string(count) + " keys for domain " + session.peer_domain + " with " + describe(session.quality)};
}

Result<KeySupply::Given> KeySupply::from_pools(const Session& session, std::size_t least, std::size_t most) {
  const GivenKeys::Take take = named(session, most);
  return parts_.commits.transact([&](store::Transaction& transaction) -> Result<Given> {
    const UnixMs now = parts_.clock.now_ms();
    ASSIGN_OR_RETURN(std::optional<std::vector<RelayedKey>> before, parts_.given.find(transaction, take, now));
    if (before) return Result<Given>(Given{.keys = *std::move(before), .again = true});
    ASSIGN_OR_RETURN(std::vector<Pool> pools, parts_.relayed_keys.pools(transaction, session.peer_domain, now));
    std::erase_if(pools, [&](const Pool& pool) { return pool.keys < 1 || !is_good_enough(pool.path, session.quality); });
    const QualityDemand& demand = session.quality.demand;
    if (!demand.is_any()) {
      for (Pool& pool : pools) {
        ASSIGN_OR_RETURN(const bool has, parts_.relayed_keys.has(transaction, pool, demand, now));
        if (!has) pool.keys = 0;
      }
      std::erase_if(pools, [](const Pool& pool) { return pool.keys == 0; });
    }
    RelayedKeys::Handout handout{.least = 0,
                                 .holder = take.holder,
                                 .keep_until = now + static_cast<UnixMs>(parts_.place.lifetime.count()),
                                 .demand = demand};
    std::vector<RelayedKey> out;
    if (session.quality.paths > 1) {
      pools = disjoint_pools(pools, session.quality.paths);
      if (pools.empty())
        return fail(ErrorCode::exhausted, "no keys over " + std::to_string(session.quality.paths) + " separate paths to domain " + session.peer_domain);
      least = most = session.quality.paths;
    }
    for (std::size_t i = 0; i < pools.size() && out.size() < most; ++i) {
      handout.most = session.quality.paths > 1 ? 1 : std::min(most - out.size(), static_cast<std::size_t>(pools[i].keys));
      ASSIGN_OR_RETURN(std::vector<RelayedKey> keys, parts_.relayed_keys.take(transaction, pools[i], handout, now));
      std::ranges::move(keys, std::back_inserter(out));
    }
    if (out.size() < least) return fail(ErrorCode::exhausted, "no key in stock for domain " + session.peer_domain);
    TRY(parts_.given.keep(transaction, take, out, handout.keep_until));
    return Result<Given>(Given{.keys = std::move(out)});
  });
}

Result<std::vector<RelayedKey>> KeySupply::take(const Session& session, std::size_t count, Deadline deadline) {
  std::optional<Error> reason;  // that there was no key, before the time was over
  while (true) {
    const std::uint64_t seen = parts_.arrivals.count();
    auto taken = from_pools(session, count, count);
    if (!taken && taken.error().code == ErrorCode::exhausted) {
      // Another session may take what this relay brings, but then that session's own relay brings one more.
      const auto brought = bring(session, count, deadline);
      if (brought) continue;
      if (!reason || brought.error().code != ErrorCode::deadline_exceeded) reason = brought.error();
      taken = from_pools(session, 1, count);
      const bool may_wait = session.waits && brought.error().code != ErrorCode::not_found && deadline.remaining() > reserve_for_answer;
      if (!taken && may_wait) {
        parts_.arrivals.wait(seen, deadline.sooner_of(look_again_every));
        continue;
      }
      if (!taken) return refused(session, brought.error(), *reason);
    }
    if (!taken) return fail(std::move(taken).error());
    node::crash_point("qkm.take.delivered");
    return recorded(taken->again ? "relayed_key.given_again" : "relayed_key.delivered", session, std::move(taken->keys));
  }
}

/// Whoever demanded a quality is told what of it failed while there was time, not only that the time is over.
Result<std::vector<RelayedKey>> KeySupply::refused(const Session& session, const Error& last, const Error& why) {
  const Quality& quality = session.quality;
  const bool plain = quality.demand.is_any() && quality.paths == 1 && quality.relays_max >= relay_nodes_max;
  if (plain || last.code == ErrorCode::not_found) return fail(last);
  return fail(last.code, "no key for domain " + session.peer_domain + " with " + describe(quality) + ": " + why.message);
}

Result<std::vector<Path>> KeySupply::ways(const std::string& domain, const Quality& quality, Deadline deadline, const std::string& request_id) {
  const auto end_node = parts_.place.end_nodes.find(domain);
  if (end_node == parts_.place.end_nodes.end()) return fail(ErrorCode::not_found, "no QKM is configured for domain " + domain);
  // One more than needed, so that there is another when one fails.
  ASSIGN_OR_RETURN(std::vector<Path> paths, parts_.routes.find(end_node->second, quality.paths + 1, deadline, request_id));
  std::erase_if(paths, [&](const Path& path) { return !is_good_enough(path, quality); });
  if (paths.size() < quality.paths)
    return fail(ErrorCode::unavailable, "domain " + domain + " is reached over " + std::to_string(paths.size()) + " separate paths of that quality, not " +
                                            std::to_string(quality.paths));
  return paths;
}

Result<void> KeySupply::relay_over(RelayOrder order, Deadline deadline, const std::string& request_id) {
  auto relayed = parts_.relay(order, deadline, request_id);
  // A link that is short of keys carries a smaller batch; so does one whose keys are of the quality only block by block.
  while (!relayed && relayed.error().code == ErrorCode::exhausted && order.keys > 1) {
    order.keys /= 2;
    relayed = parts_.relay(order, deadline, request_id);
  }
  if (!relayed) {
    // That its keys are not of a quality says nothing against the path for others.
    const bool is_quality = relayed.error().code == ErrorCode::exhausted && !order.demand.is_any();
    if (!is_quality && order.ways == ways_all) parts_.routes.distrust(order.path);
    return fail(relayed.error());
  }
  parts_.arrivals.ring();
  return {};
}

/// As many keys over one path, whichever works; or one key over each of several.
Result<void> KeySupply::bring(const Session& session, std::size_t keys, Deadline deadline) {
  if (deadline.remaining() <= reserve_for_answer) return fail(ErrorCode::deadline_exceeded, "no key came from domain " + session.peer_domain + " in time");
  ASSIGN_OR_RETURN(const std::vector<Path> paths, ways(session.peer_domain, session.quality, deadline, session.request_id));
  Result<void> last;
  std::size_t served = 0;
  for (std::size_t i = 0; i < paths.size() && served < session.quality.paths; ++i) {
    // While other paths are left, none may use up all the time.
    const std::size_t left = paths.size() - i;
    const Deadline until = left == 1 ? deadline : deadline.sooner_of(std::max(deadline.remaining() / static_cast<int>(left), reserve_for_answer));
    const RelayOrder order{.domain = session.peer_domain,
                           .path = paths[i],
                           .keys = session.quality.paths > 1 ? 1 : keys,
                           .demand = session.quality.demand.proof,
                           .ways = session.quality.demand.ways};
    last = relay_over(order, until, session.request_id);
    if (last) ++served;
  }
  if (served == session.quality.paths) return {};
  return last;
}

Result<std::vector<RelayedKey>> KeySupply::fetch(const Session& session, std::span<const KeyId> ids, Deadline deadline) {
  while (true) {
    const std::uint64_t seen = parts_.arrivals.count();
    ASSIGN_OR_RETURN(const std::vector<KeyId> absent,
                     parts_.commits.transact([&](store::Transaction& transaction) { return parts_.relayed_keys.absent(transaction, ids); }));
    if (absent.empty()) break;
    if (!parts_.arrivals.wait(seen, deadline)) return fail(ErrorCode::not_found, "relayed key " + absent.front().hex() + ": has not come");
  }
  ASSIGN_OR_RETURN(std::vector<RelayedKey> out, parts_.commits.transact([&](store::Transaction& transaction) -> Result<std::vector<RelayedKey>> {
    const UnixMs now = parts_.clock.now_ms();
    const RelayedKeys::Handout handout{.holder = GivenKeys::holder_of(session.sid_wk, session.kms),
                                       .keep_until = now + static_cast<UnixMs>(parts_.place.lifetime.count())};
    std::vector<RelayedKey> keys;
    for (const KeyId& id : ids) {
      ASSIGN_OR_RETURN(RelayedKey key, parts_.relayed_keys.fetch(transaction, id, session.peer_domain, handout, now));
      keys.push_back(std::move(key));
    }
    return Result<std::vector<RelayedKey>>(std::move(keys));
  }));
  node::crash_point("qkm.fetch.delivered");
  return recorded("relayed_key.delivered", session, std::move(out));
}

Result<std::vector<RelayedKey>> KeySupply::recorded(std::string_view action, const Session& session, std::vector<RelayedKey> keys) {
  const std::array events{KeyEvent{.action = action, .keys = ids_of(keys), .subject = session.kms, .request_id = session.request_id}};
  TRY(parts_.record(events));
  return Result<std::vector<RelayedKey>>(std::move(keys));
}

Result<void> KeySupply::done(std::span<const KeyId> ids, RelayedKeys::Use use) {
  TRY(parts_.commits.transact([&](store::Transaction& transaction) -> Result<void> {
    std::set<std::string> holders;
    for (const KeyId& id : ids) {
      ASSIGN_OR_RETURN(std::string holder, parts_.relayed_keys.holder_of(transaction, id));
      TRY(parts_.relayed_keys.done(transaction, id, use, parts_.clock.now_ms()));
      holders.insert(std::move(holder));
    }
    return GivenKeys::done(transaction, holders);
  }));
  node::crash_point("qkm.done.destroyed");
  return {};
}

std::chrono::milliseconds KeySupply::fetch_within(const RelayedKey& key) const {
  const UnixMs now = parts_.clock.now_ms();
  const UnixMs until = key.expires_ms + static_cast<UnixMs>(parts_.place.lifetime.count()) / 2;
  return std::chrono::milliseconds(key.expires_ms == 0 || until <= now ? 0 : until - now);
}

Result<std::int64_t> KeySupply::stock(const std::string& domain) {
  ASSIGN_OR_RETURN(const std::vector<Pool> pools, parts_.commits.transact([&](store::Transaction& transaction) {
    return parts_.relayed_keys.pools(transaction, domain, parts_.clock.now_ms());
  }));
  std::int64_t out = 0;
  for (const Pool& pool : pools) out += pool.keys;
  return out;
}

Result<void> KeySupply::fill(const std::string& domain, std::size_t paths, std::size_t target, Deadline deadline, const std::string& request_id) {
  if (target == 0) return {};
  const auto end_node = parts_.place.end_nodes.find(domain);
  if (end_node == parts_.place.end_nodes.end()) return fail(ErrorCode::not_found, "no QKM is configured for domain " + domain);
  ASSIGN_OR_RETURN(const std::vector<Path> known, parts_.routes.find(end_node->second, paths, deadline, request_id));
  ASSIGN_OR_RETURN(const std::vector<Pool> pools, parts_.commits.transact([&](store::Transaction& transaction) {
    return parts_.relayed_keys.pools(transaction, domain, parts_.clock.now_ms());
  }));
  Result<void> out;
  for (std::size_t i = 0; i < std::min(paths, known.size()); ++i) {
    const auto pool = std::ranges::find(pools, known[i], &Pool::path);
    std::size_t there = pool == pools.end() ? 0 : static_cast<std::size_t>(pool->keys);
    if (2 * there >= target) continue;
    while (there < target) {
      const std::size_t keys = std::min<std::size_t>(target - there, relay_secrets_max);
      if (auto done = relay_over({.domain = domain, .path = known[i], .keys = keys}, deadline, request_id); !done) {
        out = std::move(done);
        break;
      }
      there += keys;
    }
  }
  return out;
}

}  // namespace qanat::qkm
