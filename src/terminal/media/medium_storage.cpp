#include "terminal/media/medium_storage.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

namespace qanat::terminal {
namespace {

constexpr std::size_t header_copies = 2;
constexpr std::size_t slots_offset = header_copies * header_block_size;
constexpr std::uint32_t slots_per_file = 64;
constexpr std::string_view header_file = "medium.qmed";

std::unexpected<Error> storage_failure(const std::filesystem::path& path, std::string_view call) {
  return fail(errno == ENOENT ? ErrorCode::not_found : ErrorCode::internal, "medium " + path.string() + ": " + std::string(call) + ": " + std::strerror(errno));
}

std::unexpected<Error> is_there(const std::filesystem::path& path) {
  return fail(ErrorCode::conflict, "medium " + path.string() + ": is there already; to make it anew, remove it first, with the keys in it");
}

class SlotFile {
 public:
  enum class Mode : std::uint8_t { existing, made, either };
  static Result<SlotFile> open(const std::filesystem::path& path, Mode mode) {
    const int more = mode == Mode::existing ? 0 : (mode == Mode::made ? O_CREAT | O_EXCL : O_CREAT);
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | more, S_IRUSR | S_IWUSR);
    if (descriptor < 0 && errno == EEXIST) return is_there(path);
    if (descriptor < 0) return storage_failure(path, "open");
    SlotFile out(path, descriptor);
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) return storage_failure(path, "fstat");
    if (!S_ISREG(status.st_mode)) return fail(ErrorCode::denied, "medium " + path.string() + ": is not a regular file");
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) return fail(ErrorCode::denied, "medium " + path.string() + ": others can reach it: its mode must be 0600");
    return Result<SlotFile>(std::move(out));
  }
  SlotFile(SlotFile&& other) noexcept : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  SlotFile(const SlotFile&) = delete;
  SlotFile& operator=(const SlotFile&) = delete;
  SlotFile& operator=(SlotFile&&) = delete;
  ~SlotFile() {
    if (descriptor_ >= 0) (void)::close(descriptor_);
  }

  /// Zeros beyond the file's end.
  Result<Bytes> read(std::uint64_t offset, std::size_t size) const {
    Bytes out(size);
    std::size_t done = 0;
    while (done < size) {
      const ssize_t got = ::pread(descriptor_, out.data() + done, size - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return storage_failure(path_, "read");
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return out;
  }
  Result<void> write(std::uint64_t offset, ByteView octets) const {
    while (!octets.empty()) {
      const ssize_t put = ::pwrite(descriptor_, octets.data(), octets.size(), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return storage_failure(path_, "write");
      octets = octets.subspan(static_cast<std::size_t>(put));
      offset += static_cast<std::uint64_t>(put);
    }
    return {};
  }
  Result<void> sync() const {
    if (::fsync(descriptor_) != 0) return storage_failure(path_, "fsync");
    return {};
  }

 private:
  SlotFile(std::filesystem::path path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  std::filesystem::path path_;
  int descriptor_;
};

Result<void> sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return storage_failure(folder, "open");
  const bool done = ::fsync(descriptor) == 0;
  const int error = errno;
  (void)::close(descriptor);
  errno = error;
  if (!done) return storage_failure(folder, "fsync");
  return {};
}
std::filesystem::path folder_of(const std::filesystem::path& file) { return file.has_parent_path() ? file.parent_path() : std::filesystem::path("."); }

/// Both layouts keep the two copies at the beginning of a file.
class HeaderInFile : public MediumStorage {
 public:
  explicit HeaderInFile(SlotFile file) : file_(std::move(file)) {}
  Result<Bytes> read_header(std::size_t copy) override { return file_.read(copy * header_block_size, header_block_size); }
  Result<void> write_header(std::size_t copy, ByteView block) override {
    CHECK(copy < header_copies && block.size() == header_block_size);
    TRY(file_.write(copy * header_block_size, block));
    return file_.sync();
  }

 protected:
  SlotFile file_;
};

class Records final : public HeaderInFile {
 public:
  Records(SlotFile file, std::uint32_t capacity) : HeaderInFile(std::move(file)), capacity_(capacity) {}
  Result<Bytes> read_slot(wire::KeySet set, std::uint32_t index) override { return file_.read(place(set, index), slot_size); }
  Result<void> write_slot(wire::KeySet set, std::uint32_t index, ByteView octets) override { return file_.write(place(set, index), octets); }
  Result<void> sync() override { return file_.sync(); }
  Result<void> erase(wire::KeySet set, std::uint32_t begin, std::uint32_t end) override {
    // The ring is no larger than its capacity: beyond that, places come again.
    const std::uint32_t first = end - begin > capacity_ ? end - capacity_ : begin;
    for (std::uint32_t index = first; index < end; ++index) TRY(file_.write(place(set, index), Bytes(slot_size)));
    return file_.sync();
  }

 private:
  [[nodiscard]] std::uint64_t place(wire::KeySet set, std::uint32_t index) const {
    return slots_offset + (static_cast<std::uint64_t>(wire::index_of(set)) * capacity_ + index % capacity_) * slot_size;
  }
  std::uint32_t capacity_;
};

class Tree final : public HeaderInFile {
 public:
  Tree(SlotFile header, std::filesystem::path folder) : HeaderInFile(std::move(header)), folder_(std::move(folder)) {}
  Result<Bytes> read_slot(wire::KeySet set, std::uint32_t index) override {
    auto file = SlotFile::open(path(set, index / slots_per_file), SlotFile::Mode::existing);
    if (!file && file.error().code == ErrorCode::not_found) return Bytes(slot_size);
    if (!file) return fail(file.error());
    return file->read(place(index), slot_size);
  }
  Result<void> write_slot(wire::KeySet set, std::uint32_t index, ByteView octets) override {
    const std::uint32_t block = index / slots_per_file;
    auto open = written_.find({set, block});
    if (open == written_.end()) {
      ASSIGN_OR_RETURN(SlotFile file, SlotFile::open(path(set, block), SlotFile::Mode::either));
      open = written_.emplace(std::pair(set, block), std::move(file)).first;
    }
    return open->second.write(place(index), octets);
  }
  Result<void> sync() override {
    for (const auto& [which, file] : written_) {
      TRY(file.sync());
      TRY(sync_folder(folder_ / wire::name(which.first)));
    }
    written_.clear();
    return {};
  }
  Result<void> erase(wire::KeySet set, std::uint32_t begin, std::uint32_t end) override {
    if (begin >= end) return {};
    // A file that nothing below its end can come into any more goes; zeros first, so that what the file system keeps of it is none.
    for (std::uint32_t block = begin / slots_per_file; block <= (end - 1) / slots_per_file; ++block) {
      auto file = SlotFile::open(path(set, block), SlotFile::Mode::existing);
      if (!file && file.error().code == ErrorCode::not_found) continue;
      if (!file) return fail(file.error());
      const std::uint64_t first = std::uint64_t{block} * slots_per_file;
      const std::uint64_t last = std::min<std::uint64_t>(first + slots_per_file, end);
      const std::uint64_t from = std::max<std::uint64_t>(first, begin);
      TRY(file->write((from - first) * slot_size, Bytes(static_cast<std::size_t>((last - from) * slot_size))));
      TRY(file->sync());
      if (last != first + slots_per_file) continue;
      std::error_code error;
      std::filesystem::remove(path(set, block), error);
      if (error) return fail(ErrorCode::internal, "medium " + path(set, block).string() + ": remove: " + error.message());
      TRY(sync_folder(folder_ / wire::name(set)));
    }
    return {};
  }

 private:
  [[nodiscard]] std::filesystem::path path(wire::KeySet set, std::uint32_t block) const {
    const Bytes number{static_cast<std::uint8_t>(block >> 24U), static_cast<std::uint8_t>(block >> 16U), static_cast<std::uint8_t>(block >> 8U),
                       static_cast<std::uint8_t>(block)};
    return folder_ / wire::name(set) / (to_hex(number) + ".keys");
  }
  static std::uint64_t place(std::uint32_t index) { return std::uint64_t{index % slots_per_file} * slot_size; }

  std::filesystem::path folder_;
  std::map<std::pair<wire::KeySet, std::uint32_t>, SlotFile> written_;  // since the last sync
};

}  // namespace

Result<std::unique_ptr<MediumStorage>> make_medium_storage(const std::filesystem::path& path, const MediumKindRow& kind) {
  using Out = Result<std::unique_ptr<MediumStorage>>;
  if (kind.layout == MediumLayout::records) {
    ASSIGN_OR_RETURN(SlotFile file, SlotFile::open(path, SlotFile::Mode::made));
    TRY(sync_folder(folder_of(path)));
    return Out(std::make_unique<Records>(std::move(file), kind.capacity));
  }
  if (::mkdir(path.c_str(), S_IRWXU) != 0) {
    if (errno == EEXIST) return is_there(path);
    return storage_failure(path, "mkdir");
  }
  for (const wire::KeySet set : wire::all_key_sets) {
    if (::mkdir((path / wire::name(set)).c_str(), S_IRWXU) != 0) return storage_failure(path, "mkdir");
  }
  ASSIGN_OR_RETURN(SlotFile header, SlotFile::open(path / header_file, SlotFile::Mode::made));
  TRY(sync_folder(path));
  TRY(sync_folder(folder_of(path)));
  return Out(std::make_unique<Tree>(std::move(header), path));
}

Result<std::unique_ptr<MediumStorage>> open_medium_storage(const std::filesystem::path& path) {
  using Out = Result<std::unique_ptr<MediumStorage>>;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    ASSIGN_OR_RETURN(SlotFile header, SlotFile::open(path / header_file, SlotFile::Mode::existing));
    return Out(std::make_unique<Tree>(std::move(header), path));
  }
  ASSIGN_OR_RETURN(SlotFile file, SlotFile::open(path, SlotFile::Mode::existing));
  // The kind stands in each copy; a copy that a crash has cut is not the one that says it.
  for (std::size_t copy = 0; copy < header_copies; ++copy) {
    ASSIGN_OR_RETURN(const Bytes block, file.read(copy * header_block_size, header_block_size));
    const auto parsed = parse_header_block(block);
    if (parsed && row_of(parsed->header.kind).layout == MediumLayout::records)
      return Out(std::make_unique<Records>(std::move(file), row_of(parsed->header.kind).capacity));
  }
  return fail(ErrorCode::invalid_argument, "medium " + path.string() + ": no secure medium, or its header is destroyed");
}

}  // namespace qanat::terminal
