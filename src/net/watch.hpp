// The time limit of what a connection does at present. Private to net/; lives on the io thread.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

namespace qanat::net {

/// What happens to the socket when the time is over. end_reading: an answer (408) can still be sent.
enum class Expiry : unsigned char { end_reading, close };

class Watch {
 public:
  /// The socket must outlive the watch.
  explicit Watch(boost::asio::ip::tcp::socket& socket) : timer_(socket.get_executor()), armed_(std::make_shared<Armed>(Armed{.socket = &socket})) {}

  void start(std::chrono::milliseconds span, Expiry expiry) {
    armed_->expired = false;
    const std::uint64_t generation = ++armed_->generation;
    timer_.expires_after(span);
    // Weak: a timer that has expired already calls its handler even when the connection has ended in the meantime.
    timer_.async_wait([weak = std::weak_ptr<Armed>(armed_), generation, expiry](boost::system::error_code error) {
      const auto armed = weak.lock();
      if (!error && armed && armed->generation == generation) armed->expire(expiry);
    });
  }

  /// True if the time ran out since start().
  bool stop() {
    ++armed_->generation;
    timer_.cancel();
    return std::exchange(armed_->expired, false);
  }

 private:
  struct Armed {
    boost::asio::ip::tcp::socket* socket = nullptr;
    std::uint64_t generation = 0;
    bool expired = false;

    // Both ways are lasting; a mere cancel() would miss a composed read that is between two of its steps.
    void expire(Expiry expiry) {
      expired = true;
      boost::system::error_code ignored;
      if (expiry == Expiry::end_reading) {
        socket->shutdown(boost::asio::ip::tcp::socket::shutdown_receive, ignored);
      } else {
        socket->close(ignored);
      }
    }
  };

  boost::asio::steady_timer timer_;
  std::shared_ptr<Armed> armed_;  // owned here; the timer's handler holds it weakly
};

}  // namespace qanat::net
