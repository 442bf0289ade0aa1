#include "base/secret.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <vector>

#include "base/check.hpp"

namespace qanat {
namespace {

// Locked memory is scarce (RLIMIT_MEMLOCK), and a mapping per secret would waste a page each. Secrets of up to four pages come from
// slabs that are mapped, locked and excluded from core dumps once; larger ones get a mapping of their own.
constexpr std::size_t slab_size = 256 * 1024;
constexpr std::array<std::size_t, 10> class_sizes{32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384};

constexpr std::size_t huge_page = 2 * 1024 * 1024;
// Mappings given back, wiped, that wait for the next secret of their size: a block of QKD takes and gives back the same ten or so again and again,
// and mapping, locking and clearing them anew costs a tenth of all that is done to a block.
constexpr std::size_t kept_size_max = 64 * 1024 * 1024;
constexpr std::size_t kept_count_max = 64;

std::uint8_t* map_locked(std::size_t size) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  // Key material of a whole block of QKD: the faults of ordinary pages would cost as much time as a pass over it.
  if (size >= huge_page) (void)::madvise(memory, size, MADV_HUGEPAGE);
  // Past the limit (RLIMIT_MEMLOCK) mlock fails: the memory is then swappable, but still excluded from dumps and wiped.
  (void)::mlock(memory, size);
  (void)::madvise(memory, size, MADV_DONTDUMP);
  (void)::madvise(memory, size, MADV_WIPEONFORK);
  return static_cast<std::uint8_t*>(memory);
}

std::size_t page_rounded(std::size_t size) {
  const auto page = size >= huge_page ? huge_page : static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (size + page - 1) / page * page;
}

class LockedArena {
 public:
  LockedArena() { kept_.reserve(kept_count_max); }

  std::uint8_t* allocate(std::size_t size) {
    if (size > class_sizes.back()) return allocate_mapping(page_rounded(size));
    const std::size_t index = class_of(size);
    const std::lock_guard lock(mutex_);
    std::vector<std::uint8_t*>& free_list = free_[index];
    if (free_list.empty()) carve(index);
    std::uint8_t* block = free_list.back();
    free_list.pop_back();
    return block;
  }
  void release(std::uint8_t* block, std::size_t size) noexcept {
    wipe({block, size});
    if (size > class_sizes.back()) {
      release_mapping(block, page_rounded(size));
      return;
    }
    const std::lock_guard lock(mutex_);
    free_[class_of(size)].push_back(block);  // capacity was reserved when the block was carved
  }

 private:
  struct Mapping {
    std::uint8_t* memory;
    std::size_t size;
  };

  std::uint8_t* allocate_mapping(std::size_t size) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = std::ranges::find(kept_, size, &Mapping::size);
      if (found != kept_.end()) {
        std::uint8_t* memory = found->memory;
        kept_size_ -= size;
        kept_.erase(found);
        return memory;
      }
    }
    return map_locked(size);
  }
  /// `memory` is wiped. What was given back longest ago makes room.
  void release_mapping(std::uint8_t* memory, std::size_t size) noexcept {
    const std::lock_guard lock(mutex_);
    if (size > kept_size_max) {
      (void)::munmap(memory, size);
      return;
    }
    while (kept_size_ + size > kept_size_max || kept_.size() == kept_count_max) {
      (void)::munmap(kept_.front().memory, kept_.front().size);
      kept_size_ -= kept_.front().size;
      kept_.erase(kept_.begin());
    }
    kept_.push_back({.memory = memory, .size = size});  // capacity is there from the beginning
    kept_size_ += size;
  }

  static std::size_t class_of(std::size_t size) {
    return static_cast<std::size_t>(std::ranges::lower_bound(class_sizes, size) - class_sizes.begin());
  }
  void carve(std::size_t index) {
    std::uint8_t* slab = map_locked(slab_size);
    const std::size_t step = class_sizes.at(index);
    blocks_[index] += slab_size / step;
    free_[index].reserve(blocks_[index]);
    for (std::size_t at = slab_size; at >= step; at -= step) free_[index].push_back(slab + at - step);
  }

  std::mutex mutex_;
  std::array<std::vector<std::uint8_t*>, class_sizes.size()> free_;
  std::array<std::size_t, class_sizes.size()> blocks_{};
  std::vector<Mapping> kept_;
  std::size_t kept_size_ = 0;
};

// Never destroyed: secrets in static storage may outlive any other static.
LockedArena& arena() {
  static auto* instance = new LockedArena;
  return *instance;
}

}  // namespace

void wipe(std::span<std::uint8_t> octets) noexcept {
  if (!octets.empty()) ::explicit_bzero(octets.data(), octets.size());
}

bool equal_constant_time(ByteView a, ByteView b) noexcept {
  if (a.size() != b.size()) return false;
  std::uint8_t difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference = static_cast<std::uint8_t>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

Secret::Secret(std::size_t size) : size_(size) {
  if (size > 0) {
    data_ = arena().allocate(size);
    if (size <= class_sizes.back()) std::fill_n(data_, size, std::uint8_t{0});  // a mapping of its own is zero, or was wiped
  }
}

Secret Secret::copy_of(ByteView octets) {
  Secret out(octets.size());
  std::ranges::copy(octets, out.data_);
  return out;
}

Secret Secret::concat(std::initializer_list<const Secret*> parts) {
  std::size_t size = 0;
  for (const Secret* part : parts) size += part->size();
  Secret out(size);
  std::uint8_t* at = out.data_;
  for (const Secret* part : parts) at = std::ranges::copy(part->reveal(), at).out;
  return out;
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    if (data_ != nullptr) arena().release(data_, size_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Secret::~Secret() {
  if (data_ != nullptr) arena().release(data_, size_);
}

void Secret::xor_with(const Secret& other) {
  CHECK(size_ == other.size_);
  for (std::size_t i = 0; i < size_; ++i) data_[i] = static_cast<std::uint8_t>(data_[i] ^ other.data_[i]);
}

}  // namespace qanat
