#include "services/iam/service.hpp"

#include <algorithm>

#include "node/log.hpp"
#include "node/subscriber.hpp"
#include "services/iam/schema.hpp"
#include "wire/base64.hpp"

namespace qanat::iam {
namespace {

using points::Endpoint;

constexpr std::chrono::milliseconds letter_max{3000};  // until its receiver has answered

Result<Uid> read_uid(const wire::Json& json) {
  ASSIGN_OR_RETURN(const std::string text, json.text("uid"));
  return node::parse_uid(text);
}

wire::Json describe(const Subscriber& subscriber) {
  return wire::Json::object({{"uid", subscriber.uid.text()},
                             {"number", subscriber.number.text()},
                             {"home_kms", subscriber.home_kms.text()},
                             {"domain", subscriber.domain},
                             {"device", name(subscriber.device)}});
}

Result<Subscriber> read_subscriber(const wire::Json& json, const Uid& uid) {
  TRY(json.only({"op", "uid", "number", "home_kms", "domain", "device"}));
  Subscriber out;
  out.uid = uid;
  ASSIGN_OR_RETURN(const std::string number, json.text("number"));
  ASSIGN_OR_RETURN(out.number, node::parse_number(number));
  ASSIGN_OR_RETURN(const std::string home_kms, json.text("home_kms"));
  ASSIGN_OR_RETURN(out.home_kms, node::parse_element_name(home_kms));
  ASSIGN_OR_RETURN(const std::string device, json.text("device"));
  ASSIGN_OR_RETURN(out.device, node::parse_device(device));
  ASSIGN_OR_RETURN(out.domain, json.text("domain"));
  // The domain becomes part of the terminal's certificate: it must make a sound URI.
  TRY(Identity::parse_uri(Identity{.domain = out.domain, .kind = out.device, .name = uid.text()}.uri()));
  return out;
}

/// The one answer in the network that holds a secret in clear: the operator carries it to the user by hand.
net::Response secret_response(const Uid& uid, const Secret& secret) {
  return node::json_response(wire::Json::object({{"uid", uid.text()}, {"enrolment_secret", to_hex(secret.reveal())}}));
}

Result<wire::Fingerprints> read_fingerprints(const wire::Json& json, const crypto::Suite& suite) {
  wire::Fingerprints out;
  ASSIGN_OR_RETURN(out.classical, json.hex("fp_classical"));
  ASSIGN_OR_RETURN(out.pq, json.hex("fp_ml_dsa"));
  if (out.classical.size() != suite.digest || out.pq.size() != suite.digest) {
    return fail(ErrorCode::invalid_argument, "fp_classical and fp_ml_dsa must have " + std::to_string(suite.digest) + " octets each");
  }
  return out;
}

/// The name of the CMSP that is told of anomalies; empty without one.
std::string cmsp_of(const node::Node& node) { return node.peer_of(Kind::cmsp).value_or(""); }

}  // namespace

IamService::IamService(node::Node& node, IamSettings settings, std::unique_ptr<store::Store> store, SendLetter send)
    : node_(node),
      settings_(std::move(settings)),
      store_(std::move(store)),
      outbox_(*store_, std::move(send)),
      identities_(*store_, [this](store::Transaction& transaction, const std::string& subject,
                                  std::int64_t epoch) { return tell_revoked(transaction, subject, epoch); }),
      subscribers_(*store_, node.device(), identities_),
      privileges_(*store_, [this](store::Transaction& transaction, const std::string& subject) { return identities_.end_epochs(transaction, subject); }),
      web_clients_(*store_),
      codes_(*store_),
      desk_(node, identities_, privileges_),
      identity_front_(desk_),
      behaviour_(*store_),
      anomalies_(*store_, cmsp_of(node)),
      behaviour_front_(desk_, behaviour_, anomalies_, outbox_),
      witness_(node) {}

Result<std::unique_ptr<IamService>> IamService::open(node::Node& node, IamSettings settings) {
  return open(node, std::move(settings), [&node](Endpoint endpoint, const std::string& destination, const wire::Json& body) -> Result<void> {
    TRY(node.call_json(endpoint, destination, body, Deadline::after(letter_max), node.new_request_id()));
    return {};
  });
}

Result<std::unique_ptr<IamService>> IamService::open(node::Node& node, IamSettings settings, SendLetter send) {
  if (!node.credentials().messages) return fail(ErrorCode::internal, "IAM has no keys to sign tokens with");
  ASSIGN_OR_RETURN(auto store, store::Store::open(node.settings().state / "iam.db", migrations));
  std::unique_ptr<IamService> service(new IamService(node, std::move(settings), std::move(store), std::move(send)));
  ASSIGN_OR_RETURN(const std::int64_t records, service->behaviour_.verify());
  TRY(node.record({.action = "ua.chain_verified",
                   .outcome = audit::Outcome::success,
                   .subject = node.identity().uri(),
                   .object = std::to_string(records) + " records",
                   .reason = "",
                   .request_id = ""}));
  TRY(service->found());
  if (const auto& listener = service->settings_.web.listener) {
    ASSIGN_OR_RETURN(service->web_, WebFront::start(*listener, service->oauth(), service->scim(), node));
  }
  node.describe_health([raw = service.get()](wire::Json& body) {
    if (const auto count = raw->subscribers_.count()) body.set("subscribers", *count);
    if (const auto count = raw->identities_.count()) body.set("identities", *count);
    if (const auto count = raw->anomalies_.count()) body.set("anomalies", *count);
    if (const auto count = raw->outbox_.waiting()) body.set("messages_waiting", *count);
  });
  return Result<std::unique_ptr<IamService>>(std::move(service));
}

Scim IamService::scim() {
  const std::string& domain = settings_.web.scim_domain;
  std::string base = settings_.web.url + std::string(scim_prefix);
  base.pop_back();
  return Scim(desk_, *privilege_front_, {.base = std::move(base), .domain = domain.empty() ? node_.identity().domain : domain});
}

void IamService::stop() {
  if (web_) web_->stop();
  outbox_.stop();
}

Result<void> IamService::found() {
  const UnixMs now = node_.clock().now_ms();
  Founders founders = settings_.founders;
  // Where the configuration names nobody: the names that `qanat up` gives them.
  const auto named = [&](const char* who) { return std::vector{Identity{.domain = node_.identity().domain, .kind = Kind::op, .name = who}}; };
  if (founders.security_administrators.empty()) founders.security_administrators = named("administrator");
  if (founders.auditors.empty()) founders.auditors = named("auditor");
  if (founders.operators.empty()) founders.operators = named("operator");
  std::set<std::string> elements;
  for (const Identity& element : founders.elements) elements.insert(element.name);
  identities_.reserve_for_elements(std::move(elements));
  ASSIGN_OR_RETURN(const std::vector<LeftOut> left_out, privileges_.found(identities_, founders, now));
  for (const auto& [founder, why] : left_out) {
    node::log(node::LogLevel::error, "{} of the configuration is not entered in the register: {}", founder.uri(), why);
    TRY(node_.record({.action = "identity.left_out",
                      .outcome = audit::Outcome::failure,
                      .subject = node_.identity().uri(),
                      .object = founder.uri(),
                      .reason = why,
                      .request_id = ""}));
  }
  AccessPolicy access = settings_.access;
  access.web_issuer = settings_.web.url;
  ASSIGN_OR_RETURN(AccessTokens tokens, AccessTokens::open(*store_, node_.device(), node_.rng(), node_.identity().uri(), access, now));
  tokens_.emplace(std::move(tokens));
  privilege_front_.emplace(desk_, *tokens_, web_clients_, codes_);
  return {};
}

/// To every KMS: what its terminals hold is void, and tokens of earlier epochs too. The time is that of this transaction: what was decided before it, on what
/// stood before it, bears an earlier one.
Result<void> IamService::tell_revoked(store::Transaction& transaction, const std::string& subject, std::int64_t epoch) {
  const UnixMs now = node_.clock().now_ms();
  for (const auto& [name, target] : node_.settings().peers) {
    if (target.expected.kind != Kind::kms) continue;
    TRY(Outbox::put(transaction, name, Endpoint::pm1_revoked, wire::Json::object({{"subject", subject}, {"epoch", epoch}, {"at_ms", now}}), now));
  }
  outbox_.ring();  // the thread waits for this transaction
  return {};
}

std::vector<points::Handler> IamService::handlers() {
  std::vector<points::Handler> out{recorded_handler(desk_, *this, Endpoint::x3_enrolment, "x-3.enrolment", &IamService::enrolment),
                                   recorded_handler(desk_, *this, Endpoint::x3_identity, "x-3.identity", &IamService::identity),
                                   recorded_handler(desk_, *this, Endpoint::x5_subscriber, "x-5.subscriber", &IamService::administer),
                                   recorded_handler(desk_, *this, Endpoint::id1_subscriber, "id-1.subscriber", &IamService::look_up),
                                   recorded_handler(desk_, *this, Endpoint::pm1_token, "pm-1.token", &IamService::token)};
  const auto add = [&](std::vector<points::Handler> more) { std::ranges::move(more, std::back_inserter(out)); };
  add(identity_front_.handlers());
  add(privilege_front_->handlers());
  add(behaviour_front_.handlers());
  add(witness_.handlers());
  return out;
}

Result<net::Response> IamService::enrolment(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"uid", "enrol"}));
  ASSIGN_OR_RETURN(const Uid uid, read_uid(json));
  deed.object = uid.text();
  ASSIGN_OR_RETURN(const Bytes octets, json.base64("enrol"));
  ASSIGN_OR_RETURN(const auto message, wire::parse<wire::Enrol>(octets));
  if (message.message.uid != uid) return fail(ErrorCode::invalid_argument, "the Enrol message is another subscriber's than '" + uid.text() + "'");
  if (message.header.suite != node_.suite().id) return fail(ErrorCode::denied, "the Enrol message is of another suite than this network's");
  ASSIGN_OR_RETURN(const Subscriber subscriber, subscribers_.enrol(message, node_.clock().now_ms()));
  return node::json_response(describe(subscriber));
}

