#include <algorithm>
#include <array>
#include <mutex>
#include <optional>
#include <string>

#include "crypto/device.hpp"
#include "crypto/kdf.hpp"
#include "crypto/private_file.hpp"
#include "crypto/sdf_key_file.hpp"
#include "crypto/sdf_module.hpp"

// A box: 16-octet IV ‖ SM4-CBC ciphertext (padding of RFC 5652 §6.3) ‖ 16-octet tag. Own design, argued in docs/adr/0021-sdf-device.md: encrypt-then-MAC with
// two keys, the MAC over the SM3 of everything that counts. The digest has one length, so the CBC-MAC is of two blocks always: for that it is secure.
namespace qanat::crypto {
namespace {

constexpr std::size_t sdf_tag = sm4_block;
constexpr std::size_t box_octets_min = sm4_block + sm4_block + sdf_tag;
constexpr std::string_view box_label = "qanat sdf device seal 1\n";
constexpr std::string_view check_label = "qanat sdf device keys 1\n";
constexpr std::size_t known_octets = 32;

/// The two keys in a session.
struct BoxKeys {
  SdfKey encryption;
  SdfKey mac;
};

Sm4Block first_block(ByteView octets) {
  Sm4Block out{};
  std::ranges::copy(octets.first(sm4_block), out.begin());
  return out;
}

std::array<std::uint8_t, 8> big_endian(std::uint64_t value) {
  std::array<std::uint8_t, 8> out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(value >> (8 * (out.size() - 1 - i)));
  return out;
}

/// SM3(label ‖ length of the context ‖ context ‖ IV ‖ ciphertext): label, length and IV have fixed lengths, so nothing can be moved from one part to the next.
std::array<std::uint8_t, 2 * sm4_block> bound(ByteView context, ByteView iv_and_ciphertext) {
  const auto length = big_endian(context.size());
  const Bytes hash = digest(Hash::sm3, {as_bytes(box_label), length, context, iv_and_ciphertext});
  std::array<std::uint8_t, 2 * sm4_block> out{};
  std::ranges::copy(hash, out.begin());
  return out;
}

Result<Bytes> seal_box(SdfSession& session, const BoxKeys& keys, ByteView context, const Sm4Block& iv, const Secret& secret) {
  const std::size_t fill = sm4_block - secret.size() % sm4_block;
  Secret work(secret.size() + fill);
  std::ranges::copy(secret.reveal(), work.writable().begin());
  std::ranges::fill(work.writable().last(fill), static_cast<std::uint8_t>(fill));
  TRY(session.encrypt(keys.encryption, iv, work.writable()));
  Bytes out(iv.begin(), iv.end());
  append(out, work.writable());  // no secret any more
  ASSIGN_OR_RETURN(const Sm4Block tag, session.mac(keys.mac, bound(context, out)));
  append(out, tag);
  return out;
}

struct BoxParts {
  ByteView authenticated;  // IV ‖ ciphertext
  ByteView tag;
};

/// Nothing if the octets can be no box.
std::optional<BoxParts> parts_of(ByteView box) {
  if (box.size() < box_octets_min || box.size() % sm4_block != 0) return std::nullopt;
  return BoxParts{.authenticated = box.first(box.size() - sdf_tag), .tag = box.last(sdf_tag)};
}

Result<bool> box_holds(SdfSession& session, const BoxKeys& keys, ByteView context, const BoxParts& parts) {
  ASSIGN_OR_RETURN(const Sm4Block tag, session.mac(keys.mac, bound(context, parts.authenticated)));
  return equal_constant_time(tag, parts.tag);
}

/// Of a box that holds: the MAC has said that its octets are right, so a padding that is wrong is the device's fault.
Result<Secret> open_box(SdfSession& session, const BoxKeys& keys, const BoxParts& parts) {
  Secret work = Secret::copy_of(parts.authenticated.subspan(sm4_block));
  TRY(session.decrypt(keys.encryption, first_block(parts.authenticated), work.writable()));
  const ByteView octets = work.reveal();
  const std::size_t fill = octets.back();
  const bool well =
      fill >= 1 && fill <= sm4_block && std::ranges::all_of(octets.last(std::min(fill, sm4_block)), [&](std::uint8_t one) { return one == fill; });
  if (!well) return fail(ErrorCode::internal, "SDF_Decrypt: the device decrypts to something else than it encrypted");
  return Result<Secret>(Secret::copy_of(octets.first(octets.size() - fill)));
}

/// What the check in the key file is bound to: the keys as they are wrapped, and where.
Bytes check_context(const SdfKeys& keys) {
  const auto index = big_endian(keys.kek_index);
  return concat({as_bytes(check_label), index, digest(Hash::sm3, keys.encryption), digest(Hash::sm3, keys.mac)});
}

Secret known_secret() { return Secret::copy_of(digest(Hash::sm3, as_bytes(check_label))); }

/// `denied` if these keys did not seal the check: the device has another KEK than the one that wrapped them.
Result<void> check_keys(SdfSession& session, const BoxKeys& box_keys, const SdfKeys& keys) {
  const auto parts = parts_of(keys.check);
  if (!parts) return fail(ErrorCode::invalid_argument, "the check of the wrapped keys has a wrong length");
  ASSIGN_OR_RETURN(const bool holds, box_holds(session, box_keys, check_context(keys), *parts));
  if (!holds) return fail(ErrorCode::denied, "KEK " + std::to_string(keys.kek_index) + " of the device is not the one that wrapped the keys");
  ASSIGN_OR_RETURN(const Secret opened, open_box(session, box_keys, *parts));
  if (!equal_secret(opened, known_secret())) return fail(ErrorCode::internal, "the device does not open what it sealed");
  return {};
}

Result<BoxKeys> import_keys(SdfSession& session, const SdfKeys& keys) {
  BoxKeys out;
  ASSIGN_OR_RETURN(out.encryption, session.import_key(keys.kek_index, keys.encryption));
  ASSIGN_OR_RETURN(out.mac, session.import_key(keys.kek_index, keys.mac));
  TRY(check_keys(session, out, keys));
  return out;
}

/// Two keys that are one would be no encrypt-then-MAC, and a device that makes one key twice makes bad keys. Random octets are encrypted, and thrown away.
Result<void> check_different(SdfSession& session, const BoxKeys& keys, Rng& rng) {
  const Sm4Block iv = first_block(rng.bytes(sm4_block));
  Secret first = rng.secret(known_octets);
  Secret second = first.duplicate();
  TRY(session.encrypt(keys.encryption, iv, first.writable()));
  TRY(session.encrypt(keys.mac, iv, second.writable()));
  if (equal_secret(first, second)) return fail(ErrorCode::internal, "SDF_GenerateKeyWithKEK: the device made the same key twice");
  return {};
}

/// Nothing is kept before the device has shown that it unwraps what it wrapped.
Result<SdfKeys> make_keys(SdfSession& session, std::uint32_t kek_index, Rng& rng) {
  ASSIGN_OR_RETURN(const SdfSession::MadeKey encryption, session.make_key(kek_index));
  ASSIGN_OR_RETURN(const SdfSession::MadeKey mac, session.make_key(kek_index));
  const BoxKeys made{.encryption = encryption.key, .mac = mac.key};
  TRY(check_different(session, made, rng));
  SdfKeys out{.kek_index = kek_index, .encryption = encryption.wrapped, .mac = mac.wrapped, .check = {}};
  ASSIGN_OR_RETURN(out.check, seal_box(session, made, check_context(out), first_block(rng.bytes(sm4_block)), known_secret()));
  TRY(import_keys(session, out));
  return out;
}

/// The file's keys; where there is no file, new ones, that are in it before anything is sealed.
Result<SdfKeys> read_or_make_keys(const SdfFunctions& functions, const SdfSettings& settings, const std::filesystem::path& file, Rng& rng) {
  auto keys = read_sdf_keys(file);
  if (!keys && keys.error().code == ErrorCode::not_found) {
    ASSIGN_OR_RETURN(const auto session, SdfSession::open(functions));
    ASSIGN_OR_RETURN(const SdfKeys made, make_keys(*session, settings.key_index, rng));
    const std::string text = format_sdf_keys(made);
    TRY(place_private_file(file, as_bytes(text), rng));
    keys = read_sdf_keys(file);  // another's, if another was faster
  }
  if (!keys) return keys;
  if (keys->kek_index != settings.key_index) {
    return fail(ErrorCode::invalid_argument, file.string() + ": the keys in it are wrapped by KEK " + std::to_string(keys->kek_index) + ", not by KEK " +
                                                 std::to_string(settings.key_index));
  }
  return keys;
}

/// One session, used by one thread at a time.
class SdfDevice final : public CryptoDevice {
 public:
  SdfDevice(const SdfFunctions& functions, SdfKeys keys, std::string where, Rng& rng)
      : functions_(functions), keys_(std::move(keys)), where_(std::move(where)), rng_(rng) {}

