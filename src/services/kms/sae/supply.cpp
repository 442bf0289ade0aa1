#include "services/kms/sae/supply.hpp"

#include <algorithm>
#include <charconv>

#include "kme/stock/pools.hpp"
#include "node/crash_point.hpp"
#include "node/log.hpp"
#include "services/kms/kma/incarnation.hpp"

namespace qanat::kms {
namespace {

constexpr std::chrono::milliseconds agreement_max{5000};
constexpr std::string_view pqc_stock = "pqc";
constexpr std::string_view quantum_stock = "qkd-";

std::string prefix_of(const std::string& domain) { return std::string(kme::domain_stocks) + domain + "/"; }

/// Of the last part of the name; nothing for a stock of another kind.
std::optional<std::uint8_t> paths_in(const kme::StockName& stock) {
  std::string_view text = stock.text();
  text.remove_prefix(std::min(text.size(), text.rfind('/') + 1));
  if (text == pqc_stock) return std::uint8_t{0};
  if (!text.starts_with(quantum_stock)) return std::nullopt;
  text.remove_prefix(quantum_stock.size());
  std::uint8_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out == 0) return std::nullopt;
  return out;
}

std::uint8_t batches_for(std::int64_t missing) {
  const std::int64_t whole = (missing + wire::supply_batch_keys - 1) / wire::supply_batch_keys;
  return static_cast<std::uint8_t>(std::clamp<std::int64_t>(whole, 1, wire::supply_batches_max));
}

SidWk sid_of(const wire::SupplyId& id) { return SidWk(id.view()); }

}  // namespace

kme::StockName supply_stock(const std::string& domain, std::uint8_t paths) {
  return kme::StockName(prefix_of(domain) + (paths == 0 ? std::string(pqc_stock) : std::string(quantum_stock) + std::to_string(paths)));
}

bool supply_meets(const kme::StockName& stock, const kme::Demands& demands) {
  const std::optional<std::uint8_t> paths = paths_in(stock);
  if (!paths || demands.relays_max != kme::Demands::relays_any) return false;
  return (*paths > 0 || !demands.quantum) && demands.paths <= std::max<std::uint32_t>(1, *paths);
}

Supply::Supply(node::Node& node, store::Store& store, kme::KeyStock& stock, node::SenderDirectory& senders, Agreement& agreement,
               std::map<std::string, ElementName> domains, SupplySettings settings)
    : node_(node), store_(store), stock_(stock), senders_(senders), agreement_(agreement), domains_(std::move(domains)), settings_(settings) {}

Result<Supply::Level> Supply::level(const std::string& domain) {
  return store_.transact([&](store::Transaction& transaction) -> Result<Level> {
    Level out;
    ASSIGN_OR_RETURN(const std::vector<kme::StockName> names, stock_.stocks(transaction, prefix_of(domain)));
    for (const kme::StockName& name : names) {
      ASSIGN_OR_RETURN(const kme::StockLevel level, stock_.level(transaction, name, node_.clock().now_ms()));
      out.all += level.own;
      out.peer += level.peer;
      if (paths_in(name).value_or(0) > 0) out.quantum += level.own;
    }
    return out;
  });
}

Result<void> Supply::record(std::string_view action, audit::Outcome outcome, const wire::SupplyId& id, const std::string& domain, std::string_view why,
                            const std::string& request_id) {
  return node_.record({.action = action, .outcome = outcome, .subject = domains_.at(domain).text(), .object = id.hex(), .reason = std::string(why),
                       .request_id = request_id});
}

SupplySettings Supply::in_force() const {
  const std::shared_ptr<const Terms> terms = agreement_.terms();
  SupplySettings out = settings_;
  out.low = terms->pool_low.value_or(out.low);
  out.high = terms->pool_high.value_or(out.high);
  out.pqc_fallback = out.pqc_fallback && terms->pqc_fallback;
  return out;
}

