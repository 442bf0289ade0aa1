// A PKCS#11 module (a shared library of the token's maker) in this process, and one session with a token that is logged in. Private to crypto.
#pragma once

#include <p11-kit/pkcs11.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::crypto {

/// The name of a return value for messages: "CKR_PIN_INCORRECT", or its number.
std::string name_of_rv(CK_RV value);

/// The failure of a call, `internal` unless the value says better (CKR_PIN_INCORRECT: denied).
[[nodiscard]] std::unexpected<Error> pkcs11_failure(std::string_view call, CK_RV value);

/// PKCS#11 initialises a module once per process, whoever uses it. The last user of a module finalises it.
class Pkcs11Module {
 public:
  /// not_found if there is no such file, invalid_argument if it is no PKCS#11 module.
  static Result<std::unique_ptr<Pkcs11Module>> load(const std::filesystem::path& file);
  ~Pkcs11Module();
  Pkcs11Module(const Pkcs11Module&) = delete;
  Pkcs11Module& operator=(const Pkcs11Module&) = delete;

  [[nodiscard]] CK_FUNCTION_LIST& functions() const noexcept { return *functions_; }
  /// The slot of the only token with this label: not_found if there is none, conflict if there are several.
  [[nodiscard]] Result<CK_SLOT_ID> slot_of(std::string_view token_label) const;

 private:
  Pkcs11Module(std::string name, CK_FUNCTION_LIST* functions) : name_(std::move(name)), functions_(functions) {}
  std::string name_;
  CK_FUNCTION_LIST* functions_;
};

/// A read-write session. Logs in on opening; PKCS#11 logs out when the process's last session with the token is closed.
class Pkcs11Session {
 public:
  static Result<std::unique_ptr<Pkcs11Session>> open(const Pkcs11Module& module, std::string_view token_label, const Secret& pin);
  ~Pkcs11Session();
  Pkcs11Session(const Pkcs11Session&) = delete;
  Pkcs11Session& operator=(const Pkcs11Session&) = delete;

  [[nodiscard]] CK_FUNCTION_LIST& functions() const noexcept { return module_.functions(); }
  [[nodiscard]] CK_SESSION_HANDLE handle() const noexcept { return handle_; }

 private:
  Pkcs11Session(const Pkcs11Module& module, CK_SESSION_HANDLE handle) : module_(module), handle_(handle) {}
  const Pkcs11Module& module_;
  CK_SESSION_HANDLE handle_;
};

}  // namespace qanat::crypto
