#include "services/cas/csp/ocsp_get.hpp"

#include "base/percent.hpp"
#include "wire/base64.hpp"

namespace qanat::cas {

Result<Bytes> read_status_path(std::string_view path) {
  if (path.empty() || path.size() > status_path_octets_max) return fail(ErrorCode::invalid_argument, "status request: the path is empty or too long");
  auto text = from_percent(path);
  if (!text) return fail(ErrorCode::invalid_argument, "status request: a '%' is not followed by two hexadecimal digits");
  while (text->size() % 4 != 0) text->push_back('=');
  ASSIGN_OR_RETURN(Bytes out, wire::from_base64(*text));
  if (out.size() > status_request_octets_max) return fail(ErrorCode::invalid_argument, "status request: too long");
  return out;
}

}  // namespace qanat::cas
