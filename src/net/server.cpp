#include "net/server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <set>

#include "net/asio_terms.hpp"
#include "net/session.hpp"
#include "net/tls_context.hpp"

namespace qanat::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::chrono::milliseconds stop_grace{5000};         // of the destructor

class TlsServer final : public Server {
 public:
  TlsServer(const ServerLimits& limits, asio::ssl::context tls, std::shared_ptr<const crypto::TrustStore> trust, std::vector<Route> routes,
            StatusCheck status, RefusalSink refused, Staple staple, ChainedKeys* chained)
      : served_{.limits = limits,
                .routes = RouteTable(std::move(routes)),
                .trust = std::move(trust),
                .status = std::move(status),
                .refused = std::move(refused),
                .staple = std::move(staple),
                .chained = chained,
                .tls = std::move(tls),
                .handlers = Workers(limits.worker_threads, limits.queue_max),
                .recorder = Workers(1, refusals_waiting_max)},
        acceptor_(served_.io),
        retry_(served_.io),
        work_(asio::make_work_guard(served_.io)) {
    staple_with(served_.tls);
  }

  ~TlsServer() override {
    try {
      stop(stop_grace);
    } catch (const std::exception&) {
      std::abort();  // a thread that cannot be joined would go on with this object gone
    }
  }

  Result<void> listen(const std::string& address, std::uint16_t port) {
    const std::string where = address + ':' + std::to_string(port);
    error_code error;
    const asio::ip::address parsed = asio::ip::make_address(address, error);
    if (error) return fail(ErrorCode::invalid_argument, "server: '" + address + "' is not an IP address");
    const tcp::endpoint endpoint(parsed, port);
    acceptor_.open(endpoint.protocol(), error);
    // An element that is restarted takes its port again although connections of the former run are in TIME_WAIT.
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) port_ = acceptor_.local_endpoint(error).port();
    if (error) return fail(ErrorCode::unavailable, "server: " + where + ": " + error.message());
    // The coroutine is owned by io, which this object owns; it ends when stop() closes the acceptor.
    asio::co_spawn(served_.io, accept(), [](const std::exception_ptr&) {});
    thread_ = std::thread([this] { served_.io.run(); });
    return {};
  }

  [[nodiscard]] std::uint16_t port() const noexcept override { return port_; }
  Result<void> show(const TlsIdentity& identity) override;
  void drop_peers(std::function<bool(const crypto::Certificate&)> unwanted) override;
  void stop(std::chrono::milliseconds grace) override;

 private:
  /// Each context that shows a certificate of this server gives its status as well.
  void staple_with(asio::ssl::context& tls) {
    if (served_.staple) staple_status(tls.native_handle(), &served_.staple);
  }
  asio::awaitable<void> accept();
  void begin(tcp::socket socket);
  void ended(const std::shared_ptr<Session>& session);

  Served served_;
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::uint16_t port_ = 0;
  std::set<std::shared_ptr<Session>> sessions_;  // io thread only; the other owner is the session's own coroutine

  std::mutex stop_mutex_;  // one stop() at a time
  bool stopped_ = false;
  std::mutex mutex_;
  std::condition_variable all_ended_;
  std::size_t session_count_ = 0;
  bool accepting_ = true;

  std::thread thread_;
};