/// Whether CAS may certify a subject is CAS's to say; this is what the register holds of it: by uid, or by the name that its certificates bear.
Result<net::Response> IamService::identity(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"uid", "identity"}));
  if (json.has("uid") == json.has("identity")) return fail(ErrorCode::invalid_argument, "either uid or identity");
  if (json.has("uid")) {
    ASSIGN_OR_RETURN(const Uid uid, read_uid(json));
    deed.object = uid.text();
    ASSIGN_OR_RETURN(const IdentityRecord record, identities_.find(uid));
    return node::json_response(outline(record));
  }
  ASSIGN_OR_RETURN(const std::string uri, json.text("identity"));
  ASSIGN_OR_RETURN(const Identity named, Identity::parse_uri(uri));
  deed.object = named.uri();
  ASSIGN_OR_RETURN(const IdentityRecord record, identities_.find(named));
  return node::json_response(outline(record));
}

Result<net::Response> IamService::administer(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const std::string op, json.text("op"));
  ASSIGN_OR_RETURN(const Uid uid, read_uid(json));
  deed.object = uid.text() + " " + op;
  constexpr std::array ops{std::string_view("create"), std::string_view("new_secret"), std::string_view("suspend"), std::string_view("resume"),
                           std::string_view("show")};
  if (std::ranges::find(ops, op) == ops.end()) return fail(ErrorCode::invalid_argument, "op must be create, new_secret, suspend, resume or show");
  ASSIGN_OR_RETURN(const IdentityRecord caller, desk_.caller(request));
  TRY(desk_.require(caller, op == "show" ? "identity.read" : op == "suspend" || op == "resume" ? "identity.suspend" : "identity.create"));
  if (op != "show") TRY(desk_.intend(request, "subscriber." + op, uid.text()));
  if (op == "create") return create(json, uid);
  TRY(json.only({"op", "uid"}));
  if (op == "new_secret") {
    ASSIGN_OR_RETURN(const Secret secret, subscribers_.renew_secret(uid));
    return secret_response(uid, secret);
  }
  if (op == "suspend") TRY(identities_.set_standing(uid, std::nullopt, Standing::suspended, desk_.now()));
  if (op == "resume") TRY(identities_.set_standing(uid, std::nullopt, Standing::active, desk_.now()));
  ASSIGN_OR_RETURN(const Subscriber subscriber, subscribers_.find(uid));
  return node::json_response(describe(subscriber).set("status", name(subscriber.standing)).set("enrolled", subscriber.enrolled));
}

