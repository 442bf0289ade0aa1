#include "services/kms/csa/export_statement.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "wire/signed_text.hpp"

namespace qanat::kms::csa {
namespace {

constexpr std::string_view exported_label = "qanat csa v1 exported";
static_assert(exported_label.size() <= wire::signed_text_label_max);

/// Header, algorithm, usage and context are bound to the wrapped key's own seal (sealed_text.hpp).
std::string exported_text(const crypto::Suite& suite, ByteView wrapped) { return to_hex(crypto::digest(suite.hash, wrapped)); }

bool is_peer(const node::Node& node, const Identity& who) {
  const auto& peers = node.settings().peers;
  return who.kind == Kind::kms && std::ranges::any_of(peers, [&](const auto& one) { return one.second.expected == who; });
}

}  // namespace

Result<Bytes> make_export_statement(node::Node& node, ByteView wrapped) {
  const std::shared_ptr<const node::MessageSigner> own = node.signer();
  ASSIGN_OR_RETURN(Bytes document, wire::sign_text(exported_label, exported_text(node.suite(), wrapped), own->signer, own->fps, node.rng()));
  return node::enclose(*own, std::move(document));
}

Result<Identity> check_export_statement(node::Node& node, node::SenderDirectory& senders, ByteView wrapped, ByteView statement, Deadline deadline) {
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(statement));
  ASSIGN_OR_RETURN(const wire::SignedText document, wire::parse_signed_text(node.suite(), envelope.message));
  ASSIGN_OR_RETURN(const crypto::Certificate shown, crypto::Certificate::parse(envelope.ml_dsa));
  const std::optional<Identity> who = shown.names().element;
  if (!who || !is_peer(node, *who)) return fail(ErrorCode::denied, "statement: " + shown.subject() + " is no KMS among the peers of " + node.identity().name);
  ASSIGN_OR_RETURN(const std::shared_ptr<const node::Sender> sender, senders.check(envelope.classical, envelope.ml_dsa, *who, deadline));
  TRY(wire::verify(document, exported_label, sender->verifier, sender->fps));
  if (document.text != exported_text(node.suite(), wrapped)) return fail(ErrorCode::denied, "statement: is about another wrapped key");
  return *who;
}

}  // namespace qanat::kms::csa
