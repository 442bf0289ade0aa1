#include <atomic>
#include <mutex>

#include "crypto/device.hpp"
#include "crypto/device_health.hpp"
#include "crypto/pair_box.hpp"

namespace qanat::crypto {
namespace {

using steady = std::chrono::steady_clock;

Result<std::unique_ptr<CryptoDevice>> open_member(const PairMember& member, Rng& rng) {
  std::optional<DeviceSettings> device;
  if (const auto* const token = std::get_if<Pkcs11Settings>(&member.device)) device = *token;
  if (const auto* const sdf = std::get_if<SdfSettings>(&member.device)) device = *sdf;
  if (const auto* const skf = std::get_if<SkfSettings>(&member.device)) device = *skf;
  return open_device(device, member.file, rng);
}

std::string_view kind_of(const PairMember& member) {
  constexpr std::array<std::string_view, 4> kinds{"software", "pkcs11", "sdf", "skf"};
  return kinds.at(member.device.index());
}

/// That the box is wrong, and not the device.
bool is_denied(const Error& error) { return error.code == ErrorCode::denied; }

/// One of the two: a device that is there, or one that is to be opened.
class Member {
 public:
  Member(const PairMember& settings, std::chrono::milliseconds retry_after, Rng& rng)
      : settings_(settings), retry_after_(retry_after), rng_(rng), closed_(kind_of(settings)) {}

  /// Once, before there are threads. What it says stays the member's health until the device is open.
  Result<void> open() { return open_locked(); }

  /// Calls `use(CryptoDevice&)`, which gives a Result; `unavailable` at once where the device failed a moment ago.
  template <class Use>
  auto with(const Use& use) -> decltype(use(std::declval<CryptoDevice&>())) {
    auto device = ready();
    if (!device) return fail(device.error());
    auto done = use(**device);
    // A box that is wrong, a device that is full or whose random octets are refused: that is no device that failed.
    if (!done && (*device)->health().state == DeviceState::failed) rest();
    return done;
  }

  [[nodiscard]] DeviceHealth health() const {
    const CryptoDevice* const device = device_.load();
    DeviceHealth out = device != nullptr ? device->health() : closed_.now();
    if (out.state == DeviceState::ok && has_other_keys_) {
      out.state = DeviceState::degraded;
      out.last_error = "does not open what it sealed before: its keys are others";
    }
    return out;
  }
  /// It denied its part of a box that the other device has shown to be whole.
  void denied_wrongly() {
    if (!has_other_keys_.exchange(true) && listener_) listener_();
  }
  void on_change(std::function<void()> listener) {
    const std::scoped_lock lock(mutex_);
    listener_ = std::move(listener);
    if (CryptoDevice* const device = device_.load(); device != nullptr) listen(*device);
  }

 private:
  Result<CryptoDevice*> ready() {
    if (steady::now().time_since_epoch().count() < asked_again_at_.load()) return fail(ErrorCode::unavailable, "the device failed a moment ago");
    if (CryptoDevice* const device = device_.load(); device != nullptr) return device;
    // One thread tries to open it; the others have the other device meanwhile.
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return fail(ErrorCode::unavailable, "the device is being opened");
    if (CryptoDevice* const device = device_.load(); device != nullptr) return device;
    if (auto opened = open_locked(); !opened) {
      rest();
      // That a device is refused is never `denied` here: this says that a box is wrong.
      if (is_denied(opened.error())) opened.error().code = ErrorCode::unavailable;
      return fail(opened.error());
    }
    if (listener_) {
      listen(*opened_);
      listener_();
    }
    return opened_.get();
  }

  Result<void> open_locked() {
    if (refused_) return fail(*refused_);
    auto device = open_member(settings_, rng_);
    if (!device) {
      Error error = device.error();
      if (is_denied(error)) {
        error.message += " (this device is not opened again before the element starts anew)";
        refused_ = error;
      }
      closed_.failed(error.message);
      return fail(std::move(error));
    }
    opened_ = *std::move(device);
    device_ = opened_.get();
    return {};
  }
  void listen(CryptoDevice& device) {
    device.on_change([told = listener_](const DeviceHealth&) { told(); });
  }
  void rest() { asked_again_at_ = (steady::now() + retry_after_).time_since_epoch().count(); }

