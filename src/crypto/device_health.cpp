#include "crypto/device_health.hpp"

#include "crypto/kdf.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t probe_octets = 32;
constexpr std::string_view probe_context = "qanat device probe";

}  // namespace

void DeviceWatch::on_change(CryptoDevice::OnChange listener) {
  const std::scoped_lock telling(telling_);
  listener_ = std::move(listener);
}

DeviceState DeviceWatch::state() const {
  if (!works_) return DeviceState::failed;
  return random_is_bad_ ? DeviceState::degraded : DeviceState::ok;
}

DeviceHealth DeviceWatch::now() const {
  const std::scoped_lock lock(mutex_);
  return {.device = device_, .state = state(), .last_error = last_error_, .members = {}, .sealed_by_one = 0};
}

void DeviceWatch::worked() {
  {
    const std::scoped_lock lock(mutex_);
    if (works_) return;
    works_ = true;
  }
  tell();
}

void DeviceWatch::failed(const std::string& why) {
  {
    const std::scoped_lock lock(mutex_);
    last_error_ = why;
    if (!works_) return;
    works_ = false;
  }
  tell();
}

void DeviceWatch::bad_random(const std::string& why) {
  {
    const std::scoped_lock lock(mutex_);
    last_error_ = why;
    if (random_is_bad_) return;
    random_is_bad_ = true;
  }
  tell();
}

void DeviceWatch::tell() {
  const std::scoped_lock telling(telling_);
  const DeviceHealth health = now();
  if (health.state == told_) return;
  told_ = health.state;
  if (listener_) listener_(health);
}

std::optional<std::string_view> DeviceRandom::fault_of(ByteView drawn) {
  const std::scoped_lock lock(mutex_);
  if (fault_) return fault_;
  Bytes first = digest(Hash::sha256, drawn.first(octets_min));
  if (!tests_.feed(drawn)) {
    fault_ = "fail the health tests (SP 800-90B 4.4)";
  } else if (!seen_.insert(first).second) {
    fault_ = "are those of a draw before";
  }
  if (fault_) return fault_;
  if (!kept_[next_].empty()) seen_.erase(kept_[next_]);
  kept_[next_] = std::move(first);
  next_ = (next_ + 1) % draws_kept;
  return std::nullopt;
}

Result<Secret> DeviceRandom::accept(const Secret& drawn, std::size_t size) {
  const ByteView octets = drawn.reveal();
  if (const auto fault = fault_of(octets)) {
    const std::string why = "the device's random octets " + std::string(*fault) + ": they are refused until it is opened anew";
    watch_.bad_random(why);
    return fail(ErrorCode::unavailable, why);
  }
  Secret out = Secret::copy_of(octets.first(size));
  out.xor_with(rng_.secret(size));
  return Result<Secret>(std::move(out));
}

Result<void> check_round_trip(CryptoDevice& device, Rng& rng) {
  const Secret probe = rng.secret(probe_octets);
  ASSIGN_OR_RETURN(const Bytes box, device.seal(as_bytes(probe_context), probe));
  ASSIGN_OR_RETURN(const Secret opened, device.unseal(as_bytes(probe_context), box));
  if (!equal_secret(opened, probe)) return fail(ErrorCode::internal, "the device does not open what it sealed");
  return {};
}

Result<void> check_device(CryptoDevice& device, Rng& rng) {
  TRY(check_round_trip(device, rng));
  ASSIGN_OR_RETURN(const Bytes box, device.seal(as_bytes(probe_context), rng.secret(probe_octets)));
  const auto elsewhere = device.unseal(as_bytes("qanat device probe elsewhere"), box);
  if (elsewhere || elsewhere.error().code != ErrorCode::denied) return fail(ErrorCode::internal, "the device does not refuse a box that was moved");
  return {};
}

}  // namespace qanat::crypto