  Result<void> connect() {
    const std::scoped_lock lock(mutex_);
    return connect_locked();
  }

  [[nodiscard]] std::string_view kind() const noexcept override { return "sdf"; }
  [[nodiscard]] Rng& rng() noexcept override { return rng_; }

  /// The device's generator and the process's, added: the result is as good as the better of the two.
  Result<Secret> random(std::size_t size) override {
    Secret out(size);
    if (size > 0) {
      const std::scoped_lock lock(mutex_);
      TRY(in_session([&](SdfSession& session) { return session.random(out.writable()); }));
    }
    out.xor_with(rng_.secret(size));
    return Result<Secret>(std::move(out));
  }

  Result<Bytes> seal(ByteView context, const Secret& secret) override {
    const Sm4Block iv = first_block(rng_.bytes(sm4_block));
    const std::scoped_lock lock(mutex_);
    return in_session([&](SdfSession& session) { return seal_box(session, box_keys_, context, iv, secret); });
  }

  Result<Secret> unseal(ByteView context, ByteView sealed) override {
    const auto parts = parts_of(sealed);
    if (!parts) return fail(ErrorCode::denied, "device: sealed octets have a length that none have");
    const std::scoped_lock lock(mutex_);
    ASSIGN_OR_RETURN(const bool holds, in_session([&](SdfSession& session) { return box_holds(session, box_keys_, context, *parts); }));
    if (!holds) {
      // If the keys still open what they are known to have sealed, it is the box that is wrong; otherwise it is the device.
      TRY(in_session([&](SdfSession& session) { return check_keys(session, box_keys_, keys_); }));
      return fail(ErrorCode::denied, "device: sealed octets were changed, moved, or sealed by another device");
    }
    return in_session([&](SdfSession& session) { return open_box(session, box_keys_, *parts); });
  }

