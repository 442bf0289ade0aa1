// The rollover of the device CA (docs/adr/0017-device-ca.md), at CAS, which must not be running. Two steps, with as much time between them as those need who
// trust the device CA: the next one is made, sealed and published, and issues nothing; then it issues, and the one before only answers for what it issued.
#pragma once

#include "node/settings.hpp"
#include "services/cas/authority.hpp"

namespace qanat::cas {

struct DeviceRollover {
  std::int64_t generation = 0;  // of the new one
  crypto::Certificate certificate;
  bool before = false;  // it had been done already
};

/// Makes the next device CA. Asked again before it is installed, it gives the same one. not_found before CAS's first start, when there is none to succeed.
Result<DeviceRollover> prepare_device_rollover(const node::Settings& settings);

/// From CAS's next start on the one that was prepared issues: all of cas.db changes in one transaction. The same call again says that it was done. `conflict`
/// if none was ever prepared.
Result<DeviceRollover> install_device_rollover(const node::Settings& settings);

}  // namespace qanat::cas
