// What CAS says was issued in this terminal's name (Ce-2), held against what the terminal knows of: the certificates of its own bundle, and those that somebody
// else had issued. An agent that makes a certificate for its own subscriber is found out here, the next time the terminal looks.
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "crypto/certificate_bundle.hpp"
#include "node/node.hpp"
#include "terminal/terminal_store.hpp"

namespace qanat::terminal {

struct Issuance {
  std::string role;  // in a bundle; empty: in none
  crypto::Certificate certificate;
  bool revoked = false;
};
/// CAS's answer, strictly; a certificate in it that is not this terminal's is invalid_argument.
Result<std::vector<Issuance>> parse_issuances(const wire::Json& answer, const Identity& own);

/// Over Ce-2.
Result<std::vector<Issuance>> ask_issuances(node::Node& node, Deadline deadline);
/// These signing certificates and the encryption certificates over this key that name them, if they are one bundle and not revoked.
std::optional<crypto::CertificateBundle> bundle_among(const crypto::Suite& suite, const std::vector<Issuance>& issued, const crypto::Certificate& classical,
                                                      const crypto::Certificate& ml_dsa, const crypto::EncapsulationKey& encryption);

struct IssuanceFindings {
  std::vector<Issuance> strangers;               // over keys that were never this terminal's, and not revoked
  std::vector<Issuance> revoked_strangers;       // the same, revoked: a medium that was lost, perhaps
  std::optional<crypto::CertificateBundle> own;  // whole and bound to the signing certificates in force; nothing if CAS does not show it so
};
/// `own_keys`: SHA-256 of every public key that this terminal has made or been given.
IssuanceFindings judge_issuances(const crypto::Suite& suite, std::vector<Issuance> issued, const std::set<Bytes>& own_keys, const node::MessageSigner& signing,
                                 const crypto::EncapsulationKey& encryption);

/// Asks CAS and judges. A stranger is put on audit record and logged as an error before this returns; so is a bundle that is not whole. The own encryption
/// certificates are checked (chain, validity, status).
Result<IssuanceFindings> check_issuances(node::Node& node, TerminalStore& store, const crypto::EncapsulationKey& encryption, Deadline deadline);

/// {"bundle", "certificates": [{"role", "serial", "not_after_ms"}], "strangers": [{"role", "serial", "sha256", "not_before_ms"}]}
wire::Json to_json(const IssuanceFindings& findings);

}  // namespace qanat::terminal