asio::awaitable<void> TlsServer::accept() {
  while (acceptor_.is_open()) {
    auto [error, socket] = co_await acceptor_.async_accept(asio::as_tuple(asio::use_awaitable));
    if (!acceptor_.is_open()) break;
    if (!error) {
      begin(std::move(socket));
      continue;
    }
    retry_.expires_after(accept_retry_after);
    co_await retry_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

void TlsServer::begin(tcp::socket socket) {
  error_code error;
  const tcp::endpoint remote = socket.remote_endpoint(error);
  if (error) return;  // gone again
  const std::string address = remote.address().to_string() + ':' + std::to_string(remote.port());
  if (sessions_.size() >= served_.limits.connections_max) {
    record(served_, {.point = "", .peer = address, .reason = "too many connections", .code = ErrorCode::exhausted});
    return;
  }
  const std::shared_ptr<Session> session = make_session(served_, std::move(socket), address);
  sessions_.insert(session);
  {
    const std::lock_guard lock(mutex_);
    ++session_count_;
  }
  asio::co_spawn(served_.io, session->run(), [this, session, address](const std::exception_ptr& failure) {
    // Nothing on the path throws but the allocator; what it threw costs this connection alone.
    if (failure) record(served_, {.point = "", .peer = address, .reason = "connection ended: out of memory", .code = ErrorCode::internal});
    ended(session);
  });
}

void TlsServer::ended(const std::shared_ptr<Session>& session) {
  session->close();
  sessions_.erase(session);
  const std::lock_guard lock(mutex_);
  --session_count_;
  all_ended_.notify_all();
}

Result<void> TlsServer::show(const TlsIdentity& identity) {
  const ClientCertificate client = served_.routes.any_anonymous() ? ClientCertificate::optional : ClientCertificate::required;
  ASSIGN_OR_RETURN(TlsContext context, make_server_context(identity, client));
  const auto tls = std::make_shared<asio::ssl::context>(context.release());
  staple_with(*tls);
  // Sessions hold the former one for as long as they live; only the io thread makes new ones.
  asio::post(served_.io, [this, tls] { served_.tls = std::move(*tls); });
  return {};
}

void TlsServer::drop_peers(std::function<bool(const crypto::Certificate&)> unwanted) {
  asio::post(served_.io, [this, unwanted = std::move(unwanted)] {
    for (const auto& session : sessions_) {
      const crypto::Certificate* certificate = session->certificate();
      if (certificate == nullptr || !unwanted(*certificate)) continue;
      const auto& element = certificate->names().element;
      record(served_, {.point = "",
                       .peer = element ? element->uri() : certificate->subject(),
                       .reason = "connection closed: its certificate is revoked",
                       .code = ErrorCode::denied});
      session->close();  // touches the socket alone: the session leaves sessions_ on a later turn of this thread
    }
  });
}

void TlsServer::stop(std::chrono::milliseconds grace) {
  const std::lock_guard one(stop_mutex_);
  if (stopped_) return;
  stopped_ = true;
  if (thread_.joinable()) {
    const auto none_left = [this] { return !accepting_ && session_count_ == 0; };
    asio::post(served_.io, [this] {
      error_code ignored;
      acceptor_.close(ignored);
      retry_.cancel();
      // finish() touches the socket alone: the session ends, and leaves sessions_, on a later turn of this thread.
      for (const auto& session : sessions_) session->finish();
      const std::lock_guard lock(mutex_);
      accepting_ = false;
      all_ended_.notify_all();
    });
    std::unique_lock lock(mutex_);
    if (!all_ended_.wait_for(lock, grace, none_left)) {
      asio::post(served_.io, [this] {
        for (const auto& session : sessions_) session->close();
      });
      all_ended_.wait(lock, none_left);
    }
  }
  // A handler that overran the grace is waited for: it works with what this object refers to.
  served_.handlers.stop(Waiting::drop);
  served_.recorder.stop(Waiting::run);
  work_.reset();
  if (thread_.joinable()) thread_.join();
}

Result<void> check_limits(const ServerLimits& limits) {
  if (limits.worker_threads == 0 || limits.queue_max == 0 || limits.connections_max == 0 || limits.head_max == 0) {
    return fail(ErrorCode::invalid_argument, "server: worker_threads, queue_max, connections_max and head_max must be at least 1");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const ServerSettings& settings, const TlsIdentity& identity, std::shared_ptr<const crypto::TrustStore> trust,
                                              std::vector<Route> routes, StatusCheck status, RefusalSink refused, Staple staple) {
  CHECK(trust != nullptr);
  TRY(check_limits(settings.limits));
  const ClientCertificate client = RouteTable(routes).any_anonymous() ? ClientCertificate::optional : ClientCertificate::required;
  ASSIGN_OR_RETURN(TlsContext context, make_server_context(identity, client));
  auto server = std::make_unique<TlsServer>(settings.limits, asio::ssl::context(context.release()), std::move(trust), std::move(routes), std::move(status),
                                            std::move(refused), std::move(staple), settings.chained);
  TRY(server->listen(settings.address, settings.port));
  return Result<std::unique_ptr<Server>>(std::move(server));
}

}  // namespace qanat::net
