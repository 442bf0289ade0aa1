// The notice that certificates are revoked: what CAS sends, and what an element does about it.
#pragma once

#include <set>
#include <span>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::node {

inline constexpr std::size_t revocations_at_once = 50;  // in one notice

/// {"revoked": ["<SHA-256 of the certificate, 64 hexadecimal digits>", …]}
std::string revocation_notice(std::span<const std::string> fingerprints);
/// invalid_argument for anything that revocation_notice() does not make.
Result<std::set<Bytes>> read_revocation_notice(ByteView body);

}  // namespace qanat::node
