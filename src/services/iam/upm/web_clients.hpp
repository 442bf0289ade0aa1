// Clients of the authorisation code grant: applications that people use, with the addresses to which a code may be sent. Which ones there are is the security
// administrator's to say.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "services/iam/idm/register.hpp"
#include "store/store.hpp"

namespace qanat::iam {

inline constexpr std::size_t redirect_uris_max = 16;  // of one client
inline constexpr std::size_t redirect_uri_max = 512;  // octets

struct WebClient {
  std::string uid;  // of the application
  std::vector<std::string> redirect_uris;
  std::string entered_by = {};
  UnixMs entered_ms = 0;
  bool operator==(const WebClient&) const = default;
};
wire::Json to_json(const WebClient& client);
/// https://…, or http:// on this machine (127.0.0.1, [::1], localhost); no fragment, no user information. invalid_argument for anything else.
Result<void> check_redirect_uri(std::string_view uri);

class WebClients {
 public:
  explicit WebClients(store::Store& store) : store_(store) {}

  /// Enters or replaces. `not_found` without such an application, invalid_argument for an address that is none.
  Result<WebClient> put(WebClient client, UnixMs now);
  /// `not_found` if there is none.
  Result<void> remove(const std::string& uid);
  Result<std::vector<WebClient>> all() { return read(""); }
  Result<std::optional<WebClient>> find(const std::string& uid);

 private:
  /// The one with this uid, or all of them if it is empty.
  Result<std::vector<WebClient>> read(std::string_view uid);

  store::Store& store_;
};

}  // namespace qanat::iam
