// A path between two terminals that loses or alters what a test wants: it stands where SIP and SDP say that the other end is. Loopback, one call.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "terminal/udp_port.hpp"

namespace qanat::terminal::test {

class SpoiltPath {
 public:
  /// Asked for each datagram between the two media ports: it may change the datagram, and says whether it arrives. Called from two threads, one at a time.
  using Passes = std::function<bool(Bytes& datagram)>;
  SpoiltPath(net::Endpoint callee_sip, Passes passes) : callee_sip_(std::move(callee_sip)), passes_(std::move(passes)) {
    const std::lock_guard lock(mutex_);
    sip_ = open([this](net::Datagram datagram) { on_sip(std::move(datagram)); });
    to_caller_ = open([this](net::Datagram datagram) { carry(std::move(datagram.octets), to_callee_, callee_media_); });
    to_callee_ = open([this](net::Datagram datagram) { carry(std::move(datagram.octets), to_caller_, caller_media_); });
  }
  ~SpoiltPath() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    sip_.reset();
    to_caller_.reset();
    to_callee_.reset();
  }
  SpoiltPath(const SpoiltPath&) = delete;
  SpoiltPath& operator=(const SpoiltPath&) = delete;

  /// Where the caller calls.
  [[nodiscard]] const net::Endpoint& sip() const { return sip_->local(); }

 private:
  static constexpr std::string_view media_line = "m=audio ";

  template <class Take>
  static std::unique_ptr<UdpPort> open(Take take) {
    return UdpPort::open({.host = "127.0.0.1", .port = 0}, [take](net::Datagram datagram, std::uint64_t /*time_ns*/) { take(std::move(datagram)); }).value();
  }
  // The INVITE and its answers; what comes after them goes to the Contacts, past this.
  void on_sip(net::Datagram datagram) {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    if (datagram.from == callee_sip_) {
      exchange_media_port(datagram.octets, to_caller_->local().port, callee_media_);
      (void)sip_->send(caller_sip_, datagram.octets);
    } else {
      caller_sip_ = datagram.from;
      exchange_media_port(datagram.octets, to_callee_->local().port, caller_media_);
      (void)sip_->send(callee_sip_, datagram.octets);
    }
  }
  /// Where there is SDP: its media port becomes `in_place`, and `said` is told what it was.
  static void exchange_media_port(Bytes& message, std::uint16_t in_place, net::Endpoint& said) {
    std::string text(as_text(message));
    const std::size_t line = text.find(media_line);
    if (line == std::string::npos) return;
    const std::size_t at = line + media_line.size();
    const std::string former = text.substr(at, text.find(' ', at) - at);
    const std::string other = std::to_string(in_place);
    EXPECT_EQ(former.size(), other.size()) << "Content-Length stays as it is";
    said.port = static_cast<std::uint16_t>(std::stoul(former));
    text.replace(at, former.size(), other);
    message = to_bytes(as_bytes(text));
  }
  void carry(Bytes octets, const std::unique_ptr<UdpPort>& from, const net::Endpoint& to) {
    const std::lock_guard lock(mutex_);
    if (!closed_ && to.port != 0 && passes_(octets)) (void)from->send(to, octets);
  }

  std::mutex mutex_;
  bool closed_ = false;
  const net::Endpoint callee_sip_;
  net::Endpoint caller_sip_;
  net::Endpoint caller_media_;
  net::Endpoint callee_media_;
  const Passes passes_;
  // Each end sends to the one that is named after it, and hears from it.
  std::unique_ptr<UdpPort> sip_;
  std::unique_ptr<UdpPort> to_caller_;
  std::unique_ptr<UdpPort> to_callee_;
};

}  // namespace qanat::terminal::test
