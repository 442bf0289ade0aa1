#include "services/cas/whole_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file_descriptor.hpp"

namespace qanat::cas {
namespace {

std::unexpected<Error> file_failure(const std::filesystem::path& file) { return fail(ErrorCode::internal, file.string() + ": " + std::strerror(errno)); }

/// A name beside `file` that belongs to this process.
std::filesystem::path beside(const std::filesystem::path& file) {
  std::string text = file.string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text + "." + std::to_string(::getpid()) + ".part";
}

std::filesystem::path folder_of(const std::filesystem::path& file) { return file.has_parent_path() ? file.parent_path() : std::filesystem::path("."); }

}  // namespace

Result<void> write_new_file(const std::filesystem::path& file, ByteView octets, mode_t mode) {
  const FileDescriptor out(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!out.is_open() && errno == EEXIST) return fail(ErrorCode::conflict, file.string() + " is there already");
  if (!out.is_open()) return file_failure(file);
  while (!octets.empty()) {
    const ssize_t written = ::write(out.get(), octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return file_failure(file);
    octets = octets.subspan(static_cast<std::size_t>(written));
  }
  // Whatever the umask: certificates are for everybody.
  if (::fchmod(out.get(), mode) != 0 || ::fsync(out.get()) != 0) return file_failure(file);
  return {};
}

Result<void> place_file(const std::filesystem::path& file, ByteView octets, mode_t mode) {
  const std::filesystem::path part = beside(file);
  (void)::unlink(part.c_str());
  Result<void> done = write_new_file(part, octets, mode);
  // A link, not a renaming: it never takes another file's place.
  const bool linked = done && ::link(part.c_str(), file.c_str()) == 0;
  if (done && !linked && errno != EEXIST) done = file_failure(file);
  (void)::unlink(part.c_str());
  TRY(done);
  if (linked) return sync_folder(folder_of(file));
  ASSIGN_OR_RETURN(const Bytes there, read_whole_file(file, octets.size() + 1));
  if (!std::ranges::equal(there, octets)) return fail(ErrorCode::conflict, file.string() + " is there already, with something else in it");
  return {};
}

Result<void> replace_file(const std::filesystem::path& file, ByteView octets, mode_t mode) {
  const std::filesystem::path part = beside(file);
  (void)::unlink(part.c_str());
  Result<void> done = write_new_file(part, octets, mode);
  if (done && ::rename(part.c_str(), file.c_str()) != 0) done = file_failure(file);
  if (!done) (void)::unlink(part.c_str());
  TRY(done);
  return sync_folder(folder_of(file));
}

Result<void> make_whole_folder(const std::filesystem::path& folder, std::filesystem::perms access,
                               const std::function<Result<void>(const std::filesystem::path&)>& fill) {
  const std::filesystem::path part = beside(folder);
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(folder, error)) &&
      (!std::filesystem::is_directory(folder, error) || !std::filesystem::is_empty(folder, error))) {
    return fail(ErrorCode::conflict, folder.string() + " is there already and is not empty: nothing is overwritten");
  }
  std::filesystem::remove_all(part, error);
  TRY(make_folder(part, access));
  Result<void> done = fill(part);
  if (done) done = sync_folder(part);
  // Takes the place of an empty folder only.
  if (done && ::rename(part.c_str(), folder.c_str()) != 0) {
    done = errno == ENOTEMPTY || errno == EEXIST ? fail(ErrorCode::conflict, folder.string() + " is there already and is not empty: nothing is overwritten")
                                                 : file_failure(folder);
  }
  if (!done) {
    std::filesystem::remove_all(part, error);
    return done;
  }
  return sync_folder(folder_of(part));
}

Result<void> make_folder(const std::filesystem::path& folder, std::filesystem::perms access) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error) std::filesystem::permissions(folder, access, error);
  if (error) return fail(ErrorCode::internal, folder.string() + ": " + error.message());
  return {};
}

Result<void> sync_folder(const std::filesystem::path& folder) {
  const FileDescriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!handle.is_open() || ::fsync(handle.get()) != 0) return file_failure(folder);
  return {};
}

Result<Bytes> read_whole_file(const std::filesystem::path& file, std::size_t octets_max) {
  const FileDescriptor in(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in.is_open()) return errno == ENOENT ? fail(ErrorCode::not_found, file.string() + ": is not there") : file_failure(file);
  Bytes out(octets_max + 1);
  std::size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t count = ::read(in.get(), out.data() + filled, out.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_failure(file);
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  if (filled > octets_max) return fail(ErrorCode::invalid_argument, file.string() + ": is larger than " + std::to_string(octets_max) + " octets");
  out.resize(filled);
  return out;
}

}  // namespace qanat::cas
