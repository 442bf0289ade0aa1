// Km-1, injection over a wire: a terminal's request for a charge, and its receipt.
#include <algorithm>

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "services/kms/kim/injection.hpp"
#include "services/kms/kim/successions.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::kms {
namespace {

// Charges of one medium over a wire in an hour: each drains the quantum stock, whatever becomes of it.
constexpr std::int64_t over_wire_max = 32;
constexpr std::int64_t unreceived_max = 16;  // of these, whose receipt never came
constexpr UnixMs hour_ms = 3'600'000;

std::size_t sum(const SetCounts& counts) {
  std::size_t out = 0;
  for (const std::uint16_t count : counts) out += count;
  return out;
}

net::Response message_response(Bytes octets) { return {.status = 200, .content_type = std::string(points::type_qfc2), .body = std::move(octets)}; }

std::string charge_text(const wire::ChargePayload& payload) {
  std::string out = std::string(wire::name(payload.charged)) + ", drawn from " +
                    (payload.origin == wire::ChargeOrigin::quantum ? "quantum keys and the device" : "the device");
  for (const wire::KeySet set : wire::all_key_sets) out += "; " + std::string(wire::name(set)) + " " + std::to_string(payload.of(set).keys.size());
  return out;
}

/// For a work that may run more than once.
std::vector<Secret> duplicates(const std::vector<Secret>& keys) {
  std::vector<Secret> out;
  out.reserve(keys.size());
  for (const Secret& key : keys) out.push_back(key.duplicate());
  return out;
}

}  // namespace

Result<Terminal> Injection::sender(const net::Request& http, const Uid& uid) {
  ASSIGN_OR_RETURN(const std::optional<Terminal> terminal, store_.transact([&](store::Transaction& transaction) { return find_terminal(transaction, uid); }));
  if (!terminal || !terminal->confirmed) return fail(ErrorCode::denied, "no terminal " + uid.text() + " is enrolled at " + node_.identity().name);
  if (!http.peer.certificate || http.peer.certificate->der() != terminal->ml_dsa)
    return fail(ErrorCode::denied, "the connection is not that of terminal " + uid.text());
  return *terminal;
}

template <class M>
Result<void> Injection::check_signed(const net::Request& http, const Terminal& terminal, const wire::Framed<M>& message) {
  ASSIGN_OR_RETURN(const crypto::Certificate classical, crypto::Certificate::parse(terminal.classical));
  const crypto::Certificate& ml_dsa = *http.peer.certificate;
  ASSIGN_OR_RETURN(const crypto::Verifier verifier,
                   crypto::Verifier::from_key(node_.suite(), {.point = classical.public_key(), .ml_dsa = ml_dsa.public_key()}));
  TRY(wire::verify(message, verifier, wire::fingerprints(node_.suite(), terminal.classical, terminal.ml_dsa)));
  for (const crypto::Certificate* certificate : {&classical, &ml_dsa}) {
    const auto good = node_.check_certificate(*certificate, http.deadline);
    if (good) continue;
    TRY(judged(terminal, good.error(), http.deadline));
    return fail(good.error());
  }
  return {};
}

Result<void> Injection::check_request(const wire::Framed<wire::ChargeRequest>& request) const {
  const wire::ChargeRequest& message = request.message;
  const auto denied = [](const std::string& why) { return fail(ErrorCode::denied, "ChargeRequest: " + why); };
  if (request.suite != &node_.suite()) return denied("suite " + std::string(request.suite->name) + " is not this network's");
  if (request.header.policy_epoch != node_.settings().policy_epoch)
    return denied("policy epoch " + std::to_string(request.header.policy_epoch) + " is not in force");
  if (message.kms_id.text() != node_.identity().name) return denied("is for KMS " + message.kms_id.text());
  const UnixMs now = node_.clock().now_ms();
  const UnixMs off = message.ts_ms > now ? message.ts_ms - now : now - message.ts_ms;
  if (off > static_cast<UnixMs>(settings_.clock_window.count())) return denied("its time is " + std::to_string(off) + " ms off, more than the clock window");
  return {};
}

