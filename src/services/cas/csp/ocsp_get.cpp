#include "services/cas/csp/ocsp_get.hpp"

#include "wire/base64.hpp"

namespace qanat::cas {
namespace {

int hexadecimal(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> without_percent(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? hexadecimal(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hexadecimal(text[i + 2]) : -1;
    if (high < 0 || low < 0) return fail(ErrorCode::invalid_argument, "status request: a '%' is not followed by two hexadecimal digits");
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

}  // namespace

Result<Bytes> read_status_path(std::string_view path) {
  if (path.empty() || path.size() > status_path_octets_max) return fail(ErrorCode::invalid_argument, "status request: the path is empty or too long");
  ASSIGN_OR_RETURN(std::string text, without_percent(path));
  while (text.size() % 4 != 0) text.push_back('=');
  ASSIGN_OR_RETURN(Bytes out, wire::from_base64(text));
  if (out.size() > status_request_octets_max) return fail(ErrorCode::invalid_argument, "status request: too long");
  return out;
}

}  // namespace qanat::cas
