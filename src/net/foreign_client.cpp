#include "net/foreign_client.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/beast/http.hpp>
#include <charconv>

#include "net/foreign_tls.hpp"
#include "net/routes.hpp"

namespace qanat::net {

namespace http = boost::beast::http;

namespace {

constexpr std::size_t answer_max = 1024 * 1024;
constexpr std::size_t buffer_size = 32 * 1024;
constexpr std::size_t body_reserve = 256 * 1024;
constexpr std::size_t url_max = 2048;

class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  [[nodiscard]] int get() const { return descriptor_; }
  /// deadline_exceeded if it is not ready in time.
  Result<void> await(short events, Deadline deadline) const {
    pollfd wait{.fd = descriptor_, .events = events, .revents = 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(deadline.remaining().count()));
    if (ready > 0) return {};
    return fail(ready == 0 ? ErrorCode::deadline_exceeded : ErrorCode::unavailable, "no answer before the deadline");
  }

 private:
  int descriptor_;
};

Result<std::unique_ptr<Socket>> dial(const ForeignUrl& url, Deadline deadline) {
  addrinfo wanted{};
  wanted.ai_family = AF_INET;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string where = url.host + ':' + std::to_string(url.port);
  if (::getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &wanted, &found) != 0) return fail(ErrorCode::unavailable, where + ": not found");
  const std::unique_ptr<addrinfo, decltype([](addrinfo* list) { ::freeaddrinfo(list); })> owner(found);
  auto socket = std::make_unique<Socket>(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(socket->get(), found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) return fail(ErrorCode::unavailable, where + ": no connection");
  TRY(socket->await(POLLOUT, deadline));
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(socket->get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return fail(ErrorCode::unavailable, where + ": no connection");
  return Result<std::unique_ptr<Socket>>(std::move(socket));
}

class OneCall {
 public:
  OneCall(SSL_CTX* context, const ForeignUrl& url, Deadline deadline) : ssl_(SSL_new(context)), url_(url), deadline_(deadline) { attach(ssl_.get(), &check_); }

  Result<void> open() {
    ASSIGN_OR_RETURN(socket_, dial(url_, deadline_));
    in_addr address{};
    X509_VERIFY_PARAM* const parameters = SSL_get0_param(ssl_.get());
    const bool numeric = ::inet_pton(AF_INET, url_.host.c_str(), &address) == 1;
    const bool named = numeric ? X509_VERIFY_PARAM_set1_ip_asc(parameters, url_.host.c_str()) == 1
                               : SSL_set1_host(ssl_.get(), url_.host.c_str()) == 1 && SSL_set_tlsext_host_name(ssl_.get(), url_.host.c_str()) == 1;
    if (!named || SSL_set_fd(ssl_.get(), socket_->get()) != 1) return fail(ErrorCode::internal, "tls: the connection cannot be set up");
    TRY(step([&] { return SSL_connect(ssl_.get()); }));
    return {};
  }
  Result<void> send(ByteView octets) {
    while (!octets.empty()) {
      ASSIGN_OR_RETURN(const int size, step([&] { return SSL_write(ssl_.get(), octets.data(), static_cast<int>(octets.size())); }));
      octets = octets.subspan(static_cast<std::size_t>(size));
    }
    return {};
  }
  Result<Response> receive() {
    http::response_parser<http::vector_body<std::uint8_t>> parser;
    parser.body_limit(answer_max);
    parser.eager(true);
    // An answer may hold keys: what it passes through is wiped, and its body does not grow out of one place into the next.
    parser.get().body().reserve(body_reserve);
    Secret buffer(buffer_size);
    const std::span<std::uint8_t> octets = buffer.writable();
    std::size_t filled = 0;
    while (!parser.is_done()) {
      if (filled == octets.size()) return fail(ErrorCode::unavailable, "the answer's head is too large");
      ASSIGN_OR_RETURN(const int size, step([&] { return SSL_read(ssl_.get(), octets.data() + filled, static_cast<int>(octets.size() - filled)); }));
      filled += static_cast<std::size_t>(size);
      boost::system::error_code error;
      const std::size_t used = parser.put(boost::asio::const_buffer(octets.data(), filled), error);
      if (error && error != http::error::need_more) return fail(ErrorCode::unavailable, "the answer is no HTTP: " + error.message());
      std::ranges::copy(octets.subspan(used, filled - used), octets.begin());
      filled -= used;
    }
    auto& message = parser.get();
    const auto type = message[http::field::content_type];
    return Response{.status = message.result_int(), .content_type = std::string(type.data(), type.size()), .body = std::move(message.body())};
  }

 private:
  template <class Act>
  Result<int> step(Act act) {
    while (true) {
      ERR_clear_error();
      const int result = act();
      if (result > 0) return result;
      const int error = SSL_get_error(ssl_.get(), result);
      if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        TRY(socket_->await(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline_));
        continue;
      }
      if (check_.refused) return fail(ErrorCode::unauthenticated, "server refused: " + check_.refused->message);
      const unsigned long code = ERR_peek_last_error();
      ERR_clear_error();
      return fail(ErrorCode::unavailable, code != 0 ? "TLS: " + tls_reason(code) : "the server closed the connection");
    }
  }

  std::unique_ptr<SSL, decltype([](SSL* ssl) { SSL_free(ssl); })> ssl_;
  ForeignPeerCheck check_;
  const ForeignUrl& url_;
  Deadline deadline_;
  std::unique_ptr<Socket> socket_;
};

class TlsForeignClient final : public ForeignClient {
 public:
  explicit TlsForeignClient(TlsContext context) : context_(std::move(context)) {}

