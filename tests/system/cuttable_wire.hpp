// A piece of network cable between two processes: forwards TCP connections to a port until it is cut; then nothing passes, in either direction,
// and nobody is told.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <thread>

namespace qanat::test {

class CuttableWire {
 public:
  /// Listens on a free loopback port; port() is 0 if there is none.
  explicit CuttableWire(std::uint16_t to);
  ~CuttableWire();
  CuttableWire(const CuttableWire&) = delete;
  CuttableWire& operator=(const CuttableWire&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// From now on octets are swallowed and connections hang.
  void cut() { cut_ = true; }
  /// What hung is closed, what is new passes again.
  void mend() { cut_ = false; }
  [[nodiscard]] std::uint64_t octets() const { return octets_; }

 private:
  struct Connection {
    int near = -1;
    int far = -1;
    bool spoilt = false;  // was open during a cut
  };
  void run();
  void accept_one();
  bool pass(Connection& connection, int from, int to);

  const std::uint16_t to_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> cut_ = false;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> octets_ = 0;
  std::list<Connection> connections_;
  std::thread thread_;
};

}  // namespace qanat::test
