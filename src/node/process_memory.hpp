// What glibc keeps of freed memory. Left to itself it takes eight arenas for each processor, and pages that one of them has freed stay with it: what a process
// holds creeps up for long after what it has in use is steady.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>

namespace qanat::node {

inline constexpr std::chrono::seconds give_back_every{60};

/// One arena for each processor. For the whole process, before its first thread.
inline void share_arenas() noexcept { (void)::mallopt(M_ARENA_MAX, static_cast<int>(std::max(2U, std::thread::hardware_concurrency()))); }

/// Octets that the process has allocated and not freed: what it holds of the system is more, by what glibc keeps.
inline std::uint64_t octets_in_use() noexcept {
  const struct mallinfo2 all = ::mallinfo2();
  return all.uordblks + all.hblkhd;
}

/// Free pages go back to the system, wherever they are. Takes some milliseconds.
inline void give_back_freed() noexcept { (void)::malloc_trim(0); }

}  // namespace qanat::node
