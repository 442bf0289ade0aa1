#include "net/session.hpp"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "net/asio_terms.hpp"
#include "net/await_worker.hpp"
#include "net/secret_field.hpp"
#include "net/tls_context.hpp"
#include "net/watch.hpp"

namespace qanat::net {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using steady = std::chrono::steady_clock;

namespace {

constexpr std::size_t linger_octets_max = 1024 * 1024;        // of a refused body, read and dropped before the close
constexpr std::chrono::milliseconds linger_max{1000};         // the same in time
constexpr std::chrono::milliseconds notify_max{2};            // for a close_notify, which needs no answer (RFC 8446 §6.1), to leave
constexpr std::chrono::milliseconds record_wait_max{2000};    // an answer waits this long for its refusal's record
constexpr unsigned status_unauthorized = 401;
constexpr unsigned status_request_timeout = 408;
constexpr unsigned status_content_too_large = 413;
constexpr unsigned status_head_too_large = 431;               // RFC 6585 §5

using Body = http::vector_body<std::uint8_t>;
using Parser = http::request_parser<Body>;

/// True for octets that are no HTTP message, false for a connection that ended.
bool is_malformed(error_code error) {
  return error.category() == make_error_code(http::error::bad_method).category() && error != http::error::end_of_stream &&
         error != http::error::partial_message;
}

enum class After : unsigned char {
  keep,
  close,
  linger,  // close, but the peer may still be sending: see say_goodbye()
};

/// What a handler made of a request; `thrown` is what() of an exception that it let out.
struct Answer {
  Response response;
  std::string thrown;
};

/// A request on its way through the checks.
struct Exchange {
  Parser parser;
  const Route* route = nullptr;
  std::string request_id;
  Deadline deadline{steady::time_point{}};
  steady::duration head_took{};
};

Answer answer_of(const Route& route, const Request& request) {
  if (request.deadline.passed()) {
    return {.response = error_response({ErrorCode::deadline_exceeded, route.point + ": the deadline passed in the queue"}), .thrown = ""};
  }
  // The one place where an exception of a handler ends: it must cost its request, not the element.
  try {
    Result<Response> answer = route.answer(request);
    return {.response = answer ? std::move(*answer) : error_response(answer.error()), .thrown = ""};
  } catch (const std::exception& exception) {
    return {.response = error_response({ErrorCode::internal, route.point + ": internal error"}), .thrown = exception.what()};
  }
}

class TlsSession final : public Session {
 public:
  TlsSession(Served& served, tcp::socket socket, std::string address) : served_(served), stream_(std::move(socket), served.tls), watch_(stream_.next_layer()) {
    peer_.address = std::move(address);
    check_.trust = served.trust.get();
    check_.chained = served.chained;
    attach(stream_.native_handle(), &check_);
    buffer_.max_size(served.limits.head_max + read_chunk);
  }

  asio::awaitable<void> run() override;

  void finish() override {
    finishing_ = true;
    error_code ignored;
    if (!busy_) socket().shutdown(tcp::socket::shutdown_receive, ignored);  // lasting: whatever it waits for, run() goes on to its end
  }

  [[nodiscard]] const crypto::Certificate* certificate() const override { return peer_.certificate ? &*peer_.certificate : nullptr; }

  void close() override {
    closed_ = true;
    error_code ignored;
    socket().close(ignored);
    watch_.stop();
    if (waiting_ != nullptr) waiting_->cancel();
  }

 private:
  tcp::socket& socket() { return stream_.next_layer(); }

  template <class T>
  asio::awaitable<Awaited<T>> on_worker(Workers& workers, std::move_only_function<T()> work, steady::time_point until) {
    return await_worker<T>(served_.io, workers, std::move(work), until, &waiting_);
  }
  asio::awaitable<void> refuse(std::string point, std::string reason, ErrorCode code);

