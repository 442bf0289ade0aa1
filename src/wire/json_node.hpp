// Private to wire: what stands behind a Json.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "wire/json.hpp"

namespace qanat::wire {

struct Json::Node {
  using Elements = std::vector<Json>;
  using Members = std::vector<std::pair<std::string, Json>>;  // in the order of the text
  std::variant<bool, std::int64_t, double, std::string, Elements, Members> value;
};

}  // namespace qanat::wire
