#include "crypto/device.hpp"

namespace qanat::crypto {

Result<std::unique_ptr<CryptoDevice>> open_device(const std::optional<DeviceSettings>& device, const std::filesystem::path& master_key, Rng& rng) {
  if (!device) return open_software_device(master_key, rng);
  if (const auto* const sdf = std::get_if<SdfSettings>(&*device)) return open_sdf_device(*sdf, master_key, rng);
  return open_pkcs11_device(std::get<Pkcs11Settings>(*device), rng);
}

}  // namespace qanat::crypto
