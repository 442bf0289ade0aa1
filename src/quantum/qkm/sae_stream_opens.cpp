// OPEN_CONNECT at the desk.
#include <algorithm>

#include "quantum/qkm/sae_stream_state.hpp"

namespace qanat::qkm {
namespace {

using kme::StreamStatus;
using store::Transaction;

}  // namespace

void SaeStreams::open(kme::StreamOpen open, kme::StreamDone<kme::StreamOpened> done) {
  const std::uint32_t asked = open.qos.timeout_ms == 0 ? limits_.bounds.timeout_ms_default : std::min(open.qos.timeout_ms, limits_.bounds.timeout_ms_max);
  kme::StreamQos qos = open.qos;
  auto opening = std::make_shared<Opening>(Opening{.open = std::move(open),  // shared by the steps of the job, and then by `openings_`
                                                   .done = std::move(done),
                                                   .until = Deadline::after(std::chrono::milliseconds(asked)),
                                                   .qos = std::move(qos),
                                                   .why = ""});
  submit({.work = [this, opening](Transaction& transaction) -> Result<void> {
            TRY(open_end(transaction, *opening));
            if (!opening->tells) return {};
            const std::lock_guard lock(mutex_);
            openings_[{opening->end.id, opening->end.sae}] = opening;  // before the courier can see the row
            return {};
          },
          .evidence = [opening]() -> std::optional<Entry> {
            if (opening->tells) return std::nullopt;  // settle() has the rest
            const bool went = opening->status == StreamStatus::ok || opening->status == StreamStatus::peer_not_connected;
            return Entry{.action = "sae.stream.open",
                         .outcome = went ? audit::Outcome::success : audit::outcome_of(code_of(opening->status)),
                         .subject = opening->open.caller.sae.text(),
                         .object = opening->open.id.hex() + " > " + opening->open.destination.text(),
                         .why = opening->why};
          },
          .finish =
              [this, opening](bool durable) {
                if (durable && opening->tells) return look_at(opening->end);
                if (opening->tells && opening_of({opening->end.id, opening->end.sae}) == nullptr) return;
                if (!durable) opening->status = StreamStatus::no_connection;
                waiting_.ring(opening->open.id);
                opening->done({.status = opening->status, .qos = opening->qos, .id = opening->open.id});
              }});
}

Result<void> SaeStreams::open_end(Transaction& transaction, Opening& opening) {
  kme::StreamOpen& open = opening.open;
  const auto no = [&](StreamStatus status, std::string why) -> Result<void> {
    opening.status = status;
    opening.why = std::move(why);
    return {};
  };
  if (stopping_) return no(StreamStatus::no_connection, "this KME is stopping");
  const std::string domain = domain_of(open.destination);
  if (domain != place_.domain && !place_.domains.contains(domain)) return no(StreamStatus::no_connection, "no site is known that serves the destination");
  ASSIGN_OR_RETURN(const bool may, may_open(transaction, open.caller.sae, EndState::open));
  if (!may) return no(StreamStatus::no_connection, "the application has " + std::to_string(limits_.streams_max) + " open streams: no more are given");
  if (open.id == StreamId()) open.id = parts_.device.rng().id<StreamId>();
  ASSIGN_OR_RETURN(const std::vector<StreamEnd> others, table_.all_of(transaction, open.id));
  const auto own = std::ranges::find(others, open.caller.sae, &StreamEnd::sae);
  if (own == others.end()) {
    if (!others.empty()) return no(StreamStatus::in_use, "the stream is another's");
    return open_new(transaction, opening, others);
  }
  if (own->peer != open.destination || own->state != EndState::expected || own->peer_state == EndState::closed) {
    return no(StreamStatus::in_use, own->peer != open.destination ? "the stream is another's" : "the stream was opened before");
  }
  kme::GrantedQos granted = kme::grant_joining(open.qos, own->qos, limits_.bounds);
  opening.qos = granted.qos;
  if (!granted.as_asked) return no(StreamStatus::qos_not_met, "the stream has another QoS");
  StreamEnd end = *own;
  end.qos = std::move(granted.qos);
  end.state = EndState::open;
  end.used_ms = parts_.clock.now_ms();
  end.told = is_local(end);
  TRY(table_.update(transaction, end));
  if (is_local(end)) return greet_local(transaction, opening, end);
  opening.tells = true;
  opening.end = std::move(end);
  return {};
}

Result<void> SaeStreams::open_new(Transaction& transaction, Opening& opening, std::span<const StreamEnd> others) {
  CHECK(others.empty());
  const kme::StreamOpen& open = opening.open;
  ASSIGN_OR_RETURN(const std::uint64_t committed, committed_bps(transaction, domain_of(open.destination)));
  kme::GrantedQos granted = kme::grant(open.qos, limits_.bounds, committed);
  opening.qos = granted.qos;
  if (!granted.as_asked) {
    opening.status = StreamStatus::qos_not_met;
    opening.why = "the QoS cannot be had";
    return {};
  }
  StreamEnd end{.id = open.id, .sae = open.caller.sae, .peer = open.destination, .qos = std::move(granted.qos), .state = EndState::open};
  end.used_ms = parts_.clock.now_ms();
  end.told = is_local(end);
  TRY(table_.add(transaction, end));
  if (is_local(end)) return greet_local(transaction, opening, end);
  opening.tells = true;
  opening.end = std::move(end);
  return {};
}

/// Both applications are at this site: the other's end is here too.
Result<void> SaeStreams::greet_local(Transaction& transaction, Opening& opening, StreamEnd& end) {
  ASSIGN_OR_RETURN(auto other, table_.find(transaction, end.id, end.peer));
  if (!other) {
    ASSIGN_OR_RETURN(const bool may, may_open(transaction, end.peer, EndState::expected));
    if (!may) {
      opening.status = StreamStatus::no_connection;
      opening.why = "too many streams wait for the destination";
      return table_.remove(transaction, end);
    }
    other = StreamEnd{.id = end.id, .sae = end.peer, .peer = end.sae, .qos = end.qos, .peer_state = EndState::open, .used_ms = end.used_ms};
    TRY(table_.add(transaction, *other));
  }
  other->peer_state = EndState::open;
  TRY(table_.update(transaction, *other));
  opening.status = other->state == EndState::open ? StreamStatus::ok : StreamStatus::peer_not_connected;
  return {};
}

Result<bool> SaeStreams::may_open(Transaction& transaction, const kme::SaeId& sae, EndState state) {
  ASSIGN_OR_RETURN(const std::int64_t there, table_.count(transaction, sae, state));
  return there < std::int64_t{limits_.streams_max};
}

/// What streams to that site were promised. One that is expected counts: it was granted to the other application, and joining it is not asked again.
Result<std::uint64_t> SaeStreams::committed_bps(Transaction& transaction, const std::string& domain) {
  std::uint64_t out = 0;
  ASSIGN_OR_RETURN(const std::vector<StreamEnd> ends, table_.live_ends(transaction));
  for (const StreamEnd& end : ends) {
    if (domain_of(end.peer) == domain) out += end.qos.min_bps;
  }
  return out;
}

}  // namespace qanat::qkm
