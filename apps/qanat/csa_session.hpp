// Somebody who asks a CSA: an operator of a network, or an application with its own configuration and certificate.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "command_options.hpp"
#include "node/node.hpp"
#include "operator.hpp"

namespace qanat::app {

/// Who asks.
struct CsaAsk {
  std::filesystem::path folder = Network::default_folder("default");
  std::filesystem::path config = {};  // of an application or an operator; in place of a network
  std::string as = {};                // a terminal or application of the network, or "operator"
  std::string kms = {};               // which KMS; an application's own if empty
  Output output = Output::people;
};

class CsaSession {
 public:
  /// not_found if the application has no certificate; unavailable if the network does not run.
  static Result<std::unique_ptr<CsaSession>> open(const CsaAsk& ask);

  Result<wire::Json> ask(points::Endpoint endpoint, const wire::Json& body);
  /// An answer that holds a secret: `open` has '#' in its place.
  struct WithSecret {
    wire::Json open;
    Secret secret;
  };
  Result<WithSecret> ask_secret(points::Endpoint endpoint, const wire::Json& body);
  /// The cipher of the suite that this element speaks.
  [[nodiscard]] crypto::Aead aead() const { return node_ ? node_->suite().aead : crypto::Aead::aes_256_gcm; }

 private:
  CsaSession() = default;
  Result<void> open_application(const std::filesystem::path& config);
  std::optional<Network> network_;     // of an operator, who refers to it
  std::unique_ptr<Operator> operator_;
  std::unique_ptr<node::Node> node_;   // of an application
  std::string kms_;
};

/// Opens the session and does the work; the process's exit code.
int with_csa(const CsaAsk& ask, const std::function<Result<void>(CsaSession&)>& work);

}  // namespace qanat::app