  const PairMember settings_;
  const steady::duration retry_after_;
  Rng& rng_;
  DeviceWatch closed_;  // how it is while it cannot be opened
  std::mutex mutex_;    // of opening
  // What it was denied with when it was to be opened: a PIN that is refused, shown again with each call, locks the device.
  std::optional<Error> refused_;
  std::unique_ptr<CryptoDevice> opened_;
  std::atomic<CryptoDevice*> device_ = nullptr;  // opened_, for those who do not hold mutex_; set once
  std::atomic<steady::rep> asked_again_at_ = 0;
  std::atomic<bool> has_other_keys_ = false;
  std::function<void()> listener_;
};

class PairDevice final : public CryptoDevice {
 public:
  PairDevice(const PairSettings& settings, Rng& rng)
      : members_{Member(settings.members[0], settings.retry_after, rng), Member(settings.members[1], settings.retry_after, rng)}, rng_(rng) {}

  Result<void> open() {
    const Result<void> first = members_[0].open();
    const Result<void> second = members_[1].open();
    if (first || second) return {};
    return both_failed(first.error(), second.error());
  }

  [[nodiscard]] std::string_view kind() const noexcept override { return "pair"; }
  [[nodiscard]] Rng& rng() noexcept override { return rng_; }

  Result<Secret> random(std::size_t size) override {
    auto first = members_[0].with([&](CryptoDevice& device) { return device.random(size); });
    auto second = members_[1].with([&](CryptoDevice& device) { return device.random(size); });
    if (!first && !second) return both_failed(first.error(), second.error());
    if (!first) return second;
    if (second) first->xor_with(*second);
    return first;
  }

  Result<Bytes> seal(ByteView context, const Secret& secret) override {
    const Secret data_key = rng_.secret(pair_key_octets);
    std::array<Bytes, 2> boxes;
    std::array<std::optional<Error>, 2> errors;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      auto box = members_[i].with([&](CryptoDevice& device) { return device.seal(pair_key_context(i, context), data_key); });
      if (box) {
        boxes[i] = *std::move(box);
        continue;
      }
      // A device that is full is no reason to seal with the other alone.
      if (box.error().code == ErrorCode::exhausted) return fail(box.error());
      errors[i] = box.error();
    }
    if (errors[0] && errors[1]) return both_failed(*errors[0], *errors[1]);
    if (errors[0] || errors[1]) ++sealed_by_one_;
    return seal_pair_box(context, boxes, data_key, secret, rng_);
  }

  Result<Secret> unseal(ByteView context, ByteView sealed) override {
    if (!begins_as_pair_box(sealed)) return unseal_of_one(context, sealed);
    const auto parts = parts_of_pair_box(sealed);
    if (!parts) return fail(ErrorCode::denied, "device: sealed octets have lengths that none have");
    std::array<bool, 2> has_denied{};
    auto opened = by_either([&](std::size_t i, CryptoDevice& device) -> Result<Secret> {
      if (parts->boxes[i].empty()) return fail(ErrorCode::denied, "the device did not work when this was sealed");
      const auto data_key = device.unseal(pair_key_context(i, context), parts->boxes[i]);
      has_denied[i] = !data_key && is_denied(data_key.error());
      if (!data_key) return fail(data_key.error());
      return open_pair_box(context, *parts, *data_key);
    });
    // What opened is bound to both devices' boxes: neither was changed.
    if (opened && has_denied[0]) members_[0].denied_wrongly();
    return opened;
  }

