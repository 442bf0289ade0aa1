#include "net/connection.hpp"

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "base/check.hpp"
#include "net/asio_terms.hpp"
#include "net/routes.hpp"
#include "net/secret_field.hpp"

namespace qanat::net {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

namespace {


using ParserBody = http::vector_body<std::uint8_t>;
using RequestBody = http::span_body<const std::uint8_t>;

beast::string_view text_for_beast(std::string_view text) { return {text.data(), text.size()}; }

/// A second owner of the client's context, as Asio's type: every connection has its own, the OpenSSL object is one.
asio::ssl::context shared_context(SSL_CTX& context) {
  CHECK(SSL_CTX_up_ref(&context) == 1);
  return asio::ssl::context(&context);
}

class TlsConnection final : public Connection {
 public:
  TlsConnection(SSL_CTX& context, const crypto::TrustStore& trust, const Identity& expected) : context_(shared_context(context)), stream_(io_, context_) {
    check_.trust = &trust;
    check_.expected = expected;
    attach(stream_.native_handle(), &check_);
    buffer_.max_size(response_head_max + read_chunk);
  }

  Result<void> open(const std::string& host, std::uint16_t port, Deadline deadline) override;
  Result<void> open_chained(const std::string& host, std::uint16_t port, const ChainedKey& key, const crypto::Certificate& server, Deadline deadline) override;
  [[nodiscard]] Secret exporter() override { return chain_exporter(stream_.native_handle()); }
  [[nodiscard]] const crypto::Certificate& server_certificate() const override {
    CHECK(check_.certificate.has_value());
    return *check_.certificate;
  }
  [[nodiscard]] Bytes stapled() override { return stapled_status(stream_.native_handle()); }
  Exchanged exchange(const Call& call, Deadline deadline) override;
  [[nodiscard]] bool is_open() override;

 private:
  using Parser = http::response_parser<ParserBody>;

  asio::awaitable<error_code> connect(const std::string& host, std::uint16_t port);
  asio::awaitable<error_code> send_and_receive(http::request<RequestBody>& request, Parser& parser);
  std::optional<error_code> run(asio::awaitable<error_code> work, Deadline deadline);
  [[nodiscard]] Error failure(error_code error) const;

