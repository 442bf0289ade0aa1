#include "quantum/qkd/photonics/used_mark.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <fstream>

namespace qanat::qkd {
namespace {

bool store(const std::filesystem::path& file, std::string_view text) {
  const int descriptor = ::open(file.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (descriptor < 0) return false;
  const bool is_written = ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(descriptor) == 0;
  return ::close(descriptor) == 0 && is_written;
}

bool sync_folder_of(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool is_stored = ::fsync(descriptor) == 0;
  ::close(descriptor);
  return is_stored;
}

}  // namespace

Result<UsedMark> UsedMark::open(const std::filesystem::path& events) {
  UsedMark mark(events.string() + ".used");
  std::ifstream in(mark.file_);
  if (!in) {
    std::error_code error;
    if (std::filesystem::symlink_status(mark.file_, error).type() == std::filesystem::file_type::not_found) return mark;
    return fail(ErrorCode::internal, mark.file_.string() + ": cannot be read; what of the recording is used is not known");
  }
  std::string text;
  std::getline(in, text);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mark.next_);
  if (error != std::errc() || end != text.data() + text.size()) return fail(ErrorCode::invalid_argument, mark.file_.string() + ": must hold one number");
  return mark;
}

Result<void> UsedMark::advance(std::uint64_t next) {
  if (next < next_) return fail(ErrorCode::conflict, file_.string() + ": cannot go back");
  const std::filesystem::path fresh = file_.string() + ".new";
  std::error_code error;
  if (store(fresh, std::to_string(next) + "\n")) std::filesystem::rename(fresh, file_, error);
  if (error || !std::filesystem::exists(file_, error) || !sync_folder_of(file_)) return fail(ErrorCode::internal, file_.string() + ": cannot be stored");
  next_ = next;
  return {};
}

}  // namespace qanat::qkd
