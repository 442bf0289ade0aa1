// A-law of ITU-T G.711: 16-bit linear samples at 8000 Hz to one octet each, and back.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.hpp"

namespace qanat::terminal {

/// Samples per second of everything that this folder hears and says.
inline constexpr std::uint32_t sample_rate_hz = 8000;

/// One A-law octet with the even bits inverted, as it stands on the wire (0 gives 0xD5). The 16-bit scale is the 13-bit scale of G.711 times 8.
std::uint8_t alaw_encode(std::int16_t sample) noexcept;
/// The middle of the octet's quantisation interval, on the 16-bit scale.
std::int16_t alaw_decode(std::uint8_t octet) noexcept;

Bytes alaw_encode(std::span<const std::int16_t> samples);
std::vector<std::int16_t> alaw_decode(ByteView octets);

}  // namespace qanat::terminal
