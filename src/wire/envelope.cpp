#include "wire/envelope.hpp"

namespace qanat::wire {
namespace {

void put(Bytes& out, ByteView field) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(field.size() >> static_cast<unsigned>(shift)));
  append(out, field);
}

Result<Bytes> take(ByteView& rest, const char* field, std::size_t max = envelope_field_max) {
  const auto bad = [&](const char* what) { return fail(ErrorCode::invalid_argument, std::string("envelope: ") + field + ": " + what); };
  if (rest.size() < 4) return bad("no length");
  std::size_t size = 0;
  for (std::size_t i = 0; i < 4; ++i) size = size << 8U | rest[i];
  rest = rest.subspan(4);
  if (size > max) return bad("too long");
  if (size > rest.size()) return bad("cut off");
  Bytes out = to_bytes(rest.first(size));
  rest = rest.subspan(size);
  return out;
}

}  // namespace

Bytes encode(const Envelope& envelope) {
  Bytes out;
  out.reserve(12 + envelope.message.size() + envelope.classical.size() + envelope.ml_dsa.size());
  put(out, envelope.message);
  put(out, envelope.classical);
  put(out, envelope.ml_dsa);
  return out;
}

Result<Envelope> parse_envelope(ByteView octets, std::size_t message_max) {
  Envelope out;
  ASSIGN_OR_RETURN(out.message, take(octets, "message", message_max));
  ASSIGN_OR_RETURN(out.classical, take(octets, "classical certificate"));
  ASSIGN_OR_RETURN(out.ml_dsa, take(octets, "ML-DSA certificate"));
  if (!octets.empty()) return fail(ErrorCode::invalid_argument, "envelope: octets after its end");
  return out;
}

}  // namespace qanat::wire
