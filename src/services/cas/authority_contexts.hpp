// What the keys of issuing CAs are sealed for: a box does not open in another table, branch or generation. Private to cas.
#pragma once

#include <string>

#include "services/cas/authority.hpp"
#include "store/store.hpp"

namespace qanat::cas {

inline Bytes authority_context(Branch branch) { return store::column_context("authority.sealed_key", as_bytes(name(branch))); }
inline Bytes generation_context(std::string_view column, Branch branch, std::int64_t generation) {
  const std::string row = std::string(name(branch)) + "/" + std::to_string(generation);
  return store::column_context(column, as_bytes(row));
}
inline Bytes earlier_context(Branch branch, std::int64_t generation) { return generation_context("earlier_authority.sealed_key", branch, generation); }
inline Bytes next_context(Branch branch, std::int64_t generation) { return generation_context("next_authority.sealed_key", branch, generation); }
inline Bytes next_device_context(std::int64_t generation) { return generation_context("device_succession.sealed_key", Branch::devices, generation); }

}  // namespace qanat::cas
