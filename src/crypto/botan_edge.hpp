// Where Botan's exceptions end. Private to crypto.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include "base/result.hpp"

namespace qanat::crypto {

/// Runs `body` (which returns a Result); an exception becomes a failure with `code`. What Botan says is about lengths, names and
/// states, never about values.
template <class Body>
auto at_botan_edge(ErrorCode code, std::string_view where, Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (const std::exception& e) {
    return fail(code, std::string(where) + ": " + e.what());
  }
}

}  // namespace qanat::crypto
