#include "services/cas/own.hpp"

#include "crypto/kdf.hpp"
#include "services/cas/ceis/names.hpp"

namespace qanat::cas {
namespace {

bool has_time_left(const crypto::Certificate& certificate, UnixMs now) {
  const UnixMs life = certificate.not_after() - certificate.not_before();
  return now + life / 3 < certificate.not_after();
}

}  // namespace

Result<node::Credentials> own_credentials(node::Node& node, Issuer& issuer, const Authority& authority, std::chrono::milliseconds lifetime) {
  const UnixMs now = node.clock().now_ms();
  ASSIGN_OR_RETURN(const auto store, node::CredentialStore::open(node.settings().state / "credentials.db", node.device(), node.suite()));
  ASSIGN_OR_RETURN(std::optional<node::Credentials> known, store->load());
  if (known && has_time_left(known->tls->chain.front(), now)) return Result<node::Credentials>(std::move(*known));

  const crypto::SubjectNames names = element_names(node.identity());
  ASSIGN_OR_RETURN(const node::CredentialStore::Requests requests, store->prepare(names, false));
  ASSIGN_OR_RETURN(crypto::CertificateRequest request, check_request(requests.ml_dsa, names, crypto::ml_dsa_key(node.suite())));
  // The certificate that is replaced makes the request a new one; after a crash it is still the same one.
  const Bytes replaced = known ? known->tls->chain.front().serial() : Bytes();
  const Bytes request_hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat own certificate"), replaced, requests.ml_dsa});
  ASSIGN_OR_RETURN(const Issued issued, issuer.issue({.names = names,
                                                      .request_hash = request_hash,
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
  TRY(store->finish({*issued.ml_dsa, authority.certificate}, {}));
  ASSIGN_OR_RETURN(std::optional<node::Credentials> made, store->load());
  if (!made) return fail(ErrorCode::internal, "CAS's own certificate was stored but does not load");
  return Result<node::Credentials>(std::move(*made));
}

}  // namespace qanat::cas
