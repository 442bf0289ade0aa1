// A stream socket of this machine (AF_UNIX), as the gateway's own software listens on: every wait ends with the caller's deadline.
#pragma once

#include <filesystem>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace qanat::terminal::gateway {

class UnixStream {
 public:
  /// unavailable if nobody listens there.
  static Result<UnixStream> connect(const std::filesystem::path& path, Deadline deadline);
  UnixStream(UnixStream&& other) noexcept;
  UnixStream& operator=(UnixStream&&) = delete;
  ~UnixStream();

  Result<void> send(ByteView octets, Deadline deadline);
  /// Fills all of `octets`; unavailable if the other end closes before.
  Result<void> receive(std::span<std::uint8_t> octets, Deadline deadline);
  /// At least one octet.
  Result<std::size_t> receive_some(std::span<std::uint8_t> octets, Deadline deadline);

 private:
  UnixStream(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {}
  Result<void> await(short events, Deadline deadline) const;

  int descriptor_;
  std::string name_;
};

}  // namespace qanat::terminal::gateway
