#include "kme/stock/selling.hpp"

#include <algorithm>
#include <bit>

#include "node/crash_point.hpp"
#include "node/log.hpp"
#include "points/central_relay.hpp"

namespace qanat::kme {
namespace {

constexpr int activations_max = 3;  // a chunk that the far end never had costs one
constexpr std::chrono::milliseconds activation_max{5000};

/// Which chunks the far end never had. Only what was named to it is believed: what is left of these is dropped.
Result<std::vector<BatchId>> missing_of(const wire::Json& answer, const Activation& told) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, answer.texts("missing"));
  std::vector<BatchId> out;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const BatchId batch, BatchId::parse_hex(name));
    out.push_back(batch);
  }
  std::vector<KeyRun> named;
  for (const ActivatedKeys& group : told.groups) std::ranges::copy(plain(group.runs), std::back_inserter(named));
  if (!points::are_named(out, named)) return fail(ErrorCode::denied, "misses chunks that were not named");
  return out;
}

/// Different for demands that differ.
std::string demands_text(const Demands& demands) {
  return std::to_string(demands.paths) + (demands.quantum ? " q" : " -") + (demands.hop_by_hop ? " h" : " -") + (demands.centralised ? " c " : " - ") +
         std::to_string(demands.relays_max) + ' ' + std::to_string(demands.proof.bounds) + ' ' + std::to_string(demands.proof.photons) + ' ' +
         std::to_string(std::bit_cast<std::uint64_t>(demands.proof.eps_max));
}

/// What sales must have in common to be one group.
std::string group_of(const Order& order) {
  std::string out = order.master.sae.text();
  for (const SaeId& slave : order.slaves) out += '\n' + slave.text();
  for (const Demands& demands : {order.demands, order.wishes}) out += '\n' + demands_text(demands);
  return out + '\n' + std::to_string(order.size) + ' ' + order.master.group;
}

}  // namespace

SaeDelivery::Selling::Selling(SaeDelivery& delivery, std::vector<Sale>& sales)
    : delivery_(delivery), id_(delivery.parts_.device.rng().id<ActivationId>()), groups_(gather(sales)), deadline_(Deadline::after(activation_max)) {
  for (Group& group : groups_) open_.push_back(&group);
}

std::vector<SaeDelivery::Group> SaeDelivery::Selling::gather(std::vector<Sale>& sales) const {
  std::map<std::string, Group> groups;
  const SaeRegistry registry = delivery_.parts_.registry;  // as it is now
  for (Sale& sale : sales) {
    if (sale.order.deadline.passed()) {
      sale.failed = Error{ErrorCode::deadline_exceeded, "the order waited too long"};
      continue;
    }
    const auto gone = std::ranges::find_if(sale.order.slaves, [&](const SaeId& slave) { return registry.find(slave) == nullptr; });
    if (gone != sale.order.slaves.end()) {  // it was there when the order came
      sale.failed = Error{ErrorCode::invalid_argument, "SAE " + gone->text() + " is not known to this KME"};
      continue;
    }
    Group& group = groups[group_of(sale.order)];
    group.sales.push_back(&sale);
    if (group.sales.size() > 1) continue;
    group.octets = sale.order.size / 8;
    group.stride = (group.octets + static_cast<std::uint32_t>(stock_key_size) - 1) / static_cast<std::uint32_t>(stock_key_size);
    for (const SaeId& slave : sale.order.slaves) {
      const auto known = registry.find(slave);
      if (known == nullptr) continue;
      const std::string& domain = known->domain;
      std::vector<SaeId>& there = group.slaves_at[domain];
      if (there.empty() && domain != delivery_.place_.domain) ++group.other_sites;
      there.push_back(slave);
      if (group.home.empty() && domain != delivery_.place_.domain) group.home = domain;
    }
  }
  std::vector<Group> out;
  out.reserve(groups.size());
  for (auto& [name, group] : groups) out.push_back(std::move(group));
  return out;
}

