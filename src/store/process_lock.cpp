#include "store/process_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace qanat::store {
namespace {

constexpr mode_t owner_only = 0600;

std::unexpected<Error> system_failure(const std::filesystem::path& file, std::string_view step, int error) {
  return fail(ErrorCode::internal, file.string() + ": " + std::string(step) + ": " + std::generic_category().message(error));
}

/// An open descriptor of a regular file with mode 0600; the caller closes it.
Result<int> open_private(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, owner_only);
  if (descriptor < 0) return system_failure(file, "open", errno);
  struct stat status {};
  int error = ::fstat(descriptor, &status) == 0 ? 0 : errno;
  if (error == 0 && !S_ISREG(status.st_mode)) {
    (void)::close(descriptor);
    return fail(ErrorCode::internal, file.string() + ": not a regular file");
  }
  if (error == 0 && (status.st_mode & 07777) != owner_only) error = ::fchmod(descriptor, owner_only) == 0 ? 0 : errno;
  if (error != 0) {
    (void)::close(descriptor);
    return system_failure(file, "set mode 0600", error);
  }
  return descriptor;
}

Result<void> sync_directory(const std::filesystem::path& file) {
  const std::filesystem::path directory = file.has_parent_path() ? file.parent_path() : ".";
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return system_failure(directory, "open", errno);
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  (void)::close(descriptor);
  if (error != 0) return system_failure(directory, "fsync", error);
  return {};
}

}  // namespace

Result<ProcessLock> ProcessLock::acquire(const std::filesystem::path& file) {
  std::filesystem::path lock_file = file;
  lock_file += ".lock";
  ASSIGN_OR_RETURN(const int descriptor, open_private(lock_file));
  ProcessLock lock(descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return Result<ProcessLock>(std::move(lock));
  if (errno != EWOULDBLOCK) return system_failure(lock_file, "lock", errno);
  return fail(ErrorCode::conflict, file.string() + " is open in another process, which holds " + lock_file.string());
}

ProcessLock::ProcessLock(ProcessLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

ProcessLock::~ProcessLock() {
  if (descriptor_ >= 0) (void)::close(descriptor_);
}

Result<void> make_private_file(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const int descriptor, open_private(file));
  (void)::close(descriptor);
  return sync_directory(file);
}

}  // namespace qanat::store
