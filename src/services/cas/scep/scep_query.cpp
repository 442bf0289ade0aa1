#include "services/cas/scep/scep_query.hpp"

#include <optional>

#include "base/percent.hpp"
#include "wire/base64.hpp"

namespace qanat::cas {

Result<ScepQuery> read_scep_query(std::string_view query) {
  std::optional<std::string> operation;
  std::optional<std::string> message;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(pair.size() < query.size() ? pair.size() + 1 : pair.size());
    const std::string_view name = pair.substr(0, pair.find('='));
    std::optional<std::string>* const place = name == "operation" ? &operation : name == "message" ? &message : nullptr;
    if (place == nullptr) continue;
    if (*place) return fail(ErrorCode::invalid_argument, "SCEP: the query names " + std::string(name) + " twice");
    *place = from_percent(pair.size() > name.size() ? pair.substr(name.size() + 1) : std::string_view());
    if (!*place) return fail(ErrorCode::invalid_argument, "SCEP: a '%' in the query without two hexadecimal digits behind it");
  }
  if (!operation || operation->empty()) return fail(ErrorCode::invalid_argument, "SCEP: the query must name an operation: ?operation=GetCACaps");
  return ScepQuery{.operation = *std::move(operation), .message = std::move(message).value_or("")};
}

Result<Bytes> read_scep_message(std::string_view message) {
  std::string text;
  text.reserve(message.size());
  for (const char c : message) {
    if (c == '\r' || c == '\n') continue;
    text.push_back(c == ' ' ? '+' : c);
  }
  return wire::from_base64(text);
}

}  // namespace qanat::cas
