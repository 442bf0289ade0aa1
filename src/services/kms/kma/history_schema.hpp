// The tables of the archive of keys (key_history.hpp), for the KMS's list of migrations.
#pragma once

#include <string_view>

namespace qanat::kms {

inline constexpr std::string_view history_schema = R"sql(
      -- KMA, history library: segments of the archive of keys (kma/key_history.hpp), the newest of which grows.
      CREATE TABLE history_segment (
        number INTEGER PRIMARY KEY,
        life INTEGER NOT NULL,         -- of the database (incarnation)
        front_end TEXT NOT NULL,
        began_ms INTEGER NOT NULL,
        grown_ms INTEGER NOT NULL,
        previous BLOB NOT NULL,        -- the digest of the segment before
        records INTEGER NOT NULL,
        octets INTEGER NOT NULL,
        digest BLOB NOT NULL,          -- a hash chain over its lines
        keys INTEGER NOT NULL,         -- in this segment and all before
        until_ms INTEGER NOT NULL,     -- the latest expires_ms of these
        row_mac BLOB
      ) STRICT;
      -- What is kept of a key that is archived, for ever: that its session was used, and where it is written.
      CREATE TABLE used_session (
        sid_wk BLOB NOT NULL,
        leg INTEGER NOT NULL,
        segment INTEGER NOT NULL,
        place INTEGER NOT NULL,        -- octet of the segment
        PRIMARY KEY (sid_wk, leg)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX working_key_ended ON working_key (expires_ms) WHERE sealed_wk IS NULL)sql";

}  // namespace qanat::kms
