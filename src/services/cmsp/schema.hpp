// cmsp.db: accounts, where their holders are registered, the sessions that were opened, and what IAM has noticed.
#pragma once

#include <array>

#include "store/store.hpp"

namespace qanat::cmsp {

inline constexpr std::array migrations{
    store::Migration{1, R"sql(
      CREATE TABLE account (
        number TEXT PRIMARY KEY,
        uid TEXT NOT NULL UNIQUE,
        kms TEXT NOT NULL,
        service TEXT NOT NULL CHECK (service IN ('open', 'closed'))
      ) STRICT;
      CREATE TABLE registration (
        number TEXT PRIMARY KEY REFERENCES account (number) ON DELETE CASCADE,
        kms TEXT NOT NULL,
        registered_ms INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE session (
        sid_wk BLOB PRIMARY KEY,
        open_hash BLOB NOT NULL,      -- message hash of the SessionOpen
        num_call TEXT NOT NULL,
        num_called TEXT NOT NULL,
        kms_a TEXT NOT NULL,
        kms_b TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('opened', 'granted')),
        opened_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX session_opened ON session (opened_ms))sql"},
    store::Migration{2, R"sql(
      CREATE TABLE notice (           -- anomalies that IAM has told of
        iam TEXT NOT NULL,
        id INTEGER NOT NULL,
        rule TEXT NOT NULL,
        uid TEXT NOT NULL,
        found_ms INTEGER NOT NULL,
        why TEXT NOT NULL,
        received_ms INTEGER NOT NULL,
        PRIMARY KEY (iam, id)
      ) STRICT)sql"},
    store::Migration{3, R"sql(
      CREATE TABLE kms_policy (       -- CSO: every policy for the KMSs that operators gave; the latest counts
        version INTEGER PRIMARY KEY,
        policy TEXT NOT NULL,
        given_by TEXT NOT NULL,
        given_ms INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE kms_state (        -- what each KMS said last
        kms TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        at_ms INTEGER NOT NULL
      ) STRICT)sql"},
    store::Migration{4, R"sql(
      CREATE TABLE kms_evidence (     -- compliance: what each KMS, each front end of it, showed the last times, and what was found
        kms TEXT NOT NULL,
        front_end INTEGER NOT NULL,
        number INTEGER NOT NULL,
        evidence TEXT NOT NULL,
        findings TEXT NOT NULL,
        received_ms INTEGER NOT NULL,
        PRIMARY KEY (kms, front_end, number)
      ) STRICT)sql"},
};

}  // namespace qanat::cmsp
