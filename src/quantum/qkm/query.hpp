// The query part of a GET: "link=a-r&have=1".
#pragma once

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace qanat::qkm {

/// The value of `name`; empty if it is not there.
inline std::string_view query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('=')) return pair.substr(name.size() + 1);
  }
  return {};
}

/// `min` if it is not there; invalid_argument if it is no number from `min` to `max`.
inline Result<std::int64_t> query_number(std::string_view query, std::string_view name, std::int64_t min, std::int64_t max) {
  const std::string_view text = query_value(query, name);
  if (text.empty()) return min;
  std::int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out < min || out > max) {
    return fail(ErrorCode::invalid_argument, std::string(name) + ": must be between " + std::to_string(min) + " and " + std::to_string(max));
  }
  return out;
}

}  // namespace qanat::qkm
