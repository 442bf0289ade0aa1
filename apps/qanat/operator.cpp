#include "operator.hpp"

#include <thread>

#include "base/secret_file.hpp"
#include "launch.hpp"

namespace qanat::app {
namespace {

constexpr std::chrono::milliseconds element_answer_max{5000};
constexpr std::chrono::milliseconds turn_max{10000};  // waiting for another command to finish with the operator's identity
constexpr std::size_t secret_digits = 64;

Deadline soon() { return Deadline::after(element_answer_max); }

Result<std::unique_ptr<node::Node>> open_node(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(node::Config config, node::Config::read(file));
  const node::Settings settings = node::Settings::read(config);
  const Identity& identity = settings.identity;
  if (!identity.name.empty() && identity.kind != Kind::op) return fail(ErrorCode::invalid_argument, file.string() + ": node.identity = " + identity.uri() + ": is no operator");
  TRY(config.finish());
  const Deadline turn = Deadline::after(turn_max);
  while (true) {
    auto node = node::Node::open(settings);
    if (!node && node.error().code == ErrorCode::conflict && !turn.passed()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));  // another command holds the operator's records
      continue;
    }
    if (!node) return fail(node.error());
    TRY((*node)->enrol(soon()));
    return node;
  }
}

}  // namespace

Result<std::unique_ptr<Operator>> Operator::open(const Network& network, const std::string& name) {
  TRY(network.element(name));
  ASSIGN_OR_RETURN(std::unique_ptr<node::Node> node, open_node(network.config_of(name)));
  return std::unique_ptr<Operator>(new Operator(&network, std::move(node)));
}

Result<std::unique_ptr<Operator>> Operator::open(const std::filesystem::path& config) {
  ASSIGN_OR_RETURN(std::unique_ptr<node::Node> node, open_node(config));
  return std::unique_ptr<Operator>(new Operator(nullptr, std::move(node)));
}

Result<void> Operator::check_answers(points::Endpoint endpoint, const std::string& element) const {
  const auto& peers = node_->settings().peers;
  const auto found = peers.find(element);
  if (found == peers.end()) return fail(ErrorCode::not_found, "there is no element '" + element + "' among the operator's peers");
  const Kind kind = found->second.expected.kind;
  if (!points::row(endpoint).callees.has(kind)) return fail(ErrorCode::invalid_argument, element + " is of kind " + std::string(qanat::name(kind)) + ", which does not answer this");
  return {};
}

Result<void> Operator::provision(const TerminalPlan& terminal) {
  if (network_ == nullptr) return fail(ErrorCode::invalid_argument, "terminals are provisioned in a network of `qanat up`");
  ASSIGN_OR_RETURN(const std::optional<std::string> secret, new_subscriber(terminal));
  if (secret) {
    if (secret->size() != secret_digits) return fail(ErrorCode::internal, "IAM: enrolment secret of the wrong size");
    const std::filesystem::path file = network_->secret_of(terminal.uid + ".enrolment");
    std::error_code ignored;
    std::filesystem::remove(file, ignored);  // an earlier secret, which IAM does not take any more
    TRY(write_secret_file(file, Secret::copy_of(as_bytes(*secret))));
  }
  return set_service(terminal, "open");
}

Result<std::optional<std::string>> Operator::new_subscriber(const TerminalPlan& terminal) {
  const auto ask = [&](const wire::Json& body) { return node_->call_json(points::Endpoint::x5_subscriber, "iam", body, soon(), node_->new_request_id()); };
  auto made = ask(wire::Json::object({{"op", "create"},
                                      {"uid", terminal.uid},
                                      {"number", terminal.number},
                                      {"home_kms", terminal.kms},
                                      {"domain", terminal.domain},
                                      {"device", "app1"}}));
  if (!made && made.error().code == ErrorCode::conflict) {
    if (std::filesystem::exists(network_->secret_of(terminal.uid + ".enrolment"))) return std::optional<std::string>();
    // Without a secret the subscriber has used it, or IAM's answer was lost; then IAM gives a new one.
    ASSIGN_OR_RETURN(const wire::Json known, subscriber(terminal.uid));
    ASSIGN_OR_RETURN(const bool enrolled, known.boolean("enrolled"));
    if (enrolled) return std::optional<std::string>();
    made = ask(wire::Json::object({{"op", "new_secret"}, {"uid", terminal.uid}}));
  }
  TRY(made);
  ASSIGN_OR_RETURN(std::string secret, made->text("enrolment_secret"));
  return std::optional<std::string>(std::move(secret));
}

