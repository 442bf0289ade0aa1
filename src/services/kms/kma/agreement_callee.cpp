// The callee's side of the agreement: KMS-B.
#include "node/crash_point.hpp"
#include "node/log.hpp"
#include "services/kms/kma/agreement.hpp"
#include "services/kms/kma/in_force.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kma/pending.hpp"
#include "services/kms/kp/encryption_state.hpp"

namespace qanat::kms {

using store::KeyState;

namespace {

constexpr std::int64_t pending_max = 4096;  // accepted offers without confirmation; a further offer is refused until some expire

std::string channel_of(const SidWk& sid_wk) { return "leg/" + sid_wk.hex(); }

}  // namespace

Result<net::Response> Agreement::notify(const net::Request& request) {
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(request.body));
  ASSIGN_OR_RETURN(const auto signer, senders_.check(envelope.classical, envelope.ml_dsa, *request.peer.identity, request.deadline));
  ASSIGN_OR_RETURN(const auto notify, wire::parse<wire::SessionNotify>(envelope.message));
  TRY(wire::verify(notify, signer->verifier, signer->fps));
  TRY(check_in_force(notify, node_));
  const wire::SessionNotify& session = notify.message;
  TRY(check_fresh(session.ts_ms, "SessionNotify"));
  if (session.kms_b.text() != node_.identity().name) return fail(ErrorCode::denied, "SessionNotify: is for KMS " + session.kms_b.text());
  const UnixMs expires = node_.clock().now_ms() + static_cast<UnixMs>(policy_.terms()->wk_lifetime.count());
  bool fits = false;
  auto kept = store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(check_of_this_life(transaction, session.ts_ms, "SessionNotify"));
    ASSIGN_OR_RETURN(const auto callee, find_terminal(transaction, session.num_called));
    if (!callee || !callee->confirmed) return fail(ErrorCode::not_found, session.num_called.text() + " has no enrolled terminal at " + node_.identity().name);
    TRY(check_encryption_key(callee->uid, callee->state));
    if (!session.uid_b.empty() && callee->uid != session.uid_b)
      return fail(ErrorCode::denied, "SessionNotify: " + session.num_called.text() + " is not " + session.uid_b.text());
    fits = true;
    return transaction.change("INSERT INTO announced_session (sid_wk, notify, expires_ms) VALUES (?, ?, ?)",
                              {session.sid_wk.view(), ByteView(notify.octets), static_cast<std::int64_t>(expires)});
  });
  if (!kept && fits && kept.error().code == ErrorCode::conflict) {
    ASSIGN_OR_RETURN(const Stored there, stored_announcement(session.sid_wk));
    if (there.notify != notify.octets) return fail(ErrorCode::conflict, "SessionNotify: session " + session.sid_wk.hex() + " was announced already");
    kept = {};  // its answer was lost, perhaps another front end's
  }
  TRY(kept);
  TRY(node_.record({.action = "ma-2.notify", .outcome = audit::Outcome::success, .subject = session.uid_a.text(), .object = session.sid_wk.hex(), .reason = "",
                    .request_id = request.request_id}));
  node::crash_point("kms.session.announced");
  return net::Response{.status = 204, .content_type = "", .body = {}};
}

Result<Agreement::Stored> Agreement::stored_announcement(const SidWk& sid_wk) {
  return store_.look([&](store::Transaction& transaction) -> Result<Stored> {
    Stored out;
    TRY(transaction.query("SELECT notify, expires_ms FROM announced_session WHERE sid_wk = ?", {sid_wk.view()}, [&](const store::Row& row) {
      out = {.notify = row.blob(0), .expires_ms = static_cast<UnixMs>(row.integer(1))};
    }));
    return out;
  });
}

Result<Agreement::Announced> Agreement::announced(const SidWk& sid_wk) {
  ASSIGN_OR_RETURN(const Stored there, stored_announcement(sid_wk));
  if (there.notify.empty()) return fail(ErrorCode::not_found, "session " + sid_wk.hex() + " was not announced by CMSP");
  if (node_.clock().now_ms() >= there.expires_ms) return fail(ErrorCode::deadline_exceeded, "session " + sid_wk.hex() + " has expired");
  ASSIGN_OR_RETURN(const wire::Header header, wire::parse_header(there.notify));
  if (header.type == wire::MessageType::directory_open) {
    ASSIGN_OR_RETURN(const auto open, wire::parse<wire::DirectoryOpen>(there.notify));
    return Announced{.session = open.message, .h_open = open.hash, .directory_epoch = store::column(open.message.epoch)};
  }
  ASSIGN_OR_RETURN(const auto notify, wire::parse<wire::SessionNotify>(there.notify));
  return Announced{.session = notify.message, .h_open = {}, .directory_epoch = {}};
}

