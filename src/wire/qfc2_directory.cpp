#include "wire/qfc2_directory.hpp"

#include "wire/qfc2_codec.hpp"

namespace qanat::wire {
namespace {

static_assert(directory_pages_max * 48 + 256 <= body_size_max && directory_page_entries_max <= 0xFFFF);

bool ascends(const std::vector<DirectoryEntry>& entries) {
  return std::ranges::adjacent_find(entries, [](const DirectoryEntry& one, const DirectoryEntry& next) { return one.number >= next.number; }) == entries.end();
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, DirectoryPage>
void fields(Codec& c, M& m) {
  c.long_list("entries", m.entries, directory_page_entries_max, [](auto& codec, auto& entry) {
    codec.number("number", entry.number);
    codec.name("uid", entry.uid, uid_bounds);
    codec.name("kms", entry.kms, kms_bounds);
  });
  c.require(!m.entries.empty() && ascends(m.entries), "entries", "must be there, ascending by number");
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, Directory>
void fields(Codec& c, M& m) {
  c.u64("epoch", m.epoch);
  c.require(m.epoch >= 1 && m.epoch <= INT64_MAX, "epoch", "must be 1 to 2^63 - 1");
  c.u64("not_before_ms", m.not_before_ms);
  c.u64("not_after_ms", m.not_after_ms);
  c.require(m.not_after_ms > m.not_before_ms && m.not_after_ms - m.not_before_ms <= directory_life_max_ms && m.not_after_ms <= INT64_MAX, "not_after_ms",
            "must be later than not_before_ms, by 24 h at most");
  c.u64("entries", m.entries);
  c.long_list("pages", m.pages, directory_pages_max, [](auto& codec, auto& page) { codec.digest("page", page); });
  c.require(m.entries >= m.pages.size() && m.entries <= m.pages.size() * directory_page_entries_max, "entries", "does not fit the pages");
  fingerprint_fields(c, "fp", m.fps);
}

}  // namespace

QANAT_WIRE_MESSAGE(DirectoryPage);
QANAT_WIRE_MESSAGE(Directory);

std::size_t encoded_size(const DirectoryEntry& entry) noexcept {
  return number_bounds.prefix() + entry.number.text().size() + uid_bounds.prefix() + entry.uid.text().size() + kms_bounds.prefix() + entry.kms.text().size();
}

}  // namespace qanat::wire
