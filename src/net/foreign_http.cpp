#include "net/foreign_http.hpp"

#include <algorithm>
#include <boost/beast/http.hpp>
#include <optional>

#include "base/check.hpp"
#include "net/asio_terms.hpp"
#include "net/foreign_routes.hpp"
#include "net/routes.hpp"
#include "net/secret_field.hpp"
#include "net/workers.hpp"

namespace qanat::net {

namespace http = boost::beast::http;

namespace {

using Parser = http::request_parser<http::vector_body<std::uint8_t>>;

ErrorCode code_of(unsigned status) noexcept {
  if (status == 404) return ErrorCode::not_found;
  if (status >= 500) return ErrorCode::unavailable;
  return ErrorCode::invalid_argument;
}

constexpr unsigned no_content = 204;
constexpr unsigned not_modified = 304;
constexpr unsigned http_1_0 = 10;  // as Beast counts versions

struct Denial {
  unsigned status;
  std::string why;
  std::string allow;  // methods, for 405
};

class HttpProtocol final : public ForeignProtocol {
 public:
  HttpProtocol(const HttpServices& shared, std::shared_ptr<const ForeignPeer> peer) : shared_(shared), peer_(std::move(peer)) {}

  Taken take(ByteView received, SendBack& send) override;
  Outgoing too_late(bool within) override;
  [[nodiscard]] std::size_t unused_max() const noexcept override { return shared_.limits.head_max; }

 private:
  /// For the next request.
  void renew() {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(shared_.limits.head_max));
    parser_->body_limit(boost::none);  // the route's own limit is looked at as soon as the route is known
    service_ = nullptr;
    route_ = nullptr;
    admitted_ = false;
    head_only_ = false;
    old_ = false;
    authorization_ = Secret();
    parameters_.clear();
    request_id_.clear();
  }
  std::optional<Denial> admit();
  std::optional<Denial> find_route(std::string_view method, std::string_view path);
  std::optional<Denial> check_body();
  void answer(SendBack send);
  void refuse(Denial denial, SendBack send);
  ForeignResponse rendered(unsigned status, std::string_view why) const;

