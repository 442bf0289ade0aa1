#include "terminal/sid_call.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"

namespace qanat::terminal {
namespace {

constexpr std::string_view label = "QFCI-v2 sid_call";
constexpr std::size_t session_id_octets = 16;

void append_field(Bytes& out, ByteView field) {
  CHECK(field.size() <= 0xFF);
  out.push_back(static_cast<std::uint8_t>(field.size()));
  append(out, field);
}

}  // namespace

Result<Number> parse_number(std::string_view text) {
  const bool fits = text.size() >= number_octets_min && text.size() <= number_octets_max && text.front() == '+' &&
                    std::ranges::all_of(text.substr(1), [](char c) { return c >= '0' && c <= '9'; });
  if (!fits) return fail(ErrorCode::invalid_argument, "number: not \"+\" and 2 to 31 digits");
  return Number(std::string(text));
}

SidCall make_sid_call(const Number& caller, const Number& callee, const CallNonce& nonce) {
  Bytes fields;
  append_field(fields, as_bytes(label));
  append_field(fields, caller.view());
  append_field(fields, callee.view());
  append_field(fields, nonce.view());
  return SidCall(crypto::digest(crypto::Hash::sm3, fields));
}

std::string session_id_of(const SidCall& sid_call) { return to_hex(sid_call.view().first(session_id_octets)); }

}  // namespace qanat::terminal
