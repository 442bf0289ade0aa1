// Sealed columns that live long, under a pair of devices: what was sealed while one of the two was away opens by the other alone, until it is sealed anew.
#pragma once

#include <string_view>

#include "store/store.hpp"

namespace qanat::store {

/// Unseals what stands in this column, for its owner, who reads it at its start. If one of a pair's devices does not open it and both are there, it is put back
/// sealed anew for both (CryptoDevice::completed). `table` and `column` go into the SQL: literals.
Result<Secret> unseal_long_lived(Store& store, crypto::CryptoDevice& device, std::string_view table, std::string_view column, ByteView context, ByteView sealed);

}  // namespace qanat::store
