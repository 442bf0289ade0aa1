// Whether a KeyRequest is taken on: it is of this life of the database (incarnation.hpp), was not made before (replay.hpp), and its subscriber's rate allows it
// (rate.hpp). All that is known is read with one query.
#pragma once

#include <optional>

#include "base/id.hpp"
#include "services/kms/kma/rate.hpp"

namespace qanat::kms {

struct MadeApplication {
  ByteView h_req;
  Uid uid;
  UnixMs ts_ms = 0;      // its own time
  UnixMs forget_ms = 0;  // until when it must be known
};

/// What its subscriber's bucket has left then; nothing if it was made before. `denied` for one of an earlier life, or of a time of which applications have been
/// forgotten; `exhausted` if the subscriber applies too often. Changes nothing.
Result<std::optional<Bucket>> judge(store::Transaction& transaction, const MadeApplication& made, const Rate& rate, UnixMs now);
/// The same; what is allowed is remembered and counted. False if it was made before.
Result<bool> take_on(store::Transaction& transaction, const MadeApplication& made, const Rate& rate, UnixMs now);

}  // namespace qanat::kms
