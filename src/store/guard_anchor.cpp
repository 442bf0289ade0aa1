#include "store/guard_anchor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/file_descriptor.hpp"
#include "crypto/kdf.hpp"

namespace qanat::store {
namespace {

constexpr std::string_view beginning = "qanat-anchor 1 ";
constexpr std::size_t anchor_octets_max = 512;

std::string said(const Anchor& anchor, std::string_view shard) {
  return std::string(beginning) + std::string(shard) + " " + std::to_string(anchor.floor) + " " + std::to_string(anchor.ceiling) + " ";
}

/// The number up to the next space, which is taken away with it.
std::optional<std::int64_t> number_from(std::string_view& rest) {
  const std::size_t space = rest.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  std::int64_t out = 0;
  const std::string_view digits = rest.substr(0, space);
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), out);
  if (error != std::errc() || end != digits.end() || out < 0) return std::nullopt;
  rest.remove_prefix(space + 1);
  return out;
}

std::unexpected<Error> failed(const std::filesystem::path& file, std::string_view what) {
  return fail(ErrorCode::internal, "anchor " + file.string() + ": " + std::string(what) + ": " + std::strerror(errno));
}

}  // namespace

std::string write_anchor(const Anchor& anchor, std::string_view shard, crypto::Hash hash, const Secret& key) {
  const std::string text = said(anchor, shard);
  return text + to_hex(crypto::hmac(hash, key, {as_bytes(text)})) + "\n";
}

Result<Anchor> parse_anchor(std::string_view text, std::string_view shard, crypto::Hash hash, const Secret& key) {
  const auto refused = [] { return fail(ErrorCode::denied, "the anchor is not one that this program wrote for this database"); };
  std::string_view rest = text;
  const std::string expected = std::string(beginning) + std::string(shard) + " ";
  if (!rest.starts_with(expected)) return refused();
  rest.remove_prefix(expected.size());
  const auto floor = number_from(rest);
  const auto ceiling = floor ? number_from(rest) : std::nullopt;
  if (!ceiling) return refused();
  const Anchor out{.floor = *floor, .ceiling = *ceiling};
  // Written again it must be the same, so that there is one text for an anchor.
  if (!equal_constant_time(as_bytes(write_anchor(out, shard, hash, key)), as_bytes(text))) return refused();
  return out;
}

Result<void> place_anchor(const std::filesystem::path& file, std::string_view text) {
  const std::filesystem::path beside = file.string() + ".next";
  {
    const FileDescriptor out(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
    if (!out.is_open()) return failed(beside, "create");
    while (!text.empty()) {
      const ssize_t written = ::write(out.get(), text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return failed(beside, "write");
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::fsync(out.get()) != 0) return failed(beside, "fsync");
  }
  if (::rename(beside.c_str(), file.c_str()) != 0) return failed(file, "rename");
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  const FileDescriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!handle.is_open() || ::fsync(handle.get()) != 0) return failed(file, "fsync of the folder");
  return {};
}

Result<std::optional<std::string>> read_anchor(const std::filesystem::path& file) {
  const FileDescriptor in(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!in.is_open() && errno == ENOENT) return std::optional<std::string>();
  if (!in.is_open()) return failed(file, "open");
  std::array<char, anchor_octets_max> octets{};
  std::size_t size = 0;
  while (size < octets.size()) {
    const ssize_t read = ::read(in.get(), octets.data() + size, octets.size() - size);
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) return failed(file, "read");
    if (read == 0) break;
    size += static_cast<std::size_t>(read);
  }
  return std::optional(std::string(octets.data(), size));
}

}  // namespace qanat::store
