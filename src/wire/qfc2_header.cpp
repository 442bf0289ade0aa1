#include "wire/qfc2_header.hpp"

#include <array>

#include "crypto/kdf.hpp"
#include "wire/reader.hpp"

namespace qanat::wire {
namespace {

struct TypeName {
  MessageType type;
  std::string_view name;
};
constexpr std::array type_names{
    TypeName{MessageType::enrol, "Enrol"},
    TypeName{MessageType::enrol_deliver, "EnrolDeliver"},
    TypeName{MessageType::enrol_receipt, "EnrolReceipt"},
    TypeName{MessageType::key_request, "KeyRequest"},
    TypeName{MessageType::charge_request, "ChargeRequest"},
    TypeName{MessageType::token, "Token"},
    TypeName{MessageType::session_open, "SessionOpen"},
    TypeName{MessageType::session_notify, "SessionNotify"},
    TypeName{MessageType::kms_offer, "KmsOffer"},
    TypeName{MessageType::key_deliver, "KeyDeliver"},
    TypeName{MessageType::ax1, "AX1"},
    TypeName{MessageType::charge_deliver, "ChargeDeliver"},
    TypeName{MessageType::session_grant, "SessionGrant"},
    TypeName{MessageType::kms_accept, "KmsAccept"},
    TypeName{MessageType::deliver_ack, "DeliverAck"},
    TypeName{MessageType::ax2, "AX2"},
    TypeName{MessageType::charge_receipt, "ChargeReceipt"},
    TypeName{MessageType::directory_open, "DirectoryOpen"},
    TypeName{MessageType::kms_confirm, "KmsConfirm"},
    TypeName{MessageType::ax3, "AX3"},
    TypeName{MessageType::directory, "Directory"},
    TypeName{MessageType::directory_page, "DirectoryPage"},
    TypeName{MessageType::group_request, "GroupRequest"},
    TypeName{MessageType::group_key, "GroupKey"},
    TypeName{MessageType::group_state, "GroupState"},
    TypeName{MessageType::supply_offer, "SupplyOffer"},
    TypeName{MessageType::supply_accept, "SupplyAccept"},
    TypeName{MessageType::reject, "Reject"},
};

std::unexpected<Error> bad(std::string why) { return fail(ErrorCode::invalid_argument, "header: " + std::move(why)); }

}  // namespace

std::string_view name(MessageType type) noexcept {
  for (const TypeName& row : type_names) {
    if (row.type == type) return row.name;
  }
  return "?";
}

Bytes encode_header(const Header& header) {
  Writer out;
  out.raw(as_bytes(qfc2_magic));
  out.u8(qfc2_version);
  out.u8(static_cast<std::uint8_t>(header.type));
  out.u16(static_cast<std::uint16_t>(header.suite));
  out.u32(header.body_len);
  out.u32(header.policy_epoch);
  return std::move(out).finish().value();  // no field here can be out of bounds
}

Result<Header> parse_header(ByteView octets) {
  Reader in(octets);
  if (octets.size() < header_size) return bad("16 octets needed, " + std::to_string(octets.size()) + " there");
  ASSIGN_OR_RETURN(const ByteView magic, in.fixed("magic", qfc2_magic.size()));
  if (as_text(magic) != qfc2_magic) return bad("magic is not QFC2");
  ASSIGN_OR_RETURN(const std::uint8_t version, in.u8("version"));
  if (version != qfc2_version) return bad("version " + std::to_string(version) + " is not spoken here");
  ASSIGN_OR_RETURN(const std::uint8_t type_number, in.u8("type"));
  const auto type = static_cast<MessageType>(type_number);
  if (name(type) == "?") return bad("no message type " + std::to_string(type_number));
  ASSIGN_OR_RETURN(const std::uint16_t suite_number, in.u16("suite"));
  const auto suite = crypto::find_suite(suite_number);
  if (!suite) return bad("no suite " + std::to_string(suite_number));
  ASSIGN_OR_RETURN(const std::uint32_t body_len, in.u32("body_len"));
  if (body_len > body_size_max) return bad("a body of " + std::to_string(body_len) + " octets is over " + std::to_string(body_size_max));
  ASSIGN_OR_RETURN(const std::uint32_t policy_epoch, in.u32("policy_epoch"));
  return Header{.type = type, .suite = (*suite)->id, .body_len = body_len, .policy_epoch = policy_epoch};
}

Fingerprints no_fingerprints(const crypto::Suite& suite) { return {.classical = Bytes(suite.digest), .pq = Bytes(suite.digest)}; }

Fingerprints fingerprints(const crypto::Suite& suite, ByteView classical_der, ByteView pq_der) {
  return {.classical = crypto::digest(suite.hash, classical_der), .pq = crypto::digest(suite.hash, pq_der)};
}

}  // namespace qanat::wire