Result<wire::Charged> Injection::under_distribution(const net::Request& http, const wire::Framed<wire::ChargeRequest>& request, const Medium& medium,
                                                    std::optional<SpentKey>& key) {
  const auto named = wire::indexed_mac(request.message.ext, wire::ExtensionType::injected_key);
  if (!named) return wire::Charged::wire;
  ASSIGN_OR_RETURN(const Bytes covered, wire::without_injection(request));
  const Use use{.set = wire::KeySet::distribution, .action = "kim.used", .remark = "", .request_id = http.request_id};
  ASSIGN_OR_RETURN(key, take(medium, use, named->index, [&](const ChargedKey& known) -> Result<void> {
                     if (equal_constant_time(named->mac, wire::charge_request_mac(node_.suite(), known.key, covered))) return {};
                     return fail(ErrorCode::unauthenticated,
                                 "ChargeRequest: extension 1 is not made with the charged key of index " + std::to_string(named->index));
                   }));
  return wire::counts(key->charged) ? wire::Charged::wire_under_offline : wire::Charged::wire;
}

Result<net::Response> Injection::order(const net::Request& http, const wire::Framed<wire::ChargeRequest>& request, wire::MediumOrder what,
                                       const node::MessageSigner& own) {
  const wire::ChargeDeliver message{.h_req = request.hash,
                                    .uid = request.message.uid,
                                    .medium = request.message.medium,
                                    .charge = {},
                                    .ts_ms = node_.clock().now_ms(),
                                    .order = what,
                                    .flags = request.message.flags,
                                    .ct_classical = {},
                                    .ct_ml_kem = {},
                                    .sealed = {}};
  ASSIGN_OR_RETURN(auto framed, wire::sign_message(node_.suite(), node_.settings().policy_epoch, message, own.signer, own.fps, node_.rng()));
  if (what != wire::MediumOrder::none)
    TRY(record("km-1.ordered", request.message.uid.text(), request.message.medium.hex(), wire::name(what), http.request_id));
  return message_response(std::move(framed.octets));
}

Result<std::optional<Charge>> Injection::enter(const Charge& charge, UnixMs ts_ms) {
  return store_.transact([&](store::Transaction& transaction) -> Result<std::optional<Charge>> {
    TRY(check_of_this_life(transaction, ts_ms, "ChargeRequest"));
    ASSIGN_OR_RETURN(std::optional<Charge> same, find_charge_of_request(transaction, charge.h_req));
    if (same) return Result<std::optional<Charge>>(std::move(same));
    const UnixMs since = charge.made_ms - std::min(charge.made_ms, hour_ms);
    ASSIGN_OR_RETURN(const std::int64_t made, count_over_wire(transaction, charge.medium, since));
    ASSIGN_OR_RETURN(const std::int64_t unreceived, count_unreceived(transaction, charge.medium, since));
    if (made >= over_wire_max)
      return fail(ErrorCode::exhausted, "medium " + charge.medium.hex() + ": " + std::to_string(over_wire_max) + " charges over a wire in an hour, which is all");
    if (unreceived >= unreceived_max)
      return fail(ErrorCode::exhausted, "medium " + charge.medium.hex() + ": " + std::to_string(unreceived_max) + " charges wait for their receipt");
    TRY(stock_.check_active(transaction, charge.medium));
    TRY(stock_.check_room(transaction, charge.medium, charge.counts));
    // Before a key is burnt or drawn for it: a charge that comes to nothing counts too.
    TRY(add_charge(transaction, charge));
    return std::optional<Charge>();
  });
}

Result<DrawnKeys> Injection::draw_for(const Charge& charge, Deadline deadline, const std::string& request_id) {
  const std::optional<Secret> quantum = draw_ ? draw_(deadline, request_id) : std::nullopt;
  return draw_keys(node_, quantum, charge.id, sum(charge.counts));
}

