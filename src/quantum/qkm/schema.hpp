// The QKM's database: one list of migrations.
#pragma once

#include <array>

#include "store/store.hpp"

namespace qanat::qkm {

inline constexpr std::array migrations{
    store::Migration{1, R"sql(
      -- Blocks that a link's QKD has brought and that still count; the newest always does.
      CREATE TABLE link_block (
        link TEXT NOT NULL,
        block_id INTEGER NOT NULL,
        keys INTEGER NOT NULL,
        PRIMARY KEY (link, block_id)
      ) STRICT;
      -- Keys shared with the neighbour over one link. own = 1: this end chooses when it is used. sealed is NULL once destroyed. block_id 0: the
      -- neighbour named it before its block was here, and so it is burnt before it comes.
      CREATE TABLE link_key (
        key_id BLOB PRIMARY KEY,
        link TEXT NOT NULL,
        block_id INTEGER NOT NULL,
        position INTEGER NOT NULL,
        own INTEGER NOT NULL CHECK (own IN (0, 1)),
        state TEXT NOT NULL,
        sealed BLOB,
        changed_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX link_key_stock ON link_key (link, own, block_id, position) WHERE state = 'generated';
      CREATE INDEX link_key_reserved ON link_key (link) WHERE state = 'reserved';
      CREATE INDEX link_key_destroyed ON link_key (link, block_id, changed_ms) WHERE state = 'destroyed';
      -- Keys that came out of a relay and are owed to the KMS of this domain. near = 1: this QKM drew it. sealed is NULL once delivered.
      CREATE TABLE relayed_key (
        key_id BLOB PRIMARY KEY,
        near INTEGER NOT NULL CHECK (near IN (0, 1)),
        peer_domain TEXT NOT NULL,
        path_id BLOB NOT NULL,
        relays INTEGER NOT NULL,
        way TEXT NOT NULL,
        state TEXT NOT NULL,
        sealed BLOB,
        sid_wk BLOB,
        expires_ms INTEGER NOT NULL,
        changed_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX relayed_key_stock ON relayed_key (near, peer_domain, expires_ms) WHERE state = 'generated';
      CREATE INDEX relayed_key_live ON relayed_key (expires_ms) WHERE state <> 'destroyed';
      CREATE INDEX relayed_key_destroyed ON relayed_key (changed_ms) WHERE state = 'destroyed')sql"},
    store::Migration{2, R"sql(
      -- What is shared with one peer (key_stock.hpp). Counters, so that nothing is ever counted: keys here that this end or the peer chooses; keys of
      -- the deliveries that still count, as they came; rows of key_burnt and destroyed rows of key_run.
      CREATE TABLE key_stock (
        name TEXT PRIMARY KEY,
        own INTEGER NOT NULL DEFAULT 0 CHECK (own >= 0),
        peer INTEGER NOT NULL DEFAULT 0 CHECK (peer >= 0),
        delivered INTEGER NOT NULL DEFAULT 0,
        burnt INTEGER NOT NULL DEFAULT 0,
        evidence INTEGER NOT NULL DEFAULT 0
      ) STRICT;
      -- Deliveries that still count; the newest always does.
      CREATE TABLE key_delivery (
        stock TEXT NOT NULL,
        seq INTEGER NOT NULL,
        keys INTEGER NOT NULL,
        PRIMARY KEY (stock, seq)
      ) STRICT;
      -- Up to 256 keys. own = 1: this end chooses. gone: a bit per key; sealed: those that are not gone, one after the other. A chunk of which
      -- nothing is left has no row.
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
        sealed BLOB NOT NULL
      ) STRICT;
      CREATE INDEX key_chunk_order ON key_chunk (stock, own, seq);
      CREATE INDEX key_chunk_expiry ON key_chunk (expires_ms) WHERE expires_ms > 0;
      -- Keys that left their chunk: "count" of them from "first" on. No octets are here. until_ms 0: not swept.
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
      CREATE INDEX key_burnt_age ON key_burnt (changed_ms))sql"},
    // The keys of the old tables have ids that no neighbour names any more: they are given up. Blocks that came before the change stay refused.
    store::Migration{3, R"sql(
      INSERT INTO key_stock (name) SELECT DISTINCT 'link/' || link FROM link_block;
      INSERT INTO key_delivery (stock, seq, keys) SELECT 'link/' || link, max(block_id), 0 FROM link_block GROUP BY link;
      DROP TABLE link_block;
      DROP TABLE link_key;
      DROP TABLE relayed_key)sql"},
    store::Migration{4, R"sql(
      -- Keys that SAEs of this site may fetch (sae_assignments.hpp): ids first, first + stride, … of one batch. slaves: names, one a line. gone: for each
      -- slave a bit per key; sealed: the keys of "octets" each, zero where every slave has had it. A row of which nothing is left goes.
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
      CREATE INDEX sae_activation_age ON sae_activation (at_ms))sql"},
    // What is proved of a chunk's keys (points/key_proof.hpp): two sets of bits; eps as the bits of a binary64, which order as the number does. Of what
    // was here before nothing is known: eps 1. way: 0 a link's own, 1 relayed hop by hop, 2 by a controller.
    store::Migration{5, R"sql(
      ALTER TABLE key_chunk ADD COLUMN bounds INTEGER NOT NULL DEFAULT 1;
      ALTER TABLE key_chunk ADD COLUMN photons INTEGER NOT NULL DEFAULT 1;
      ALTER TABLE key_chunk ADD COLUMN eps INTEGER NOT NULL DEFAULT 4607182418800017408;
      ALTER TABLE key_chunk ADD COLUMN way INTEGER NOT NULL DEFAULT 0)sql"},
};

}  // namespace qanat::qkm
