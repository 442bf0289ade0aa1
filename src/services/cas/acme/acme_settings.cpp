#include "services/cas/acme/acme_settings.hpp"

#include <algorithm>

namespace qanat::cas {
namespace {

constexpr std::size_t acme_url_octets_max = 500;

std::string web_url(node::Config& table, std::string_view key) {
  std::string out = table.text(key, "");
  const bool sound = (out.starts_with("https://") || out.starts_with("http://")) && out.size() <= acme_url_octets_max &&
                     std::ranges::none_of(out, [](char c) { return c <= ' ' || c > '~' || c == '<' || c == '>' || c == '"'; });
  if (!out.empty() && !sound) table.reject(key, "must be a URL of printable ASCII, at most " + std::to_string(acme_url_octets_max) + " octets");
  return out;
}

}  // namespace

AcmeSettings read_acme_settings(node::Config table) {
  AcmeSettings out;
  out.terms = web_url(table, "terms");
  out.website = web_url(table, "website");
  const auto bound = [&](std::string_view key, std::int64_t most, std::size_t absent) {
    return static_cast<std::size_t>(table.integer(key, 1, most, static_cast<std::int64_t>(absent)));
  };
  out.bounds.accounts_per_registration = bound("accounts_per_registration", 10'000, out.bounds.accounts_per_registration);
  out.bounds.orders_per_hour = bound("orders_per_hour", 100'000, out.bounds.orders_per_hour);
  out.bounds.orders_per_registration = bound("orders_per_registration", 1'000'000, out.bounds.orders_per_registration);
  return out;
}

}  // namespace qanat::cas
