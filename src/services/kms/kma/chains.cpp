#include "services/kms/kma/chains.hpp"

#include "crypto/kdf.hpp"
#include "node/recorded.hpp"
#include "services/kms/kma/agreement.hpp"
#include "wire/base64.hpp"

namespace qanat::kms {
namespace {

constexpr std::chrono::milliseconds root_wait_max{500};   // for a quantum key: a call is waiting for the connection
constexpr UnixMs try_again_after_ms = 10'000;             // after there was none, or the KMS knew none of those there are
constexpr std::size_t roots_for_one_max = 4;              // KMS: as many of its front ends are connected to without further quantum keys
constexpr UnixMs root_of_other_ms = 3'600'000;            // kept at most so long
constexpr std::size_t roots_of_other_max = 8;             // of one KMS
constexpr std::size_t salt_size = 16;

/// Each connection's own: the identity, which names the root, is never used twice.
Secret extra_of(const Secret& root, ByteView identity) {
  return crypto::hkdf_expand(crypto::Hash::sha384, crypto::hkdf_extract(crypto::Hash::sha384, ByteView(), root), {as_bytes("QFCI-v2 chain root"), identity}, 32);
}

Result<Bytes> octets_of(const wire::Json& body, const char* name, std::size_t size) {
  ASSIGN_OR_RETURN(const std::string text, body.text(name));
  const auto octets = from_hex(text);
  if (!octets || octets->size() != size) return fail(ErrorCode::invalid_argument, std::string(name) + ": must be " + std::to_string(2 * size) + " hexadecimal digits");
  return *octets;
}

/// Over the connection that is there already.
Result<void> ask(const net::ChainLink& link, points::Endpoint endpoint, const wire::Json& body, std::string request_id, Deadline deadline) {
  const points::EndpointRow& row = points::row(endpoint);
  const std::string text = body.dump();
  ASSIGN_OR_RETURN(const net::Response answer, link.ask({.method = std::string(row.method),
                                                         .path = std::string(row.path),
                                                         .query = "",
                                                         .content_type = std::string(row.request_type),
                                                         .body = as_bytes(text),
                                                         .request_id = std::move(request_id)},
                                                        deadline));
  if (answer.status < 200 || answer.status > 299) return fail_in(std::string(row.point), net::error_of(answer));
  return {};
}

}  // namespace

void Chains::begin() {
  for (const auto& [name, target] : node_.settings().peers) {
    const Identity& peer = target.expected;
    if (peer.kind == Kind::kms && settings_.km2_chain) {
      const auto next = [this, name = name, domain = peer.domain](const net::ChainLink& link, Deadline deadline) {
        return next_to_kms(name, domain, link, deadline);
      };
      node_.chain(name, next, *settings_.km2_chain, settings_.chain_refresh);
    }
    if (peer.kind == Kind::qkm && peer.domain == node_.identity().domain && settings_.km3_chain) {
      node_.chain(
          name, [this](const net::ChainLink& link, Deadline deadline) { return next_to_qkm(link, deadline); }, *settings_.km3_chain, settings_.chain_refresh);
    }
  }
}

Result<net::ChainedKey> Chains::next_to_qkm(const net::ChainLink& link, Deadline deadline) {
  Bytes identity = node_.rng().bytes(2 * salt_size);
  TRY(ask(link, points::Endpoint::km3_chain, wire::Json::object({{"identity", to_hex(identity)}}), node_.new_request_id(), deadline));
  const Secret extra = site_key_.derive(concat({as_bytes("km-3 chain"), identity}));
  return node_.chained_key(link, std::move(identity), extra);
}

std::vector<Chains::Root> Chains::roots_for(const std::string& name, UnixMs now) {
  const std::lock_guard lock(mutex_);
  std::vector<Root>& known = own_[name];
  std::erase_if(known, [now](const Root& root) { return root.until <= now; });
  std::vector<Root> out;
  out.reserve(known.size());
  for (const Root& root : known) out.push_back({.session = root.session, .key_id = root.key_id, .key = root.key.duplicate(), .until = root.until});
  return out;
}

Result<net::ChainedKey> Chains::by_known_root(const std::string& name, std::set<KeyId>& unknown_there, const net::ChainLink& link, Deadline deadline) {
  for (const Root& root : roots_for(name, node_.clock().now_ms())) {
    if (unknown_there.contains(root.key_id)) continue;
    auto chained = ask_kms(root, link, deadline);
    if (chained || chained.error().code != ErrorCode::not_found) return chained;
    // Another of its front ends has fetched that one, or it has started anew.
    unknown_there.insert(root.key_id);
  }
  return fail(ErrorCode::not_found, "chain: no root that " + name + " knows");
}

Chains::Turn::~Turn() {
  {
    const std::lock_guard lock(chains.mutex_);
    chains.taking_.erase(name);
  }
  chains.turn_over_.notify_all();
}

Result<net::ChainedKey> Chains::next_to_kms(const std::string& name, const std::string& domain, const net::ChainLink& link, Deadline deadline) {
  std::set<KeyId> unknown_there;
  auto known = by_known_root(name, unknown_there, link, deadline);
  if (known || known.error().code != ErrorCode::not_found) return known;
  {
    std::unique_lock lock(mutex_);
    if (!turn_over_.wait_for(lock, deadline.remaining(), [&] { return taking_.insert(name).second; }))
      return fail(ErrorCode::deadline_exceeded, "chain: another connection to " + name + " waits for a quantum key");
  }
  const Turn turn{.chains = *this, .name = name};
  // Connections that are refreshed at the same moment come under the root that the first of them takes.
  known = by_known_root(name, unknown_there, link, deadline);
  if (known || known.error().code != ErrorCode::not_found) return known;
  const UnixMs now = node_.clock().now_ms();
  {
    const std::lock_guard lock(mutex_);
    const auto barred = not_before_.find(name);
    if (barred != not_before_.end() && barred->second > now) return fail(ErrorCode::unavailable, "chain: a quantum key was asked for a moment ago for " + name);
    // Whoever says again and again that it knows none drains no stock.
    if (!unknown_there.empty()) not_before_[name] = now + try_again_after_ms;
  }
  auto root = take_root(domain, deadline.sooner_of(root_wait_max));
  auto chained = root ? ask_kms(*root, link, deadline) : Result<net::ChainedKey>(fail(root.error()));
  const std::lock_guard lock(mutex_);
  if (chained) {
    std::vector<Root>& roots = own_[name];
    roots.insert(roots.begin(), *std::move(root));
    if (roots.size() > roots_for_one_max) roots.pop_back();
  } else {
    not_before_[name] = now + try_again_after_ms;  // each attempt may cost a quantum key
  }
  return chained;
}

Result<net::ChainedKey> Chains::ask_kms(const Root& root, const net::ChainLink& link, Deadline deadline) {
  const Bytes salt = node_.rng().bytes(salt_size);
  TRY(ask(link, points::Endpoint::km2_chain,
          wire::Json::object({{"session", root.session.hex()}, {"key_id", root.key_id.hex()}, {"salt", to_hex(salt)}}), node_.new_request_id(), deadline));
  Bytes identity = concat({root.key_id.view(), salt});
  const Secret extra = extra_of(root.key, identity);
  return node_.chained_key(link, std::move(identity), extra);
}

Result<net::Response> Chains::answer(const net::Request& request) {
  return node::recorded(node_, "km-2.chain", request, [&](node::Deed& deed) -> Result<net::Response> {
    ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
    TRY(body.only({"session", "key_id", "salt"}));
    ASSIGN_OR_RETURN(const std::string session_text, body.text("session"));
    ASSIGN_OR_RETURN(const SidWk session, SidWk::parse_hex(session_text));
    ASSIGN_OR_RETURN(const std::string id_text, body.text("key_id"));
    ASSIGN_OR_RETURN(const KeyId key_id, KeyId::parse_hex(id_text));
    ASSIGN_OR_RETURN(const Bytes salt, octets_of(body, "salt", salt_size));
    deed.object = key_id.hex();
    ASSIGN_OR_RETURN(const Secret root, root_of(*request.peer.identity, session, key_id, request.deadline));
    const Bytes identity = concat({key_id.view(), salt});
    TRY(node_.expect_chained(request, identity, extra_of(root, identity)));
    return net::Response{.status = 204, .content_type = "", .body = {}};
  });
}

Result<Chains::Root> Chains::read_key(const wire::Json& answer, const SidWk& session) const {
  ASSIGN_OR_RETURN(const std::vector<wire::Json> keys, answer.array("keys"));
  if (keys.size() != 1) return fail(ErrorCode::unavailable, "Km-3: one key was asked for, " + std::to_string(keys.size()) + " came");
  ASSIGN_OR_RETURN(const std::string id, keys.front().text("key_id"));
  ASSIGN_OR_RETURN(const KeyId key_id, KeyId::parse_hex(id));
  ASSIGN_OR_RETURN(const Bytes wrapped, keys.front().base64("key"));
  ASSIGN_OR_RETURN(Secret key, site_key_.unwrap(concat({as_bytes("km-3"), key_id.view()}), wrapped));
  return Result<Root>(Root{.session = session, .key_id = key_id, .key = std::move(key), .until = 0});
}

Result<Chains::Root> Chains::take_root(const std::string& domain, Deadline deadline) {
  // Where they are required, no call reaches that domain without: whoever demands quantum keys demands this one.
  const Demand demand = settings_.km2_chain == net::ChainNeed::required ? Demand::strict : Demand::wished;
  const auto session = node_.rng().id<SidWk>();
  ASSIGN_OR_RETURN(QuantumShares drawn,
                   agreement_.draw(domain, {.what_for = "chains", .session = session, .demand = demand}, deadline, node_.new_request_id()));
  if (drawn.refs.size() != 1) return fail(ErrorCode::unavailable, "Km-3: one key was asked for, " + std::to_string(drawn.refs.size()) + " came");
  return Result<Root>(Root{.session = session,
                           .key_id = drawn.refs.front().key_id,
                           .key = std::move(drawn.keys.front()),
                           .until = node_.clock().now_ms() + static_cast<UnixMs>(settings_.chain_refresh.count())});
}

Result<Secret> Chains::root_of(const Identity& kms, const SidWk& session, const KeyId& key_id, Deadline deadline) {
  const std::string uri = kms.uri();
  {
    const std::lock_guard lock(mutex_);
    const UnixMs now = node_.clock().now_ms();
    std::erase_if(of_others_, [&](const auto& entry) { return entry.second.until <= now; });
    const auto [from, to] = of_others_.equal_range(uri);
    for (auto one = from; one != to; ++one) {
      if (one->second.key_id == key_id) return Result<Secret>(one->second.key.duplicate());
    }
  }
  ASSIGN_OR_RETURN(const std::string qkm, node_.peer_of(Kind::qkm, node_.identity().domain));
  wire::Json ids = wire::Json::array();
  ids.push(key_id.hex());
  const auto answer = node_.call_json(points::Endpoint::km3_fetch, qkm,
                                      wire::Json::object({{"peer_domain", kms.domain}, {"key_ids", ids}, {"sid_wk", session.hex()}}), deadline, node_.new_request_id());
  if (!answer) return fail(ErrorCode::not_found, "quantum key " + key_id.hex() + " is not to be had here: " + answer.error().message);
  ASSIGN_OR_RETURN(Root root, read_key(*answer, session));
  if (root.key_id != key_id) return fail(ErrorCode::internal, "Km-3: key " + root.key_id.hex() + " was not asked for");
  Secret out = root.key.duplicate();
  root.until = node_.clock().now_ms() + root_of_other_ms;
  const std::lock_guard lock(mutex_);
  if (of_others_.count(uri) >= roots_of_other_max) of_others_.erase(of_others_.lower_bound(uri));  // equal keys stand in the order in which they came
  of_others_.emplace(uri, std::move(root));
  return Result<Secret>(std::move(out));
}

}  // namespace qanat::kms
