#include "quantum/qkd/process/secret_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <span>

namespace qanat::qkd {
namespace {

constexpr unsigned no_digit = 16;

unsigned digit(std::uint8_t c) {
  if (c >= '0' && c <= '9') return c - unsigned{'0'};
  if (c >= 'a' && c <= 'f') return c - unsigned{'a'} + 10U;
  return no_digit;
}

/// All of the file that has room in `out`, straight into it: a stream would leave a copy behind. How much it was.
Result<std::size_t> read_private(const std::filesystem::path& file, std::span<std::uint8_t> out) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return errno == ENOENT ? fail(ErrorCode::not_found, file.string() + ": is not there")
                           : fail(ErrorCode::denied, file.string() + ": cannot be opened: " + std::strerror(errno));
  }
  struct stat facts {};
  std::size_t filled = 0;
  ssize_t count = ::fstat(descriptor, &facts);
  const bool is_private = count == 0 && (facts.st_mode & 077U) == 0;
  while (is_private && filled < out.size() && (count = ::read(descriptor, out.data() + filled, out.size() - filled)) > 0) {
    filled += static_cast<std::size_t>(count);
  }
  ::close(descriptor);
  if (count < 0) return fail(ErrorCode::internal, file.string() + ": cannot be read");
  if (!is_private) return fail(ErrorCode::denied, file.string() + ": others can read it; chmod 600 it");
  return filled;
}

}  // namespace

Result<Secret> read_secret_file(const std::filesystem::path& file, std::size_t unit, std::size_t units_max) {
  Secret text(2 * unit * units_max + 2);
  ASSIGN_OR_RETURN(const std::size_t size, read_private(file, text.writable()));
  const ByteView all = text.reveal().first(size);
  const ByteView digits = !all.empty() && all.back() == '\n' ? all.first(all.size() - 1) : all;
  if (digits.empty() || digits.size() % (2 * unit) != 0 || digits.size() > 2 * unit * units_max) {
    return fail(ErrorCode::invalid_argument, file.string() + ": must hold a multiple of " + std::to_string(2 * unit) + " hexadecimal digits, at most " +
                                                 std::to_string(2 * unit * units_max));
  }
  Secret out(digits.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const unsigned high = digit(digits[2 * i]);
    const unsigned low = digit(digits[2 * i + 1]);
    if (high == no_digit || low == no_digit) return fail(ErrorCode::invalid_argument, file.string() + ": must hold lower-case hexadecimal digits");
    out.writable()[i] = static_cast<std::uint8_t>(high * 16U + low);
  }
  return Result<Secret>(std::move(out));
}

}  // namespace qanat::qkd
