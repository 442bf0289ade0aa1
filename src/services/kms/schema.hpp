// The KMS's database: one list of migrations, the tables of its modules in one place.
#pragma once

#include <array>

#include "kme/stock/tables.hpp"
#include "node/shared_notices.hpp"
#include "services/kms/csa/schema.hpp"
#include "services/kms/kma/history_schema.hpp"
#include "services/kms/kma/schema.hpp"
#include "services/kms/kp/schema.hpp"
#include "store/guard.hpp"

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
    store::Migration{10, store::guard_schema},
    store::Migration{11, R"sql(
      -- KP: what a row of a guarded table is recognised by (store/guard.hpp).
      ALTER TABLE terminal ADD COLUMN row_mac BLOB;
      ALTER TABLE prepared_encryption ADD COLUMN row_mac BLOB;
      ALTER TABLE working_key ADD COLUMN row_mac BLOB;
      ALTER TABLE announced_session ADD COLUMN row_mac BLOB;
      ALTER TABLE token ADD COLUMN row_mac BLOB;
      ALTER TABLE peer_grant ADD COLUMN row_mac BLOB;
      ALTER TABLE revoked_subject ADD COLUMN row_mac BLOB;
      ALTER TABLE medium ADD COLUMN row_mac BLOB;
      ALTER TABLE medium_set ADD COLUMN row_mac BLOB;
      ALTER TABLE injected_key ADD COLUMN row_mac BLOB;
      ALTER TABLE revoked_terminal ADD COLUMN row_mac BLOB;
      -- KP: what seals the columns of one library; itself sealed by the device. One with generations after it goes when nothing is sealed under it any more.
      CREATE TABLE pool_key (
        library TEXT NOT NULL,
        generation INTEGER NOT NULL,
        sealed BLOB NOT NULL,
        made_ms INTEGER NOT NULL,
        row_mac BLOB,
        PRIMARY KEY (library, generation)
      ) STRICT;
      -- KP, standby library: encryption pairs of nobody yet.
      CREATE TABLE standby_pair (
        id BLOB PRIMARY KEY,
        sealed_scalar BLOB NOT NULL,
        sealed_seed BLOB NOT NULL,
        made_ms INTEGER NOT NULL,
        row_mac BLOB
      ) STRICT;
      -- KP, standby, in-use and history library: quantum keys that the QKM handed out ahead of demand. A lot is what one working key takes: so many keys over
      -- so many separate paths. `sealed` is NULL once the lot is taken.
      CREATE TABLE quantum_key (
        key_id BLOB PRIMARY KEY,
        lot BLOB NOT NULL,
        place INTEGER NOT NULL,
        library TEXT NOT NULL,
        owner TEXT NOT NULL,          -- which process of this KMS drew it
        domain TEXT NOT NULL,
        path_id BLOB NOT NULL,
        paths INTEGER NOT NULL,
        relays INTEGER NOT NULL,
        quantum_grade INTEGER NOT NULL,
        sealed BLOB,
        usable_until_ms INTEGER NOT NULL,
        sid_wk BLOB,
        fate TEXT,
        ended_ms INTEGER,
        row_mac BLOB
      ) STRICT;
      CREATE INDEX quantum_key_stock ON quantum_key (domain, usable_until_ms) WHERE library = 'standby';
      CREATE INDEX quantum_key_lot ON quantum_key (lot);
      -- KP: whose certificate it is, by SHA-256, so that a revocation finds what hangs on it.
      CREATE TABLE terminal_certificate (
        fingerprint BLOB PRIMARY KEY,
        uid TEXT NOT NULL,
        row_mac BLOB
      ) STRICT;
      CREATE INDEX terminal_certificate_uid ON terminal_certificate (uid);
      -- KP, history library: encryption pairs that terminals had. The private parts are there under kms.history = "encryption_keys" alone.
      CREATE TABLE history_key (
        enc_kid BLOB PRIMARY KEY,
        uid TEXT NOT NULL,
        number TEXT NOT NULL,
        since_ms INTEGER NOT NULL,
        ended_ms INTEGER,             -- NULL: the terminal has it still
        why TEXT,
        sealed_pair BLOB,
        row_mac BLOB
      ) STRICT;
      CREATE INDEX history_key_uid ON history_key (uid);
      -- KP: what operators want back from history.
      CREATE TABLE recovery_order (
        id BLOB PRIMARY KEY,
        statement TEXT NOT NULL,      -- what is signed
        uid TEXT NOT NULL,
        enc_kid BLOB NOT NULL,
        asked_by TEXT NOT NULL,
        point BLOB NOT NULL,          -- the recipient's ephemeral key
        ml_kem BLOB NOT NULL,
        expires_ms INTEGER NOT NULL,
        done_ms INTEGER,
        row_mac BLOB
      ) STRICT;
      CREATE TABLE recovery_signature (
        id BLOB NOT NULL,
        operator TEXT NOT NULL,
        certificate BLOB NOT NULL,
        signature BLOB NOT NULL,
        at_ms INTEGER NOT NULL,
        row_mac BLOB,
        PRIMARY KEY (id, operator)
      ) STRICT)sql"},
    store::Migration{12, R"sql(
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
        cause TEXT NOT NULL,
        row_mac BLOB
      ) STRICT)sql"},
    store::Migration{13, R"sql(
      -- KMA: the last policy of CSO's that was taken (Mo-2).
      CREATE TABLE orchestration (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        policy TEXT NOT NULL,
        taken_ms INTEGER NOT NULL,
        row_mac BLOB
      ) STRICT)sql"},
    // Between front ends: of certificates and subjects that are revoked.
    store::Migration{14, node::notice_schema},
    store::Migration{15, R"sql(
      -- KMA: CMSP's directory (Ma-2), and of which epoch it was where it stood in for CMSP's grant.
      CREATE TABLE directory (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        head BLOB NOT NULL,          -- Directory, signed
        taken_ms INTEGER NOT NULL,
        row_mac BLOB
      ) STRICT;
      CREATE TABLE directory_page (
        epoch INTEGER NOT NULL,
        place INTEGER NOT NULL,
        hash BLOB NOT NULL,
        first_number TEXT NOT NULL,
        octets BLOB NOT NULL,        -- DirectoryPage
        PRIMARY KEY (epoch, place)
      ) STRICT;
      CREATE INDEX directory_page_hash ON directory_page (hash);
      CREATE INDEX directory_page_first ON directory_page (epoch, first_number);
      ALTER TABLE working_key ADD COLUMN directory_epoch INTEGER;
      ALTER TABLE charging_record ADD COLUMN directory_epoch INTEGER)sql"},
    store::Migration{16, kma_call_groups},
    store::Migration{17, R"sql(
      ALTER TABLE csa_key ADD COLUMN row_mac BLOB;
      ALTER TABLE csa_version ADD COLUMN row_mac BLOB;
      ALTER TABLE csa_grant ADD COLUMN row_mac BLOB;
      ALTER TABLE csa_export_target ADD COLUMN row_mac BLOB;
      ALTER TABLE csa_challenge ADD COLUMN row_mac BLOB;
      ALTER TABLE key_chunk ADD COLUMN row_mac BLOB;
      ALTER TABLE key_run ADD COLUMN row_mac BLOB;
      ALTER TABLE key_burnt ADD COLUMN row_mac BLOB;
      ALTER TABLE sae_key ADD COLUMN row_mac BLOB;
      ALTER TABLE sae_activation ADD COLUMN row_mac BLOB;
      ALTER TABLE sae_received ADD COLUMN row_mac BLOB;
      ALTER TABLE sae_spent ADD COLUMN row_mac BLOB;
      ALTER TABLE charge ADD COLUMN row_mac BLOB;
      ALTER TABLE charging_record ADD COLUMN row_mac BLOB;
      -- KMA: charging records that nothing changes any more, and what their days hold (kma/charging_archive.hpp).
      CREATE TABLE charging_archive (
        day INTEGER NOT NULL,          -- of delivered_ms: days since 1970, UTC
        place INTEGER NOT NULL,        -- among the day's, from 0
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
        PRIMARY KEY (day, place)
      ) STRICT;
      CREATE INDEX charging_archive_delivered ON charging_archive (delivered_ms, sid_wk, leg);
      CREATE TABLE charging_day (
        day INTEGER PRIMARY KEY,
        records INTEGER NOT NULL,
        digest BLOB NOT NULL,          -- a hash chain over the records in the order of their places
        row_mac BLOB
      ) STRICT;
      -- KP: so that a revocation list finds its terminals. NULL: not read yet.
      ALTER TABLE terminal_certificate ADD COLUMN serial BLOB;
      CREATE INDEX terminal_certificate_serial ON terminal_certificate (serial) WHERE serial IS NOT NULL;
      -- KP: what is to go into the audit record for what was done (kp/owed_records.hpp).
      CREATE TABLE owed_record (
        id BLOB NOT NULL,
        place INTEGER NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        object TEXT NOT NULL,
        reason TEXT NOT NULL,
        made_ms INTEGER NOT NULL,
        row_mac BLOB,
        PRIMARY KEY (id, place)
      ) STRICT;
      -- CSA: by which request its owner made the key, and what else that request said.
      ALTER TABLE csa_key ADD COLUMN creation_id TEXT;
      ALTER TABLE csa_key ADD COLUMN creation_digest BLOB;
      CREATE UNIQUE INDEX csa_key_creation ON csa_key (owner, creation_id) WHERE creation_id IS NOT NULL)sql"},
    store::Migration{18, kma_narrow_rows},
    store::Migration{19, kp_narrow_first},
    store::Migration{20, history_schema},
    store::Migration{21, R"sql(
      -- KIM: charges end in time (kim/charges.hpp).
      CREATE INDEX charge_waiting ON charge (made_ms) WHERE state = 'waiting';
      CREATE INDEX charge_made ON charge (made_ms))sql"},
    store::Migration{22, archive_check_schema},
    store::Migration{23, kma_confirmed_agreements},
    store::Migration{24, owed_outcome},
    store::Migration{25, charging_altered_schema},
    store::Migration{26, kma_kept_accepts},
    store::Migration{27, R"sql(
      -- KIM: who was charged by file (kim/stock.hpp); asked for with each application.
      CREATE INDEX medium_charged_by_file ON medium (uid) WHERE generation > 0)sql"},
    store::Migration{28, csa::ends_of_keys},
    store::Migration{29, kp_encryption_state},
    store::Migration{30, kp_ends_of_keys},
    store::Migration{31, csa::suspended_keys},
};

