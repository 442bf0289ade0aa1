// A UDP socket with the thread that listens on it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "net/udp.hpp"

namespace qanat::terminal {

/// Nanoseconds since the Unix epoch, for captures.
std::uint64_t capture_time_ns();

class UdpPort {
 public:
  /// `sink` is called on the listening thread for each datagram, with the time at which it came.
  using Sink = std::function<void(net::Datagram datagram, std::uint64_t time_ns)>;
  static Result<std::unique_ptr<UdpPort>> open(const net::Endpoint& at, Sink sink);
  /// Stops listening; `sink` is not called afterwards.
  ~UdpPort();
  UdpPort(const UdpPort&) = delete;
  UdpPort& operator=(const UdpPort&) = delete;

  [[nodiscard]] const net::Endpoint& local() const noexcept { return local_; }
  Result<void> send(const net::Endpoint& to, ByteView octets) { return socket_->send(to, octets); }

 private:
  UdpPort(std::unique_ptr<net::UdpSocket> socket, Sink sink);
  void listen();

  std::unique_ptr<net::UdpSocket> socket_;
  net::Endpoint local_;
  Sink sink_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::terminal
