// Applications seen, by message hash: durable, for as long as their time is within the clock window. A clock that runs ahead and is set back opens no gap: what
// was forgotten under it is refused by its time.
#pragma once

#include "base/clock.hpp"
#include "store/store.hpp"

namespace qanat::kms {

/// True if the application is new and now remembered until `forget_ms` (its own time and the window after it); false if it was made before. `denied` if it is
/// of a time of which applications have been forgotten: nobody can say any more whether it was made before.
Result<bool> remember_application(store::Transaction& transaction, ByteView h_req, UnixMs forget_ms);
/// The same in parts: `denied` if it is of a time up to which applications have been forgotten;
Result<void> check_can_be_new(UnixMs forget_ms, UnixMs forgotten);
/// and one that is new.
Result<void> put_application(store::Transaction& transaction, ByteView h_req, UnixMs forget_ms);
/// Forgets those whose time is over, and up to which time it has forgotten.
Result<void> forget_applications(store::Transaction& transaction, UnixMs now);

}  // namespace qanat::kms