/// What is guarded; what that costs stands in docs/adr/0025-guarded-store.md. Not application_rate: a bucket that somebody fills lets its subscriber apply more
/// often, and it changes with every application. Nor replay, which does too: what a message that was forgotten could be repeated for, the rows of working_key refuse. Nor pending_agreement: what it lets happen, the far KMS must say over its own connection. Nor key_stock and
/// key_delivery, which count what stands in guarded rows. Nor used_session, which grows for ever: what was applied for before the guarded history_segment.until_ms is
/// refused by its time, and a fresh application for a session whose row was taken out gets another key. For charging_archive stand the rows of charging_day, for directory_page the guarded head, which has the
/// digests of the pages, and for delivered_answer that of its leg's row. Nor notice and notice_count, which are PostgreSQL's alone.
inline constexpr std::array guarded_tables{
    store::GuardedTable{"terminal", {"uid", ""}},
    store::GuardedTable{"prepared_encryption", {"uid", "h_enrol"}},
    store::GuardedTable{"working_key", {"sid_wk", "leg"}},
    store::GuardedTable{"announced_session", {"sid_wk", ""}},
    store::GuardedTable{"token", {"uid", ""}},
    store::GuardedTable{"peer_grant", {"uid", "domain"}},
    store::GuardedTable{"revoked_subject", {"subject", ""}},
    store::GuardedTable{"medium", {"medium", "", ""}},
    store::GuardedTable{"medium_set", {"medium", "key_set", ""}},
    store::GuardedTable{"injected_key", {"medium", "key_set", "key_index"}},
    store::GuardedTable{"revoked_terminal", {"uid", "ml_dsa", ""}},
    store::GuardedTable{"pool_key", {"library", "generation"}},
    store::GuardedTable{"standby_pair", {"id", ""}},
    store::GuardedTable{"quantum_key", {"key_id", ""}},
    store::GuardedTable{"terminal_certificate", {"fingerprint", ""}},
    store::GuardedTable{"history_key", {"enc_kid", ""}},
    store::GuardedTable{"recovery_order", {"id", ""}},
    store::GuardedTable{"recovery_signature", {"id", "operator"}},
    store::GuardedTable{"incarnation", {"number", ""}},
    store::GuardedTable{"orchestration", {"id", ""}},
    store::GuardedTable{"directory", {"id", ""}},
    store::GuardedTable{"call_group", {"group_id", ""}},
    store::GuardedTable{"csa_key", {"key_id", ""}},
    store::GuardedTable{"csa_version", {"key_id", "version"}},
    store::GuardedTable{"csa_grant", {"key_id", "caller"}},
    store::GuardedTable{"csa_export_target", {"key_id", "public_key"}},
    store::GuardedTable{"csa_challenge", {"challenge", ""}},
    store::GuardedTable{"key_chunk", {"id", ""}},
    store::GuardedTable{"key_run", {"batch_id", "first"}},
    store::GuardedTable{"key_burnt", {"batch_id", ""}},
    store::GuardedTable{"sae_key", {"batch_id", "first"}},
    store::GuardedTable{"sae_activation", {"id", ""}},
    store::GuardedTable{"sae_received", {"key_id", ""}},
    store::GuardedTable{"sae_spent", {"sae", ""}},
    store::GuardedTable{"charge", {"charge", ""}},
    store::GuardedTable{"charging_record", {"sid_wk", "leg"}},
    store::GuardedTable{"charging_day", {"day", ""}},
    store::GuardedTable{"owed_record", {"id", "place"}},
    store::GuardedTable{"history_segment", {"number", ""}},
    store::GuardedTable{"charging_check", {"id", ""}},
    store::GuardedTable{"charging_altered", {"sid_wk", "leg"}},
    store::GuardedTable{"pool_key_end", {"library", "generation"}},
};

}  // namespace qanat::kms
