// How the crypto device is, for the health answer, the log and the audit record.
#pragma once

#include "crypto/device.hpp"
#include "node/node.hpp"
#include "wire/json.hpp"

namespace qanat::node {

/// {"kind", "state", "last_error" if there was one}, of a pair also "sealed_by_one" and the two in "members".
wire::Json device_json(const crypto::DeviceHealth& health);

/// From now on each change of state is logged and on the audit record ("device.state") before the call that found it is answered; now too, if not all is well.
void record_device_changes(Node& node);

}  // namespace qanat::node
