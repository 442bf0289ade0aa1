// Sessions by CMSP's directory, at both ends: where CMSP does not answer and policy allows it (design 10, "CMSP down"; own design, docs/protocol/qfc2.md).
#include "node/crash_point.hpp"
#include "services/kms/kma/agreement.hpp"
#include "services/kms/kma/in_force.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kma/replay.hpp"
#include "services/kms/kp/encryption_state.hpp"

namespace qanat::kms {
namespace {

std::unexpected<Error> open_denied(const std::string& why) { return fail(ErrorCode::denied, "DirectoryOpen: " + why); }

std::string served_by(const Number& number, const Directory::Holder& holder) {
  return number.text() + " is the number of '" + holder.uid.text() + "' at " + holder.kms.text();
}

}  // namespace

Result<void> Agreement::check_directory_allowed(const std::string& peer_domain) const {
  const std::string which = "policy of " + node_.identity().name + " allows no session by CMSP's directory";
  if (!policy_.terms()->directory_fallback) return fail(ErrorCode::denied, which);
  if (settings_.policy.no_directory_with.contains(peer_domain)) return fail(ErrorCode::denied, which + " with domain " + peer_domain);
  return {};
}

Result<Agreement::Opened> Agreement::open_by_directory(wire::SessionFields fields, const Asked& asked, const node::MessageSigner& own, const Error& silence,
                                                       Deadline deadline, const std::string& request_id) {
  const std::string why = "CMSP does not answer (" + silence.message + ")";
  // Worth another application: CMSP may be back by then.
  if (!policy_.terms()->directory_fallback) return fail(silence.code, why + ", and policy allows no session by its directory");
  if (!asked.says_directory) return fail(silence.code, why + ", and the answer to this could not say that its directory stood in");
  const auto located = directory_.locate(asked.num_call, asked.num_called, node_.clock().now_ms());
  if (!located) return fail_in(why, located.error());
  const Directory::Holder& called = located->called;
  const std::string& here = node_.identity().name;
  if (located->caller.uid != fields.uid_a || located->caller.kms.text() != here)
    return fail(ErrorCode::denied, why + ": in its directory " + served_by(asked.num_call, located->caller));
  if (called.kms.text() == here) return fail(ErrorCode::not_found, why + ": " + asked.num_called.text() + " has no enrolled terminal at " + here);
  const auto peer = node_.settings().peers.find(called.kms.text());
  if (peer == node_.settings().peers.end() || peer->second.expected.kind != Kind::kms)
    return fail(ErrorCode::unavailable, why + ": " + called.kms.text() + " is no KMS among this one's peers");
  if (const auto allowed = check_directory_allowed(peer->second.expected.domain); !allowed) return fail_in(why, allowed.error());

  wire::DirectoryOpen open;
  static_cast<wire::SessionFields&>(open) = std::move(fields);
  open.uid_b = called.uid;
  open.kms_b = called.kms;
  open.prev_hash = located->hash;
  open.epoch = static_cast<std::uint64_t>(located->epoch);
  open.ts_ms = node_.clock().now_ms();
  ASSIGN_OR_RETURN(auto sent, wire::sign_message(node_.suite(), node_.settings().policy_epoch, open, own.signer, own.fps, node_.rng()));
  TRY(node_.record({.action = "km-2.open", .outcome = audit::Outcome::success, .subject = open.uid_a.text(), .object = open.sid_wk.hex(),
                    .reason = why + ": by its directory " + std::to_string(located->epoch) + ", " + served_by(asked.num_called, called),
                    .request_id = request_id}));
  node::crash_point("kms.directory.opening");
  TRY(node_.call(points::Endpoint::km2_open, called.kms.text(), node::enclose(own, sent.octets), deadline, request_id));
  return Opened{.hash = std::move(sent.hash), .uid_b = called.uid, .kms_b = called.kms, .directory_epoch = located->epoch};
}

Result<wire::Framed<wire::DirectoryOpen>> Agreement::read_open(const net::Request& request) {
  const Identity& kms_a = *request.peer.identity;
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(request.body));
  ASSIGN_OR_RETURN(const auto signer, senders_.check(envelope.classical, envelope.ml_dsa, kms_a, request.deadline));
  ASSIGN_OR_RETURN(auto open, wire::parse<wire::DirectoryOpen>(envelope.message));
  TRY(wire::verify(open, signer->verifier, signer->fps));
  const wire::DirectoryOpen& session = open.message;
  TRY(check_fresh(session.ts_ms, "DirectoryOpen"));
  TRY(check_in_force(open, node_));
  if (session.kms_b.text() != node_.identity().name) return open_denied("is for KMS " + session.kms_b.text());
  // Another domain's KMS might bear the same name.
  const auto peer = node_.settings().peers.find(kms_a.name);
  if (peer == node_.settings().peers.end() || peer->second.expected != kms_a) return open_denied(kms_a.uri() + " is no KMS among this one's peers");
  if (session.kms_a.text() != kms_a.name || session.kms_a_fps != signer->fps) return open_denied("names another KMS, or other certificates, than its sender's");
  return Result<wire::Framed<wire::DirectoryOpen>>(std::move(open));
}

