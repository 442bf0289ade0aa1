// Who exported a key: a wrapped key is sealed to a public key, which anybody may have, so the KMS that wrapped it signs it. Own format (ADR 27).
#pragma once

#include "node/senders.hpp"

namespace qanat::kms::csa {

inline constexpr std::size_t export_statement_max = 32 * 1024;  // octets: a signed text and two certificates are under 16 KiB

/// Signed by this element's message keys, with its certificates: the envelope of a text (wire/signed_text.hpp) that is the wrapped key's digest.
Result<Bytes> make_export_statement(node::Node& node, ByteView wrapped);
/// The KMS that signed it: a peer of this one by the configuration, whose certificates are good now. invalid_argument for what is no statement; denied if it is
/// another's, does not hold, or is about another wrapped key.
Result<Identity> check_export_statement(node::Node& node, node::SenderDirectory& senders, ByteView wrapped, ByteView statement, Deadline deadline);

}  // namespace qanat::kms::csa
