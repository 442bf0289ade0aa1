// SCIM 2.0 (RFC 7643, RFC 7644): a directory keeps its people in the register of identities. People alone, never who has a duty, and no roles: those are given
// by the security administrator. Who asks shows an access token of ours that is bound to the certificate on the connection.
#pragma once

#include <string>

#include "services/iam/desk.hpp"
#include "services/iam/upm/privilege_front.hpp"
#include "services/iam/web/scim_user.hpp"
#include "services/iam/web/web_answer.hpp"

namespace qanat::iam {

inline constexpr std::size_t scim_octets_max = 64 * 1024;
inline constexpr std::string_view scim_prefix = "/scim/v2/";

struct ScimPlace {
  std::string base;    // URL of the service, without a slash at its end
  std::string domain;  // of people of whom the directory says none
};

struct ScimRequest {
  WebCaller caller;
  std::string token;  // as "Authorization: Bearer" brought it; empty: none
  std::string id;     // in the path
  std::string query;
  std::string if_match;
  std::string if_none_match;
  std::string_view body;
};

class Scim {
 public:
  Scim(Desk& desk, PrivilegeFront& privileges, ScimPlace place) : desk_(desk), privileges_(privileges), place_(std::move(place)) {}

  WebAnswer create(const ScimRequest& request);   // POST /Users
  WebAnswer show(const ScimRequest& request);     // GET /Users/{id}
  WebAnswer list(const ScimRequest& request);     // GET /Users
  WebAnswer replace(const ScimRequest& request);  // PUT /Users/{id}
  WebAnswer patch(const ScimRequest& request);    // PATCH /Users/{id}
  WebAnswer remove(const ScimRequest& request);   // DELETE /Users/{id}

  // Without a token (RFC 7644 §4): what everybody may know.
  WebAnswer provider_config(const ScimRequest& request);
  WebAnswer resource_types(const ScimRequest& request);
  WebAnswer schemas(const ScimRequest& request);

 private:
  struct Client {
    IdentityRecord record;
    std::string scope;  // of its token
  };
  /// Whose token it is, once it holds here, for this caller and for this. `who`: as soon as that is known, for the record.
  Result<Client> admit(const ScimRequest& request, std::string_view action, std::string& who);
  /// What the token was given for, and what its subject may still do.
  Result<void> may(const Client& client, std::string_view action);
  template <class Work>
  WebAnswer recorded(const ScimRequest& request, std::string_view action, std::string_view needed, const Work& work);
  Result<IdentityRecord> person(const std::string& id);
  /// The person that is to be changed: of the version that the client has, and of no duty.
  Result<IdentityRecord> changeable(const ScimRequest& request);
  Result<IdentityRecord> enter(const ScimUser& user);
  Result<WebAnswer> change(const ScimRequest& request, const Client& client, const IdentityRecord& before, const ScimUser& wanted, std::string& object);
  Result<std::pair<std::vector<IdentityRecord>, std::int64_t>> find(const std::optional<ScimFilter>& filter, std::int64_t start, std::int64_t count);
  [[nodiscard]] std::string location(const IdentityRecord& record) const { return place_.base + "/Users/" + record.uid.text(); }
  [[nodiscard]] WebAnswer rendered(const IdentityRecord& record, unsigned status, const ScimSelection& selection) const;

  Desk& desk_;
  PrivilegeFront& privileges_;
  const ScimPlace place_;
};

/// RFC 7644 §3.12, and RFC 6750 §3 where a token is wanted.
WebAnswer scim_error(const Error& error);
WebAnswer scim_refusal(unsigned status, std::string_view why);

}  // namespace qanat::iam
