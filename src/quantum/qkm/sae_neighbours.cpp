#include "quantum/qkm/sae_neighbours.hpp"

#include <algorithm>

#include "kme/etsi020_client.hpp"
#include "node/crash_point.hpp"
#include "node/log.hpp"
#include "quantum/qkm/stock.hpp"

namespace qanat::qkm {
namespace {

constexpr std::size_t handovers_together_max = 64;
constexpr std::size_t handovers_waiting_max = 4096;
constexpr std::size_t sends_waiting_max = 1024;
constexpr std::size_t orders_waiting_max = 1024;
constexpr std::size_t voids_together_max = 64;
constexpr std::size_t object_octets_max = 960;  // of one record (audit/chain.hpp cuts at 1024)
constexpr UnixMs handovers_forgotten_ms = 24ULL * 3600 * 1000;

std::string text_of(std::span<const KeyId> ids) {
  std::string out;
  for (const KeyId& id : ids) out += (out.empty() ? "" : " ") + id.hex();
  return out;
}

}  // namespace

Neighbours::Neighbours(NeighbourPlace place, Parts parts, NeighbourPorts ports)
    : place_(std::move(place)), parts_(parts), ports_(std::move(ports)), jobs_(1, handovers_together_max, handovers_waiting_max, [](std::vector<Job> jobs) {
        for (Job& job : jobs) job();
      }) {
  for (const std::string& kme : place_.kmes) senders_.emplace(kme, std::make_unique<net::Workers>(1, sends_waiting_max));
}

Neighbours::~Neighbours() { stop(); }

void Neighbours::stop() {
  for (const auto& [kme, sender] : senders_) sender->stop(net::Waiting::drop);
  jobs_.stop();
  std::map<BatchId, std::shared_ptr<Waiting>> left;
  {
    const std::lock_guard lock(mutex_);
    left.swap(waiting_);
  }
  for (const auto& [batch, waiting] : left) fail_order(*waiting, {ErrorCode::unavailable, "this key manager stops"});
}

Result<void> Neighbours::start() {
  ASSIGN_OR_RETURN(const std::int64_t open,
                   parts_.store.transact([&](store::Transaction& transaction) { return Handovers::recover(transaction, parts_.clock.now_ms()); }));
  if (open == 0) return {};
  return record("sae.hand_over", audit::Outcome::failure, "", std::to_string(open) + " handovers", "the process ended before they were sold");
}

void Neighbours::submit(Job job) {
  // What does not get into the queue is lost with the order's own time limit, and voided then.
  if (!jobs_.submit(job)) node::log(node::LogLevel::warning, "other key managers: too much waits");
}

void Neighbours::submit_to(const std::string& kme, Job job) {
  const auto sender = senders_.find(kme);
  if (sender == senders_.end() || !sender->second->submit(std::move(job))) node::log(node::LogLevel::warning, "key manager {}: too much waits", kme);
}

// ---- an order ----

void Neighbours::hand_over(kme::Order order, kme::Done<kme::Delivery> done) {
  auto shared_done = std::make_shared<kme::Done<kme::Delivery>>(std::move(done));  // also held here until the queue took it
  Job job = [this, order = std::move(order), shared_done]() mutable { begin(std::move(order), std::move(*shared_done)); };
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() < orders_waiting_max && jobs_.submit(job)) return;
  }
  (*shared_done)(fail(ErrorCode::exhausted, "too many orders wait for other key managers"));
}

void Neighbours::begin(kme::Order order, kme::Done<kme::Delivery> done) {
  auto waiting = std::make_shared<Waiting>(std::move(order), std::move(done));
  if (const auto made = make(*waiting); !made) return fail_order(*waiting, made.error());
  node::crash_point("qkm.sae.offered");
  {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(waiting->batch, waiting);
  }
  for (const auto& [kme, leg] : waiting->legs) send(waiting->batch, kme);
}