Result<TerminalPlan> Operator::terminal(const std::string& uid) {
  if (network_ != nullptr) {
    ASSIGN_OR_RETURN(const TerminalPlan* plan, network_->terminal(uid));
    return *plan;
  }
  ASSIGN_OR_RETURN(const wire::Json known, subscriber(uid));
  ASSIGN_OR_RETURN(const std::string device, known.text("device"));
  if (device != qanat::name(Kind::app1)) return fail(ErrorCode::invalid_argument, uid + " is no terminal: it is of kind " + device);
  TerminalPlan out;
  out.uid = uid;
  ASSIGN_OR_RETURN(out.number, known.text("number"));
  ASSIGN_OR_RETURN(out.domain, known.text("domain"));
  ASSIGN_OR_RETURN(out.kms, known.text("home_kms"));
  return out;
}

Result<wire::Json> Operator::subscriber(const std::string& uid) {
  return node_->call_json(points::Endpoint::x5_subscriber, "iam", wire::Json::object({{"op", "show"}, {"uid", uid}}), soon(), node_->new_request_id());
}

Result<void> Operator::set_subscriber(const std::string& uid, const std::string& operation) {
  TRY(node_->call_json(points::Endpoint::x5_subscriber, "iam", wire::Json::object({{"op", operation}, {"uid", uid}}), soon(), node_->new_request_id()));
  return {};
}

Result<void> Operator::set_service(const TerminalPlan& terminal, const std::string& service) {
  TRY(node_->call_json(points::Endpoint::x5_account, "cmsp",
                       wire::Json::object({{"number", terminal.number}, {"uid", terminal.uid}, {"kms", terminal.kms}, {"service", service}}), soon(),
                       node_->new_request_id()));
  return {};
}

Result<std::vector<std::string>> Operator::revoke(const Identity& identity) {
  ASSIGN_OR_RETURN(const wire::Json answer,
                   node_->call_json(points::Endpoint::x5_revoke, "cas", wire::Json::object({{"identity", identity.uri()}}), soon(), node_->new_request_id()));
  return answer.texts("revoked");
}

Result<wire::Json> Operator::ask(points::Endpoint endpoint, const std::string& element, const wire::Json& body) {
  TRY(check_answers(endpoint, element));
  return node_->call_json(endpoint, element, body, soon(), node_->new_request_id());
}

int with_operator(const OperatorPlace& at, const std::string& name, const std::function<Result<void>(Operator&)>& work) {
  const auto done = [&]() -> Result<void> {
    if (!at.config.empty()) {
      ASSIGN_OR_RETURN(const auto op, Operator::open(at.config));
      return work(*op);
    }
    ASSIGN_OR_RETURN(const Network network, Network::read(at.folder));
    if (!network_is_running(network)) return fail(ErrorCode::unavailable, "the network is not running: start it with `qanat up`");
    ASSIGN_OR_RETURN(const auto op, Operator::open(network, name));
    return work(*op);
  }();
  return done ? 0 : complain(done.error());
}

Result<wire::Json> Operator::health(const std::string& element) {
  TRY(check_answers(points::Endpoint::x6_health, element));
  return node_->call_json(points::Endpoint::x6_health, element, wire::Json::object(), soon(), node_->new_request_id());
}

}  // namespace qanat::app
