#include "crypto/pkcs11_module.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "crypto/maker_library.hpp"

// The OpenSSL of this program is built without engines. A module that was built for one with them (Debian's SoftHSM), and libpq, are bound to ours, and ask it for an
// engine: there is none. Exported by the program (cmake: --export-dynamic-symbol). A second libcrypto in a name space of its own (dlmopen) is no way: two C
// libraries hand out the same thread-specific slots.
struct engine_st;
extern "C" {
engine_st* ENGINE_by_id(const char* /*id*/) { return nullptr; }
int ENGINE_init(engine_st* /*engine*/) { return 0; }
int ENGINE_finish(engine_st* /*engine*/) { return 0; }
int ENGINE_free(engine_st* /*engine*/) { return 0; }
int ENGINE_set_default(engine_st* /*engine*/, unsigned int /*flags*/) { return 0; }
void* ENGINE_load_private_key(engine_st* /*engine*/, const char* /*id*/, void* /*ui*/, void* /*data*/) { return nullptr; }  // Debian's libpq has this one
}

namespace qanat::crypto {
namespace {

constexpr std::size_t slots_max = 256;

/// What PKCS#11 itself keeps per process: which modules are loaded, and how many use each. A module stays in memory until the process ends, because
/// makers' libraries seldom survive being unloaded; finalised it is by its last user.
struct LoadedModules {
  struct Entry {
    CK_FUNCTION_LIST* functions = nullptr;
    std::size_t users = 0;
    bool ours = false;  // initialised here, so finalised here
  };
  std::mutex mutex;
  std::map<std::string, Entry, std::less<>> entries;
};

LoadedModules& loaded_modules() {
  static LoadedModules modules;
  return modules;
}

Result<CK_FUNCTION_LIST*> load_functions(const std::string& name) {
  ASSIGN_OR_RETURN(void* const library, load_library("PKCS#11 module", name));
  const auto get = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
  if (get == nullptr) return fail(ErrorCode::invalid_argument, "PKCS#11 module " + name + ": is a library without C_GetFunctionList");
  CK_FUNCTION_LIST* functions = nullptr;
  if (const CK_RV value = get(&functions); value != CKR_OK || functions == nullptr) return pkcs11_failure("C_GetFunctionList", value);
  if (functions->version.major != 2)
    return fail(ErrorCode::invalid_argument, "PKCS#11 module " + name + ": speaks version " + std::to_string(functions->version.major));
  return functions;
}

struct NamedValue {
  CK_RV value;
  std::string_view name;
};
constexpr std::array named_values{
    NamedValue{CKR_OK, "CKR_OK"},
    NamedValue{CKR_HOST_MEMORY, "CKR_HOST_MEMORY"},
    NamedValue{CKR_SLOT_ID_INVALID, "CKR_SLOT_ID_INVALID"},
    NamedValue{CKR_GENERAL_ERROR, "CKR_GENERAL_ERROR"},
    NamedValue{CKR_FUNCTION_FAILED, "CKR_FUNCTION_FAILED"},
    NamedValue{CKR_ARGUMENTS_BAD, "CKR_ARGUMENTS_BAD"},
    NamedValue{CKR_DEVICE_ERROR, "CKR_DEVICE_ERROR"},
    NamedValue{CKR_DEVICE_MEMORY, "CKR_DEVICE_MEMORY"},
    NamedValue{CKR_DEVICE_REMOVED, "CKR_DEVICE_REMOVED"},
    NamedValue{CKR_ENCRYPTED_DATA_INVALID, "CKR_ENCRYPTED_DATA_INVALID"},
    NamedValue{CKR_KEY_HANDLE_INVALID, "CKR_KEY_HANDLE_INVALID"},
    NamedValue{CKR_MECHANISM_INVALID, "CKR_MECHANISM_INVALID"},
    NamedValue{CKR_OBJECT_HANDLE_INVALID, "CKR_OBJECT_HANDLE_INVALID"},
    NamedValue{CKR_PIN_INCORRECT, "CKR_PIN_INCORRECT"},
    NamedValue{CKR_PIN_LEN_RANGE, "CKR_PIN_LEN_RANGE"},
    NamedValue{CKR_PIN_LOCKED, "CKR_PIN_LOCKED"},
    NamedValue{CKR_SESSION_CLOSED, "CKR_SESSION_CLOSED"},
    NamedValue{CKR_SESSION_HANDLE_INVALID, "CKR_SESSION_HANDLE_INVALID"},
    NamedValue{CKR_TOKEN_NOT_PRESENT, "CKR_TOKEN_NOT_PRESENT"},
    NamedValue{CKR_TOKEN_NOT_RECOGNIZED, "CKR_TOKEN_NOT_RECOGNIZED"},
    NamedValue{CKR_TOKEN_WRITE_PROTECTED, "CKR_TOKEN_WRITE_PROTECTED"},
    NamedValue{CKR_USER_NOT_LOGGED_IN, "CKR_USER_NOT_LOGGED_IN"},
    NamedValue{CKR_USER_PIN_NOT_INITIALIZED, "CKR_USER_PIN_NOT_INITIALIZED"},
    NamedValue{CKR_CRYPTOKI_NOT_INITIALIZED, "CKR_CRYPTOKI_NOT_INITIALIZED"},
};

/// Token labels are 32 octets, filled up with blanks (PKCS#11 v2.40 §3.2).
std::string_view trimmed(const CK_TOKEN_INFO& token) {
  std::string_view label(reinterpret_cast<const char*>(token.label), sizeof token.label);
  while (!label.empty() && (label.back() == ' ' || label.back() == '\0')) label.remove_suffix(1);
  return label;
}

}  // namespace

std::string name_of_rv(CK_RV value) {
  const auto* const found = std::ranges::find(named_values, value, &NamedValue::value);
  return found != named_values.end() ? std::string(found->name) : "return value " + std::to_string(value);
}

std::unexpected<Error> pkcs11_failure(std::string_view call, CK_RV value) {
  const std::string message = "PKCS#11 " + std::string(call) + ": " + name_of_rv(value);
  switch (value) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_LEN_RANGE:
      return fail(ErrorCode::denied, message + ": the token refuses this PIN");
    case CKR_PIN_LOCKED:
      return fail(ErrorCode::denied, message + ": too many wrong PINs; the token's security officer must set a new one");
    case CKR_USER_PIN_NOT_INITIALIZED:
      return fail(ErrorCode::denied, message + ": the token has no user PIN yet");
    default:
      return fail(ErrorCode::internal, message);
  }
}

