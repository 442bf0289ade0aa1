// The caller's side of the agreement: KMS-A.
#include "node/crash_point.hpp"
#include "node/log.hpp"
#include "services/kms/kma/agreement.hpp"
#include "services/kms/kma/in_force.hpp"

namespace qanat::kms {

using store::KeyState;

namespace {

constexpr std::chrono::milliseconds cmsp_answer_max{2000};  // where its directory may stand in
constexpr std::chrono::milliseconds cmsp_answer_min{500};   // … and not if CMSP had less than this, which is as the terminal wants it

}  // namespace

Agreement::Agreement(node::Node& node, store::Store& store, Ledger& ledger, node::SenderDirectory& senders, node::StepTrace& trace,
                     Errands& errands, const KmsSettings& settings, crypto::SiteKey site_key)
    : node_(node), store_(store), ledger_(ledger), senders_(senders), trace_(trace), errands_(errands), settings_(settings), policy_(settings),
      directory_(node, store, senders, clock_window_ms()), site_key_(std::move(site_key)),
      waiting_(node.settings().server.limits.worker_threads) {}

Result<void> Agreement::check_fresh(UnixMs ts_ms, std::string_view message) const {
  const UnixMs now = node_.clock().now_ms();
  const UnixMs off = ts_ms > now ? ts_ms - now : now - ts_ms;
  if (off <= static_cast<UnixMs>(settings_.clock_window.count())) return {};
  return fail(ErrorCode::denied, std::string(message) + ": its time is " + std::to_string(off) + " ms off, more than the clock window");
}

Result<Agreement::Opened> Agreement::open_session(const Asked& asked, const Terminal& caller, const node::MessageSigner& own, Deadline deadline,
                                                  const std::string& request_id) {
  wire::SessionOpen open;
  open.sid_wk = asked.sid_wk;
  open.sid_call = asked.sid_call;
  open.num_call = asked.num_call;
  open.num_called = asked.num_called;
  open.uid_a = caller.uid;
  open.kms_a = ElementName(node_.identity().name);
  open.hreq_a = asked.hash;
  open.prev_hash = Bytes(node_.suite().digest);
  open.kms_a_fps = own.fps;
  open.kms_b_fps = wire::no_fingerprints(node_.suite());
  open.ts_ms = node_.clock().now_ms();
  ASSIGN_OR_RETURN(const auto sent, wire::sign_message(node_.suite(), node_.settings().policy_epoch, open, own.signer, own.fps, node_.rng()));
  ASSIGN_OR_RETURN(const std::string cmsp, node_.peer_of(Kind::cmsp));
  // Where the directory may stand in, a silent CMSP leaves time for it.
  const bool stands_in = policy_.terms()->directory_fallback;
  const std::chrono::milliseconds share = std::min(cmsp_answer_max, deadline.remaining() / 3);
  const Deadline answer_by = stands_in ? deadline.sooner_of(share) : deadline;
  const auto response = node_.exchange(points::Endpoint::ma2_locate, cmsp, node::enclose(own, sent.octets), answer_by, request_id);
  if (!response && is_silence(response.error().code)) {
    if (stands_in && share < cmsp_answer_min) return fail_in("CMSP had " + std::to_string(share.count()) + " ms to answer", response.error());
    return open_by_directory(open, asked, own, response.error(), deadline, request_id);
  }
  if (!response) return fail(response.error());
  if (response->status < 200 || response->status > 299) return fail_in("Ma-2 to " + cmsp, net::error_of(*response));
  return granted(response->body, sent, cmsp, deadline);
}

Result<Agreement::Opened> Agreement::granted(ByteView octets, const wire::Framed<wire::SessionOpen>& sent, const std::string& cmsp, Deadline deadline) {
  const wire::SessionOpen& open = sent.message;
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(octets));
  ASSIGN_OR_RETURN(const auto signer, senders_.check(envelope.classical, envelope.ml_dsa, node_.settings().peers.at(cmsp).expected, deadline));
  ASSIGN_OR_RETURN(auto grant, wire::parse<wire::SessionGrant>(envelope.message));
  TRY(wire::verify(grant, signer->verifier, signer->fps));
  TRY(check_in_force(grant, node_));
  wire::SessionGrant& said = grant.message;
  TRY(check_fresh(said.ts_ms, "SessionGrant"));
  if (said.sid_wk != open.sid_wk || said.sid_call != open.sid_call || said.num_call != open.num_call || said.num_called != open.num_called ||
      said.uid_a != open.uid_a || said.kms_a != open.kms_a || said.hreq_a != open.hreq_a || said.prev_hash != sent.hash || said.kms_a_fps != open.kms_a_fps) {
    return fail(ErrorCode::denied, "SessionGrant: does not answer the session that was opened");
  }
  return Opened{.hash = std::move(grant.hash), .uid_b = std::move(said.uid_b), .kms_b = std::move(said.kms_b), .directory_epoch = {}};
}

Result<std::string> Agreement::domain_of(const ElementName& kms) const {
  if (kms.text() == node_.identity().name) return node_.identity().domain;
  const auto peer = node_.settings().peers.find(kms.text());
  if (peer == node_.settings().peers.end()) return fail(ErrorCode::unavailable, "KMS " + kms.text() + " is not among this KMS's peers");
  return peer->second.expected.domain;
}

