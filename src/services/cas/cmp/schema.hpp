// The part of cas.db that CMP keeps: transactions, so that a message that comes again is known, and a certificate that nobody confirmed is revoked, across
// restarts too.
#pragma once

#include <string_view>

namespace qanat::cas {

inline constexpr std::string_view cmp_schema = R"sql(
  CREATE TABLE cmp_transaction (
    reference TEXT NOT NULL,           -- of the registration: two clients may have drawn the same id
    id BLOB NOT NULL,                  -- transactionID
    signer BLOB,                       -- DER of the certificate that protects the client's messages; NULL: the registration's secret does
    kind TEXT NOT NULL,                -- of the message that began it: 'ir', 'cr', 'kur', 'p10cr', 'rr'
    certificate_request INTEGER NOT NULL,  -- certReqId
    request_hash BLOB NOT NULL,
    key_hash BLOB NOT NULL,            -- of the key that a certificate is asked for, as in certificate.key_hash; empty: none is
    began_ms INTEGER NOT NULL,
    implicit INTEGER NOT NULL CHECK (implicit IN (0, 1)),  -- implicitConfirm is granted
    first_nonce BLOB NOT NULL,         -- the client's in the message that began it
    nonce BLOB NOT NULL,               -- ours in our last answer
    earlier_nonce BLOB NOT NULL,       -- and in the one before
    state TEXT NOT NULL CHECK (state IN ('asked', 'waiting', 'unconfirmed', 'closed')),
    ticket TEXT NOT NULL,              -- of the desk, while operators must approve
    serial BLOB,                       -- of the certificate that was given
    due_ms INTEGER NOT NULL,           -- asked, unconfirmed: when the certificate is revoked; waiting: when it is looked after; closed: when the row may go
    PRIMARY KEY (reference, id)
  ) STRICT;
  CREATE INDEX cmp_transaction_open ON cmp_transaction (reference) WHERE state <> 'closed';
  CREATE INDEX cmp_transaction_due ON cmp_transaction (due_ms);
  CREATE INDEX cmp_transaction_id ON cmp_transaction (id))sql";

}  // namespace qanat::cas