Result<net::Response> Agreement::offer(const net::Request& request) {
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(request.body));
  const Identity& kms_a = *request.peer.identity;
  ASSIGN_OR_RETURN(const auto signer, senders_.check(envelope.classical, envelope.ml_dsa, kms_a, request.deadline));
  ASSIGN_OR_RETURN(const auto offer, wire::parse<wire::KmsOffer>(envelope.message));
  TRY(wire::verify(offer, signer->verifier, signer->fps));
  TRY(check_in_force(offer, node_));
  TRY(check_fresh(offer.message.ts_ms, "KmsOffer"));
  ASSIGN_OR_RETURN(const Announced there, announced(offer.message.sid_wk));
  const wire::SessionFields& session = there.session;
  // The offer must be for the session as it was announced, from the KMS that was named.
  if (offer.message.fps != signer->fps || session.kms_a_fps != signer->fps || offer.message.kms_a.text() != kms_a.name || session.kms_a.text() != kms_a.name ||
      offer.message.kms_b.text() != node_.identity().name || offer.message.sid_call != session.sid_call) {
    return fail(ErrorCode::denied, "KmsOffer: does not fit the session that CMSP announced");
  }
  // What a SessionGrant says is not known here; a DirectoryOpen is.
  if (there.directory_epoch && offer.message.h_grant != there.h_open)
    return fail(ErrorCode::denied, "KmsOffer: names another opening of the session than the one that was announced");
  ASSIGN_OR_RETURN(std::optional<net::Response> before, accepted_before(offer, kms_a));
  if (before) return *std::move(before);
  node::StepTrace::Timer step9(trace_, 9);
  auto shares = fetch_shares(kms_a.domain, offer.message, request.deadline, request.request_id);
  const std::size_t named = offer.message.shares.size();
  if (shares && shares->refs.empty())
    shares = fail(ErrorCode::exhausted, named == 0 ? "the offer of " + kms_a.name + " names none"
                                                   : "the QKM here has none of the " + std::to_string(named) + " that the offer of " + kms_a.name + " names");
  if (!shares) {
    if (named > 0) {  // else nothing was asked for
      TRY(node_.record({.action = "km-3.fetch", .outcome = audit::outcome_of(shares.error().code), .subject = session.uid_a.text(),
                        .object = offer.message.sid_wk.hex(), .reason = shares.error().message, .request_id = request.request_id}));
    }
    // This domain's own policy counts, whatever the caller's domain allows itself.
    if (!policy_.terms()->pqc_fallback) return fail_in("no quantum key, and policy allows no fallback", shares.error());
    node::log(node::LogLevel::warning, "session {}: agreeing by PQC alone: {}", offer.message.sid_wk.hex(), shares.error().message);
    shares = QuantumShares{};
  }
  node::crash_point("kms.shares.fetched");
  auto answer = accept(offer, there, kms_a, *std::move(shares));
  if (answer) step9.done(offer.message.sid_wk.hex(), "the same key agreed");
  return answer;
}

Result<std::optional<net::Response>> Agreement::accepted_before(const wire::Framed<wire::KmsOffer>& offer, const Identity& kms_a) {
  const SidWk& sid_wk = offer.message.sid_wk;
  std::optional<Bytes> kept;
  const auto looked = store_.read([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(kept, find_accept(transaction, sid_wk, kms_a, offer.hash, node_.clock().now_ms()));
    if (!kept) return {};
    // It ends with the process that made it, and with its subscriber's right to it.
    ASSIGN_OR_RETURN(const std::optional<StoredKey> leg, ledger_.find(transaction, sid_wk, wire::Role::callee));
    if (!leg || leg->state != KeyState::generated) return fail(ErrorCode::conflict, "session " + sid_wk.hex() + ": the key that was agreed on is gone");
    return {};
  });
  if (!looked) return fail_in("KmsOffer", looked.error());
  if (!kept) return std::optional<net::Response>{};
  const std::shared_ptr<const node::MessageSigner> own = node_.signer();
  ASSIGN_OR_RETURN(const auto said, wire::parse<wire::KmsAccept>(*kept));
  if (said.message.fps != own->fps) return fail(ErrorCode::conflict, "KmsOffer: was accepted under certificates that have been renewed since");
  return std::optional(net::Response{.status = 200, .content_type = std::string(points::type_qfc2), .body = node::enclose(*own, said.octets)});
}