Result<net::Response> IamService::create(const wire::Json& json, const Uid& uid) {
  ASSIGN_OR_RETURN(const Subscriber subscriber, read_subscriber(json, uid));
  ASSIGN_OR_RETURN(const Secret secret, subscribers_.create(subscriber, node_.clock().now_ms()));
  return secret_response(uid, secret);
}

Result<net::Response> IamService::look_up(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"uid"}));
  ASSIGN_OR_RETURN(const Uid uid, read_uid(json));
  deed.object = uid.text();
  ASSIGN_OR_RETURN(const Subscriber subscriber, subscribers_.find(uid));
  return node::json_response(describe(subscriber).set("status", name(subscriber.standing)));
}

Result<net::Response> IamService::token(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"uid", "fp_classical", "fp_ml_dsa"}));
  ASSIGN_OR_RETURN(const Uid uid, read_uid(json));
  deed.object = uid.text();
  ASSIGN_OR_RETURN(const wire::Fingerprints holder, read_fingerprints(json, node_.suite()));
  const UnixMs now = node_.clock().now_ms();  // before what it rests on is read: see tell_revoked
  auto subscriber = subscribers_.find(uid);
  if (!subscriber) {
    // Who is not a subscriber gets no token, for the same reason as who is a suspended one.
    return fail(subscriber.error().code == ErrorCode::not_found ? ErrorCode::denied : subscriber.error().code, subscriber.error().message);
  }
  ASSIGN_OR_RETURN(const Decision decision, privileges_.decide(uid, key_question(), now));
  ASSIGN_OR_RETURN(const wire::Token token, grant_token(*subscriber, decision, holder, *request.peer.identity, settings_.token, now, node_.rng()));
  const std::shared_ptr<const node::MessageSigner> in_force = node_.signer();
  const node::MessageSigner& signer = *in_force;
  ASSIGN_OR_RETURN(const auto message, wire::sign_message(node_.suite(), node_.settings().policy_epoch, token, signer.signer, signer.fps, node_.rng()));
  deed.object += " " + token.token_id.hex();
  return node::json_response(wire::Json::object(
      {{"token", wire::to_base64(message.octets)}, {"classical", wire::to_base64(signer.classical.der())}, {"ml_dsa", wire::to_base64(signer.ml_dsa.der())}}));
}

}  // namespace qanat::iam
