// The device over whatever gives sessions with two wrapped SM4 keys: SDF and SKF. Private to crypto.
#pragma once

#include <functional>

#include "crypto/device.hpp"
#include "crypto/sm4_session.hpp"
#include "crypto/wrapped_keys.hpp"

namespace qanat::crypto {

enum class IfAbsent : std::uint8_t { create, refuse };

struct Sm4DeviceParts {
  WrappedKeysForm form;
  std::string where;           // begins the messages of failures: "SDF device, KEK 1"
  std::filesystem::path file;  // of the wrapped keys
  PoolSettings pool;
  /// A session without keys. `create`: what wraps may be made, if it is not there.
  std::function<Result<std::unique_ptr<Sm4Session>>(IfAbsent)> open;
};

Result<std::unique_ptr<CryptoDevice>> open_sm4_device(Sm4DeviceParts parts, Rng& rng);

}  // namespace qanat::crypto
