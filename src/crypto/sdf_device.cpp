#include "crypto/device.hpp"
#include "crypto/sdf_module.hpp"
#include "crypto/sm4_device.hpp"

namespace qanat::crypto {

Result<std::unique_ptr<CryptoDevice>> open_sdf_device(const SdfSettings& settings, const std::filesystem::path& wrapped_keys, Rng& rng) {
  ASSIGN_OR_RETURN(const SdfFunctions* const functions, load_sdf_library(settings.module));
  const auto open = [functions, index = settings.key_index](IfAbsent /*a KEK is made by the maker's means*/) { return open_sdf_session(*functions, index); };
  auto device = open_sm4_device(
      {.form = sdf_keys_form, .where = "SDF device, KEK " + std::to_string(settings.key_index), .file = wrapped_keys, .pool = settings.pool, .open = open},
      rng);
  if (!device) return fail_in("SDF library " + settings.module.string(), device.error());
  return device;
}

}  // namespace qanat::crypto
