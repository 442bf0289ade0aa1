// F_INJ in an application for a working key: the extensions that name a charged key and prove that the sender has it.
//   1 (flag_inj)  a key of the call set, which the last mile is mixed with:          u32 index ‖ MAC over the message without extension 1 and its flag
//   2 (flag_sym)  a key of the authentication set, for symmetric mode:               u32 index ‖ MAC over the message without both extensions and flags
// Each key is used for one application. Extension 2 is made first, extension 1 covers it.
#pragma once

#include <optional>

#include "wire/qfc2_application.hpp"
#include "wire/signed.hpp"

namespace qanat::wire {

Bytes index_octets(std::uint32_t index);
/// Each extension is there exactly if its flag is set.
bool extensions_are(const std::vector<Extension>& ext, std::uint8_t flags);

/// What an extension says.
struct IndexedMac {
  std::uint32_t index = 0;
  ByteView mac;  // into the extension
};
std::optional<IndexedMac> indexed_mac(const std::vector<Extension>& ext, ExtensionType type);
Extension make_extension(ExtensionType type, std::uint32_t index, ByteView mac);

/// header‖body that the MAC of this extension is over.
Result<Bytes> covered_by(const crypto::Suite& suite, std::uint32_t policy_epoch, KeyRequest message, ExtensionType type);
/// `message` with the extension and its flag.
Result<KeyRequest> prove(const crypto::Suite& suite, std::uint32_t policy_epoch, KeyRequest message, ExtensionType type, std::uint32_t index,
                         const Secret& key);
/// `unauthenticated` if the request's MAC is not under this key; the extension must be there.
Result<void> check_proof(const Framed<KeyRequest>& request, ExtensionType type, const Secret& key);

}  // namespace qanat::wire
