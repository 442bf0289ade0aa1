#include <algorithm>
#include <array>
#include <mutex>
#include <string>

#include "base/secret_file.hpp"
#include "crypto/device.hpp"
#include "crypto/device_health.hpp"
#include "crypto/pkcs11_module.hpp"
#include "crypto/session_pool.hpp"
#include "crypto/suite.hpp"

namespace qanat::crypto {
namespace {

constexpr CK_ULONG master_octets = 32;  // AES-256
constexpr std::size_t pin_octets_max = 255;
constexpr CK_ULONG tag_bits = 8 * aead_tag;

/// The session is gone, not the request wrong: worth one new session.
bool session_is_lost(CK_RV value) {
  return value == CKR_SESSION_HANDLE_INVALID || value == CKR_SESSION_CLOSED || value == CKR_USER_NOT_LOGGED_IN || value == CKR_DEVICE_REMOVED ||
         value == CKR_TOKEN_NOT_PRESENT || value == CKR_CRYPTOKI_NOT_INITIALIZED || value == CKR_KEY_HANDLE_INVALID || value == CKR_OBJECT_HANDLE_INVALID;
}

/// PKCS#11 takes what it only reads through pointers that are not const, and leaves it as it is.
CK_BYTE* unwritten(ByteView octets) { return const_cast<CK_BYTE*>(octets.data()); }

template <class T>
CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, T& value) {
  return {type, &value, sizeof value};
}

enum class IfNoKey : std::uint8_t { create, refuse };

/// A call that is worth a second try in a new session comes out as `unavailable`.
std::unexpected<Error> call_failure(std::string_view what, CK_RV value) {
  auto failure = pkcs11_failure(what, value);
  if (session_is_lost(value)) failure.error().code = ErrorCode::unavailable;
  return failure;
}

class MasterKey {
 public:
  MasterKey(const Pkcs11Session& session, const Pkcs11Settings& settings) : functions_(session.functions()), session_(session.handle()), label_(settings.key) {
    where_ = "token '" + settings.token + "', key '" + settings.key + "': ";
  }

  Result<CK_OBJECT_HANDLE> find(IfNoKey if_absent) {
    std::array<CK_OBJECT_HANDLE, 2> found{};
    ASSIGN_OR_RETURN(const std::size_t count, search(found));
    if (count > 1) return fail(ErrorCode::conflict, where_ + "there are several; which one is meant cannot be told");
    if (count == 1) {
      TRY(check(found.front()));
      return found.front();
    }
    if (if_absent == IfNoKey::refuse) return fail(ErrorCode::not_found, where_ + "is no longer there");
    return generate();
  }

 private:
  Result<std::size_t> search(std::array<CK_OBJECT_HANDLE, 2>& found) {
    CK_OBJECT_CLASS kind = CKO_SECRET_KEY;
    CK_BBOOL yes = CK_TRUE;
    std::array wanted{attribute(CKA_CLASS, kind), attribute(CKA_TOKEN, yes), CK_ATTRIBUTE{CKA_LABEL, label_.data(), label_.size()}};
    if (const CK_RV value = functions_.C_FindObjectsInit(session_, wanted.data(), wanted.size()); value != CKR_OK)
      return pkcs11_failure("C_FindObjectsInit", value);
    CK_ULONG count = 0;
    const CK_RV value = functions_.C_FindObjects(session_, found.data(), found.size(), &count);
    (void)functions_.C_FindObjectsFinal(session_);
    if (value != CKR_OK) return pkcs11_failure("C_FindObjects", value);
    return count;
  }