Result<wire::ChargePayload> Injection::stock_up(const Medium& medium, const Charge& charge, wire::Charged charged, Deadline deadline,
                                                const std::string& request_id) {
  ASSIGN_OR_RETURN(const DrawnKeys drawn, draw_for(charge, deadline, request_id));
  return store_.transact([&](store::Transaction& transaction) {
    return stock_.charge(transaction, medium, charge.id, charge.counts, charged, drawn.origin, duplicates(drawn.keys));
  });
}

Result<OfflineCharge> Injection::stock_up_by_file(const Medium& medium, const Charge& charge, Deadline deadline, const std::string& request_id) {
  // A locked medium is opened by this charge; a full one is refused before a quantum key is drawn for it.
  TRY(store_.transact([&](store::Transaction& transaction) { return stock_.check_room(transaction, medium.id, charge.counts); }));
  ASSIGN_OR_RETURN(const DrawnKeys drawn, draw_for(charge, deadline, request_id));
  return store_.transact([&](store::Transaction& transaction) -> Result<OfflineCharge> {
    OfflineCharge out;
    TRY(move_charge(transaction, charge.id, ChargeState::waiting, ChargeState::given, charge.decided_by));
    TRY(stock_.set_state(transaction, medium, MediumState::active));
    ASSIGN_OR_RETURN(out.payload, stock_.charge(transaction, medium, charge.id, charge.counts, wire::Charged::offline, drawn.origin, duplicates(drawn.keys)));
    ASSIGN_OR_RETURN(out.transport_key, stock_.spend_transport_key(transaction, node_.suite(), medium));
    return Result<OfflineCharge>(std::move(out));
  });
}

Result<Bytes> Injection::deliver(const wire::Framed<wire::ChargeRequest>& request, const wire::ChargeId& charge, const wire::ChargePayload& payload,
                                 const std::optional<SpentKey>& distribution, const node::MessageSigner& own) {
  const crypto::Suite& suite = node_.suite();
  const wire::ChargeRequest& asked = request.message;
  ASSIGN_OR_RETURN(const crypto::Encapsulation fresh, crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, asked.ephemeral, node_.rng()));
  Secret ss = wire::hybrid_secret(suite, wire::transcript(fresh, asked.ephemeral), wire::charge_context(request.hash));
  if (distribution) ss = wire::mix_distribution(suite, ss, distribution->key, distribution->index, request.hash);
  wire::ChargeDeliver message{.h_req = request.hash,
                              .uid = asked.uid,
                              .medium = asked.medium,
                              .charge = charge,
                              .ts_ms = node_.clock().now_ms(),
                              .order = wire::MediumOrder::charge,
                              .flags = asked.flags,
                              .ct_classical = fresh.ct_classical,
                              .ct_ml_kem = fresh.ct_ml_kem,
                              .sealed = {}};
  ASSIGN_OR_RETURN(const wire::ChargeDeliver sealed, wire::seal_charge(suite, node_.settings().policy_epoch, std::move(message), ss, payload));
  ASSIGN_OR_RETURN(const auto framed, wire::sign_message(suite, node_.settings().policy_epoch, sealed, own.signer, own.fps, node_.rng()));
  TRY(store_.transact([&](store::Transaction& transaction) { return keep_answer(transaction, charge, framed.hash, framed.octets, sealed.ts_ms); }));
  return framed.octets;
}

