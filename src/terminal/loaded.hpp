// An enrolled terminal with its state, for the length of one command; and its way to its KMS.
#pragma once

#include "node/node.hpp"
#include "terminal/key_client.hpp"
#include "terminal/kms_pin.hpp"
#include "terminal/settings.hpp"

namespace qanat::terminal {

Result<void> check_settings(const node::Node& node, const TerminalSettings& settings);
inline std::filesystem::path state_of(const node::Node& node, std::string_view file) { return node.settings().state / file; }

/// What an enrolled terminal needs for a call, loaded from its state. Everything is destroyed when the call is over.
struct Loaded {
  std::unique_ptr<TerminalStore> store;
  std::unique_ptr<node::CredentialStore> credentials;
  std::optional<crypto::Decapsulator> encryption;
  std::unique_ptr<node::SenderDirectory> senders;
  KmsCertificates kms;
  std::unique_ptr<SecureMedium> medium;  // absent: the configuration names none, or it is not there

  /// The medium, if it gives keys.
  [[nodiscard]] SecureMedium* medium_in_use() const { return medium && medium->state() == MediumState::active ? medium.get() : nullptr; }
  /// No application goes without a charged key that counts. A medium that was charged by file asks for it when it is used up, locked or wiped, too: what the
  /// network brings about is no reason to do with less.
  [[nodiscard]] bool must_be_charged(const TerminalSettings& settings) const {
    if (settings.charged_keys == ChargedCalls::required_if_stocked) return medium && medium->generation() > 0;
    return settings.charged_keys == ChargedCalls::required;
  }
};
/// As which it applies to its KMS. `node`, `loaded` and `signer` must outlive it.
Applicant applicant_of(const node::Node& node, const TerminalSettings& settings, const Loaded& loaded, const node::MessageSigner& signer);
/// not_found: it is not enrolled. The node has its credentials afterwards.
Result<Loaded> load(node::Node& node, const TerminalSettings& settings);

Result<Bytes> send_to_kms(node::Node& node, const std::string& kms, points::Endpoint endpoint, ByteView message, Deadline deadline,
                          const std::string& query = "");

/// Km-1 with the certificates that the terminal keeps to. `node`, `settings` and `loaded` must outlive it.
class KmsLink {
 public:
  KmsLink(node::Node& node, const TerminalSettings& settings, Loaded& loaded);
  Result<Bytes> send(points::Endpoint endpoint, ByteView message, Deadline deadline) const;
  Result<std::shared_ptr<const node::Sender>> check(Deadline deadline) { return pin_.check(deadline); }

 private:
  node::Node& node_;
  const TerminalSettings& settings_;
  KmsPin pin_;
};

}  // namespace qanat::terminal
