// "after=7": what a KMS has already of what it asks for.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "points/kms_policy.hpp"

namespace qanat::cmsp {

/// invalid_argument unless the query is "after=" and a number from 0 on. `what` the number is, for the message.
inline Result<std::int64_t> number_after(std::string_view query, std::string_view what) {
  std::int64_t number = -1;
  if (query.starts_with(points::kms_policy_query)) {
    query.remove_prefix(points::kms_policy_query.size());
    const auto [end, error] = std::from_chars(query.data(), query.data() + query.size(), number);
    if (error != std::errc() || end != query.data() + query.size()) number = -1;
  }
  if (number < 0) return fail(ErrorCode::invalid_argument, "the query must be after= and the " + std::string(what) + " that is there, 0 for none");
  return number;
}

}  // namespace qanat::cmsp