  const HttpServices& shared_;
  std::shared_ptr<const ForeignPeer> peer_;  // shared with the requests
  std::optional<Parser> parser_;  // empty while a request is worked on, and before the first
  const ForeignService* service_ = nullptr;  // whose words a refusal takes
  const ForeignRoute* route_ = nullptr;
  bool admitted_ = false;   // head read, route found, body in bounds
  bool head_only_ = false;  // the answer goes without its body (RFC 9110 §9.3.2)
  bool old_ = false;        // HTTP/1.0: answered in kind, and the connection ends
  Secret authorization_;
  std::vector<std::string> parameters_;
  std::string request_id_;
};

ForeignProtocol::Taken HttpProtocol::take(ByteView received, SendBack& send) {
  if (!parser_) renew();
  Taken out;
  while (out.used < received.size() || parser_->is_done()) {
    if (parser_->is_done()) {
      answer(std::move(send));
      out.next = Next::working;
      return out;
    }
    boost::system::error_code error;
    const ByteView rest = received.subspan(out.used);
    const std::size_t used = parser_->put(boost::asio::const_buffer(rest.data(), rest.size()), error);
    out.used += used;
    std::optional<Denial> denial;
    if (!error || error == http::error::need_more) {
      if (parser_->is_header_done() && !admitted_) denial = admit();
      if (admitted_ && route_ != nullptr && parser_->get().body().size() > route_->body_max) denial = check_body();
    } else if (error == http::error::header_limit) {
      denial = Denial{431, "the request's head is over " + std::to_string(shared_.limits.head_max) + " octets", ""};
    } else {
      denial = Denial{400, "not an HTTP/1.1 request: " + error.message(), ""};
    }
    if (denial) {
      refuse(std::move(*denial), std::move(send));
      out.next = Next::working;
      return out;
    }
    if (error == http::error::need_more || (used == 0 && !parser_->is_done())) break;
  }
  out.next = Next::more;
  out.within = parser_->got_some() || out.used < received.size();
  return out;
}

std::optional<Denial> HttpProtocol::admit() {
  admitted_ = true;
  auto& head = parser_->get();
  head_only_ = head.method() == http::verb::head;
  old_ = head.version() == http_1_0;
  request_id_ = request_id_from(text_of(head[boost::beast::string_view(request_id_header.data(), request_id_header.size())]));
  const std::size_t authorizations = head.count(http::field::authorization);
  if (auto authorization = take_field(head, http::field::authorization)) authorization_ = *std::move(authorization);
  if (authorizations > 1) return Denial{400, "more than one Authorization field", ""};
  const std::string_view target = text_of(head.target());
  if (!target.starts_with('/')) return Denial{400, "the request target is not a path", ""};
  if (auto denial = find_route(text_of(head.method_string()), target.substr(0, target.find('?')))) return denial;
  if (!head[http::field::expect].empty()) return Denial{417, "no expectation is met: send the body at once", ""};
  return check_body();
}

std::optional<Denial> HttpProtocol::check_body() {
  const std::size_t announced = static_cast<std::size_t>(parser_->content_length().value_or(0));
  if (std::max(announced, parser_->get().body().size()) <= route_->body_max) return std::nullopt;
  if (route_->body_max == 0) return Denial{400, "this request takes no body", ""};
  return Denial{400, "the request's body is over " + std::to_string(route_->body_max) + " octets", ""};
}

std::optional<Denial> HttpProtocol::find_route(std::string_view method, std::string_view path) {
  std::string allow;
  for (const ForeignService& service : shared_.services) {
    if (path.starts_with(service.prefix)) service_ = &service;
    for (const ForeignRoute& route : service.routes) {
      const auto segments = match_path(route.pattern, path);
      if (!segments) continue;
      service_ = &service;
      if (route.method != method) {
        allow += (allow.empty() ? "" : ", ") + route.method;
        continue;
      }
      const bool as_it_came = route.pattern.ends_with(rest_of_path);
      for (const std::string_view segment : *segments) {
        if (as_it_came) {
          parameters_.emplace_back(segment);
          continue;
        }
        auto decoded = percent_decoded(segment);
        if (!decoded) return Denial{400, decoded.error().message, ""};
        parameters_.push_back(std::move(*decoded));
      }
      route_ = &route;
      return std::nullopt;
    }
  }
  if (allow.empty()) return Denial{404, "nothing is served at this path", ""};
  return Denial{405, "this path takes " + allow, allow};
}

void HttpProtocol::answer(SendBack send) {
  auto& message = parser_->get();
  const AnswerForm form{.keep = parser_->keep_alive() && !old_, .head_only = head_only_, .old = old_};
  const std::string_view target = text_of(message.target());
  const std::size_t question = target.find('?');
  ForeignRequest request{.peer = peer_,
                         .parameters = std::move(parameters_),
                         .query = question == std::string_view::npos ? std::string() : std::string(target.substr(question + 1)),
                         .content_type = std::string(text_of(message[http::field::content_type])),
                         .if_none_match = std::string(text_of(message[http::field::if_none_match])),
                         .if_match = std::string(text_of(message[http::field::if_match])),
                         .authorization = std::move(authorization_),
                         .body = std::move(message.body()),
                         .deadline = Deadline::after(shared_.limits.request_max),
                         .request_id = request_id_};
  const ForeignRoute& route = *route_;
  const std::string id = request_id_;
  parser_.reset();  // what is known of the request is kept until the next one begins: too_late() answers in its form
  route.answer(std::move(request), [send = std::move(send), id, form](ForeignResponse response) mutable { send(outgoing(std::move(response), id, "", form)); });
}

ForeignResponse HttpProtocol::rendered(unsigned status, std::string_view why) const {
  if (service_ != nullptr) return service_->refuse(status, why);
  return text_response(status, why);
}

void HttpProtocol::refuse(Denial denial, SendBack send) {
  Outgoing out = outgoing(rendered(denial.status, denial.why), request_id_, denial.allow, {.keep = false, .head_only = head_only_, .old = old_});
  Refusal refusal{.point = route_ != nullptr ? route_->point : "",
                  .peer = peer_->names.empty() ? peer_->address : peer_->names.front(),
                  .reason = std::move(denial.why),
                  .code = code_of(denial.status)};
  shared_.record(std::move(refusal), [send = std::move(send), out = std::move(out)]() mutable { send(std::move(out)); });
}

Outgoing HttpProtocol::too_late(bool within) {
  ForeignResponse response = rendered(within ? 408 : 503, within ? "the request took too long to come" : "no answer was found in time");
  return outgoing(std::move(response), request_id_, "", {.keep = false, .head_only = head_only_, .old = old_});
}

class HttpListener final : public ForeignListener {
 public:
  HttpListener(std::vector<ForeignService> services, const ForeignLimits& limits, RefusalSink refused)
      : refused_(std::move(refused)), recorder_(1, refusals_waiting_max), shared_{std::move(services), limits, nullptr} {
    shared_.record = [this](const Refusal& refusal, std::move_only_function<void()> then) { record(refusal, std::move(then)); };
  }
  ~HttpListener() override { stop(std::chrono::milliseconds(0)); }

