#include "crypto/device.hpp"
#include "crypto/skf_module.hpp"
#include "crypto/sm4_device.hpp"

namespace qanat::crypto {

Result<std::unique_ptr<CryptoDevice>> open_skf_device(const SkfSettings& settings, const std::filesystem::path& wrapped_keys, Rng& rng) {
  ASSIGN_OR_RETURN(const SkfFunctions* const functions, load_skf_library(settings.module));
  const auto pin = std::make_shared<SkfPin>(settings.pin_file);  // owners: the copies of `open`, for std::function copies what it holds
  const auto open = [functions, settings, pin, &rng](IfAbsent if_absent) { return open_skf_session(*functions, settings, *pin, if_absent, rng); };
  auto device = open_sm4_device({.form = skf_keys_form,
                                 .where = "SKF device, application '" + settings.application + "', container '" + settings.container + "'",
                                 .file = wrapped_keys,
                                 .pool = settings.pool,
                                 .open = open},
                                rng);
  if (!device) return fail_in("SKF library " + settings.module.string(), device.error());
  return device;
}

}  // namespace qanat::crypto
