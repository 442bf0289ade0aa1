#include "net/client.hpp"

#include <algorithm>
#include <mutex>
#include <vector>

#include "net/connection.hpp"
#include "net/routes.hpp"

namespace qanat::net {
namespace {

constexpr std::size_t idle_connections_max = 16;           // kept for the next call; a further one is closed
constexpr std::chrono::milliseconds idle_kept_for{30000};  // less than ServerLimits::idle_max, so that the server seldom closes first
static_assert(idle_kept_for.count() < 60000);

using steady = std::chrono::steady_clock;

/// What would end the request line or a header, or start another, never reaches the wire.
Result<void> check_call(const Call& call) {
  const bool printable = is_visible_text(call.method) && is_visible_text(call.path) && is_visible_text(call.query) && is_visible_text(call.request_id) &&
                         std::ranges::all_of(call.content_type, [](char c) { return c >= ' ' && c < '\x7f'; });
  if (call.authorization != nullptr && !is_field_text(*call.authorization)) {
    return fail(ErrorCode::invalid_argument, "client: the authorization is not one that HTTP can carry");
  }
  if (!printable || call.method.empty() || !call.path.starts_with('/') || call.path.contains('?') || call.path.contains('#')) {
    return fail(ErrorCode::invalid_argument, "client: method, path, query, request id or content type is not one that HTTP can carry");
  }
  return {};
}

class PooledClient final : public Client {
 public:
  PooledClient(Target target, const std::shared_ptr<const TlsIdentity>& identity, std::shared_ptr<const crypto::TrustStore> trust, StatusCheck status,
               StapleSink stapled)
      : target_(std::move(target)),
        trust_(std::move(trust)),
        status_(std::move(status)),
        stapled_(std::move(stapled)),
        context_(context_showing(identity.get())) {}

  Result<Response> call(const Call& call, Deadline deadline) override;
  [[nodiscard]] const Target& target() const noexcept override { return target_; }
  Result<void> show(const TlsIdentity& identity) override;
  void drop_servers(const std::function<bool(const crypto::Certificate&)>& unwanted) override;
  void chain(Chaining chaining) override;

 private:
  [[nodiscard]] Result<TlsContext> context_showing(const TlsIdentity* identity) const;
  Result<std::unique_ptr<Connection>> dial(Deadline deadline);
  struct Reached {
    std::unique_ptr<Connection> connection;
    Target::Place place;
  };
  Result<Reached> reach(Deadline deadline);
  std::unique_ptr<Connection> make(SSL_CTX& context);
  /// The connection that follows this one under a key of its own, to the same place.
  Result<std::unique_ptr<Connection>> followed(const ChainNext& next, Connection& before, const Target::Place& place, Deadline deadline);
  Result<void> check_status(Connection& connection, Deadline deadline) const;
  /// Under mutex_.
  [[nodiscard]] bool is_too_old(const Connection& connection, steady::time_point now) const;
  std::unique_ptr<Connection> take_idle();
  void give_back(std::unique_ptr<Connection> connection);
  Error in_call(const Call& call, Error error) const;

