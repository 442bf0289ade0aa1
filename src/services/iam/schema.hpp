// iam.db: subscribers with their enrolment secrets (sealed), and what the KMSs report about their behaviour.
#pragma once

#include <array>

#include "store/store.hpp"

namespace qanat::iam {

inline constexpr std::array migrations{
    store::Migration{1, R"sql(
      CREATE TABLE subscriber (
        uid TEXT PRIMARY KEY,
        number TEXT NOT NULL UNIQUE,
        home_kms TEXT NOT NULL,
        domain TEXT NOT NULL,
        device TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('active', 'suspended')),
        sealed_secret BLOB NOT NULL,  -- one-time enrolment secret
        used_for BLOB,                -- hash of the Enrol message that it was spent on
        created_ms INTEGER NOT NULL,
        enrolled_ms INTEGER
      ) STRICT;
      CREATE TABLE behaviour (
        seq INTEGER PRIMARY KEY,
        kms TEXT NOT NULL,            -- who reported it
        received_ms INTEGER NOT NULL,
        time_ms INTEGER NOT NULL,
        uid TEXT NOT NULL,
        action TEXT NOT NULL,
        outcome TEXT NOT NULL,
        object TEXT NOT NULL,
        chain BLOB NOT NULL           -- SHA-256 over the chain value before and this record
      ) STRICT;
      CREATE INDEX behaviour_uid ON behaviour (uid, seq))sql"},
};

}  // namespace qanat::iam
