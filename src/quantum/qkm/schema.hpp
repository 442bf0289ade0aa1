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
    store::Migration{5, R"sql(
      -- Ends of key streams (sae_stream_table.hpp): one row per application of this site. next: chunks below were stored here once. told: the other QKM
      -- knows this end's state. A closed row stays for a day, so that its id is not used again.
      CREATE TABLE sae_stream (
        ksid BLOB NOT NULL,
        sae TEXT NOT NULL,
        peer TEXT NOT NULL,
        chunk_octets INTEGER NOT NULL,
        max_bps INTEGER NOT NULL,
        min_bps INTEGER NOT NULL,
        jitter_bps INTEGER NOT NULL,
        priority INTEGER NOT NULL,
        timeout_ms INTEGER NOT NULL,
        ttl_s INTEGER NOT NULL,
        mimetype TEXT NOT NULL,
        state INTEGER NOT NULL,
        peer_state INTEGER NOT NULL,
        told INTEGER NOT NULL CHECK (told IN (0, 1)),
        next INTEGER NOT NULL,
        used_ms INTEGER NOT NULL,
        PRIMARY KEY (ksid, sae)
      ) STRICT;
      CREATE INDEX sae_stream_of ON sae_stream (sae, state);
      CREATE INDEX sae_stream_age ON sae_stream (used_ms);
      -- Chunks that an end has not had yet. ready = 0: the other QKM has not said that it has it; runs: the stock keys it is made of, until then.
      CREATE TABLE sae_stream_chunk (
        ksid BLOB NOT NULL,
        sae TEXT NOT NULL,
        idx INTEGER NOT NULL,
        ready INTEGER NOT NULL CHECK (ready IN (0, 1)),
        runs TEXT NOT NULL,
        hops INTEGER NOT NULL,
        sealed BLOB NOT NULL,
        since_ms INTEGER NOT NULL,
        until_ms INTEGER NOT NULL,
        PRIMARY KEY (ksid, sae, idx)
      ) STRICT;
      CREATE INDEX sae_stream_chunk_due ON sae_stream_chunk (until_ms) WHERE ready = 1)sql"},
    store::Migration{6, R"sql(
      -- Keys that other makers' key managers brought, beyond their own life here (sae_received.hpp).
      CREATE TABLE sae_received (
        key_id BLOB PRIMARY KEY,
        initiator TEXT NOT NULL,
        targets TEXT NOT NULL,
        voided INTEGER NOT NULL CHECK (voided IN (0, 1)),
        at_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX sae_received_age ON sae_received (at_ms);
      CREATE INDEX sae_received_initiator ON sae_received (initiator);
      -- Keys that were brought to other makers' key managers (sae_handovers.hpp). acked: for each target a bit per key.
      CREATE TABLE sae_handover (
        batch_id BLOB NOT NULL,
        kme TEXT NOT NULL,
        count INTEGER NOT NULL,
        initiator TEXT NOT NULL,
        targets TEXT NOT NULL,
        acked BLOB NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('offered', 'relayed', 'sold', 'void_due', 'voided', 'failed')),
        tries INTEGER NOT NULL,
        next_ms INTEGER NOT NULL,
        changed_ms INTEGER NOT NULL,
        offered_ms INTEGER NOT NULL,
        PRIMARY KEY (batch_id, kme)
      ) STRICT;
      CREATE INDEX sae_handover_due ON sae_handover (next_ms) WHERE state = 'void_due';
      CREATE INDEX sae_handover_open ON sae_handover (state) WHERE state IN ('offered', 'relayed');
      CREATE INDEX sae_handover_old ON sae_handover (changed_ms) WHERE state IN ('sold', 'voided', 'failed'))sql"},
    // What is proved of a chunk's keys (points/key_proof.hpp): two sets of bits; eps as the bits of a binary64, which order as the number does. Of what
    // was here before nothing is known: eps 1. way: 0 a link's own, 1 relayed hop by hop, 2 by a controller.
    store::Migration{7, R"sql(
      ALTER TABLE key_chunk ADD COLUMN bounds INTEGER NOT NULL DEFAULT 1;
      ALTER TABLE key_chunk ADD COLUMN photons INTEGER NOT NULL DEFAULT 1;
      ALTER TABLE key_chunk ADD COLUMN eps INTEGER NOT NULL DEFAULT 4607182418800017408;
      ALTER TABLE key_chunk ADD COLUMN way INTEGER NOT NULL DEFAULT 0)sql"},
    store::Migration{8, R"sql(
      -- What a take of Km-3 gave, for the same take again (given_keys.hpp). about: all that is known of the keys but their octets. sealed: those; NULL: the
      -- holder is done with keys of it. Octets stay no longer than until_ms, when the keys are destroyed too.
      CREATE TABLE given_keys (
        sid_wk BLOB NOT NULL,
        paths INTEGER NOT NULL,
        holder TEXT NOT NULL,
        asked TEXT NOT NULL,
        about TEXT NOT NULL,
        sealed BLOB,
        until_ms INTEGER NOT NULL,
        PRIMARY KEY (sid_wk, paths)
      ) STRICT;
      CREATE INDEX given_keys_due ON given_keys (until_ms))sql"},
};

}  // namespace qanat::qkm
