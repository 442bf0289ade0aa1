#include "quantum/qkm/sae_streams.hpp"

#include <algorithm>
#include <tuple>

#include "kme/key_id_text.hpp"
#include "node/crash_point.hpp"
#include "node/log.hpp"
#include "quantum/qkm/sae_stream_state.hpp"

namespace qanat::qkm {
namespace {

using kme::StreamStatus;
using store::Transaction;

constexpr std::size_t jobs_together_max = 256;
constexpr std::size_t jobs_waiting_max = 8192;
constexpr std::size_t evidence_octets_max = 960;  // of one record's object (audit/chain.hpp cuts at 1024)
constexpr std::size_t streams_swept_at_once_max = 256;
constexpr UnixMs closed_kept_ms = 24ULL * 3600 * 1000;

}  // namespace

ErrorCode code_of(StreamStatus status) {
  switch (status) {
    case StreamStatus::ok:
    case StreamStatus::peer_not_connected:
      break;
    case StreamStatus::insufficient_key:
      return ErrorCode::exhausted;
    case StreamStatus::peer_absent:
      return ErrorCode::unavailable;
    case StreamStatus::no_connection:
      return ErrorCode::denied;
    case StreamStatus::in_use:
      return ErrorCode::conflict;
    case StreamStatus::timeout:
      return ErrorCode::deadline_exceeded;
    case StreamStatus::qos_not_met:
    case StreamStatus::metadata_size:
      return ErrorCode::invalid_argument;
  }
  return ErrorCode::internal;
}

SaeStreams::SaeStreams(DeliveryPlace place, DeliveryParts parts, DeliveryPorts ports, StreamLimits limits)
    : place_(std::move(place)),
      parts_(parts),
      ports_(std::move(ports)),
      limits_(limits),
      table_(parts.device),
      desk_(1, jobs_together_max, jobs_waiting_max, [this](std::vector<Job> jobs) { run(std::move(jobs)); }) {
  for (const auto& [domain, qkm] : place_.domains) {
    couriers_.emplace(domain, std::make_unique<StreamCourier>([this](const Task& task, Round& round) { return attend(task, round); }));
  }
}

void SaeStreams::stop() {
  stopping_ = true;
  for (const auto& [domain, courier] : couriers_) courier->stop();
  waiting_.stop();
  desk_.stop();
  std::map<Key, std::shared_ptr<Opening>> left;
  {
    const std::lock_guard lock(mutex_);
    left.swap(openings_);
  }
  for (const auto& [key, opening] : left) opening->done({.status = StreamStatus::no_connection, .qos = opening->qos, .id = key.id});
}

// ---- the desk ----

void SaeStreams::submit(Job job) {
  if (!desk_.submit(job)) job.finish(false);
}

void SaeStreams::run(std::vector<Job> jobs) {
  std::vector<bool> done(jobs.size());
  const Result<void> committed = parts_.store.transact([&](Transaction& transaction) -> Result<void> {
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      TRY(transaction.run("SAVEPOINT job", {}));
      const Result<void> outcome = jobs[i].work(transaction);
      done[i] = outcome.has_value();
      if (!outcome) node::log(node::LogLevel::error, "stream: {}", outcome.error().message);
      if (!outcome) TRY(transaction.run("ROLLBACK TO job", {}));
      TRY(transaction.run("RELEASE job", {}));
    }
    return {};
  });
  node::crash_point("qkm.stream.desk");
  // What differs in nothing but its object stands in one record: neither a stream nor a flood of refusals costs a wait for the disk each.
  std::map<std::tuple<audit::Outcome, std::string, std::string, std::string>, std::string> alike;
  Result<void> recorded = committed;
  const auto write = [&](const auto& of, const std::string& object) {
    const auto& [outcome, action, subject, why] = of;
    if (recorded) recorded = record({.action = action, .outcome = outcome, .subject = subject, .object = object, .why = why});
  };
  for (std::size_t i = 0; i < jobs.size() && committed; ++i) {
    if (!done[i] || !jobs[i].evidence) continue;
    auto entry = jobs[i].evidence();
    if (!entry) continue;
    const auto of = std::tuple(entry->outcome, entry->action, entry->subject, entry->why);
    std::string& object = alike[of];
    if (!object.empty() && object.size() + entry->object.size() + 2 > evidence_octets_max) {
      write(of, object);
      object.clear();
    }
    object += (object.empty() ? "" : "; ") + entry->object;
  }
  for (const auto& [of, object] : alike) write(of, object);
  for (std::size_t i = 0; i < jobs.size(); ++i) jobs[i].finish(recorded.has_value() && done[i]);
}

/// One that names more keys than fit into a record stands in several.
Result<void> SaeStreams::record(const Entry& entry) {
  std::string_view rest = entry.object;
  while (true) {
    const std::size_t space = rest.size() > evidence_octets_max ? rest.rfind(' ', evidence_octets_max) : std::string_view::npos;
    TRY(ports_.record({.action = entry.action,
                       .outcome = entry.outcome,
                       .subject = entry.subject,
                       .object = rest.substr(0, space),
                       .reason = entry.why,
                       .request_id = ""}));
    if (space == std::string_view::npos) return {};
    rest.remove_prefix(space + 1);
  }
}

void SaeStreams::record_refusal(const kme::Caller& caller, std::string_view action, std::string why, std::move_only_function<void()> then) {
  Entry entry{.action = std::string(action), .outcome = audit::Outcome::refused, .subject = caller.sae.text(), .object = caller.address, .why = std::move(why)};
  submit({.work = [](Transaction&) -> Result<void> { return {}; },
          .evidence = [entry = std::move(entry)]() -> std::optional<Entry> { return entry; },
          .finish = [then = std::move(then)](bool) mutable { then(); }});
}