  asio::awaitable<bool> handshake();
  asio::awaitable<After> serve_one();
  asio::awaitable<std::optional<After>> read_head(Exchange& exchange);
  asio::awaitable<std::optional<Rejection>> admit(Exchange& exchange);
  std::optional<Rejection> read_headers(Exchange& exchange);
  asio::awaitable<std::optional<Rejection>> check_status(const Exchange& exchange);
  asio::awaitable<std::optional<Rejection>> read_body(Exchange& exchange);
  asio::awaitable<void> continue_if_expected(const Exchange& exchange);
  asio::awaitable<Response> answer(Exchange& exchange);
  asio::awaitable<After> reply_rejected(const Exchange& exchange, const Rejection& rejection, After after);
  asio::awaitable<After> reply(const Exchange& exchange, Response response, std::string_view allow, After after);
  asio::awaitable<void> say_goodbye(After after);

  Served& served_;
  asio::ssl::stream<tcp::socket> stream_;
  beast::flat_buffer buffer_;
  Peer peer_;
  PeerCheck check_;
  std::optional<steady::time_point> status_good_at_;
  bool status_refused_ = false;

  Watch watch_;
  asio::steady_timer* waiting_ = nullptr;  // while a worker has something of ours
  bool busy_ = false;       // a request has been read and is not answered yet
  bool finishing_ = false;
  bool closed_ = false;
};

/// To the sink, before the peer learns of it.
asio::awaitable<void> TlsSession::refuse(std::string point, std::string reason, ErrorCode code) {
  if (!served_.refused) co_return;
  std::string who = peer_.address;
  if (check_.certificate && check_.certificate->names().element) who = check_.certificate->names().element->uri();
  const Refusal refusal{.point = std::move(point), .peer = std::move(who), .reason = std::move(reason), .code = code};
  std::move_only_function<bool()> work = [&sink = served_.refused, refusal] {
    sink(refusal);
    return true;
  };
  const auto recorded = co_await on_worker<bool>(served_.recorder, std::move(work), steady::now() + record_wait_max);
  if (recorded.state == WorkState::full) served_.refused(refusal);
}

asio::awaitable<void> TlsSession::run() {
  error_code ignored;
  socket().set_option(tcp::no_delay(true), ignored);
  if (!co_await handshake()) co_return close();
  After after = After::keep;
  while (after == After::keep && !closed_ && !finishing_) after = co_await serve_one();
  co_await say_goodbye(after);
  close();
}

asio::awaitable<bool> TlsSession::handshake() {
  watch_.start(served_.limits.handshake_max, Expiry::close);
  const auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::server, as_result);
  if (watch_.stop() || closed_) co_return false;
  if (!error && is_chained(stream_.native_handle())) {
    CHECK(check_.found.has_value());
    check_.certificate = std::move(check_.found->peer);
    check_.found.reset();
    peer_.chained = true;
    if (!served_.chained->use(check_.identity)) {
      co_await refuse("", "handshake: its chained key was used by another connection", ErrorCode::denied);
      co_return false;
    }
  } else if (!error && check_.certificate) {
    peer_.exporter = std::make_shared<const Secret>(chain_exporter(stream_.native_handle()));
  }
  if (!error) {
    peer_.certificate = check_.certificate;
    if (check_.certificate) peer_.identity = check_.certificate->names().element;
    co_return true;
  }
  if (check_.refused) {
    co_await refuse("", "handshake: " + check_.refused->message, check_.refused->code);
  } else if (error.category() == asio::error::get_ssl_category()) {
    co_await refuse("", "handshake: " + tls_reason(static_cast<unsigned long>(error.value())), ErrorCode::unauthenticated);
  } else {
    co_return false;  // it left
  }
  co_await say_goodbye(After::linger);  // so that the alert which tells the peer why arrives
  co_return false;
}

/// One request and its answer. `close` also when the peer has gone.
asio::awaitable<After> TlsSession::serve_one() {
  Exchange exchange;
  if (const auto ended = co_await read_head(exchange)) co_return *ended;
  busy_ = true;
  std::optional<Rejection> rejection = co_await admit(exchange);
  if (closed_) co_return After::close;
  After after = finishing_ || !exchange.parser.keep_alive() || status_refused_ ? After::close : After::keep;
  if (!exchange.parser.is_done()) after = After::linger;
  if (rejection) {
    after = co_await reply_rejected(exchange, *rejection, after);
  } else {
    Response response = co_await answer(exchange);
    if (finishing_) after = After::close;
    after = co_await reply(exchange, std::move(response), "", after);
  }
  busy_ = false;
  co_return after;
}

/// Something if there is no request: the peer left, or its head was refused (and that was said).
asio::awaitable<std::optional<After>> TlsSession::read_head(Exchange& exchange) {
  exchange.parser.header_limit(static_cast<std::uint32_t>(served_.limits.head_max));
  exchange.parser.body_limit(boost::none);  // the route's limit takes its place once the route is known
  if (buffer_.size() == 0) {
    watch_.start(served_.limits.idle_max, Expiry::end_reading);
    const auto [error, size] = co_await stream_.async_read_some(buffer_.prepare(read_chunk), as_result);
    if (watch_.stop() || error) co_return After::close;
    buffer_.commit(size);
  }
  const steady::time_point first_octet = steady::now();
  watch_.start(served_.limits.head_and_body_max, Expiry::end_reading);
  const auto [error, size] = co_await http::async_read_header(stream_, buffer_, exchange.parser, as_result);
  const bool slow = watch_.stop();
  exchange.head_took = steady::now() - first_octet;
  if (!error) co_return std::nullopt;
  if (closed_) co_return After::close;
  std::optional<Rejection> rejection;
  if (slow) {
    rejection = reject(status_request_timeout, ErrorCode::deadline_exceeded, "the request's head took too long");
  } else if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    rejection = reject(status_head_too_large, ErrorCode::invalid_argument, "the request's head is over " + std::to_string(served_.limits.head_max) + " octets");
  } else if (is_malformed(error)) {
    rejection = reject(Error{ErrorCode::invalid_argument, "not an HTTP/1.1 request: " + error.message()});
  }
  if (!rejection) co_return After::close;
  exchange.request_id = request_id_from("");
  co_return co_await reply_rejected(exchange, *rejection, After::linger);
}