Result<std::unique_ptr<Pkcs11Module>> Pkcs11Module::load(const std::filesystem::path& file) {
  const std::string name = library_name(file);
  LoadedModules& modules = loaded_modules();
  const std::scoped_lock lock(modules.mutex);
  LoadedModules::Entry& entry = modules.entries[name];
  if (entry.functions == nullptr) {
    ASSIGN_OR_RETURN(entry.functions, load_functions(name));
  }
  if (entry.users == 0) {
    CK_C_INITIALIZE_ARGS arguments{};
    arguments.flags = CKF_OS_LOCKING_OK;  // several threads, with the system's own locks
    const CK_RV value = entry.functions->C_Initialize(&arguments);
    if (value != CKR_OK && value != CKR_CRYPTOKI_ALREADY_INITIALIZED) return pkcs11_failure("C_Initialize", value);
    entry.ours = value == CKR_OK;
  }
  ++entry.users;
  return std::unique_ptr<Pkcs11Module>(new Pkcs11Module(name, entry.functions));
}

Pkcs11Module::~Pkcs11Module() {
  LoadedModules& modules = loaded_modules();
  const std::scoped_lock lock(modules.mutex);
  LoadedModules::Entry& entry = modules.entries[name_];
  if (--entry.users == 0 && entry.ours) (void)functions_->C_Finalize(nullptr);
}

Result<CK_SLOT_ID> Pkcs11Module::slot_of(std::string_view token_label) const {
  std::array<CK_SLOT_ID, slots_max> slots{};
  CK_ULONG count = slots.size();
  if (const CK_RV value = functions_->C_GetSlotList(CK_TRUE, slots.data(), &count); value != CKR_OK) return pkcs11_failure("C_GetSlotList", value);
  std::vector<CK_SLOT_ID> found;
  for (const CK_SLOT_ID slot : std::span(slots).first(count)) {
    CK_TOKEN_INFO token{};
    if (functions_->C_GetTokenInfo(slot, &token) != CKR_OK || (token.flags & CKF_TOKEN_INITIALIZED) == 0) continue;
    if (trimmed(token) == token_label) found.push_back(slot);
  }
  const std::string where = "PKCS#11 module " + name_ + ": ";
  if (found.empty()) return fail(ErrorCode::not_found, where + "there is no token '" + std::string(token_label) + "'");
  if (found.size() > 1) return fail(ErrorCode::conflict, where + "there are " + std::to_string(found.size()) + " tokens '" + std::string(token_label) + "'");
  return found.front();
}

Result<std::unique_ptr<Pkcs11Session>> Pkcs11Session::open(const Pkcs11Module& module, std::string_view token_label, const Secret& pin) {
  ASSIGN_OR_RETURN(const CK_SLOT_ID slot, module.slot_of(token_label));
  CK_SESSION_HANDLE handle = CK_INVALID_HANDLE;
  const CK_RV opened = module.functions().C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &handle);
  if (opened != CKR_OK) return pkcs11_failure("C_OpenSession", opened);
  std::unique_ptr<Pkcs11Session> session(new Pkcs11Session(module, handle));
  // The interface wants the PIN writable and does not write it; what it gets is a copy that is wiped with its owner.
  Secret copy = pin.duplicate();
  const CK_RV value = module.functions().C_Login(handle, CKU_USER, copy.writable().data(), copy.size());
  // One login counts for the whole process: another device on this token has shown the PIN.
  if (value != CKR_OK && value != CKR_USER_ALREADY_LOGGED_IN) return pkcs11_failure("C_Login", value);
  return session;
}

Pkcs11Session::~Pkcs11Session() { (void)functions().C_CloseSession(handle_); }

}  // namespace qanat::crypto