Result<net::Response> Agreement::accept(const wire::Framed<wire::KmsOffer>& offer, const Announced& announced, const Identity& kms_a,
                                        QuantumShares shares) {
  const wire::SessionFields& session = announced.session;
  const crypto::Suite& suite = node_.suite();
  const std::shared_ptr<const node::MessageSigner> in_force = node_.signer();
  const node::MessageSigner& own = *in_force;
  ASSIGN_OR_RETURN(const crypto::Encapsulation made, crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, offer.message.ephemeral, node_.rng()));
  wire::KmsAccept accept{.sid_wk = offer.message.sid_wk,
                         .h_offer = offer.hash,
                         .nonce = node_.rng().bytes(wire::nonce_size),
                         .ct_classical = made.ct_classical,
                         .ct_ml_kem = made.ct_ml_kem,
                         .ok_bitmap = 0,
                         .fps = own.fps};
  std::vector<const Secret*> used;
  std::vector<std::size_t> used_places;
  for (std::size_t i = 0; i < offer.message.shares.size(); ++i) {
    for (std::size_t j = 0; j < shares.refs.size(); ++j) {
      if (shares.refs[j] != offer.message.shares[i]) continue;
      accept.ok_bitmap = static_cast<std::uint8_t>(accept.ok_bitmap | 1U << i);
      used.push_back(&shares.keys[j]);
      used_places.push_back(j);
    }
  }
  ASSIGN_OR_RETURN(auto answer, wire::sign_message(suite, node_.settings().policy_epoch, accept, own.signer, own.fps, node_.rng()));
  const Bytes th9 = wire::th9_of(suite, offer.octets, answer.octets);
  const Secret k_q = wire::combine_shares(used);
  const wire::KmsKeys keys = wire::derive_kms_keys(suite, th9, k_q, made.ss_classical, made.ss_ml_kem, accept.sid_wk, offer.message.sid_call);
  wire::append_confirmation(answer, keys.kc_b);

  const RestsOn strength = rests_on(shares, used_places);
  const UnixMs expires = node_.clock().now_ms() + static_cast<UnixMs>(policy_.terms()->wk_lifetime.count());
  ASSIGN_OR_RETURN(const std::int64_t waiting, store_.look([](store::Transaction& transaction) { return count_pending(transaction); }));
  if (waiting >= pending_max) return fail(ErrorCode::exhausted, "too many agreements wait for confirmation");
  const Pending pending{.kms_a = kms_a,
                        .h_accept = answer.hash,
                        .h_kc_a = hash_of_confirmation(suite, keys.kc_a),
                        .shares = shares.refs,
                        .expires_ms = expires,
                        .h_offer = offer.hash,
                        .accept = answer.octets};
  const auto stored = store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(check_of_this_life(transaction, offer.message.ts_ms, "KmsOffer"));
    ASSIGN_OR_RETURN(const auto callee, find_terminal(transaction, session.num_called));
    if (!callee || !callee->confirmed) return fail(ErrorCode::not_found, session.num_called.text() + " is not served here");
    if (!session.uid_b.empty() && callee->uid != session.uid_b)
      return fail(ErrorCode::denied, "KmsOffer: " + session.num_called.text() + " is not " + session.uid_b.text() + " any more");
    ASSIGN_OR_RETURN(const Traffic traffic, traffic_of(*callee));
    TRY(ledger_.add(transaction, {.sid_wk = accept.sid_wk,
                                     .leg = wire::Role::callee,
                                     .sid_call = session.sid_call,
                                     .uid = callee->uid,
                                     .wk = keys.wk.duplicate(),
                                     .assurance = strength.assurance,
                                     .n_paths = strength.n_paths,
                                     .path_min = strength.path_min,
                                     .th9 = th9,
                                     .peer_uid = session.uid_a,
                                     .peer_number = session.num_call,
                                     .peer_kms = session.kms_a,
                                     .peer_fps = wire::no_fingerprints(suite),
                                     .expires_ms = expires,
                                     .terms = settings_.policy.terms_for(traffic),
                                     .directory_epoch = announced.directory_epoch}));
    return add_pending(transaction, accept.sid_wk, pending);
  });
  if (!stored && stored.error().code == ErrorCode::conflict) {  // the same offer came twice at once, and the other was faster?
    ASSIGN_OR_RETURN(std::optional<net::Response> before, accepted_before(offer, kms_a));
    if (before) return *std::move(before);
  }
  TRY(stored);
  node::crash_point("kms.wk.accepted");
  return net::Response{.status = 200, .content_type = std::string(points::type_qfc2), .body = node::enclose(own, answer.octets)};
}

