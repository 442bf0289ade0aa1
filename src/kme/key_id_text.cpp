#include "kme/key_id_text.hpp"

#include <array>

namespace qanat::kme {
namespace {

constexpr std::array<std::size_t, 4> hyphens{8, 13, 18, 23};

}  // namespace

std::string to_uuid(const KeyId& id) {
  std::string out = id.hex();
  for (const std::size_t at : hyphens) out.insert(at, 1, '-');
  return out;
}

Result<KeyId> from_uuid(std::string_view text) {
  std::string digits;
  for (std::size_t i = 0; i < text.size() && text.size() == uuid_size; ++i) {
    const bool hyphen_place = i == hyphens[0] || i == hyphens[1] || i == hyphens[2] || i == hyphens[3];
    if (hyphen_place != (text[i] == '-')) return fail(ErrorCode::invalid_argument, "key_ID is not a UUID");
    if (!hyphen_place) digits.push_back(text[i]);
  }
  auto id = KeyId::parse_hex(digits);
  if (!id || digits.empty()) return fail(ErrorCode::invalid_argument, "key_ID is not a UUID");
  return id;
}

}  // namespace qanat::kme
