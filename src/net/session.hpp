// One accepted connection: handshake, then requests one after the other. Private to net/.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <memory>

#include "net/routes.hpp"
#include "net/server.hpp"
#include "net/workers.hpp"

namespace qanat::net {

/// What all sessions of one server share. Sessions run on the one thread of `io`; nothing here changes while they do but `tls`, on that thread.
struct Served {
  ServerLimits limits;
  RouteTable routes;
  std::shared_ptr<const crypto::TrustStore> trust;  // shared with the element, which builds its clients from it
  StatusCheck status;
  RefusalSink refused;
  Staple staple;  // before tls, whose handshakes call it
  ChainedKeys* chained = nullptr;
  boost::asio::ssl::context tls;
  boost::asio::io_context io{1};
  Workers handlers;  // status checks and Route::answer
  Workers recorder;  // the refusal sink, which may write to disk: apart, so that a flood of refusals takes no handler's place
};

/// To the sink on the recorder; on the calling thread if the recorder's queue is full, so that no refusal is lost.
void record(Served& served, const Refusal& refusal);

class Session {
 public:
  virtual ~Session() = default;
  /// From the handshake to the close; run once. The session must live until it has ended.
  virtual boost::asio::awaitable<void> run() = 0;
  /// Closes as soon as no handler runs for it.
  virtual void finish() = 0;
  /// The certificate that the peer has shown, once its handshake is done.
  [[nodiscard]] virtual const crypto::Certificate* certificate() const = 0;
  /// Closes now; run() ends soon after.
  virtual void close() = 0;
};

std::shared_ptr<Session> make_session(Served& served, boost::asio::ip::tcp::socket socket, std::string address);

}  // namespace qanat::net
