#include "services/iam/upm/web_clients.hpp"

#include <algorithm>

namespace qanat::iam {
namespace {

struct StoredClient {
  WebClient client;
  std::string uris;
};

Result<WebClient> client_from(StoredClient stored) {
  ASSIGN_OR_RETURN(const wire::Json list, wire::Json::parse(stored.uris));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> uris, list.as_array());
  for (const wire::Json& one : uris) {
    ASSIGN_OR_RETURN(std::string uri, one.as_text());
    stored.client.redirect_uris.push_back(std::move(uri));
  }
  return std::move(stored.client);
}

wire::Json uris_json(const WebClient& client) {
  wire::Json out = wire::Json::array();
  for (const std::string& one : client.redirect_uris) out.push(one);
  return out;
}

}  // namespace

wire::Json to_json(const WebClient& client) {
  return wire::Json::object(
      {{"client", client.uid}, {"redirect_uris", uris_json(client)}, {"entered_by", client.entered_by}, {"entered_ms", client.entered_ms}});
}

Result<void> check_redirect_uri(std::string_view uri) {
  const auto unfit = [&](std::string_view why) { return fail(ErrorCode::invalid_argument, "redirect URI: " + std::string(why)); };
  if (uri.size() > redirect_uri_max) return unfit("over " + std::to_string(redirect_uri_max) + " octets");
  // What may stand in a URI (RFC 3986 §2) and in a header field.
  constexpr std::string_view further = "-._~:/?[]@!$&'()*+,;=%";
  const bool plain =
      std::ranges::all_of(uri, [&](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || further.contains(c); });
  if (!plain) return unfit("holds what is no part of a URI, or a fragment");
  const bool tls = uri.starts_with("https://");
  if (!tls && !uri.starts_with("http://")) return unfit("must begin with https://");
  const std::string_view rest = uri.substr(tls ? 8 : 7);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  if (authority.empty() || authority.contains('@')) return unfit("must name a host, and no user");
  // RFC 8252 §7.3: without TLS on the person's own machine alone.
  const std::string_view host = authority.starts_with('[') ? authority.substr(0, authority.find(']') + 1) : authority.substr(0, authority.find(':'));
  if (!tls && host != "127.0.0.1" && host != "[::1]" && host != "localhost") return unfit("without TLS on this machine alone");
  return {};
}

Result<WebClient> WebClients::put(WebClient client, UnixMs now) {
  if (client.redirect_uris.empty() || client.redirect_uris.size() > redirect_uris_max) {
    return fail(ErrorCode::invalid_argument, "a client has 1 to " + std::to_string(redirect_uris_max) + " redirect URIs");
  }
  for (const std::string& one : client.redirect_uris) TRY(check_redirect_uri(one));
  client.entered_ms = now;
  const std::string uris = uris_json(client).dump();
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const auto record, IdentityRegister::read(transaction, Uid(client.uid)));
    if (!record || record->of != IdentityClass::application) return fail(ErrorCode::not_found, "there is no application '" + client.uid + "'");
    TRY(transaction.run("INSERT OR REPLACE INTO web_client (uid, redirect_uris, entered_by, entered_ms) VALUES (?, ?, ?, ?)",
                        {std::string_view(client.uid), std::string_view(uris), std::string_view(client.entered_by), store::column(now)}));
    return {};
  }));
  return client;
}

Result<void> WebClients::remove(const std::string& uid) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::int64_t rows, transaction.run("DELETE FROM web_client WHERE uid = ?", {std::string_view(uid)}));
    if (rows == 0) return fail(ErrorCode::not_found, "'" + uid + "' is no client");
    return {};
  });
}

Result<std::vector<WebClient>> WebClients::read(std::string_view uid) {
  std::vector<StoredClient> stored;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query(
        "SELECT uid, redirect_uris, entered_by, entered_ms FROM web_client WHERE ?1 = '' OR uid = ?1 ORDER BY uid", {uid}, [&](const store::Row& row) {
          stored.push_back({.client = {.uid = row.text(0), .redirect_uris = {}, .entered_by = row.text(2), .entered_ms = static_cast<UnixMs>(row.integer(3))},
                            .uris = row.text(1)});
        });
  }));
  std::vector<WebClient> out;
  for (StoredClient& one : stored) {
    ASSIGN_OR_RETURN(WebClient client, client_from(std::move(one)));
    out.push_back(std::move(client));
  }
  return out;
}

Result<std::optional<WebClient>> WebClients::find(const std::string& uid) {
  if (uid.empty()) return std::optional<WebClient>();
  ASSIGN_OR_RETURN(std::vector<WebClient> found, read(uid));
  return found.empty() ? std::optional<WebClient>() : std::optional(std::move(found.front()));
}

}  // namespace qanat::iam