  std::optional<Bytes> completed(ByteView context, ByteView sealed, const Secret& secret) override {
    bool both_open = true;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const auto opened = members_[i].with([&](CryptoDevice& device) { return unseal_part(i, device, context, sealed); });
      if (!opened && !is_denied(opened.error())) return std::nullopt;  // nothing can be sealed by it now
      both_open = both_open && opened;
    }
    if (both_open) return std::nullopt;
    auto box = seal(context, secret);
    const auto parts = box ? parts_of_pair_box(*box) : std::nullopt;
    if (!parts || parts->boxes[0].empty() || parts->boxes[1].empty()) return std::nullopt;
    return *std::move(box);
  }

  [[nodiscard]] DeviceHealth health() const override {
    DeviceHealth out{
        .device = "pair", .state = DeviceState::ok, .last_error = "", .members = {members_[0].health(), members_[1].health()}, .sealed_by_one = sealed_by_one_};
    const DeviceState first = out.members[0].state;
    const DeviceState second = out.members[1].state;
    if (first != DeviceState::ok || second != DeviceState::ok) out.state = DeviceState::degraded;
    if (first == DeviceState::failed && second == DeviceState::failed) out.state = DeviceState::failed;
    for (const DeviceHealth& member : out.members) {
      if (member.state != DeviceState::ok) out.last_error += (out.last_error.empty() ? "" : "; ") + member.device + ": " + member.last_error;
    }
    return out;
  }

  void on_change(OnChange listener) override {
    const auto told = [this, listener = std::move(listener)] {
      const std::scoped_lock lock(telling_);
      listener(health());
    };
    for (Member& member : members_) member.on_change(told);
  }

 private:
  /// What one of the two alone makes of a box.
  static Result<Secret> unseal_part(std::size_t i, CryptoDevice& device, ByteView context, ByteView sealed) {
    if (!begins_as_pair_box(sealed)) return device.unseal(context, sealed);
    const auto parts = parts_of_pair_box(sealed);
    if (!parts || parts->boxes[i].empty()) return fail(ErrorCode::denied, "the device did not work when this was sealed");
    ASSIGN_OR_RETURN(const Secret data_key, device.unseal(pair_key_context(i, context), parts->boxes[i]));
    return open_pair_box(context, *parts, data_key);
  }

  /// Boxes that one of the two made when it was alone.
  Result<Secret> unseal_of_one(ByteView context, ByteView sealed) {
    return by_either([&](std::size_t /*i*/, CryptoDevice& device) { return device.unseal(context, sealed); });
  }

  /// The first device's answer if it has one, otherwise the second's. `denied` only if neither failed: a device that could not be asked might have opened it.
  template <class Unseal>
  Result<Secret> by_either(const Unseal& unseal) {
    auto first = members_[0].with([&](CryptoDevice& device) { return unseal(0, device); });
    if (first) return first;
    auto second = members_[1].with([&](CryptoDevice& device) { return unseal(1, device); });
    if (second) return second;
    if (is_denied(first.error()) && is_denied(second.error()))
      return fail(ErrorCode::denied, "device: sealed octets were changed, moved, or sealed by another device");
    return both_failed(first.error(), second.error());
  }

  static std::unexpected<Error> both_failed(const Error& first, const Error& second) {
    const ErrorCode code = is_denied(first) ? second.code : first.code;
    return fail(code, "pair of devices: the first: " + first.message + "; the second: " + second.message);
  }

  std::array<Member, 2> members_;
  Rng& rng_;
  std::atomic<std::uint64_t> sealed_by_one_ = 0;
  std::mutex telling_;
};

}  // namespace

Result<std::unique_ptr<CryptoDevice>> open_pair_device(const PairSettings& settings, Rng& rng) {
  auto device = std::make_unique<PairDevice>(settings, rng);
  TRY(device->open());
  // Each has shown more when it was opened; and with one of them away no box is denied.
  TRY(check_round_trip(*device, rng));
  return Result<std::unique_ptr<CryptoDevice>>(std::move(device));
}

}  // namespace qanat::crypto
