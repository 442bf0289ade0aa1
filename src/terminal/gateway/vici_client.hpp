// One conversation with strongSwan's daemon over its vici socket: commands in turn, each with its answer.
#pragma once

#include "terminal/gateway/unix_stream.hpp"
#include "terminal/gateway/vici_message.hpp"

namespace qanat::terminal::gateway {

class ViciClient {
 public:
  /// unavailable if the daemon does not listen there.
  static Result<ViciClient> connect(const std::filesystem::path& socket, Deadline deadline);

  /// The answer. conflict, with the daemon's words, where it says success = no; not_found for a command that it does not know.
  Result<ViciSection> command(std::string_view name, const ViciSection& message, Deadline deadline, const ViciSecret* secret = nullptr);
  /// The same for a command that answers by events of this name before it ends.
  Result<std::vector<ViciSection>> stream(std::string_view name, std::string_view event, const ViciSection& message, Deadline deadline);

 private:
  explicit ViciClient(UnixStream stream) : stream_(std::move(stream)) {}
  Result<void> send(ViciPacket type, std::string_view name, const ViciSection& message, Deadline deadline, const ViciSecret* secret = nullptr);
  Result<ViciReceived> receive(Deadline deadline);
  Result<std::vector<ViciSection>> collect(std::string_view name, const ViciSection& message, Deadline deadline);

  UnixStream stream_;
};

}  // namespace qanat::terminal::gateway