/// Quantum keys first. Without them the stock is still filled if policy allows, and they are asked for again the next time.
Result<void> Supply::fill(const std::string& domain) {
  ASSIGN_OR_RETURN(const Level before, level(domain));
  const SupplySettings now = in_force();
  Result<void> with_quantum;
  if (before.quantum < now.low) {
    with_quantum = agree(domain, now.high - before.quantum, From::quantum);
    if (with_quantum || !now.pqc_fallback) return with_quantum;
    node::log(node::LogLevel::debug, "keys for SAEs with domain {}: no quantum keys: {}", domain, with_quantum.error().message);
  }
  if (before.all < now.low) return agree(domain, now.high - before.all, From::public_keys);
  return with_quantum;
}

Result<void> Supply::agree(const std::string& domain, std::int64_t missing, From from) {
  const std::string request_id = node_.new_request_id();
  const Deadline deadline = Deadline::after(agreement_max);
  const auto id = node_.rng().id<wire::SupplyId>();
  QuantumShares shares;
  if (from == From::quantum) {
    ASSIGN_OR_RETURN(shares, agreement_.take_shares(domain, sid_of(id), deadline, request_id));
    if (shares.refs.empty()) return fail(ErrorCode::exhausted, "the QKM has no key for domain " + domain);
  }
  node::crash_point("kms.supply.taken");
  const auto agreed = agree_with(domain, id, missing, shares, deadline, request_id);
  if (!agreed) {
    agreement_.shares_done(shares.refs, Agreement::Fate::unused, request_id);
    TRY(record("km-2.supply", audit::outcome_of(agreed.error().code), id, domain, agreed.error().message, request_id));
    return fail(agreed.error());
  }
  TRY(store_.transact([&](store::Transaction& transaction) { return add(transaction, domain, *agreed, kme::Owner::self); }));
  node::crash_point("kms.supply.added");
  agreement_.shares_done(shares.refs, Agreement::Fate::used, request_id);
  return record("km-2.supply", audit::Outcome::success, id, domain,
                std::to_string(agreed->batches.size() * wire::supply_batch_keys) + " keys, " + std::to_string(agreed->paths) + " quantum path(s)", request_id);
}

Result<AgreedSupply> Supply::agree_with(const std::string& domain, const wire::SupplyId& id, std::int64_t missing, const QuantumShares& shares,
                                        Deadline deadline, const std::string& request_id) {
  const ElementName& kms_b = domains_.at(domain);
  const std::shared_ptr<const node::MessageSigner> own = node_.signer();
  ASSIGN_OR_RETURN(const SupplyOffering offering,
                   SupplyOffering::make(signer(*own),
                                        {.kms_a = ElementName(node_.identity().name), .kms_b = kms_b, .batches = batches_for(missing), .now = node_.clock().now_ms()},
                                        id, shares));
  ASSIGN_OR_RETURN(const net::Response response,
                   node_.call(points::Endpoint::km2_supply, kms_b.text(), node::enclose(*own, offering.offer().octets), deadline, request_id));
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(response.body));
  ASSIGN_OR_RETURN(const auto sender, senders_.check(envelope.classical, envelope.ml_dsa, node_.settings().peers.at(kms_b.text()).expected, deadline));
  ASSIGN_OR_RETURN(const auto accept, wire::parse<wire::SupplyAccept>(envelope.message));
  TRY(wire::verify(accept, sender->verifier, sender->fps));
  return offering.finish(accept, sender->fps, shares, in_force().pqc_fallback ? SupplyOffering::Quantum::wished : SupplyOffering::Quantum::demanded);
}

