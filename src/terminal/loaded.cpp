#include "terminal/loaded.hpp"

#include "node/log.hpp"

namespace qanat::terminal {
namespace {

/// A medium that is not in its place is no reason not to call: the result says what protected the call.
Result<std::unique_ptr<SecureMedium>> load_medium(node::Node& node, const TerminalSettings& settings) {
  if (settings.medium.empty()) return Result<std::unique_ptr<SecureMedium>>(nullptr);
  auto medium = SecureMedium::open(settings.medium, node.device());
  if (!medium && medium.error().code == ErrorCode::not_found) return Result<std::unique_ptr<SecureMedium>>(nullptr);
  if (medium && (*medium)->state() != MediumState::active)
    node::log(node::LogLevel::warning, "medium {} is {}: none of its keys is used", (*medium)->id().hex(), name((*medium)->state()));
  return medium;
}

/// Those whose answer is checked by the certificates that are kept to.
bool names_kept_certificates(points::Endpoint endpoint) {
  return endpoint == points::Endpoint::km1_application || endpoint == points::Endpoint::km1_charge || endpoint == points::Endpoint::km1_group;
}

}  // namespace

Result<void> check_settings(const node::Node& node, const TerminalSettings& settings) {
  if (!apps.has(node.identity().kind)) return fail(ErrorCode::invalid_argument, node.identity().uri() + " is not a terminal");
  if (node.identity().name != settings.uid.text()) {
    return fail(ErrorCode::invalid_argument, "terminal.uid = '" + settings.uid.text() + "' is not the name in " + node.identity().uri());
  }
  const auto kms = node.settings().peers.find(settings.kms);
  if (kms == node.settings().peers.end() || kms->second.expected.kind != Kind::kms) {
    return fail(ErrorCode::invalid_argument, "terminal.kms = '" + settings.kms + "': no KMS of this name among the peers");
  }
  return {};
}

Result<Bytes> send_to_kms(node::Node& node, const std::string& kms, points::Endpoint endpoint, ByteView message, Deadline deadline, const std::string& query) {
  ASSIGN_OR_RETURN(net::Response response, node.call(endpoint, kms, message, deadline, node.new_request_id(), query));
  return std::move(response.body);
}

Applicant applicant_of(const node::Node& node, const TerminalSettings& settings, const Loaded& loaded, const node::MessageSigner& signer) {
  return {.suite = node.suite(),
          .policy_epoch = node.settings().policy_epoch,
          .uid = settings.uid,
          .kms = ElementName(settings.kms),
          .signer = signer,
          .encryption = *loaded.encryption,
          .min_assurance = settings.min_assurance};
}

Result<Loaded> load(node::Node& node, const TerminalSettings& settings) {
  TRY(check_settings(node, settings));
  Loaded out;
  ASSIGN_OR_RETURN(out.store, TerminalStore::open(state_of(node, "terminal.db"), node.device()));
  ASSIGN_OR_RETURN(const EnrolmentStage stage, out.store->stage());
  if (stage != EnrolmentStage::confirmed)
    return fail(ErrorCode::not_found,
                settings.uid.text() + " is not enrolled: run `qanat enrol` first, or for a terminal of your own `qanat terminal enrol --config` with its file");
  ASSIGN_OR_RETURN(TerminalStore::Delivered delivered, out.store->delivered());
  ASSIGN_OR_RETURN(out.encryption, crypto::Decapsulator::from_secret(node.suite(), delivered.encryption));
  out.kms = {.classical = std::move(delivered.kms_classical), .ml_dsa = std::move(delivered.kms_ml_dsa)};
  ASSIGN_OR_RETURN(out.credentials, node::CredentialStore::open(state_of(node, "credentials.db"), node.device(), node.suite()));
  ASSIGN_OR_RETURN(auto credentials, out.credentials->load());
  if (!credentials || !credentials->messages) return fail(ErrorCode::internal, "credentials.db: no certificates, though the enrolment is confirmed");
  TRY(node.install_credentials(std::move(*credentials)));
  out.senders = std::make_unique<node::SenderDirectory>(node);
  ASSIGN_OR_RETURN(out.medium, load_medium(node, settings));
  return Result<Loaded>(std::move(out));
}

KmsLink::KmsLink(node::Node& node, const TerminalSettings& settings, Loaded& loaded)
    : node_(node),
      settings_(settings),
      pin_(node, *loaded.store, *loaded.senders, node.settings().peers.at(settings.kms).expected, loaded.kms,
           [&node, &settings](const std::string& query, Deadline deadline) {
             return send_to_kms(node, settings.kms, points::Endpoint::km1_certificates, {}, deadline, query);
           }) {}

Result<Bytes> KmsLink::send(points::Endpoint endpoint, ByteView message, Deadline deadline) const {
  return send_to_kms(node_, settings_.kms, endpoint, message, deadline, names_kept_certificates(endpoint) ? pin_.query() : "");
}

}  // namespace qanat::terminal
