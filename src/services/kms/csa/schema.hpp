// The CSA's tables in kms.db.
#pragma once

#include <string_view>

namespace qanat::kms::csa {

inline constexpr std::string_view tables = R"sql(
  -- CSA: keys of applications. Rows stay when a key is destroyed; the octets in csa_version go.
  CREATE TABLE csa_key (
    key_id BLOB PRIMARY KEY,
    label TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    purpose TEXT NOT NULL,
    owner TEXT NOT NULL,
    origin TEXT NOT NULL,
    state TEXT NOT NULL,
    current_version INTEGER NOT NULL,
    minimum_version INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    delete_ms INTEGER
  ) STRICT;
  CREATE INDEX csa_key_owner ON csa_key (owner);
  CREATE INDEX csa_key_deletion ON csa_key (delete_ms) WHERE delete_ms IS NOT NULL;
  -- sealed is NULL once the version is destroyed. seals_reserved: how many texts may have been sealed with it, counted in blocks ahead of their use.
  CREATE TABLE csa_version (
    key_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    sealed BLOB,
    public_key BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    seals_reserved INTEGER NOT NULL,
    PRIMARY KEY (key_id, version)
  ) STRICT;
  CREATE TABLE csa_grant (
    key_id BLOB NOT NULL,
    caller TEXT NOT NULL,
    operations TEXT NOT NULL,
    not_before_ms INTEGER NOT NULL,
    not_after_ms INTEGER NOT NULL,
    per_minute INTEGER NOT NULL,
    total INTEGER NOT NULL,
    used INTEGER NOT NULL,   -- counted where there is a total
    PRIMARY KEY (key_id, caller)
  ) STRICT;
  CREATE INDEX csa_grant_caller ON csa_grant (caller, key_id);
  CREATE TABLE csa_export_target (
    key_id BLOB NOT NULL,
    algorithm TEXT NOT NULL,
    public_key BLOB NOT NULL,
    PRIMARY KEY (key_id, public_key)
  ) STRICT;
  -- Challenges that are not answered yet; gone with the first proof that names them.
  CREATE TABLE csa_challenge (
    challenge BLOB PRIMARY KEY,
    key_id BLOB NOT NULL,
    verifier TEXT NOT NULL,
    context TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX csa_challenge_verifier ON csa_challenge (verifier);
  CREATE INDEX csa_challenge_expiry ON csa_challenge (expires_ms))sql";

inline constexpr std::string_view ends_of_keys = R"sql(
  -- CSA: a commitment to a version's octets, from their generation on.
  ALTER TABLE csa_version ADD COLUMN commitment BLOB;
  -- CSA: by which request, and whose, a key was rotated to this version.
  ALTER TABLE csa_version ADD COLUMN rotated_by TEXT;
  ALTER TABLE csa_version ADD COLUMN rotation_id TEXT;
  CREATE UNIQUE INDEX csa_version_rotation ON csa_version (rotated_by, rotation_id) WHERE rotation_id IS NOT NULL;
  -- CSA: until when a key protects anything new; NULL: no end.
  ALTER TABLE csa_key ADD COLUMN not_after_ms INTEGER;
  CREATE INDEX csa_key_end ON csa_key (not_after_ms) WHERE state = 'enabled' AND not_after_ms IS NOT NULL)sql";

inline constexpr std::string_view suspended_keys = R"sql(
  -- CSA: in which state a key was when it was suspended; says something of one that is suspended alone. NULL: not known.
  ALTER TABLE csa_key ADD COLUMN suspended_from TEXT;
  CREATE INDEX csa_key_suspended ON csa_key (key_id) WHERE state = 'suspended')sql";

}  // namespace qanat::kms::csa
