#include "terminal/gateway/vici_client.hpp"

namespace qanat::terminal::gateway {
namespace {

constexpr std::size_t vici_events_max = 4096;  // of one command

Result<ViciSection> succeeded(std::string_view command, ViciReceived answer) {
  if (answer.type == ViciPacket::unknown_command) return fail(ErrorCode::not_found, "strongSwan has no command " + std::string(command));
  if (answer.type != ViciPacket::response) return fail(ErrorCode::invalid_argument, "strongSwan: no answer to " + std::string(command));
  if (answer.message.text("success") == "no") {
    return fail(ErrorCode::conflict, "strongSwan: " + std::string(command) + ": " + std::string(answer.message.text("errmsg").substr(0, 200)));
  }
  return std::move(answer.message);
}

}  // namespace

Result<ViciClient> ViciClient::connect(const std::filesystem::path& socket, Deadline deadline) {
  ASSIGN_OR_RETURN(UnixStream stream, UnixStream::connect(socket, deadline));
  return ViciClient(std::move(stream));
}

Result<void> ViciClient::send(ViciPacket type, std::string_view name, const ViciSection& message, Deadline deadline, const ViciSecret* secret) {
  ASSIGN_OR_RETURN(const Secret packet, encode_vici(type, name, message, secret));
  return stream_.send(packet.reveal(), deadline);
}

Result<ViciReceived> ViciClient::receive(Deadline deadline) {
  std::array<std::uint8_t, 4> head{};
  TRY(stream_.receive(head, deadline));
  std::size_t size = 0;
  for (const std::uint8_t octet : head) size = size << 8U | octet;
  if (size > vici_packet_max) return fail(ErrorCode::invalid_argument, "vici: a packet of " + std::to_string(size) + " octets");
  Bytes packet(size);
  TRY(stream_.receive(packet, deadline));
  return decode_vici(packet);
}

Result<ViciSection> ViciClient::command(std::string_view name, const ViciSection& message, Deadline deadline, const ViciSecret* secret) {
  TRY(send(ViciPacket::command, name, message, deadline, secret));
  ASSIGN_OR_RETURN(ViciReceived answer, receive(deadline));
  return succeeded(name, std::move(answer));
}

Result<std::vector<ViciSection>> ViciClient::stream(std::string_view name, std::string_view event, const ViciSection& message, Deadline deadline) {
  TRY(send(ViciPacket::subscribe, event, {}, deadline));
  ASSIGN_OR_RETURN(const ViciReceived confirmed, receive(deadline));
  if (confirmed.type != ViciPacket::confirmed) return fail(ErrorCode::not_found, "strongSwan has no event " + std::string(event));
  TRY(send(ViciPacket::command, name, message, deadline));
  std::vector<ViciSection> out;
  while (true) {
    ASSIGN_OR_RETURN(ViciReceived answer, receive(deadline));
    if (answer.type != ViciPacket::event) {
      TRY(succeeded(name, std::move(answer)));
      return out;
    }
    if (out.size() == vici_events_max)
      return fail(ErrorCode::invalid_argument, "vici: more than " + std::to_string(vici_events_max) + " events for one command");
    out.push_back(std::move(answer.message));
  }
}

}  // namespace qanat::terminal::gateway
