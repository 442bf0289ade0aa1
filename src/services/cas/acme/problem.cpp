#include "services/cas/acme/problem.hpp"

#include <algorithm>
#include <array>

#include "crypto/jose_key.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t detail_octets_max = 1000;

struct ProblemRow {
  ProblemType type;
  std::string_view name;
  unsigned status;
};
constexpr std::array problem_rows{
    ProblemRow{ProblemType::account_does_not_exist, "accountDoesNotExist", 400},
    ProblemRow{ProblemType::already_replaced, "alreadyReplaced", 409},
    ProblemRow{ProblemType::already_revoked, "alreadyRevoked", 400},
    ProblemRow{ProblemType::bad_csr, "badCSR", 400},
    ProblemRow{ProblemType::bad_nonce, "badNonce", 400},
    ProblemRow{ProblemType::bad_public_key, "badPublicKey", 400},
    ProblemRow{ProblemType::bad_revocation_reason, "badRevocationReason", 400},
    ProblemRow{ProblemType::bad_signature_algorithm, "badSignatureAlgorithm", 400},
    ProblemRow{ProblemType::external_account_required, "externalAccountRequired", 403},
    ProblemRow{ProblemType::invalid_contact, "invalidContact", 400},
    ProblemRow{ProblemType::invalid_profile, "invalidProfile", 400},
    ProblemRow{ProblemType::malformed, "malformed", 400},
    ProblemRow{ProblemType::order_not_ready, "orderNotReady", 403},
    ProblemRow{ProblemType::rate_limited, "rateLimited", 429},
    ProblemRow{ProblemType::rejected_identifier, "rejectedIdentifier", 403},
    ProblemRow{ProblemType::server_internal, "serverInternal", 500},
    ProblemRow{ProblemType::unauthorized, "unauthorized", 403},
    ProblemRow{ProblemType::unsupported_contact, "unsupportedContact", 400},
    ProblemRow{ProblemType::unsupported_identifier, "unsupportedIdentifier", 400},
    ProblemRow{ProblemType::user_action_required, "userActionRequired", 403},
};
static_assert(std::ranges::is_sorted(problem_rows, {}, &ProblemRow::type) && problem_rows.back().type == ProblemType::user_action_required &&
              problem_rows.size() == static_cast<std::size_t>(ProblemType::user_action_required) + 1);

constexpr const ProblemRow& problem_row(ProblemType type) noexcept { return problem_rows[static_cast<std::size_t>(type)]; }

struct ErrorsProblem {
  ProblemType type;
  unsigned status;
};
ErrorsProblem problem_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return {ProblemType::malformed, 400};
    case ErrorCode::unauthenticated:
    case ErrorCode::denied:
      return {ProblemType::unauthorized, 403};
    case ErrorCode::not_found:
      return {ProblemType::malformed, 404};
    case ErrorCode::conflict:
      return {ProblemType::malformed, 409};
    case ErrorCode::exhausted:
      return {ProblemType::rate_limited, 429};
    case ErrorCode::unavailable:
    case ErrorCode::deadline_exceeded:
      return {ProblemType::server_internal, 503};
    case ErrorCode::internal:
      return {ProblemType::server_internal, 500};
  }
  return {ProblemType::server_internal, 500};
}

}  // namespace

std::string shown(std::string_view text, std::size_t most) {
  std::string out(text.substr(0, most));
  std::ranges::replace_if(
      out, [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

std::string urn(ProblemType type) { return "urn:ietf:params:acme:error:" + std::string(problem_row(type).name); }

Problem::Problem(ProblemType of_type, std::string_view says) : type(of_type), status(problem_row(of_type).status), detail(shown(says, detail_octets_max)) {}

Problem::Problem(Error error) : type(problem_of(error.code).type), status(problem_of(error.code).status), detail(shown(error.message, detail_octets_max)) {
  if (error.code == ErrorCode::internal) {
    detail = "an internal failure: it stands in the server's log";
    inside = std::move(error.message);
  }
  if (status == 503) fields.emplace_back("Retry-After", "10");
  if (status == 429) fields.emplace_back("Retry-After", "600");
}

wire::Json Problem::json() const {
  wire::Json out = wire::Json::object({{"type", urn(type)}, {"detail", detail}, {"status", status}});
  if (type == ProblemType::bad_signature_algorithm) {  // RFC 8555 §6.2: with what would be taken
    wire::Json algorithms = wire::Json::array();
    for (const crypto::JoseAlgorithm algorithm : crypto::all_jose_algorithms) algorithms.push(crypto::name(algorithm));
    out.set("algorithms", algorithms);
  }
  if (!subproblems.empty()) {
    wire::Json list = wire::Json::array();
    for (const Subproblem& each : subproblems)
      list.push(wire::Json::object({{"type", urn(each.type)}, {"detail", each.detail}, {"identifier", each.identifier}}));
    out.set("subproblems", list);
  }
  return out;
}

}  // namespace qanat::cas