Result<net::Response> Agreement::confirm(const net::Request& request) {
  ASSIGN_OR_RETURN(const auto confirm, wire::parse<wire::KmsConfirm>(request.body));
  TRY(check_in_force(confirm, node_));
  const SidWk& sid_wk = confirm.message.sid_wk;
  // Nothing if it is confirmed already: the answer to that was lost.
  ASSIGN_OR_RETURN(const std::optional<Pending> pending, store_.transact([&](store::Transaction& transaction) -> Result<std::optional<Pending>> {
    ASSIGN_OR_RETURN(std::optional<Pending> found, find_pending(transaction, sid_wk));
    if (!found || found->expires_ms <= node_.clock().now_ms()) {
      return fail(ErrorCode::not_found, "KmsConfirm: no agreement on session " + sid_wk.hex() + " waits for it");
    }
    if (found->kms_a != *request.peer.identity || found->h_accept != confirm.message.h_accept ||
        !equal_constant_time(found->h_kc_a, hash_of_confirmation(node_.suite(), confirm.message.kc_a))) {
      return fail(ErrorCode::denied, "KmsConfirm: key confirmation does not hold");
    }
    if (found->confirmed) return std::optional<Pending>{};
    TRY(ledger_.advance(transaction, sid_wk, wire::Role::callee, KeyState::reserved));
    TRY(confirm_pending(transaction, sid_wk));
    return Result<std::optional<Pending>>(std::move(found));
  }));
  if (!pending) return net::Response{.status = 204, .content_type = "", .body = {}};
  node::crash_point("kms.wk.callee_reserved");
  leg_changed(sid_wk);
  shares_done(pending->shares, Fate::used, request.request_id);
  return net::Response{.status = 204, .content_type = "", .body = {}};
}

void Agreement::leg_changed(const SidWk& sid_wk) { store_.announce(channel_of(sid_wk)); }

Result<std::optional<StoredKey>> Agreement::agreed_leg(const SidWk& sid_wk) {
  ASSIGN_OR_RETURN(std::optional<StoredKey> leg,
                   store_.look([&](store::Transaction& transaction) { return ledger_.find(transaction, sid_wk, wire::Role::callee); }));
  if (leg && leg->state == KeyState::generated) leg.reset();
  return Result<std::optional<StoredKey>>(std::move(leg));
}

Result<StoredKey> Agreement::wait_for_leg(const SidWk& sid_wk, const Terminal& callee, Deadline deadline) {
  // Whose key is there does not wait, and is not counted among those who do.
  ASSIGN_OR_RETURN(std::optional<StoredKey> there, agreed_leg(sid_wk));
  if (there) return Result<StoredKey>(*std::move(there));
  const auto called = announced(sid_wk);
  const bool is_announced = called && called->session.num_called == callee.number;
  ASSIGN_OR_RETURN(const WaitingPlaces::Place place,
                   waiting_.take(callee.uid, is_announced ? WaitingPlaces::Session::announced : WaitingPlaces::Session::unannounced));
  return wait_in_turn(sid_wk, deadline);
}

Result<StoredKey> Agreement::wait_in_turn(const SidWk& sid_wk, Deadline deadline) {
  // Watched before the first look: a change between the look and the wait is not missed.
  const auto watch = store_.watch(channel_of(sid_wk));
  do {
    ASSIGN_OR_RETURN(std::optional<StoredKey> leg, agreed_leg(sid_wk));
    if (leg) return Result<StoredKey>(*std::move(leg));
  } while (watch->wait(deadline));
  return fail(ErrorCode::deadline_exceeded, "session " + sid_wk.hex() + ": the caller's side has not agreed on a key");
}

}  // namespace qanat::kms
