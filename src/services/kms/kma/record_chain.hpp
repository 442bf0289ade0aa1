// A hash chain over records in their order: it grows by a record without the others being read, and who knows its end and their number knows them all. Own
// design; the argument stands in docs/adr/0025-guarded-store.md. The archives of charging records (charging_archive.hpp) and of keys (history_segment.hpp) have
// it.
#pragma once

#include <string_view>

#include "crypto/kdf.hpp"

namespace qanat::kms {

/// What it is a chain of stands at its beginning: SHA-256(label ‖ name).
inline Bytes begin_chain(std::string_view label, std::string_view name) { return crypto::digest(crypto::Hash::sha256, {as_bytes(label), as_bytes(name)}); }
/// SHA-256(the chain before ‖ all that the record says).
inline Bytes next_in_chain(ByteView before, std::string_view record) { return crypto::digest(crypto::Hash::sha256, {before, as_bytes(record)}); }

}  // namespace qanat::kms
