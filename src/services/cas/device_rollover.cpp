#include "services/cas/device_rollover.hpp"

#include "node/crash_point.hpp"
#include "services/cas/closed_shop.hpp"
#include "services/cas/device_authority.hpp"

namespace qanat::cas {
namespace {

DeviceRollover told(const DeviceSuccession& succession, bool before) {
  return {.generation = succession.generation, .certificate = succession.new_with_new, .before = before};
}

std::string deed_of(const DeviceSuccession& succession) {
  return "devices, generation " + std::to_string(succession.generation) + " " + to_hex(succession.new_with_new.serial());
}

}  // namespace

Result<DeviceRollover> prepare_device_rollover(const node::Settings& settings) {
  ASSIGN_OR_RETURN(ClosedShop shop, enter(settings));
  ASSIGN_OR_RETURN(const Authorities now, shop.records->authorities(shop.node->suite()));
  if (!now.devices) return fail(ErrorCode::not_found, "there is no device CA yet: CAS makes it when it starts for the first time");
  if (const DeviceSuccession* const waiting = now.next_devices(); waiting != nullptr) return told(*waiting, true);
  ASSIGN_OR_RETURN(const NextDevices next, make_next_device_authority(*now.devices, shop.node->clock().now_ms(), *shop.rng));
  TRY(record_deed(*shop.node, "authority.prepared", deed_of(next.succession)));
  node::crash_point("cas.device_rollover.preparing");
  TRY(shop.records->keep_next_devices(next.succession, next.key));
  node::crash_point("cas.device_rollover.prepared");
  return told(next.succession, false);
}

Result<DeviceRollover> install_device_rollover(const node::Settings& settings) {
  ASSIGN_OR_RETURN(ClosedShop shop, enter(settings));
  ASSIGN_OR_RETURN(const Authorities now, shop.records->authorities(shop.node->suite()));
  const DeviceSuccession* const next = now.next_devices();
  if (next == nullptr) {
    if (const DeviceSuccession* const last = now.last_devices(); last != nullptr) return told(*last, true);
    return fail(ErrorCode::conflict, "no device CA waits: prepare one first (qanat ca rollover-devices --prepare)");
  }
  const UnixMs at = shop.node->clock().now_ms();
  if (at < next->new_with_new.not_before() || at >= next->new_with_new.not_after()) {
    return fail(ErrorCode::denied, "the device CA that waits is not valid now: look at the clock");
  }
  TRY(record_deed(*shop.node, "authority.succeeded", deed_of(*next)));
  node::crash_point("cas.device_rollover.installing");
  TRY(shop.records->succeed_devices(at));
  node::crash_point("cas.device_rollover.installed");
  return told(*next, false);
}

}  // namespace qanat::cas
