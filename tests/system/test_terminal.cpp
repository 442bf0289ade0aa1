#include "test_terminal.hpp"

namespace qanat::test {

Result<std::unique_ptr<TestTerminal>> TestTerminal::open(const app::Network& network, const std::string& uid) {
  std::unique_ptr<TestTerminal> out(new TestTerminal);
  ASSIGN_OR_RETURN(node::Config config, node::Config::read(network.config_of(uid)));
  node::Settings common = node::Settings::read(config);
  out->settings_ = terminal::TerminalSettings::read(config);
  TRY(config.finish());
  ASSIGN_OR_RETURN(out->node_, node::Node::open(std::move(common)));
  node::Node& node = *out->node_;
  ASSIGN_OR_RETURN(out->store_, terminal::TerminalStore::open(node.settings().state / "terminal.db", node.device()));
  ASSIGN_OR_RETURN(auto delivered, out->store_->delivered());
  ASSIGN_OR_RETURN(out->encryption_, crypto::Decapsulator::from_secret(node.suite(), delivered.encryption));
  ASSIGN_OR_RETURN(const auto store, node::CredentialStore::open(node.settings().state / "credentials.db", node.device(), node.suite()));
  ASSIGN_OR_RETURN(auto credentials, store->load());
  if (!credentials) return fail(ErrorCode::not_found, uid + " has no credentials");
  TRY(node.install_credentials(*std::move(credentials)));
  out->senders_ = std::make_unique<node::SenderDirectory>(node);
  out->applicant_.emplace(terminal::Applicant{.suite = node.suite(),
                                              .policy_epoch = node.settings().policy_epoch,
                                              .uid = out->settings_.uid,
                                              .kms = ElementName(out->settings_.kms),
                                              .signer = *node.credentials().messages,
                                              .encryption = *out->encryption_,
                                              .min_assurance = out->settings_.min_assurance});
  return Result<std::unique_ptr<TestTerminal>>(std::move(out));
}

Result<std::shared_ptr<const node::Sender>> TestTerminal::kms() {
  ASSIGN_OR_RETURN(const auto pin, this->pin());
  return pin->check(Deadline::after(std::chrono::seconds(3)));
}

Result<std::string> TestTerminal::pinned() {
  ASSIGN_OR_RETURN(const auto pin, this->pin());
  return pin->fingerprint();
}

/// As a terminal's process has it: for one call.
Result<std::unique_ptr<terminal::KmsPin>> TestTerminal::pin() {
  ASSIGN_OR_RETURN(const auto delivered, store_->delivered());
  return std::make_unique<terminal::KmsPin>(
      *node_, *store_, *senders_, node_->settings().peers.at(settings_.kms).expected,
      terminal::KmsCertificates{.classical = delivered.kms_classical, .ml_dsa = delivered.kms_ml_dsa},
      [this](const std::string& query, Deadline deadline) { return ask(points::Endpoint::km1_certificates, {}, deadline, query); });
}

Result<Bytes> TestTerminal::ask(points::Endpoint endpoint, ByteView message, Deadline deadline, const std::string& query) {
  ASSIGN_OR_RETURN(net::Response response, node_->call(endpoint, settings_.kms, message, deadline, node_->new_request_id(), query));
  return std::move(response.body);
}

Result<Bytes> TestTerminal::send(points::Endpoint endpoint, ByteView message) {
  ASSIGN_OR_RETURN(net::Response response, node_->call(endpoint, settings_.kms, message, Deadline::after(std::chrono::seconds(10)), node_->new_request_id()));
  return std::move(response.body);
}

Result<terminal::WorkingKey> TestTerminal::apply(const terminal::KeyWanted& wanted, Deadline deadline) {
  ASSIGN_OR_RETURN(const auto pin, this->pin());
  terminal::KeyClient keys({.applicant = *applicant_,
                            .store = *store_,
                            .clock = node_->clock(),
                            .rng = node_->rng(),
                            .send =
                                [&](points::Endpoint endpoint, ByteView message, Deadline until) {
                                  return ask(endpoint, message, until, endpoint == points::Endpoint::km1_application ? pin->query() : "");
                                },
                            .check_kms = [&](Deadline until) { return pin->check(until); },
                            .observe = [](const terminal::CallEvent&) {}});
  std::stop_source stop;
  ASSIGN_OR_RETURN(terminal::WorkingKey key, keys.fetch(wanted, deadline, stop.get_token()));
  keys.acknowledge(key.h_deliver, deadline);
  return Result<terminal::WorkingKey>(std::move(key));
}

Result<terminal::KeyApplication> TestTerminal::application(const terminal::KeyWanted& wanted, const std::optional<Bytes>& token_ref) {
  return terminal::KeyApplication::make(*applicant_, wanted, token_ref.value_or(Bytes(node_->suite().digest)), node_->clock().now_ms(), node_->rng());
}

Result<wire::v1::KeyApplication> TestTerminal::application_v1(const terminal::KeyWanted& wanted) {
  const node::MessageSigner& own = *node_->credentials().messages;
  wire::v1::KeyApplication message{.sid_wk = wanted.sid_wk,
                                   .sid_call = wanted.sid_call,
                                   .uid = settings_.uid,
                                   .num_call = wanted.caller,
                                   .num_called = wanted.called,
                                   .sign_sm2 = {},
                                   .sign_pqc = {},
                                   .cert_sm2 = own.classical.der(),
                                   .cert_pqc = own.ml_dsa.der(),
                                   .token = token_v1_};
  wire::v1::sign(message, own.signer, node_->rng());
  return message;
}

Result<Bytes> TestTerminal::apply_v1(const terminal::KeyWanted& wanted, Deadline deadline) {
  ASSIGN_OR_RETURN(const wire::v1::KeyApplication message, application_v1(wanted));
  ASSIGN_OR_RETURN(const Bytes octets, wire::v1::encode(message));
  ASSIGN_OR_RETURN(net::Response response, node_->call(points::Endpoint::km1_application_v1, settings_.kms, octets, deadline, node_->new_request_id()));
  return std::move(response.body);
}

Result<Secret> TestTerminal::accept_v1(const terminal::KeyWanted& wanted, ByteView answer) {
  ASSIGN_OR_RETURN(const auto sender, kms());
  ASSIGN_OR_RETURN(const wire::v1::KeyDistribution message, wire::v1::parse_distribution(answer));
  TRY(wire::v1::verify(message, {.point = sender->classical.public_key(), .ml_dsa = sender->ml_dsa.public_key()}));
  if (message.sid_wk != wanted.sid_wk || message.sid_call != wanted.sid_call || message.uid != settings_.uid) {
    return fail(ErrorCode::denied, "KeyDistribution (v1): is for another session or subscriber");
  }
  if (!message.token.empty()) token_v1_ = message.token;
  return wire::v1::open_wk(message, *encryption_);
}

}  // namespace qanat::test
