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
};

}  // namespace qanat::qkm
