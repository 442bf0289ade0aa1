// CAS: enrolment (CEIS) and certificate status (CSP) behind Ce-1, Ce-4, Cq-1 … Cq-3, Cd-1 … Cd-3 and the extension rows.
#pragma once

#include <memory>

#include "node/node.hpp"
#include "node/recorded.hpp"
#include "services/cas/ceis/element_est.hpp"
#include "services/cas/ceis/enrolment.hpp"
#include "services/cas/ceis/issuer.hpp"
#include "services/cas/ceis/registration_front.hpp"
#include "services/cas/ceis/terminal_desk.hpp"
#include "services/cas/csp/csp.hpp"
#include "services/cas/csp/responder.hpp"
#include "services/cas/settings.hpp"

namespace qanat::cas {

class CasService {
 public:
  /// Reads the issuing CAs from cas.db, issues CAS's own certificate if it has none, and hands it to the node.
  static Result<std::unique_ptr<CasService>> open(node::Node& node, CasSettings settings);
  /// The same with the answers of IAM and CMSP from elsewhere than the network.
  static Result<std::unique_ptr<CasService>> open(node::Node& node, CasSettings settings, TerminalWitnesses witnesses, Vouch vouch);
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
  CasService(node::Node& node, CasSettings settings, TerminalWitnesses witnesses, Vouch vouch, std::unique_ptr<Records> records, Authorities authorities);

  Result<net::Response> revoke(const net::Request& request, node::Deed& deed);
  [[nodiscard]] Result<net::Response> status(const net::Request& request) const;
  [[nodiscard]] Result<net::Response> list(const net::Request& request) const;
  Result<void> local_status(const crypto::Certificate& certificate);

  node::Node& node_;
  const CasSettings settings_;
  const std::unique_ptr<Records> records_;
  const Authorities authorities_;
  Issuer issuer_;
  Responder responder_;
  Csp csp_;
  FrontDesk desk_;
  RegistrationFront registration_front_;
  Enrolment enrolment_;
  ElementEst element_est_;
  TerminalDesk terminals_;
};

}  // namespace qanat::cas
