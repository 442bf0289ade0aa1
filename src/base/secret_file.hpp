// Secrets that an operator charges by file: lower-case hexadecimal digits or a line of text, mode 0600, read into locked memory and nowhere before.
#pragma once

#include <filesystem>

#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat {

/// The octets that the digits stand for: a whole multiple of `unit`, at most `units_max` times. One new line may follow. not_found, denied if
/// others can read the file, invalid_argument for anything else in it, internal if it cannot be read.
Result<Secret> read_secret_file(const std::filesystem::path& file, std::size_t unit, std::size_t units_max = 1);

/// A password: the file's one line, 1 to `octets_max` octets.
Result<Secret> read_secret_line(const std::filesystem::path& file, std::size_t octets_max);

/// The digits themselves, where it is the text that keys something: 2 · `octets` of them.
Result<Secret> read_secret_digits(const std::filesystem::path& file, std::size_t octets);

}  // namespace qanat
