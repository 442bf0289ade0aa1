#include "audit/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/file_descriptor.hpp"

namespace qanat::audit {
namespace {

constexpr mode_t small_file_mode = 0600;
constexpr mode_t folder_mode = 0700;

std::unexpected<Error> file_failure(const std::filesystem::path& file, std::string_view step, int error) {
  return fail(ErrorCode::internal, file.string() + ": " + std::string(step) + ": " + std::generic_category().message(error));
}

Result<void> make_folders(const std::filesystem::path& folder) {
  if (folder.empty()) return {};
  if (::mkdir(folder.c_str(), folder_mode) == 0 || errno == EEXIST) return {};
  if (errno != ENOENT) return file_failure(folder, "mkdir", errno);
  TRY(make_folders(folder.parent_path()));
  if (::mkdir(folder.c_str(), folder_mode) == 0 || errno == EEXIST) return {};
  return file_failure(folder, "mkdir", errno);
}

Result<void> write_all(const std::filesystem::path& file, int descriptor, ByteView octets) {
  while (!octets.empty()) {
    const ssize_t count = ::write(descriptor, octets.data(), octets.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_failure(file, "write", errno);
    octets = octets.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

}  // namespace

Result<void> replace_file(const std::filesystem::path& file, ByteView octets, Durability durability) {
  const std::filesystem::path fresh = file.string() + ".new";
  constexpr int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
  int opened = ::open(fresh.c_str(), flags, small_file_mode);
  if (opened < 0 && errno == ENOENT) {
    TRY(make_folders(file.parent_path()));
    opened = ::open(fresh.c_str(), flags, small_file_mode);
  }
  const FileDescriptor descriptor(opened);
  if (!descriptor.is_open()) return file_failure(fresh, "open", errno);
  TRY(write_all(fresh, descriptor.get(), octets));
  if (durability == Durability::now && ::fdatasync(descriptor.get()) != 0) return file_failure(fresh, "fdatasync", errno);
  if (::rename(fresh.c_str(), file.c_str()) != 0) return file_failure(file, "rename", errno);
  if (durability == Durability::later) return {};
  const FileDescriptor folder(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open() || ::fsync(folder.get()) != 0) return file_failure(file.parent_path(), "fsync", errno);
  return {};
}

Result<std::optional<Bytes>> read_small_file(const std::filesystem::path& file, std::size_t octets_max) {
  const FileDescriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor.is_open()) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<Bytes>{};
    return file_failure(file, "open", errno);
  }
  Bytes out(octets_max + 1);
  std::size_t size = 0;
  while (size < out.size()) {
    const ssize_t count = ::read(descriptor.get(), out.data() + size, out.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_failure(file, "read", errno);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  if (size > octets_max) return fail(ErrorCode::internal, file.string() + ": longer than such a file can be");
  out.resize(size);
  return std::optional<Bytes>(std::move(out));
}

}  // namespace qanat::audit