void SaeDelivery::Selling::run() {
  for (int attempt = 0; attempt < activations_max && !open_.empty(); ++attempt) {
    const std::vector<Standing> before = standing();
    const Result<void> claimed = delivery_.parts_.store.transact([&](store::Transaction& transaction) {
      stand_again(before);  // what a run that was undone had refused or charged
      return claim(transaction);
    });
    node::crash_point("sae.claimed");
    if (!claimed) {
      for (Group* group : open_) group->fail_all(claimed.error());
      return;
    }
    const bool taken = std::ranges::any_of(open_, [](const Group* group) { return !group->messages.empty(); });
    if (taken && delivery_.ports_.taken) delivery_.ports_.taken();
    open_ = activate();
    node::crash_point("sae.activated");
  }
  for (Group* group : open_) group->fail_all({ErrorCode::unavailable, "the far end's stock does not have the keys of ours"});
  deal_out();
}

std::vector<SaeDelivery::Selling::Standing> SaeDelivery::Selling::standing() const {
  std::vector<Standing> out;
  out.reserve(open_.size());
  for (Group* group : open_) {
    Standing& one = out.emplace_back(Standing{.group = group, .sales = group->sales, .charged = {}});
    for (const Sale* sale : group->sales) one.charged.push_back(sale->charged);
  }
  return out;
}

void SaeDelivery::Selling::stand_again(const std::vector<Standing>& before) {
  for (const Standing& one : before) {
    one.group->sales = one.sales;
    for (std::size_t i = 0; i < one.sales.size(); ++i) {
      one.sales[i]->failed.reset();
      one.sales[i]->charged = one.charged[i];
    }
  }
}

Result<void> SaeDelivery::Selling::claim(store::Transaction& transaction) {
  for (Group* group : open_) TRY(claim(transaction, *group));
  return {};
}

Result<void> SaeDelivery::Selling::claim(store::Transaction& transaction, Group& group) {
  group.runs.clear();
  group.messages.clear();
  TRY(choose_demands(transaction, group));
  TRY(leave_out_unmet(transaction, group));
  charge(transaction, group);
  if (group.sales.empty()) return {};
  const auto stock_keys = static_cast<std::uint32_t>(group.stock_keys());
  if (group.home.empty()) {
    std::vector<Secret> parts;
    TRY(make_local(group, stock_keys, parts));
    group.ids = id_runs(plain(group.runs), group.stride);
    group.keys = cut_keys(joined_keys(parts), group.octets);  // of the device's generator: nobody else has to make them
  } else {
    ASSIGN_OR_RETURN(SiteStocks::Claimed claimed, stocks(group.home).take(transaction, group.of_each(group.demands), stock_keys, holder_of(group)));
    group.runs = std::move(claimed.runs);
    group.ids = id_runs(first_share(plain(group.runs), shares(group.demands)), group.stride);
    group.messages[group.home] = {.master = group.order().master.sae,
                                  .slaves = group.slaves_at.at(group.home),
                                  .octets = group.octets,
                                  .runs = group.runs,
                                  .shares = shares(group.demands),
                                  .carried = std::nullopt};
    group.keys = delivery_.made_keys(group.messages.at(group.home), group.ids, cut_keys(claimed.keys, group.octets));
  }
  for (const auto& [domain, slaves] : group.slaves_at) {
    if (domain == delivery_.place_.domain) {
      TRY(keep_local(transaction, group));
    } else if (domain != group.home) {
      TRY(carry(transaction, group, domain, slaves));
    }
  }
  return {};
}

SiteStocks SaeDelivery::Selling::stocks(const std::string& domain) const {
  return {delivery_.parts_.stock, domain, delivery_.ports_.meets, delivery_.parts_.clock.now_ms(), delivery_.place_.paths};
}

/// What is wished is demanded if all the sales can have it now.
Result<void> SaeDelivery::Selling::choose_demands(store::Transaction& transaction, Group& group) const {
  const Order& order = group.order();
  group.demands = order.demands;
  if (!order.wishes.any() || group.home.empty()) return {};
  const Demands wished = order.demands.and_also(order.wishes);
  for (const auto& [domain, slaves] : group.slaves_at) {
    if (domain == delivery_.place_.domain) continue;
    ASSIGN_OR_RETURN(const std::int64_t there, stocks(domain).available(transaction, group.of_each(wished)));
    if (there < group.stock_keys()) return {};
  }
  group.demands = wished;
  return {};
}

