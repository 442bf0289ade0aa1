#include "kme/stock/delivery.hpp"

#include <algorithm>
#include <tuple>

#include "node/crash_point.hpp"
#include "kme/stock/received.hpp"
#include "kme/stock/selling.hpp"

namespace qanat::kme {
namespace {

constexpr std::size_t sales_together_max = 512;
constexpr std::size_t errands_together_max = 256;
constexpr std::size_t requests_waiting_max = 8192;  // orders, and the same of errands; a further one is refused
constexpr std::size_t evidence_octets_max = 960;  // of one record's object (audit/chain.hpp cuts at 1024)
constexpr std::size_t sweep_rows_max = 256;
constexpr UnixMs activation_kept_ms = 3600ULL * 1000;
constexpr UnixMs received_kept_ms = 24ULL * 3600 * 1000;  // beyond the key's own life

std::string ids_text(std::span<const KeyId> ids) {
  std::string out;
  for (const KeyId& id : ids) out += (out.empty() ? "" : " ") + id.hex();
  return out;
}

/// Stock keys that an order may use up.
std::size_t stock_keys_of(const Order& order) {
  return std::size_t{order.number} * ((order.size / 8 + stock_key_size - 1) / stock_key_size) * std::max(order.demands.paths, order.wishes.paths);
}

Result<void> check_size(const Order& order, const Limits& limits) {
  const bool size = order.size % 8 == 0 && order.size >= limits.min_key_size && order.size <= limits.max_key_size;
  const bool number = order.number >= 1 && order.number <= limits.max_key_per_request;
  if (!size || !number || order.slaves.empty()) return fail(ErrorCode::invalid_argument, "order: number, size or slaves are out of bounds");
  if (order.demands.paths > shares_max) return fail(ErrorCode::invalid_argument, demands_unmet);
  if (stock_keys_of(order) > activation_keys_max) return fail(ErrorCode::invalid_argument, "order: number times size is more than one request can have");
  return {};
}

}  // namespace

SaeDelivery::SaeDelivery(DeliveryPlace place, DeliveryParts parts, DeliveryPorts ports)
    : place_(std::move(place)),
      parts_(parts),
      ports_(std::move(ports)),
      assignments_(parts.device),
      sales_(place_.sellers, sales_together_max, requests_waiting_max, [this](std::vector<Sale> sales) { sell(std::move(sales)); }),
      errands_(1, errands_together_max, requests_waiting_max, [this](std::vector<Errand> errands) { run_errands(std::move(errands)); }) {}

SaeDelivery::~SaeDelivery() { stop(); }

void SaeDelivery::stop() {
  sales_.stop();
  errands_.stop();
}

bool SaeDelivery::is_behind_neighbour(const Sae& sae) const {
  return !sae.here && ports_.hand_over && std::ranges::find(place_.neighbours, sae.kme) != place_.neighbours.end();
}

Result<SaeDelivery::Way> SaeDelivery::way_of(const Order& order) const {
  bool at_other_site = false;
  bool behind_neighbour = false;
  for (const SaeId& slave : order.slaves) {
    const auto known = parts_.registry.find(slave);
    const bool reached = known != nullptr && (known->here || place_.domains.contains(known->domain) || is_behind_neighbour(*known));
    if (!reached) return fail(ErrorCode::invalid_argument, "SAE " + slave.text() + " is not known to this KME");
    behind_neighbour = behind_neighbour || is_behind_neighbour(*known);
    at_other_site = at_other_site || (!known->here && !is_behind_neighbour(*known));
  }
  if (behind_neighbour && at_other_site)
    return fail(ErrorCode::invalid_argument, "SAEs behind another maker's key manager and SAEs of other sites need orders of their own");
  return behind_neighbour ? Way::neighbours : Way::own_sites;
}

Result<std::shared_ptr<const Sae>> SaeDelivery::sharing(const SaeId& master, std::span<const SaeId> slaves) const {
  auto own = parts_.registry.find(master);
  if (own == nullptr || !own->here) return fail(ErrorCode::denied, "SAE " + master.text() + " is not served here");
  for (const SaeId& slave : slaves) {
    const auto other = parts_.registry.find(slave);
    if (other == nullptr || !own->shares_with(*other)) return fail(ErrorCode::denied, "SAEs " + master.text() + " and " + slave.text() + " may share no keys");
  }
  return own;
}

void SaeDelivery::take(Order order, Done<Delivery> done) {
  order.wishes.paths = std::min(order.wishes.paths, shares_max);
  if (stock_keys_of(order) > activation_keys_max) order.wishes = {};  // a wish refuses no order
  const auto admitted = [&]() -> Result<Way> {
    TRY(check_size(order, place_.limits));
    ASSIGN_OR_RETURN(const Way way, way_of(order));
    ASSIGN_OR_RETURN(const std::shared_ptr<const Sae> master, sharing(order.master.sae, order.slaves));
    TRY(quotas_.spend(*master, order.number, parts_.clock.now_ms()));
    return way;
  }();
  if (!admitted) {
    const std::string action = std::string(order.standard) + ".enc_keys";
    return record_refusal(order.master, action, admitted.error().message, [done = std::move(done), error = admitted.error()]() mutable { done(fail(error)); });
  }
  if (*admitted == Way::neighbours) return ports_.hand_over(std::move(order), std::move(done));
  Sale sale{.order = std::move(order), .done = std::move(done), .failed = std::nullopt, .keys = {}};
  if (!sales_.submit(sale)) sale.done(fail(ErrorCode::exhausted, "too many orders wait"));
}

Secret SaeDelivery::made_keys(const ActivatedKeys& group, std::span<const IdRun> ids, Secret cut) const {
  if (!ports_.make) return cut;
  std::vector<Secret> made;
  std::size_t next = 0;
  for (const IdRun& run : ids) {
    for (std::uint32_t at = 0; at < run.count; ++at)
      made.push_back(ports_.make({.id = run.id(at), .master = group.master, .slaves = group.slaves, .octets = some_keys(cut, next++, 1, group.octets)}));
  }
  return joined_keys(made);
}

/// As many at a time as one message to a far end can name.
void SaeDelivery::sell(std::vector<Sale> sales) {
  std::vector<Sale> part;
  std::size_t keys = 0;
  for (Sale& sale : sales) {
    const std::size_t more = stock_keys_of(sale.order);
    if (keys + more > activation_keys_max) {
      sell_together(std::exchange(part, {}));
      keys = 0;
    }
    keys += more;
    part.push_back(std::move(sale));
  }
  sell_together(std::move(part));
}

void SaeDelivery::sell_together(std::vector<Sale> sales) {
  Selling selling(*this, sales);
  selling.run();
  std::map<std::string, std::vector<std::string>> refused;  // by reason
  for (const Sale& sale : sales) {
    if (sale.failed) refused[sale.failed->message].push_back(sale.order.master.sae.text() + " > " + sale.order.slaves.front().text());
  }
  const std::vector<std::string> sold = selling.evidence();
  Result<void> recorded = sold.empty() ? Result<void>() : record("sae.enc_keys", audit::Outcome::success, "", sold, "", selling.id().hex());
  for (const auto& [why, items] : refused) {
    if (recorded) recorded = record("sae.enc_keys", audit::Outcome::failure, "", items, why, selling.id().hex());
  }
  for (Sale& sale : sales) {
    if (sale.failed) {
      sale.done(fail(*sale.failed));
    } else if (!recorded) {
      sale.done(fail(ErrorCode::internal, "the delivery could not be recorded"));
    } else {
      sale.done(Delivery{.keys = std::move(sale.keys)});
    }
  }
}

// ---- the far end ----

Result<void> SaeDelivery::take_in(store::Transaction& transaction, const Identity& sender, const Activation& activation, UnixMs now,
                                  std::vector<BatchId>& missing, std::vector<std::string>& evidence) {
  const Onward onward{.state = store::KeyState::destroyed, .holder = "sae", .until_ms = 0};  // its octets go on under the assignment's seal
  for (const ActivatedKeys& group : activation.groups) {
    std::vector<Secret> parts;
    std::vector<KeyRun> runs;
    for (const StockRun& run : group.runs) {
      const KeyRun named[] = {run.run};
      // Nothing is noted of what is not here: a relay stores its keys at this end before the other end has them, so they do not come later.
      ASSIGN_OR_RETURN(KeyStock::Receipt receipt, parts_.stock.redeem(transaction, StockName(stock_prefix(sender.domain) + run.stock), named, onward,
                                                                      KeyStock::Unknown::leave, now));
      missing.insert(missing.end(), receipt.missing.begin(), receipt.missing.end());
      if (receipt.refusal && receipt.missing.empty()) return fail(*receipt.refusal);
      for (Taken& taken : receipt.keys) parts.push_back(std::move(taken.keys));
      runs.push_back(run.run);
    }
    if (!missing.empty()) continue;  // nothing of this message counts; what it named is used up
    const std::vector<IdRun> run_ids = group.carried ? group.carried->ids : id_runs(first_share(runs, group.shares), group.stride());
    Secret keys = cut_keys(xor_shares(joined_keys(parts), group.shares), group.octets);
    if (group.carried) {
      keys.xor_with(Secret::copy_of(group.carried->padded));
    } else {
      keys = made_keys(group, run_ids, std::move(keys));
    }
    std::size_t next = 0;
    std::string text = group.master.text() + " >";
    for (const SaeId& slave : group.slaves) text += ' ' + slave.text();
    for (const KeyRun& run : runs) text += ' ' + run.text();
    evidence.push_back(std::move(text));
    for (const IdRun& ids : run_ids) {
      TRY(assignments_.add(transaction, {.ids = ids,
                                         .octets = group.octets,
                                         .master = group.master,
                                         .slaves = group.slaves,
                                         .keys = some_keys(keys, next, ids.count, group.octets),
                                         .until_ms = now + static_cast<UnixMs>(place_.lifetime.count())}));
      next += ids.count;
    }
  }
  return {};
}

Result<wire::Json> SaeDelivery::activated(const Identity& sender, ByteView message) {
  ASSIGN_OR_RETURN(const Activation activation, read_activation(message));
  return activated(sender, activation);
}

Result<wire::Json> SaeDelivery::activated(const Identity& sender, const Activation& activation) {
  if (activation.stream) return fail(ErrorCode::invalid_argument, "activation: of a stream, where keys belong");
  const auto known = place_.domains.find(sender.domain);
  if (known == place_.domains.end() || known->second.text() != sender.name) {
    return fail(ErrorCode::denied, sender.uri() + " is not the key manager of a site that shares keys with this one");
  }
  for (const ActivatedKeys& group : activation.groups) {
    const auto master = parts_.registry.find(group.master);
    if (master == nullptr || master->domain != sender.domain) return fail(ErrorCode::denied, group.master.text() + " is no SAE of domain " + sender.domain);
    for (const SaeId& slave : group.slaves) {
      const auto named = parts_.registry.find(slave);
      if (named == nullptr || !named->here) return fail(ErrorCode::denied, slave.text() + " is no SAE of this KME");
      if (!master->shares_with(*named))
        return fail(ErrorCode::denied, "SAEs " + group.master.text() + " and " + slave.text() + " may share no keys");
    }
  }
  std::vector<BatchId> missing;
  std::vector<std::string> evidence;
  bool again = false;
  TRY(parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    missing.clear();  // a work may run more than once
    evidence.clear();
    const UnixMs now = parts_.clock.now_ms();
    ASSIGN_OR_RETURN(const std::int64_t added, transaction.run("INSERT INTO sae_activation (id, at_ms) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
                                                               {activation.id.view(), static_cast<std::int64_t>(now)}));
    again = added == 0;
    if (again) return {};
    TRY(take_in(transaction, sender, activation, now, missing, evidence));
    // Not carried out: the same again must not pass for a success.
    if (!missing.empty()) TRY(transaction.run("DELETE FROM sae_activation WHERE id = ?", {activation.id.view()}));
    return {};
  }));
  node::crash_point("sae.stored");
  std::vector<wire::Json> names;
  names.reserve(missing.size());
  for (const BatchId& batch : missing) names.emplace_back(batch.hex());
  if (!again && missing.empty()) TRY(record("sae.activated", audit::Outcome::success, sender.uri(), evidence, "", activation.id.hex()));
  return wire::Json::object({{"missing", wire::Json::array(std::move(names))}});
}

