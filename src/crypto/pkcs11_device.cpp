#include <algorithm>
#include <array>
#include <mutex>
#include <string>

#include "base/secret_file.hpp"
#include "crypto/device.hpp"
#include "crypto/pkcs11_module.hpp"
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

enum class IfAbsent : std::uint8_t { create, refuse };

class MasterKey {
 public:
  MasterKey(const Pkcs11Session& session, const Pkcs11Settings& settings) : functions_(session.functions()), session_(session.handle()), label_(settings.key) {
    where_ = "token '" + settings.token + "', key '" + settings.key + "': ";
  }

  Result<CK_OBJECT_HANDLE> find(IfAbsent if_absent) {
    std::array<CK_OBJECT_HANDLE, 2> found{};
    ASSIGN_OR_RETURN(const std::size_t count, search(found));
    if (count > 1) return fail(ErrorCode::conflict, where_ + "there are several; which one is meant cannot be told");
    if (count == 1) {
      TRY(check(found.front()));
      return found.front();
    }
    if (if_absent == IfAbsent::refuse) return fail(ErrorCode::not_found, where_ + "is no longer there");
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
    return key;
  }

  CK_FUNCTION_LIST& functions_;
  CK_SESSION_HANDLE session_;
  std::string label_;
  std::string where_;
};

/// One session, used by one thread at a time.
class Pkcs11Device final : public CryptoDevice {
 public:
  Pkcs11Device(Pkcs11Settings settings, std::unique_ptr<Pkcs11Module> module, Rng& rng)
      : settings_(std::move(settings)), module_(std::move(module)), rng_(rng) {}

  Result<void> connect(IfAbsent if_absent) {
    const std::scoped_lock lock(mutex_);
    return connect_locked(if_absent);
  }

  [[nodiscard]] std::string_view kind() const noexcept override { return "pkcs11"; }
  [[nodiscard]] Rng& rng() noexcept override { return rng_; }

  /// The token's generator and the process's, added: the result is as good as the better of the two.
  Result<Secret> random(std::size_t size) override {
    Secret out(size);
    if (size > 0) {
      const std::scoped_lock lock(mutex_);
      TRY(call("C_GenerateRandom", [&] { return functions().C_GenerateRandom(session_->handle(), out.writable().data(), out.size()); }));
    }
    out.xor_with(rng_.secret(size));
    return Result<Secret>(std::move(out));
  }

  Result<Bytes> seal(ByteView context, const Secret& secret) override {
    Bytes out = rng_.bytes(aead_iv);
    const std::scoped_lock lock(mutex_);
    ASSIGN_OR_RETURN(const Bytes sealed, encrypt(context, out, secret));
    append(out, sealed);
    return out;
  }

  Result<Secret> unseal(ByteView context, ByteView sealed) override {
    if (sealed.size() < aead_iv + aead_tag) return fail(ErrorCode::denied, "device: sealed octets are too short");
    const std::scoped_lock lock(mutex_);
    auto secret = decrypt(context, sealed);
    if (secret) return secret;
    // Tokens do not agree on what they answer to a tag that does not hold (SoftHSM: CKR_GENERAL_ERROR). If the token opens what it has just sealed, it
    // is the box that is wrong; otherwise it is the token.
    if (const auto well = self_check(); !well) return fail(well.error());
    return fail(ErrorCode::denied, "device: sealed octets were changed, moved, or sealed by another device");
  }

 private:
  [[nodiscard]] CK_FUNCTION_LIST& functions() const { return module_->functions(); }

  Result<void> connect_locked(IfAbsent if_absent) {
    if (pin_refused_)
      return fail(ErrorCode::denied, "token '" + settings_.token + "': refused the PIN before; it is not tried again, so that it does not lock");
    session_.reset();
    ASSIGN_OR_RETURN(const Secret pin, read_secret_line(settings_.pin_file, pin_octets_max));
    auto session = Pkcs11Session::open(*module_, settings_.token, pin);
    if (!session) {
      pin_refused_ = session.error().code == ErrorCode::denied;
      return fail(session.error());
    }
    ASSIGN_OR_RETURN(key_, MasterKey(**session, settings_).find(if_absent));
    session_ = *std::move(session);
    return {};
  }

  /// Calls; where the session was lost, once more in a new one. The master key must be the one that was there: a new one is never made here.
  template <class Call>
  Result<void> call(std::string_view what, const Call& attempt) {
    CK_RV value = CKR_SESSION_CLOSED;
    if (session_) value = attempt();
    if (session_is_lost(value)) {
      TRY(connect_locked(IfAbsent::refuse));
      value = attempt();
    }
    if (value != CKR_OK) return pkcs11_failure(what, value);
    return {};
  }

