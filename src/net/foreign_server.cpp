#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <deque>
#include <set>
#include <thread>

#include "base/check.hpp"
#include "net/asio_terms.hpp"
#include "net/foreign_session.hpp"
#include "net/foreign_tls.hpp"

namespace qanat::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::chrono::milliseconds tick{100};  // how exact the time limits are
constexpr std::chrono::milliseconds destructor_grace{2000};

/// One io thread and the sessions that live on it.
class Loop {
 public:
  Loop(const ForeignLimits& limits, const CurrentContext& tls, const ForeignProtocolFactory& protocol, std::function<void(const Refusal&)> record,
       std::function<void()> one_ended)
      : one_ended_(std::move(one_ended)),
        shared_{.limits = limits,
                .tls = tls,
                .protocol = protocol,
                .record = std::move(record),
                .ended = [this](const std::shared_ptr<ForeignSession>& session) { drop(session); },
                .mailbox = std::make_shared<Mailbox>([this] { asio::post(io_, [this] { deliver(); }); })},
        clock_(io_),
        work_(asio::make_work_guard(io_)) {}
  ~Loop() {
    shared_.mailbox->close();
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  asio::io_context& io() { return io_; }
  void run() {
    asio::post(io_, [this] { wind(); });
    thread_ = std::thread([this] { io_.run(); });
  }
  void begin(tcp::socket socket, std::string address) {
    const auto session = std::make_shared<ForeignSession>(shared_, std::move(socket), std::move(address));
    sessions_.insert(session);
    session->start();
  }
  template <class Act>
  void each(Act act) {
    asio::post(io_, [this, act] {
      const std::vector<std::shared_ptr<ForeignSession>> all(sessions_.begin(), sessions_.end());
      for (const auto& session : all) act(*session);
    });
  }
  void join() {
    shared_.mailbox->close();
    work_.reset();
    asio::post(io_, [this] { io_.stop(); });
    if (thread_.joinable()) thread_.join();
    sessions_.clear();
  }

 private:
  void wind() {
    clock_.expires_after(tick);
    clock_.async_wait([this](error_code error) {
      if (error) return;
      const auto now = ForeignSession::Clock::now();
      const std::vector<std::shared_ptr<ForeignSession>> all(sessions_.begin(), sessions_.end());
      for (const auto& session : all) session->look_at_clock(now);
      wind();
    });
  }
  void deliver() {
    for (Mailbox::Letter& letter : shared_.mailbox->take()) {
      if (const auto session = letter.to.lock()) session->answer(letter.exchange, std::move(letter.message));
    }
  }
  void drop(const std::shared_ptr<ForeignSession>& session) {
    if (sessions_.erase(session) > 0) one_ended_();
  }

  std::function<void()> one_ended_;
  asio::io_context io_{1};
  ForeignLoop shared_;
  asio::steady_timer clock_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::set<std::shared_ptr<ForeignSession>> sessions_;  // io thread only; the other owner is the session's pending wait
  std::thread thread_;
};

class SocketListener final : public ForeignListener {
 public:
  SocketListener(ForeignSettings settings, TlsContext tls, ForeignProtocolFactory protocol, RefusalSink refused)
      : settings_(std::move(settings)), tls_(std::move(tls)), protocol_(std::move(protocol)), refused_(std::move(refused)), recorder_(1, refusals_waiting_max) {
    for (std::size_t i = 0; i < settings_.limits.io_threads; ++i) {
      loops_.emplace_back(settings_.limits, tls_, protocol_, [this](const Refusal& refusal) { record(refusal); }, [this] { ended(); });
    }
    acceptor_.emplace(loops_.front().io());
    retry_.emplace(loops_.front().io());
  }
  ~SocketListener() override {
    try {
      stop(destructor_grace);
    } catch (const std::exception&) {
      std::abort();  // a thread that cannot be joined would go on with this object gone
    }
  }

