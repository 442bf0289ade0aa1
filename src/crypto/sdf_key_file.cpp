#include "crypto/sdf_key_file.hpp"

#include <array>
#include <charconv>
#include <optional>

#include "crypto/kdf.hpp"
#include "crypto/private_file.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t file_octets_max = 4096;
constexpr std::string_view first_line = "qanat sdf keys 1\n";

/// Takes "<name> <value>\n" off the beginning; the value, or nothing.
std::optional<std::string_view> take_line(std::string_view& text, std::string_view name) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = text.substr(0, end);
  if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ' ') return std::nullopt;
  line.remove_prefix(name.size() + 1);
  text.remove_prefix(end + 1);
  return line;
}

std::optional<Bytes> take_octets(std::string_view& text, std::string_view name) {
  const auto value = take_line(text, name);
  return value ? from_hex(*value) : std::nullopt;
}

std::optional<std::uint32_t> take_number(std::string_view& text, std::string_view name) {
  const auto value = take_line(text, name);
  std::uint32_t out = 0;
  if (!value || std::from_chars(value->data(), value->data() + value->size(), out).ec != std::errc()) return std::nullopt;
  return out;
}

}  // namespace

std::string format_sdf_keys(const SdfKeys& keys) {
  std::string out(first_line);
  out += "kek " + std::to_string(keys.kek_index) + "\nencryption " + to_hex(keys.encryption) + "\nmac " + to_hex(keys.mac) + "\ncheck " + to_hex(keys.check) +
         "\n";
  out += "sm3 " + to_hex(digest(Hash::sm3, as_bytes(out))) + "\n";
  return out;
}

Result<SdfKeys> parse_sdf_keys(std::string_view text) {
  std::string_view rest = text;
  if (!rest.starts_with(first_line)) return fail(ErrorCode::invalid_argument, "holds no keys that an SDF device wrapped");
  rest.remove_prefix(first_line.size());
  const auto index = take_number(rest, "kek");
  auto encryption = take_octets(rest, "encryption");
  auto mac = take_octets(rest, "mac");
  auto check = take_octets(rest, "check");
  if (index && encryption && mac && check) {
    SdfKeys out{.kek_index = *index, .encryption = *std::move(encryption), .mac = *std::move(mac), .check = *std::move(check)};
    // There is one text for each value: another is a damaged one.
    if (format_sdf_keys(out) == text) return out;
  }
  return fail(ErrorCode::invalid_argument, "was changed since the device wrapped the keys in it: bring it back from a backup");
}

Result<SdfKeys> read_sdf_keys(const std::filesystem::path& file) {
  std::array<std::uint8_t, file_octets_max> octets{};
  ASSIGN_OR_RETURN(const std::size_t size, read_private_file(file, octets));
  auto keys = parse_sdf_keys(as_text(ByteView(octets).first(size)));
  if (!keys) return fail_in(file.string(), keys.error());
  return keys;
}

}  // namespace qanat::crypto
