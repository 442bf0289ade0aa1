#include "net/routes.hpp"

#include <sys/random.h>

#include <algorithm>
#include <charconv>

#include "base/check.hpp"

namespace qanat::net {
namespace {

constexpr unsigned status_method_not_allowed = 405;
constexpr unsigned status_unsupported_media_type = 415;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_hexadecimal(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'f'); });
}

}  // namespace

Rejection reject(Error error) {
  const unsigned status = http_status(error.code);
  return {.status = status, .error = std::move(error), .allow = ""};
}

Rejection reject(unsigned status, ErrorCode code, std::string message) {
  return {.status = status, .error = Error{code, std::move(message)}, .allow = ""};
}

Response response_of(const Rejection& rejection) {
  Response response = error_response(rejection.error);
  response.status = rejection.status;
  return response;
}

std::expected<const Route*, Rejection> RouteTable::find(std::string_view method, std::string_view path) const {
  const std::string_view wanted = method == "HEAD" ? std::string_view("GET") : method;
  std::string allow;
  for (const Route& route : routes_) {
    if (route.path != path) continue;
    if (route.method == wanted) return &route;
    allow += (allow.empty() ? "" : ", ") + route.method;
  }
  // The path came from outside: it stands in the message only as far as it is plain text of bounded length.
  constexpr std::size_t shown_max = 64;
  const std::string shown = is_visible_text(path) ? std::string(path.substr(0, shown_max)) : "the path";
  if (allow.empty()) return std::unexpected(reject(Error{ErrorCode::not_found, "nothing is served at " + shown}));
  Rejection wrong_method = reject(status_method_not_allowed, ErrorCode::invalid_argument, shown + " takes " + allow);
  wrong_method.allow = std::move(allow);
  return std::unexpected(std::move(wrong_method));
}

bool RouteTable::any_anonymous() const noexcept { return std::ranges::any_of(routes_, &Route::anonymous); }

std::optional<Rejection> refuse_caller(const Route& route, const Peer& peer) {
  if (route.anonymous && !peer.certificate) return std::nullopt;
  if (!peer.certificate) return reject(Error{ErrorCode::unauthenticated, route.point + " needs a client certificate"});
  if (!peer.identity || !route.callers.has(peer.identity->kind)) {
    const std::string who = peer.identity ? std::string(name(peer.identity->kind)) : "an unnamed element";
    return reject(Error{ErrorCode::denied, who + " may not call " + route.point});
  }
  if (route.chained && !peer.chained) return reject(Error{ErrorCode::denied, route.point + " is answered over chained connections alone"});
  return std::nullopt;
}

std::optional<Rejection> refuse_type(const Route& route, std::string_view content_type) {
  if (route.request_type.empty()) return std::nullopt;
  if (is_media_type(content_type, route.request_type)) return std::nullopt;
  return reject(status_unsupported_media_type, ErrorCode::invalid_argument, route.point + " takes " + route.request_type);
}

Result<std::chrono::milliseconds> granted_time(std::string_view header, std::chrono::milliseconds max) {
  if (header.empty()) return max;
  std::uint32_t milliseconds = 0;
  const auto [end, error] = std::from_chars(header.data(), header.data() + header.size(), milliseconds);
  if (error != std::errc() || end != header.data() + header.size()) {
    return fail(ErrorCode::invalid_argument, std::string(deadline_header) + " is not a number of milliseconds");
  }
  return std::min(std::chrono::milliseconds(milliseconds), max);
}

std::string request_id_from(std::string_view header) {
  if (!header.empty() && header.size() <= request_id_length_max && is_hexadecimal(header)) return std::string(header);
  std::array<std::uint8_t, request_id_drawn_octets> drawn{};
  CHECK(getrandom(drawn.data(), drawn.size(), 0) == static_cast<ssize_t>(drawn.size()));
  return to_hex(drawn);
}

bool is_field_text(const Secret& text) noexcept {
  return std::ranges::all_of(text.reveal(), [](std::uint8_t c) { return c >= ' ' && c < 0x7f; });
}

bool is_visible_text(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace qanat::net