  Result<Response> call(std::string_view method, const ForeignUrl& url, std::string_view content_type, ByteView body, Deadline deadline) override {
    if (!is_visible_text(method) || !is_visible_text(content_type)) return fail(ErrorCode::invalid_argument, "client: method or content type is none");
    OneCall call(context_.get(), url, deadline);
    TRY(call.open());
    std::string head = std::string(method) + ' ' + url.path + " HTTP/1.1\r\nHost: " + url.host + (url.port == 443 ? std::string() : ":" + std::to_string(url.port)) +
                       "\r\nConnection: close\r\nContent-Length: " +
                       std::to_string(body.size()) + "\r\n";
    if (!content_type.empty()) head.append("Content-Type: ").append(content_type).append("\r\n");
    head += "\r\n";
    TRY(call.send(as_bytes(head)));
    TRY(call.send(body));
    return call.receive();
  }

 private:
  const TlsContext context_;
};

}  // namespace

Result<ForeignUrl> ForeignUrl::parse(std::string_view text) {
  constexpr std::string_view scheme = "https://";
  const auto bad = [] { return fail(ErrorCode::invalid_argument, "not an address https://host[:port]/path"); };
  if (text.size() > url_max || !text.starts_with(scheme) || !is_visible_text(text) || text.contains('#') || text.contains('@')) return bad();
  text.remove_prefix(scheme.size());
  const std::string_view authority = text.substr(0, text.find('/'));
  ForeignUrl out{.host = std::string(authority.substr(0, authority.find(':'))), .port = 443, .path = std::string(text.substr(authority.size()))};
  if (out.path.empty()) out.path = "/";
  for (const char c : out.host) {
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) return bad();
  }
  if (out.host.empty()) return bad();
  if (const std::size_t colon = authority.find(':'); colon != std::string_view::npos) {
    const std::string_view port = authority.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
    if (error != std::errc() || end != port.data() + port.size() || out.port == 0) return bad();
  }
  return out;
}

Result<std::unique_ptr<ForeignClient>> ForeignClient::create(const ForeignTls& tls) {
  ASSIGN_OR_RETURN(TlsContext context, make_foreign_context(TlsSide::client, tls));
  return std::make_unique<TlsForeignClient>(std::move(context));
}

}  // namespace qanat::net
