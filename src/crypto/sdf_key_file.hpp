// The two session keys of an SDF device as they lie beside the state: wrapped by the device's key-encryption key, and of no use without it. Five lines of text
// and the SM3 of them, so that a damaged file is told from a device with another KEK. Own design (docs/adr/0021-sdf-device.md). Private to crypto.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::crypto {

struct SdfKeys {
  std::uint32_t kek_index = 0;
  Bytes encryption;  // wrapped
  Bytes mac;         // wrapped
  Bytes check;       // sealed by the two: what is known, so that a device shows that it has them
  bool operator==(const SdfKeys&) const = default;
};

std::string format_sdf_keys(const SdfKeys& keys);
/// Takes what format_sdf_keys() gives and nothing else: invalid_argument.
Result<SdfKeys> parse_sdf_keys(std::string_view text);
/// not_found; denied if others can reach the file; invalid_argument if it was changed or is another thing.
Result<SdfKeys> read_sdf_keys(const std::filesystem::path& file);

}  // namespace qanat::crypto
