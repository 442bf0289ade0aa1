// An enrolled terminal driven inside the test process, with access to each message that it sends and gets.
#pragma once

#include <memory>
#include <string>

#include "network.hpp"
#include "node/node.hpp"
#include "node/senders.hpp"
#include "terminal/key_client.hpp"
#include "terminal/kms_pin.hpp"
#include "terminal/settings.hpp"
#include "wire/v1.hpp"

namespace qanat::test {

class TestTerminal {
 public:
  static Result<std::unique_ptr<TestTerminal>> open(const app::Network& network, const std::string& uid);

  /// Steps 4 and 11 with acknowledgement, as the product does them.
  Result<terminal::WorkingKey> apply(const terminal::KeyWanted& wanted, Deadline deadline);
  /// A signed application, to be sent by hand; it refers to the token with this digest (none: to no token).
  Result<terminal::KeyApplication> application(const terminal::KeyWanted& wanted, const std::optional<Bytes>& token_ref = {});

  /// A signed application of profile v1, with the access token from the last distribution.
  Result<wire::v1::KeyApplication> application_v1(const terminal::KeyWanted& wanted);
  /// Steps 4 and 11 in profile v1, without acceptance: what the KMS answers, as it came over the wire.
  Result<Bytes> apply_v1(const terminal::KeyWanted& wanted, Deadline deadline);
  /// All that a terminal of profile v1 can check: both signatures of its KMS, session and subscriber. Then it takes the working key.
  Result<Secret> accept_v1(const terminal::KeyWanted& wanted, ByteView answer);

  /// Digest of the access token that came with the last key, if one did.
  Result<std::optional<Bytes>> token_ref() { return store_->token_ref(); }
  /// Sends octets to this terminal's KMS on Km-1.
  Result<Bytes> send(points::Endpoint endpoint, ByteView message);
  Result<std::shared_ptr<const node::Sender>> kms();
  /// Fingerprint of the certificates that it takes for its KMS's, in hexadecimal; it asks nobody for that.
  Result<std::string> pinned();

  [[nodiscard]] const Number& number() const { return settings_.number; }
  [[nodiscard]] const terminal::TerminalSettings& settings() const { return settings_; }
  [[nodiscard]] node::Node& node() { return *node_; }
  [[nodiscard]] const terminal::Applicant& applicant() const { return *applicant_; }

 private:
  TestTerminal() = default;
  Result<std::unique_ptr<terminal::KmsPin>> pin();
  Result<Bytes> ask(points::Endpoint endpoint, ByteView message, Deadline deadline, const std::string& query);
  terminal::TerminalSettings settings_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<terminal::TerminalStore> store_;
  std::optional<crypto::Decapsulator> encryption_;
  std::unique_ptr<node::SenderDirectory> senders_;
  std::optional<terminal::Applicant> applicant_;
  Bytes token_v1_;  // which profile v1 sends itself
};

}  // namespace qanat::test
