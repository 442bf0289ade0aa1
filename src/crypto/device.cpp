#include "crypto/device.hpp"

#include "crypto/device_health.hpp"

namespace qanat::crypto {
namespace {

struct Opener {
  const std::filesystem::path& file;
  Rng& rng;

  Result<std::unique_ptr<CryptoDevice>> operator()(const Pkcs11Settings& token) const { return open_pkcs11_device(token, rng); }
  Result<std::unique_ptr<CryptoDevice>> operator()(const SdfSettings& sdf) const { return open_sdf_device(sdf, file, rng); }
  Result<std::unique_ptr<CryptoDevice>> operator()(const SkfSettings& skf) const { return open_skf_device(skf, file, rng); }
  Result<std::unique_ptr<CryptoDevice>> operator()(const PairSettings& pair) const { return open_pair_device(pair, rng); }
};

}  // namespace

std::string_view name(DeviceState state) noexcept {
  switch (state) {
    case DeviceState::ok:
      return "ok";
    case DeviceState::degraded:
      return "degraded";
    case DeviceState::failed:
      return "failed";
  }
  return "failed";
}

std::optional<Bytes> CryptoDevice::completed(ByteView /*context*/, ByteView /*sealed*/, const Secret& /*secret*/) { return std::nullopt; }

bool needs_file(const std::optional<DeviceSettings>& device) {
  return !device || std::holds_alternative<SdfSettings>(*device) || std::holds_alternative<SkfSettings>(*device);
}

Result<std::unique_ptr<CryptoDevice>> open_device(const std::optional<DeviceSettings>& device, const std::filesystem::path& master_key, Rng& rng) {
  if (!device) return open_software_device(master_key, rng);
  return std::visit(Opener{.file = master_key, .rng = rng}, *device);
}

}  // namespace qanat::crypto