// ---- errands: everything else that touches the store ----

void SaeDelivery::submit(Errand errand) {
  if (!errands_.submit(errand)) errand.finish(fail(ErrorCode::exhausted, "too many requests wait"));
}

void SaeDelivery::run_errands(std::vector<Errand> errands) {
  std::vector<Result<void>> outcomes(errands.size());
  const Result<void> committed = parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    Assignments::Fetching fetching(assignments_, transaction, parts_.clock.now_ms());
    for (std::size_t i = 0; i < errands.size(); ++i) {
      TRY(transaction.run("SAVEPOINT errand", {}));
      outcomes[i] = errands[i].work(transaction, fetching);
      if (!outcomes[i]) TRY(transaction.run("ROLLBACK TO errand", {}));
      TRY(transaction.run("RELEASE errand", {}));
    }
    return fetching.finish();
  });
  node::crash_point("sae.fetched");
  // What differs in nothing but its object stands in one record: a flood of refusals costs no wait for the disk each.
  std::map<std::tuple<audit::Outcome, std::string, std::string, std::string>, std::vector<std::string>> alike;
  for (std::size_t i = 0; i < errands.size() && committed; ++i) {
    if (!errands[i].evidence) continue;
    auto [action, object] = errands[i].evidence();
    const audit::Outcome outcome = outcomes[i] ? audit::Outcome::success : audit::outcome_of(outcomes[i].error().code);
    const std::string why = outcomes[i] ? std::string() : outcomes[i].error().message;
    if (!errands[i].request_id.empty() && !outcomes[i]) object += " (" + errands[i].request_id + ")";
    alike[{outcome, std::string(action), errands[i].subject, why}].push_back(std::move(object));
  }
  Result<void> recorded = committed;
  for (const auto& [of, items] : alike) {
    const auto& [outcome, action, subject, why] = of;
    if (recorded) recorded = record(action, outcome, subject, items, why, "");
  }
  for (std::size_t i = 0; i < errands.size(); ++i) errands[i].finish(recorded ? outcomes[i] : recorded);
}