  /// A key that was ever outside of the token, or may go there, is no master key.
  Result<void> check(CK_OBJECT_HANDLE key) {
    CK_KEY_TYPE type = 0;
    CK_ULONG length = 0;
    CK_BBOOL sensitive = CK_FALSE;
    CK_BBOOL extractable = CK_TRUE;
    CK_BBOOL always_sensitive = CK_FALSE;
    CK_BBOOL never_extractable = CK_FALSE;
    CK_BBOOL made_here = CK_FALSE;
    std::array facts{attribute(CKA_KEY_TYPE, type),
                     attribute(CKA_VALUE_LEN, length),
                     attribute(CKA_SENSITIVE, sensitive),
                     attribute(CKA_EXTRACTABLE, extractable),
                     attribute(CKA_ALWAYS_SENSITIVE, always_sensitive),
                     attribute(CKA_NEVER_EXTRACTABLE, never_extractable),
                     attribute(CKA_LOCAL, made_here)};
    if (const CK_RV value = functions_.C_GetAttributeValue(session_, key, facts.data(), facts.size()); value != CKR_OK)
      return pkcs11_failure("C_GetAttributeValue", value);
    if (type != CKK_AES || length != master_octets) return fail(ErrorCode::denied, where_ + "is no AES-256 key");
    if (sensitive != CK_TRUE || always_sensitive != CK_TRUE || extractable != CK_FALSE || never_extractable != CK_TRUE || made_here != CK_TRUE) {
      return fail(ErrorCode::denied, where_ + "was not made in the token, or can leave it or could once");
    }
    return {};
  }

  Result<CK_OBJECT_HANDLE> generate() {
    CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
    CK_OBJECT_CLASS kind = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_ULONG length = master_octets;
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    std::array wanted{attribute(CKA_CLASS, kind),
                      attribute(CKA_KEY_TYPE, type),
                      attribute(CKA_VALUE_LEN, length),
                      attribute(CKA_TOKEN, yes),
                      attribute(CKA_PRIVATE, yes),
                      attribute(CKA_SENSITIVE, yes),
                      attribute(CKA_EXTRACTABLE, no),
                      attribute(CKA_MODIFIABLE, no),
                      attribute(CKA_ENCRYPT, yes),
                      attribute(CKA_DECRYPT, yes),
                      attribute(CKA_WRAP, no),
                      attribute(CKA_UNWRAP, no),
                      CK_ATTRIBUTE{CKA_LABEL, label_.data(), label_.size()}};
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    if (const CK_RV value = functions_.C_GenerateKey(session_, &mechanism, wanted.data(), wanted.size(), &key); value != CKR_OK)
      return pkcs11_failure("C_GenerateKey", value);
    // What the token made is looked at, not believed.
    TRY(check(key));
    // Another process that starts for the first time may have found none either: with two keys of one name nobody could tell which has sealed what.
    std::array<CK_OBJECT_HANDLE, 2> found{};
    ASSIGN_OR_RETURN(const std::size_t count, search(found));
    if (count > 1) return take_back(key);
    return key;
  }

  std::unexpected<Error> take_back(CK_OBJECT_HANDLE key) {
    const CK_RV value = functions_.C_DestroyObject(session_, key);
    if (value == CKR_OK) return fail(ErrorCode::conflict, where_ + "another process was first and made one: start again");
    return fail(ErrorCode::conflict, where_ + "another process made one at the same time, and this one's stays (PKCS#11 C_DestroyObject: " + name_of_rv(value) +
                                         "): delete both before anything is sealed, and start again");
  }

  CK_FUNCTION_LIST& functions_;
  CK_SESSION_HANDLE session_;
  std::string label_;
  std::string where_;
};

CK_GCM_PARAMS gcm_of(ByteView nonce, ByteView context) {
  return {.pIv = unwritten(nonce), .ulIvLen = nonce.size(), .ulIvBits = 8 * nonce.size(), .pAAD = unwritten(context), .ulAADLen = context.size(), .ulTagBits = tag_bits};
}

/// A session that is logged in, and the master key in it.
class TokenSession {
 public:
  TokenSession(std::unique_ptr<Pkcs11Session> session, CK_OBJECT_HANDLE key) : session_(std::move(session)), key_(key) {}

  Result<void> random(std::span<std::uint8_t> out) {
    if (const CK_RV value = functions().C_GenerateRandom(session_->handle(), out.data(), out.size()); value != CKR_OK) return call_failure("C_GenerateRandom", value);
    return {};
  }

