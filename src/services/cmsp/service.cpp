#include "services/cmsp/service.hpp"

#include "node/crash_point.hpp"
#include "node/subscriber.hpp"
#include "services/cmsp/csm/quantum_network.hpp"
#include "services/cmsp/known_kms.hpp"
#include "services/cmsp/schema.hpp"

namespace qanat::cmsp {
namespace {

using points::Endpoint;

constexpr int step_locate = 7;
constexpr int step_notify = 8;
constexpr std::chrono::milliseconds quantum_ask_max{1000};  // of an answer about this element's health

const net::Response empty_response{.status = 200, .content_type = "", .body = {}};

Result<Number> read_number(const wire::Json& json) {
  ASSIGN_OR_RETURN(const std::string text, json.text("number"));
  return node::parse_number(text);
}

Result<Uid> read_uid(const wire::Json& json) {
  ASSIGN_OR_RETURN(const std::string text, json.text("uid"));
  return node::parse_uid(text);
}

Result<Account> read_account(ByteView body) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(body));
  TRY(json.only({"number", "uid", "kms", "service"}));
  Account out;
  ASSIGN_OR_RETURN(out.number, read_number(json));
  ASSIGN_OR_RETURN(out.uid, read_uid(json));
  ASSIGN_OR_RETURN(const std::string kms, json.text("kms"));
  ASSIGN_OR_RETURN(out.kms, node::parse_element_name(kms));
  ASSIGN_OR_RETURN(const std::string service, json.text("service"));
  ASSIGN_OR_RETURN(out.service, parse_service(service));
  return out;
}

template <class M>
M answer_of(const wire::SessionFields& fields) {
  M out;
  static_cast<wire::SessionFields&>(out) = fields;
  return out;
}

/// Signed by this element and put into an envelope with its certificates.
template <class M>
Result<Bytes> sign(node::Node& node, const M& message) {
  const std::shared_ptr<const node::MessageSigner> in_force = node.signer();
  const node::MessageSigner& signer = *in_force;
  ASSIGN_OR_RETURN(auto made, wire::sign_message(node.suite(), node.settings().policy_epoch, message, signer.signer, signer.fps, node.rng()));
  return node::enclose(signer, std::move(made.octets));
}

}  // namespace

CmspService::CmspService(node::Node& node, NotifyKms notify, std::unique_ptr<store::Store> store)
    : node_(node),
      notify_(std::move(notify)),
      store_(std::move(store)),
      accounts_(*store_),
      directory_(node, accounts_),
      sessions_(*store_),
      notices_(*store_),
      orchestrator_(node, *store_),
      evidence_(node, *store_),
      senders_(node),
      steps_(node.settings().state),
      witness_(node) {}

Result<std::unique_ptr<CmspService>> CmspService::open(node::Node& node) {
  return open(node, [&node](const ElementName& kms, ByteView envelope, const net::Request& request) -> Result<void> {
    TRY(node.call(Endpoint::ma2_notify, kms.text(), envelope, request.deadline, request.request_id));
    return {};
  });
}

Result<std::unique_ptr<CmspService>> CmspService::open(node::Node& node, NotifyKms notify) {
  if (!node.credentials().messages) return fail(ErrorCode::internal, "CMSP has no keys to sign messages with");
  ASSIGN_OR_RETURN(auto store, store::Store::open(node.settings().state / "cmsp.db", migrations));
  std::unique_ptr<CmspService> service(new CmspService(node, std::move(notify), std::move(store)));
  TRY(service->orchestrator_.open());
  node.describe_health([raw = service.get()](wire::Json& body) {
    const auto counts = raw->accounts_.counts();
    if (counts) body.set("accounts", counts->accounts).set("registrations", counts->registrations);
    if (const auto notices = raw->notices_.census()) {
      body.set("notices", notices->count);
      if (!notices->last.empty()) body.set("last_notice", notices->last);
    }
    raw->directory_.describe(body);
    raw->orchestrator_.describe(body);
    raw->evidence_.describe(body);
    body.set("quantum_networks", quantum_networks(raw->node_, Deadline::after(quantum_ask_max)));
  });
  return Result<std::unique_ptr<CmspService>>(std::move(service));
}

