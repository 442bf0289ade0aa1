// iam.db: who there is and what each may do, the keys that sign access tokens, what the elements report about behaviour, and what waits to be sent.
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
    store::Migration{2, R"sql(
      CREATE TABLE identity (
        uid TEXT PRIMARY KEY,
        class TEXT NOT NULL CHECK (class IN ('person', 'terminal', 'application', 'element')),
        domain TEXT NOT NULL,
        uri TEXT UNIQUE,              -- what its certificates name
        number TEXT UNIQUE,
        home_kms TEXT NOT NULL,       -- '' where it has none
        name TEXT NOT NULL,           -- for people to read
        mail TEXT NOT NULL,
        external_id TEXT NOT NULL,    -- of the directory that it came from
        status TEXT NOT NULL CHECK (status IN ('active', 'suspended')),
        version INTEGER NOT NULL,
        epoch INTEGER NOT NULL,       -- tokens of earlier epochs are void
        created_ms INTEGER NOT NULL,
        changed_ms INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE identity_certificate (
        thumbprint BLOB PRIMARY KEY,  -- SHA-256 over the DER
        uid TEXT NOT NULL REFERENCES identity (uid) ON DELETE CASCADE
      ) STRICT;
      CREATE INDEX identity_certificate_uid ON identity_certificate (uid);
      CREATE TABLE enrolment (        -- of terminals
        uid TEXT PRIMARY KEY REFERENCES identity (uid) ON DELETE CASCADE,
        device TEXT NOT NULL,
        sealed_secret BLOB NOT NULL,
        used_for BLOB,
        enrolled_ms INTEGER
      ) STRICT;
      CREATE TABLE deleted_identity (
        uid TEXT PRIMARY KEY,
        version INTEGER NOT NULL,     -- the version that was deleted
        epoch INTEGER NOT NULL,       -- who gets this uid later begins with it
        deleted_ms INTEGER NOT NULL
      ) STRICT;
      INSERT INTO identity (uid, class, domain, uri, number, home_kms, name, mail, external_id, status, version, epoch, created_ms, changed_ms)
        SELECT uid, 'terminal', domain, 'qanat://' || domain || '/' || device || '/' || uid, number, home_kms, '', '', '', status, 1, 0, created_ms, created_ms
        FROM subscriber;
      INSERT INTO enrolment (uid, device, sealed_secret, used_for, enrolled_ms) SELECT uid, device, sealed_secret, used_for, enrolled_ms FROM subscriber;
      DROP TABLE subscriber;

      CREATE TABLE role (
        name TEXT PRIMARY KEY,
        duty TEXT NOT NULL CHECK (duty IN ('none', 'security', 'audit', 'operation')),
        permissions TEXT NOT NULL,    -- JSON, as upm/policy.hpp reads it
        builtin INTEGER NOT NULL CHECK (builtin IN (0, 1))
      ) STRICT;
      CREATE TABLE role_grant (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,        -- a uid, or 'class:terminal' …
        role TEXT NOT NULL REFERENCES role (name),
        domain TEXT NOT NULL,         -- peer domain, '*' for any
        level_max INTEGER NOT NULL,
        not_after_ms INTEGER NOT NULL,  -- 0: no end
        given_by TEXT NOT NULL,
        given_ms INTEGER NOT NULL,
        UNIQUE (subject, role, domain)
      ) STRICT;
      CREATE INDEX role_grant_subject ON role_grant (subject);

      CREATE TABLE token_key (
        algorithm TEXT PRIMARY KEY,
        sealed BLOB NOT NULL,
        made_ms INTEGER NOT NULL
      ) STRICT;

      CREATE TABLE rule (
        name TEXT PRIMARY KEY,
        settings TEXT NOT NULL        -- JSON, as uba/rules.hpp reads it
      ) STRICT;
      CREATE TABLE anomaly (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        rule TEXT NOT NULL,
        uid TEXT NOT NULL,
        found_ms INTEGER NOT NULL,
        why TEXT NOT NULL,
        records TEXT NOT NULL         -- JSON array of behaviour.seq
      ) STRICT;
      CREATE INDEX anomaly_uid ON anomaly (uid, id);
      CREATE TABLE anomaly_quiet (    -- the same finding is not told again before its time
        rule TEXT NOT NULL,
        uid TEXT NOT NULL,
        until_ms INTEGER NOT NULL,
        PRIMARY KEY (rule, uid)
      ) STRICT;
      CREATE INDEX behaviour_received ON behaviour (received_ms);
      CREATE INDEX behaviour_uid_time ON behaviour (uid, time_ms);

      CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        destination TEXT NOT NULL,    -- a peer's name
        endpoint TEXT NOT NULL,
        body TEXT NOT NULL,
        made_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX outbox_destination ON outbox (destination, id))sql"},
    store::Migration{3, R"sql(
      CREATE TABLE last_report (      -- an element sends a report again until it is answered: the same one is not appended twice
        reporter TEXT PRIMARY KEY,    -- its URI
        report TEXT NOT NULL          -- the id that it gave the report
      ) STRICT)sql"},
    store::Migration{4, R"sql(
      ALTER TABLE identity ADD COLUMN user_name TEXT NOT NULL DEFAULT '';  -- of people: in the directory that they came from
      UPDATE identity SET user_name = uid WHERE class = 'person';
      CREATE UNIQUE INDEX identity_user_name ON identity (user_name COLLATE NOCASE) WHERE user_name <> '';
      CREATE INDEX identity_external_id ON identity (external_id) WHERE external_id <> '')sql"},
    store::Migration{5, R"sql(
      CREATE TABLE web_client (       -- applications that people use, by the authorisation code grant
        uid TEXT PRIMARY KEY REFERENCES identity (uid) ON DELETE CASCADE,
        redirect_uris TEXT NOT NULL,  -- JSON array
        entered_by TEXT NOT NULL,
        entered_ms INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE authorization_code (
        code BLOB PRIMARY KEY,        -- SHA-256 of it
        client TEXT NOT NULL,
        subject TEXT NOT NULL,
        redirect_uri TEXT NOT NULL,
        challenge TEXT NOT NULL,
        scope TEXT NOT NULL,
        audience TEXT NOT NULL,
        holder BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL,
        token_id BLOB                 -- that it was spent for; NULL: it was not
      ) STRICT;
      CREATE TABLE void_token (       -- whose code came a second time
        token_id BLOB PRIMARY KEY,
        since_ms INTEGER NOT NULL
      ) STRICT)sql"},
    store::Migration{6, R"sql(
      ALTER TABLE identity ADD COLUMN keys_per_second INTEGER NOT NULL DEFAULT 0;  -- of an SAE, 0: no limit
      ALTER TABLE identity ADD COLUMN keys_per_day INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE identity ADD COLUMN peer_domains TEXT NOT NULL DEFAULT '';       -- that it may share keys with, a space between them; '*': any
      CREATE INDEX identity_sae ON identity (uid) WHERE class = 'application' AND home_kms <> '')sql"},
    // What the rules of behaviour ask is answered without reading a subject's history (uba/evidence.hpp).
    store::Migration{7, R"sql(
      DROP INDEX behaviour_uid_time;
      CREATE INDEX behaviour_uid_time ON behaviour (uid, time_ms, action, outcome, kms);
      CREATE INDEX behaviour_session ON behaviour (uid, object, action, outcome, time_ms) WHERE action IN ('application', 'call');
      CREATE TABLE behaviour_hour (    -- how many records of a subject there are of each of its hours, for 30 days
        uid TEXT NOT NULL,
        hour INTEGER NOT NULL,         -- time_ms / 3600000
        records INTEGER NOT NULL,
        PRIMARY KEY (uid, hour)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE half_session (      -- a key without a call, or a call without a key, until the other comes or no rule asks any more
        uid TEXT NOT NULL,
        half TEXT NOT NULL CHECK (half IN ('key', 'call')),
        object TEXT NOT NULL,          -- the session
        time_ms INTEGER NOT NULL,      -- of its first record
        seq INTEGER NOT NULL,
        PRIMARY KEY (uid, half, object)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX half_session_time ON half_session (uid, half, time_ms, seq);
      CREATE TABLE call_reporter (     -- subjects whose calls are reported
        uid TEXT PRIMARY KEY,
        last_ms INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE TEMP VIEW taken AS SELECT * FROM behaviour
        WHERE time_ms >= (SELECT max(received_ms) FROM behaviour) - 2592000000 AND time_ms <= received_ms + 86400000;
      INSERT INTO behaviour_hour SELECT uid, time_ms / 3600000, count(*) FROM taken GROUP BY 1, 2;
      INSERT OR IGNORE INTO half_session SELECT uid, 'key', object, time_ms, seq FROM taken WHERE action = 'application' AND outcome = 'delivered'
        AND NOT EXISTS (SELECT 1 FROM behaviour AS other WHERE other.uid = taken.uid AND other.object = taken.object AND other.action = 'call'
                        AND other.action IN ('application', 'call')) ORDER BY seq;
      INSERT OR IGNORE INTO half_session SELECT uid, 'call', object, time_ms, seq FROM taken WHERE action = 'call' AND outcome = 'started'
        AND NOT EXISTS (SELECT 1 FROM behaviour AS other WHERE other.uid = taken.uid AND other.object = taken.object AND other.action = 'application'
                        AND other.outcome = 'delivered' AND other.action IN ('application', 'call')) ORDER BY seq;
      INSERT INTO call_reporter SELECT uid, max(min(time_ms, received_ms)) FROM taken WHERE action = 'call' GROUP BY uid;
      DROP VIEW taken)sql"},
};

}  // namespace qanat::iam
