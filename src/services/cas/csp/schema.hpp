// The part of cas.db that status and publication keep: revocation lists as they were published, and the outbox of what the directory must be told.
#pragma once

#include <string_view>

namespace qanat::cas {

/// Triggers fill the outbox in the transaction that issues, revokes or publishes, whoever does it: nothing that is durable here can be forgotten there.
/// A row names what has changed, not the change; its publisher looks up how things stand then. So a row that comes again takes the place of the one that
/// waits, under a new id (AUTOINCREMENT: never one that was used), and the outbox has at most a row for each certificate, list and CA.
inline constexpr std::string_view status_schema = R"sql(
  CREATE TABLE revocation_list (
    branch TEXT NOT NULL CHECK (branch IN ('ml_dsa', 'classical')),
    scope TEXT NOT NULL,               -- 'full', 'delta', or the number of a shard
    number INTEGER NOT NULL,
    base_number INTEGER NOT NULL,      -- the complete list that the next delta adds to; that list's own where there is none
    base_ms INTEGER NOT NULL,          -- its thisUpdate
    this_update_ms INTEGER NOT NULL,
    next_update_ms INTEGER NOT NULL,
    der BLOB NOT NULL,
    PRIMARY KEY (branch, scope)
  ) STRICT;
  CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('authority', 'certificate', 'list')),
    branch TEXT NOT NULL,
    name BLOB NOT NULL,                -- serial of a certificate, scope of a list; empty for a CA
    UNIQUE (kind, branch, name)
  ) STRICT;
  CREATE INDEX certificate_revoked ON certificate (branch, not_after_ms) WHERE revoked_ms IS NOT NULL;
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
  INSERT INTO outbox (kind, branch, name) SELECT 'authority', branch, x'' FROM authority;
  INSERT INTO outbox (kind, branch, name) SELECT 'certificate', branch, serial FROM certificate WHERE state = 'issued')sql";

}  // namespace qanat::cas