/// The checks of server.hpp in their order; nothing if the request may go to its handler, its body read.
asio::awaitable<std::optional<Rejection>> TlsSession::admit(Exchange& exchange) {
  if (auto rejection = read_headers(exchange)) co_return rejection;
  if (auto rejection = refuse_caller(*exchange.route, peer_)) co_return rejection;
  if (auto rejection = co_await check_status(exchange)) co_return rejection;
  if (auto rejection = refuse_type(*exchange.route, text_of(exchange.parser.get()[http::field::content_type]))) co_return rejection;
  co_return co_await read_body(exchange);
}

std::optional<Rejection> TlsSession::read_headers(Exchange& exchange) {
  const auto& head = exchange.parser.get();
  exchange.request_id = request_id_from(text_of(head[beast::string_view(request_id_header.data(), request_id_header.size())]));
  if (head.count(http::field::authorization) > 1) return reject(Error{ErrorCode::invalid_argument, "more than one Authorization field"});
  const std::string_view target = text_of(head.target());
  if (!target.starts_with('/')) return reject(Error{ErrorCode::invalid_argument, "the request target is not a path"});
  const auto found = served_.routes.find(text_of(head.method_string()), target.substr(0, target.find('?')));
  if (!found) return found.error();
  exchange.route = *found;
  const std::string_view granted = text_of(head[beast::string_view(deadline_header.data(), deadline_header.size())]);
  const auto span = granted_time(granted, served_.limits.request_max);
  if (!span) return reject(span.error());
  exchange.deadline = Deadline::after(*span);
  return std::nullopt;
}

