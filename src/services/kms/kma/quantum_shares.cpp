// Km-3 as the KMS uses it: quantum key shares for a peer domain, by id, unwrapped under the site key.
#include <algorithm>
#include <set>

#include "node/crash_point.hpp"
#include "node/log.hpp"
#include "services/kms/kma/agreement.hpp"
#include "wire/base64.hpp"

namespace qanat::kms {
namespace {

constexpr std::int64_t fetch_within_max_ms = 86'400'000;
constexpr std::size_t keys_per_answer_max = 64;  // Km-3's
constexpr std::chrono::milliseconds quantum_wait_max{2000};  // of the request's time, at most this much goes into waiting for quantum keys

std::string level_text(wire::Assurance assurance) { return std::to_string(static_cast<int>(assurance)); }

/// Why there will be no key.
std::unexpected<Error> refused_choice(const Situation& at, const std::string& peer_domain, const Choice& choice) {
  if (choice.because == Because::no_ephemeral_keys) return fail(ErrorCode::denied, std::string(text(choice.because)));
  const std::string granted = "the caller's grant with the domain " + peer_domain + " is up to level " + level_text(at.granted);
  const bool no_grant = at.granted < wire::Assurance::one_qkd_path;
  if (choice.because == Because::no_fallback)
    return fail(no_grant ? ErrorCode::denied : ErrorCode::unavailable, std::string(text(choice.because)) + (no_grant ? ": " + granted : ""));
  const bool quantum = !no_grant && at.live.qkm && at.live.peer_has_quantum && at.live.quantum_key;
  const wire::Assurance rests_on = quantum ? wire::Assurance::one_qkd_path : wire::Assurance::pqc;
  return fail(ErrorCode::denied, "the key would rest on assurance " + level_text(rests_on) + ", the terminal demands " + level_text(at.demanded));
}

std::unexpected<Error> not_drawn(Because because, const std::string& who) {
  return fail(because == Because::stock_is_kept ? ErrorCode::exhausted : ErrorCode::unavailable, who + ": " + std::string(text(because)));
}

}  // namespace

RestsOn rests_on(const QuantumShares& shares, const std::vector<std::size_t>& used) {
  RestsOn out{.assurance = wire::Assurance::pqc};
  std::set<PathId> paths;
  for (const std::size_t place : used) {
    const std::uint8_t relays = shares.relays[place];
    out.path_min = paths.empty() ? relays : std::min(out.path_min, relays);
    paths.insert(shares.refs[place].path_id);
  }
  out.n_paths = static_cast<std::uint8_t>(paths.size());
  if (paths.empty() || !shares.quantum_grade) return out;
  // Only those that were asked for over separate paths are all over different ones.
  out.assurance = paths.size() >= 2 && paths.size() == used.size() ? wire::Assurance::disjoint_qkd_paths : wire::Assurance::one_qkd_path;
  return out;
}

Result<QuantumShares> Agreement::unwrap_shares(const wire::Json& answer) const {
  QuantumShares out;
  ASSIGN_OR_RETURN(const std::vector<wire::Json> keys, answer.array("keys"));
  if (keys.size() > keys_per_answer_max) return fail(ErrorCode::invalid_argument, "Km-3: more keys than were asked for");
  for (const wire::Json& key : keys) {
    ASSIGN_OR_RETURN(const std::string path, key.text("path_id"));
    ASSIGN_OR_RETURN(const std::string id, key.text("key_id"));
    ASSIGN_OR_RETURN(const PathId path_id, PathId::parse_hex(path));
    ASSIGN_OR_RETURN(const KeyId key_id, KeyId::parse_hex(id));
    ASSIGN_OR_RETURN(const Bytes wrapped, key.base64("key"));
    ASSIGN_OR_RETURN(const std::string grade, key.text("grade"));
    ASSIGN_OR_RETURN(const std::int64_t relays, key.integer("relays", 0, 255));
    ASSIGN_OR_RETURN(Secret share, site_key_.unwrap(concat({as_bytes("km-3"), key_id.view()}), wrapped));
    // The QKM was asked for such keys alone (or the other site's was, and this one's own demand counts too).
    points::KeyProof proof;
    if (key.has("proof")) {
      ASSIGN_OR_RETURN(const wire::Json stated, key.object("proof"));
      ASSIGN_OR_RETURN(proof, points::read_proof(stated));
    }
    if (!settings_.quantum_demand.is_met_by(proof) || relays > settings_.quantum_relays_max)
      return fail(ErrorCode::unavailable, "Km-3: key " + key_id.hex() + " has " + points::describe(proof) + " over " + std::to_string(relays) +
                                              " relays; wanted: " + points::describe(settings_.quantum_demand));
    if (share.size() != wire::wk_size) return fail(ErrorCode::invalid_argument, "Km-3: key " + key_id.hex() + " is not 32 octets");
    out.refs.push_back({.path_id = path_id, .key_id = key_id});
    out.keys.push_back(std::move(share));
    out.quantum_grade = out.quantum_grade && grade == "qkd";
    if (key.has("fetch_within_ms")) {
      ASSIGN_OR_RETURN(const std::int64_t within, key.integer("fetch_within_ms", 0, fetch_within_max_ms));
      const UnixMs until = node_.clock().now_ms() + static_cast<UnixMs>(within);
      out.fetch_until_ms = out.refs.size() == 1 ? until : std::min(out.fetch_until_ms, until);
    }
    out.relays.push_back(static_cast<std::uint8_t>(relays));
  }
  return Result<QuantumShares>(std::move(out));
}

wire::Json Agreement::quality(std::int64_t paths) const {
  wire::Json out = wire::Json::object({{"paths", paths}});
  if (settings_.quantum_demand.is_any() && settings_.quantum_relays_max == KmsSettings().quantum_relays_max) return out;
  out.set("bound", settings_.quantum_bound).set("photons", settings_.quantum_photons);
  out.set("eps_max", settings_.quantum_demand.eps_max).set("relays_max", settings_.quantum_relays_max);
  return out;
}

Live Agreement::live_towards(const std::string& peer_domain, Demand demand, Deadline deadline, const std::string& request_id) {
  Live out{.qkm = node_.peer_of(Kind::qkm, node_.identity().domain).has_value(),
           .peer_has_quantum = !settings_.policy.no_quantum_with.contains(peer_domain),
           .stock = {}};
  const bool counts = out.qkm && out.peer_has_quantum && demand == Demand::wished && policy_.terms()->quantum_reserve > 0;
  if (counts) out.stock = stock_towards(peer_domain, deadline, request_id);
  return out;
}

Result<std::int64_t> Agreement::lots_to_draw(const std::string& peer_domain, const Drawing& drawing, Deadline deadline, const std::string& request_id) {
  const Wanted wanted{.keys = drawing.lot.keys, .lots = drawing.lots, .demand = drawing.demand, .reserve = policy_.terms()->quantum_reserve};
  const auto room = room_for(wanted, live_towards(peer_domain, drawing.demand, deadline, request_id));
  const std::string who = std::string(drawing.what_for) + ", domain " + peer_domain;
  {
    const std::lock_guard lock(mutex_);
    if (room) {
      kept_from_.erase(who);
      return *room;
    }
    const auto before = kept_from_.find(who);
    if (before != kept_from_.end() && before->second == room.error()) return not_drawn(room.error(), who);
  }
  TRY(node_.record({.action = "km-3.take", .outcome = audit::Outcome::refused, .subject = "", .object = who, .reason = std::string(text(room.error())),
                    .request_id = request_id}));
  const std::lock_guard lock(mutex_);
  kept_from_.insert_or_assign(who, room.error());
  return not_drawn(room.error(), who);
}

Result<QuantumShares> Agreement::draw(const std::string& peer_domain, const Drawing& drawing, Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(const std::int64_t lots, lots_to_draw(peer_domain, drawing, deadline, request_id));
  return ask_qkm(peer_domain, drawing.session, lots * drawing.lot.keys, drawing.lot.paths, deadline, request_id);
}

Result<QuantumShares> Agreement::ask_qkm(const std::string& peer_domain, const SidWk& sid_wk, std::int64_t count, std::int64_t paths, Deadline deadline,
                                         const std::string& request_id) {
  ASSIGN_OR_RETURN(const std::string qkm, node_.peer_of(Kind::qkm, node_.identity().domain));
  const wire::Json body = wire::Json::object(
      {{"peer_domain", peer_domain}, {"sid_wk", sid_wk.hex()}, {"count", count}, {"kms", node_.identity().name}, {"quality", quality(paths)}});
  const auto ask = [&] { return node_.call_json(points::Endpoint::km3_take, qkm, body, deadline, request_id); };
  auto answer = ask();
  // It may have given them, and the answer been lost with the connection: the same again gets the same keys.
  if (!answer && answer.error().code == ErrorCode::unavailable && !deadline.passed()) answer = ask();
  if (!answer) return fail(std::move(answer).error());
  ASSIGN_OR_RETURN(QuantumShares shares, unwrap_shares(*answer));
  if (std::ssize(shares.refs) > count) return fail(ErrorCode::invalid_argument, "Km-3: more keys than were asked for");
  return Result<QuantumShares>(std::move(shares));
}

Result<QuantumShares> Agreement::take_shares(const std::string& peer_domain, const Choice& choice, const SidWk& sid_wk, Deadline deadline,
                                             const std::string& request_id) {
  // The pool's lots are what the terms in force ask for; any other choice is served on demand.
  const QuantumPool::Lot lot{.keys = choice.shares, .paths = choice.paths};
  if (pool_ != nullptr && pool_->is_on() && lot == lot_under(*policy_.terms())) {
    auto pooled = pool_->take(peer_domain, lot, sid_wk);
    pool_taken_();
    if (pooled) return pooled;
    if (pooled.error().code != ErrorCode::exhausted) node::log(node::LogLevel::warning, "request {}: {}", request_id, pooled.error().message);
  }
  return ask_qkm(peer_domain, sid_wk, choice.shares, choice.paths, deadline, request_id);
}

Result<QuantumShares> Agreement::take_shares(const std::string& peer_domain, const SidWk& sid_wk, Deadline deadline, const std::string& request_id) {
  const Deadline until = deadline.sooner_of(quantum_wait_max);
  const std::shared_ptr<const Terms> terms = policy_.terms();
  TRY(lots_to_draw(peer_domain, {.what_for = "keys for SAEs", .lot = lot_under(*terms)}, until, request_id));
  if (terms->quantum_paths > 1) {
    auto split = ask_qkm(peer_domain, sid_wk, terms->quantum_paths, terms->quantum_paths, until.sooner_of(until.remaining() / 2), request_id);
    if (split) return split;
    node::log(node::LogLevel::warning, "request {}: no keys over {} separate paths: {}", request_id, terms->quantum_paths, split.error().message);
  }
  return ask_qkm(peer_domain, sid_wk, terms->quantum_shares, 1, until, request_id);
}

std::optional<std::int64_t> Agreement::stock_towards(const std::string& peer_domain, Deadline deadline, const std::string& request_id) {
  const auto asked = [&]() -> Result<std::int64_t> {
    ASSIGN_OR_RETURN(const std::string qkm, node_.peer_of(Kind::qkm, node_.identity().domain));
    ASSIGN_OR_RETURN(const net::Response response, node_.call(points::Endpoint::km3_status, qkm, {}, deadline.sooner_of(quantum_wait_max), request_id));
    ASSIGN_OR_RETURN(const wire::Json answer, wire::Json::parse(response.body));
    ASSIGN_OR_RETURN(const std::vector<wire::Json> peers, answer.array("peers"));
    for (const wire::Json& peer : peers) {
      ASSIGN_OR_RETURN(const std::string domain, peer.text("domain"));
      if (domain == peer_domain) return peer.integer("stock", 0, INT64_MAX);
    }
    return 0;
  }();
  if (asked) return *asked;
  node::log(node::LogLevel::warning, "request {}: the stock of quantum keys is not known: {}", request_id, asked.error().message);
  return std::nullopt;
}

Result<Agreement::Made> Agreement::choose_and_take(const Asked& asked, const Terminal& caller, const std::string& peer_domain, wire::Assurance level_max,
                                                   Deadline deadline, const std::string& request_id) {
  const PolicySettings& policy = settings_.policy;
  const std::shared_ptr<const Terms> terms = policy_.terms();
  Situation at{.ephemeral = asked.ephemeral,
               .demanded = std::max(asked.min_assurance, policy.terms_for(asked.traffic).level_min),
               .granted = level_max,
               .policy = {.paths = terms->quantum_paths,
                          .shares = terms->quantum_shares,
                          .pqc_fallback = terms->pqc_fallback,
                          .quantum_undemanded = !policy.quantum_on_demand.contains(asked.traffic),
                          .quantum_reserve = terms->quantum_reserve,
                          .ephemeral_keys = policy.ephemeral_keys_of(asked.traffic)},
               .live = {}};
  at.live = live_towards(peer_domain, at.demanded >= wire::Assurance::one_qkd_path ? Demand::strict : Demand::wished, deadline, request_id);
  const Deadline until = deadline.sooner_of(quantum_wait_max);
  std::optional<Error> missed;  // why there was no quantum key
  while (true) {
    const Choice choice = choose(at);
    if (choice.source == Source::none && missed && choice.because == Because::no_fallback) return fail_in(std::string(text(choice.because)), *missed);
    if (choice.source == Source::none) return refused_choice(at, peer_domain, choice);
    if (choice.source != Source::quantum_and_pqc) return Result<Made>(Made{.choice = choice, .shares = {}});
    const bool split = choice.paths > 1;
    // Over separate paths only for half of the time: a key over one path is worth less, but without any the callers would have none.
    auto taken = take_shares(peer_domain, choice, asked.sid_wk, split ? until.sooner_of(until.remaining() / 2) : until, request_id);
    if (taken) return Result<Made>(Made{.choice = choice, .shares = *std::move(taken)});
    missed = taken.error();
    TRY(node_.record({.action = "km-3.take",
                      .outcome = audit::outcome_of(missed->code),
                      .subject = caller.uid.text(),
                      .object = asked.sid_wk.hex(),
                      .reason = missed->message,
                      .request_id = request_id}));
    node::log(node::LogLevel::warning, "session {}: no quantum keys over {} path(s): {}", asked.sid_wk.hex(), choice.paths, missed->message);
    (split ? at.live.separate_paths : at.live.quantum_key) = false;
  }
}

Result<QuantumShares> Agreement::fetch_shares(const std::string& peer_domain, const wire::KmsOffer& offer, Deadline deadline, const std::string& request_id) {
  if (offer.shares.empty()) return QuantumShares{};
  ASSIGN_OR_RETURN(const std::string qkm, node_.peer_of(Kind::qkm, node_.identity().domain));
  wire::Json ids = wire::Json::array();
  for (const wire::ShareRef& ref : offer.shares) ids.push(ref.key_id.hex());
  ASSIGN_OR_RETURN(const wire::Json answer,
                   node_.call_json(points::Endpoint::km3_fetch, qkm,
                                   wire::Json::object({{"peer_domain", peer_domain}, {"key_ids", ids}, {"sid_wk", offer.sid_wk.hex()}}),
                                   deadline.sooner_of(quantum_wait_max), request_id));
  ASSIGN_OR_RETURN(QuantumShares shares, unwrap_shares(answer));
  if (shares.refs.size() > offer.shares.size()) return fail(ErrorCode::invalid_argument, "Km-3: more keys than were asked for");
  for (const wire::ShareRef& ref : shares.refs) {
    if (std::ranges::find(offer.shares, ref) == offer.shares.end())
      return fail(ErrorCode::invalid_argument, "Km-3: key " + ref.key_id.hex() + " was not asked for");
  }
  return Result<QuantumShares>(std::move(shares));
}

Result<void> Agreement::give_back(const std::vector<KeyId>& ids, Deadline deadline) {
  ASSIGN_OR_RETURN(const std::string qkm, node_.peer_of(Kind::qkm, node_.identity().domain));
  wire::Json list = wire::Json::array();
  for (const KeyId& id : ids) list.push(id.hex());
  TRY(node_.call_json(points::Endpoint::km3_done, qkm, wire::Json::object({{"key_ids", list}, {"used", false}}), deadline, node_.new_request_id()));
  return {};
}

void Agreement::shares_done(const std::vector<wire::ShareRef>& refs, Fate fate, const std::string& request_id) {
  if (refs.empty()) return;
  wire::Json ids = wire::Json::array();
  for (const wire::ShareRef& ref : refs) ids.push(ref.key_id.hex());
  const wire::Json body = wire::Json::object({{"key_ids", ids}, {"used", fate == Fate::used}});
  // Not in the background, where it could be left undone: nobody else says it of the pool's own row.
  if (pool_ != nullptr) {
    const auto noted = pool_->done(refs, fate == Fate::used ? "used" : "not agreed");
    if (!noted) node::log(node::LogLevel::warning, "request {}: {}", request_id, noted.error().message);
  }
  errands_.post([this, body, request_id] {
    const auto qkm = node_.peer_of(Kind::qkm, node_.identity().domain);
    if (!qkm) return;
    const auto told = node_.call_json(points::Endpoint::km3_done, *qkm, body, Deadline::after(quantum_wait_max), request_id);
    if (!told) node::log(node::LogLevel::warning, "request {}: {}", request_id, told.error().message);
  });
}

}  // namespace qanat::kms
