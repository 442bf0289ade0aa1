// Files and folders of ceremonies: new ones only, on the disk before the function returns, whole or not there. And files that can be made again.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::cas {

inline constexpr mode_t private_file = 0600;
inline constexpr mode_t public_file = 0644;

/// `conflict` if there is something of that name.
Result<void> write_new_file(const std::filesystem::path& file, ByteView octets, mode_t mode);
/// Appears under its name with all of its octets. A file that is there already and has these octets is fine; one with others is a `conflict`.
Result<void> place_file(const std::filesystem::path& file, ByteView octets, mode_t mode);
/// Takes the place of what is there: whoever reads sees the old octets or the new ones.
Result<void> replace_file(const std::filesystem::path& file, ByteView octets, mode_t mode);
/// Fills a folder beside it and gives it the name: after a crash there is no folder, or the whole one. The folder may be there if it is empty; `conflict`
/// otherwise.
Result<void> make_whole_folder(const std::filesystem::path& folder, std::filesystem::perms access,
                               const std::function<Result<void>(const std::filesystem::path&)>& fill);

Result<void> make_folder(const std::filesystem::path& folder, std::filesystem::perms access);
Result<void> sync_folder(const std::filesystem::path& folder);
/// At most `octets_max` octets; not_found if it is not there.
Result<Bytes> read_whole_file(const std::filesystem::path& file, std::size_t octets_max);

}  // namespace qanat::cas
