#include "wire/injection.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "wire/key_schedule.hpp"
#include "wire/labels.hpp"

namespace qanat::wire {
namespace {

constexpr std::size_t index_size = 4;
constexpr std::size_t mac_key_size = 32;

constexpr std::uint8_t flag_of(ExtensionType type) { return type == ExtensionType::injected_key ? flag_inj : flag_sym; }

Bytes mac_of(const crypto::Suite& suite, ExtensionType type, const Secret& key, ByteView covered) {
  if (type == ExtensionType::injected_key) return injected_request_mac(suite, key, covered);
  const Secret prk = crypto::hkdf_extract(suite.hash, Bytes(suite.digest), key);
  return crypto::hmac(suite.hash, crypto::hkdf_expand(suite.hash, prk, {labels::sym_req}, mac_key_size), {covered});
}

void drop(KeyRequest& message, ExtensionType type) {
  std::erase_if(message.ext, [type](const Extension& one) { return one.type == type; });
  message.flags &= static_cast<std::uint8_t>(~flag_of(type));
}

}  // namespace

Bytes index_octets(std::uint32_t index) {
  return {static_cast<std::uint8_t>(index >> 24U), static_cast<std::uint8_t>(index >> 16U), static_cast<std::uint8_t>(index >> 8U),
          static_cast<std::uint8_t>(index)};
}

bool extensions_are(const std::vector<Extension>& ext, std::uint8_t flags) {
  return std::ranges::all_of(std::array{ExtensionType::injected_key, ExtensionType::symmetric_authentication},
                             [&](ExtensionType type) { return indexed_mac(ext, type).has_value() == ((flags & flag_of(type)) != 0); });
}

std::optional<IndexedMac> indexed_mac(const std::vector<Extension>& ext, ExtensionType type) {
  const auto found = std::ranges::find(ext, type, &Extension::type);
  if (found == ext.end() || found->value.size() < index_size) return std::nullopt;
  std::uint32_t index = 0;
  for (std::size_t i = 0; i < index_size; ++i) index = index << 8U | found->value[i];
  return IndexedMac{.index = index, .mac = ByteView(found->value).subspan(index_size)};
}

Extension make_extension(ExtensionType type, std::uint32_t index, ByteView mac) { return {.type = type, .value = concat({index_octets(index), mac})}; }

Result<Bytes> covered_by(const crypto::Suite& suite, std::uint32_t policy_epoch, KeyRequest message, ExtensionType type) {
  drop(message, ExtensionType::injected_key);
  if (type == ExtensionType::symmetric_authentication) drop(message, ExtensionType::symmetric_authentication);
  return encode(suite, policy_epoch, message);
}

Result<KeyRequest> prove(const crypto::Suite& suite, std::uint32_t policy_epoch, KeyRequest message, ExtensionType type, std::uint32_t index,
                         const Secret& key) {
  CHECK(!indexed_mac(message.ext, type));
  ASSIGN_OR_RETURN(const Bytes covered, covered_by(suite, policy_epoch, message, type));
  message.ext.push_back(make_extension(type, index, mac_of(suite, type, key, covered)));
  std::ranges::sort(message.ext, {}, &Extension::type);
  message.flags |= flag_of(type);
  return message;
}

Result<void> check_proof(const Framed<KeyRequest>& request, ExtensionType type, const Secret& key) {
  const auto said = indexed_mac(request.message.ext, type);
  CHECK(said.has_value());
  ASSIGN_OR_RETURN(const Bytes covered, covered_by(*request.suite, request.header.policy_epoch, request.message, type));
  if (equal_constant_time(said->mac, mac_of(*request.suite, type, key, covered))) return {};
  return fail(ErrorCode::unauthenticated,
              "KeyRequest: extension " + std::to_string(static_cast<int>(type)) + " is not made with the charged key of index " + std::to_string(said->index));
}

}  // namespace qanat::wire
