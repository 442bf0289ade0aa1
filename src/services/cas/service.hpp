// CAS: enrolment (CEIS) and certificate status (CSP) behind Ce-1, Ce-4, Cq-1 … Cq-3, Cd-1 … Cd-3 and the extension rows.
#pragma once

#include <functional>
#include <memory>

#include "node/node.hpp"
#include "node/recorded.hpp"
#include "services/cas/ceis/enrolment.hpp"
#include "services/cas/ceis/issuer.hpp"
#include "services/cas/ceis/registration_front.hpp"
#include "services/cas/csp/csp.hpp"
#include "services/cas/csp/responder.hpp"
#include "services/cas/settings.hpp"

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

class CasService {
 public:
  /// Reads the issuing CAs from cas.db, issues CAS's own certificate if it has none, and hands it to the node.
  static Result<std::unique_ptr<CasService>> open(node::Node& node, CasSettings settings);
  /// The same with IAM's answer from elsewhere than the network.
  static Result<std::unique_ptr<CasService>> open(node::Node& node, CasSettings settings, Attest attest, Vouch vouch);

  ~CasService() { stop(); }
  CasService(const CasService&) = delete;
  CasService& operator=(const CasService&) = delete;

  std::vector<points::Handler> handlers();

  /// Begins what CSP does in the background (lists, the listener for everybody, the directory, notices), and the enrolment of software of others.
  Result<void> start();
  void stop();
  [[nodiscard]] Csp& csp() noexcept { return csp_; }
  [[nodiscard]] Enrolment& enrolment() noexcept { return enrolment_; }
  /// Where the enrolment protocols bring what software of others asks for.
  [[nodiscard]] FrontDesk& desk() noexcept { return desk_; }
  [[nodiscard]] const Authorities& authorities() const noexcept { return authorities_; }
  [[nodiscard]] Records& records() noexcept { return *records_; }

 private:
  CasService(node::Node& node, CasSettings settings, Attest attest, Vouch vouch, std::unique_ptr<Records> records, Authorities authorities);

  Result<net::Response> enrol_element(points::Endpoint endpoint, const net::Request& request, node::Deed& deed);
  Result<net::Response> enrol_terminal(const net::Request& request, node::Deed& deed);
  Result<net::Response> revoke(const net::Request& request, node::Deed& deed);
  [[nodiscard]] Result<net::Response> status(const net::Request& request) const;
  [[nodiscard]] Result<net::Response> list(const net::Request& request) const;
  Result<void> local_status(const crypto::Certificate& certificate);
  [[nodiscard]] net::Response chains(const Issued& issued) const;

  node::Node& node_;
  const CasSettings settings_;
  const Attest attest_;
  const std::unique_ptr<Records> records_;
  const Authorities authorities_;
  Issuer issuer_;
  Responder responder_;
  Csp csp_;
  FrontDesk desk_;
  RegistrationFront registration_front_;
  Enrolment enrolment_;
};

}  // namespace qanat::cas
