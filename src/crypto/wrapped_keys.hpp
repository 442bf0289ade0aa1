// The two session keys of an SDF or SKF device as they lie beside the state: wrapped by a key of the device, and of no use without it. Five lines of text and
// the SM3 of them, so that a damaged file is told from another device. Own design (docs/adr/0021-sdf-device.md, 0022-devices.md). Private to crypto.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::crypto {

/// How the files of one kind of device begin, and what they call the key that wrapped.
struct WrappedKeysForm {
  std::string_view kind;     // "sdf", "skf"
  std::string_view wrapper;  // "kek", "container"
};
inline constexpr WrappedKeysForm sdf_keys_form{.kind = "sdf", .wrapper = "kek"};
inline constexpr WrappedKeysForm skf_keys_form{.kind = "skf", .wrapper = "container"};

struct WrappedKeys {
  std::string wrapper;  // SDF: index of the KEK; SKF: SM3 of the container's public encryption key
  Bytes encryption;     // wrapped
  Bytes mac;            // wrapped
  Bytes check;          // sealed by the two: what is known, so that a device shows that it has them
  bool operator==(const WrappedKeys&) const = default;
};

std::string format_wrapped_keys(const WrappedKeysForm& form, const WrappedKeys& keys);
/// Takes what format_wrapped_keys() gives and nothing else: invalid_argument.
Result<WrappedKeys> parse_wrapped_keys(const WrappedKeysForm& form, std::string_view text);
/// not_found; denied if others can reach the file; invalid_argument if it was changed or is another thing.
Result<WrappedKeys> read_wrapped_keys(const WrappedKeysForm& form, const std::filesystem::path& file);

}  // namespace qanat::crypto
