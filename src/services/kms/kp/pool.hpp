// What has a pool key of its own (pool_keys.hpp): the three libraries of KP, and a pool for each kind of key that other modules keep.
#pragma once

#include "services/kms/kp/library.hpp"

namespace qanat::kms {

enum class Pool : std::uint8_t {
  standby,
  in_use,
  history,
  csa,      // keys of applications (csa/)
  sae,      // keys for standard equipment: those shared with other KMSs, and those that SAEs may fetch (sae/)
  charged,  // keys charged into secure media, and the media's transport keys (kim/)
};
inline constexpr std::array all_pools{Pool::standby, Pool::in_use, Pool::history, Pool::csa, Pool::sae, Pool::charged};

constexpr Pool pool_of(Library library) noexcept {
  switch (library) {
    case Library::standby:
      return Pool::standby;
    case Library::in_use:
      return Pool::in_use;
    case Library::history:
      return Pool::history;
  }
  return Pool::in_use;
}

/// As the rows of pool_key have it, and the context that binds them. A library's pool has the library's name.
constexpr std::string_view name(Pool pool) noexcept {
  switch (pool) {
    case Pool::standby:
      return name(Library::standby);
    case Pool::in_use:
      return name(Library::in_use);
    case Pool::history:
      return name(Library::history);
    case Pool::csa:
      return "csa";
    case Pool::sae:
      return "sae";
    case Pool::charged:
      return "charged";
  }
  return "?";
}

}  // namespace qanat::kms
