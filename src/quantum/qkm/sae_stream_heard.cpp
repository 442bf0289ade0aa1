// What another QKM says of the streams between its site and ours.
#include <algorithm>

#include "node/crash_point.hpp"
#include "quantum/qkm/sae_stream_state.hpp"

namespace qanat::qkm {
namespace {

using store::Transaction;
using Kind = StreamNote::Kind;
using Outcome = StreamAnswer::Outcome;

StreamAnswer refused() { return {.outcome = Outcome::refused, .state = EndState::closed}; }

}  // namespace

Result<void> SaeStreams::check(const Identity& sender, const StreamNote& note) const {
  const auto known = place_.domains.find(sender.domain);
  if (known == place_.domains.end() || known->second.text() != sender.name) {
    return fail(ErrorCode::denied, sender.uri() + " is not the QKM of a site that shares keys with this one");
  }
  const auto from = parts_.registry.find(note.from);
  if (from == nullptr || from->domain != sender.domain) return fail(ErrorCode::denied, note.from.text() + " is no SAE of domain " + sender.domain);
  const auto to = parts_.registry.find(note.to);
  if (to == nullptr || !to->here) return fail(ErrorCode::denied, note.to.text() + " is no SAE of this KME");
  return {};
}

Result<wire::Json> SaeStreams::heard(const Identity& sender, const Activation& activation) {
  CHECK(activation.stream.has_value());
  const StreamNote& note = *activation.stream;
  TRY(check(sender, note));
  const std::string& domain = sender.domain;
  ASSIGN_OR_RETURN(const StreamAnswer answer, parts_.store.transact([&](Transaction& transaction) -> Result<StreamAnswer> {
    switch (note.kind) {
      case Kind::open:
        return heard_open(transaction, note, domain);
      case Kind::close:
        return heard_close(transaction, note);
      case Kind::chunks:
        return heard_chunks(transaction, note, domain);
      case Kind::want:
        return heard_want(transaction, note, domain);
    }
    return fail(ErrorCode::internal, "stream: no such note");
  }));
  node::crash_point("qkm.stream.stored");
  if (note.kind == Kind::chunks && answer.outcome == Outcome::ok && answer.next >= note.index + note.count) {
    std::string object = note.id.hex() + " " + std::to_string(note.index) + "+" + std::to_string(note.count) + " > " + note.to.text() + ":";
    for (const StockRun& run : note.runs) object += ' ' + run.run.text();
    TRY(record({.action = "sae.stream.activated", .outcome = audit::Outcome::success, .subject = sender.uri(), .object = object, .why = ""}));
    set_trouble(note.id, std::nullopt);
  }
  if (note.kind == Kind::open || note.kind == Kind::close) {
    TRY(record({.action = note.kind == Kind::open ? "sae.stream.announced" : "sae.stream.left",
                .outcome = answer.outcome == Outcome::ok ? audit::Outcome::success : audit::Outcome::refused,
                .subject = sender.uri(),
                .object = note.id.hex() + " " + note.from.text() + " > " + note.to.text(),
                .why = ""}));
  }
  waiting_.ring(note.id);
  return write_answer(answer);
}

Result<StreamAnswer> SaeStreams::heard_open(Transaction& transaction, const StreamNote& note, const std::string& domain) {
  ASSIGN_OR_RETURN(const std::vector<StreamEnd> ends, table_.all_of(transaction, note.id));
  const StreamAnswer in_use{.outcome = Outcome::in_use, .state = EndState::closed};
  if (ends.empty()) {
    ASSIGN_OR_RETURN(const bool may, may_open(transaction, note.to, EndState::expected));
    if (!may) return refused();
    ASSIGN_OR_RETURN(const std::uint64_t committed, committed_bps(transaction, domain));
    kme::GrantedQos granted = kme::grant(note.qos, limits_.bounds, committed);
    if (!granted.as_asked) return StreamAnswer{.outcome = Outcome::qos, .state = EndState::closed, .qos = std::move(granted.qos)};
    TRY(table_.add(transaction,
                   {.id = note.id, .sae = note.to, .peer = note.from, .qos = note.qos, .peer_state = EndState::open, .used_ms = parts_.clock.now_ms()}));
    return StreamAnswer{.outcome = Outcome::ok, .state = EndState::expected};
  }
  StreamEnd end = ends.front();
  if (ends.size() != 1 || end.sae != note.to || end.peer != note.from) return in_use;
  if (end.state == EndState::closed || end.peer_state == EndState::closed) return in_use;
  const bool alike = end.qos.chunk_octets == note.qos.chunk_octets && end.qos.max_bps == note.qos.max_bps && end.qos.min_bps == note.qos.min_bps &&
                     end.qos.ttl_s == note.qos.ttl_s;
  if (!alike) return StreamAnswer{.outcome = Outcome::qos, .state = end.state, .qos = std::move(end.qos)};
  end.peer_state = EndState::open;
  TRY(table_.update(transaction, end));
  return StreamAnswer{.outcome = Outcome::ok, .state = end.state, .next = end.next};
}

Result<StreamAnswer> SaeStreams::heard_close(Transaction& transaction, const StreamNote& note) {
  ASSIGN_OR_RETURN(auto end, table_.find(transaction, note.id, note.to));
  if (!end || end->peer != note.from) return refused();
  end->peer_state = EndState::closed;
  if (end->state == EndState::expected) {  // nobody came, nobody can any more
    end->state = EndState::closed;
    end->told = true;
  }
  TRY(table_.update(transaction, *end));
  look_at(*end);  // what is pending has nowhere to go
  return StreamAnswer{.outcome = Outcome::ok, .state = end->state, .next = end->next};
}

Result<StreamAnswer> SaeStreams::heard_chunks(Transaction& transaction, const StreamNote& note, const std::string& domain) {
  ASSIGN_OR_RETURN(auto end, table_.find(transaction, note.id, note.to));
  if (!end || end->peer != note.from || supplies(*end)) return refused();
  StreamAnswer answer{.outcome = Outcome::ok, .state = end->state, .next = end->next};
  const std::uint32_t stride = stride_of(end->qos.chunk_octets);
  if (stock_keys_in(note.runs) != std::size_t{note.count} * stride) return fail(ErrorCode::invalid_argument, "stream: the keys do not make so many chunks");
  if (note.index != end->next) return answer;  // it was here before, or is not the next: the answer says where this end is
  if (end->state != EndState::closed) {
    ASSIGN_OR_RETURN(const std::int64_t held, table_.held(transaction, *end));
    if (held + note.count > std::int64_t{limits_.chunks_max}) {
      answer.outcome = Outcome::full;
      return answer;
    }
  }
  const Onward onward{.state = store::KeyState::destroyed, .holder = "stream " + end->sae.text(), .until_ms = 0};  // their octets go on under the chunk's seal
  std::vector<Secret> parts;
  bool whole = true;
  std::uint32_t hops = 0;
  for (const StockRun& run : note.runs) {
    const KeyRun named[] = {run.run};
    ASSIGN_OR_RETURN(KeyStock::Receipt receipt, parts_.stock.redeem(transaction, StockName(SaeDelivery::stock_prefix(domain) + run.stock), named, onward,
                                                                    KeyStock::Unknown::leave, parts_.clock.now_ms()));
    answer.missing.insert(answer.missing.end(), receipt.missing.begin(), receipt.missing.end());
    whole = whole && !receipt.refusal;
    for (Taken& taken : receipt.keys) parts.push_back(std::move(taken.keys));
    const auto steps = std::ranges::count(run.stock, '>');
    hops = std::max(hops, steps > 0 ? static_cast<std::uint32_t>(steps - 1) : 0U);
  }
  if (!whole || end->state == EndState::closed) return answer;  // used up, all of them, and nothing stored
  const Secret keys = cut_keys(joined_keys(parts), end->qos.chunk_octets);
  for (std::uint32_t i = 0; i < note.count; ++i) {
    TRY(table_.put(transaction, *end, {.index = end->next + i, .ready = true, .runs = {}, .hops = hops, .until_ms = chunk_until(*end)},
                   some_keys(keys, i, 1, end->qos.chunk_octets), parts_.clock.now_ms()));
  }
  end->next += note.count;
  TRY(table_.update(transaction, *end));
  answer.next = end->next;
  return answer;
}

Result<StreamAnswer> SaeStreams::heard_want(Transaction& transaction, const StreamNote& note, const std::string& domain) {
  ASSIGN_OR_RETURN(const auto end, table_.find(transaction, note.id, note.to));
  if (!end || end->peer != note.from || !supplies(*end)) return refused();
  StreamAnswer answer{.outcome = Outcome::ok, .state = end->state, .next = end->next};
  if (end->state != EndState::open) return answer;
  ASSIGN_OR_RETURN(const std::int64_t there, keys_for(transaction, domain));
  if (there < std::int64_t{stride_of(end->qos.chunk_octets)}) answer.outcome = Outcome::too_few;
  const auto wait = std::min<std::uint32_t>(note.wait_ms, limits_.bounds.timeout_ms_max);
  look_at(*end, note.index, Deadline::after(std::chrono::milliseconds(wait)));
  return answer;
}

}  // namespace qanat::qkm
