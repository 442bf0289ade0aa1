// What ACME says when it says no: problem documents (RFC 7807) with the error types of RFC 8555 §6.7, RFC 9773 §7.4 and the profiles extension.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "wire/json.hpp"

namespace qanat::cas {

enum class ProblemType : std::uint8_t {
  account_does_not_exist,
  already_replaced,
  already_revoked,
  bad_csr,
  bad_nonce,
  bad_public_key,
  bad_revocation_reason,
  bad_signature_algorithm,
  external_account_required,
  invalid_contact,
  invalid_profile,
  malformed,
  order_not_ready,
  rate_limited,
  rejected_identifier,
  server_internal,
  unauthorized,
  unsupported_contact,
  unsupported_identifier,
  user_action_required,
};
/// "urn:ietf:params:acme:error:badCSR".
std::string urn(ProblemType type);

/// What a peer sent, fit to be said back: cut, and '?' for all that is not printable ASCII.
std::string shown(std::string_view text, std::size_t most);

/// Which identifier of an order is meant (RFC 8555 §6.7.1).
struct Subproblem {
  ProblemType type{};
  std::string detail;
  wire::Json identifier;
};

/// The failure of whatever answers ACME requests; every other Error becomes one.
struct Problem {
  Problem(ProblemType of_type, std::string_view says);  // the type's usual status
  Problem(Error error);                            // NOLINT(google-explicit-constructor): handlers hand failures of what they call on

  [[nodiscard]] Problem with_status(unsigned other) && {
    status = other;
    return std::move(*this);
  }
  [[nodiscard]] Problem with_field(std::string name, std::string value) && {
    fields.emplace_back(std::move(name), std::move(value));
    return std::move(*this);
  }
  [[nodiscard]] Problem on_record() && {
    recorded = true;
    return std::move(*this);
  }
  [[nodiscard]] wire::Json json() const;

  ProblemType type{};
  unsigned status = 0;
  std::string detail;
  std::vector<Subproblem> subproblems{};
  std::vector<std::pair<std::string, std::string>> fields{};  // of the header: Retry-After, Location, Link
  bool recorded = false;                                      // whoever refused has put it on the audit record
  std::string inside{};                                       // what failed in here: for the log alone
};

template <class T>
using OrProblem = std::expected<T, Problem>;

[[nodiscard]] inline std::unexpected<Problem> refuse(ProblemType type, std::string_view detail) { return std::unexpected(Problem(type, detail)); }
[[nodiscard]] inline std::unexpected<Problem> refuse(Problem problem) { return std::unexpected(std::move(problem)); }

}  // namespace qanat::cas

namespace qanat {

/// For TRY and ASSIGN_OR_RETURN where what failed is a Problem already.
[[nodiscard]] inline std::unexpected<cas::Problem> fail(cas::Problem problem) { return std::unexpected(std::move(problem)); }

}  // namespace qanat
