// The part of cas.db that SCEP keeps: the keys and certificates of its registration authority, and which request waits for which approval.
#pragma once

#include <string_view>

namespace qanat::cas {

inline constexpr std::string_view scep_schema = R"sql(
  CREATE TABLE scep_ra (
    id INTEGER PRIMARY KEY,
    public_key BLOB NOT NULL UNIQUE,   -- SubjectPublicKeyInfo
    sealed_key BLOB NOT NULL,          -- PKCS#8
    certificate BLOB,                  -- DER; NULL until it is issued
    not_before_ms INTEGER,
    not_after_ms INTEGER,
    CHECK ((certificate IS NULL) = (not_after_ms IS NULL) AND (certificate IS NULL) = (not_before_ms IS NULL))
  ) STRICT;
  CREATE TABLE scep_transaction (
    transaction_id TEXT NOT NULL,
    signer BLOB NOT NULL,              -- SHA-256 over the SubjectPublicKeyInfo that signed the request: whoever polls has that key
    reference TEXT NOT NULL,           -- of the registration
    ticket TEXT NOT NULL,              -- of the desk
    sealed_password BLOB,              -- that the answer is encrypted under; NULL: under the signer's RSA key
    made_ms INTEGER NOT NULL,
    PRIMARY KEY (transaction_id, signer)
  ) STRICT;
  CREATE INDEX scep_transaction_reference ON scep_transaction (reference))sql";

}  // namespace qanat::cas
