// Integers at a place in an octet string: network order for RTP, SRTP and IP, little endian for RIFF and pcapng.
// The reader has checked that the octets are there.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/check.hpp"

namespace qanat::terminal {

template <std::unsigned_integral T>
void append_big_endian(Bytes& out, T value) {
  for (std::size_t i = sizeof(T); i-- > 0;) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

template <std::unsigned_integral T>
void append_little_endian(Bytes& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

template <std::unsigned_integral T>
T read_big_endian(ByteView octets, std::size_t at) {
  CHECK(octets.size() >= sizeof(T) && at <= octets.size() - sizeof(T));
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(static_cast<std::uint64_t>(value) << 8 | octets[at + i]);
  return value;
}

template <std::unsigned_integral T>
T read_little_endian(ByteView octets, std::size_t at) {
  CHECK(octets.size() >= sizeof(T) && at <= octets.size() - sizeof(T));
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) value = static_cast<T>(static_cast<std::uint64_t>(value) << 8 | octets[at + i]);
  return value;
}

}  // namespace qanat::terminal