  CK_GCM_PARAMS parameters(ByteView nonce, ByteView context) const {
    return {.pIv = unwritten(nonce),
            .ulIvLen = nonce.size(),
            .ulIvBits = 8 * nonce.size(),
            .pAAD = unwritten(context),
            .ulAADLen = context.size(),
            .ulTagBits = tag_bits};
  }

  Result<Bytes> encrypt(ByteView context, ByteView nonce, const Secret& secret) {
    CK_GCM_PARAMS gcm = parameters(nonce, context);
    CK_MECHANISM mechanism{CKM_AES_GCM, &gcm, sizeof gcm};
    TRY(call("C_EncryptInit", [&] { return functions().C_EncryptInit(session_->handle(), &mechanism, key_); }));
    Bytes out(secret.size() + aead_tag);
    CK_ULONG size = out.size();
    const CK_RV value = functions().C_Encrypt(session_->handle(), unwritten(secret.reveal()), secret.size(), out.data(), &size);
    if (value != CKR_OK) return abandon("C_Encrypt", value);
    if (size != out.size()) return abandon("C_Encrypt", CKR_GENERAL_ERROR);
    return out;
  }

  Result<Secret> decrypt(ByteView context, ByteView sealed) {
    CK_GCM_PARAMS gcm = parameters(sealed.first(aead_iv), context);
    CK_MECHANISM mechanism{CKM_AES_GCM, &gcm, sizeof gcm};
    TRY(call("C_DecryptInit", [&] { return functions().C_DecryptInit(session_->handle(), &mechanism, key_); }));
    const ByteView box = sealed.subspan(aead_iv);
    Secret out(box.size());  // some tokens want room for the tag
    CK_ULONG size = out.size();
    const CK_RV value = functions().C_Decrypt(session_->handle(), unwritten(box), box.size(), out.writable().data(), &size);
    if (value != CKR_OK) return abandon("C_Decrypt", value);
    if (size != box.size() - aead_tag) return abandon("C_Decrypt", CKR_GENERAL_ERROR);
    return Result<Secret>(Secret::copy_of(out.reveal().first(size)));
  }

  /// After a failure an operation may still be open in the session: the next one gets a new session.
  std::unexpected<Error> abandon(std::string_view what, CK_RV value) {
    session_.reset();
    return pkcs11_failure(what, value);
  }

  Result<void> self_check() {
    const Secret known = rng_.secret(master_octets);
    const Bytes nonce = rng_.bytes(aead_iv);
    constexpr std::string_view context = "qanat device self check";
    Bytes box = nonce;
    ASSIGN_OR_RETURN(const Bytes sealed, encrypt(as_bytes(context), nonce, known));
    append(box, sealed);
    ASSIGN_OR_RETURN(const Secret opened, decrypt(as_bytes(context), box));
    if (!equal_secret(opened, known)) return fail(ErrorCode::internal, "token '" + settings_.token + "': does not open what it sealed");
    return {};
  }

  const Pkcs11Settings settings_;
  const std::unique_ptr<Pkcs11Module> module_;
  Rng& rng_;
  std::mutex mutex_;
  std::unique_ptr<Pkcs11Session> session_;  // none after a failure
  CK_OBJECT_HANDLE key_ = CK_INVALID_HANDLE;
  bool pin_refused_ = false;
};

}  // namespace

Result<std::unique_ptr<CryptoDevice>> open_pkcs11_device(const Pkcs11Settings& settings, Rng& rng) {
  ASSIGN_OR_RETURN(auto module, Pkcs11Module::load(settings.module));
  auto device = std::make_unique<Pkcs11Device>(settings, std::move(module), rng);
  TRY(device->connect(IfAbsent::create));
  // A token without AES-GCM is found out now, not when the first secret is to be kept.
  const Secret probe = rng.secret(master_octets);
  ASSIGN_OR_RETURN(const Bytes box, device->seal(as_bytes("qanat device probe"), probe));
  ASSIGN_OR_RETURN(const Secret opened, device->unseal(as_bytes("qanat device probe"), box));
  if (!equal_secret(opened, probe)) return fail(ErrorCode::internal, "token '" + settings.token + "': does not open what it sealed");
  return Result<std::unique_ptr<CryptoDevice>>(std::move(device));
}

}  // namespace qanat::crypto
