#include "wire/signed.hpp"

namespace qanat::wire {
namespace {

constexpr std::uint8_t tbs_version = 1;
constexpr std::string_view joint_label = "Joint";  // no message's name

Bytes tbs(std::string_view label, ByteView content, const Fingerprints& signer) {
  Writer out;
  out.raw(as_bytes(qfc2_magic));
  out.u8(tbs_version);
  out.u8(static_cast<std::uint8_t>(label.size()));
  out.raw(as_bytes(label));
  out.raw(content);
  out.raw(signer.classical);
  out.raw(signer.pq);
  return std::move(out).finish().value();  // no bounded field
}

}  // namespace

std::size_t closing_size(const crypto::Suite& suite, Closing closing) noexcept {
  switch (closing) {
    case Closing::none:
      return 0;
    case Closing::signature:
    case Closing::joint_signature:
      return suite.signature();
    case Closing::signature_and_confirmation:
      return suite.signature() + suite.digest;
    case Closing::tag:
      return suite.digest;
  }
  return 0;
}

Result<FrameParts> parse_frame(ByteView octets, MessageType type, Closing closing) {
  ASSIGN_OR_RETURN(const Header header, parse_header(octets));
  if (header.type != type) {
    return fail(ErrorCode::invalid_argument, "a " + std::string(name(header.type)) + " where a " + std::string(name(type)) + " belongs");
  }
  const crypto::Suite& suite = crypto::suite(header.suite);
  std::size_t wanted = header_size + header.body_len + closing_size(suite, closing);
  if (closing == Closing::joint_signature && octets.size() > wanted) {
    if (const auto checked = check_joint_path(suite, octets.subspan(wanted)); !checked) return fail_in(name(type), checked.error());
    wanted = octets.size();
  }
  if (octets.size() != wanted) {
    return fail(ErrorCode::invalid_argument,
                std::string(name(type)) + ": " + std::to_string(octets.size()) + " octets where " + std::to_string(wanted) + " belong");
  }
  const bool confirmed = closing == Closing::tag || closing == Closing::signature_and_confirmation;
  return FrameParts{.header = header,
                    .suite = &suite,
                    .body = octets.subspan(header_size, header.body_len),
                    .hash = crypto::digest(suite.hash, octets.first(wanted - (confirmed ? suite.digest : 0)))};
}

Bytes to_be_signed(MessageType type, ByteView header_and_body, const Fingerprints& signer) { return tbs(name(type), header_and_body, signer); }

Bytes ax_tbs(MessageType type, ByteView transcript_hash, const Fingerprints& signer) { return tbs(name(type), transcript_hash, signer); }

Bytes joint_tbs(ByteView signed_root, const Fingerprints& signer) { return tbs(joint_label, signed_root, signer); }

}  // namespace qanat::wire
