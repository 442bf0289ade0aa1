// What terminals get at CEIS: their bundle of certificates, through their KMS as agent.
#pragma once

#include <functional>

#include "node/node.hpp"
#include "node/recorded.hpp"
#include "services/cas/ceis/bundles.hpp"
#include "services/cas/csp/csp.hpp"
#include "services/cas/settings.hpp"
#include "wire/qfc2_enrol.hpp"
#include "wire/signed.hpp"

namespace qanat::cas {

/// What IAM says about the sender of an Enrol message once its MAC has been verified.
struct Attested {
  Uid uid;
  Number number;
  ElementName home_kms;
  std::string domain;
  Kind device{};
};
/// Asks IAM. `message`: the whole 01 Enrol message.
using Attest = std::function<Result<Attested>(const Uid& uid, ByteView message, const net::Request& request)>;

/// Asks CMSP's CAM: refused unless the number is this subscriber's, served by this KMS, and its service open.
using VouchAccount = std::function<Result<void>(const Uid& uid, const Number& number, const ElementName& home_kms, const net::Request& request)>;

/// Who must agree before a terminal's certificates are signed, besides CAS itself: no agent can have one issued alone.
struct TerminalWitnesses {
  Attest attest;
  VouchAccount account;
};
/// Those of the network.
TerminalWitnesses witnesses_of(node::Node& node);

class TerminalDesk {
 public:
  TerminalDesk(node::Node& node, const CasSettings& settings, Records& records, const Authorities& authorities, Csp& csp, TerminalWitnesses witnesses);

  std::vector<points::Handler> handlers();

 private:
  struct Asked {
    Uid uid;
    wire::Framed<wire::Enrol> enrol;
    crypto::EncapsulationKey encryption;
  };
  Result<Asked> read(ByteView body) const;
  Result<net::Response> enrol(const net::Request& request, node::Deed& deed);
  /// Ce-2: every certificate that was issued in the caller's name. What it does not know itself, somebody else had issued.
  Result<net::Response> issued(const net::Request& request);
  Result<net::Response> answer(const Bundle& bundle) const;
  [[nodiscard]] Result<wire::Json> chain(BundleRole role, const BundleMember& member) const;

  node::Node& node_;
  const CasSettings& settings_;
  const Authorities& authorities_;
  Csp& csp_;
  const TerminalWitnesses witnesses_;
  BundleRecords bundles_;
  BundleIssuer issuer_;
};

}  // namespace qanat::cas