Result<void> Agreement::check_against_directory(const wire::DirectoryOpen& session, const Identity& kms_a) {
  if (session.num_call == session.num_called) return open_denied(session.num_call.text() + " calls itself");
  const auto located = directory_.locate(session.num_call, session.num_called, node_.clock().now_ms());
  if (!located) return fail_in("DirectoryOpen", located.error());
  // Another epoch than here is no fault: one of the two has fetched it sooner. What counts is what stands in the one that is kept here.
  if (store::column(session.epoch) == located->epoch && session.prev_hash != located->hash)
    return open_denied("directory " + std::to_string(session.epoch) + " is another one here");
  const Directory::Holder& caller = located->caller;
  if (caller.uid != session.uid_a || caller.kms.text() != kms_a.name) return open_denied(served_by(session.num_call, caller));
  const Directory::Holder& called = located->called;
  if (called.uid != session.uid_b || called.kms != session.kms_b) return open_denied(served_by(session.num_called, called));
  return {};
}

Result<net::Response> Agreement::open(const net::Request& request) {
  const Identity& kms_a = *request.peer.identity;
  ASSIGN_OR_RETURN(const auto open, read_open(request));
  const wire::DirectoryOpen& session = open.message;
  TRY(check_directory_allowed(kms_a.domain));
  TRY(check_against_directory(session, kms_a));
  // Not the other KMS's word alone: it would decide by itself to pass CMSP by.
  TRY(directory_.check_silence(request.deadline, request.request_id));
  const std::string sid = session.sid_wk.hex();
  const UnixMs expires = node_.clock().now_ms() + static_cast<UnixMs>(policy_.terms()->wk_lifetime.count());
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(check_of_this_life(transaction, session.ts_ms, "DirectoryOpen"));
    ASSIGN_OR_RETURN(const auto callee, find_terminal(transaction, session.num_called));
    if (!callee || !callee->confirmed) return fail(ErrorCode::not_found, session.num_called.text() + " has no enrolled terminal at " + node_.identity().name);
    TRY(check_encryption_key(callee->uid, callee->state));
    if (callee->uid != session.uid_b) return open_denied(session.num_called.text() + " is not " + session.uid_b.text());
    Bytes there;
    TRY(transaction.query("SELECT notify FROM announced_session WHERE sid_wk = ?", {session.sid_wk.view()},
                          [&](const store::Row& row) { there = row.blob(0); }));
    if (there == open.octets) return {};  // its answer was lost
    if (!there.empty()) return fail(ErrorCode::conflict, "DirectoryOpen: session " + sid + " was announced already");
    // For as long as its time is in the clock window, longer than the session perhaps.
    ASSIGN_OR_RETURN(const bool first, remember_application(transaction, open.hash, session.ts_ms + clock_window_ms()));
    if (!first) return fail(ErrorCode::conflict, "DirectoryOpen: session " + sid + " was opened before (replay)");
    TRY(transaction.run("INSERT INTO announced_session (sid_wk, notify, expires_ms) VALUES (?, ?, ?)",
                        {session.sid_wk.view(), ByteView(open.octets), store::column(expires)}));
    return {};
  }));
  TRY(node_.record({.action = "km-2.open", .outcome = audit::Outcome::success, .subject = session.uid_a.text(), .object = sid,
                    .reason = "CMSP does not answer: " + kms_a.name + " opens the session by its directory " + std::to_string(session.epoch),
                    .request_id = request.request_id}));
  node::crash_point("kms.session.announced");
  return net::Response{.status = 204, .content_type = "", .body = {}};
}

}  // namespace qanat::kms
