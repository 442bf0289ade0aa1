// Reads test vectors that other projects publish: OpenSSL's evp stanzas and Botan's .vec files (.deps/<library>/vectors).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"

namespace qanat::crypto::testing {

/// The `name = value` lines of one vector, in order; names may repeat.
class Vector {
 public:
  void set(std::string name, std::string value);
  void add(std::string name, std::string value) { lines_.emplace_back(std::move(name), std::move(value)); }
  [[nodiscard]] bool empty() const { return lines_.empty(); }
  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  [[nodiscard]] std::string text(std::string_view name) const;
  /// The value as octets: hexadecimal, or a text in quotation marks.
  [[nodiscard]] Bytes octets(std::string_view name) const;
  /// The rest of the `name` line whose value begins with `prefix` ("hexseed:").
  [[nodiscard]] std::optional<std::string> prefixed(std::string_view name, std::string_view prefix) const;

 private:
  [[nodiscard]] const std::string* find(std::string_view name) const;
  std::vector<std::pair<std::string, std::string>> lines_;
};

/// Stanzas of .deps/openssl/vectors/<file>. `file` missing: none, so that the caller's minimum count fails.
std::vector<Vector> openssl_vectors(std::string_view file);
/// Entries of .deps/botan/vectors/<file> within [section]; an entry ends at its line `last`, and a value holds until it is set anew.
std::vector<Vector> botan_vectors(std::string_view file, std::string_view section, std::string_view last);
/// The C string literals of .deps/openssl/vectors/<file> after `marker`.
std::vector<std::string> c_strings(std::string_view file, std::string_view marker);

Bytes hex(std::string_view text);

}  // namespace qanat::crypto::testing
