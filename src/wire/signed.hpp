// Framing of every message (header‖body‖closing), what exactly a signature covers, and the hash by which later messages name it.
//
//   ASSIGN_OR_RETURN(auto request, sign_message(suite, epoch, KeyRequest{…}, signer, own_fingerprints, rng));
//   send(request.octets);                                     // header‖body‖signature block
//   ASSIGN_OR_RETURN(auto request, parse<KeyRequest>(octets));  // grammar only
//   TRY(verify(request, verifier, request.message.fps));        // both signatures, over everything
#pragma once

#include <concepts>

#include "base/check.hpp"
#include "base/result.hpp"
#include "crypto/hybrid_sign.hpp"
#include "crypto/kdf.hpp"
#include "wire/joint.hpp"
#include "wire/qfc2_header.hpp"

namespace qanat::wire {

/// A struct of one of the qfc2_*.hpp headers.
template <class M>
concept Qfc2Message = requires {
  { M::type } -> std::convertible_to<MessageType>;
  { M::closing } -> std::convertible_to<Closing>;
};

template <class M>
concept JointlySigned = Qfc2Message<M> && M::closing == Closing::joint_signature;
template <class M>
concept Signed = Qfc2Message<M> && (M::closing == Closing::signature || M::closing == Closing::signature_and_confirmation || JointlySigned<M>);

/// The body alone. Every message type has an instance; invalid_argument names the field that is out of bounds.
template <Qfc2Message M>
Result<Bytes> encode_body(const crypto::Suite& suite, const M& message);
/// Refuses trailing octets and every encoding that encode_body does not make.
template <Qfc2Message M>
Result<M> parse_body(const crypto::Suite& suite, ByteView body);

/// Octets that follow the body; without the path of a message that was signed together with others.
std::size_t closing_size(const crypto::Suite& suite, Closing closing) noexcept;

/// A message as it travels, with its octets kept, because transcripts hash what was received and not what was understood.
template <Qfc2Message M>
struct Framed {
  Header header;
  const crypto::Suite* suite = nullptr;
  M message;
  Bytes octets;  // header‖body‖closing
  Bytes hash;    // H_msg: digest of header‖body‖signature block, with the path behind it (of header‖body where there is no signature)

