#include "services/kms/kma/history_segment.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/file_descriptor.hpp"
#include "services/kms/kma/record_chain.hpp"
#include "wire/json.hpp"

namespace qanat::kms {
namespace {

constexpr std::string_view segment_label = "qanat key archive 1\n";
constexpr mode_t segment_mode = 0600;
constexpr int former_segments_max = 100;

std::unexpected<Error> segment_failure(const std::filesystem::path& file, std::string_view step) {
  return fail(ErrorCode::internal, file.string() + ": " + std::string(step) + ": " + std::generic_category().message(errno));
}

Result<void> sync_segment_folder(const std::filesystem::path& folder) {
  const FileDescriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!handle.is_open() || ::fsync(handle.get()) != 0) return segment_failure(folder, "fsync");
  return {};
}

Result<void> make_segment_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) return {};
  if (::mkdir(folder.c_str(), 0700) != 0) return segment_failure(folder, "mkdir");
  return sync_segment_folder(folder.parent_path());
}

/// Whether the file is a beginning of `text`; so is one that is not there.
Result<bool> begins_segment(const std::filesystem::path& file, std::string_view text) {
  const FileDescriptor handle(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!handle.is_open() && errno == ENOENT) return true;
  if (!handle.is_open()) return segment_failure(file, "open");
  std::string there(text.size() + 1, '\0');
  std::size_t size = 0;
  while (size < there.size()) {
    const ssize_t count = ::pread(handle.get(), there.data() + size, there.size() - size, static_cast<off_t>(size));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return segment_failure(file, "read");
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  return text.starts_with(std::string_view(there).substr(0, size));
}

/// A killed process has written what is written now, or less. Anything else is of a database that knew more (one backup was restored twice, and so began the
/// same life twice): it stays, under a name of its own.
Result<void> keep_former_segment(const std::filesystem::path& file, std::string_view text) {
  ASSIGN_OR_RETURN(const bool begins, begins_segment(file, text));
  if (begins) return {};
  for (int i = 1; i <= former_segments_max; ++i) {
    const std::filesystem::path former = file.string() + ".former-" + std::to_string(i);
    std::error_code error;
    if (std::filesystem::exists(std::filesystem::symlink_status(former, error))) continue;
    if (::rename(file.c_str(), former.c_str()) != 0) return segment_failure(file, "rename");
    return {};
  }
  return fail(ErrorCode::internal, file.string() + ": is there, and " + std::to_string(former_segments_max) + " former ones of its name");
}

Result<void> write_segment(const std::filesystem::path& file, int descriptor, std::int64_t place, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::pwrite(descriptor, text.data(), text.size(), static_cast<off_t>(place));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return segment_failure(file, "write");
    place += count;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

}  // namespace

std::string SegmentHead::file_name() const { return "keys-" + std::to_string(life) + "-" + std::to_string(number) + ".jsonl"; }

std::string SegmentHead::line() const { return wire::Json::object({{"kms", kms}, {"life", life}, {"segment", number}, {"previous", to_hex(previous)}}).dump(); }

SegmentExtent SegmentExtent::begun_with(std::string_view head) {
  SegmentExtent out;
  out.digest = begin_chain(segment_label, head);
  out.octets = std::ssize(head) + 1;
  return out;
}

void SegmentExtent::add(std::string_view line) {
  ++records;
  octets += std::ssize(line) + 1;
  digest = next_in_chain(digest, line);
}

Result<void> extend_segment(const std::filesystem::path& file, std::int64_t octets, std::string_view text) {
  if (octets == 0) {
    TRY(make_segment_folder(file.parent_path()));
    TRY(keep_former_segment(file, text));
  }
  const FileDescriptor handle(::open(file.c_str(), O_RDWR | (octets == 0 ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW, segment_mode));
  if (!handle.is_open()) return segment_failure(file, "open");
  struct stat status {};
  if (::fstat(handle.get(), &status) != 0) return segment_failure(file, "stat");
  if (status.st_size < octets)
    return fail(ErrorCode::internal, file.string() + ": has " + std::to_string(status.st_size) + " octets, " + std::to_string(octets) + " were archived in it");
  if (status.st_size > octets && ::ftruncate(handle.get(), static_cast<off_t>(octets)) != 0) return segment_failure(file, "truncate");
  TRY(write_segment(file, handle.get(), octets, text));
  if (::fsync(handle.get()) != 0) return segment_failure(file, "fsync");
  return octets == 0 ? sync_segment_folder(file.parent_path()) : Result<void>();
}

Result<std::string> line_of_segment(const std::filesystem::path& file, std::int64_t place) {
  const FileDescriptor handle(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!handle.is_open()) return fail(ErrorCode::not_found, file.string() + ": is not here");
  std::string out(segment_line_max + 1, '\0');
  const ssize_t count = ::pread(handle.get(), out.data(), out.size(), static_cast<off_t>(place));
  if (count < 0) return segment_failure(file, "read");
  out.resize(static_cast<std::size_t>(count));
  const std::size_t end = out.find('\n');
  if (end == std::string::npos) return fail(ErrorCode::internal, file.string() + ": no line begins at octet " + std::to_string(place));
  out.resize(end);
  return out;
}

Result<SegmentExtent> read_segment(std::istream& in, std::int64_t octets, const std::function<Result<void>(std::string_view line)>& each) {
  SegmentExtent out;
  std::string buffer(segment_line_max + 1, '\0');  // and getline()'s zero
  do {
    in.getline(buffer.data(), std::ssize(buffer));
    if (in.fail() || in.eof()) {
      return fail(ErrorCode::invalid_argument, "no line ends within " + std::to_string(segment_line_max) + " octets after octet " + std::to_string(out.octets) +
                                                   ", " + std::to_string(octets) + " were archived");
    }
    const std::string_view line(buffer.data(), static_cast<std::size_t>(in.gcount()) - 1);
    if (out.octets == 0) {
      out = SegmentExtent::begun_with(line);
    } else {
      out.add(line);
      if (auto taken = each(line); !taken) return fail(ErrorCode::invalid_argument, taken.error().message);
    }
  } while (out.octets < octets);
  if (out.octets > octets) return fail(ErrorCode::invalid_argument, "no line ends at octet " + std::to_string(octets) + ", up to which it was archived");
  return out;
}

}  // namespace qanat::kms
