// Generations of issuing CAs in cas.db. A trigger says of each certificate which generation signed it, whoever records it.
#pragma once

#include <string_view>

namespace qanat::cas {

inline constexpr std::string_view authority_schema = R"sql(
  ALTER TABLE authority ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
  CREATE TABLE earlier_authority (
    branch TEXT NOT NULL CHECK (branch IN ('ml_dsa', 'classical')),
    generation INTEGER NOT NULL,
    certificate BLOB NOT NULL,   -- DER
    sealed_key BLOB NOT NULL,    -- it still answers for the status of what it issued
    succeeded_ms INTEGER NOT NULL,
    PRIMARY KEY (branch, generation)
  ) STRICT;
  CREATE TABLE next_authority (
    branch TEXT PRIMARY KEY CHECK (branch IN ('ml_dsa', 'classical')),
    generation INTEGER NOT NULL,
    sealed_key BLOB NOT NULL,
    request BLOB NOT NULL        -- PKCS#10 for the roots
  ) STRICT;
  ALTER TABLE certificate ADD COLUMN generation INTEGER;   -- NULL until it is issued
  UPDATE certificate SET generation = 1 WHERE der IS NOT NULL;
  CREATE TRIGGER certificate_issued AFTER UPDATE OF der ON certificate WHEN NEW.der IS NOT NULL AND NEW.generation IS NULL BEGIN
    UPDATE certificate SET generation = (SELECT generation FROM authority WHERE branch = NEW.branch) WHERE serial = NEW.serial;
  END;
  CREATE TRIGGER certificate_kept AFTER INSERT ON certificate WHEN NEW.der IS NOT NULL AND NEW.generation IS NULL BEGIN
    UPDATE certificate SET generation = (SELECT generation FROM authority WHERE branch = NEW.branch) WHERE serial = NEW.serial;
  END)sql";

/// The device CA has generations, too (device_rollover.hpp).
inline constexpr std::string_view device_rollover_schema = R"sql(
  CREATE TABLE earlier_authority_anew (
    branch TEXT NOT NULL CHECK (branch IN ('ml_dsa', 'classical', 'devices')),
    generation INTEGER NOT NULL,
    certificate BLOB NOT NULL,   -- DER
    sealed_key BLOB NOT NULL,    -- it still answers for the status of what it issued
    succeeded_ms INTEGER NOT NULL,
    PRIMARY KEY (branch, generation)
  ) STRICT;
  INSERT INTO earlier_authority_anew (branch, generation, certificate, sealed_key, succeeded_ms)
    SELECT branch, generation, certificate, sealed_key, succeeded_ms FROM earlier_authority;
  DROP TABLE earlier_authority;
  ALTER TABLE earlier_authority_anew RENAME TO earlier_authority;
  CREATE TABLE device_succession (
    generation INTEGER PRIMARY KEY,  -- of the new one
    new_with_new BLOB NOT NULL,      -- DER, all three
    new_with_old BLOB,               -- NULL, both: the old one had expired
    old_with_new BLOB,
    sealed_key BLOB                  -- NULL once it is installed: it is in table authority then
  ) STRICT)sql";

}  // namespace qanat::cas
