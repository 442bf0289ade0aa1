// Frames over a connected stream socket, blocking. For two ends that are joined directly: `qanat qkd simulate`, `qanat qkd process`, the
// bench. Between sites the frames travel at X-2.
#pragma once

#include <utility>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::qkd {

class FrameStream {
 public:
  /// Takes the socket over.
  explicit FrameStream(int socket) : socket_(socket) {}
  FrameStream(FrameStream&& other) noexcept : socket_(std::exchange(other.socket_, -1)), sent_(other.sent_), received_(other.received_) {}
  FrameStream& operator=(FrameStream&&) = delete;
  ~FrameStream() { close(); }

  [[nodiscard]] Result<void> send(ByteView frame);
  /// The next frame; unavailable when the other end has closed or is gone.
  [[nodiscard]] Result<Bytes> receive();
  void close();

  [[nodiscard]] std::uint64_t octets_sent() const noexcept { return sent_; }
  [[nodiscard]] std::uint64_t octets_received() const noexcept { return received_; }

 private:
  [[nodiscard]] Result<void> fill(std::span<std::uint8_t> out);
  int socket_;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
};

}  // namespace qanat::qkd