/// As many of the sales as every stock concerned can bear, in the order in which they came. One that only its demands keep from its keys is refused for them.
Result<void> SaeDelivery::Selling::leave_out_unmet(store::Transaction& transaction, Group& group) const {
  if (group.home.empty() && group.demands.quantum) group.fail_all({ErrorCode::invalid_argument, demands_unmet});  // such a key is nobody's quantum key
  for (const auto& [domain, slaves] : group.slaves_at) {
    if (domain == delivery_.place_.domain) continue;
    ASSIGN_OR_RETURN(const std::int64_t there, stocks(domain).available(transaction, group.of_each(group.demands)));
    std::int64_t plain = there;
    if (group.demands.any()) {
      ASSIGN_OR_RETURN(plain, stocks(domain).available(transaction, {}));
    }
    std::int64_t left = there / group.stride;
    std::erase_if(group.sales, [&](Sale* sale) {
      left -= sale->order.number;
      if (left >= 0) return false;
      left += sale->order.number;
      const bool unmet = plain / group.stride >= sale->order.number && plain > there;
      sale->failed = unmet ? Error{ErrorCode::invalid_argument, demands_unmet} : Error{ErrorCode::exhausted, "too few keys in stock for domain " + domain};
      return true;
    });
    if (group.sales.empty()) return {};
  }
  return {};
}

/// Each sale once, whatever becomes of it; those whose SAE may have no more are refused.
void SaeDelivery::Selling::charge(store::Transaction& transaction, Group& group) const {
  if (!delivery_.ports_.charge) return;
  std::erase_if(group.sales, [&](Sale* sale) {
    if (sale->charged) return false;
    const auto master = delivery_.parts_.registry.find(sale->order.master.sae);
    const Result<void> charged = master == nullptr ? fail(ErrorCode::denied, "SAE " + sale->order.master.sae.text() + " is not served here")
                                                   : delivery_.ports_.charge(transaction, *master, sale->order.number);
    if (!charged) sale->failed = charged.error();
    sale->charged = charged.has_value();
    return !charged;
  });
}

/// Master and slaves at one site: no key needs to travel. Octets of the device, under ids of a batch of their own.
Result<void> SaeDelivery::Selling::make_local(Group& group, std::uint32_t stock_keys, std::vector<Secret>& parts) {
  for (std::uint32_t made = 0; made < stock_keys;) {
    const std::uint32_t count = std::min(stock_keys - made, chunk_keys_max / group.stride * group.stride);
    ASSIGN_OR_RETURN(Secret keys, delivery_.parts_.device.random(std::size_t{count} * stock_key_size));
    parts.push_back(std::move(keys));
    group.runs.push_back({.stock = "", .run = {.batch = delivery_.parts_.device.rng().id<BatchId>(), .first = 0, .count = count}});
    made += count;
  }
  return {};
}

Result<void> SaeDelivery::Selling::keep_local(store::Transaction& transaction, const Group& group) {
  std::size_t at = 0;
  const UnixMs until = delivery_.parts_.clock.now_ms() + static_cast<UnixMs>(delivery_.place_.lifetime.count());
  for (const IdRun& ids : group.ids) {
    TRY(delivery_.assignments_.add(transaction, {.ids = ids,
                                                 .octets = group.octets,
                                                 .master = group.order().master.sae,
                                                 .slaves = group.slaves_at.at(delivery_.place_.domain),
                                                 .keys = some_keys(group.keys, at, ids.count, group.octets),
                                                 .until_ms = until}));
    at += ids.count;
  }
  return {};
}