Result<void> Neighbours::make(Waiting& waiting) {
  const kme::Order& order = waiting.order;
  // The key does not travel over our network, and what the other maker's is worth nobody here knows.
  if (order.demands.any()) return fail(ErrorCode::invalid_argument, kme::demands_unmet);
  if (order.deadline.passed()) return fail(ErrorCode::deadline_exceeded, "the order waited too long");
  const UnixMs now = parts_.clock.now_ms();
  waiting.batch = parts_.device.rng().id<BatchId>();
  waiting.give_up_ms = now + static_cast<UnixMs>(place_.offer_max.count());
  ASSIGN_OR_RETURN(waiting.keys, parts_.device.random(std::size_t{order.number} * order.size / 8));
  for (const kme::SaeId& slave : order.slaves) {
    const auto known = parts_.registry.find(slave);
    if (known == nullptr) return fail(ErrorCode::invalid_argument, "SAE " + slave.text() + " is not known to this KME");
    if (known->here) {
      waiting.own_slaves.push_back(slave);
      continue;
    }
    Handover& handover = waiting.legs[known->kme].handover;
    handover.batch = waiting.batch;
    handover.kme = known->kme;
    handover.count = order.number;
    handover.initiator = order.master.sae;
    handover.targets.push_back(slave);
  }
  return parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    for (const auto& [kme, leg] : waiting.legs) TRY(Handovers::offer(transaction, leg.handover, now));
    return {};
  });
}

void Neighbours::send(const BatchId& batch, const std::string& kme) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(batch);
    if (found == waiting_.end()) return;
    Leg& leg = found->second->legs.at(kme);
    if (leg.sending) return;
    leg.sending = true;
    ++leg.tries;
  }
  submit_to(kme, [this, batch, kme] {
    Secret body;
    {
      const std::lock_guard lock(mutex_);
      const auto found = waiting_.find(batch);
      if (found == waiting_.end()) return;
      const Handover& handover = found->second->legs.at(kme).handover;
      body = kme::etsi020::render_ext_keys(
          {.ids = handover.ids(), .initiator = handover.initiator, .targets = handover.targets, .ack_callback_url = place_.ack_callback_url},
          found->second->keys);
    }
    auto answer = ports_.call(kme, "ext_keys", body.reveal(), Deadline::after(place_.call_max));
    node::crash_point("qkm.sae.brought");
    submit([this, batch, kme, answer = std::move(answer)] { sent(batch, kme, answer); });
  });
}

void Neighbours::sent(const BatchId& batch, const std::string& kme, const Result<net::Response>& answer) {
  bool only_try = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(batch);
    if (found == waiting_.end()) return;
    Leg& leg = found->second->legs.at(kme);
    leg.sending = false;
    leg.last_ms = parts_.clock.now_ms();
    if (answer && answer->status / 100 == 2) {
      leg.taken = true;
      return;
    }
    if (leg.taken) return;  // a refusal to take twice what was taken: its acknowledgement is waited for
    only_try = leg.tries == 1;
  }
  const Error why = answer ? kme::etsi020::refusal_of(answer->status, answer->body) : answer.error();
  if (answer && answer->status / 100 == 4) return give_up(batch, only_try ? kme : std::string(), {ErrorCode::unavailable, kme + ": " + why.message});
  node::log(node::LogLevel::warning, "keys to {}: {}", kme, why.message);
}

// ---- its end ----

void Neighbours::acknowledged(const std::string& kme, std::vector<kme::etsi020::Ack> acks, kme::Done<void> done) {
  auto shared_done = std::make_shared<kme::Done<void>>(std::move(done));  // also held here until the queue took it
  Job job = [this, kme, acks = std::move(acks), shared_done]() { take_acks(kme, acks, std::move(*shared_done)); };
  if (!jobs_.submit(job)) (*shared_done)(fail(ErrorCode::exhausted, "too many acknowledgements wait"));
}

void Neighbours::take_acks(const std::string& kme, const std::vector<kme::etsi020::Ack>& acks, kme::Done<void> done) {
  give_up_overdue();  // nobody waits for those any more
  auto outcome = parts_.store.transact(
      [&](store::Transaction& transaction) { return Handovers::acknowledge(transaction, kme, acks, parts_.clock.now_ms()); });
  node::crash_point("qkm.sae.acknowledged");
  if (!outcome) return done(fail(outcome.error()));
  const std::string why = outcome->failed.empty() ? std::string() : outcome->failed.front().second;
  if (!outcome->changed.empty()) {
    const auto recorded = record("etsi020.ack", why.empty() ? audit::Outcome::success : audit::Outcome::failure, kme, text_of(outcome->changed), why);
    done(recorded ? Result<void>() : Result<void>(fail(recorded.error())));
  } else {
    done({});
  }
  for (const auto& [batch, reason] : outcome->failed) {
    if (const auto waiting = remove(batch)) fail_order(*waiting, {ErrorCode::unavailable, reason});
  }
  for (const BatchId& batch : outcome->complete) sell(batch);
  if (!outcome->failed.empty()) start_voids();
}