std::vector<points::Handler> CmspService::handlers() {
  using Work = Result<net::Response> (CmspService::*)(const net::Request&, node::Deed&);
  const auto handler = [this](Endpoint endpoint, std::string_view action, Work work) {
    return points::Handler{endpoint, [this, action, work](const net::Request& request) {
                             return node::recorded(node_, action, request, [&](node::Deed& deed) { return (this->*work)(request, deed); });
                           }};
  };
  std::vector<points::Handler> out{handler(Endpoint::x5_account, "x-5.account", &CmspService::administer),
                                   handler(Endpoint::ma1_account, "ma-1.account", &CmspService::show_account),
                                   handler(Endpoint::ma2_register, "ma-2.register", &CmspService::enter_registration),
                                   handler(Endpoint::ma2_locate, "ma-2.locate", &CmspService::locate),
                                   handler(Endpoint::x12_notice, "x-12.notice", &CmspService::take_notice),
                                   handler(Endpoint::x13_account, "x-13.account", &CmspService::vouch)};
  // KMSs ask every few seconds: what they are given is no deed, what they are refused is on record.
  const auto refusals = [this](Endpoint endpoint, std::string_view action, auto& part, auto work) {
    return points::Handler{endpoint, [this, action, &part, work](const net::Request& request) {
                             return node::refusal_recorded(node_, action, request, "", (part.*work)(request));
                           }};
  };
  out.push_back(refusals(Endpoint::mo2_policy, "mo-2.policy", orchestrator_, &Orchestrator::give));
  out.push_back(refusals(Endpoint::mo2_state, "mo-2.state", orchestrator_, &Orchestrator::take_state));
  out.push_back(refusals(Endpoint::ma2_directory, "ma-2.directory", directory_, &Directory::give));
  out.push_back(refusals(Endpoint::ma2_directory_page, "ma-2.directory", directory_, &Directory::page));
  out.push_back({Endpoint::x5_kms_policy, [this](const net::Request& request) {
                   return node::recorded(node_, "x-5.kms_policy", request, [&](node::Deed& deed) { return orchestrator_.order(request, deed); });
                 }});
  out.push_back({Endpoint::mc2_evidence, [this](const net::Request& request) {
                   return node::recorded(node_, "mc-2.evidence", request, [&](node::Deed& deed) { return evidence_.take(request, deed); });
                 }});
  for (points::Handler& one : witness_.handlers()) out.push_back(std::move(one));
  return out;
}

Result<net::Response> CmspService::administer(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const Account account, read_account(request.body));
  deed.object = account.number.text() + " " + std::string(name(account.service));
  const auto peer = node_.settings().peers.find(account.kms.text());
  if (peer == node_.settings().peers.end() || peer->second.expected.kind != Kind::kms) {
    return fail(ErrorCode::not_found, "there is no KMS '" + account.kms.text() + "' in this network");
  }
  TRY(accounts_.put(account));
  return empty_response;
}

Result<net::Response> CmspService::show_account(const net::Request& request, node::Deed& deed) {
  const std::optional<Number>& number = request.peer.certificate->names().number;
  if (!number) return fail(ErrorCode::denied, "the caller's certificate names no number");
  deed.object = number->text();
  ASSIGN_OR_RETURN(const Account account, accounts_.find(*number));
  if (account.uid.text() != request.peer.identity->name) return fail(ErrorCode::denied, number->text() + " is now another subscriber's number");
  return node::json_response(
      wire::Json::object({{"number", account.number.text()}, {"uid", account.uid.text()}, {"kms", account.kms.text()}, {"service", name(account.service)}}));
}

Result<net::Response> CmspService::enter_registration(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"uid", "number"}));
  ASSIGN_OR_RETURN(const Uid uid, read_uid(json));
  ASSIGN_OR_RETURN(const Number number, read_number(json));
  deed.object = number.text() + " " + uid.text();
  ASSIGN_OR_RETURN(const ElementName kms, known_kms(node_, *request.peer.identity));
  TRY(accounts_.enter_registration(number, uid, kms, node_.clock().now_ms()));
  return empty_response;
}