asio::awaitable<std::optional<Rejection>> TlsSession::check_status(const Exchange& exchange) {
  if (peer_.certificate && peer_.certificate->not_after() <= SystemClock().now_ms()) {  // it held when the connection was opened
    status_refused_ = true;
    co_return reject(Error{ErrorCode::denied, "the certificate has expired since the connection was opened"});
  }
  if (!served_.status || !peer_.certificate) co_return std::nullopt;
  if (status_good_at_ && steady::now() - *status_good_at_ < status_recheck) co_return std::nullopt;
  std::move_only_function<Result<void>()> work = [&status = served_.status, certificate = *peer_.certificate, deadline = exchange.deadline] {
    return status(certificate, deadline);
  };
  const auto checked = co_await on_worker<Result<void>>(served_.handlers, std::move(work), exchange.deadline.at());
  if (checked.state == WorkState::full) co_return reject(Error{ErrorCode::exhausted, "too many requests wait"});
  if (checked.state == WorkState::late) co_return reject(Error{ErrorCode::deadline_exceeded, "the certificate's status was not known in time"});
  if (*checked.value) {
    status_good_at_ = steady::now();
    co_return std::nullopt;
  }
  const Error& error = checked.value->error();
  const bool unknown = error.code == ErrorCode::unavailable || error.code == ErrorCode::deadline_exceeded;
  if (unknown && exchange.route->unknown_status == UnknownStatus::passed_on) co_return std::nullopt;
  status_refused_ = true;
  co_return reject(Error{unknown ? ErrorCode::unavailable : ErrorCode::denied, "certificate status: " + error.message});
}

asio::awaitable<std::optional<Rejection>> TlsSession::read_body(Exchange& exchange) {
  const std::size_t limit = exchange.route->request_type.empty() ? 0 : exchange.route->body_max;
  const auto too_large = [&] {
    return reject(status_content_too_large, ErrorCode::invalid_argument, exchange.route->point + " takes at most " + std::to_string(limit) + " octets");
  };
  if (exchange.parser.content_length().value_or(0) > limit) co_return too_large();
  if (exchange.parser.is_done()) co_return std::nullopt;
  exchange.parser.body_limit(limit);  // bounds a chunked body
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(served_.limits.head_and_body_max - exchange.head_took);
  watch_.start(std::max(left, std::chrono::milliseconds(0)), Expiry::end_reading);
  co_await continue_if_expected(exchange);
  const auto [error, size] = co_await http::async_read(stream_, buffer_, exchange.parser, as_result);
  const bool slow = watch_.stop();
  if (!error) co_return std::nullopt;
  if (slow) co_return reject(status_request_timeout, ErrorCode::deadline_exceeded, "the request's body took too long");
  if (error == http::error::body_limit) co_return too_large();
  if (!is_malformed(error)) closed_ = true;  // the peer has gone
  co_return reject(Error{ErrorCode::invalid_argument, "the request's body: " + error.message()});
}

/// RFC 9110 §10.1.1: a client that announced it waits for a sign before it sends its body.
asio::awaitable<void> TlsSession::continue_if_expected(const Exchange& exchange) {
  if (!beast::iequals(exchange.parser.get()[http::field::expect], "100-continue")) co_return;
  static constexpr std::string_view sign = "HTTP/1.1 100 Continue\r\n\r\n";
  static_cast<void>(co_await asio::async_write(stream_, asio::buffer(sign), as_result));  // if it fails, so will the read that follows
}

