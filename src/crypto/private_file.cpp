#include "crypto/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/file_descriptor.hpp"

namespace qanat::crypto {
namespace {

std::unexpected<Error> file_failure(ErrorCode code, const std::filesystem::path& path, std::string_view what) {
  return fail(code, path.string() + ": " + std::string(what));
}
std::unexpected<Error> system_failure(const std::filesystem::path& path, std::string_view call) {
  return file_failure(ErrorCode::internal, path, std::string(call) + ": " + std::strerror(errno));
}

Result<void> write_all(const FileDescriptor& file, const std::filesystem::path& path, ByteView octets) {
  while (!octets.empty()) {
    const ssize_t written = ::write(file.get(), octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return system_failure(path, "write");
    octets = octets.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> sync_folder_of(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const FileDescriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!handle.is_open() || ::fsync(handle.get()) != 0) return system_failure(path, "fsync of the folder");
  return {};
}

Result<void> check_private(const FileDescriptor& file, const std::filesystem::path& path, std::size_t octets_max) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return system_failure(path, "fstat");
  if (!S_ISREG(status.st_mode)) return file_failure(ErrorCode::denied, path, "is not a regular file");
  if (status.st_uid != ::geteuid()) return file_failure(ErrorCode::denied, path, "belongs to another user");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) return file_failure(ErrorCode::denied, path, "others can reach it: its mode must be 0600");
  if (status.st_size > static_cast<off_t>(octets_max)) return file_failure(ErrorCode::invalid_argument, path, "is too long");
  return {};
}

}  // namespace

Result<void> place_private_file(const std::filesystem::path& path, ByteView octets, Rng& rng) {
  // Written beside its place and linked there: a link, unlike a renaming, never takes another file's place.
  const std::filesystem::path beside = path.string() + "." + to_hex(rng.bytes(8));
  Result<void> outcome;
  {
    const FileDescriptor file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
    if (!file.is_open()) return system_failure(beside, "create");
    outcome = write_all(file, beside, octets);
    if (outcome && ::fsync(file.get()) != 0) outcome = system_failure(beside, "fsync");
  }
  if (outcome && ::link(beside.c_str(), path.c_str()) != 0 && errno != EEXIST) outcome = system_failure(path, "link");
  (void)::unlink(beside.c_str());
  if (!outcome) return outcome;
  return sync_folder_of(path);
}

Result<std::size_t> read_private_file(const std::filesystem::path& path, std::span<std::uint8_t> out) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.is_open()) return errno == ENOENT ? Result<std::size_t>(file_failure(ErrorCode::not_found, path, "is not there")) : system_failure(path, "open");
  TRY(check_private(file, path, out.size()));
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::read(file.get(), out.data() + done, out.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failure(path, "read");
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

}  // namespace qanat::crypto
