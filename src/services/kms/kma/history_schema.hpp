// The tables of the archives of keys (key_history.hpp) and of charging records (charging_archive.hpp), for the KMS's list of migrations.
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

inline constexpr std::string_view archive_check_schema = R"sql(
      -- KMA: where the check of the archive of charging records is (kma/charging_archive.hpp).
      CREATE TABLE charging_check (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        day INTEGER NOT NULL,          -- -1: before the first
        place INTEGER NOT NULL,
        digest BLOB,                   -- over the day's records up to there; NULL: the day is done
        row_mac BLOB
      ) STRICT;
      -- KP: what leaves the libraries by its time is found without looking at the others.
      CREATE INDEX quantum_key_used ON quantum_key (usable_until_ms) WHERE library = 'in_use';
      CREATE INDEX quantum_key_ended ON quantum_key (ended_ms) WHERE library = 'history')sql";

inline constexpr std::string_view charging_altered_schema = R"sql(
      -- KMA: what stood in rows of charging_record that somebody else changed, and what the guard said of each (kma/charging_archive.hpp). No charges.
      CREATE TABLE charging_altered (
        sid_wk BLOB NOT NULL,
        leg INTEGER NOT NULL,
        sid_call BLOB NOT NULL,
        uid TEXT NOT NULL,
        number TEXT NOT NULL,
        peer_uid TEXT NOT NULL,
        peer_number TEXT NOT NULL,
        peer_kms TEXT NOT NULL,
        traffic TEXT NOT NULL,
        assurance INTEGER NOT NULL,
        n_paths INTEGER NOT NULL,
        delivered_ms INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL,
        confirmed_ms INTEGER,
        directory_epoch INTEGER,
        why TEXT NOT NULL,
        row_mac BLOB,
        PRIMARY KEY (sid_wk, leg)
      ) STRICT)sql";

}  // namespace qanat::kms
