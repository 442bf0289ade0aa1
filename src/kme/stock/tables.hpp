// The tables that KeyStock and SaeDelivery work on, for an element whose database begins with them. (The QKM's grew to the same: quantum/qkm/schema.hpp.)
#pragma once

#include <string_view>

namespace qanat::kme {

inline constexpr std::string_view stock_tables = R"sql(
      -- What is shared with one peer (kme/stock/key_stock.hpp). Counters, so that nothing is ever counted.
      CREATE TABLE key_stock (
        name TEXT PRIMARY KEY,
        own INTEGER NOT NULL DEFAULT 0 CHECK (own >= 0),
        peer INTEGER NOT NULL DEFAULT 0 CHECK (peer >= 0),
        delivered INTEGER NOT NULL DEFAULT 0,
        burnt INTEGER NOT NULL DEFAULT 0,
        evidence INTEGER NOT NULL DEFAULT 0
      ) STRICT;
      CREATE TABLE key_delivery (
        stock TEXT NOT NULL,
        seq INTEGER NOT NULL,
        keys INTEGER NOT NULL,
        PRIMARY KEY (stock, seq)
      ) STRICT;
      -- Up to 256 keys. own = 1: this end chooses. gone: a bit per key; sealed: those that are not gone. A chunk of which nothing is left has no row.
      -- What its keys are worth: two sets of bits; eps as the bits of a binary64; way.
      CREATE TABLE key_chunk (
        id INTEGER PRIMARY KEY,
        batch_id BLOB NOT NULL UNIQUE,
        stock TEXT NOT NULL,
        own INTEGER NOT NULL CHECK (own IN (0, 1)),
        seq INTEGER NOT NULL,
        size INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL,
        about TEXT NOT NULL,
        gone BLOB NOT NULL,
        sealed BLOB NOT NULL,
        bounds INTEGER NOT NULL DEFAULT 1,
        photons INTEGER NOT NULL DEFAULT 1,
        eps INTEGER NOT NULL DEFAULT 4607182418800017408,
        way INTEGER NOT NULL DEFAULT 0
      ) STRICT;
      CREATE INDEX key_chunk_order ON key_chunk (stock, own, seq);
      CREATE INDEX key_chunk_expiry ON key_chunk (expires_ms) WHERE expires_ms > 0;
      -- Keys that left their chunk. No octets are here. until_ms 0: not swept.
      CREATE TABLE key_run (
        batch_id BLOB NOT NULL,
        first INTEGER NOT NULL,
        count INTEGER NOT NULL,
        stock TEXT NOT NULL,
        state TEXT NOT NULL,
        holder TEXT NOT NULL,
        until_ms INTEGER NOT NULL,
        changed_ms INTEGER NOT NULL,
        PRIMARY KEY (batch_id, first)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX key_run_due ON key_run (until_ms) WHERE state <> 'destroyed' AND until_ms > 0;
      CREATE INDEX key_run_open ON key_run (stock) WHERE state <> 'destroyed';
      CREATE INDEX key_run_destroyed ON key_run (changed_ms) WHERE state = 'destroyed';
      -- Keys that the peer named before their chunk was here: gone before they come.
      CREATE TABLE key_burnt (
        batch_id BLOB PRIMARY KEY,
        stock TEXT NOT NULL,
        gone BLOB NOT NULL,
        changed_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX key_burnt_age ON key_burnt (changed_ms);
      -- Keys that SAEs of this site may fetch (kme/stock/assignments.hpp): ids first, first + stride, … of one batch. slaves: names, one a line. gone: for
      -- each slave a bit per key; sealed: the keys of "octets" each, zero where every slave has had it. A row of which nothing is left goes.
      CREATE TABLE sae_key (
        batch_id BLOB NOT NULL,
        first INTEGER NOT NULL,
        stride INTEGER NOT NULL,
        count INTEGER NOT NULL,
        octets INTEGER NOT NULL,
        master TEXT NOT NULL,
        slaves TEXT NOT NULL,
        gone BLOB NOT NULL,
        sealed BLOB NOT NULL,
        until_ms INTEGER NOT NULL,
        PRIMARY KEY (batch_id, first)
      ) STRICT;
      CREATE INDEX sae_key_due ON sae_key (until_ms);
      -- Activations that were carried out: the same message again does nothing.
      CREATE TABLE sae_activation (
        id BLOB PRIMARY KEY,
        at_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX sae_activation_age ON sae_activation (at_ms);
      -- Keys that key managers of other makers brought (kme/stock/received.hpp).
      CREATE TABLE sae_received (
        key_id BLOB PRIMARY KEY,
        initiator TEXT NOT NULL,
        targets TEXT NOT NULL,
        voided INTEGER NOT NULL CHECK (voided IN (0, 1)),
        at_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX sae_received_age ON sae_received (at_ms);
      CREATE INDEX sae_received_initiator ON sae_received (initiator))sql";

}  // namespace qanat::kme