  asio::io_context io_{1};
  asio::ssl::context context_;
  asio::ssl::stream<tcp::socket> stream_;
  beast::flat_buffer buffer_;
  PeerCheck check_;
};

/// Runs the coroutine on this thread. Nothing if the deadline came first: the socket is then closed.
std::optional<error_code> TlsConnection::run(asio::awaitable<error_code> work, Deadline deadline) {
  std::optional<error_code> out;
  io_.restart();
  asio::co_spawn(io_, std::move(work), [&out](const std::exception_ptr& thrown, error_code error) {
    // Nothing on the path throws but the allocator.
    out = thrown ? make_error_code(boost::system::errc::not_enough_memory) : error;
  });
  io_.run_until(deadline.at());
  if (out) return out;
  error_code ignored;
  stream_.next_layer().close(ignored);
  io_.restart();
  io_.run();  // the coroutine ends with an aborted operation
  return std::nullopt;
}

Result<void> TlsConnection::open(const std::string& host, std::uint16_t port, Deadline deadline) {
  const std::optional<error_code> error = run(connect(host, port), deadline);
  if (!error) return fail(ErrorCode::deadline_exceeded, "no connection to " + host + ':' + std::to_string(port) + " before the deadline");
  if (*error) return fail_in(host + ':' + std::to_string(port), failure(*error));
  return {};
}

Result<void> TlsConnection::open_chained(const std::string& host, std::uint16_t port, const ChainedKey& key, const crypto::Certificate& server,
                                         Deadline deadline) {
  check_.proves = &key;
  prove_chained(stream_.native_handle());
  const Result<void> opened = open(host, port, deadline);
  check_.proves = nullptr;
  TRY(opened);
  if (!is_chained(stream_.native_handle())) return fail(ErrorCode::unauthenticated, "the server does not know the chained key");
  check_.certificate = server;
  return {};
}

asio::awaitable<error_code> TlsConnection::connect(const std::string& host, std::uint16_t port) {
  tcp::socket& socket = stream_.next_layer();
  error_code error;
  const asio::ip::address address = asio::ip::make_address(host, error);
  if (!error) {
    std::tie(error) = co_await socket.async_connect(tcp::endpoint(address, port), as_result);
  } else {
    tcp::resolver resolver(io_);
    const auto [unresolved, endpoints] = co_await resolver.async_resolve(host, std::to_string(port), as_result);
    if (unresolved) co_return unresolved;
    tcp::endpoint chosen;
    std::tie(error, chosen) = co_await asio::async_connect(socket, endpoints, as_result);
  }
  if (error) co_return error;
  socket.set_option(tcp::no_delay(true), error);
  std::tie(error) = co_await stream_.async_handshake(asio::ssl::stream_base::client, as_result);
  co_return error;
}

Exchanged TlsConnection::exchange(const Call& call, Deadline deadline) {
  http::request<RequestBody> request;
  request.version(11);
  request.method_string(text_for_beast(call.method));
  request.target(call.query.empty() ? call.path : call.path + '?' + call.query);
  request.set(http::field::host, check_.expected->name);
  request.set(text_for_beast(deadline_header), std::to_string(deadline.remaining().count()));
  if (!call.request_id.empty()) request.set(text_for_beast(request_id_header), call.request_id);
  if (!call.content_type.empty()) request.set(http::field::content_type, call.content_type);
  if (call.authorization != nullptr) request.set(http::field::authorization, text_for_beast(as_text(call.authorization->reveal())));
  request.body() = {call.body.data(), call.body.size()};
  request.prepare_payload();

  Parser parser;
  parser.header_limit(response_head_max);
  parser.body_limit(response_body_max);
  if (call.method == "HEAD") parser.skip(true);
  const std::optional<error_code> error = run(send_and_receive(request, parser), deadline);
  if (call.authorization != nullptr) wipe_field(request, http::field::authorization);
  if (!error) return {.answer = fail(ErrorCode::deadline_exceeded, "no answer before the deadline")};
  if (*error) return {.answer = fail(failure(*error)), .untouched = !parser.got_some() && buffer_.size() == 0, .keep = false};
  const bool keep = parser.keep_alive() && buffer_.size() == 0;
  auto& message = parser.get();
  const beast::string_view type = message[http::field::content_type];
  return {.answer = Response{.status = message.result_int(), .content_type = std::string(type.data(), type.size()), .body = std::move(message.body())},
          .untouched = false,
          .keep = keep};
}

asio::awaitable<error_code> TlsConnection::send_and_receive(http::request<RequestBody>& request, Parser& parser) {
  http::request_serializer<RequestBody> serializer(request);
  // A failure to send is not looked at: a server may refuse a request before it has read all of it, and its answer, or its alert, is
  // worth more than our broken pipe.
  static_cast<void>(co_await http::async_write(stream_, serializer, as_result));
  const auto [error, received] = co_await http::async_read(stream_, buffer_, parser, as_result);
  co_return error;
}

/// Whose fault it was, in the words of client.hpp.
Error TlsConnection::failure(error_code error) const {
  if (check_.refused) return {ErrorCode::unauthenticated, "server refused: " + check_.refused->message};
  if (error.category() == asio::error::get_ssl_category()) {
    return {ErrorCode::unavailable, "TLS: " + tls_reason(static_cast<unsigned long>(error.value()))};
  }
  if (error == http::error::body_limit) return {ErrorCode::unavailable, "the answer is over " + std::to_string(response_body_max) + " octets"};
  return {ErrorCode::unavailable, error.message()};
}

bool TlsConnection::is_open() {
  char octet = 0;
  const ssize_t seen = ::recv(stream_.next_layer().native_handle(), &octet, 1, MSG_PEEK | MSG_DONTWAIT);
  // Nothing may come unasked (no session tickets here): an octet is a close_notify, zero is the end.
  return seen < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace

std::unique_ptr<Connection> make_connection(SSL_CTX& context, const crypto::TrustStore& trust, const Identity& expected) {
  return std::make_unique<TlsConnection>(context, trust, expected);
}

}  // namespace qanat::net