/// CAS asks before it certifies a number: whoever enters subscribers at IAM cannot make one out of a number that nobody has here.
Result<net::Response> CmspService::vouch(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"uid", "number", "home_kms"}));
  ASSIGN_OR_RETURN(const Uid uid, read_uid(json));
  ASSIGN_OR_RETURN(const Number number, read_number(json));
  ASSIGN_OR_RETURN(const std::string home_kms, json.text("home_kms"));
  ASSIGN_OR_RETURN(const ElementName kms, node::parse_element_name(home_kms));
  deed.object = number.text();
  ASSIGN_OR_RETURN(const Account account, accounts_.find(number));
  if (account.uid != uid) return fail(ErrorCode::denied, number.text() + " is not the number of '" + uid.text() + "'");
  if (account.kms != kms) return fail(ErrorCode::denied, number.text() + " is not served by " + kms.text());
  if (account.service != Service::open) return fail(ErrorCode::denied, "the service is not open to " + number.text());
  return empty_response;
}

Result<net::Response> CmspService::take_notice(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const Notice notice, read_notice(json));
  deed.object = notice.rule + " " + notice.uid;
  TRY(notices_.take(request.peer.identity->name, notice, node_.clock().now_ms()));
  return empty_response;
}

/// The SessionOpen in the body, signed by the KMS at the other end of the connection, for this suite and policy, and fresh.
Result<wire::Framed<wire::SessionOpen>> CmspService::read_open(const net::Request& request) {
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(request.body));
  ASSIGN_OR_RETURN(auto open, wire::parse<wire::SessionOpen>(envelope.message));
  if (open.header.suite != node_.suite().id) return fail(ErrorCode::denied, "SessionOpen: of another suite than this network's");
  if (open.header.policy_epoch < node_.settings().policy_epoch) {
    return fail(ErrorCode::denied, "SessionOpen: made under policy epoch " + std::to_string(open.header.policy_epoch) + ", which is over");
  }
  const Identity& caller = *request.peer.identity;
  ASSIGN_OR_RETURN(const std::shared_ptr<const node::Sender> sender, senders_.check(envelope.classical, envelope.ml_dsa, caller, request.deadline));
  TRY(wire::verify(open, sender->verifier, sender->fps));
  ASSIGN_OR_RETURN(const ElementName kms, known_kms(node_, caller));
  TRY(check_sender(open.message, kms, sender->fps, node_.clock().now_ms()));
  return Result<wire::Framed<wire::SessionOpen>>(std::move(open));
}

Result<net::Response> CmspService::locate(const net::Request& request, node::Deed& deed) {
  node::StepTrace::Timer locating(steps_, step_locate);
  ASSIGN_OR_RETURN(const auto open, read_open(request));
  const wire::SessionOpen& asked = open.message;
  const std::string session = asked.sid_wk.hex();
  deed.object = session + " " + asked.uid_a.text() + " " + asked.num_call.text() + " " + asked.num_called.text();
  ASSIGN_OR_RETURN(const Located located, sessions_.open(asked, open.hash, node_.clock().now_ms()));
  node::crash_point("cmsp.session.opened");
  locating.done(session, "CMSP locates " + asked.num_called.text() + " at " + located.kms_b.text());

  node::StepTrace::Timer notifying(steps_, step_notify);
  const wire::SessionFields fields = answer_fields(open, located, node_.clock().now_ms());
  ASSIGN_OR_RETURN(const Bytes notify, sign(node_, answer_of<wire::SessionNotify>(fields)));
  if (const auto accepted = notify_(located.kms_b, notify, request); !accepted) {
    return fail_in("callee " + asked.num_called.text(), accepted.error());
  }
  node_.report({.about = located.uid_b.text(), .action = "session", .outcome = "notified", .object = session});
  node::crash_point("cmsp.notify.sent");
  ASSIGN_OR_RETURN(const Bytes grant, sign(node_, answer_of<wire::SessionGrant>(fields)));
  TRY(sessions_.granted(asked.sid_wk));
  node::crash_point("cmsp.session.granted");
  notifying.done(session, "CMSP notifies " + located.kms_b.text() + " and grants the session to " + asked.kms_a.text());
  return net::Response{.status = 200, .content_type = std::string(points::type_qfc2), .body = grant};
}

}  // namespace qanat::cmsp