void SaeDelivery::fetch(Fetch fetch, Done<Delivery> done) {
  struct Running {
    Fetch fetch;
    std::vector<Key> keys;
  };
  auto running = std::make_shared<Running>(Running{.fetch = std::move(fetch), .keys = {}});  // shared by the three steps of the errand
  const Caller& slave = running->fetch.slave;
  submit({.work = [running](store::Transaction&, Assignments::Fetching& fetching) -> Result<void> {
            if (running->fetch.deadline.passed()) return fail(ErrorCode::deadline_exceeded, "the request waited too long");
            const Fetch& asked = running->fetch;
            ASSIGN_OR_RETURN(running->keys, fetching.fetch(asked.slave.sae, asked.master, asked.ids, asked.master_is));
            return {};
          },
          .evidence = [running]() -> std::pair<std::string_view, std::string> {
            const Caller& who = running->fetch.slave;
            return {"sae.dec_keys", who.group + (who.quantum_safe ? ": " : " (not quantum-safe): ") + ids_text(running->fetch.ids)};
          },
          .finish = [running, done = std::move(done)](Result<void> outcome) mutable {
            if (!outcome) return done(fail(outcome.error()));
            done(Delivery{.keys = std::move(running->keys)});
          },
          .subject = slave.sae.text(),
          .request_id = slave.request_id});
}

