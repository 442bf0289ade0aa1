// `qanat ca register`, `registrations`, `close`, `issue`, `collect`, `orders`, `approve`, `reject`, `revoke-certificate`: software of others at a running
// network's CAS, by the certificate of one of its operators.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "command_options.hpp"

namespace qanat::app {

/// Who asks, and how the answer is shown.
struct CaAsk {
  OperatorPlace at;
  Output output = Output::people;
  std::string as = "operator";  // or "administrator", "auditor"
};

struct CaRegisterOptions {
  std::string subject;
  std::string profile;
  std::string common_name;
  std::vector<std::string> dns;
  bool four_eyes = false;
  bool reusable = false;
  bool ra_vouches = false;
  std::int64_t days = 0;        // 0: as the profile has it
  std::int64_t hours = 0;       // instead of days: short-lived certificates, with noRevAvail
  std::int64_t hours_open = 0;  // 0: no end
};
int ca_register(const CaAsk& ask, const CaRegisterOptions& options);
int ca_registrations(const CaAsk& ask);
/// One of them, with the certificates that it has got.
int ca_registration(const CaAsk& ask, const std::string& reference);
int ca_close(const CaAsk& ask, const std::string& reference);
/// The certificate and its chain as PEM to `out`, or the ticket of an order that waits.
int ca_issue(const CaAsk& ask, const std::string& reference, const std::filesystem::path& request, const std::filesystem::path& out);
int ca_collect(const CaAsk& ask, const std::string& ticket, const std::filesystem::path& out);
/// `state`: "waiting", "approved", "rejected"; empty: all.
int ca_orders(const CaAsk& ask, const std::string& state);
int ca_approve(const CaAsk& ask, const std::string& ticket);
int ca_reject(const CaAsk& ask, const std::string& ticket, const std::string& why);
/// `reason`: a CRLReason by its name in RFC 5280.
int ca_revoke_certificate(const CaAsk& ask, const std::filesystem::path& certificate, const std::string& reason);

void add_ca_registration_commands(CLI::App& ca, const OnCommand& on);

}  // namespace qanat::app
