#include "services/cas/settings.hpp"

#include <algorithm>

namespace qanat::cas {
namespace {

constexpr std::int64_t retry_max_s = 86'400;
constexpr std::int64_t status_max_s = 7LL * 86400;
constexpr std::size_t url_octets_max = 200;  // with the paths of csp/places.hpp behind it, within what a certificate's extension takes (256)

std::chrono::seconds span(node::Config& table, std::string_view key, std::int64_t max, std::chrono::seconds absent) {
  return std::chrono::seconds(table.integer(key, 1, max, absent.count()));
}

FrontSettings read_front(node::Config table) {
  FrontSettings out;
  out.listener.address = table.text("address", "127.0.0.1");
  const std::int64_t port = table.integer("port", 0, 65535, 0);
  out.listener.port = static_cast<std::uint16_t>(port);
  out.listener.limits.connections_max =
      static_cast<std::size_t>(table.integer("connections_max", 1, 100000, static_cast<std::int64_t>(out.listener.limits.connections_max)));
  const bool ipv6 = out.listener.address.contains(':');
  const std::string host = ipv6 ? '[' + out.listener.address + ']' : out.listener.address;
  out.url = table.text("url", port == 0 ? "" : "http://" + host + ":" + std::to_string(port));
  if (out.url.empty()) return out;
  if (!out.url.starts_with("http://")) table.reject("url", "must begin with http://: what is served there is signed, and asked for to check TLS");
  if (out.url.ends_with('/')) table.reject("url", "must not end with '/'");
  if (out.url.size() > url_octets_max) table.reject("url", "must be at most " + std::to_string(url_octets_max) + " octets: certificates hold it three times");
  if (std::ranges::any_of(out.url, [](char c) { return c <= ' ' || c > '~'; })) table.reject("url", "must be printable ASCII without spaces");
  if (out.url.starts_with("http://0.0.0.0:") || out.url.starts_with("http://[::]:")) {
    table.reject("url", "must be there where the address is that of all interfaces");
  }
  if (port == 0) table.reject("port", "must be there where url is");
  return out;
}

DirectorySettings read_directory(node::Config table) {
  DirectorySettings out;
  out.uri = table.text("uri", "");
  out.base = table.text("base", "");
  out.bind_dn = table.text("bind_dn", "");
  out.password_file = table.text("password_file", "");
  out.ca_file = table.text("ca_file", "");
  out.start_tls = table.flag("start_tls", false);
  if (out.uri.empty()) return out;
  if (out.base.empty()) table.reject("base", "must name the entry below which is published");
  if (const auto sound = check_directory(out); !sound) table.reject("uri", sound.error().message);
  return out;
}

}  // namespace

CasSettings CasSettings::read(node::Config& config) {
  CasSettings out;
  node::Config table = config.table("cas");
  out.element_lifetime = span(table, "element_lifetime_s", profile("element").lifetime_max.count(), out.element_lifetime);
  out.terminal_lifetime = span(table, "terminal_lifetime_s", profile("terminal-signing").lifetime_max.count(), out.terminal_lifetime);
  out.status_lifetime = span(table, "status_lifetime_s", status_max_s, out.status_lifetime);
  out.presigned_lifetime = span(table, "presigned_lifetime_s", status_max_s, out.presigned_lifetime);
  out.presigned_max = static_cast<std::size_t>(table.integer("presigned_max", 0, 1'000'000, static_cast<std::int64_t>(out.presigned_max)));
  out.responder_lifetime = span(table, "responder_lifetime_s", profile("ocsp-signer").lifetime_max.count(), out.responder_lifetime);
  out.crl_lifetime = span(table, "crl_lifetime_s", status_max_s, out.crl_lifetime);
  out.approval_retry = span(table, "approval_retry_s", retry_max_s, out.approval_retry);
  out.front = read_front(table.table("listener"));
  out.directory = read_directory(table.table("directory"));
  return out;
}

}  // namespace qanat::cas
