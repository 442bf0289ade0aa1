#include "node/list_directory.hpp"

#include <lber.h>
#include <ldap.h>
#include <signal.h>
#include <sys/time.h>

#include <algorithm>
#include <memory>

namespace qanat::node {
namespace {

constexpr std::size_t list_octets_max = 64U << 20U;  // as crypto::read_revocation_list reads

struct UnbindReader {
  void operator()(LDAP* connection) const noexcept { static_cast<void>(ldap_unbind_ext_s(connection, nullptr, nullptr)); }
};
struct FreeMessages {
  void operator()(LDAPMessage* messages) const noexcept { static_cast<void>(ldap_msgfree(messages)); }
};
struct FreeValues {
  void operator()(berval** values) const noexcept { ldap_value_free_len(values); }
};

/// Whatever is the matter with the directory: the next source is asked.
std::unexpected<Error> no_list(int result, const ListDirectorySettings& settings) {
  const ErrorCode code = result == LDAP_TIMEOUT ? ErrorCode::deadline_exceeded : ErrorCode::unavailable;
  return fail(code, "directory " + settings.uri + ": " + ldap_err2string(result));
}

timeval time_in(Deadline deadline) {
  const auto left = std::max<std::chrono::milliseconds>(deadline.remaining(), std::chrono::milliseconds(1));
  return {.tv_sec = left.count() / 1000, .tv_usec = (left.count() % 1000) * 1000};
}

bool set_reader_options(LDAP* connection, const ListDirectorySettings& settings, const timeval& limit) {
  const int version = LDAP_VERSION3;
  const int demand = LDAP_OPT_X_TLS_DEMAND;
  const int client = 0;
  const std::string ca = settings.ca_file.string();
  const bool plain = ldap_set_option(connection, LDAP_OPT_PROTOCOL_VERSION, &version) == LDAP_OPT_SUCCESS &&
                     ldap_set_option(connection, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) == LDAP_OPT_SUCCESS &&
                     ldap_set_option(connection, LDAP_OPT_NETWORK_TIMEOUT, &limit) == LDAP_OPT_SUCCESS &&
                     ldap_set_option(connection, LDAP_OPT_TIMEOUT, &limit) == LDAP_OPT_SUCCESS;
  if (!plain || !settings.uri.starts_with("ldaps://")) return plain;
  return ldap_set_option(connection, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) == LDAP_OPT_SUCCESS &&
         ldap_set_option(connection, LDAP_OPT_X_TLS_CACERTFILE, ca.c_str()) == LDAP_OPT_SUCCESS &&
         ldap_set_option(connection, LDAP_OPT_X_TLS_NEWCTX, &client) == LDAP_OPT_SUCCESS;
}

/// (cn=…), with what has a meaning in filters escaped (RFC 4515 §3).
Result<std::string> filter_of(const crypto::Certificate& issuer) {
  std::string name = issuer.names().common_name;
  berval in{.bv_len = name.size(), .bv_val = name.data()};
  berval out{.bv_len = 0, .bv_val = nullptr};
  if (ldap_bv2escaped_filter_value(&in, &out) != 0) return fail(ErrorCode::internal, "directory: the issuer's name cannot be asked for");
  const std::string escaped(out.bv_val, out.bv_len);
  ldap_memfree(out.bv_val);
  return "(cn=" + escaped + ")";
}

/// From now on, in this thread, a write to a connection that the directory has closed is an error of that call and does not end the process.
void no_signal_of_broken_pipes() {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
}

}  // namespace

Result<void> check_list_directory(const ListDirectorySettings& settings) {
  const bool tls = settings.uri.starts_with("ldaps://");
  if (!tls && !settings.uri.starts_with("ldapi://") && !settings.uri.starts_with("ldap://"))
    return fail(ErrorCode::invalid_argument, "must begin with ldap://, ldaps:// or ldapi://");
  if (tls == settings.ca_file.empty()) return fail(ErrorCode::invalid_argument, "ca_file is for ldaps://, and ldaps:// takes one");
  if (settings.base.empty()) return fail(ErrorCode::invalid_argument, "base is missing");
  return {};
}

Result<Bytes> read_list(const ListDirectorySettings& settings, const crypto::Certificate& issuer, Deadline deadline) {
  no_signal_of_broken_pipes();
  LDAP* handle = nullptr;
  if (const int result = ldap_initialize(&handle, settings.uri.c_str()); result != LDAP_SUCCESS) return no_list(result, settings);
  const std::unique_ptr<LDAP, UnbindReader> connection(handle);
  timeval limit = time_in(deadline);
  if (!set_reader_options(handle, settings, limit)) return fail(ErrorCode::unavailable, "directory " + settings.uri + ": the connection cannot be set up");
  ASSIGN_OR_RETURN(const std::string filter, filter_of(issuer));
  std::string attribute = "certificateRevocationList;binary";
  char* attributes[] = {attribute.data(), nullptr};
  LDAPMessage* found = nullptr;
  const int result = ldap_search_ext_s(handle, ("ou=authorities," + settings.base).c_str(), LDAP_SCOPE_ONELEVEL, filter.c_str(), attributes, 0, nullptr,
                                       nullptr, &limit, 1, &found);
  const std::unique_ptr<LDAPMessage, FreeMessages> messages(found);
  if (result != LDAP_SUCCESS) return no_list(result, settings);
  LDAPMessage* const entry = ldap_first_entry(handle, found);
  if (entry == nullptr) return no_list(LDAP_NO_SUCH_OBJECT, settings);
  const std::unique_ptr<berval*, FreeValues> values(ldap_get_values_len(handle, entry, attribute.c_str()));
  if (!values || values.get()[0] == nullptr) return no_list(LDAP_NO_SUCH_ATTRIBUTE, settings);
  const berval& list = *values.get()[0];
  if (list.bv_len > list_octets_max) return no_list(LDAP_SIZELIMIT_EXCEEDED, settings);
  return to_bytes(std::string_view(list.bv_val, list.bv_len));
}

}  // namespace qanat::node
