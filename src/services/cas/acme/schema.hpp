// The part of cas.db that the ACME server keeps: accounts, authorisations, orders.
#pragma once

#include <string_view>

namespace qanat::cas {

/// While a row stands, its key opens no second account; a deactivated one stands until sweep() takes it. A key change frees the former key.
inline constexpr std::string_view acme_schema = R"sql(
  CREATE TABLE acme_account (
    id TEXT PRIMARY KEY,               -- 32 hexadecimal digits, drawn
    reference TEXT NOT NULL,           -- of the registration that the account was bound to when it was made
    thumbprint BLOB NOT NULL UNIQUE,   -- RFC 7638, of jwk
    jwk TEXT NOT NULL,
    contact TEXT NOT NULL,             -- JSON array of URLs
    status TEXT NOT NULL CHECK (status IN ('valid', 'deactivated')),
    made_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX acme_account_reference ON acme_account (reference);
  CREATE TABLE acme_authorization (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,                -- DNS, perhaps with '*.' in front
    status TEXT NOT NULL CHECK (status IN ('valid', 'deactivated')),
    expires_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX acme_authorization_account ON acme_authorization (account, name);
  CREATE TABLE acme_order (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    reference TEXT NOT NULL,           -- the account's
    status TEXT NOT NULL CHECK (status IN ('ready', 'processing', 'valid', 'invalid')),
    profile TEXT NOT NULL,             -- as asked for; empty: none was
    replaces TEXT NOT NULL,            -- RFC 9773 identifier of a certificate; empty: none
    made_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,       -- then it goes; of a valid one the certificate's end
    csr BLOB,                          -- DER, from finalize on
    asked_hash BLOB,                   -- names its key and names, whatever the request that they came in
    request_hash BLOB,                 -- what the desk knows the request by
    ticket TEXT,                       -- the desk's, while operators have to approve
    problem TEXT,                      -- JSON: why it is invalid
    serial BLOB,                       -- of the certificate
    chain TEXT,                        -- PEM, as it was issued
    CHECK ((status = 'valid') = (chain IS NOT NULL AND serial IS NOT NULL)),
    CHECK (status NOT IN ('processing', 'valid') OR (csr IS NOT NULL AND request_hash IS NOT NULL))
  ) STRICT;
  CREATE INDEX acme_order_account ON acme_order (account, made_ms);
  CREATE INDEX acme_order_reference ON acme_order (reference);
  CREATE INDEX acme_order_expires ON acme_order (expires_ms);
  CREATE INDEX acme_order_serial ON acme_order (serial) WHERE serial IS NOT NULL;
  CREATE TABLE acme_order_name (
    order_id TEXT NOT NULL,
    name TEXT NOT NULL,
    authorization TEXT NOT NULL,
    PRIMARY KEY (order_id, name)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX acme_order_authorization ON acme_order_name (authorization);
  CREATE TRIGGER acme_order_gone AFTER DELETE ON acme_order BEGIN
    DELETE FROM acme_order_name WHERE order_id = OLD.id;
  END)sql";

}  // namespace qanat::cas