void SaeStreams::look_at(const StreamEnd& end, std::optional<std::uint32_t> wanted, Deadline until) {
  const auto courier = couriers_.find(domain_of(end.peer));
  if (courier == couriers_.end()) return;
  courier->second->look_at({.key = {end.id, end.sae}, .priority = end.qos.priority, .wanted = wanted, .until = until});
}

// ---- CLOSE ----

Result<void> SaeStreams::close_end(Transaction& transaction, StreamEnd& end) {
  end.state = EndState::closed;
  end.told = is_local(end);
  end.used_ms = parts_.clock.now_ms();
  TRY(table_.update(transaction, end));
  // What is pending may be at the other end already: it is told first, then destroyed.
  TRY(table_.drop(transaction, end, StreamTable::Which::ready));
  if (!is_local(end)) return {};
  ASSIGN_OR_RETURN(auto other, table_.find(transaction, end.id, end.peer));
  if (!other) return {};
  other->peer_state = EndState::closed;
  return table_.update(transaction, *other);
}

void SaeStreams::close(kme::Caller caller, StreamId id, kme::StreamDone<StreamStatus> done) {
  struct Closing {
    kme::Caller caller;
    std::optional<StreamEnd> end;  // if it was open
  };
  auto closing = std::make_shared<Closing>(Closing{.caller = std::move(caller), .end = std::nullopt});  // shared by the steps of the job
  submit({.work = [this, closing, id](Transaction& transaction) -> Result<void> {
            ASSIGN_OR_RETURN(auto end, table_.find(transaction, id, closing->caller.sae));
            if (!end || end->state != EndState::open) return {};
            TRY(close_end(transaction, *end));
            closing->end = std::move(end);
            return {};
          },
          .evidence = [closing, id]() -> std::optional<Entry> {
            const bool was_open = closing->end.has_value();
            return Entry{.action = "sae.stream.close",
                         .outcome = was_open ? audit::Outcome::success : audit::outcome_of(ErrorCode::denied),
                         .subject = closing->caller.sae.text(),
                         .object = id.hex(),
                         .why = was_open ? "" : "no open stream of this application"};
          },
          .finish =
              [this, closing, id, done = std::move(done)](bool durable) mutable {
                if (!durable || !closing->end) return done(StreamStatus::no_connection);
                forget_supply(id);
                waiting_.ring(id);
                look_at(*closing->end);
                done(StreamStatus::ok);
              }});
}

// ---- what goes by itself ----

Result<void> SaeStreams::recover() {
  std::vector<StreamEnd> unsettled;
  TRY(parts_.store.transact([&](Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(unsettled, table_.unsettled(transaction));
    for (StreamEnd& end : unsettled) {
      // An OPEN_CONNECT that was under way has no one who waits for its answer.
      if (end.state != EndState::open || end.told) continue;
      if (end.peer_state == EndState::open) {
        end.state = EndState::expected;
        end.told = true;
        TRY(table_.update(transaction, end));
      } else {
        TRY(close_end(transaction, end));
      }
    }
    return {};
  }));
  for (const StreamEnd& end : unsettled) look_at(end);
  return {};
}

Result<void> SaeStreams::sweep() {
  std::vector<std::string> gone;
  std::vector<StreamEnd> idle;
  TRY(parts_.store.transact([&](Transaction& transaction) -> Result<void> {
    const UnixMs now = parts_.clock.now_ms();
    ASSIGN_OR_RETURN(gone, table_.sweep(transaction, streams_swept_at_once_max, now));
    const auto before = [now](UnixMs span) { return now > span ? now - span : 0; };
    ASSIGN_OR_RETURN(idle, table_.idle_since(transaction, before(static_cast<UnixMs>(limits_.idle_max.count())), streams_swept_at_once_max));
    for (StreamEnd& end : idle) TRY(close_end(transaction, end));
    return table_.forget(transaction, before(closed_kept_ms));
  }));
  for (const StreamEnd& end : idle) {
    forget_supply(end.id);
    waiting_.ring(end.id);
    look_at(end);
    gone.push_back(end.id.hex() + " of " + end.sae.text());
  }
  std::string object;
  for (const std::string& item : gone) {
    if (!object.empty() && object.size() + item.size() + 2 > evidence_octets_max) {
      TRY(record({.action = "sae.stream.expired", .outcome = audit::Outcome::success, .subject = "", .object = object, .why = ""}));
      object.clear();
    }
    object += (object.empty() ? "" : "; ") + item;
  }
  if (object.empty()) return {};
  return record({.action = "sae.stream.expired", .outcome = audit::Outcome::success, .subject = "", .object = object, .why = ""});
}

/// Of a stream that this end has left.
void SaeStreams::forget_supply(const StreamId& id) {
  const std::lock_guard lock(mutex_);
  troubles_.erase(id);
  buckets_.erase(id);
}

void SaeStreams::set_trouble(const StreamId& id, std::optional<StreamStatus> trouble) {
  const std::lock_guard lock(mutex_);
  if (trouble) {
    troubles_[id] = *trouble;
  } else {
    troubles_.erase(id);
  }
}

StreamStatus SaeStreams::trouble_of(const StreamId& id) {
  const std::lock_guard lock(mutex_);
  const auto found = troubles_.find(id);
  return found == troubles_.end() ? StreamStatus::timeout : found->second;
}

}  // namespace qanat::qkm