  Result<Bytes> encrypt(ByteView context, ByteView nonce, const Secret& secret) {
    CK_GCM_PARAMS gcm = gcm_of(nonce, context);
    CK_MECHANISM mechanism{CKM_AES_GCM, &gcm, sizeof gcm};
    if (const CK_RV value = functions().C_EncryptInit(session_->handle(), &mechanism, key_); value != CKR_OK) return call_failure("C_EncryptInit", value);
    Bytes out(secret.size() + aead_tag);
    CK_ULONG size = out.size();
    CK_BYTE nothing = 0;  // tokens refuse a null pointer where there is nothing to encrypt
    CK_BYTE* const octets = secret.empty() ? &nothing : unwritten(secret.reveal());
    const CK_RV value = functions().C_Encrypt(session_->handle(), octets, secret.size(), out.data(), &size);
    if (value != CKR_OK) return call_failure("C_Encrypt", value);
    if (size != out.size()) return fail(ErrorCode::internal, "PKCS#11 C_Encrypt: gives " + std::to_string(size) + " octets for " + std::to_string(out.size()));
    return out;
  }

  Result<Secret> decrypt(ByteView context, ByteView sealed) {
    CK_GCM_PARAMS gcm = gcm_of(sealed.first(aead_iv), context);
    CK_MECHANISM mechanism{CKM_AES_GCM, &gcm, sizeof gcm};
    if (const CK_RV value = functions().C_DecryptInit(session_->handle(), &mechanism, key_); value != CKR_OK) return call_failure("C_DecryptInit", value);
    const ByteView box = sealed.subspan(aead_iv);
    Secret out(box.size());  // some tokens want room for the tag
    CK_ULONG size = out.size();
    const CK_RV value = functions().C_Decrypt(session_->handle(), unwritten(box), box.size(), out.writable().data(), &size);
    if (value != CKR_OK) return call_failure("C_Decrypt", value);
    if (size != box.size() - aead_tag) return fail(ErrorCode::internal, "PKCS#11 C_Decrypt: gives " + std::to_string(size) + " octets");
    return Result<Secret>(Secret::copy_of(out.reveal().first(size)));
  }

 private:
  [[nodiscard]] CK_FUNCTION_LIST& functions() const { return session_->functions(); }

  std::unique_ptr<Pkcs11Session> session_;
  CK_OBJECT_HANDLE key_;
};

class Pkcs11Device final : public CryptoDevice {
 public:
  Pkcs11Device(Pkcs11Settings settings, std::unique_ptr<Pkcs11Module> module, Rng& rng)
      : settings_(std::move(settings)),
        where_("token '" + settings_.token + "': "),
        module_(std::move(module)),
        rng_(rng),
        random_(rng, watch_),
        // The master key must be the one that was there: a new one is never made later.
        pool_(
            settings_.pool, [this] { return not_denied(connect(IfNoKey::refuse)); }, [](const Error& error) { return error.code == ErrorCode::unavailable; }) {}

  /// Makes the key if there is none. A token that does not do what is needed is found out now, not when the first secret is to be kept.
  Result<void> open() {
    TRY(connect(IfNoKey::create));
    if (const auto checked = check_device(*this, rng_); !checked) return fail(checked.error().code, where_ + checked.error().message);
    return random_.start_up([this](std::span<std::uint8_t> out) { return draw(out); });
  }

  [[nodiscard]] std::string_view kind() const noexcept override { return "pkcs11"; }
  [[nodiscard]] Rng& rng() noexcept override { return rng_; }
  [[nodiscard]] DeviceHealth health() const override { return watch_.now(); }
  void on_change(OnChange listener) override { watch_.on_change(std::move(listener)); }

  Result<Secret> random(std::size_t size) override {
    if (size == 0) return Result<Secret>(Secret());
    return random_.random(size, [this](std::span<std::uint8_t> out) { return draw(out); });
  }

  Result<Bytes> seal(ByteView context, const Secret& secret) override {
    Bytes out = rng_.bytes(aead_iv);
    ASSIGN_OR_RETURN(const Bytes sealed, in_session([&](TokenSession& session) { return session.encrypt(context, out, secret); }));
    append(out, sealed);
    return out;
  }

