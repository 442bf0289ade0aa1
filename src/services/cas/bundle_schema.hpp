// The part of cas.db that says which certificates of a terminal belong together.
#pragma once

#include <string_view>

namespace qanat::cas {

/// The certificates themselves stand in `certificate` like all others. Each has there a request hash of its own (part_hash in bundle_records.cpp), because two
/// of a bundle are of one branch.
inline constexpr std::string_view bundle_schema = R"sql(
  CREATE TABLE bundle (
    row INTEGER PRIMARY KEY,
    identity TEXT NOT NULL,
    number TEXT NOT NULL,              -- E.164: one live bundle each
    home_kms TEXT NOT NULL,            -- the agent that it was first issued through
    id BLOB UNIQUE,                    -- SHA-256 over the classical signing certificate; NULL until that is issued
    renews INTEGER                     -- row of the bundle before it
  ) STRICT;
  CREATE INDEX bundle_identity ON bundle (identity);
  CREATE INDEX bundle_number ON bundle (number);
  CREATE INDEX bundle_renews ON bundle (renews);
  CREATE TABLE bundle_member (
    serial BLOB PRIMARY KEY,           -- of its certificate
    bundle INTEGER NOT NULL,
    role TEXT NOT NULL,
    UNIQUE (bundle, role)
  ) STRICT)sql";

}  // namespace qanat::cas
