// CMSP's directory (own design, docs/protocol/qfc2.md): who has which number and which KMS serves it, signed for at most a day, for the time in which CMSP does
// not answer. One signature, over the digests of the pages: 10^7 numbers are some 2,500 pages, of which a KMS fetches those that it does not have.
#pragma once

#include <vector>

#include "base/clock.hpp"
#include "wire/qfc2_header.hpp"

namespace qanat::wire {

inline constexpr UnixMs directory_life_max_ms = 86'400'000;  // 24 h
inline constexpr std::size_t directory_pages_max = 2600;     // whose digests fit in one body, in either suite
inline constexpr std::size_t directory_page_entries_max = 16384;

struct DirectoryEntry {
  Number number;
  Uid uid;
  ElementName kms;
  bool operator==(const DirectoryEntry&) const = default;
};

/// 47, CMSP → KMS, not signed itself: the Directory names it by its message hash. Ascending by number, each once.
struct DirectoryPage {
  static constexpr MessageType type = MessageType::directory_page;
  static constexpr Closing closing = Closing::none;
  std::vector<DirectoryEntry> entries;  // at least one
  bool operator==(const DirectoryPage&) const = default;
};
/// Octets of an entry in a page.
std::size_t encoded_size(const DirectoryEntry& entry) noexcept;
/// For the entries of one page, its count included.
inline constexpr std::size_t directory_page_room = body_size_max;

/// 37, CMSP → KMS, signed by CMSP.
struct Directory {
  static constexpr MessageType type = MessageType::directory;
  static constexpr Closing closing = Closing::signature;
  std::uint64_t epoch = 0;  // at least 1, and at most INT64_MAX; a KMS takes none that is not later than the one it keeps
  UnixMs not_before_ms = 0;
  UnixMs not_after_ms = 0;  // later, by directory_life_max_ms at most
  std::uint64_t entries = 0;
  std::vector<Bytes> pages;  // message hashes, in the order of the numbers
  Fingerprints fps;          // of the signer's certificates
  bool operator==(const Directory&) const = default;
};

}  // namespace qanat::wire
