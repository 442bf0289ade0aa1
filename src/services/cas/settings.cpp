#include "services/cas/settings.hpp"

namespace qanat::cas {
namespace {

constexpr std::int64_t lifetime_max_s = 10LL * 365 * 86400;  // that of the issuing CAs
constexpr std::int64_t status_max_s = 7LL * 86400;

std::chrono::seconds span(node::Config& table, std::string_view key, std::int64_t max, std::chrono::seconds absent) {
  return std::chrono::seconds(table.integer(key, 1, max, absent.count()));
}

}  // namespace

CasSettings CasSettings::read(node::Config& config) {
  CasSettings out;
  node::Config table = config.table("cas");
  out.element_lifetime = span(table, "element_lifetime_s", lifetime_max_s, out.element_lifetime);
  out.terminal_lifetime = span(table, "terminal_lifetime_s", lifetime_max_s, out.terminal_lifetime);
  out.status_lifetime = span(table, "status_lifetime_s", status_max_s, out.status_lifetime);
  return out;
}

}  // namespace qanat::cas
