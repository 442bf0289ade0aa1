// The KMS's database: one list of migrations, the tables of its modules in one place.
#pragma once

#include <array>

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
      -- Which front end (process) of this KMS made the leg: what it left unfinished is its own to clear away.
      ALTER TABLE working_key ADD COLUMN front_end TEXT NOT NULL DEFAULT '';
      -- KMA: accepted offers that wait for their confirmation, which may come to another front end.
      CREATE TABLE pending_agreement (
        sid_wk BLOB PRIMARY KEY,
        kms_a TEXT NOT NULL,         -- URI
        h_accept BLOB NOT NULL,
        h_kc_a BLOB NOT NULL,        -- digest of the confirmation that is awaited, which itself is nowhere
        shares BLOB NOT NULL,        -- path and key ids, one after the other
        expires_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX pending_agreement_expires ON pending_agreement (expires_ms);
      CREATE INDEX announced_session_expires ON announced_session (expires_ms);
      -- Lives of this database: a new one begins where it may be an earlier state of itself. What was signed before not_before_ms was meant for an earlier life.
      CREATE TABLE incarnation (
        number INTEGER PRIMARY KEY,
        began_ms INTEGER NOT NULL,
        not_before_ms INTEGER NOT NULL,
        cause TEXT NOT NULL
      ) STRICT)sql"},
};

}  // namespace qanat::kms
