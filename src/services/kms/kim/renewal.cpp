#include "services/kms/kim/renewal.hpp"

#include <algorithm>

#include "node/crash_point.hpp"
#include "services/kms/kp/history_keys.hpp"
#include "wire/json.hpp"
#include "wire/succession.hpp"

namespace qanat::kms {
namespace {

struct Renewed {
  std::vector<wire::Succession> successions;
  Bytes encryption_classical;
  Bytes encryption_ml_kem;
};

Result<Renewed> read_renewed(const crypto::Suite& suite, ByteView body) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(body));
  TRY(json.only({"successions", "encryption"}));
  Renewed out;
  ASSIGN_OR_RETURN(const Bytes links, json.base64("successions"));
  ASSIGN_OR_RETURN(out.successions, wire::parse_successions(suite, links));
  ASSIGN_OR_RETURN(const wire::Json encryption, json.at("encryption"));
  TRY(encryption.only({"classical", "ml_kem"}));
  ASSIGN_OR_RETURN(out.encryption_classical, encryption.base64("classical"));
  ASSIGN_OR_RETURN(out.encryption_ml_kem, encryption.base64("ml_kem"));
  return out;
}

/// The terminal as it is to stand in the pool.
Result<Terminal> renewed(const crypto::Suite& suite, const Terminal& pooled, const Renewed& said, const crypto::Certificate& shown) {
  const wire::Fingerprints kept = wire::fingerprints(suite, pooled.classical, pooled.ml_dsa);
  const auto first = std::ranges::find(said.successions, kept, [](const wire::Succession& link) { return link.former; });
  if (first == said.successions.end())
    return fail(ErrorCode::denied, "no link leads from the certificates that terminal " + pooled.uid.text() + " had here: it must enrol anew");
  ASSIGN_OR_RETURN(const wire::SignerCertificates last,
                   wire::follow(suite, {.classical = pooled.classical, .ml_dsa = pooled.ml_dsa}, std::span(first, said.successions.end())));
  if (last.ml_dsa != shown.der())
    return fail(ErrorCode::denied, "the links of terminal " + pooled.uid.text() + " lead to another certificate than that of the connection");
  Terminal out = pooled;
  out.classical = last.classical;
  out.ml_dsa = last.ml_dsa;
  out.encryption_classical = said.encryption_classical;
  out.encryption_ml_kem = said.encryption_ml_kem;
  return out;
}

Result<void> check(node::Node& node, const Terminal& terminal, const crypto::SubjectNames& former, Deadline deadline) {
  ASSIGN_OR_RETURN(const crypto::CertificateBundle bundle, bundle_of(node.suite(), terminal));
  if (bundle.ml_dsa_signing.names() != former) return fail(ErrorCode::denied, "the new certificates bear other names than the former");
  for (const crypto::BundleRole role : crypto::all_bundle_roles) TRY(node.check_certificate(bundle.of(role), deadline, crypto::use_of(role)));
  return {};
}

}  // namespace

Result<net::Response> take_renewal(node::Node& node, store::Store& store, const net::Request& request) {
  const Uid uid(request.peer.identity->name);
  const crypto::Certificate& shown = *request.peer.certificate;
  ASSIGN_OR_RETURN(const std::optional<Terminal> pooled, store.transact([&](store::Transaction& transaction) { return find_terminal(transaction, uid); }));
  if (!pooled || !pooled->confirmed) return fail(ErrorCode::denied, "no terminal " + uid.text() + " is enrolled at " + node.identity().name);
  ASSIGN_OR_RETURN(const crypto::Certificate former, crypto::Certificate::parse(pooled->ml_dsa));
  if (former.names().element != request.peer.identity)
    return fail(ErrorCode::denied, request.peer.identity->uri() + " is not the terminal that is enrolled here as " + uid.text());
  if (pooled->ml_dsa != shown.der()) {
    ASSIGN_OR_RETURN(const Renewed said, read_renewed(node.suite(), request.body));
    ASSIGN_OR_RETURN(const Terminal next, renewed(node.suite(), *pooled, said, shown));
    TRY(check(node, next, former.names(), request.deadline));
    TRY(store.transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(replace_certificates(transaction, *pooled, next));
      return certify_in_history(transaction, next);
    }));
    node::crash_point("kms.renewal.stored");
  }
  TRY(node.record({.action = "km-1.renewed",
                   .outcome = audit::Outcome::success,
                   .subject = uid.text(),
                   .object = to_hex(shown.serial()),
                   .reason = "",
                   .request_id = request.request_id}));
  return net::Response{.status = 200, .content_type = "", .body = {}};
}

}  // namespace qanat::kms
