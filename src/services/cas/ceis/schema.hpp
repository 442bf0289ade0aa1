// The part of cas.db that enrolment keeps: what is expected to enrol, every certificate, registrations of software of others with their orders.
#pragma once

#include <string_view>

namespace qanat::cas {

inline constexpr std::string_view first_schema = R"sql(
  CREATE TABLE authority (
    branch TEXT PRIMARY KEY CHECK (branch IN ('ml_dsa', 'classical')),
    certificate BLOB NOT NULL,   -- DER of the issuing CA
    sealed_key BLOB NOT NULL     -- its seed or scalar
  ) STRICT;
  CREATE TABLE expected (
    id INTEGER PRIMARY KEY,
    identity TEXT NOT NULL,
    fingerprint BLOB NOT NULL UNIQUE,  -- SHA-256 of the proof key: no secret is expected twice
    sealed_proof_key BLOB NOT NULL,
    added_ms INTEGER NOT NULL,
    used_for BLOB                      -- hash of the request that it was spent on
  ) STRICT;
  CREATE INDEX expected_identity ON expected (identity);
  CREATE TABLE certificate (
    serial BLOB PRIMARY KEY,
    branch TEXT NOT NULL CHECK (branch IN ('ml_dsa', 'classical')),
    identity TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('intended', 'issued', 'abandoned')),
    not_before_ms INTEGER NOT NULL,
    not_after_ms INTEGER NOT NULL,
    der BLOB,
    revoked_ms INTEGER,
    CHECK ((state = 'issued') = (der IS NOT NULL)),
    UNIQUE (request_hash, branch)
  ) STRICT;
  CREATE INDEX certificate_identity ON certificate (identity))sql";

