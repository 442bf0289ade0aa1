#include "services/iam/service.hpp"

#include "node/subscriber.hpp"
#include "services/iam/schema.hpp"
#include "wire/base64.hpp"

namespace qanat::iam {
namespace {

using points::Endpoint;

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

Result<BehaviourRecord> read_record(const wire::Json& json) {
  TRY(json.only({"time_ms", "uid", "action", "outcome", "object"}));
  BehaviourRecord out;
  ASSIGN_OR_RETURN(const std::int64_t time, json.integer("time_ms", 0, INT64_MAX));
  out.time_ms = static_cast<UnixMs>(time);
  ASSIGN_OR_RETURN(out.uid, read_uid(json));
  ASSIGN_OR_RETURN(out.action, json.text("action"));
  ASSIGN_OR_RETURN(out.outcome, json.text("outcome"));
  ASSIGN_OR_RETURN(out.object, json.text("object"));
  return out;
}

}  // namespace

IamService::IamService(node::Node& node, IamSettings settings, std::unique_ptr<store::Store> store)
    : node_(node), settings_(settings), store_(std::move(store)), subscribers_(*store_, node.device()), behaviour_(*store_), witness_(node) {}

Result<std::unique_ptr<IamService>> IamService::open(node::Node& node, IamSettings settings) {
  if (!node.credentials().messages) return fail(ErrorCode::internal, "IAM has no keys to sign tokens with");
  ASSIGN_OR_RETURN(auto store, store::Store::open(node.settings().state / "iam.db", migrations));
  std::unique_ptr<IamService> service(new IamService(node, settings, std::move(store)));
  ASSIGN_OR_RETURN(const std::int64_t records, service->behaviour_.verify());
  TRY(node.record({.action = "ua.chain_verified",
                   .outcome = audit::Outcome::success,
                   .subject = node.identity().uri(),
                   .object = std::to_string(records) + " records",
                   .reason = "",
                   .request_id = ""}));
  node.describe_health([raw = service.get()](wire::Json& body) {
    if (const auto count = raw->subscribers_.count()) body.set("subscribers", *count);
  });
  return Result<std::unique_ptr<IamService>>(std::move(service));
}

std::vector<points::Handler> IamService::handlers() {
  using Work = Result<net::Response> (IamService::*)(const net::Request&, node::Deed&);
  const auto handler = [this](Endpoint endpoint, std::string_view action, Work work) {
    return points::Handler{endpoint, [this, action, work](const net::Request& request) {
                             return node::recorded(node_, action, request, [&](node::Deed& deed) { return (this->*work)(request, deed); });
                           }};
  };
  std::vector<points::Handler> out{handler(Endpoint::x3_enrolment, "x-3.enrolment", &IamService::enrolment), handler(Endpoint::x5_subscriber, "x-5.subscriber", &IamService::administer),
          handler(Endpoint::id1_subscriber, "id-1.subscriber", &IamService::look_up), handler(Endpoint::pm1_token, "pm-1.token", &IamService::token),
          handler(Endpoint::ua1_record, "ua-1.record", &IamService::record)};
  for (points::Handler& one : witness_.handlers()) out.push_back(std::move(one));
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

Result<net::Response> IamService::administer(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const std::string op, json.text("op"));
  ASSIGN_OR_RETURN(const Uid uid, read_uid(json));
  deed.object = uid.text() + " " + op;
  if (op == "create") return create(json, uid);
  TRY(json.only({"op", "uid"}));
  if (op == "new_secret") {
    ASSIGN_OR_RETURN(const Secret secret, subscribers_.renew_secret(uid));
    return secret_response(uid, secret);
  }
  Result<Subscriber> subscriber = fail(ErrorCode::invalid_argument, "op must be create, new_secret, suspend, resume or show");
  if (op == "suspend") subscriber = subscribers_.set_standing(uid, Standing::suspended);
  if (op == "resume") subscriber = subscribers_.set_standing(uid, Standing::active);
  if (op == "show") subscriber = subscribers_.find(uid);
  TRY(subscriber);
  return node::json_response(describe(*subscriber).set("status", name(subscriber->standing)).set("enrolled", subscriber->enrolled));
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
  auto subscriber = subscribers_.find(uid);
  if (!subscriber) {
    // Who is not a subscriber gets no token, for the same reason as who is a suspended one.
    return fail(subscriber.error().code == ErrorCode::not_found ? ErrorCode::denied : subscriber.error().code, subscriber.error().message);
  }
  ASSIGN_OR_RETURN(const wire::Token token, grant_token(*subscriber, holder, *request.peer.identity, settings_.token, node_.clock().now_ms(), node_.rng()));
  const node::MessageSigner& signer = *node_.credentials().messages;
  ASSIGN_OR_RETURN(const auto message, wire::sign_message(node_.suite(), node_.settings().policy_epoch, token, signer.signer, signer.fps, node_.rng()));
  deed.object += " " + token.token_id.hex();
  return node::json_response(wire::Json::object(
      {{"token", wire::to_base64(message.octets)}, {"classical", wire::to_base64(signer.classical.der())}, {"ml_dsa", wire::to_base64(signer.ml_dsa.der())}}));
}

Result<net::Response> IamService::record(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"records"}));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, json.array("records"));
  std::vector<BehaviourRecord> records;
  for (const wire::Json& each : list) {
    ASSIGN_OR_RETURN(BehaviourRecord record, read_record(each));
    records.push_back(std::move(record));
  }
  deed.object = std::to_string(records.size()) + " records";
  TRY(behaviour_.append(ElementName(request.peer.identity->name), records, node_.clock().now_ms()));
  return net::Response{.status = 200, .content_type = "", .body = {}};
}

}  // namespace qanat::iam