Result<net::Response> Injection::charge(const net::Request& http) {
  const std::shared_ptr<const node::MessageSigner> own = node_.signer();
  TRY(check_kept(http, *own));
  ASSIGN_OR_RETURN(const auto request, wire::parse<wire::ChargeRequest>(http.body));
  const wire::ChargeRequest& asked = request.message;
  ASSIGN_OR_RETURN(const Terminal terminal, sender(http, asked.uid));
  TRY(check_request(request));
  TRY(check_signed(http, terminal, request));
  ASSIGN_OR_RETURN(const std::optional<Medium> medium,
                   store_.transact([&](store::Transaction& transaction) { return stock_.find(transaction, asked.medium); }));
  // Who asks for another terminal's medium learns no more than who asks for none.
  if (!medium || medium->uid != terminal.uid) return fail(ErrorCode::denied, "medium " + asked.medium.hex() + " is not one of terminal " + terminal.uid.text());
  if (medium->state == MediumState::locked) return order(http, request, wire::MediumOrder::lock, *own);
  if (medium->state == MediumState::wiped) return order(http, request, wire::MediumOrder::wipe, *own);
  if (sum(asked.wanted) == 0) return order(http, request, wire::MediumOrder::none, *own);

  const Charge charge{.id = wire::ChargeId(node_.rng().bytes(wire::ChargeId::size)),
                      .medium = asked.medium,
                      .state = ChargeState::given,
                      .counts = asked.wanted,
                      .made_by = terminal.uid.text(),
                      .made_ms = node_.clock().now_ms(),
                      .decided_by = "",
                      .h_req = request.hash,
                      .h_deliver = {},
                      .answer = {}};
  ASSIGN_OR_RETURN(const std::optional<Charge> same, enter(charge, asked.ts_ms));
  if (same) {  // its answer was lost
    if (same->state != ChargeState::given || same->answer.empty()) return fail(ErrorCode::conflict, "ChargeRequest: this request was made before (replay)");
    TRY(record("km-1.charge", terminal.uid.text(), asked.medium.hex() + " " + same->id.hex(), "given again: the same request", http.request_id));
    return message_response(same->answer);
  }
  std::optional<SpentKey> distribution;
  ASSIGN_OR_RETURN(const wire::Charged charged, under_distribution(http, request, *medium, distribution));
  ASSIGN_OR_RETURN(const wire::ChargePayload payload, stock_up(*medium, charge, charged, http.deadline, http.request_id));
  node::crash_point("kms.charge.stocked");
  ASSIGN_OR_RETURN(Bytes answer, deliver(request, charge.id, payload, distribution, *own));
  TRY(record("km-1.charge", terminal.uid.text(), asked.medium.hex() + " " + charge.id.hex(), charge_text(payload), http.request_id));
  node::crash_point("kms.charge.given");
  return message_response(std::move(answer));
}

Result<net::Response> Injection::receipt(const net::Request& http) {
  ASSIGN_OR_RETURN(const auto receipt, wire::parse<wire::ChargeReceipt>(http.body));
  const wire::ChargeReceipt& said = receipt.message;
  ASSIGN_OR_RETURN(const Terminal terminal, sender(http, said.uid));
  TRY(check_signed(http, terminal, receipt));
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::optional<Charge> known, find_charge(transaction, said.charge));
    ASSIGN_OR_RETURN(const std::optional<Medium> medium, stock_.find(transaction, said.medium));
    if (!known || !medium || known->medium != said.medium || medium->uid != terminal.uid || known->h_deliver.empty() || known->h_deliver != said.h_deliver)
      return fail(ErrorCode::denied, "ChargeReceipt: no such charge was given to " + terminal.uid.text());
    if (known->state == ChargeState::received)
      return fail(ErrorCode::conflict, "ChargeReceipt: charge " + said.charge.hex() + " has been received before (replay)");
    return move_charge(transaction, said.charge, ChargeState::given, ChargeState::received, "");
  }));
  node::crash_point("kms.charge.received");
  TRY(node_.record({.action = "km-1.charged",
                    .outcome = said.ok ? audit::Outcome::success : audit::Outcome::failure,
                    .subject = terminal.uid.text(),
                    .object = said.medium.hex() + " " + said.charge.hex(),
                    .reason = said.ok ? "" : "the medium did not take it",
                    .request_id = http.request_id}));
  return net::Response{.status = 204, .content_type = "", .body = {}};
}

}  // namespace qanat::kms