  Result<void> listen(const ForeignSettings& settings) {
    const auto protocol = [this](std::shared_ptr<const ForeignPeer> peer) { return make_http_protocol(shared_, std::move(peer)); };
    ASSIGN_OR_RETURN(inner_, start_foreign_listener(settings, protocol, refused_));
    return {};
  }
  [[nodiscard]] std::uint16_t port() const noexcept override { return inner_->port(); }
  Result<void> renew(const ForeignTls& tls) override { return inner_->renew(tls); }
  void end_open() override { inner_->end_open(); }
  void stop(std::chrono::milliseconds grace) override {
    if (inner_) inner_->stop(grace);
    recorder_.stop(Waiting::run);
  }

 private:
  void record(const Refusal& refusal, std::move_only_function<void()> then) {
    if (!refused_) return then();
    auto shared_then = std::make_shared<std::move_only_function<void()>>(std::move(then));  // also held here until the queue took it
    if (recorder_.submit([this, refusal, shared_then] {
          refused_(refusal);
          (*shared_then)();
        })) {
      return;
    }
    refused_(refusal);  // no refusal is lost, even if that holds up this thread
    (*shared_then)();
  }

  const RefusalSink refused_;
  Workers recorder_;
  HttpServices shared_;
  std::unique_ptr<ForeignListener> inner_;  // last: its sessions refer to what stands above
};

}  // namespace

std::string response_head(const ForeignResponse& response, std::string_view request_id, std::string_view allow, const AnswerForm& form) {
  std::string out = (form.old ? "HTTP/1.0 " : "HTTP/1.1 ") + std::to_string(response.status) + ' ';
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  out.append(reason.data(), reason.size());
  const bool stored = std::ranges::any_of(response.fields, [](const auto& field) { return field.first == "Cache-Control"; });
  if (!stored) out += "\r\nCache-Control: no-store";
  for (const auto& [name, value] : response.fields) out.append("\r\n").append(name).append(": ").append(value);
  // RFC 9110 §8.6: an answer that has no content by its status says nothing of its length.
  const std::size_t length = response.body.size() + (response.open_body ? response.open_body->size() : 0);
  if (response.status != not_modified && response.status != no_content) out += "\r\nContent-Length: " + std::to_string(length);
  if (!response.content_type.empty()) out += "\r\nContent-Type: " + response.content_type;
  if (!allow.empty()) out += "\r\nAllow: " + std::string(allow);
  if (!request_id.empty()) out.append("\r\n").append(request_id_header).append(": ").append(request_id);
  if (!form.keep) out += "\r\nConnection: close";
  return out + "\r\n\r\n";
}

Outgoing outgoing(ForeignResponse response, std::string_view request_id, std::string_view allow, const AnswerForm& form) {
  Outgoing out{.head = response_head(response, request_id, allow, form), .body = {}, .open_body = {}, .close_after = !form.keep};
  if (form.head_only) return out;
  out.body = std::move(response.body);
  out.open_body = std::move(response.open_body);
  return out;
}

ForeignResponse text_response(unsigned status, std::string_view why) {
  return {.status = status, .content_type = "text/plain", .body = Secret::copy_of(as_bytes(std::string(why) + "\n"))};
}

ForeignResponse open_response(std::string_view content_type, Bytes body) {
  return {.content_type = std::string(content_type), .body = {}, .open_body = std::make_shared<const Bytes>(std::move(body))};
}

std::unique_ptr<ForeignProtocol> make_http_protocol(const HttpServices& shared, std::shared_ptr<const ForeignPeer> peer) {
  return std::make_unique<HttpProtocol>(shared, std::move(peer));
}

Result<std::unique_ptr<ForeignListener>> ForeignListener::start(const ForeignSettings& settings, std::vector<ForeignService> services, RefusalSink refused) {
  auto listener = std::make_unique<HttpListener>(std::move(services), settings.limits, std::move(refused));
  TRY(listener->listen(settings));
  return Result<std::unique_ptr<ForeignListener>>(std::move(listener));
}

}  // namespace qanat::net
