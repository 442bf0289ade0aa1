#include "terminal/sid_call.hpp"

#include <algorithm>

#include "wire/key_schedule.hpp"

namespace qanat::terminal {
namespace {

constexpr std::size_t session_id_octets = 16;

}  // namespace

Result<Number> parse_number(std::string_view text) {
  const bool fits = text.size() >= number_octets_min && text.size() <= number_octets_max && text.front() == '+' &&
                    std::ranges::all_of(text.substr(1), [](char c) { return c >= '0' && c <= '9'; });
  if (!fits) return fail(ErrorCode::invalid_argument, "number: not \"+\" and 2 to 31 digits");
  return Number(std::string(text));
}

SidCall make_sid_call(const Number& caller, const Number& callee, const CallNonce& nonce) { return wire::make_sid_call(caller, callee, nonce.view()); }

std::string session_id_of(const SidCall& sid_call) { return to_hex(sid_call.view().first(session_id_octets)); }

}  // namespace qanat::terminal
