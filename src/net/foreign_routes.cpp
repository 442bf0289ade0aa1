#include "net/foreign_routes.hpp"

#include <algorithm>

#include "base/percent.hpp"

namespace qanat::net {
namespace {

constexpr std::size_t decoded_max = 256;
constexpr std::size_t pairs_max = 16;

}  // namespace

Result<std::string> percent_decoded(std::string_view text) {
  auto out = from_percent(text);
  if (!out) return fail(ErrorCode::invalid_argument, "a '%' is not followed by two hexadecimal digits");
  if (std::ranges::any_of(*out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    return fail(ErrorCode::invalid_argument, "a control character in the path or query");
  }
  if (out->size() > decoded_max) return fail(ErrorCode::invalid_argument, "a name of more than " + std::to_string(decoded_max) + " octets in the path or query");
  return *std::move(out);
}

std::optional<std::vector<std::string_view>> match_path(std::string_view pattern, std::string_view path) {
  std::vector<std::string_view> out;
  if (pattern.ends_with(rest_of_path)) {
    pattern.remove_suffix(rest_of_path.size());
    if (!path.starts_with(pattern) || path.size() == pattern.size()) return std::nullopt;
    return std::vector<std::string_view>{path.substr(pattern.size())};
  }
  while (true) {
    const std::size_t hole = pattern.find("{}");
    if (hole == std::string_view::npos) return path == pattern ? std::optional(std::move(out)) : std::nullopt;
    if (!path.starts_with(pattern.substr(0, hole))) return std::nullopt;
    path.remove_prefix(hole);
    pattern.remove_prefix(hole + 2);
    const std::string_view segment = path.substr(0, path.find('/'));
    if (segment.empty()) return std::nullopt;
    out.push_back(segment);
    path.remove_prefix(segment.size());
  }
}

Result<std::vector<std::pair<std::string, std::string>>> read_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) return fail(ErrorCode::invalid_argument, "a query parameter has no '='");
    if (out.size() == pairs_max) return fail(ErrorCode::invalid_argument, "more than " + std::to_string(pairs_max) + " query parameters");
    ASSIGN_OR_RETURN(std::string name, percent_decoded(pair.substr(0, equals)));
    ASSIGN_OR_RETURN(std::string value, percent_decoded(pair.substr(equals + 1)));
    out.emplace_back(std::move(name), std::move(value));
  }
  return out;
}

}  // namespace qanat::net
