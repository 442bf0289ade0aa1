// Certificates in an envelope that nobody signed: "certs-only" CMS SignedData (RFC 5652 §5.1, RFC 8551 §3.8), in which EST, SCEP and others hand them out.
#pragma once

#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::crypto {

/// More than any answer needs: a leaf, or every CA of a network with its predecessors.
inline constexpr std::size_t certs_only_max = 32;

/// ContentInfo with a SignedData without content and without signers. The certificates (DER) keep their order, for there are readers that take the first one
/// for the leaf; CMS is BER, whose sets have no order. invalid_argument for none, for more than certs_only_max, and for octets that are no certificate.
Result<Bytes> make_certs_only(std::span<const Bytes> certificates);

/// The certificates as DER, in their order. invalid_argument for what is not such an envelope, is over 64 KiB, has octets behind its end, holds content,
/// signers or more than certs_only_max certificates, or none at all. Revocation lists in it are read over.
Result<std::vector<Bytes>> read_certs_only(ByteView der);

}  // namespace qanat::crypto
