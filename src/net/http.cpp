#include "net/http.hpp"

#include <algorithm>

#include "wire/json.hpp"

namespace qanat::net {
namespace {

constexpr std::string_view json_type = "application/json";
constexpr std::size_t message_length_max = 1024;  // octets of an error's message, sent or taken over

/// The code that a status stands for where the answer carries no error body of ours: a proxy's, or a foreign server's.
ErrorCode code_of_status(unsigned status) noexcept {
  switch (status) {
    case 401:
      return ErrorCode::unauthenticated;
    case 403:
      return ErrorCode::denied;
    case 404:
      return ErrorCode::not_found;
    case 409:
      return ErrorCode::conflict;
    case 429:
      return ErrorCode::exhausted;
    case 408:
    case 504:
      return ErrorCode::deadline_exceeded;
    case 502:
    case 503:
      return ErrorCode::unavailable;
    default:
      return status >= 400 && status < 500 ? ErrorCode::invalid_argument : ErrorCode::internal;
  }
}

/// A message may quote what came from outside; a JSON text must be UTF-8, so that what is not ASCII is shown as '?'.
std::string presentable(std::string message) {
  message.resize(std::min(message.size(), message_length_max));
  std::ranges::replace_if(message, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  return message;
}

Result<Error> parse_error_body(ByteView body) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(body));
  ASSIGN_OR_RETURN(const std::string code, json.text("code"));
  ASSIGN_OR_RETURN(std::string message, json.text("message"));
  return Error{.code = error_code_from_name(code), .message = presentable(std::move(message))};
}

}  // namespace

unsigned http_status(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return 400;
    case ErrorCode::unauthenticated:
      return 401;
    case ErrorCode::denied:
      return 403;
    case ErrorCode::not_found:
      return 404;
    case ErrorCode::conflict:
      return 409;
    case ErrorCode::exhausted:
    case ErrorCode::unavailable:
      return 503;
    case ErrorCode::deadline_exceeded:
      return 504;
    case ErrorCode::internal:
      return 500;
  }
  return 500;
}

Response error_response(const Error& error) {
  const wire::Json body = wire::Json::object({{"code", name(error.code)}, {"message", presentable(error.message)}});
  return {.status = http_status(error.code), .content_type = std::string(json_type), .body = to_bytes(body.dump())};
}

bool is_media_type(std::string_view content_type, std::string_view wanted) noexcept {
  std::string_view media = content_type.substr(0, content_type.find(';'));
  while (!media.empty() && (media.front() == ' ' || media.front() == '\t')) media.remove_prefix(1);
  while (!media.empty() && (media.back() == ' ' || media.back() == '\t')) media.remove_suffix(1);
  const auto small = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(media, wanted, {}, small, small);
}

Error error_of(const Response& response) {
  Result<Error> stated = parse_error_body(response.body);
  if (stated) return std::move(*stated);
  return {.code = code_of_status(response.status), .message = "HTTP status " + std::to_string(response.status)};
}

}  // namespace qanat::net
