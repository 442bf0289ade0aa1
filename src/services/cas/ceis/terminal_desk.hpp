// What terminals get at CEIS: their bundle of certificates, the first through their KMS as agent (Ce-1), those that follow it themselves, by the one in force
// (Ce-2).
#pragma once

#include <functional>

#include "node/node.hpp"
#include "node/recorded.hpp"
#include "services/cas/ceis/bundles.hpp"
#include "services/cas/ceis/element_est.hpp"
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
  ElementStanding standing;  // IAM's word at a renewal
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
  /// Ce-2, EST simplereenroll: one request over a new key, for the classical signing certificate or, when that is there, for the ML-DSA one, with which the
  /// encryption certificates come anew over the keys that they are over.
  Result<net::Response> renew(const net::Request& request, node::Deed& deed);
  /// Ce-2: the terminal has the bundle of the certificate that it shows in force; the one before it ends.
  Result<net::Response> confirm(const net::Request& request, node::Deed& deed);
  Result<Bundle> renew_classical(const Bundle& former, const BundleOrder& order);
  Result<Bundle> renew_rest(const Bundle& former, BundleOrder order);
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
