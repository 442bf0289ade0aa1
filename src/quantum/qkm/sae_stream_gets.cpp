// GET_KEY at the desk.
#include <algorithm>

#include "quantum/qkm/sae_stream_state.hpp"

namespace qanat::qkm {
namespace {

using kme::StreamStatus;
using store::Transaction;

constexpr std::chrono::milliseconds local_look_every{100};  // at a stream within the site, which no courier looks after
constexpr UnixMs used_grain_ms = 60'000;                    // how exactly it is known when an end was last used

std::string metadata_of(const ChunkView& chunk, UnixMs now) {
  const UnixMs age = now > chunk.since_ms ? now - chunk.since_ms : 0;
  return wire::Json::object({{"age", age}, {"hops", chunk.hops}}).dump();
}

}  // namespace

void SaeStreams::get(kme::StreamGet get, kme::StreamDone<kme::StreamChunk> done) {
  look_again(std::make_shared<Getting>(Getting{.get = std::move(get), .done = std::move(done), .why = ""}));  // shared by the steps of the job
}

void SaeStreams::look_again(const std::shared_ptr<Getting>& getting) {
  submit({.work =
              [this, getting](Transaction& transaction) {
                getting->seen = waiting_.rings();
                getting->waits = false;
                getting->chunk = {.status = StreamStatus::timeout, .index = getting->get.index};
                return look(transaction, *getting);
              },
          .evidence = [getting]() -> std::optional<Entry> {
            const StreamStatus status = getting->chunk.status;
            if (getting->waits || status == StreamStatus::metadata_size) return std::nullopt;
            const kme::Caller& who = getting->get.caller;
            return Entry{
                .action = "sae.stream.get",
                .outcome = status == StreamStatus::ok ? audit::Outcome::success : audit::outcome_of(code_of(status)),
                .subject = who.sae.text(),
                .object = getting->get.id.hex() + " " + std::to_string(getting->get.index) + ", " + who.group + (who.quantum_safe ? "" : " (not quantum-safe)"),
                .why = getting->why};
          },
          .finish =
              [this, getting](bool durable) {
                if (!durable) return getting->done({.status = StreamStatus::no_connection, .index = getting->get.index});
                if (!getting->waits) return getting->done(std::move(getting->chunk));
                StreamWaiting::Time at = getting->until.at();
                if (getting->local) {
                  at = std::min(at, StreamWaiting::Time(std::chrono::steady_clock::now() + local_look_every));
                } else {
                  look_at(getting->end, getting->get.index, getting->until);
                }
                StreamWaiting::Guest guest{.id = getting->get.id, .at = at, .again = [this, getting] { look_again(getting); }};
                if (waiting_.wait(guest, getting->seen)) return;
                getting->since = Deadline::clock::time_point::min();  // no place to wait in: as if its time were over
                look_again(getting);
              }});
}

Result<void> SaeStreams::look(Transaction& transaction, Getting& getting) {
  const kme::StreamGet& get = getting.get;
  ASSIGN_OR_RETURN(auto end, table_.find(transaction, get.id, get.caller.sae));
  if (!end || end->state != EndState::open) {
    getting.chunk.status = StreamStatus::no_connection;
    getting.why = "no open stream of this application";
    return {};
  }
  getting.until = Deadline(getting.since + std::chrono::milliseconds(end->qos.timeout_ms));
  getting.local = is_local(*end);
  const UnixMs now = parts_.clock.now_ms();
  if (now > end->used_ms + used_grain_ms) {
    end->used_ms = now;
    TRY(table_.update(transaction, *end));
  }
  ASSIGN_OR_RETURN(auto chunk, table_.look(transaction, *end, get.index));
  if (!chunk && getting.local && get.index >= end->next && end->peer_state == EndState::open) {
    TRY(make_local(transaction, *end, get.index));
    ASSIGN_OR_RETURN(chunk, table_.look(transaction, *end, get.index));
  }
  if (chunk && chunk->ready) return hand_out(transaction, getting, *end, *chunk);
  return look_without_chunk(transaction, getting, *end);
}

/// Why it is not there, and whether it is worth while to wait for it.
Result<void> SaeStreams::look_without_chunk(Transaction& transaction, Getting& getting, const StreamEnd& end) {
  const std::uint32_t index = getting.get.index;
  const auto no = [&](StreamStatus status, std::string_view why) -> Result<void> {
    getting.chunk.status = status;
    getting.why = why;
    return {};
  };
  StreamStatus otherwise = trouble_of(end.id);
  ASSIGN_OR_RETURN(const auto pending, table_.look(transaction, end, index));
  if (!pending) {
    if (index < end.next) return no(StreamStatus::insufficient_key, "the chunk was given before, or is past its time");
    if (end.peer_state == EndState::closed) return no(StreamStatus::peer_absent, "the other application closed its end");
    if (index - end.next >= limits_.ahead_max) return no(StreamStatus::insufficient_key, "the index is too far ahead");
    ASSIGN_OR_RETURN(const std::int64_t held, table_.held(transaction, end));
    if (held >= std::int64_t{limits_.chunks_max}) return no(StreamStatus::insufficient_key, "too many chunks wait to be fetched");
    if (end.peer_state == EndState::expected) otherwise = StreamStatus::peer_absent;
  }
  if (getting.until.passed() || stopping_) {
    return no(otherwise, otherwise == StreamStatus::peer_absent ? "the other application is not connected" : "the chunk did not come in time");
  }
  getting.waits = true;
  getting.end = end;
  return {};
}

Result<void> SaeStreams::hand_out(Transaction& transaction, Getting& getting, const StreamEnd& end, const ChunkView& chunk) {
  const kme::StreamGet& get = getting.get;
  if (!end.qos.mimetype.empty() && get.metadata_max > 0) {
    getting.chunk.metadata = metadata_of(chunk, parts_.clock.now_ms());
    if (getting.chunk.metadata.size() > get.metadata_max) {
      getting.chunk.status = StreamStatus::metadata_size;
      getting.chunk.metadata_needed = static_cast<std::uint32_t>(getting.chunk.metadata.size());
      return {};
    }
  }
  if (const auto spent = quotas_.spend(*parts_.registry.find(end.sae), 1, parts_.clock.now_ms()); !spent) {
    getting.chunk.status = StreamStatus::insufficient_key;
    getting.why = spent.error().message;
    return {};
  }
  ASSIGN_OR_RETURN(getting.chunk.key, table_.take(transaction, end, get.index));
  getting.chunk.status = StreamStatus::ok;
  return {};
}

/// Both ends are here: no key needs to travel. Octets of the device.
Result<void> SaeStreams::make_local(Transaction& transaction, StreamEnd& end, std::uint32_t index) {
  ASSIGN_OR_RETURN(auto other, table_.find(transaction, end.id, end.peer));
  if (!other || other->state != EndState::open || index - end.next >= limits_.ahead_max) return {};
  ASSIGN_OR_RETURN(const std::int64_t held, table_.held(transaction, *other));
  ASSIGN_OR_RETURN(const std::int64_t own, table_.held(transaction, end));
  const std::int64_t room = std::int64_t{limits_.chunks_max} - std::max(held, own);
  const std::uint32_t count = std::min({index - end.next + 1, affordable(end), static_cast<std::uint32_t>(std::max<std::int64_t>(room, 0))});
  const UnixMs now = parts_.clock.now_ms();
  for (std::uint32_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const Secret key, parts_.device.random(end.qos.chunk_octets));
    const NewChunk chunk{.index = end.next, .ready = true, .runs = {}, .hops = 0, .until_ms = chunk_until(end)};
    TRY(table_.put(transaction, end, chunk, key, now));
    TRY(table_.put(transaction, *other, chunk, key, now));
    ++end.next;
  }
  spend(end, count);
  other->next = end.next;
  TRY(table_.update(transaction, end));
  return table_.update(transaction, *other);
}

}  // namespace qanat::qkm
