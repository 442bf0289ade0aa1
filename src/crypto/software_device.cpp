#include <string>

#include "crypto/aead.hpp"
#include "crypto/device.hpp"
#include "crypto/device_health.hpp"
#include "crypto/kdf.hpp"
#include "crypto/private_file.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t master_key_octets = 32;
constexpr std::string_view seal_label = "qanat software device seal";

Result<Secret> read_master_key(const std::filesystem::path& path) {
  Secret key(master_key_octets);
  ASSIGN_OR_RETURN(const std::size_t size, read_private_file(path, key.writable()));
  if (size != master_key_octets) return fail(ErrorCode::invalid_argument, path.string() + ": is not 32 octets long");
  return Result<Secret>(std::move(key));
}

Result<Secret> read_or_make_master_key(const std::filesystem::path& path, Rng& rng) {
  auto key = read_master_key(path);
  if (key || key.error().code != ErrorCode::not_found) return key;
  const Secret made = rng.secret(master_key_octets);
  TRY(place_private_file(path, made.reveal(), rng));
  return read_master_key(path);  // another's, if another was faster
}

class SoftwareDevice final : public CryptoDevice {
 public:
  SoftwareDevice(Secret master_key, Rng& rng) : seal_prk_(hkdf_extract(Hash::sha256, as_bytes(seal_label), master_key)), rng_(rng) {}

  [[nodiscard]] std::string_view kind() const noexcept override { return "software"; }
  Result<Secret> random(std::size_t size) override { return Result<Secret>(rng_.secret(size)); }
  [[nodiscard]] Rng& rng() noexcept override { return rng_; }
  /// It is this process: it does not fail by itself.
  [[nodiscard]] DeviceHealth health() const override { return {.device = "software", .state = DeviceState::ok, .last_error = "", .members = {}, .sealed_by_one = 0}; }
  void on_change(OnChange /*listener*/) override {}

  // A random nonce is fresh enough: a context's key would have to seal 2^32 secrets before a repetition became likely.
  Result<Bytes> seal(ByteView context, const Secret& secret) override {
    Bytes out = rng_.bytes(aead_iv);
    append(out, crypto::seal(Aead::aes_256_gcm, key_of(context), Bytes(out), context, secret.reveal()));
    return out;
  }

  Result<Secret> unseal(ByteView context, ByteView sealed) override {
    if (sealed.size() < aead_iv + aead_tag) return fail(ErrorCode::denied, "device: sealed octets are too short");
    auto secret = open(Aead::aes_256_gcm, key_of(context), sealed.first(aead_iv), context, sealed.subspan(aead_iv));
    if (!secret) return fail(ErrorCode::denied, "device: sealed octets were changed, moved, or sealed by another device");
    return secret;
  }

 private:
  [[nodiscard]] Secret key_of(ByteView context) const { return hkdf_expand(Hash::sha256, seal_prk_, {context}, key_size(Aead::aes_256_gcm)); }

  Secret seal_prk_;
  Rng& rng_;
};

}  // namespace

Result<std::unique_ptr<CryptoDevice>> open_software_device(const std::filesystem::path& master_key, Rng& rng) {
  auto key = read_or_make_master_key(master_key, rng);
  if (!key) return fail_in("master key", key.error());
  auto device = std::make_unique<SoftwareDevice>(*std::move(key), rng);
  TRY(check_device(*device, rng));
  return Result<std::unique_ptr<CryptoDevice>>(std::move(device));
}

}  // namespace qanat::crypto
