// The decisions before a handler runs, as functions of the route table and the request's head. No transport here.
#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.hpp"

namespace qanat::net {

/// A refusal on the level of HTTP: the status is finer than the error's code tells (413 and 415 are both invalid_argument).
struct Rejection {
  unsigned status = 0;
  Error error;
  std::string allow;  // the methods of the path, for 405 (RFC 9110 §15.5.6)
};
/// With the status that belongs to the code.
Rejection reject(Error error);
Rejection reject(unsigned status, ErrorCode code, std::string message);
Response response_of(const Rejection& rejection);

class RouteTable {
 public:
  explicit RouteTable(std::vector<Route> routes) : routes_(std::move(routes)) {}
  /// 404 if no row has the path, 405 if none has it with this method. A HEAD is answered by the GET row (RFC 9110 §9.3.2).
  [[nodiscard]] std::expected<const Route*, Rejection> find(std::string_view method, std::string_view path) const;
  /// True if some row lets a caller without certificate through.
  [[nodiscard]] bool any_anonymous() const noexcept;

 private:
  std::vector<Route> routes_;
};

/// 401 for a caller without certificate where one is needed, 403 for a kind that the row does not have.
std::optional<Rejection> refuse_caller(const Route& route, const Peer& peer);
/// 415 unless the media type (without parameters, RFC 9110 §8.3.1) is the row's.
std::optional<Rejection> refuse_type(const Route& route, std::string_view content_type);

/// What `Qanat-Deadline-Ms` grants, at most `max`; `max` where the header is absent (empty text).
Result<std::chrono::milliseconds> granted_time(std::string_view header, std::chrono::milliseconds max);

inline constexpr std::size_t request_id_length_max = 32;  // hexadecimal digits
inline constexpr std::size_t request_id_drawn_octets = 8;
/// The caller's id if it is 1 to 32 hexadecimal digits, else one drawn here.
std::string request_id_from(std::string_view header);

/// Printable ASCII without space: what may stand in a request line or a header of ours.
bool is_visible_text(std::string_view text) noexcept;
/// Printable ASCII: what may stand in a field's value.
bool is_field_text(const Secret& text) noexcept;

inline constexpr std::string_view deadline_header = "Qanat-Deadline-Ms";
inline constexpr std::string_view request_id_header = "Qanat-Request-Id";

}  // namespace qanat::net
