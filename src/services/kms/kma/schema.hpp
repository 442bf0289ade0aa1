// KMA's tables, for the KMS's list of migrations (services/kms/schema.hpp): from the version on in which a delivery rewrites no wide row; and of group calls.
#pragma once

#include <string_view>

namespace qanat::kms {

inline constexpr std::string_view kma_narrow_rows = R"sql(
      -- KMA: the KeyDeliver of a leg that is delivered, to be given again until it is acknowledged. Written once; its digest stands in the leg's row. (What was
      -- delivered before there was this table stands in working_key.answer, and ends there.)
      CREATE TABLE delivered_answer (
        sid_wk BLOB NOT NULL,
        leg INTEGER NOT NULL,
        octets BLOB NOT NULL,
        PRIMARY KEY (sid_wk, leg)
      ) STRICT;
      ALTER TABLE working_key ADD COLUMN answer_digest BLOB;   -- SHA-256; NULL: there is none, or it is withheld
      -- A key has octets until it is destroyed. So said, a change of its state touches no index.
      DROP INDEX working_key_live;
      CREATE INDEX working_key_live ON working_key (expires_ms) WHERE sealed_wk IS NOT NULL;
      DROP INDEX working_key_owed;
      CREATE INDEX working_key_owed ON working_key (uid) WHERE sealed_wk IS NOT NULL;
      -- The same rows, found by one tree where there were a table and its index.
      CREATE TABLE replay_by_hash (
        h_req BLOB PRIMARY KEY,
        forget_ms INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      INSERT INTO replay_by_hash (h_req, forget_ms) SELECT h_req, forget_ms FROM replay;
      DROP TABLE replay;
      ALTER TABLE replay_by_hash RENAME TO replay;
      CREATE INDEX replay_forget ON replay (forget_ms))sql";

inline constexpr std::string_view kma_confirmed_agreements = R"sql(
      -- KMA: an agreement that is confirmed is known until it expires, so that its confirmation, whose answer was lost, can come again.
      ALTER TABLE pending_agreement ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0;
      CREATE INDEX pending_agreement_waiting ON pending_agreement (sid_wk) WHERE confirmed = 0)sql";

inline constexpr std::string_view group_schema = R"sql(
      -- KMA: group calls (kma/group_rows.hpp). Who is in one gets its next key.
      CREATE TABLE call_group (
        group_id BLOB PRIMARY KEY,
        owner_uid TEXT NOT NULL,
        owner TEXT NOT NULL,
        owner_kms TEXT NOT NULL,
        begun INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        nonce BLOB NOT NULL,
        roster TEXT NOT NULL,
        h_req BLOB,
        answer BLOB,
        changed_ms INTEGER NOT NULL,
        row_mac BLOB
      ) STRICT;
      CREATE INDEX call_group_owner ON call_group (owner_uid);
      CREATE INDEX call_group_changed ON call_group (changed_ms))sql";

}  // namespace qanat::kms
