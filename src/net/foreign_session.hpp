// One accepted connection of a foreign listener: handshake, octets in and out, time limits; what they mean is the protocol's. Private to net/.
#pragma once

#include <openssl/ssl.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "net/foreign_protocol.hpp"
#include "net/foreign_tls.hpp"
#include "net/workers.hpp"

namespace qanat::net {

class ForeignSession;

/// Answers on their way from any thread to the io thread: the first one wakes it, the others ride along. Outlives the loop in the hands of those who have
/// yet to answer; close() cuts it off.
class Mailbox {
 public:
  struct Letter {
    std::weak_ptr<ForeignSession> to;
    std::uint64_t exchange = 0;  // which of the session's requests it answers
    Outgoing message;
  };
  explicit Mailbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  void put(Letter letter);
  std::vector<Letter> take();
  void close();

 private:
  std::mutex mutex_;
  std::function<void()> wake_;  // empty once closed
  std::vector<Letter> letters_;
};

/// What the sessions of one io thread share.
struct ForeignLoop {
  const ForeignLimits& limits;
  const CurrentContext& tls;
  const ForeignProtocolFactory& protocol;
  std::function<void(const Refusal&)> record;  // not waited for
  std::function<void(const std::shared_ptr<ForeignSession>&)> ended;
  std::shared_ptr<Mailbox> mailbox;  // shared with those who have yet to answer
};

class ForeignSession : public std::enable_shared_from_this<ForeignSession> {
 public:
  using Clock = std::chrono::steady_clock;

  ForeignSession(ForeignLoop& loop, boost::asio::ip::tcp::socket socket, std::string address);
  ~ForeignSession();
  ForeignSession(const ForeignSession&) = delete;
  ForeignSession& operator=(const ForeignSession&) = delete;

  // All on the io thread.
  void start();
  void answer(std::uint64_t exchange, Outgoing message);
  /// Called a few times a second: cuts off what is over its time.
  void look_at_clock(Clock::time_point now);
  /// Closes as soon as no request is being worked on.
  void finish();
  void close();

 private:
  enum class State : std::uint8_t { handshake, reading, working, writing, farewell, closed };

  void enter(State state, std::chrono::milliseconds span);
  void wait(boost::asio::ip::tcp::socket::wait_type what, void (ForeignSession::*next)());
  /// True if `result` only wants the socket to be ready; the wait is then on.
  bool waits(int result, void (ForeignSession::*next)());
  enum class Moved : std::uint8_t { octets, nothing_yet, ended };
  /// Octets of the connection, decrypted where it is TLS. `nothing_yet`: `next` is called when there is more to do.
  Moved receive(std::span<std::uint8_t> into, std::size_t& size, void (ForeignSession::*next)());
  Moved transmit(std::span<const std::uint8_t> from, std::size_t& size, void (ForeignSession::*next)());
  [[nodiscard]] bool has_more_decrypted() const;
  void shake_hands();
  void refuse_handshake();
  void open_protocol();
  void read();
  void digest();
  void send(Outgoing message);
  void write();
  void say_goodbye();

  ForeignLoop& loop_;
  boost::asio::ip::tcp::socket socket_;
  std::shared_ptr<SSL> ssl_;
  ForeignPeerCheck check_;
  std::string address_;
  std::unique_ptr<ForeignProtocol> protocol_;
  State state_ = State::handshake;
  Clock::time_point until_{};
  std::uint64_t exchange_ = 0;
  bool within_ = false;     // a message has begun
  bool finishing_ = false;
  Bytes received_;          // octets [used_, filled_) wait for the protocol
  std::size_t used_ = 0;
  std::size_t filled_ = 0;
  Secret out_;
  std::shared_ptr<const Bytes> open_out_;  // sent after it
  std::size_t sent_ = 0;
  bool close_after_ = false;
};

}  // namespace qanat::net
