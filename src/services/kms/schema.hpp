// The KMS's database: one list of migrations, the tables of its modules in one place.
#pragma once

#include <array>

#include "services/kms/csa/schema.hpp"
#include "kme/stock/tables.hpp"
#include "store/store.hpp"

namespace qanat::kms {

inline constexpr std::array migrations{
    store::Migration{1, R"sql(
      -- KP: the terminals of this domain and their public keys. sealed_encryption holds the private encryption keys that the KMS made, only
      -- until the terminal has confirmed that it has them.
      CREATE TABLE terminal (
        uid TEXT PRIMARY KEY,
        number TEXT NOT NULL UNIQUE,
        h_enrol BLOB NOT NULL,
        classical BLOB NOT NULL,
        ml_dsa BLOB NOT NULL,
        enc_point BLOB NOT NULL,
        enc_ml_kem BLOB NOT NULL,
        enc_kid BLOB NOT NULL,
        answer BLOB,
        sealed_encryption BLOB,
        confirmed INTEGER NOT NULL
      ) STRICT;
      -- KMA: one row per working key and leg (1 caller, 2 callee). sealed_wk is NULL once the key is destroyed.
      CREATE TABLE working_key (
        sid_wk BLOB NOT NULL,
        leg INTEGER NOT NULL CHECK (leg IN (1, 2)),
        state TEXT NOT NULL,
        sid_call BLOB NOT NULL,
        uid TEXT NOT NULL,
        sealed_wk BLOB,
        assurance INTEGER NOT NULL,
        n_paths INTEGER NOT NULL,
        path_min INTEGER NOT NULL,
        th9 BLOB NOT NULL,
        peer_uid TEXT NOT NULL,
        peer_number TEXT NOT NULL,
        peer_kms TEXT NOT NULL,
        peer_fp_classical BLOB NOT NULL,
        peer_fp_ml_dsa BLOB NOT NULL,
        h_deliver BLOB,
        expires_ms INTEGER NOT NULL,
        PRIMARY KEY (sid_wk, leg)
      ) STRICT;
      CREATE INDEX working_key_live ON working_key (expires_ms) WHERE state <> 'destroyed';
      -- Step 8 at the callee's KMS: sessions that CMSP has announced.
      CREATE TABLE announced_session (
        sid_wk BLOB PRIMARY KEY,
        notify BLOB NOT NULL,
        expires_ms INTEGER NOT NULL
      ) STRICT;
      -- Applications seen, by message hash, for as long as their time is within the clock window.
      CREATE TABLE replay (
        h_req BLOB PRIMARY KEY,
        forget_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX replay_forget ON replay (forget_ms);
      CREATE TABLE token (
        uid TEXT PRIMARY KEY,
        digest BLOB NOT NULL,
        expires_ms INTEGER NOT NULL,
        level_max INTEGER NOT NULL
      ) STRICT)sql"},
    store::Migration{2, R"sql(
      -- What IAM has told of subjects whose epoch is over.
      CREATE TABLE revoked_subject (
        subject TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL,   -- tokens of earlier ones are void
        at_ms INTEGER NOT NULL    -- IAM's time: what it issued until then is void
      ) STRICT)sql"},
    store::Migration{3, R"sql(
      -- With which domains, and up to which level, IAM lets a subscriber have keys: asked once in the life of its token, and gone with it.
      CREATE TABLE peer_grant (
        uid TEXT NOT NULL,
        domain TEXT NOT NULL,
        level_max INTEGER NOT NULL,
        until_ms INTEGER NOT NULL,
        PRIMARY KEY (uid, domain)
      ) STRICT)sql"},
    store::Migration{4, R"sql(
      ALTER TABLE terminal ADD COLUMN encryption_classical BLOB;   -- DER of the encryption certificates, of one bundle with classical and ml_dsa
      ALTER TABLE terminal ADD COLUMN encryption_ml_kem BLOB;
      -- KIM: encryption pairs that were made for an Enrol message, from before CAS is asked to certify them until the terminal has confirmed.
      CREATE TABLE prepared_encryption (
        uid TEXT NOT NULL,
        h_enrol BLOB NOT NULL,
        sealed_scalar BLOB NOT NULL,
        sealed_seed BLOB NOT NULL,   -- ML-KEM
        made_ms INTEGER NOT NULL,
        PRIMARY KEY (uid, h_enrol)
      ) STRICT)sql"},
    store::Migration{5, R"sql(
      -- KMA: what stays of a working key, what it may be used for, and its delivery, to be given again until it is acknowledged.
      ALTER TABLE working_key ADD COLUMN commitment BLOB;                             -- of the octets, from their generation on
      ALTER TABLE working_key ADD COLUMN traffic TEXT NOT NULL DEFAULT 'voice';       -- these three, uid and expires_ms are bound to sealed_wk
      ALTER TABLE working_key ADD COLUMN level_min INTEGER NOT NULL DEFAULT 1;
      ALTER TABLE working_key ADD COLUMN deliveries_max INTEGER NOT NULL DEFAULT 1;
      ALTER TABLE working_key ADD COLUMN deliveries INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE working_key ADD COLUMN h_req BLOB;                                  -- the application that was answered
      ALTER TABLE working_key ADD COLUMN answer BLOB;                                 -- the KeyDeliver, sealed to the terminal; NULL once the key is destroyed
      ALTER TABLE working_key ADD COLUMN ended_ms INTEGER;
      ALTER TABLE working_key ADD COLUMN ended_by TEXT;
      ALTER TABLE working_key ADD COLUMN ended_why TEXT;
      -- Sealed under the former binding; none of them lives longer than a call takes to begin.
      UPDATE working_key SET state = 'destroyed', sealed_wk = NULL, ended_by = 'kms', ended_why = 'the database was brought to another version'
        WHERE state <> 'destroyed';
      CREATE INDEX working_key_call ON working_key (sid_call);
      CREATE INDEX working_key_owed ON working_key (uid) WHERE state <> 'destroyed';
      -- Up to which time applications are forgotten: a clock that was set back opens no gap.
      CREATE TABLE replay_forgotten (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        forget_ms INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE application_rate (
        uid TEXT PRIMARY KEY,
        level_milli INTEGER NOT NULL,   -- thousandths of an application that are left
        at_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX application_rate_at ON application_rate (at_ms);
      CREATE TABLE charging_record (
        sid_wk BLOB NOT NULL,
        leg INTEGER NOT NULL CHECK (leg IN (1, 2)),
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
        PRIMARY KEY (sid_wk, leg)
      ) STRICT;
      CREATE INDEX charging_record_delivered ON charging_record (delivered_ms, sid_wk, leg))sql"},
    store::Migration{6, csa::tables},
    store::Migration{7, kme::stock_tables},  // keys for SAEs, shared with the KMSs of other domains
    store::Migration{8, R"sql(
      -- What each SAE with a limit a day has ordered on the day that it ordered last (days since 1970, UTC).
      CREATE TABLE sae_spent (
        sae TEXT PRIMARY KEY,
        day INTEGER NOT NULL,
        keys INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX sae_spent_day ON sae_spent (day))sql"},
    store::Migration{9, R"sql(
      -- KIM: secure media of this domain's terminals, and the keys charged into them (kim/stock.hpp).
      CREATE TABLE medium (
        medium BLOB PRIMARY KEY,
        uid TEXT NOT NULL,
        kind TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('active', 'locked', 'wiped')),
        sealed_transport BLOB,         -- of `generation`; NULL: charged over a wire alone, or wiped
        generation INTEGER NOT NULL,
        registered_by TEXT NOT NULL,
        registered_ms INTEGER NOT NULL
      ) STRICT;
      CREATE UNIQUE INDEX medium_in_use ON medium (uid) WHERE state <> 'wiped';
      CREATE TABLE medium_set (
        medium BLOB NOT NULL,
        key_set INTEGER NOT NULL CHECK (key_set IN (1, 2, 3)),   -- authentication, call, distribution
        next_index INTEGER NOT NULL,   -- the least that is accepted
        free_index INTEGER NOT NULL,   -- the least that was never charged
        PRIMARY KEY (medium, key_set)
      ) STRICT;
      CREATE TABLE injected_key (
        medium BLOB NOT NULL,
        key_set INTEGER NOT NULL,
        key_index INTEGER NOT NULL,
        sealed_key BLOB NOT NULL,
        charged INTEGER NOT NULL,      -- 1 offline, 2 wire under offline, 3 wire
        origin INTEGER NOT NULL,       -- 1 quantum, 2 device
        charge BLOB NOT NULL,
        PRIMARY KEY (medium, key_set, key_index)
      ) STRICT;
      -- Charges: those over a wire, and orders for one by file, which a second operator approves.
      CREATE TABLE charge (
        charge BLOB PRIMARY KEY,
        medium BLOB NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'rejected', 'given', 'received')),
        authentication_keys INTEGER NOT NULL,
        call_keys INTEGER NOT NULL,
        distribution_keys INTEGER NOT NULL,
        made_by TEXT NOT NULL,
        made_ms INTEGER NOT NULL,
        decided_by TEXT NOT NULL,
        h_req BLOB,                    -- over a wire: the request that it answers
        h_deliver BLOB,
        answer BLOB                    -- to be given again: the sealed message, or file
      ) STRICT;
      CREATE INDEX charge_of_medium ON charge (medium);
      CREATE UNIQUE INDEX charge_of_request ON charge (h_req) WHERE h_req IS NOT NULL;
      CREATE INDEX charge_kept ON charge (made_ms) WHERE answer IS NOT NULL;
      -- Terminals that were last known as revoked, by the ML-DSA certificate that was.
      CREATE TABLE revoked_terminal (
        uid TEXT NOT NULL,
        ml_dsa BLOB NOT NULL,          -- SHA-256
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (uid, ml_dsa)
      ) STRICT)sql"},
    store::Migration{10, R"sql(
      -- KMA: the last policy of CSO's that was taken (Mo-2).
      CREATE TABLE orchestration (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        policy TEXT NOT NULL,
        taken_ms INTEGER NOT NULL
      ) STRICT)sql"},
};

}  // namespace qanat::kms
