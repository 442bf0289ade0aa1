#include "http_load.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <charconv>
#include <memory>
#include <optional>

#include "cpu_clock.hpp"

namespace qanat::bench {
namespace {

using steady = std::chrono::steady_clock;
using Context = std::unique_ptr<SSL_CTX, decltype([](SSL_CTX* context) { SSL_CTX_free(context); })>;

struct Line {
  int descriptor = -1;
  std::unique_ptr<SSL, decltype([](SSL* ssl) { SSL_free(ssl); })> ssl;
  std::string received;
  steady::time_point sent{};

  Line() = default;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

Result<void> open_line(Line& line, SSL_CTX* context, std::uint16_t port) {
  line.descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(line.descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return fail(ErrorCode::unavailable, "load: no connection");
  const int on = 1;
  ::setsockopt(line.descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  line.ssl.reset(SSL_new(context));
  SSL_set_fd(line.ssl.get(), line.descriptor);
  if (SSL_connect(line.ssl.get()) != 1) return fail(ErrorCode::unavailable, "load: the handshake failed");
  if (::fcntl(line.descriptor, F_SETFL, O_NONBLOCK) != 0) return fail(ErrorCode::internal, "load: fcntl");
  return {};
}

Result<Context> make_context(const HttpLoadPlan& plan) {
  Context context(SSL_CTX_new(TLS_client_method()));
  const bool set = SSL_CTX_use_certificate_chain_file(context.get(), plan.client.certificate.c_str()) == 1 &&
                   SSL_CTX_use_PrivateKey_file(context.get(), plan.client.key.c_str(), SSL_FILETYPE_PEM) == 1 &&
                   SSL_CTX_load_verify_file(context.get(), plan.root.c_str()) == 1;
  if (!set) return fail(ErrorCode::invalid_argument, "load: certificate, key or root cannot be used");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_read_ahead(context.get(), 1);
  return Result<Context>(std::move(context));
}

/// The body if the answer is complete; an answer other than 200 is a failure.
Result<std::optional<std::string_view>> body_of(std::string_view text) {
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::optional<std::string_view>();
  if (!text.starts_with("HTTP/1.1 200")) {  // without the headers: a report has one line for it
    return fail(ErrorCode::unavailable, "load: " + std::string(text.substr(0, text.find('\r'))) + ": " + std::string(text.substr(end + 4, 200)));
  }
  constexpr std::string_view field = "Content-Length: ";
  const std::size_t at = text.find(field);
  if (at == std::string_view::npos) return fail(ErrorCode::unavailable, "load: an answer without length");
  std::size_t length = 0;
  std::from_chars(text.data() + at + field.size(), text.data() + end, length);
  if (text.size() < end + 4 + length) return std::optional<std::string_view>();
  return std::optional(text.substr(end + 4, length));
}

class Load {
 public:
  Load(const HttpLoadPlan& plan, const std::function<void(std::string_view)>& body) : plan_(plan), body_(body), poll_(::epoll_create1(EPOLL_CLOEXEC)) {}
  ~Load() { ::close(poll_); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  Result<void> open() {
    ASSIGN_OR_RETURN(context_, make_context(plan_));
    lines_ = std::vector<Line>(plan_.connections);
    for (Line& line : lines_) {
      TRY(open_line(line, context_.get(), plan_.port));
      epoll_event event{.events = EPOLLIN, .data = {.ptr = &line}};
      ::epoll_ctl(poll_, EPOLL_CTL_ADD, line.descriptor, &event);
    }
    out.group = SSL_get0_group_name(lines_.front().ssl.get());
    return {};
  }

  /// `requests` more, until the last is answered.
  Result<void> run(std::size_t requests) {
    out.latency_ms.clear();
    begun_ = 0;
    requests_ = requests;
    const steady::time_point begin = steady::now();
    const double cpu = thread_cpu_s();
    for (Line& line : lines_) TRY(send(line));
    std::array<epoll_event, 256> events{};
    while (out.latency_ms.size() < requests_) {
      const int count = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), 15000);
      if (count <= 0) return fail(ErrorCode::deadline_exceeded, "load: no answer for 15 seconds");
      for (int i = 0; i < count; ++i) TRY(receive(*static_cast<Line*>(events[static_cast<std::size_t>(i)].data.ptr)));
    }
    out.seconds = std::chrono::duration<double>(steady::now() - begin).count();
    out.client_cpu_s = thread_cpu_s() - cpu;
    std::ranges::sort(out.latency_ms);
    return {};
  }

  HttpLoad out;

 private:
  Result<void> send(Line& line) {
    if (begun_ == requests_) return {};
    ++begun_;
    const std::string made = plan_.make ? plan_.make() : std::string();
    const std::string& request = plan_.make ? made : plan_.request;
    line.sent = steady::now();
    const int size = static_cast<int>(request.size());
    if (SSL_write(line.ssl.get(), request.data(), size) != size) return fail(ErrorCode::unavailable, "load: a request could not be sent");
    return {};
  }
  Result<void> receive(Line& line) {
    std::array<char, 16384> chunk;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by SSL_read
    while (true) {
      const int size = SSL_read(line.ssl.get(), chunk.data(), static_cast<int>(chunk.size()));
      if (size <= 0) {
        if (SSL_get_error(line.ssl.get(), size) == SSL_ERROR_WANT_READ) return {};
        return fail(ErrorCode::unavailable, "load: the server closed");
      }
      line.received.append(chunk.data(), static_cast<std::size_t>(size));
      ASSIGN_OR_RETURN(const auto body, body_of(line.received));
      if (body) {
        body_(*body);
        out.latency_ms.push_back(std::chrono::duration<double, std::milli>(steady::now() - line.sent).count());
        line.received.clear();
        TRY(send(line));
      }
      if (SSL_has_pending(line.ssl.get()) == 0) return {};
    }
  }

  const HttpLoadPlan& plan_;
  const std::function<void(std::string_view)>& body_;
  int poll_;
  Context context_;
  std::vector<Line> lines_;
  std::size_t begun_ = 0;
  std::size_t requests_ = 0;
};

}  // namespace

Result<HttpLoad> drive(const HttpLoadPlan& plan, const std::function<Result<void>()>& before, const std::function<void(std::string_view)>& body) {
  Load load(plan, body);
  TRY(load.open());
  TRY(load.run(plan.warm_up));
  TRY(before());
  TRY(load.run(plan.requests));
  return std::move(load.out);
}

}  // namespace qanat::bench
