#include "crypto/wrapped_keys.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "crypto/kdf.hpp"
#include "crypto/private_file.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t file_octets_max = 4096;
constexpr std::size_t wrapper_digits_max = 64;

std::string first_line(const WrappedKeysForm& form) { return "qanat " + std::string(form.kind) + " keys 1\n"; }

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

bool is_wrapper(std::string_view text) {
  const auto is_digit = [](char one) { return (one >= '0' && one <= '9') || (one >= 'a' && one <= 'f'); };
  return !text.empty() && text.size() <= wrapper_digits_max && std::ranges::all_of(text, is_digit);
}

}  // namespace

std::string format_wrapped_keys(const WrappedKeysForm& form, const WrappedKeys& keys) {
  std::string out = first_line(form) + std::string(form.wrapper) + " " + keys.wrapper;
  out += "\nencryption " + to_hex(keys.encryption) + "\nmac " + to_hex(keys.mac) + "\ncheck " + to_hex(keys.check) + "\n";
  out += "sm3 " + to_hex(digest(Hash::sm3, as_bytes(out))) + "\n";
  return out;
}

Result<WrappedKeys> parse_wrapped_keys(const WrappedKeysForm& form, std::string_view text) {
  const std::string kind = form.kind == sdf_keys_form.kind ? "SDF" : "SKF";
  std::string_view rest = text;
  const std::string first = first_line(form);
  if (!rest.starts_with(first)) return fail(ErrorCode::invalid_argument, "holds no keys that an " + kind + " device wrapped");
  rest.remove_prefix(first.size());
  const auto wrapper = take_line(rest, form.wrapper);
  auto encryption = take_octets(rest, "encryption");
  auto mac = take_octets(rest, "mac");
  auto check = take_octets(rest, "check");
  if (wrapper && is_wrapper(*wrapper) && encryption && mac && check) {
    WrappedKeys out{.wrapper = std::string(*wrapper), .encryption = *std::move(encryption), .mac = *std::move(mac), .check = *std::move(check)};
    // There is one text for each value: another is a damaged one.
    if (format_wrapped_keys(form, out) == text) return out;
  }
  return fail(ErrorCode::invalid_argument, "was changed since the device wrapped the keys in it: bring it back from a backup");
}

Result<WrappedKeys> read_wrapped_keys(const WrappedKeysForm& form, const std::filesystem::path& file) {
  std::array<std::uint8_t, file_octets_max> octets{};
  ASSIGN_OR_RETURN(const std::size_t size, read_private_file(file, octets));
  auto keys = parse_wrapped_keys(form, as_text(ByteView(octets).first(size)));
  if (!keys) return fail_in(file.string(), keys.error());
  return keys;
}

}  // namespace qanat::crypto
