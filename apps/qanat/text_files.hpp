// Texts that a network keeps in files: written whole or not at all.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.hpp"

namespace qanat::app {

/// Takes the place of an earlier file; whoever reads at the same time sees the one or the other.
Result<void> write_text(const std::filesystem::path& file, const std::string& text);
/// not_found if it cannot be read.
Result<std::string> read_text(const std::filesystem::path& file);
/// A path as a TOML text in double quotes.
std::string quoted(const std::filesystem::path& path);

}  // namespace qanat::app
