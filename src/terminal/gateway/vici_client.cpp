#include "terminal/gateway/vici_client.hpp"

#include <algorithm>

namespace qanat::terminal::gateway {
namespace {

constexpr std::size_t vici_events_max = 4096;  // of one command
constexpr std::size_t words_max = 200;         // characters of the daemon's in a message of ours

Result<ViciSection> succeeded(std::string_view command, ViciReceived answer) {
  if (answer.type == ViciPacket::unknown_command) return fail(ErrorCode::not_found, "strongSwan has no command " + std::string(command));
  if (answer.type != ViciPacket::response) return fail(ErrorCode::invalid_argument, "strongSwan: no answer to " + std::string(command));
  if (answer.message.text("success") == "no") {
    return fail(ErrorCode::conflict, "strongSwan: " + std::string(command) + ": " + std::string(answer.message.text("errmsg").substr(0, words_max)));
  }
  return std::move(answer.message);
}

std::string printable(std::string_view text) {
  std::string out(text.substr(0, words_max));
  std::ranges::replace_if(
      out, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
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
  auto out = collect(name, message, deadline);
  // Otherwise further events of it would come before the answers to what is asked next.
  TRY(send(ViciPacket::unsubscribe, event, {}, deadline));
  while (true) {
    ASSIGN_OR_RETURN(const ViciReceived received, receive(deadline));
    if (received.type == ViciPacket::confirmed) return out;
    if (received.type != ViciPacket::event) return fail(ErrorCode::invalid_argument, "strongSwan: event " + std::string(event) + " does not end");
  }
}

Result<std::vector<ViciSection>> ViciClient::collect(std::string_view name, const ViciSection& message, Deadline deadline) {
  TRY(send(ViciPacket::command, name, message, deadline));
  std::vector<ViciSection> out;
  while (true) {
    ASSIGN_OR_RETURN(ViciReceived answer, receive(deadline));
    if (answer.type != ViciPacket::event) {
      auto done = succeeded(name, std::move(answer));
      if (done) return out;
      // The daemon's answer says that it failed, its last event why.
      const std::string why = out.empty() ? std::string() : printable(out.back().text("msg"));
      if (!why.empty()) done.error().message += " (" + why + ")";
      return fail(std::move(done).error());
    }
    if (out.size() == vici_events_max)
      return fail(ErrorCode::invalid_argument, "vici: more than " + std::to_string(vici_events_max) + " events for one command");
    out.push_back(std::move(answer.message));
  }
}

}  // namespace qanat::terminal::gateway
