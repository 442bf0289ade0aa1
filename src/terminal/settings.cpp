#include "terminal/settings.hpp"

#include "node/subscriber.hpp"
#include "terminal/ipv4.hpp"

namespace qanat::terminal {
namespace {

constexpr double pace_min = 0.1;
constexpr double pace_max = 100.0;
constexpr std::int64_t rekey_after_max_s = 86'400;
constexpr std::int64_t key_limit_max_s = 604'800;
constexpr std::int64_t rekey_packets_max = std::int64_t{1} << 40;  // far below what one key may protect (srtp_index_max)

RekeyRules read_call(node::Config table) {
  const RekeyRules usual = TerminalSettings{}.rekey;
  const auto seconds = [&](std::string_view key, std::int64_t max, std::chrono::milliseconds absent) {
    return std::chrono::seconds(table.integer(key, 0, max, std::chrono::duration_cast<std::chrono::seconds>(absent).count()));
  };
  RekeyRules out = TerminalSettings::rekey_every(seconds("rekey_after_s", rekey_after_max_s, usual.after));
  out.after_packets = static_cast<std::uint64_t>(table.integer("rekey_after_packets", 0, rekey_packets_max, 0));
  out.limit = seconds("key_limit_s", key_limit_max_s, out.limit);
  if (out.limit.count() > 0 && out.limit <= out.after) table.reject("key_limit_s", "must be longer than rekey_after_s, or 0: no limit");
  return out;
}

ChargedCalls read_charged_keys(node::Config& table) {
  const std::string text = table.text("charged_keys", "required_if_stocked");
  if (text == "optional") return ChargedCalls::optional;
  if (text == "required") return ChargedCalls::required;
  if (text != "required_if_stocked") table.reject("charged_keys", "must be optional, required_if_stocked or required");
  return ChargedCalls::required_if_stocked;
}

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
  out.charged_keys = read_charged_keys(table);
  out.symmetric_mode = table.flag("symmetric_mode", out.symmetric_mode);
  out.rekey = read_call(config.table("call"));
  return out;
}

}  // namespace qanat::terminal
