// An answer of the CSA before it is text: what is open, and what is secret beside it. The text is put together in locked memory.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "wire/json.hpp"

namespace qanat::kms::csa {

struct Answer {
  wire::Json open = wire::Json::object();
  std::vector<std::pair<std::string_view, Secret>> secret = {};  // members that come after the open ones, written as base64

  static Answer of(std::initializer_list<wire::Json::Member> members) { return {.open = wire::Json::object(members)}; }
  Answer with(std::string_view name, Secret value) && {
    secret.emplace_back(name, std::move(value));
    return std::move(*this);
  }
};

/// The JSON object.
Secret render(const Answer& answer);
/// `{"results":[{"status":200,"answer":{…}},{"status":403,"error":{"code":…,"message":…}}]}`
Secret render(const std::vector<Result<Answer>>& results);

}  // namespace qanat::kms::csa
