#include "csa_session.hpp"

#include "kme/secret_json.hpp"
#include "launch.hpp"
#include "terminal/settings.hpp"

namespace qanat::app {
namespace {

constexpr std::chrono::milliseconds csa_answer_max{10'000};

}  // namespace

Result<std::unique_ptr<CsaSession>> CsaSession::open(const CsaAsk& ask) {
  std::unique_ptr<CsaSession> out(new CsaSession);
  out->kms_ = ask.kms;
  const std::string operators_kms = ask.kms.empty() ? "kms-a" : ask.kms;
  if (!ask.config.empty()) {
    ASSIGN_OR_RETURN(node::Config config, node::Config::read(ask.config));
    if (node::Settings::read(config).identity.kind == Kind::op) {
      out->kms_ = operators_kms;
      ASSIGN_OR_RETURN(out->operator_, Operator::open(ask.config));
    } else {
      TRY(out->open_application(ask.config));
    }
    return Result<std::unique_ptr<CsaSession>>(std::move(out));
  }
  ASSIGN_OR_RETURN(out->network_, Network::read(ask.folder));
  if (!network_is_running(*out->network_)) return fail(ErrorCode::unavailable, "the network is not running: start it with `qanat up`");
  if (ask.as == "operator") {
    out->kms_ = operators_kms;
    ASSIGN_OR_RETURN(out->operator_, Operator::open(*out->network_));
  } else {
    TRY(out->network_->terminal(ask.as));
    TRY(out->open_application(out->network_->config_of(ask.as)));
  }
  return Result<std::unique_ptr<CsaSession>>(std::move(out));
}

Result<void> CsaSession::open_application(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(node::Config config, node::Config::read(file));
  node::Settings common = node::Settings::read(config);
  const terminal::TerminalSettings own = terminal::TerminalSettings::read(config);
  TRY(config.finish());
  if (!apps.has(common.identity.kind)) return fail(ErrorCode::invalid_argument, common.identity.uri() + " is no application");
  if (kms_.empty()) kms_ = own.kms;
  ASSIGN_OR_RETURN(node_, node::Node::open(std::move(common)));
  std::optional<node::Credentials> credentials;
  {
    ASSIGN_OR_RETURN(const auto store, node::CredentialStore::open(node_->settings().state / "credentials.db", node_->device(), node_->suite()));
    ASSIGN_OR_RETURN(credentials, store->load());
  }
  if (!credentials) return fail(ErrorCode::not_found, own.uid.text() + " is not enrolled: run `qanat enrol` first");
  return node_->install_credentials(*std::move(credentials));
}

Result<wire::Json> CsaSession::ask(points::Endpoint endpoint, const wire::Json& body) {
  if (operator_) return operator_->ask(endpoint, kms_, body);
  return node_->call_json(endpoint, kms_, body, Deadline::after(csa_answer_max), node_->new_request_id());
}

Result<CsaSession::WithSecret> CsaSession::ask_secret(points::Endpoint endpoint, const wire::Json& body) {
  if (operator_) return fail(ErrorCode::denied, "operators administer keys and use none: say --as APPLICATION");
  ASSIGN_OR_RETURN(net::Response answer, node_->call(endpoint, kms_, as_bytes(body.dump()), Deadline::after(csa_answer_max), node_->new_request_id()));
  auto lifted = kme::lift_base64(answer.body, "plaintext");
  auto open = lifted ? wire::Json::parse(answer.body) : Result<wire::Json>(fail(lifted.error()));
  wipe(answer.body);
  if (!open) return fail(open.error());
  if (lifted->size() != 1) return fail(ErrorCode::internal, "the CSA's answer holds " + std::to_string(lifted->size()) + " secrets where one belongs");
  return WithSecret{.open = *std::move(open), .secret = std::move(lifted->front())};
}

int with_csa(const CsaAsk& ask, const std::function<Result<void>(CsaSession&)>& work) {
  const auto done = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const auto session, CsaSession::open(ask));
    return work(*session);
  }();
  return done ? 0 : complain(done.error());
}

}  // namespace qanat::app