  Result<Secret> unseal(ByteView context, ByteView sealed) override {
    if (sealed.size() < aead_iv + aead_tag) return fail(ErrorCode::denied, "device: sealed octets are too short");
    // Not noted: what it says about the token shows below. The session may have an operation open after it, and is closed.
    auto secret = pool_.with([&](TokenSession& session) { return session.decrypt(context, sealed); });
    if (secret || secret.error().code == ErrorCode::exhausted) return watch_.noted(not_denied(std::move(secret)));
    // Tokens do not agree on what they answer to a tag that does not hold (SoftHSM: CKR_GENERAL_ERROR), and a fault may have passed. So the token shows that it
    // opens what it has just sealed, and is asked once more in the same session: what it does not open then either is a box that is wrong.
    return watch_.noted(pool_.with([&](TokenSession& session) -> Result<Secret> {
      TRY(not_denied(self_check(session)));
      auto again = session.decrypt(context, sealed);
      if (again || again.error().code == ErrorCode::unavailable) return again;
      return fail(ErrorCode::denied, "device: sealed octets were changed, moved, or sealed by another device");
    }));
  }

 private:
  Result<std::unique_ptr<TokenSession>> connect(IfNoKey if_no_key) {
    const std::scoped_lock lock(connecting_);
    if (pin_refused_) return fail(ErrorCode::denied, where_ + "refused the PIN before; it is not tried again, so that it does not lock");
    ASSIGN_OR_RETURN(const Secret pin, read_secret_line(settings_.pin_file, pin_octets_max));
    auto session = Pkcs11Session::open(*module_, settings_.token, pin);
    if (!session) {
      pin_refused_ = session.error().code == ErrorCode::denied;
      return fail(session.error());
    }
    ASSIGN_OR_RETURN(const CK_OBJECT_HANDLE key, MasterKey(**session, settings_).find(if_no_key));
    return std::make_unique<TokenSession>(*std::move(session), key);
  }

  Result<void> draw(std::span<std::uint8_t> out) {
    return in_session([&](TokenSession& session) { return session.random(out); });
  }

  template <class Use>
  auto in_session(const Use& use) -> decltype(use(std::declval<TokenSession&>())) {
    return watch_.noted(not_denied(pool_.with(use)));
  }

  /// That the token refuses is never `denied` here: this says that a box is wrong.
  template <class T>
  static Result<T> not_denied(Result<T> outcome) {
    if (!outcome && outcome.error().code == ErrorCode::denied) outcome.error().code = ErrorCode::internal;
    return outcome;
  }

  Result<void> self_check(TokenSession& session) {
    const Secret known = rng_.secret(master_octets);
    const Bytes nonce = rng_.bytes(aead_iv);
    constexpr std::string_view context = "qanat device self check";
    Bytes box = nonce;
    ASSIGN_OR_RETURN(const Bytes sealed, session.encrypt(as_bytes(context), nonce, known));
    append(box, sealed);
    ASSIGN_OR_RETURN(const Secret opened, session.decrypt(as_bytes(context), box));
    if (!equal_secret(opened, known)) return fail(ErrorCode::internal, where_ + "does not open what it sealed");
    return {};
  }

  const Pkcs11Settings settings_;
  const std::string where_;
  const std::unique_ptr<Pkcs11Module> module_;
  Rng& rng_;
  DeviceWatch watch_{"pkcs11"};
  DeviceRandom random_;
  std::mutex connecting_;
  bool pin_refused_ = false;          // under connecting_
  SessionPool<TokenSession> pool_;
};

}  // namespace

Result<std::unique_ptr<CryptoDevice>> open_pkcs11_device(const Pkcs11Settings& settings, Rng& rng) {
  ASSIGN_OR_RETURN(auto module, Pkcs11Module::load(settings.module));
  auto device = std::make_unique<Pkcs11Device>(settings, std::move(module), rng);
  TRY(device->open());
  return Result<std::unique_ptr<CryptoDevice>>(std::move(device));
}

}  // namespace qanat::crypto
