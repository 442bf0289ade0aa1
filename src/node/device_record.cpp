#include "node/device_record.hpp"

#include <fmt/format.h>

#include "node/log.hpp"

namespace qanat::node {
namespace {

/// "pair (pkcs11 failed, software ok)"
std::string object_of(const crypto::DeviceHealth& health) {
  if (health.members.empty()) return health.device;
  std::string out = health.device + " (";
  for (const crypto::DeviceHealth& member : health.members) {
    if (!out.ends_with('(')) out += ", ";
    out += member.device + " " + std::string(crypto::name(member.state));
  }
  return out + ")";
}

void record_state(Node& node, const crypto::DeviceHealth& health) {
  const bool well = health.state == crypto::DeviceState::ok;
  const std::string object = object_of(health);
  log(well ? LogLevel::note : LogLevel::error, "device {} is {}{}{}", object, crypto::name(health.state), well ? "" : ": ", well ? "" : health.last_error);
  const std::string reason = well ? std::string() : fmt::format("{}: {}", crypto::name(health.state), health.last_error);
  const auto written = node.record({.action = "device.state",
                                    .outcome = well ? audit::Outcome::success : audit::Outcome::failure,
                                    .subject = node.identity().uri(),
                                    .object = object,
                                    .reason = reason,
                                    .request_id = ""});
  // The change stands whether or not it could be recorded; nothing else is answered then (audit.hpp).
  if (!written) log(LogLevel::error, "audit: {}", written.error().message);
}

}  // namespace

wire::Json device_json(const crypto::DeviceHealth& health) {
  wire::Json out = wire::Json::object({{"kind", health.device}, {"state", crypto::name(health.state)}});
  if (!health.last_error.empty()) out.set("last_error", health.last_error);
  if (health.members.empty()) return out;
  wire::Json members = wire::Json::array();
  for (const crypto::DeviceHealth& member : health.members) members.push(device_json(member));
  return out.set("sealed_by_one", health.sealed_by_one).set("members", members);
}

void record_device_changes(Node& node) {
  node.device().on_change([&node](const crypto::DeviceHealth& health) { record_state(node, health); });
  const crypto::DeviceHealth now = node.device().health();
  if (now.state != crypto::DeviceState::ok) record_state(node, now);
}

}  // namespace qanat::node