Result<void> Supply::add(store::Transaction& transaction, const std::string& domain, const AgreedSupply& agreed, kme::Owner owner) {
  const UnixMs now = node_.clock().now_ms();
  // The owner's end goes first: a key that it chooses is still at the other end.
  const UnixMs life = static_cast<UnixMs>(settings_.lifetime.count()) * (owner == kme::Owner::self ? 1 : 2);
  std::vector<kme::Chunk> chunks;
  chunks.reserve(agreed.batches.size());
  for (const SupplyBatch& batch : agreed.batches) {
    chunks.push_back({.batch = batch.id, .owner = owner, .keys = batch.keys.duplicate(), .about = {}, .expires_ms = now + life, .quality = {}});
  }
  TRY(stock_.add(transaction, supply_stock(domain, agreed.paths), {}, chunks, now));
  return {};
}

Result<net::Response> Supply::offered(const net::Request& request) {
  const Identity& kms_a = *request.peer.identity;
  const auto known = domains_.find(kms_a.domain);
  if (known == domains_.end() || known->second.text() != kms_a.name) return fail(ErrorCode::denied, kms_a.uri() + " shares no keys for SAEs with this KMS");
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(request.body));
  ASSIGN_OR_RETURN(const auto sender, senders_.check(envelope.classical, envelope.ml_dsa, kms_a, request.deadline));
  ASSIGN_OR_RETURN(const auto offer, wire::parse<wire::SupplyOffer>(envelope.message));
  TRY(wire::verify(offer, sender->verifier, sender->fps));
  const wire::SupplyOffer& asked = offer.message;
  TRY(agreement_.check_fresh(asked.ts_ms, "SupplyOffer"));
  if (asked.fps != sender->fps || asked.kms_a.text() != kms_a.name || asked.kms_b.text() != node_.identity().name)
    return fail(ErrorCode::denied, "SupplyOffer: is not from " + kms_a.name + " to " + node_.identity().name);
  ASSIGN_OR_RETURN(const Level now_there, level(kms_a.domain));
  if (now_there.peer + std::int64_t{asked.batches} * wire::supply_batch_keys > settings_.peer_max)
    return fail(ErrorCode::exhausted, "SupplyOffer: too many keys that " + kms_a.name + " has not used are here");

  wire::KmsOffer named;  // what Km-3 fetches by
  named.sid_wk = sid_of(asked.supply_id);
  named.shares = asked.shares;
  auto shares = agreement_.fetch_shares(kms_a.domain, named, request.deadline, request.request_id);
  if (shares && shares->refs.empty()) shares = fail(ErrorCode::exhausted, "the offer names no quantum key");
  if (!shares) {
    // This domain's own policy counts, whatever the other allows itself.
    if (!in_force().pqc_fallback) return fail_in("no quantum key, and policy allows no fallback", shares.error());
    shares = QuantumShares{};
  }
  const std::shared_ptr<const node::MessageSigner> own = node_.signer();
  ASSIGN_OR_RETURN(SupplyAnswer answer, answer_supply(signer(*own), offer, *shares));
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(check_of_this_life(transaction, asked.ts_ms, "SupplyOffer"));
    const Result<std::int64_t> first = transaction.run(
        "INSERT INTO replay (h_req, forget_ms) VALUES (?, ?)", {ByteView(offer.hash), static_cast<std::int64_t>(asked.ts_ms + 2 * agreement_.clock_window_ms())});
    if (!first && first.error().code == ErrorCode::conflict) return fail(ErrorCode::conflict, "SupplyOffer: came before");
    TRY(first);
    return add(transaction, kms_a.domain, answer.agreed, kme::Owner::peer);
  }));
  node::crash_point("kms.supply.stored");
  agreement_.shares_done(shares->refs, Agreement::Fate::used, request.request_id);
  TRY(record("km-2.supplied", audit::Outcome::success, asked.supply_id, kms_a.domain,
             std::to_string(answer.agreed.batches.size() * wire::supply_batch_keys) + " keys, " + std::to_string(answer.agreed.paths) + " quantum path(s)",
             request.request_id));
  return net::Response{.status = 200, .content_type = std::string(points::type_qfc2), .body = node::enclose(*own, std::move(answer.octets))};
}

}  // namespace qanat::kms
