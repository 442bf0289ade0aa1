// How SDF and SKF devices seal. A box: 16-octet IV ‖ SM4-CBC ciphertext (padding of RFC 5652 §6.3) ‖ 16-octet tag. Own design, argued in
// docs/adr/0021-sdf-device.md: encrypt-then-MAC with two keys, the MAC over the SM3 of everything that counts. The digest has one length, so the CBC-MAC is of
// two blocks always: for that it is secure. Private to crypto.
#pragma once

#include <optional>

#include "crypto/random.hpp"
#include "crypto/sm4_session.hpp"
#include "crypto/wrapped_keys.hpp"

namespace qanat::crypto {

/// `kind` ("sdf", "skf") separates the boxes of the one from those of the other.
Result<Bytes> seal_sm4_box(Sm4Session& session, std::string_view kind, ByteView context, const Sm4Block& iv, const Secret& secret);

struct Sm4BoxParts {
  ByteView authenticated;  // IV ‖ ciphertext
  ByteView tag;
};
/// Nothing if the octets can be no box.
std::optional<Sm4BoxParts> parts_of_sm4_box(ByteView box);
Result<bool> sm4_box_holds(Sm4Session& session, std::string_view kind, ByteView context, const Sm4BoxParts& parts);
/// Of a box that holds: the MAC has said that its octets are right, so a padding that is wrong is the device's fault.
Result<Secret> open_sm4_box(Sm4Session& session, const Sm4BoxParts& parts);

/// New keys, that the session holds then. Nothing is given back before the device has shown that it unwraps what it wrapped.
Result<WrappedKeys> make_wrapped_keys(Sm4Session& session, std::string_view kind, Rng& rng);
/// Puts the keys into the session. `denied` if they did not seal the check: the device has another key than the one that wrapped them.
Result<void> import_wrapped_keys(Sm4Session& session, std::string_view kind, const WrappedKeys& keys);
/// Whether the session still opens what its keys are known to have sealed.
Result<void> check_wrapped_keys(Sm4Session& session, std::string_view kind, const WrappedKeys& keys);

Sm4Block draw_iv(Rng& rng);

}  // namespace qanat::crypto
