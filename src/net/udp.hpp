// Datagrams on loopback for SIP and RTP.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace qanat::net {

struct Endpoint {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

struct Datagram {
  Endpoint from;
  Bytes octets;
};

/// One thread receives, any may send.
class UdpSocket {
 public:
  /// Port 0: any free one.
  static Result<std::unique_ptr<UdpSocket>> bind(const Endpoint& at);
  ~UdpSocket();
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;
  [[nodiscard]] Endpoint local() const;
  Result<void> send(const Endpoint& to, ByteView octets);
  /// deadline_exceeded if nothing came; a datagram is at most 65,507 octets.
  Result<Datagram> receive(Deadline deadline);

 private:
  explicit UdpSocket(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace qanat::net
