#include "terminal/peer_check.hpp"

namespace qanat::terminal {

Result<void> names_subscriber(const node::Sender& sender, const Uid& uid, const Number& number, const ElementName& kms) {
  for (const crypto::Certificate* certificate : {&sender.classical, &sender.ml_dsa}) {
    const crypto::SubjectNames& names = certificate->names();
    if (!names.element || !apps.has(names.element->kind)) return fail(ErrorCode::denied, "certificate of " + certificate->subject() + " is not a terminal's");
    if (names.element->name != uid.text()) {
      return fail(ErrorCode::denied, "certificate is that of subscriber " + names.element->name + ", the working key was agreed with " + uid.text());
    }
    if (names.number != number) return fail(ErrorCode::denied, "certificate of " + uid.text() + " does not carry the number " + number.text());
    if (names.home_kms && *names.home_kms != kms) {
      return fail(ErrorCode::denied,
                  uid.text() + " is served by " + names.home_kms->text() + " as its certificate says, the working key was agreed with " + kms.text());
    }
  }
  if (sender.classical.names().element != sender.ml_dsa.names().element)
    return fail(ErrorCode::denied, "the two certificates of " + uid.text() + " name two terminals");
  return {};
}

CheckPeer check_peer_with(node::SenderDirectory& senders, std::chrono::milliseconds longest) {
  return [&senders, longest](ByteView classical_der, ByteView ml_dsa_der) -> Result<std::shared_ptr<const node::Sender>> {
    // Which subscriber it must be is judged by names_subscriber(); here the identity that the certificate claims only has to be true.
    ASSIGN_OR_RETURN(const crypto::Certificate shown, crypto::Certificate::parse(ml_dsa_der));
    const std::optional<Identity>& claimed = shown.names().element;
    if (!claimed) return fail(ErrorCode::denied, "certificate of " + shown.subject() + " names no element");
    return senders.check(classical_der, ml_dsa_der, *claimed, Deadline::after(longest));
  };
}

}  // namespace qanat::terminal
