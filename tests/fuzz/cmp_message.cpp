// target: qanat_crypto
// Any octets as a CMP message: refused, or one whose header and body can be read. What is read without its protection being checked is what a client with
// a registration may send. An octet in front chooses how the rest is taken: as a whole message, or as the body of one.
#include <cstddef>
#include <cstdint>

#include "crypto/cmp_answer.hpp"
#include "crypto/cmp_der.hpp"

namespace {

namespace der = qanat::crypto::cmp_der;
using qanat::crypto::CmpBody;

qanat::Bytes message_around(std::uint8_t kind, qanat::ByteView content) {
  const qanat::Bytes nobody = der::element(der::context(4), der::sequence({}));
  const qanat::Bytes header = der::sequence({der::integer(2), nobody, nobody});
  return der::sequence({header, der::element(der::context(kind % 31U), content)});
}

void read_all(const qanat::crypto::CmpMessage& message) {
  const auto request = read_cmp_certificate_request(message);
  if (request && request->key && request->key->der().empty()) __builtin_trap();
  static_cast<void>(read_cmp_revocation(message));
  const auto confirmation = read_cmp_confirmation(message);
  if (confirmation && *confirmation) static_cast<void>(confirms(**confirmation, message.content()));
  static_cast<void>(read_cmp_poll(message));
  static_cast<void>(read_cmp_error(message));
  const auto questions = read_cmp_questions(message);
  if (!questions) return;
  for (const auto& question : *questions) static_cast<void>(qanat::crypto::read_cmp_list_status(question.value));
  // What was read can be said again.
  if (!qanat::crypto::cmp_information_content(*questions)) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  if (size == 0) return 0;
  const qanat::ByteView rest(octets + 1, size - 1);
  const bool whole = octets[0] == 0xff;
  const auto message = whole ? qanat::crypto::CmpMessage::parse(rest) : qanat::crypto::CmpMessage::parse(message_around(octets[0], rest));
  if (!whole && !message && rest.size() < qanat::crypto::cmp_octets_max / 2) __builtin_trap();
  if (!message) return 0;
  static const qanat::Secret secret = qanat::Secret::copy_of(qanat::as_bytes("secret"));
  if (message->check_mac(secret)) __builtin_trap();
  if (!message->extra_certificates().empty()) static_cast<void>(message->check_signature(message->extra_certificates().front()));
  read_all(*message);
  return 0;
}
