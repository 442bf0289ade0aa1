#include "audit/log_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace qanat::audit {
namespace {

constexpr mode_t owner_only = 0600;
constexpr std::size_t piece_octets = 65536;

/// Makes the directory entry of a new file durable.
int sync_directory(const std::filesystem::path& file) {
  const std::filesystem::path directory = file.has_parent_path() ? file.parent_path() : ".";
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return errno;
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  (void)::close(descriptor);
  return error;
}

}  // namespace

LogFile::LogFile(LogFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)), name_(std::move(other.name_)), size_(other.size_) {}

LogFile::~LogFile() {
  if (descriptor_ >= 0) (void)::close(descriptor_);
}

std::unexpected<Error> LogFile::failure(std::string_view step, int error) const {
  return fail(ErrorCode::internal, "audit log " + name_ + ": " + std::string(step) + ": " + std::generic_category().message(error));
}

Result<LogFile> LogFile::open(const std::filesystem::path& file) {
  LogFile log(::open(file.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, owner_only), file.string());
  if (log.descriptor_ < 0) return log.failure("open", errno);
  struct stat status {};
  if (::fstat(log.descriptor_, &status) != 0) return log.failure("stat", errno);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::internal, "audit log " + log.name_ + ": not a regular file");
  if (::flock(log.descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return fail(ErrorCode::conflict, "audit log " + log.name_ + " is open in another process");
    return log.failure("lock", errno);
  }
  if ((status.st_mode & 07777) != owner_only && ::fchmod(log.descriptor_, owner_only) != 0) return log.failure("set mode 0600", errno);
  if (const int error = sync_directory(file); error != 0) return log.failure("fsync of its directory", error);
  return Result<LogFile>(std::move(log));
}

Result<LogFile> LogFile::open_to_read(const std::filesystem::path& file) {
  LogFile log(::open(file.c_str(), O_RDONLY | O_CLOEXEC), file.string());
  if (log.descriptor_ < 0) return log.failure("open", errno);
  return Result<LogFile>(std::move(log));
}

Result<void> LogFile::verify(ChainVerifier& verifier) {
  Bytes piece(piece_octets);
  size_ = 0;
  while (true) {
    const ssize_t count = ::pread(descriptor_, piece.data(), piece.size(), static_cast<off_t>(size_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure("read", errno);
    if (count == 0) return {};
    size_ += static_cast<std::uint64_t>(count);
    if (const auto fed = verifier.feed(ByteView(piece).first(static_cast<std::size_t>(count))); !fed) return fail_in("audit log " + name_, fed.error());
  }
}

Result<void> LogFile::append_durably(ByteView octets) {
  ByteView rest = octets;
  while (!rest.empty()) {
    const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure("write", errno);
    rest = rest.subspan(static_cast<std::size_t>(count));
  }
  if (::fdatasync(descriptor_) != 0) return failure("fdatasync", errno);
  size_ += octets.size();
  return {};
}

Result<void> LogFile::truncate(std::uint64_t size) {
  if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) return failure("truncate", errno);
  if (::fsync(descriptor_) != 0) return failure("fsync", errno);
  size_ = size;
  return {};
}

}  // namespace qanat::audit
