#include "secret_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <string_view>

namespace qanat::app {

Result<void> write_secret(const std::filesystem::path& file, std::size_t size, crypto::Rng& rng) {
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) return errno == EEXIST ? Result<void>() : fail(ErrorCode::internal, file.string() + ": cannot be written");
  const Secret secret = rng.secret(size);
  Secret digits(2 * size);
  constexpr std::string_view alphabet = "0123456789abcdef";
  for (std::size_t i = 0; i < size; ++i) {
    digits.writable()[2 * i] = static_cast<std::uint8_t>(alphabet[secret.reveal()[i] >> 4U]);
    digits.writable()[2 * i + 1] = static_cast<std::uint8_t>(alphabet[secret.reveal()[i] & 15U]);
  }
  const ssize_t written = ::write(descriptor, digits.reveal().data(), digits.size());
  const bool ok = written == static_cast<ssize_t>(digits.size()) && ::fsync(descriptor) == 0;
  ::close(descriptor);
  if (!ok) return fail(ErrorCode::internal, file.string() + ": cannot be written");
  return {};
}

}  // namespace qanat::app