Result<Agreement::Begun> Agreement::begin(const Asked& asked, const Terminal& caller, const LevelTowards& level_towards, Deadline deadline,
                                          const std::string& request_id) {
  node::StepTrace::Timer step7(trace_, 7);
  std::shared_ptr<const node::MessageSigner> own = node_.signer();
  ASSIGN_OR_RETURN(Opened opened, open_session(asked, caller, *own, deadline, request_id));
  const std::string how = opened.directory_epoch ? "session opened by CMSP's directory: " : "session opened with CMSP: ";
  step7.done(asked.sid_wk.hex(), how + asked.num_called.text() + " is served by " + opened.kms_b.text());
  ASSIGN_OR_RETURN(std::string peer_domain, domain_of(opened.kms_b));
  ASSIGN_OR_RETURN(const wire::Assurance level_max, level_towards(peer_domain));
  node::crash_point("kms.session.granted");
  return Result<Begun>(Begun{.own = std::move(own), .opened = std::move(opened), .peer_domain = std::move(peer_domain), .level_max = level_max});
}

Result<Agreement::Agreed> Agreement::agree_as(const Begun& begun, const Asked& asked, const Terminal& caller, Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(Made made, choose_and_take(asked, caller, begun.peer_domain, begun.level_max, deadline, request_id));
  const QuantumShares& shares = made.shares;
  node::crash_point("kms.shares.taken");
  auto agreed = agree(asked, caller, begun, shares, deadline, request_id);
  if (!agreed) {
    shares_done(shares.refs, Fate::unused, request_id);
    return fail(agreed.error());
  }
  if (agreed->key.n_paths == 0 && made.choice.source == Source::quantum_and_pqc) {
    // It held none of those that were offered.
    made.choice = {.source = Source::pqc, .encapsulation = made.choice.encapsulation, .because = Because::peer_has_no_quantum};
  }
  agreed->choice = made.choice;
  agreed->shares = shares.refs;
  return agreed;
}

Result<Choice> Agreement::as_caller(const Asked& asked, const Terminal& caller, const LevelTowards& level_towards, Deadline deadline,
                                    const std::string& request_id) {
  const SidWk& sid_wk = asked.sid_wk;
  ASSIGN_OR_RETURN(const Begun begun, begin(asked, caller, level_towards, deadline, request_id));
  node::StepTrace::Timer step9(trace_, 9);
  ASSIGN_OR_RETURN(const Agreed agreed, agree_as(begun, asked, caller, deadline, request_id));
  if (auto confirmed = confirm_agreed(agreed, deadline, request_id); !confirmed) {
    shares_done(agreed.shares, Fate::unused, request_id);
    return fail(std::move(confirmed).error());
  }
  // Both KMSs have the key: whatever becomes of the caller's leg, the shares are in it.
  const auto reserved =
      store_.transact([&](store::Transaction& transaction) { return ledger_.advance(transaction, sid_wk, wire::Role::caller, KeyState::reserved); });
  if (reserved) node::crash_point("kms.wk.reserved");
  shares_done(agreed.shares, Fate::used, request_id);
  TRY(reserved);
  const WorkingKey& key = agreed.key;
  step9.done(sid_wk.hex(), (key.n_paths > 0 ? "quantum keys over " + std::to_string(key.n_paths) + " path(s), relayed by " + std::to_string(key.path_min) +
                                                  " trusted node(s) on the shortest, combined with ML-KEM and ECDH ("
                                            : std::string("no quantum key: agreed by ML-KEM and ECDH alone (")) +
                               describe(agreed.choice) + ")");
  return agreed.choice;
}

Result<ElementName> Agreement::announce(const Asked& asked, const Terminal& caller, Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(Opened opened, open_session(asked, caller, *node_.signer(), deadline, request_id));
  return std::move(opened.kms_b);
}

Result<Agreement::Agreed> Agreement::propose(const Asked& asked, const Terminal& caller, const LevelTowards& level_towards, Deadline deadline,
                                             const std::string& request_id) {
  ASSIGN_OR_RETURN(const Begun begun, begin(asked, caller, level_towards, deadline, request_id));
  return agree_as(begun, asked, caller, deadline, request_id);
}