void SaeDelivery::status(const Caller& master, const SaeId& slave, Done<StockStatus> done) {
  const auto known = parts_.registry.find(slave);
  if (known == nullptr) return done(fail(ErrorCode::not_found, "SAE " + slave.text() + " is not known to this KME"));
  if (const auto shares = sharing(master.sae, {&slave, 1}); !shares)
    return record_refusal(master, "sae.status", shares.error().message, [done = std::move(done), error = shares.error()]() mutable { done(fail(error)); });
  auto out = std::make_shared<StockStatus>();  // shared by the steps of the errand
  *out = {.source_kme = place_.kme, .target_kme = known->kme, .stored_key_count = 0, .max_key_count = place_.max_key_count, .limits = place_.limits};
  const std::string domain = is_behind_neighbour(*known) ? place_.domain : known->domain;  // made here when they are ordered
  submit({.work = [this, out, domain](store::Transaction& transaction, Assignments::Fetching&) -> Result<void> {
            if (domain == place_.domain) {
              out->stored_key_count = place_.max_key_count;  // made when they are ordered: never short
              return {};
            }
            out->stored_key_count = 0;  // a work may run more than once
            ASSIGN_OR_RETURN(const std::vector<StockName> names, parts_.stock.stocks(transaction, stock_prefix(domain)));
            for (const StockName& name : names) {
              ASSIGN_OR_RETURN(const StockLevel level, parts_.stock.level(transaction, name, parts_.clock.now_ms()));
              out->stored_key_count += level.own;
            }
            return {};
          },
          .evidence = nullptr,
          .finish = [out, done = std::move(done)](Result<void> outcome) mutable {
            if (!outcome) return done(fail(outcome.error()));
            done(std::move(*out));
          },
          .subject = "",
          .request_id = ""});
}

