// Secrets that an operator charges by file: hexadecimal digits, mode 0600.
#pragma once

#include <filesystem>

#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::qkd {

/// The octets: a whole multiple of `unit`, at most `units_max` times. Lower-case digits, one new line may follow. denied if others can read
/// the file.
Result<Secret> read_secret_file(const std::filesystem::path& file, std::size_t unit, std::size_t units_max);

}  // namespace qanat::qkd
