// Secrets that this program draws for a process and leaves in a file for it: mode 0600, hexadecimal digits.
#pragma once

#include <filesystem>

#include "base/result.hpp"
#include "crypto/random.hpp"

namespace qanat::app {

inline constexpr std::size_t enrolment_secret_size = 32;  // octets

/// A new file of mode 0600 with `size` random octets in hexadecimal; an existing one is kept.
Result<void> write_secret(const std::filesystem::path& file, std::size_t size, crypto::Rng& rng);

}  // namespace qanat::app