 private:
  Result<void> connect_locked() {
    session_.reset();
    ASSIGN_OR_RETURN(auto session, SdfSession::open(functions_));
    ASSIGN_OR_RETURN(box_keys_, import_keys(*session, keys_));
    session_ = std::move(session);
    return {};
  }

  /// Uses the session; after a failure once more, in a new one with the same keys. Makers do not agree on the value that says that a session is lost. That the
  /// device refuses is never `denied` here: this says that a box is wrong.
  template <class Use>
  auto in_session(const Use& use) -> decltype(use(std::declval<SdfSession&>())) {
    if (session_) {
      auto done = use(*session_);
      if (done) return done;
    }
    if (auto connected = connect_locked(); !connected) return lost(connected.error());
    auto done = use(*session_);
    if (done) return done;
    session_.reset();
    return lost(done.error());
  }

  [[nodiscard]] std::unexpected<Error> lost(Error error) const {
    if (error.code == ErrorCode::denied || error.code == ErrorCode::invalid_argument) error.code = ErrorCode::internal;
    return fail_in(where_, std::move(error));
  }

  const SdfFunctions& functions_;
  const SdfKeys keys_;
  const std::string where_;
  Rng& rng_;
  std::mutex mutex_;
  std::unique_ptr<SdfSession> session_;  // none after a failure
  BoxKeys box_keys_;                     // of session_
};

Result<std::unique_ptr<CryptoDevice>> open_sdf(const SdfFunctions& functions, const SdfSettings& settings, const std::filesystem::path& wrapped_keys,
                                               Rng& rng) {
  ASSIGN_OR_RETURN(SdfKeys keys, read_or_make_keys(functions, settings, wrapped_keys, rng));
  auto device = std::make_unique<SdfDevice>(functions, std::move(keys), "SDF device, KEK " + std::to_string(settings.key_index), rng);
  TRY(device->connect());
  // A device that does not do what is needed is found out now, not when the first secret is to be kept.
  const Secret probe = rng.secret(known_octets);
  ASSIGN_OR_RETURN(const Bytes box, device->seal(as_bytes("qanat device probe"), probe));
  ASSIGN_OR_RETURN(const Secret opened, device->unseal(as_bytes("qanat device probe"), box));
  if (!equal_secret(opened, probe)) return fail(ErrorCode::internal, "does not open what it sealed");
  TRY(device->random(known_octets));
  return Result<std::unique_ptr<CryptoDevice>>(std::move(device));
}

}  // namespace

Result<std::unique_ptr<CryptoDevice>> open_sdf_device(const SdfSettings& settings, const std::filesystem::path& wrapped_keys, Rng& rng) {
  ASSIGN_OR_RETURN(const SdfFunctions* functions, load_sdf_library(settings.module));
  auto device = open_sdf(*functions, settings, wrapped_keys, rng);
  if (!device) return fail_in("SDF library " + settings.module.string(), device.error());
  return device;
}

}  // namespace qanat::crypto