/// A further site gets the same keys under a one-time pad of the stock that it shares with us.
Result<void> SaeDelivery::Selling::carry(store::Transaction& transaction, Group& group, const std::string& domain, std::vector<SaeId> slaves) {
  ActivatedKeys message{.master = group.order().master.sae,
                        .slaves = std::move(slaves),
                        .octets = group.octets,
                        .runs = {},
                        .shares = shares(group.demands),
                        .carried = std::nullopt};
  ASSIGN_OR_RETURN(SiteStocks::Claimed pads, stocks(domain).take(transaction, group.of_each(group.demands),
                                                                       static_cast<std::uint32_t>(group.stock_keys()), holder_of(group)));
  message.runs = std::move(pads.runs);
  Secret padded = cut_keys(pads.keys, group.octets);
  padded.xor_with(group.keys);
  message.carried = Carried{.ids = group.ids, .padded = to_bytes(padded.reveal())};
  group.messages[domain] = std::move(message);
  return {};
}

std::vector<SaeDelivery::Group*> SaeDelivery::Selling::activate() {
  std::map<std::string, std::vector<Group*>> by_domain;
  for (Group* group : open_) {
    if (group->sales.empty()) continue;
    for (const auto& [domain, message] : group->messages) by_domain[domain].push_back(group);
  }
  std::vector<Group*> again;
  for (const auto& [domain, groups] : by_domain) {
    Activation message{.id = delivery_.parts_.device.rng().id<ActivationId>(), .groups = {}};
    for (Group* group : groups) message.groups.push_back(group->messages.at(domain));
    const auto answer = delivery_.ports_.activate(delivery_.place_.domains.at(domain), write_activation(message), deadline_);
    if (!answer) {
      for (Group* group : groups) group->fail_all({ErrorCode::unavailable, "domain " + domain + ": " + answer.error().message});
      continue;
    }
    const auto missing = missing_of(*answer, message);
    if (!missing) {
      for (Group* group : groups) group->fail_all({ErrorCode::unavailable, "domain " + domain + ": " + missing.error().message});
      continue;
    }
    if (missing->empty()) continue;
    drop(domain, *missing);
    for (Group* group : groups) {
      if (std::ranges::find(again, group) == again.end()) again.push_back(group);
    }
  }
  // One that another domain failed has nothing left to be tried for.
  std::erase_if(again, [](const Group* group) { return group->sales.empty(); });
  return again;
}

/// The far end never had these chunks: nobody will ever be able to use what is left of them.
void SaeDelivery::Selling::drop(const std::string& domain, std::span<const BatchId> missing) {
  const auto dropped = delivery_.parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::vector<StockName> names, delivery_.parts_.stock.stocks(transaction, stock_prefix(domain)));
    for (const StockName& name : names) {
      for (const BatchId& batch : missing) TRY(delivery_.parts_.stock.drop(transaction, name, batch, delivery_.parts_.clock.now_ms()));
    }
    return {};
  });
  if (!dropped) node::log(node::LogLevel::error, "chunks that domain {} never had: {}", domain, dropped.error().message);
}

void SaeDelivery::Selling::deal_out() {
  for (Group& group : groups_) {
    std::size_t next = 0;  // key of the group
    std::size_t run = 0;
    std::uint32_t within = 0;
    for (Sale* sale : group.sales) {
      for (std::uint32_t i = 0; i < sale->order.number; ++i) {
        if (within == group.ids[run].count) {
          ++run;
          within = 0;
        }
        sale->keys.push_back({.id = group.ids[run].id(within++), .octets = some_keys(group.keys, next++, 1, group.octets)});
      }
    }
    group.keys = Secret();
  }
}

std::vector<std::string> SaeDelivery::Selling::evidence() const {
  std::vector<std::string> out;
  for (const Group& group : groups_) {
    if (group.sales.empty()) continue;
    const Order& order = group.order();
    std::string text = order.master.sae.text() + " >";
    for (const SaeId& slave : order.slaves) text += ' ' + slave.text();
    text += ", " + std::to_string(group.number()) + " x " + std::to_string(order.size) + " bit, " + order.master.group +
            (order.master.quantum_safe ? "" : " (not quantum-safe)") + (group.demands.paths > 1 ? ", " + std::to_string(group.demands.paths) + " paths" : "") +
            (group.demands.proof.is_any() ? ":" : ", " + points::describe(group.demands.proof) + ":");
    for (const StockRun& run : group.runs) text += ' ' + run.run.text();
    out.push_back(std::move(text));
  }
  return out;
}

}  // namespace qanat::kme