void SaeDelivery::accept(ExternalKeys keys, Done<void> done) {
  auto all = std::make_shared<ExternalKeys>(std::move(keys));  // shared by the steps of the errand
  submit({.work = [this, all](store::Transaction& transaction, Assignments::Fetching&) -> Result<void> {
            ASSIGN_OR_RETURN(const ReceivedKeys::Arrival arrival, ReceivedKeys::note(transaction, *all, parts_.clock.now_ms()));
            if (arrival == ReceivedKeys::Arrival::again) return {};
            const UnixMs until = parts_.clock.now_ms() + static_cast<UnixMs>(place_.lifetime.count());
            for (const Key& key : all->keys) {
              const IdRun ids{.batch = batch_of(key.id), .first = index_of(key.id), .stride = 1, .count = 1};
              TRY(assignments_.add(transaction, {.ids = ids,
                                                 .octets = static_cast<std::uint32_t>(key.octets.size()),
                                                 .master = all->initiator,
                                                 .slaves = all->targets,
                                                 .keys = key.octets.duplicate(),
                                                 .until_ms = until}));
            }
            return {};
          },
          .evidence = [all]() -> std::pair<std::string_view, std::string> {
            std::vector<KeyId> ids;
            for (const Key& key : all->keys) ids.push_back(key.id);
            return {"sae.ext_keys", all->initiator.text() + " > " + all->targets.front().text() + ": " + ids_text(ids)};
          },
          .finish = std::move(done),
          .subject = all->from.sae.text(),
          .request_id = all->from.request_id});
}

void SaeDelivery::discard(const SaeId& initiator, std::vector<KeyId> ids, Done<std::vector<KeyId>> done) {
  auto gone = std::make_shared<std::vector<KeyId>>();  // shared by the steps of the errand
  submit({.work = [this, gone, initiator, ids = std::move(ids)](store::Transaction& transaction, Assignments::Fetching& fetching) -> Result<void> {
            TRY(ReceivedKeys::note_voided(transaction, initiator, ids, parts_.clock.now_ms()));
            ASSIGN_OR_RETURN(*gone, fetching.discard(initiator, ids));
            return {};
          },
          .evidence = [gone]() -> std::pair<std::string_view, std::string> { return {"sae.void", ids_text(*gone)}; },
          .finish = [gone, done = std::move(done)](Result<void> outcome) mutable {
            if (!outcome) return done(fail(outcome.error()));
            done(std::move(*gone));
          },
          .subject = initiator.text(),
          .request_id = ""});
}

void SaeDelivery::record_refusal(const Caller& caller, std::string_view action, std::string why, std::move_only_function<void()> then) {
  auto refused = std::make_shared<std::string>(std::move(why));  // shared by the steps of the errand
  submit({.work = [refused](store::Transaction&, Assignments::Fetching&) -> Result<void> { return fail(ErrorCode::denied, *refused); },
          .evidence = [name = std::string(action), where = caller.address]() -> std::pair<std::string_view, std::string> { return {name, where}; },
          .finish = [then = std::move(then)](const Result<void>&) mutable { then(); },
          .subject = caller.sae.text(),
          .request_id = caller.request_id});
}

Result<void> SaeDelivery::sweep() {
  std::vector<std::string> gone;
  TRY(parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    gone.clear();  // a work may run more than once
    const UnixMs now = parts_.clock.now_ms();
    ASSIGN_OR_RETURN(const std::vector<IdRun> expired, assignments_.sweep(transaction, sweep_rows_max, now));
    for (const IdRun& ids : expired) gone.push_back(ids.id(0).hex() + "+" + std::to_string(ids.count));
    const UnixMs old = now > activation_kept_ms ? now - activation_kept_ms : 0;
    TRY(transaction.run("DELETE FROM sae_activation WHERE at_ms < ?", {static_cast<std::int64_t>(old)}));
    const UnixMs received = received_kept_ms + static_cast<UnixMs>(place_.lifetime.count());
    TRY(ReceivedKeys::forget(transaction, now > received ? now - received : 0));
    return {};
  }));
  if (gone.empty()) return {};
  return record("sae.expired", audit::Outcome::success, "", gone, "", "");
}

Result<void> SaeDelivery::record(std::string_view action, audit::Outcome outcome, std::string_view subject, std::span<const std::string> items,
                                 std::string_view why, std::string_view request_id) {
  std::string object;
  const auto write = [&]() -> Result<void> {
    return ports_.record({.action = action, .outcome = outcome, .subject = subject, .object = object, .reason = why, .request_id = request_id});
  };
  for (const std::string& item : items) {
    for (std::string_view rest = item; !rest.empty();) {
      if (!object.empty() && object.size() + rest.size() + 2 > evidence_octets_max) {
        TRY(write());
        object.clear();
      }
      const std::string_view part = rest.substr(0, evidence_octets_max);
      object.append(object.empty() ? "" : "; ").append(part);
      rest.remove_prefix(part.size());
    }
  }
  if (object.empty()) return {};
  return write();
}

}  // namespace qanat::kme
