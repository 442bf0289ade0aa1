#include "secret_files.hpp"

#include <string_view>

#include "base/secret_file.hpp"

namespace qanat::app {

Result<void> write_secret(const std::filesystem::path& file, std::size_t size, crypto::Rng& rng) {
  const Secret secret = rng.secret(size);
  Secret digits(2 * size);
  constexpr std::string_view alphabet = "0123456789abcdef";
  for (std::size_t i = 0; i < size; ++i) {
    digits.writable()[2 * i] = static_cast<std::uint8_t>(alphabet[secret.reveal()[i] >> 4U]);
    digits.writable()[2 * i + 1] = static_cast<std::uint8_t>(alphabet[secret.reveal()[i] & 15U]);
  }
  const Result<void> written = write_secret_file(file, digits);
  return !written && written.error().code == ErrorCode::conflict ? Result<void>() : written;
}

}  // namespace qanat::app
