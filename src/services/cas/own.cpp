#include "services/cas/own.hpp"

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "node/renewal.hpp"
#include "services/cas/ceis/names.hpp"

namespace qanat::cas {

Result<node::Credentials> own_credentials(node::Node& node, Issuer& issuer, const Authority& authority, std::chrono::milliseconds lifetime,
                                          OwnRenewal renewal) {
  const UnixMs now = node.clock().now_ms();
  ASSIGN_OR_RETURN(const auto store, node::CredentialStore::open(node.settings().state / "credentials.db", node.device(), node.suite()));
  ASSIGN_OR_RETURN(std::optional<node::Credentials> known, store->load());
  const bool kept = known && renewal == OwnRenewal::if_due && now < node::renewal_due(known->tls->chain.front(), node.settings().renew_at_percent, 0);
  if (kept) return Result<node::Credentials>(std::move(*known));

  const crypto::SubjectNames names = element_names(node.identity());
  ASSIGN_OR_RETURN(const node::CredentialStore::Requests requests, known ? store->prepare_next(names, false) : store->prepare(names, false));
  ASSIGN_OR_RETURN(crypto::CertificateRequest request, check_request(requests.ml_dsa, names, crypto::ml_dsa_key(node.suite())));
  // The same request after a crash: the same certificate.
  ASSIGN_OR_RETURN(const Issued issued,
                   issuer.issue({.names = names,
                                 .request_hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat own certificate"), requests.ml_dsa}),
                                 .expectation = std::nullopt,
                                 .overlap = Overlap::allowed,
                                 .lifetime = lifetime,
                                 .ml_dsa = std::move(request),
                                 .classical = std::nullopt},
                                now));
  TRY(node.record({.action = "certificate.issued",
                   .outcome = audit::Outcome::success,
                   .subject = node.identity().uri(),
                   .object = to_hex(issued.ml_dsa->serial()),
                   .reason = "",
                   .request_id = ""}));
  node::crash_point("cas.own.issued");
  const std::vector<crypto::Certificate> chain{*issued.ml_dsa, authority.certificate};
  TRY(known ? store->finish_next(chain, {}) : store->finish(chain, {}));
  ASSIGN_OR_RETURN(std::optional<node::Credentials> made, store->load());
  if (!made) return fail(ErrorCode::internal, "CAS's own certificate was stored but does not load");
  return Result<node::Credentials>(std::move(*made));
}

}  // namespace qanat::cas
