#include "services/cas/scep/scep_query.hpp"

#include <optional>

#include "wire/base64.hpp"

namespace qanat::cas {
namespace {

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

Result<std::string> decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const auto high = i + 2 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
    const auto low = high ? hex_digit(text[i + 2]) : std::nullopt;
    if (!low) return fail(ErrorCode::invalid_argument, "SCEP: a '%' in the query without two hexadecimal digits behind it");
    out.push_back(static_cast<char>(*high << 4 | *low));
    i += 2;
  }
  return out;
}

}  // namespace

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
    ASSIGN_OR_RETURN(*place, decoded(pair.size() > name.size() ? pair.substr(name.size() + 1) : std::string_view()));
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
