#include "terminal/settings.hpp"

#include "node/subscriber.hpp"
#include "terminal/ipv4.hpp"

namespace qanat::terminal {
namespace {

constexpr double pace_min = 0.1;
constexpr double pace_max = 100.0;

}  // namespace

TerminalSettings TerminalSettings::read(node::Config& config) {
  TerminalSettings out;
  node::Config table = config.table("terminal");
  if (auto uid = node::parse_uid(table.text("uid")); uid) {
    out.uid = *std::move(uid);
  } else {
    table.reject("uid", uid.error().message);
  }
  if (auto number = node::parse_number(table.text("number")); number) {
    out.number = *std::move(number);
  } else {
    table.reject("number", number.error().message);
  }
  out.kms = table.text("kms");
  out.sip.host = table.text("sip_address", out.sip.host);
  if (!parse_ipv4(out.sip.host)) table.reject("sip_address", "must be an IPv4 address");
  out.sip.port = static_cast<std::uint16_t>(table.integer("sip_port", 0, 65535, out.sip.port));
  out.pace = table.real("pace", pace_min, pace_max, out.pace);
  out.min_assurance = static_cast<wire::Assurance>(table.integer("min_assurance", 1, 4, static_cast<std::int64_t>(out.min_assurance)));
  out.medium = table.text("medium", "");
  out.symmetric_mode = table.flag("symmetric_mode", out.symmetric_mode);
  return out;
}

}  // namespace qanat::terminal