Result<Agreement::Agreed> Agreement::agree(const Asked& asked, const Terminal& caller, const Begun& begun, const QuantumShares& shares, Deadline deadline,
                                           const std::string& request_id) {
  const crypto::Suite& suite = node_.suite();
  const node::MessageSigner& own = *begun.own;
  const Opened& opened = begun.opened;
  const std::string& kms_b = opened.kms_b.text();
  ASSIGN_OR_RETURN(const crypto::Decapsulator ephemeral, crypto::Decapsulator::generate(suite, node_.rng()));
  const wire::KmsOffer offer{.sid_wk = asked.sid_wk,
                             .sid_call = asked.sid_call,
                             .kms_a = ElementName(node_.identity().name),
                             .kms_b = opened.kms_b,
                             .h_grant = opened.hash,
                             .nonce = node_.rng().bytes(wire::nonce_size),
                             .ts_ms = node_.clock().now_ms(),
                             .shares = shares.refs,
                             .ephemeral = ephemeral.encapsulation_key(),
                             .fps = own.fps};
  ASSIGN_OR_RETURN(const auto sent, wire::sign_message(suite, node_.settings().policy_epoch, offer, own.signer, own.fps, node_.rng()));
  const Bytes enclosed = node::enclose(own, sent.octets);
  const auto say = [&] { return node_.call(points::Endpoint::km2_offer, kms_b, enclosed, deadline, request_id); };
  auto response = say();
  // It may have been accepted, and the answer lost with the connection: once more is the same to the other KMS. Not before the first has failed: both would
  // fetch the shares.
  if (!response && response.error().code == ErrorCode::unavailable) response = say();
  if (!response) return fail(std::move(response).error());
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(response->body));
  ASSIGN_OR_RETURN(const auto signer, senders_.check(envelope.classical, envelope.ml_dsa, node_.settings().peers.at(kms_b).expected, deadline));
  ASSIGN_OR_RETURN(const auto accept, wire::parse<wire::KmsAccept>(envelope.message));
  TRY(wire::verify(accept, signer->verifier, signer->fps));
  TRY(check_in_force(accept, node_));
  const bool names_shares_not_offered = accept.message.ok_bitmap >> offer.shares.size() != 0;
  if (accept.message.sid_wk != offer.sid_wk || accept.message.h_offer != sent.hash || accept.message.fps != signer->fps || names_shares_not_offered) {
    return fail(ErrorCode::denied, "KmsAccept: does not answer the offer that was made");
  }
  ASSIGN_OR_RETURN(const crypto::SharedSecrets secrets,
                   ephemeral.decapsulate(crypto::KemForm::to_ephemeral, accept.message.ct_classical, accept.message.ct_ml_kem));
  std::vector<const Secret*> used;
  std::vector<std::size_t> used_places;
  for (std::size_t i = 0; i < shares.keys.size(); ++i) {
    if ((accept.message.ok_bitmap >> i & 1U) == 0) continue;
    used.push_back(&shares.keys[i]);
    used_places.push_back(i);
  }
  const std::shared_ptr<const Terms> terms = policy_.terms();
  if (used.empty() && !terms->pqc_fallback) return fail(ErrorCode::exhausted, kms_b + " holds none of the quantum keys, and policy allows no fallback");
  const Bytes th9 = wire::th9_of(suite, sent.octets, accept.without_confirmation());
  const Secret k_q = wire::combine_shares(used);
  const wire::KmsKeys keys = wire::derive_kms_keys(suite, th9, k_q, secrets.classical, secrets.ml_kem, offer.sid_wk, offer.sid_call);
  if (!equal_constant_time(keys.kc_b, accept.confirmation()))
    return fail(ErrorCode::denied, "KmsAccept: key confirmation does not hold: the two KMSs have different keys");

  const RestsOn strength = rests_on(shares, used_places);
  WorkingKey key{.sid_wk = offer.sid_wk,
                 .leg = wire::Role::caller,
                 .sid_call = offer.sid_call,
                 .uid = caller.uid,
                 .wk = keys.wk.duplicate(),
                 .assurance = strength.assurance,
                 .n_paths = strength.n_paths,
                 .path_min = strength.path_min,
                 .th9 = th9,
                 .peer_uid = opened.uid_b,
                 .peer_number = asked.num_called,
                 .peer_kms = opened.kms_b,
                 .peer_fps = wire::no_fingerprints(suite),
                 .expires_ms = node_.clock().now_ms() + static_cast<UnixMs>(terms->wk_lifetime.count()),
                 .terms = settings_.policy.terms_for(asked.traffic),
                 .directory_epoch = opened.directory_epoch};
  TRY(store_.transact([&](store::Transaction& transaction) { return ledger_.add(transaction, key); }));
  node::crash_point("kms.wk.generated");
  return Result<Agreed>(Agreed{.key = std::move(key), .h_accept = accept.hash, .kc_a = keys.kc_a, .choice = {}, .shares = {}});
}

Result<void> Agreement::confirm_agreed(const Agreed& agreed, Deadline deadline, const std::string& request_id) {
  const wire::KmsConfirm confirm{.sid_wk = agreed.key.sid_wk, .h_accept = agreed.h_accept, .kc_a = agreed.kc_a};
  ASSIGN_OR_RETURN(const auto confirmed, wire::frame(node_.suite(), node_.settings().policy_epoch, confirm));
  const auto say = [&](Deadline until) { return node_.call(points::Endpoint::km2_confirm, agreed.key.peer_kms.text(), confirmed.octets, until, request_id); };
  auto answer = say(deadline.sooner_of(deadline.remaining() / 2));
  // It may have been taken, and its answer lost: once more is the same to the other KMS.
  if (!answer && is_silence(answer.error().code)) answer = say(deadline);
  if (!answer) return fail(std::move(answer).error());
  node::crash_point("kms.wk.peer_confirmed");
  return {};
}

}  // namespace qanat::kms
