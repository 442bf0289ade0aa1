#include "services/cas/ldap/directory.hpp"

#include <lber.h>
#include <ldap.h>
#include <signal.h>
#include <sys/time.h>

#include <algorithm>

#include "base/secret_file.hpp"

namespace qanat::cas {
namespace {

constexpr timeval answer_max{.tv_sec = 5, .tv_usec = 0};
constexpr std::size_t password_octets_max = 256;

struct Unbind {
  void operator()(LDAP* connection) const noexcept { static_cast<void>(ldap_unbind_ext_s(connection, nullptr, nullptr)); }
};
using Connection = std::unique_ptr<LDAP, Unbind>;

ErrorCode code_of(int result) noexcept {
  switch (result) {
    case LDAP_SERVER_DOWN:
    case LDAP_CONNECT_ERROR:
    case LDAP_UNAVAILABLE:
    case LDAP_BUSY:
    case LDAP_ENCODING_ERROR:
      return ErrorCode::unavailable;
    case LDAP_TIMEOUT:
      return ErrorCode::deadline_exceeded;
    case LDAP_INVALID_CREDENTIALS:
    case LDAP_INAPPROPRIATE_AUTH:
    case LDAP_STRONG_AUTH_REQUIRED:
      return ErrorCode::unauthenticated;
    case LDAP_INSUFFICIENT_ACCESS:
      return ErrorCode::denied;
    default:
      return ErrorCode::conflict;
  }
}

std::unexpected<Error> failure(LDAP* connection, int result, std::string_view what) {
  std::string text = "directory: " + std::string(what) + ": " + ldap_err2string(result);
  char* diagnostic = nullptr;
  if (connection != nullptr && ldap_get_option(connection, LDAP_OPT_DIAGNOSTIC_MESSAGE, static_cast<void*>(&diagnostic)) == LDAP_OPT_SUCCESS && diagnostic != nullptr) {
    if (*diagnostic != '\0') text += std::string(" (") + diagnostic + ")";
    ldap_memfree(diagnostic);
  }
  return fail(code_of(result), std::move(text));
}

/// A list of changes as libldap takes it. It points into the entry, which must stay.
class Changes {
 public:
  void add(int operation, const DirectoryAttribute& attribute) {
    std::vector<berval>& values = values_.emplace_back();
    for (const Bytes& value : attribute.values) {
      // libldap only reads; its types know no const.
      values.push_back({.bv_len = value.size(), .bv_val = const_cast<char*>(reinterpret_cast<const char*>(value.data()))});
    }
    std::vector<berval*>& pointers = pointers_.emplace_back();
    for (berval& value : values) pointers.push_back(&value);
    const bool some = !pointers.empty();
    pointers.push_back(nullptr);
    LDAPMod& change = changes_.emplace_back();
    change.mod_op = operation | LDAP_MOD_BVALUES;
    change.mod_type = const_cast<char*>(attribute.name.c_str());
    change.mod_bvalues = some ? pointers.data() : nullptr;
  }
  /// Ends with nullptr.
  LDAPMod** list() {
    list_.clear();
    for (LDAPMod& change : changes_) list_.push_back(&change);
    list_.push_back(nullptr);
    return list_.data();
  }

 private:
  std::vector<std::vector<berval>> values_;
  std::vector<std::vector<berval*>> pointers_;
  std::vector<LDAPMod> changes_;
  std::vector<LDAPMod*> list_;
};

class LdapDirectory final : public Directory {
 public:
  explicit LdapDirectory(Connection connection) : connection_(std::move(connection)) {}

  Result<void> put(const DirectoryEntry& entry) override {
    Changes changes;
    for (const DirectoryAttribute& attribute : entry.attributes) changes.add(LDAP_MOD_REPLACE, attribute);
    int result = ldap_modify_ext_s(connection_.get(), entry.dn.c_str(), changes.list(), nullptr, nullptr);
    if (result == LDAP_NO_SUCH_OBJECT) result = add(entry);
    if (result == LDAP_SUCCESS) return {};
    return failure(connection_.get(), result, entry.dn);
  }
  Result<void> remove(const std::string& dn) override {
    const int result = ldap_delete_ext_s(connection_.get(), dn.c_str(), nullptr, nullptr);
    if (result == LDAP_SUCCESS || result == LDAP_NO_SUCH_OBJECT) return {};
    return failure(connection_.get(), result, dn);
  }

 private:
  int add(const DirectoryEntry& entry) {
    DirectoryAttribute classes{.name = "objectClass", .values = {}};
    for (const std::string& name : entry.classes) classes.values.push_back(to_bytes(name));
    Changes changes;
    changes.add(LDAP_MOD_ADD, classes);
    for (const DirectoryAttribute& attribute : entry.naming) changes.add(LDAP_MOD_ADD, attribute);
    for (const DirectoryAttribute& attribute : entry.attributes) {
      if (!attribute.values.empty()) changes.add(LDAP_MOD_ADD, attribute);
    }
    return ldap_add_ext_s(connection_.get(), entry.dn.c_str(), changes.list(), nullptr, nullptr);
  }