asio::awaitable<Response> TlsSession::answer(Exchange& exchange) {
  auto& message = exchange.parser.get();
  const std::string_view target = text_of(message.target());
  const std::size_t question = target.find('?');
  const Route& route = *exchange.route;
  auto authorization = take_field(message, http::field::authorization);
  Request request{.method = std::string(text_of(message.method_string())),
                  .path = std::string(target.substr(0, question)),
                  .query = question == std::string_view::npos ? std::string() : std::string(target.substr(question + 1)),
                  .content_type = std::string(text_of(message[http::field::content_type])),
                  .body = std::move(message.body()),
                  .deadline = exchange.deadline,
                  .peer = peer_,
                  .request_id = exchange.request_id,
                  .authorization = authorization ? std::make_shared<const Secret>(*std::move(authorization)) : nullptr};
  std::move_only_function<Answer()> work = [&route, request = std::move(request)]() mutable {
    Answer out = answer_of(route, request);
    wipe(request.body);  // some hold plaintexts
    return out;
  };
  auto answered = co_await on_worker<Answer>(served_.handlers, std::move(work), exchange.deadline.at());
  if (answered.state == WorkState::full) {
    const Error error{ErrorCode::exhausted, "too many requests wait"};
    co_await refuse(route.point, error.message, error.code);
    co_return error_response(error);
  }
  if (answered.state == WorkState::late) co_return error_response({ErrorCode::deadline_exceeded, route.point + ": no answer before the deadline"});
  if (!answered.value->thrown.empty()) co_await refuse(route.point, "the handler threw: " + answered.value->thrown, ErrorCode::internal);
  co_return std::move(answered.value->response);
}

asio::awaitable<After> TlsSession::reply_rejected(const Exchange& exchange, const Rejection& rejection, After after) {
  co_await refuse(exchange.route != nullptr ? exchange.route->point : "", rejection.error.message, rejection.error.code);
  co_return co_await reply(exchange, response_of(rejection), rejection.allow, after);
}

asio::awaitable<After> TlsSession::reply(const Exchange& exchange, Response response, std::string_view allow, After after) {
  const auto field = [](std::string_view text) { return beast::string_view(text.data(), text.size()); };
  http::response<Body> message;
  message.version(11);
  message.result(response.status);
  if (!response.content_type.empty()) message.set(http::field::content_type, response.content_type);
  message.set(http::field::cache_control, "no-store");
  message.set(field(request_id_header), exchange.request_id);
  if (!allow.empty()) message.set(http::field::allow, field(allow));
  if (response.status == status_unauthorized && exchange.route != nullptr && !exchange.route->challenge.empty()) {
    message.set(http::field::www_authenticate, field(exchange.route->challenge));
  }
  message.body() = response.secret ? to_bytes(response.secret->reveal()) : std::move(response.body);
  message.prepare_payload();
  message.keep_alive(after == After::keep);
  http::response_serializer<Body> serializer(message);
  watch_.start(served_.limits.head_and_body_max, Expiry::close);
  // RFC 9110 §9.3.2: an answer to HEAD has the fields of the one to GET, Content-Length too, and no content.
  const bool head_only = exchange.parser.is_header_done() && exchange.parser.get().method() == http::verb::head;
  const auto [error, size] = head_only ? co_await http::async_write_header(stream_, serializer, as_result)
                                       : co_await http::async_write(stream_, serializer, as_result);
  if (response.secret) wipe(message.body());
  if (watch_.stop() || error) {
    close();
    co_return After::close;
  }
  co_return after;
}

/// close_notify. Where the peer may still be sending, that is then read and dropped for a while: closing a socket with unread octets
/// resets the connection, and the peer would lose the answer or alert that says why.
asio::awaitable<void> TlsSession::say_goodbye(After after) {
  if (closed_) co_return;
  watch_.start(after == After::linger ? linger_max : notify_max, Expiry::close);
  if (!SSL_in_init(stream_.native_handle())) static_cast<void>(co_await stream_.async_shutdown(as_result));
  error_code ignored;
  socket().shutdown(tcp::socket::shutdown_send, ignored);
  std::array<std::uint8_t, 4096> dropped;
  for (std::size_t total = 0; after == After::linger && total < linger_octets_max;) {
    const auto [error, size] = co_await socket().async_read_some(asio::buffer(dropped), as_result);
    if (error) break;
    total += size;
  }
  watch_.stop();
}

}  // namespace

void record(Served& served, const Refusal& refusal) {
  if (!served.refused) return;
  if (!served.recorder.submit([&sink = served.refused, refusal] { sink(refusal); })) served.refused(refusal);
}

std::shared_ptr<Session> make_session(Served& served, tcp::socket socket, std::string address) {
  return std::make_shared<TlsSession>(served, std::move(socket), std::move(address));
}

}  // namespace qanat::net