  Result<void> listen() {
    const std::string where = settings_.address + ':' + std::to_string(settings_.port);
    error_code error;
    const asio::ip::address parsed = asio::ip::make_address(settings_.address, error);
    if (error) return fail(ErrorCode::invalid_argument, "listener: '" + settings_.address + "' is not an IP address");
    const tcp::endpoint endpoint(parsed, settings_.port);
    acceptor_->open(endpoint.protocol(), error);
    if (!error) acceptor_->set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_->bind(endpoint, error);
    if (!error) acceptor_->listen(asio::socket_base::max_listen_connections, error);
    if (!error) port_ = acceptor_->local_endpoint(error).port();
    if (error) return fail(ErrorCode::unavailable, "listener: " + where + ": " + error.message());
    asio::post(loops_.front().io(), [this] { accept(); });
    for (Loop& loop : loops_) loop.run();
    return {};
  }
  [[nodiscard]] std::uint16_t port() const noexcept override { return port_; }
  Result<void> renew(const ForeignTls& tls) override {
    if (tls_.plain()) return fail(ErrorCode::conflict, "listener: plain HTTP has no certificates");
    ASSIGN_OR_RETURN(TlsContext context, make_foreign_context(TlsSide::server, tls));
    tls_.replace(std::move(context));
    return {};
  }
  void end_open() override {
    for (Loop& loop : loops_) loop.each([](ForeignSession& session) { session.finish(); });
  }
  void stop(std::chrono::milliseconds grace) override;

 private:
  void accept();
  void begin(tcp::socket socket, Loop& loop);
  void ended() {
    const std::lock_guard lock(mutex_);
    --count_;
    all_ended_.notify_all();
  }
  void record(const Refusal& refusal) {
    if (!refused_) return;
    if (!recorder_.submit([this, refusal] { refused_(refusal); })) refused_(refusal);
  }

  const ForeignSettings settings_;
  CurrentContext tls_;
  const ForeignProtocolFactory protocol_;
  const RefusalSink refused_;
  Workers recorder_;
  std::deque<Loop> loops_;
  std::optional<tcp::acceptor> acceptor_;     // on the first loop
  std::optional<asio::steady_timer> retry_;
  std::size_t next_ = 0;
  std::uint16_t port_ = 0;
  std::mutex stop_mutex_;
  bool stopped_ = false;
  std::mutex mutex_;
  std::condition_variable all_ended_;
  std::size_t count_ = 0;  // sessions, and sockets on their way to one
};

void SocketListener::accept() {
  Loop& loop = loops_[next_++ % loops_.size()];
  acceptor_->async_accept(loop.io(), [this, &loop](error_code error, tcp::socket socket) {
    if (!acceptor_->is_open()) return;
    if (error) {
      retry_->expires_after(accept_retry_after);
      retry_->async_wait([this](error_code cancelled) {
        if (!cancelled && acceptor_->is_open()) accept();
      });
      return;
    }
    begin(std::move(socket), loop);
    accept();
  });
}

void SocketListener::begin(tcp::socket socket, Loop& loop) {
  error_code error;
  const tcp::endpoint remote = socket.remote_endpoint(error);
  if (error) return;
  std::string address = remote.address().to_string() + ':' + std::to_string(remote.port());
  {
    const std::lock_guard lock(mutex_);
    if (count_ >= settings_.limits.connections_max) {
      record({.point = "", .peer = address, .reason = "too many connections", .code = ErrorCode::exhausted});
      return;
    }
    ++count_;
  }
  asio::post(loop.io(), [&loop, socket = std::move(socket), address = std::move(address)]() mutable { loop.begin(std::move(socket), std::move(address)); });
}

void SocketListener::stop(std::chrono::milliseconds grace) {
  const std::lock_guard one(stop_mutex_);
  if (std::exchange(stopped_, true)) return;
  asio::post(loops_.front().io(), [this] {
    error_code ignored;
    acceptor_->close(ignored);
    retry_->cancel();
    end_open();
  });
  {
    std::unique_lock lock(mutex_);
    all_ended_.wait_for(lock, port_ == 0 ? std::chrono::milliseconds(0) : grace, [this] { return count_ == 0; });
  }
  for (Loop& loop : loops_) loop.join();
  recorder_.stop(Waiting::run);
}

}  // namespace

Result<std::unique_ptr<ForeignListener>> start_foreign_listener(const ForeignSettings& settings, ForeignProtocolFactory protocol, RefusalSink refused) {
  if (settings.limits.io_threads == 0 || settings.limits.connections_max == 0 || settings.limits.head_max == 0) {
    return fail(ErrorCode::invalid_argument, "listener: io_threads, connections_max and head_max must be at least 1");
  }
  TlsContext context;
  if (settings.transport == ForeignTransport::tls) {
    ASSIGN_OR_RETURN(context, make_foreign_context(TlsSide::server, settings.tls));
  }
  ForeignSettings kept = settings;
  kept.tls = {};  // keys and staples live as long as a context has them: until they are replaced
  auto listener = std::make_unique<SocketListener>(std::move(kept), std::move(context), std::move(protocol), std::move(refused));
  TRY(listener->listen());
  return Result<std::unique_ptr<ForeignListener>>(std::move(listener));
}

}  // namespace qanat::net