  Connection connection_;
};

/// From now on, in this thread, a write to a connection that the directory has closed is an error of that call and does not end the process.
void survive_broken_pipes() {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
}

Result<void> set_options(LDAP* connection, const DirectorySettings& settings) {
  const int version = LDAP_VERSION3;
  const std::string ca = settings.ca_file.string();
  const int demand = LDAP_OPT_X_TLS_DEMAND;
  const int client = 0;
  bool ok = ldap_set_option(connection, LDAP_OPT_PROTOCOL_VERSION, &version) == LDAP_OPT_SUCCESS &&
            ldap_set_option(connection, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) == LDAP_OPT_SUCCESS &&
            ldap_set_option(connection, LDAP_OPT_NETWORK_TIMEOUT, &answer_max) == LDAP_OPT_SUCCESS &&
            ldap_set_option(connection, LDAP_OPT_TIMEOUT, &answer_max) == LDAP_OPT_SUCCESS;
  if (settings.start_tls || settings.uri.starts_with("ldaps://")) {
    ok = ok && ldap_set_option(connection, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) == LDAP_OPT_SUCCESS;
    if (!ca.empty()) ok = ok && ldap_set_option(connection, LDAP_OPT_X_TLS_CACERTFILE, ca.c_str()) == LDAP_OPT_SUCCESS;
    if (!ok || ldap_set_option(connection, LDAP_OPT_X_TLS_NEWCTX, &client) != LDAP_OPT_SUCCESS) {
      return fail(ErrorCode::invalid_argument, "directory: " + ca + ": not the certificates of a CA");
    }
  }
  if (!ok) return fail(ErrorCode::internal, "directory: the LDAP library takes an option no more");
  return {};
}

Result<void> bind(LDAP* connection, const DirectorySettings& settings) {
  int result = LDAP_SUCCESS;
  if (settings.bind_dn.empty()) {
    berval nobody{.bv_len = 0, .bv_val = nullptr};
    result = ldap_sasl_bind_s(connection, nullptr, "EXTERNAL", &nobody, nullptr, nullptr, nullptr);
  } else {
    ASSIGN_OR_RETURN(Secret password, read_secret_line(settings.password_file, password_octets_max));
    berval proof{.bv_len = password.size(), .bv_val = reinterpret_cast<char*>(password.writable().data())};
    result = ldap_sasl_bind_s(connection, settings.bind_dn.c_str(), LDAP_SASL_SIMPLE, &proof, nullptr, nullptr, nullptr);
  }
  if (result != LDAP_SUCCESS) return failure(connection, result, "bind");
  return {};
}

}  // namespace

Result<void> check_directory(const DirectorySettings& settings) {
  const bool local = settings.uri.starts_with("ldapi://");
  const bool tls = settings.uri.starts_with("ldaps://");
  if (!local && !tls && !settings.uri.starts_with("ldap://")) return fail(ErrorCode::invalid_argument, "must begin with ldapi://, ldaps:// or ldap://");
  if (settings.start_tls && (local || tls)) return fail(ErrorCode::invalid_argument, "start_tls is for ldap:// alone");
  if (!local && !tls && !settings.start_tls) return fail(ErrorCode::invalid_argument, "ldap:// takes start_tls = true: the password would go in clear");
  if (settings.bind_dn.empty() != settings.password_file.empty()) return fail(ErrorCode::invalid_argument, "bind_dn and password_file belong together");
  if (settings.bind_dn.empty() && !local) return fail(ErrorCode::invalid_argument, "bind_dn is missing: only on ldapi:// is the process known without one");
  return {};
}

Result<std::unique_ptr<Directory>> Directory::connect(const DirectorySettings& settings) {
  survive_broken_pipes();
  LDAP* handle = nullptr;
  if (const int result = ldap_initialize(&handle, settings.uri.c_str()); result != LDAP_SUCCESS) return failure(nullptr, result, settings.uri);
  Connection connection(handle);
  TRY(set_options(handle, settings));
  if (settings.start_tls) {
    if (const int result = ldap_start_tls_s(handle, nullptr, nullptr); result != LDAP_SUCCESS) return failure(handle, result, settings.uri + ": StartTLS");
  }
  if (const auto bound = bind(handle, settings); !bound) return fail_in(settings.uri, bound.error());
  return std::unique_ptr<Directory>(std::make_unique<LdapDirectory>(std::move(connection)));
}

std::string escaped_rdn(std::string_view value) {
  static constexpr std::string_view special = "\",+;<>\\=#";
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    const auto octet = static_cast<unsigned char>(c);
    const bool outer_space = c == ' ' && (i == 0 || i + 1 == value.size());
    if (octet < 0x20 || octet == 0x7f) {
      out += {'\\', digits[octet >> 4U], digits[octet & 15U]};
    } else {
      if (outer_space || special.contains(c)) out += '\\';
      out += c;
    }
  }
  return out;
}

}  // namespace qanat::cas
