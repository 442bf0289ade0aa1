#include "services/cas/ceis/own_server.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "crypto/subject_made.hpp"
#include "node/crash_point.hpp"
#include "services/cas/ceis/lint.hpp"
#include "services/cas/device_authority.hpp"
#include "services/cas/whole_files.hpp"

namespace qanat::cas {

OwnServer::OwnServer(node::Node& node, Records& records, const Authorities& authorities, std::string status_url)
    : node_(node), authorities_(authorities), status_url_(std::move(status_url)), certificates_(records.store()) {}

Result<Given> OwnServer::issue(const crypto::PrivateKey& key, const crypto::AskedNames& names, std::chrono::seconds lifetime) {
  const Branch branch = key.algorithm == crypto::KeyAlgorithm::ecdsa_p384 ? Branch::devices : Branch::ml_dsa;
  const Authority& authority = authorities_.of(branch);
  ASSIGN_OR_RETURN(const Bytes info, crypto::public_key_info(key));
  ASSIGN_OR_RETURN(const crypto::SubjectPublicKey public_key, crypto::SubjectPublicKey::parse(info));
  const UnixMs now = node_.clock().now_ms();
  SubjectIssuance issuance{.identity = node_.identity().uri(),
                           .registration = {},
                           .request_hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat enrolment listener"), info}),
                           .intention = intention_under(branch, authority.certificate, lifetime_within(profile("server"), lifetime), now, node_.rng())};
  issuance.intention.key_hash = key_hash_of(public_key.octets());
  Draft draft = draft_for(profile("server"), public_key, issuance.intention);
  draft.names = draft.allowed = names;
  TRY(lint(draft, under(branch, authority.certificate)));
  TRY(certificates_.intend(issuance, now));
  node::crash_point("cas.front.intended");
  ASSIGN_OR_RETURN(const Bytes der, sign_draft(draft, info, branch, authority, status_url_));
  TRY(certificates_.complete(issuance.request_hash, draft.serial, der));
  TRY(node_.record({.action = "certificate.issued",
                    .outcome = audit::Outcome::success,
                    .subject = node_.identity().uri(),
                    .object = to_hex(draft.serial),
                    .reason = "",
                    .request_id = ""}));
  Given out{.certificate = der, .chain = {}};
  if (branch != Branch::devices) {
    out.chain.push_back(authority.certificate.der());
  } else if (const auto link = link_in_force(authorities_, now)) {
    out.chain.push_back(link->der());  // clients have the device CA itself, or the one before, which is enough so
  }
  return out;
}

Result<void> write_listener_roots(const std::filesystem::path& folder, const Authorities& authorities, const crypto::TrustStore& trust) {
  std::string device_ca = authorities.devices ? authorities.devices->certificate.pem() : "";
  if (const DeviceSuccession* const next = authorities.next_devices(); next != nullptr) device_ca += next->new_with_new.pem();
  std::string all = device_ca;
  const crypto::TrustStore roots({}, trust.roots());
  if (const crypto::Certificate* const root = roots.issuer_of(authorities.ml_dsa.certificate); root != nullptr) all += root->pem();
  TRY(replace_file(folder / device_ca_file, as_bytes(device_ca), public_file));
  return replace_file(folder / enrolment_roots_file, as_bytes(all), public_file);
}

std::vector<Bytes> client_roots(const Authorities& authorities, const crypto::TrustStore& trust) {
  std::vector<Bytes> out;
  const crypto::TrustStore roots({}, trust.roots());
  const auto add = [&](const Authority& authority, Branch branch) {
    out.push_back(authority.certificate.der());
    if (branch == Branch::devices) return;
    const crypto::Certificate* const root = roots.issuer_of(authority.certificate);
    if (root != nullptr && std::ranges::find(out, root->der()) == out.end()) out.push_back(root->der());
  };
  for (const Branch branch : {Branch::ml_dsa, Branch::devices}) {  // TLS has no signatures of the classical branch here
    if (branch == Branch::devices && !authorities.devices) continue;
    add(authorities.of(branch), branch);
    for (const Authority& earlier : authorities.earlier(branch)) add(earlier, branch);
  }
  return out;
}

}  // namespace qanat::cas