/// Keys for slaves of this site are kept first, the record is written next, and that they are sold is noted last: whoever dies or fails before that has
/// answered nobody, and everything is voided.
void Neighbours::sell(const BatchId& batch) {
  std::shared_ptr<Waiting> waiting;
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(batch);
    if (found == waiting_.end()) return;
    waiting = found->second;
    waiting->complete = true;
  }
  if (waiting->own_slaves.empty()) return finish_sale(batch, {});
  kme::ExternalKeys own{.initiator = waiting->order.master.sae,
                        .targets = waiting->own_slaves,
                        .keys = waiting->sold_keys(),
                        .from = waiting->order.master,
                        .deadline = waiting->order.deadline};
  ports_.keep(std::move(own), [this, batch](const Result<void>& kept) { submit([this, batch, kept] { finish_sale(batch, kept); }); });
}

void Neighbours::finish_sale(const BatchId& batch, const Result<void>& kept) {
  std::shared_ptr<Waiting> waiting;
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(batch);
    if (found == waiting_.end()) return;  // given up meanwhile
    waiting = found->second;
  }
  if (!kept) return give_up(batch, "", kept.error());
  if (waiting->order.deadline.passed()) return give_up(batch, "", {ErrorCode::deadline_exceeded, "the acknowledgements came too late"});
  kme::Delivery delivery{.keys = waiting->sold_keys()};
  if (!record("sae.enc_keys", audit::Outcome::success, "", text_of_sale(*waiting), "")) {
    return give_up(batch, "", {ErrorCode::internal, "the delivery could not be recorded"});
  }
  const auto sold = parts_.store.transact([&](store::Transaction& transaction) { return Handovers::sell(transaction, batch, parts_.clock.now_ms()); });
  if (!sold || !*sold) return give_up(batch, "", sold ? Error{ErrorCode::unavailable, "a key manager took its acknowledgement back"} : sold.error());
  remove(batch);
  waiting->done(std::move(delivery));
}

std::vector<kme::Key> Neighbours::Waiting::sold_keys() const {
  std::vector<kme::Key> out;
  out.reserve(order.number);
  for (std::uint32_t i = 0; i < order.number; ++i) out.push_back({.id = key_id(batch, i), .octets = some_keys(keys, i, 1, order.size / 8)});
  return out;
}

std::string Neighbours::text_of_sale(const Waiting& waiting) {
  const kme::Order& order = waiting.order;
  std::string out = order.master.sae.text() + " >";
  for (const kme::SaeId& slave : order.slaves) out += ' ' + slave.text();
  out += ", " + std::to_string(order.number) + " x " + std::to_string(order.size) + " bit, " + order.master.group +
         (order.master.quantum_safe ? "" : " (not quantum-safe)") + ", brought to";
  for (const auto& [kme, leg] : waiting.legs) out += ' ' + kme;
  return out + ": " + KeyRun{.batch = waiting.batch, .first = 0, .count = order.number}.text();
}

void Neighbours::give_up(const BatchId& batch, const std::string& kme, const Error& why) {
  const auto written =
      parts_.store.transact([&](store::Transaction& transaction) { return Handovers::give_up(transaction, batch, kme, parts_.clock.now_ms()); });
  if (!written) node::log(node::LogLevel::error, "keys that other key managers have: {}", written.error().message);  // voided after the next start
  if (const auto waiting = remove(batch)) fail_order(*waiting, why);
  start_voids();
}

void Neighbours::give_up_overdue() {
  const UnixMs now = parts_.clock.now_ms();
  std::vector<BatchId> overdue;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [batch, waiting] : waiting_) {
      if (waiting->give_up_ms <= now || waiting->order.deadline.passed()) overdue.push_back(batch);
    }
  }
  for (const BatchId& batch : overdue) give_up(batch, "", {ErrorCode::unavailable, "another key manager did not acknowledge the keys in time"});
}

