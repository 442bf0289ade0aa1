// Whole files of octets: the recordings that a call plays and writes, and its capture.
#pragma once

#include <filesystem>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::terminal {

/// not_found if the file cannot be opened, invalid_argument if it is longer than `octets_max`, internal if reading fails.
Result<Bytes> read_file(const std::filesystem::path& path, std::size_t octets_max);
/// Replaces the file; internal if it cannot be written whole.
Result<void> write_file(const std::filesystem::path& path, ByteView octets);

}  // namespace qanat::terminal
