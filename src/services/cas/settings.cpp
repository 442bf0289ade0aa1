#include "services/cas/settings.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "services/cas/ceis/lint.hpp"

namespace qanat::cas {
namespace {

constexpr std::int64_t retry_max_s = 86'400;
constexpr std::int64_t approval_max_s = 366LL * 86'400;
constexpr std::int64_t status_max_s = 7LL * 86400;
constexpr std::int64_t enrolment_lifetime_max_s = 398LL * 86400;  // what clients of the web take
constexpr std::int64_t cmp_wait_max_s = 86'400;
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

/// As a certificate's iPAddress is read: IPv4 with dots, IPv6 in full. Empty for what is neither.
std::string address_as_certified(const std::string& text) {
  in_addr four{};
  if (::inet_pton(AF_INET, text.c_str(), &four) == 1) return text;
  in6_addr six{};
  if (::inet_pton(AF_INET6, text.c_str(), &six) != 1) return {};
  std::string out;
  for (std::size_t i = 0; i < sizeof six.s6_addr; i += 2) out += (i == 0 ? "" : ":") + to_hex(ByteView(six.s6_addr + i, 2));
  return out;
}

bool is_everywhere(const std::string& address) { return address == "0.0.0.0" || address == "::"; }

EnrolmentSettings read_enrolment(node::Config table) {
  EnrolmentSettings out;
  net::ForeignSettings& listener = out.listener;
  listener.address = table.text("address", "127.0.0.1");
  const std::int64_t port = table.integer("port", 0, 65535, 0);
  listener.port = static_cast<std::uint16_t>(port);
  listener.limits.connections_max =
      static_cast<std::size_t>(table.integer("connections_max", 1, 100000, static_cast<std::int64_t>(listener.limits.connections_max)));
  for (const std::string& one : table.texts("dns")) {
    if (!is_dns_name(one)) table.reject("dns", "'" + one + "' is no DNS name");
    out.dns.push_back(lower_case(one));
  }
  std::vector<std::string> addresses = table.texts("addresses");
  if (addresses.empty() && !is_everywhere(listener.address)) addresses.push_back(listener.address);
  for (const std::string& one : addresses) {
    const std::string spelled = address_as_certified(one);
    if (spelled.empty()) table.reject("addresses", "'" + one + "' is no IP address");
    out.addresses.push_back(spelled);
  }
  out.lifetime = span(table, "certificate_lifetime_s", enrolment_lifetime_max_s, out.lifetime);
  out.workers = static_cast<std::size_t>(table.integer("workers", 1, 256, static_cast<std::int64_t>(out.workers)));
  out.waiting_max = static_cast<std::size_t>(table.integer("waiting_max", 1, 100000, static_cast<std::int64_t>(out.waiting_max)));
  const std::string absent = port == 0 || out.dns.empty() ? std::string() : "https://" + out.dns.front() + ':' + std::to_string(port);
  out.url = table.text("url", absent);
  if (port != 0 && out.dns.empty()) table.reject("dns", "must name the listener, as its certificates are to");
  if (out.url.empty()) return out;
  if (!out.url.starts_with("https://") || out.url.ends_with('/') || out.url.size() > url_octets_max ||
      std::ranges::any_of(out.url, [](char c) { return c <= ' ' || c > '~'; })) {
    table.reject("url", "must begin with https://, must not end with '/', must be printable ASCII without spaces of at most " + std::to_string(url_octets_max) +
                            " octets");
  }
  if (port == 0) table.reject("port", "must be there where url is");
  return out;
}

CmpSettings read_cmp(node::Config table) {
  CmpSettings out;
  out.clock_skew = span(table, "clock_skew_s", cmp_wait_max_s, out.clock_skew);
  out.confirm_wait = span(table, "confirm_wait_s", cmp_wait_max_s, out.confirm_wait);
  out.implicit_confirm = table.flag("implicit_confirm", out.implicit_confirm);
  out.bounds.open_max = table.integer("open_max", 1, 1'000'000, out.bounds.open_max);
  out.bounds.open_of_one_max = table.integer("open_of_one_max", 1, 100'000, out.bounds.open_of_one_max);
  out.bounds.kept_of_one_max = table.integer("kept_of_one_max", 1, 1'000'000, out.bounds.kept_of_one_max);
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
  out.approval_expires = span(table, "approval_expires_s", approval_max_s, out.approval_expires);
  out.front = read_front(table.table("listener"));
  out.enrolment = read_enrolment(table.table("enrolment"));
  out.acme = read_acme_settings(table.table("acme"));
  out.acme.url = out.enrolment.url;
  out.acme.ca_issuers = out.front.url;
  out.cmp = read_cmp(table.table("cmp"));
  out.directory = read_directory(table.table("directory"));
  return out;
}

}  // namespace qanat::cas