void Neighbours::start_voids() {
  const auto duties = parts_.store.transact([&](store::Transaction& transaction) {
    return Handovers::due(transaction, voids_together_max, static_cast<UnixMs>(place_.void_max.count()), parts_.clock.now_ms());
  });
  if (!duties) return node::log(node::LogLevel::error, "keys to be voided: {}", duties.error().message);
  for (const Handovers::Duty& duty : *duties) submit_to(duty.handover.kme, [this, duty] { void_keys(duty); });
}

void Neighbours::void_keys(const Handovers::Duty& duty) {
  const std::string body = kme::etsi020::render_void(duty.handover.ids(), duty.handover.initiator, duty.handover.targets);
  auto answer = ports_.call(duty.handover.kme, "ext_keys/void", as_bytes(body), Deadline::after(place_.call_max));
  submit([this, duty, answer = std::move(answer)] {
    const bool voided = answer && answer->status / 100 == 2;
    const Error why = voided ? Error{} : answer ? kme::etsi020::refusal_of(answer->status, answer->body) : answer.error();
    // A key manager that does not know the keys has nothing to void; one that does not know us now may know us later.
    const bool final = voided || duty.last || why.code == ErrorCode::invalid_argument;
    if (!final) return node::log(node::LogLevel::warning, "voiding at {}: {}", duty.handover.kme, why.message);
    const auto written = parts_.store.transact([&](store::Transaction& transaction) {
      return Handovers::voided(transaction, duty.handover, voided ? HandoverState::voided : HandoverState::failed, parts_.clock.now_ms());
    });
    if (!written) return node::log(node::LogLevel::error, "voiding at {}: {}", duty.handover.kme, written.error().message);
    const auto recorded = record("sae.void_sent", voided ? audit::Outcome::success : audit::Outcome::failure, duty.handover.kme, text_of(duty.handover.ids()),
                                 voided ? std::string() : why.message);
    if (!recorded) node::log(node::LogLevel::error, "audit: {}", recorded.error().message);
  });
}

void Neighbours::look_at_clock() {
  submit([this] {
    give_up_overdue();
    const UnixMs now = parts_.clock.now_ms();
    std::vector<std::pair<BatchId, std::string>> again;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [batch, waiting] : waiting_) {
        if (waiting->complete) continue;
        for (const auto& [kme, leg] : waiting->legs) {
          if (!leg.sending && leg.last_ms + static_cast<UnixMs>(place_.again_after.count()) <= now) again.emplace_back(batch, kme);
        }
      }
    }
    for (const auto& [batch, kme] : again) send(batch, kme);
    start_voids();
    const auto forgotten = parts_.store.transact(
        [&](store::Transaction& transaction) { return Handovers::forget(transaction, now > handovers_forgotten_ms ? now - handovers_forgotten_ms : 0); });
    if (!forgotten) node::log(node::LogLevel::error, "handovers: {}", forgotten.error().message);
  });
}

void Neighbours::fail_order(Waiting& waiting, const Error& why) {
  const auto recorded =
      record("sae.enc_keys", audit::outcome_of(why.code), "", waiting.order.master.sae.text() + " > " + waiting.order.slaves.front().text(), why.message);
  waiting.done(recorded ? Result<kme::Delivery>(fail(why)) : Result<kme::Delivery>(fail(ErrorCode::internal, "the refusal could not be recorded")));
}

std::shared_ptr<Neighbours::Waiting> Neighbours::remove(const BatchId& batch) {
  const std::lock_guard lock(mutex_);
  const auto found = waiting_.find(batch);
  if (found == waiting_.end()) return nullptr;
  std::shared_ptr<Waiting> out = std::move(found->second);
  waiting_.erase(found);
  return out;
}

Result<void> Neighbours::record(std::string_view action, audit::Outcome outcome, std::string_view subject, std::string_view object, std::string_view why) {
  while (object.size() > object_octets_max) {
    TRY(ports_.record(
        {.action = action, .outcome = outcome, .subject = subject, .object = object.substr(0, object_octets_max), .reason = why, .request_id = ""}));
    object.remove_prefix(object_octets_max);
  }
  return ports_.record({.action = action, .outcome = outcome, .subject = subject, .object = object, .reason = why, .request_id = ""});
}

}  // namespace qanat::qkm
