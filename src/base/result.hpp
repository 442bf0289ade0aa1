// A failure that can happen is a value: Result<T> carries T or an Error with one of a few codes.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace qanat {

/// What kind of failure. HTTP status, exit code and audit outcome are tables over this enum with no `default:`.
enum class ErrorCode : std::uint8_t {
  invalid_argument,   // the input is malformed or out of range; the same input will fail again
  unauthenticated,    // who the caller is could not be established
  denied,             // the caller is known and may not do this
  not_found,          // the thing named does not exist
  conflict,           // it exists already, was used already, or its state does not allow this
  exhausted,          // a limited resource (keys, room, rate) is used up at present
  unavailable,        // another element did not answer or is not ready
  deadline_exceeded,  // the time that the caller granted ran out
  internal,           // ours: storage, device, or a broken invariant that was caught
};

/// The code's name as it stands in JSON error bodies and logs ("denied", …).
std::string_view name(ErrorCode code) noexcept;
/// The code with this name; `internal` for a name that is not one.
ErrorCode error_code_from_name(std::string_view text) noexcept;

struct Error {
  ErrorCode code;
  std::string message;  // says what was wrong and where; never holds a secret

  bool operator==(const Error&) const = default;
};

template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
};

template <>
class [[nodiscard]] Result<void> : public std::expected<void, Error> {
 public:
  using std::expected<void, Error>::expected;
};

/// `return fail(ErrorCode::not_found, "no link key " + id);`
[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
  return std::unexpected<Error>(Error{code, std::move(message)});
}
[[nodiscard]] inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(std::move(error)); }
/// The same failure with where it happened put in front: "pool: link r-b: no key left".
[[nodiscard]] inline std::unexpected<Error> fail_in(std::string_view where, Error error) {
  error.message.insert(0, std::string(where) + ": ");
  return std::unexpected<Error>(std::move(error));
}

}  // namespace qanat

#define QANAT_CONCAT_INNER(a, b) a##b
#define QANAT_CONCAT(a, b) QANAT_CONCAT_INNER(a, b)

/// TRY(expression): returns the failure of a Result<void> (or of a Result whose value is not needed).
#define TRY(...)                                                                        \
  do {                                                                                  \
    if (auto try_result_ = (__VA_ARGS__); !try_result_) return ::qanat::fail(std::move(try_result_).error()); \
  } while (false)

/// ASSIGN_OR_RETURN(auto x, expression): x is the value, or the function returns the failure.
#define ASSIGN_OR_RETURN(declaration, ...) \
  ASSIGN_OR_RETURN_INNER(QANAT_CONCAT(assign_result_, __LINE__), declaration, __VA_ARGS__)
#define ASSIGN_OR_RETURN_INNER(temporary, declaration, ...)               \
  auto temporary = (__VA_ARGS__);                                         \
  if (!temporary) return ::qanat::fail(std::move(temporary).error());     \
  declaration = std::move(*temporary)
