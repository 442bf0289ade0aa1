#include "crypto/sm4_device.hpp"

#include "crypto/device_health.hpp"
#include "crypto/private_file.hpp"
#include "crypto/session_pool.hpp"
#include "crypto/sm4_box.hpp"

namespace qanat::crypto {
namespace {

/// The file's keys; where there is no file, new ones, that are in it before anything is sealed.
Result<WrappedKeys> read_or_make_keys(const Sm4DeviceParts& parts, Rng& rng) {
  auto keys = read_wrapped_keys(parts.form, parts.file);
  if (keys || keys.error().code != ErrorCode::not_found) return keys;
  ASSIGN_OR_RETURN(const auto session, parts.open(IfAbsent::create));
  ASSIGN_OR_RETURN(const WrappedKeys made, make_wrapped_keys(*session, parts.form.kind, rng));
  const std::string text = format_wrapped_keys(parts.form, made);
  TRY(place_private_file(parts.file, as_bytes(text), rng));
  return read_wrapped_keys(parts.form, parts.file);  // another's, if another was faster
}

Result<std::unique_ptr<Sm4Session>> open_with_keys(const Sm4DeviceParts& parts, const WrappedKeys& keys) {
  ASSIGN_OR_RETURN(auto session, parts.open(IfAbsent::refuse));
  const std::string wrapper = session->wrapper().text;
  if (wrapper != keys.wrapper) {
    const std::string name(parts.form.wrapper);
    return fail(ErrorCode::invalid_argument,
                parts.file.string() + ": the keys in it are wrapped by " + name + " " + keys.wrapper + ", not by " + name + " " + wrapper);
  }
  TRY(import_wrapped_keys(*session, parts.form.kind, keys));
  return session;
}

class Sm4Device final : public CryptoDevice {
 public:
  Sm4Device(Sm4DeviceParts parts, WrappedKeys keys, Rng& rng)
      : parts_(std::move(parts)),
        keys_(std::move(keys)),
        rng_(rng),
        watch_(parts_.form.kind),
        random_(rng, watch_),
        // Makers do not agree on the value that says that a session is lost: any failure may be that.
        pool_(
            parts_.pool, [this] { return open_with_keys(parts_, keys_); }, [](const Error&) { return true; }) {}

  /// As open(), with what it says about the file and the keys left as it is.
  Result<void> connect() {
    TRY(open_with_keys(parts_, keys_));
    TRY(check_device(*this, rng_));
    return random_.start_up([this](std::span<std::uint8_t> out) { return draw(out); });
  }

  [[nodiscard]] std::string_view kind() const noexcept override { return parts_.form.kind; }
  [[nodiscard]] Rng& rng() noexcept override { return rng_; }
  [[nodiscard]] DeviceHealth health() const override { return watch_.now(); }
  void on_change(OnChange listener) override { watch_.on_change(std::move(listener)); }

  Result<Secret> random(std::size_t size) override {
    if (size == 0) return Result<Secret>(Secret());
    return random_.random(size, [this](std::span<std::uint8_t> out) { return draw(out); });
  }

  Result<Bytes> seal(ByteView context, const Secret& secret) override {
    const Sm4Block iv = draw_iv(rng_);
    return in_session([&](Sm4Session& session) { return seal_sm4_box(session, kind(), context, iv, secret); });
  }

  Result<Secret> unseal(ByteView context, ByteView sealed) override {
    const auto parts = parts_of_sm4_box(sealed);
    if (!parts) return fail(ErrorCode::denied, "device: sealed octets have a length that none have");
    auto opened = in_session([&](Sm4Session& session) -> Result<std::optional<Secret>> {
      ASSIGN_OR_RETURN(const bool holds, sm4_box_holds(session, kind(), context, *parts));
      if (holds) {
        ASSIGN_OR_RETURN(Secret secret, open_sm4_box(session, *parts));
        return std::optional<Secret>(std::move(secret));
      }
      // If the keys still open what they are known to have sealed, it is the box that is wrong; otherwise it is the device.
      TRY(check_wrapped_keys(session, kind(), keys_));
      return std::optional<Secret>();
    });
    if (!opened) return fail(opened.error());
    if (!*opened) return fail(ErrorCode::denied, "device: sealed octets were changed, moved, or sealed by another device");
    return Result<Secret>(std::move(**opened));
  }

 private:
  Result<void> draw(std::span<std::uint8_t> out) {
    return in_session([&](Sm4Session& session) { return session.random(out); });
  }

  /// That the device refuses is never `denied` here: this says that a box is wrong.
  template <class Use>
  auto in_session(const Use& use) -> decltype(use(std::declval<Sm4Session&>())) {
    auto done = pool_.with(use);
    if (!done) {
      Error error = done.error();
      if (error.code == ErrorCode::denied || error.code == ErrorCode::invalid_argument) error.code = ErrorCode::internal;
      done = fail_in(parts_.where, std::move(error));
    }
    return watch_.noted(std::move(done));
  }

  const Sm4DeviceParts parts_;
  const WrappedKeys keys_;
  Rng& rng_;
  DeviceWatch watch_;
  DeviceRandom random_;
  SessionPool<Sm4Session> pool_;
};

}  // namespace

Result<std::unique_ptr<CryptoDevice>> open_sm4_device(Sm4DeviceParts parts, Rng& rng) {
  ASSIGN_OR_RETURN(WrappedKeys keys, read_or_make_keys(parts, rng));
  auto device = std::make_unique<Sm4Device>(std::move(parts), std::move(keys), rng);
  TRY(device->connect());
  return Result<std::unique_ptr<CryptoDevice>>(std::move(device));
}

}  // namespace qanat::crypto