/// A third branch, the device CA: SQLite changes no CHECK in place, so three tables are made anew, and their indexes and triggers with them.
inline constexpr std::string_view enrolment_schema = R"sql(
  DROP TRIGGER certificate_issued;
  DROP TRIGGER certificate_kept;
  DROP TRIGGER publish_authority;
  DROP TRIGGER publish_certificate;
  DROP TRIGGER publish_new_list;
  DROP TRIGGER publish_list;

  CREATE TABLE authority_anew (
    branch TEXT PRIMARY KEY CHECK (branch IN ('ml_dsa', 'classical', 'devices')),
    certificate BLOB NOT NULL,   -- DER of the issuing CA
    sealed_key BLOB NOT NULL,    -- its seed or scalar
    generation INTEGER NOT NULL DEFAULT 1
  ) STRICT;
  INSERT INTO authority_anew (branch, certificate, sealed_key, generation) SELECT branch, certificate, sealed_key, generation FROM authority;
  DROP TABLE authority;
  ALTER TABLE authority_anew RENAME TO authority;

  CREATE TABLE certificate_anew (
    serial BLOB PRIMARY KEY,
    branch TEXT NOT NULL CHECK (branch IN ('ml_dsa', 'classical', 'devices')),
    identity TEXT NOT NULL,      -- an element's URI, or 'subject:' and a uid of IAM's register
    request_hash BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('intended', 'issued', 'abandoned')),
    not_before_ms INTEGER NOT NULL,
    not_after_ms INTEGER NOT NULL,
    der BLOB,
    revoked_ms INTEGER,
    generation INTEGER,          -- NULL until it is issued
    reason INTEGER,              -- CRLReason of a revoked one; NULL: none was given
    key_hash BLOB,               -- SHA-256 over the public key's octets
    registration TEXT,           -- by which a subject got it
    CHECK ((state = 'issued') = (der IS NOT NULL)),
    UNIQUE (request_hash, branch)
  ) STRICT;
  INSERT INTO certificate_anew (serial, branch, identity, request_hash, state, not_before_ms, not_after_ms, der, revoked_ms, generation)
    SELECT serial, branch, identity, request_hash, state, not_before_ms, not_after_ms, der, revoked_ms, generation FROM certificate ORDER BY rowid;
  DROP TABLE certificate;
  ALTER TABLE certificate_anew RENAME TO certificate;
  CREATE INDEX certificate_identity ON certificate (identity);
  CREATE INDEX certificate_revoked ON certificate (branch, not_after_ms) WHERE revoked_ms IS NOT NULL;
  CREATE INDEX certificate_key ON certificate (key_hash);
  CREATE INDEX certificate_registration ON certificate (registration) WHERE registration IS NOT NULL;

  CREATE TABLE revocation_list_anew (
    branch TEXT NOT NULL CHECK (branch IN ('ml_dsa', 'classical', 'devices')),
    scope TEXT NOT NULL,               -- 'full', 'delta', or the number of a shard
    number INTEGER NOT NULL,
    base_number INTEGER NOT NULL,      -- the complete list that the next delta adds to; that list's own where there is none
    base_ms INTEGER NOT NULL,          -- its thisUpdate
    this_update_ms INTEGER NOT NULL,
    next_update_ms INTEGER NOT NULL,
    der BLOB NOT NULL,
    PRIMARY KEY (branch, scope)
  ) STRICT;
  INSERT INTO revocation_list_anew (branch, scope, number, base_number, base_ms, this_update_ms, next_update_ms, der)
    SELECT branch, scope, number, base_number, base_ms, this_update_ms, next_update_ms, der FROM revocation_list;
  DROP TABLE revocation_list;
  ALTER TABLE revocation_list_anew RENAME TO revocation_list;

  CREATE TRIGGER certificate_issued AFTER UPDATE OF der ON certificate WHEN NEW.der IS NOT NULL AND NEW.generation IS NULL BEGIN
    UPDATE certificate SET generation = (SELECT generation FROM authority WHERE branch = NEW.branch) WHERE serial = NEW.serial;
  END;
  CREATE TRIGGER certificate_kept AFTER INSERT ON certificate WHEN NEW.der IS NOT NULL AND NEW.generation IS NULL BEGIN
    UPDATE certificate SET generation = (SELECT generation FROM authority WHERE branch = NEW.branch) WHERE serial = NEW.serial;
  END;
  CREATE TRIGGER publish_authority AFTER INSERT ON authority BEGIN
    DELETE FROM outbox WHERE kind = 'authority' AND branch = NEW.branch;
    INSERT INTO outbox (kind, branch, name) VALUES ('authority', NEW.branch, x'');
  END;
  CREATE TRIGGER publish_certificate AFTER UPDATE OF state, revoked_ms ON certificate WHEN NEW.state = 'issued' BEGIN
    DELETE FROM outbox WHERE kind = 'certificate' AND branch = NEW.branch AND name = NEW.serial;
    INSERT INTO outbox (kind, branch, name) VALUES ('certificate', NEW.branch, NEW.serial);
  END;
  CREATE TRIGGER publish_new_list AFTER INSERT ON revocation_list BEGIN
    DELETE FROM outbox WHERE kind = 'list' AND branch = NEW.branch AND name = CAST(NEW.scope AS BLOB);
    INSERT INTO outbox (kind, branch, name) VALUES ('list', NEW.branch, CAST(NEW.scope AS BLOB));
  END;
  CREATE TRIGGER publish_list AFTER UPDATE ON revocation_list BEGIN
    DELETE FROM outbox WHERE kind = 'list' AND branch = NEW.branch AND name = CAST(NEW.scope AS BLOB);
    INSERT INTO outbox (kind, branch, name) VALUES ('list', NEW.branch, CAST(NEW.scope AS BLOB));
  END;

  CREATE TABLE registration (
    reference TEXT PRIMARY KEY,
    subject TEXT NOT NULL,             -- uid in IAM's register
    profile TEXT NOT NULL,
    common_name TEXT NOT NULL,
    dns TEXT NOT NULL,                 -- JSON array
    approval TEXT NOT NULL CHECK (approval IN ('automatic', 'four_eyes')),
    reusable INTEGER NOT NULL CHECK (reusable IN (0, 1)),
    ra_vouches INTEGER NOT NULL CHECK (ra_vouches IN (0, 1)),
    lifetime_s INTEGER NOT NULL,
    not_after_ms INTEGER NOT NULL,     -- 0: no end
    sealed_secret BLOB NOT NULL,
    made_by TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    closed_by TEXT,
    closed_ms INTEGER,
    CHECK ((closed_by IS NULL) = (closed_ms IS NULL))
  ) STRICT;
  CREATE TABLE enrolment_order (       -- of registrations whose certificates two operators approve
    ticket TEXT PRIMARY KEY,
    reference TEXT NOT NULL REFERENCES registration (reference),
    request_hash BLOB NOT NULL UNIQUE,
    protocol TEXT NOT NULL,
    public_key BLOB NOT NULL,          -- SubjectPublicKeyInfo
    common_name TEXT NOT NULL,
    dns TEXT NOT NULL,                 -- JSON array
    possession TEXT NOT NULL CHECK (possession IN ('proved', 'vouched')),
    renews BLOB NOT NULL,              -- DER of the certificate that it came with; empty: the secret
    state TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'rejected')),
    why TEXT NOT NULL,                 -- of a rejected one
    made_ms INTEGER NOT NULL,
    decided_ms INTEGER
  ) STRICT;
  CREATE INDEX enrolment_order_reference ON enrolment_order (reference, state);
  CREATE TABLE approval (
    ticket TEXT NOT NULL REFERENCES enrolment_order (ticket),
    operator TEXT NOT NULL,            -- URI
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (ticket, operator)
  ) STRICT)sql";

}  // namespace qanat::cas
