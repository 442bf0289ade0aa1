// What the couriers do: announce that an end was opened or closed, supply chunks, ask for chunks.
#include <algorithm>

#include "node/crash_point.hpp"
#include "node/log.hpp"
#include "points/central_relay.hpp"
#include "quantum/qkm/sae_stream_state.hpp"

namespace qanat::qkm {
namespace {

using kme::StreamStatus;
using store::Transaction;
using Kind = StreamNote::Kind;
using Outcome = StreamAnswer::Outcome;

constexpr std::chrono::milliseconds call_max{3000};
constexpr UnixMs second_ms = 1000;

std::string range_of(std::uint32_t first, std::size_t count) { return std::to_string(first) + "+" + std::to_string(count); }

/// Trusted nodes between the ends of a path, "qkm-a>qkm-r>qkm-b".
std::uint32_t hops_of(std::string_view stock) {
  const auto steps = std::ranges::count(stock, '>');
  return steps > 0 ? static_cast<std::uint32_t>(steps - 1) : 0U;
}

}  // namespace

Result<StreamAnswer> SaeStreams::tell(const StreamEnd& end, StreamNote note, Deadline deadline, Round& round) {
  if (round.unreachable) return fail(ErrorCode::unavailable, "the other QKM does not answer");
  note.id = end.id;
  note.from = end.sae;
  note.to = end.peer;
  Activation message{.id = parts_.device.rng().id<ActivationId>(), .groups = {}, .stream = std::move(note)};
  const auto answer = ports_.activate(place_.domains.at(domain_of(end.peer)), write_activation(message), deadline);
  if (!answer) {
    const ErrorCode code = answer.error().code;
    round.unreachable = code == ErrorCode::unavailable || code == ErrorCode::deadline_exceeded;
    return fail(answer.error());
  }
  return read_answer(*answer);
}

StreamCourier::Next SaeStreams::attend(const Task& task, Round& round) {
  const auto find = [&] { return parts_.store.transact([&](Transaction& transaction) { return table_.find(transaction, task.key.id, task.key.sae); }); };
  auto end = find();
  if (end && *end && (*end)->state == EndState::open && !(*end)->told) {
    announce(**end, round);
    end = find();
  }
  if (!end) {
    node::log(node::LogLevel::error, "stream: {}", end.error().message);
    return Next::again;
  }
  if (!*end || !place_.domains.contains(domain_of((*end)->peer))) return Next::done;
  const auto pending = parts_.store.transact([&](Transaction& transaction) { return table_.pending(transaction, **end); });
  if (!pending) return Next::again;
  if (!pending->empty() && !push(**end, *pending, round)) return Next::again;
  if ((*end)->state == EndState::closed) return (*end)->told || tell_closed(**end, round) ? Next::done : Next::again;
  return bring(task, **end, round);
}

// ---- OPEN_CONNECT ----

void SaeStreams::announce(const StreamEnd& end, Round& round) {
  Deadline until = Deadline::after(call_max);
  {
    const std::lock_guard lock(mutex_);
    const auto opening = openings_.find({end.id, end.sae});
    if (opening != openings_.end() && opening->second->until.at() < until.at()) until = opening->second->until;
  }
  if (until.passed()) return settle(end, StreamStatus::timeout, fail(ErrorCode::deadline_exceeded, "the application's time was over"));
  const auto answer = tell(end, {.kind = Kind::open, .id = {}, .from = {}, .to = {}, .qos = end.qos}, until, round);
  if (!answer) return settle(end, answer.error().code == ErrorCode::deadline_exceeded ? StreamStatus::timeout : StreamStatus::no_connection, answer);
  switch (answer->outcome) {
    case Outcome::ok:
      return settle(end, answer->state == EndState::open ? StreamStatus::ok : StreamStatus::peer_not_connected, answer);
    case Outcome::in_use:
      return settle(end, StreamStatus::in_use, answer);
    case Outcome::qos:
      return settle(end, StreamStatus::qos_not_met, answer);
    case Outcome::refused:
    case Outcome::full:
    case Outcome::too_few:
      return settle(end, StreamStatus::no_connection, answer);
  }
}

std::shared_ptr<SaeStreams::Opening> SaeStreams::opening_of(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found = openings_.find(key);
  if (found == openings_.end()) return nullptr;
  std::shared_ptr<Opening> out = std::move(found->second);
  openings_.erase(found);
  return out;
}

/// Writes down what came of it, then tells the application.
void SaeStreams::settle(const StreamEnd& end, StreamStatus status, const Result<StreamAnswer>& answer) {
  const bool went = status == StreamStatus::ok || status == StreamStatus::peer_not_connected;
  const Result<void> written = parts_.store.transact([&](Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(auto now, table_.find(transaction, end.id, end.sae));
    if (!now) return {};
    if (went) {
      now->told = now->state == EndState::open;  // else it was closed meanwhile, and that must be told
      if (now->peer_state == EndState::expected) now->peer_state = answer->state;
      return table_.update(transaction, *now);
    }
    if (now->state != EndState::open) return {};
    const bool joined = now->peer_state == EndState::open;
    if (answer && !joined) return table_.remove(transaction, *now);  // the other end refused: there is no such stream
    if (joined && (!answer || answer->outcome == Outcome::qos)) {    // it stays open at the other end, and may be opened again at this one
      now->state = EndState::expected;
      now->told = true;
      return table_.update(transaction, *now);
    }
    TRY(close_end(transaction, *now));  // it may have been heard: that this end is closed is told until it is answered
    if (!answer) return {};
    now->peer_state = EndState::closed;
    now->told = true;
    return table_.update(transaction, *now);
  });
  if (!written) node::log(node::LogLevel::error, "stream: {}", written.error().message);
  const std::shared_ptr<Opening> opening = opening_of({end.id, end.sae});
  waiting_.ring(end.id);
  if (!opening) return;
  const std::string why = went     ? std::string()
                          : answer ? "the other site's KME: status " + std::to_string(static_cast<unsigned>(status))
                                   : answer.error().message;
  const auto recorded = record({.action = "sae.stream.open",
                                .outcome = went ? audit::Outcome::success : audit::outcome_of(code_of(status)),
                                .subject = end.sae.text(),
                                .object = end.id.hex() + " > " + end.peer.text(),
                                .why = why});
  if (!written || !recorded) status = StreamStatus::no_connection;
  opening->done({.status = status, .qos = status == StreamStatus::qos_not_met ? answer->qos : opening->qos, .id = end.id});
}

bool SaeStreams::tell_closed(StreamEnd end, Round& round) {
  const auto answer = tell(end, {.kind = Kind::close, .id = {}, .from = {}, .to = {}}, Deadline::after(call_max), round);
  if (!answer) return false;
  const auto written = parts_.store.transact([&](Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(auto now, table_.find(transaction, end.id, end.sae));
    if (!now) return {};
    now->told = true;
    if (answer->state == EndState::closed || answer->outcome != Outcome::ok) now->peer_state = EndState::closed;
    return table_.update(transaction, *now);
  });
  return written.has_value();
}

// ---- chunks ----

bool SaeStreams::push(const StreamEnd& end, std::span<const PendingChunk> pending, Round& round) {
  std::vector<StockRun> runs;
  for (const PendingChunk& chunk : pending) runs.insert(runs.end(), chunk.runs.begin(), chunk.runs.end());
  runs = merged(runs);
  const std::uint32_t first = pending.front().index;
  const auto answer =
      tell(end, {.kind = Kind::chunks, .id = {}, .from = {}, .to = {}, .index = first, .count = static_cast<std::uint32_t>(pending.size()), .runs = runs},
           Deadline::after(call_max), round);
  if (!answer) {
    set_trouble(end.id, StreamStatus::no_connection);
    return false;
  }
  if (!points::are_named(answer->missing, plain(runs))) {  // as an answer that cannot be read
    node::log(node::LogLevel::error, "stream {}: the other QKM misses chunks that were not named", end.id.hex());
    set_trouble(end.id, StreamStatus::no_connection);
    return false;
  }
  if (answer->outcome == Outcome::full) {
    set_trouble(end.id, StreamStatus::insufficient_key);
    return false;
  }
  const auto written = parts_.store.transact([&](Transaction& transaction) { return pushed(transaction, end, pending, *answer); });
  node::crash_point("qkm.stream.acknowledged");
  if (!written) {
    node::log(node::LogLevel::error, "stream: {}", written.error().message);
    return false;
  }
  if (answer->next > first) {
    std::string object = end.id.hex() + " " + range_of(first, std::min<std::size_t>(pending.size(), answer->next - first)) + ":";
    for (const StockRun& run : runs) object += ' ' + run.run.text();
    const auto recorded = record({.action = "sae.stream.supplied", .outcome = audit::Outcome::success, .subject = end.sae.text(), .object = object, .why = ""});
    if (!recorded) node::log(node::LogLevel::error, "audit: {}", recorded.error().message);
  }
  set_trouble(end.id, std::nullopt);
  waiting_.ring(end.id);
  return true;
}

Result<void> SaeStreams::pushed(Transaction& transaction, const StreamEnd& end, std::span<const PendingChunk> pending, const StreamAnswer& answer) {
  const std::uint32_t first = pending.front().index;
  ASSIGN_OR_RETURN(auto now, table_.find(transaction, end.id, end.sae));
  CHECK(now.has_value());
  TRY(table_.confirm(transaction, *now, answer.next, chunk_until(*now)));
  TRY(table_.drop(transaction, *now, StreamTable::Which::pending));  // the other end will never have these: their index gets others
  if (now->state == EndState::closed) TRY(table_.drop(transaction, *now, StreamTable::Which::ready));
  now->next = std::clamp(answer.next, first, now->next);
  if (answer.next < first) {
    // The other end is behind what it had said to have: its database is an older one. What it would be given now, this end's application had already.
    node::log(node::LogLevel::error, "stream {}: the other QKM has {} chunks where it had {}; the stream ends", end.id.hex(), answer.next, first);
    TRY(close_end(transaction, *now));
  }
  if (answer.state == EndState::closed || answer.outcome == Outcome::refused) now->peer_state = EndState::closed;
  TRY(table_.update(transaction, *now));
  const std::string prefix = SaeDelivery::stock_prefix(domain_of(end.peer));
  ASSIGN_OR_RETURN(const std::vector<StockName> names, parts_.stock.stocks(transaction, prefix));
  for (const StockName& name : names) {
    for (const BatchId& batch : answer.missing) TRY(parts_.stock.drop(transaction, name, batch, parts_.clock.now_ms()));
  }
  return {};
}

/// Sees to the chunk that is waited for, if one still is.
StreamCourier::Next SaeStreams::bring(const Task& task, const StreamEnd& end, Round& round) {
  if (!task.wanted || task.until.passed() || end.state != EndState::open || end.peer_state != EndState::open || *task.wanted < end.next) return Next::done;
  if (*task.wanted - end.next >= limits_.ahead_max) return Next::done;  // no application of ours would ask so; another QKM shall not empty the stock
  if (!supplies(end)) {
    const auto answer = tell(
        end, {.kind = Kind::want, .id = {}, .from = {}, .to = {}, .index = *task.wanted, .wait_ms = static_cast<std::uint32_t>(task.until.remaining().count())},
        Deadline::after(call_max), round);
    set_trouble(end.id, !answer                               ? StreamStatus::no_connection
                        : answer->outcome == Outcome::too_few ? std::optional(StreamStatus::insufficient_key)
                                                              : std::nullopt);
    return Next::again;  // until it is here
  }
  const auto claimed = parts_.store.transact([&](Transaction& transaction) { return claim(transaction, end, *task.wanted, round); });
  node::crash_point("qkm.stream.claimed");
  if (!claimed) node::log(node::LogLevel::error, "stream: {}", claimed.error().message);
  if (!claimed || !*claimed) return Next::again;
  if (ports_.taken) ports_.taken();
  const auto pending = parts_.store.transact([&](Transaction& transaction) { return table_.pending(transaction, end); });
  if (!pending || pending->empty() || !push(end, *pending, round)) return Next::again;
  const auto now = parts_.store.transact([&](Transaction& transaction) { return table_.find(transaction, end.id, end.sae); });
  return now && *now && (*now)->next > *task.wanted ? Next::done : Next::again;
}

/// Stores chunks as pending: what is wanted and a few more, as far as stock, Max_bps and room go. False if that is none.
Result<bool> SaeStreams::claim(Transaction& transaction, StreamEnd end, std::uint32_t wanted, Round& round) {
  ASSIGN_OR_RETURN(const auto found, table_.find(transaction, end.id, end.sae));
  if (!found || found->state != EndState::open || found->peer_state != EndState::open || wanted < found->next) return false;
  end = *found;
  const std::uint32_t stride = stride_of(end.qos.chunk_octets);
  ASSIGN_OR_RETURN(const std::int64_t held, table_.held(transaction, end));
  ASSIGN_OR_RETURN(const std::int64_t there, keys_for(transaction, domain_of(end.peer)));
  const std::uint32_t asked = std::min(wanted - end.next, limits_.ahead_max - 1) + 1 + limits_.in_advance;
  const auto room = static_cast<std::uint32_t>(std::max<std::int64_t>(std::int64_t{limits_.chunks_max} - held, 0));
  const std::uint32_t paid = affordable(end);
  const auto stocked = round.short_of_keys ? 0U : static_cast<std::uint32_t>(std::min<std::int64_t>(there / stride, stream_chunks_max));
  const std::uint32_t count =
      std::min({asked, room, paid, stocked, stream_chunks_max, static_cast<std::uint32_t>(activation_keys_max) / stride, UINT32_MAX - end.next});
  if (stocked == 0) round.short_of_keys = true;
  if (count == 0) {
    set_trouble(end.id, paid == 0 ? StreamStatus::timeout : StreamStatus::insufficient_key);
    return false;
  }
  std::vector<StockRun> runs;
  ASSIGN_OR_RETURN(const std::vector<Secret> parts, take_keys(transaction, end, count * stride, runs));
  const Secret keys = cut_keys(joined_keys(parts), end.qos.chunk_octets);
  std::vector<StockRun> each;  // stock key by stock key
  for (const StockRun& run : runs) {
    for (std::uint32_t i = 0; i < run.run.count; ++i)
      each.push_back({.stock = run.stock, .run = {.batch = run.run.batch, .first = run.run.first + i, .count = 1}});
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto own = std::span(each).subspan(std::size_t{i} * stride, stride);
    std::uint32_t hops = 0;
    for (const StockRun& run : own) hops = std::max(hops, hops_of(run.stock));
    TRY(table_.put(transaction, end, {.index = end.next + i, .ready = false, .runs = merged(own), .hops = hops, .until_ms = 0},
                   some_keys(keys, i, 1, end.qos.chunk_octets), parts_.clock.now_ms()));
  }
  end.next += count;
  spend(end, count);
  TRY(table_.update(transaction, end));
  return true;
}

Result<std::int64_t> SaeStreams::keys_for(Transaction& transaction, const std::string& domain) {
  std::int64_t out = 0;
  ASSIGN_OR_RETURN(const std::vector<StockName> names, parts_.stock.stocks(transaction, SaeDelivery::stock_prefix(domain)));
  for (const StockName& name : names) {
    ASSIGN_OR_RETURN(const StockLevel level, parts_.stock.level(transaction, name, parts_.clock.now_ms()));
    out += level.own;
  }
  return out;
}

/// Exactly so many keys, out of the site's stocks one after the other. They are destroyed in the stock at once: from now on they are the stream's.
Result<std::vector<Secret>> SaeStreams::take_keys(Transaction& transaction, const StreamEnd& end, std::uint32_t stock_keys, std::vector<StockRun>& runs) {
  const std::string prefix = SaeDelivery::stock_prefix(domain_of(end.peer));
  const UnixMs now = parts_.clock.now_ms();
  const Onward onward{.state = store::KeyState::destroyed, .holder = "stream " + end.sae.text(), .until_ms = 0};
  std::vector<Secret> out;
  std::size_t missing = stock_keys;
  ASSIGN_OR_RETURN(const std::vector<StockName> names, parts_.stock.stocks(transaction, prefix));
  for (const StockName& name : names) {
    ASSIGN_OR_RETURN(const StockLevel level, parts_.stock.level(transaction, name, now));
    const std::size_t most = std::min(missing, static_cast<std::size_t>(level.own));
    if (most == 0) continue;
    ASSIGN_OR_RETURN(std::vector<Taken> taken, parts_.stock.claim(transaction, name, {.least = most, .most = most, .each = false}, onward, now));
    for (Taken& part : taken) {
      missing -= part.run.count;
      runs.push_back({.stock = name.text().substr(prefix.size()), .run = part.run});
      out.push_back(std::move(part.keys));
    }
  }
  if (missing > 0) return fail(ErrorCode::exhausted, "too few keys in stock for " + end.peer.text());
  return Result<std::vector<Secret>>(std::move(out));
}

// ---- Max_bps ----

/// Chunks that Max_bps allows now: a second's worth may be saved up, and one chunk always.
std::uint32_t SaeStreams::affordable(const StreamEnd& end) {
  const std::lock_guard lock(mutex_);
  const UnixMs now = parts_.clock.now_ms();
  const double chunk_bits = 8.0 * end.qos.chunk_octets;
  const double most = std::max(static_cast<double>(end.qos.max_bps), chunk_bits);
  const auto [entry, is_new] = buckets_.try_emplace(end.id, Bucket{.bits = most, .at_ms = now});
  Bucket& bucket = entry->second;
  if (!is_new && now > bucket.at_ms) {
    bucket.bits = std::min(most, bucket.bits + static_cast<double>(now - bucket.at_ms) * end.qos.max_bps / second_ms);
    bucket.at_ms = now;
  }
  return static_cast<std::uint32_t>(std::min(bucket.bits / chunk_bits, static_cast<double>(stream_chunks_max)));
}

void SaeStreams::spend(const StreamEnd& end, std::uint32_t chunks) {
  const std::lock_guard lock(mutex_);
  buckets_[end.id].bits -= 8.0 * end.qos.chunk_octets * chunks;
}

}  // namespace qanat::qkm
