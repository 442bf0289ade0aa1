#include "base/secret_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

namespace qanat {
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

struct Digits {
  Secret text;
  std::size_t count = 0;  // of text, which is longer
  [[nodiscard]] ByteView view() const { return text.reveal().first(count); }
};

Result<Digits> read_digits(const std::filesystem::path& file, std::size_t unit, std::size_t units_max) {
  Digits out{.text = Secret(2 * unit * units_max + 2), .count = 0};
  ASSIGN_OR_RETURN(out.count, read_private(file, out.text.writable()));
  if (out.count > 0 && out.view().back() == '\n') --out.count;
  if (out.count == 0 || out.count % (2 * unit) != 0 || out.count > 2 * unit * units_max) {
    return fail(ErrorCode::invalid_argument, file.string() + ": must hold " + (units_max == 1 ? std::string() : "a multiple of ") + std::to_string(2 * unit) +
                                                 " hexadecimal digits" + (units_max == 1 ? std::string() : ", at most " + std::to_string(2 * unit * units_max)));
  }
  if (std::ranges::any_of(out.view(), [](std::uint8_t c) { return digit(c) == no_digit; })) {
    return fail(ErrorCode::invalid_argument, file.string() + ": must hold lower-case hexadecimal digits");
  }
  return Result<Digits>(std::move(out));
}

}  // namespace

Result<Secret> read_secret_file(const std::filesystem::path& file, std::size_t unit, std::size_t units_max) {
  ASSIGN_OR_RETURN(const Digits digits, read_digits(file, unit, units_max));
  Secret out(digits.count / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out.writable()[i] = static_cast<std::uint8_t>(digit(digits.view()[2 * i]) * 16U + digit(digits.view()[2 * i + 1]));
  }
  return Result<Secret>(std::move(out));
}

Result<Secret> read_secret_line(const std::filesystem::path& file, std::size_t octets_max) {
  Secret text(octets_max + 2);
  ASSIGN_OR_RETURN(const std::size_t count, read_private(file, text.writable()));
  std::span<std::uint8_t> line = text.writable().first(count);
  if (!line.empty() && line.back() == '\n') line = line.first(line.size() - 1);
  if (line.empty() || line.size() > octets_max || std::ranges::find(line, std::uint8_t{'\n'}) != line.end()) {
    return fail(ErrorCode::invalid_argument, file.string() + ": must hold one line of 1 to " + std::to_string(octets_max) + " octets");
  }
  return Result<Secret>(Secret::copy_of(line));
}

Result<Secret> read_secret_digits(const std::filesystem::path& file, std::size_t octets) {
  ASSIGN_OR_RETURN(const Digits digits, read_digits(file, octets, 1));
  return Result<Secret>(Secret::copy_of(digits.view()));
}

Result<NewSecretFile> NewSecretFile::make(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (descriptor >= 0) return Result<NewSecretFile>(NewSecretFile(file, descriptor));
  return errno == EEXIST ? fail(ErrorCode::conflict, file.string() + ": is there already")
                         : fail(ErrorCode::internal, file.string() + ": cannot be made: " + std::strerror(errno));
}

NewSecretFile::~NewSecretFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!file_.empty()) ::unlink(file_.c_str());
}

Result<void> NewSecretFile::write(const Secret& octets) {
  for (ByteView rest = octets.reveal(); !rest.empty();) {
    const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return fail(ErrorCode::internal, file_.string() + ": cannot be written: " + std::strerror(errno));
    rest = rest.subspan(static_cast<std::size_t>(count));
  }
  if (::fsync(descriptor_) != 0) return fail(ErrorCode::internal, file_.string() + ": cannot be stored: " + std::strerror(errno));
  return {};
}

Result<void> write_secret_file(const std::filesystem::path& file, const Secret& octets) {
  ASSIGN_OR_RETURN(NewSecretFile made, NewSecretFile::make(file));
  TRY(made.write(octets));
  made.keep();
  return {};
}

}  // namespace qanat
