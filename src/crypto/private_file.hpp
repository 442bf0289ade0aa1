// Files with keys beside an element's state: for their owner alone, and whole or not there. Private to crypto.
#pragma once

#include <filesystem>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/random.hpp"

namespace qanat::crypto {

/// Appears under its name with all of its octets, mode 0600, and is on the disk before this returns. What is there already stays as it is, and that is no
/// failure: the first of two makers wins, and whoever wants to know what is there reads it.
Result<void> place_private_file(const std::filesystem::path& path, ByteView octets, Rng& rng);

/// Fills `out` from the beginning; how much of it. not_found; denied if it is no regular file, another user's, or others can reach it; invalid_argument if it
/// has more octets than `out`.
Result<std::size_t> read_private_file(const std::filesystem::path& path, std::span<std::uint8_t> out);

}  // namespace qanat::crypto