  [[nodiscard]] ByteView header_and_body() const { return ByteView(octets).first(header_size + header.body_len); }
  /// Empty for messages that are not signed.
  [[nodiscard]] ByteView signature() const {
    return Signed<M> ? ByteView(octets).subspan(header_size + header.body_len, suite->signature()) : ByteView{};
  }
  /// Of a message that was signed together with others; empty for any other.
  [[nodiscard]] ByteView joint_path() const {
    return JointlySigned<M> ? ByteView(octets).subspan(header_size + header.body_len + suite->signature()) : ByteView{};
  }
  /// The key confirmation (KmsAccept) or tag (Ax1) at the end; digest-sized.
  [[nodiscard]] ByteView confirmation() const {
    constexpr bool has_one = M::closing == Closing::tag || M::closing == Closing::signature_and_confirmation;
    return has_one ? ByteView(octets).last(suite->digest) : ByteView{};
  }
  /// Everything without the confirmation.
  [[nodiscard]] ByteView without_confirmation() const { return ByteView(octets).first(octets.size() - confirmation().size()); }
};

/// header‖body.
template <Qfc2Message M>
Result<Bytes> encode(const crypto::Suite& suite, std::uint32_t policy_epoch, const M& message) {
  ASSIGN_OR_RETURN(Bytes body, encode_body(suite, message));
  Bytes out = encode_header({.type = M::type, .suite = suite.id, .body_len = static_cast<std::uint32_t>(body.size()), .policy_epoch = policy_epoch});
  append(out, body);
  return out;
}

/// Header checked for type and length, closing cut off, not verified. The form that `parse` is built on.
struct FrameParts {
  Header header;
  const crypto::Suite* suite = nullptr;
  ByteView body;
  Bytes hash;
};
Result<FrameParts> parse_frame(ByteView octets, MessageType type, Closing closing);

/// Grammar of the whole message; nothing is authenticated yet.
template <Qfc2Message M>
Result<Framed<M>> parse(ByteView octets) {
  ASSIGN_OR_RETURN(FrameParts parts, parse_frame(octets, M::type, M::closing));
  ASSIGN_OR_RETURN(M message, parse_body<M>(*parts.suite, parts.body));
  return Framed<M>{.header = parts.header, .suite = parts.suite, .message = std::move(message), .octets = to_bytes(octets), .hash = std::move(parts.hash)};
}

/// TBS = "QFC2" | 01 | u8 len | label | header | body | fp_classical | fp_pq of the signer.
Bytes to_be_signed(MessageType type, ByteView header_and_body, const Fingerprints& signer);
/// What Ax2 and Ax3 sign: the same shape with the transcript hash in place of header and body.
Bytes ax_tbs(MessageType type, ByteView transcript_hash, const Fingerprints& signer);

/// What is signed for several messages together: the same shape with JointTree::signed_root() in place of header and body.
Bytes joint_tbs(ByteView signed_root, const Fingerprints& signer);

/// header‖body‖signature block. A KmsAccept still needs append_confirmation.
template <Signed M>
Result<Framed<M>> sign_message(const crypto::Suite& suite, std::uint32_t policy_epoch, const M& message, const crypto::Signer& signer, const Fingerprints& own,
                               crypto::Rng& rng);
/// The second half of that, with a signature that was made elsewhere; `path` is empty for one over this message alone.
template <Signed M>
void append_signature(Framed<M>& message, ByteView block, ByteView path);

/// Adds the trailing key confirmation or tag of digest size.
template <Qfc2Message M>
void append_confirmation(Framed<M>& message, ByteView confirmation);

/// header‖body: of a message without signature (Ax1 before its tag, Ax2, Ax3, Enrol, KmsConfirm) ready to send, of one with it still without hash.
template <Qfc2Message M>
Result<Framed<M>> frame(const crypto::Suite& suite, std::uint32_t policy_epoch, const M& message);

/// `denied` if either signature does not hold over everything, under the certificates with these fingerprints.
template <Signed M>
Result<void> verify(const Framed<M>& message, const crypto::Verifier& verifier, const Fingerprints& signer) {
  Bytes tbs = to_be_signed(M::type, message.header_and_body(), signer);
  if (const ByteView path = message.joint_path(); !path.empty()) tbs = joint_tbs(joint_root(*message.suite, joint_leaf(*message.suite, tbs), path), signer);
  auto held = verifier.verify(tbs, message.signature());
  if (!held) return fail_in(name(M::type), std::move(held).error());
  return {};
}

template <Signed M>
Result<Framed<M>> sign_message(const crypto::Suite& suite, std::uint32_t policy_epoch, const M& message, const crypto::Signer& signer, const Fingerprints& own,
                               crypto::Rng& rng) {
  ASSIGN_OR_RETURN(auto framed, frame(suite, policy_epoch, message));
  append_signature(framed, signer.sign(to_be_signed(M::type, framed.header_and_body(), own), rng), {});
  return framed;
}

template <Signed M>
void append_signature(Framed<M>& message, ByteView block, ByteView path) {
  CHECK(block.size() == message.suite->signature() && (path.empty() || JointlySigned<M>));
  append(message.octets, block);
  append(message.octets, path);
  message.hash = crypto::digest(message.suite->hash, message.octets);
}

template <Qfc2Message M>
void append_confirmation(Framed<M>& message, ByteView confirmation) {
  static_assert(M::closing == Closing::tag || M::closing == Closing::signature_and_confirmation);
  CHECK(confirmation.size() == message.suite->digest);
  CHECK(message.octets.size() + confirmation.size() == header_size + message.header.body_len + closing_size(*message.suite, M::closing));
  append(message.octets, confirmation);
}

template <Qfc2Message M>
Result<Framed<M>> frame(const crypto::Suite& suite, std::uint32_t policy_epoch, const M& message) {
  ASSIGN_OR_RETURN(Bytes octets, encode(suite, policy_epoch, message));
  ASSIGN_OR_RETURN(const Header header, parse_header(octets));
  Bytes hash = Signed<M> ? Bytes{} : crypto::digest(suite.hash, octets);
  return Framed<M>{.header = header, .suite = &suite, .message = message, .octets = std::move(octets), .hash = std::move(hash)};
}

}  // namespace qanat::wire