  const Target target_;
  const std::shared_ptr<const crypto::TrustStore> trust_;  // shared with the element's server
  const StatusCheck status_;
  const StapleSink stapled_;
  std::mutex mutex_;
  Result<TlsContext> context_;  // under mutex_; a failure to build it is every call's answer
  std::vector<std::unique_ptr<Connection>> idle_;  // under mutex_; the last one used is the last
  std::size_t place_ = 0;                          // under mutex_; the place that was reached last
  std::uint64_t generation_ = 0;                   // under mutex_; grows with each drop_servers()
  std::shared_ptr<const Chaining> chaining_;       // under mutex_; shared with the calls that dial by it
};

Result<TlsContext> PooledClient::context_showing(const TlsIdentity* identity) const {
  ASSIGN_OR_RETURN(TlsContext context, make_client_context(identity));
  if (stapled_) TRY(ask_for_status(context.get()));
  return Result<TlsContext>(std::move(context));
}

Error PooledClient::in_call(const Call& call, Error error) const {
  error.message.insert(0, target_.expected.uri() + ": " + call.method + ' ' + call.path + ": ");
  return error;
}

Result<Response> PooledClient::call(const Call& call, Deadline deadline) {
  TRY(check_call(call));
  if (deadline.passed()) return fail(in_call(call, {ErrorCode::deadline_exceeded, "the deadline had passed"}));
  std::unique_ptr<Connection> connection = take_idle();
  const bool reused = connection != nullptr;
  if (!reused) {
    auto dialled = dial(deadline);
    if (!dialled) return fail(in_call(call, dialled.error()));
    connection = std::move(*dialled);
  } else if (auto good = check_status(*connection, deadline); !good) {
    return fail(in_call(call, good.error()));
  }
  Exchanged exchanged = connection->exchange(call, deadline);
  // Nothing came back on a kept connection: the server closed it between two calls. A request is safe to send again, its id tells.
  if (!exchanged.answer && reused && exchanged.untouched && !deadline.passed()) {
    auto dialled = dial(deadline);
    if (!dialled) return fail(in_call(call, dialled.error()));
    connection = std::move(*dialled);
    exchanged = connection->exchange(call, deadline);
  }
  if (!exchanged.answer) return fail(in_call(call, exchanged.answer.error()));
  if (exchanged.keep) give_back(std::move(connection));
  return std::move(exchanged.answer);
}

std::unique_ptr<Connection> PooledClient::make(SSL_CTX& context) {
  auto connection = make_connection(context, *trust_, target_.expected);
  connection->generation = generation_;
  connection->dialled_at = steady::now();
  return connection;
}

Result<std::unique_ptr<Connection>> PooledClient::followed(const ChainNext& next, Connection& before, const Target::Place& place, Deadline deadline) {
  std::unique_ptr<Connection> after;
  {
    const std::lock_guard lock(mutex_);
    if (!context_) return fail(context_.error());
    after = make(**context_);
    after->dialled_at = before.dialled_at;
    after->generation = before.generation;  // what has been dropped meanwhile stays dropped
  }
  const Secret exporter = before.exporter();
  const ChainLink link{.exporter = exporter, .server = before.server_certificate(), .ask = [&before](const Call& call, Deadline until) -> Result<Response> {
                         TRY(check_call(call));
                         return before.exchange(call, until).answer;
                       }};
  ASSIGN_OR_RETURN(const ChainedKey key, next(link, deadline));
  TRY(after->open_chained(place.host, place.port, key, before.server_certificate(), deadline));
  after->status_good_at = before.status_good_at;
  return Result<std::unique_ptr<Connection>>(std::move(after));
}

void PooledClient::chain(Chaining chaining) {
  CHECK(chaining.next != nullptr);
  std::vector<std::unique_ptr<Connection>> dropped;  // closed after the lock is released
  const std::lock_guard lock(mutex_);
  chaining_ = std::make_shared<const Chaining>(std::move(chaining));
  ++generation_;
  dropped.swap(idle_);
}

/// An open connection to the place that was reached last, or the first one after it that can be reached.
Result<PooledClient::Reached> PooledClient::reach(Deadline deadline) {
  const std::size_t places = 1 + target_.others.size();
  std::size_t at = 0;
  std::optional<Error> first;
  for (std::size_t tried = 0; tried < places; ++tried) {
    std::unique_ptr<Connection> connection;
    {
      const std::lock_guard lock(mutex_);
      if (!context_) return fail(context_.error());
      if (tried == 0) at = place_;
      connection = make(**context_);
    }
    const Target::Place place = at == 0 ? Target::Place{target_.host, target_.port} : target_.others[at - 1];
    // A place that is silent leaves time for those after it.
    const Deadline share = deadline.sooner_of(deadline.remaining() / static_cast<int>(places - tried));
    const auto opened = connection->open(place.host, place.port, share);
    if (opened) {
      const std::lock_guard lock(mutex_);
      place_ = at;
      return Reached{.connection = std::move(connection), .place = place};
    }
    if (!first) first = opened.error();
    at = (at + 1) % places;
  }
  return fail(*first);
}

Result<std::unique_ptr<Connection>> PooledClient::dial(Deadline deadline) {
  std::shared_ptr<const Chaining> chaining;
  {
    const std::lock_guard lock(mutex_);
    chaining = chaining_;
  }
  ASSIGN_OR_RETURN(Reached reached, reach(deadline));
  std::unique_ptr<Connection> connection = std::move(reached.connection);
  if (stapled_) {
    if (const Bytes response = connection->stapled(); !response.empty()) stapled_(connection->server_certificate(), response);
  }
  TRY(check_status(*connection, deadline));
  if (!chaining) return Result<std::unique_ptr<Connection>>(std::move(connection));
  auto after = followed(chaining->next, *connection, reached.place, deadline);
  if (after || chaining->need == ChainNeed::required) return after;
  if (chaining->fallen_back) chaining->fallen_back(after.error());
  // What the attempt left of it may be no connection any more.
  return connection->is_open() ? Result<std::unique_ptr<Connection>>(std::move(connection)) : Result<std::unique_ptr<Connection>>(fail(after.error()));
}

/// Asks at the first use of a connection, and again when the last answer is older than status_recheck.
Result<void> PooledClient::check_status(Connection& connection, Deadline deadline) const {
  if (!status_) return {};
  if (connection.status_good_at && steady::now() - *connection.status_good_at < status_recheck) return {};
  const Result<void> good = status_(connection.server_certificate(), deadline);
  if (good) {
    connection.status_good_at = steady::now();
    return {};
  }
  const ErrorCode code = good.error().code;
  const bool unknown = code == ErrorCode::unavailable || code == ErrorCode::deadline_exceeded;
  return fail(unknown ? code : ErrorCode::unauthenticated, "server certificate's status: " + good.error().message);
}

bool PooledClient::is_too_old(const Connection& connection, steady::time_point now) const {
  return chaining_ && now - connection.dialled_at >= chaining_->age_max;
}

std::unique_ptr<Connection> PooledClient::take_idle() {
  std::vector<std::unique_ptr<Connection>> old;  // closed after the lock is released
  const std::lock_guard lock(mutex_);
  const steady::time_point now = steady::now();
  const UnixMs today = SystemClock().now_ms();
  while (!idle_.empty()) {
    std::unique_ptr<Connection> connection = std::move(idle_.back());
    idle_.pop_back();
    const bool holds = connection->server_certificate().not_after() > today;
    if (holds && now - connection->idle_since < idle_kept_for && !is_too_old(*connection, now) && connection->is_open()) return connection;
    old.push_back(std::move(connection));
  }
  return nullptr;
}

Result<void> PooledClient::show(const TlsIdentity& identity) {
  ASSIGN_OR_RETURN(TlsContext context, context_showing(&identity));
  std::vector<std::unique_ptr<Connection>> dropped;  // closed after the lock is released
  const std::lock_guard lock(mutex_);
  context_ = std::move(context);  // connections hold the former one for as long as they live
  ++generation_;
  dropped.swap(idle_);
  return {};
}

void PooledClient::drop_servers(const std::function<bool(const crypto::Certificate&)>& unwanted) {
  std::vector<std::unique_ptr<Connection>> dropped;  // closed after the lock is released
  const std::lock_guard lock(mutex_);
  ++generation_;
  std::vector<std::unique_ptr<Connection>> kept;
  for (std::unique_ptr<Connection>& connection : idle_) {
    connection->generation = generation_;
    (unwanted(connection->server_certificate()) ? dropped : kept).push_back(std::move(connection));
  }
  idle_ = std::move(kept);
}

void PooledClient::give_back(std::unique_ptr<Connection> connection) {
  connection->idle_since = steady::now();
  std::unique_ptr<Connection> oldest;
  const std::lock_guard lock(mutex_);
  // It was in use when others were dropped (its certificate was not looked at), or has served its time.
  if (connection->generation != generation_ || is_too_old(*connection, connection->idle_since)) {
    oldest = std::move(connection);
    return;
  }
  if (idle_.size() >= idle_connections_max || (!idle_.empty() && connection->idle_since - idle_.front()->idle_since >= idle_kept_for)) {
    oldest = std::move(idle_.front());
    idle_.erase(idle_.begin());
  }
  idle_.push_back(std::move(connection));
}

}  // namespace

std::unique_ptr<Client> Client::create(Target target, const std::shared_ptr<const TlsIdentity>& identity, std::shared_ptr<const crypto::TrustStore> trust,
                                       StatusCheck status, StapleSink stapled) {
  CHECK(trust != nullptr);
  return std::make_unique<PooledClient>(std::move(target), identity, std::move(trust), std::move(status), std::move(stapled));
}

}  // namespace qanat::net
