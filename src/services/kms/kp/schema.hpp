// KP's tables, for the KMS's list of migrations (services/kms/schema.hpp): from the version on in which a terminal is looked at without its certificates.
#pragma once

#include <string_view>

namespace qanat::kms {

inline constexpr std::string_view kp_narrow_first = R"sql(
      -- KP: the same rows. What is looked at for each message stands before the certificates, which fill pages of their own. The guard's MACs are over columns by
      -- name, whatever their order: they hold.
      CREATE TABLE terminal_narrow_first (
        uid TEXT PRIMARY KEY,
        number TEXT NOT NULL UNIQUE,
        confirmed INTEGER NOT NULL,
        enc_kid BLOB NOT NULL,
        digest BLOB,                   -- content_digest() of the row; NULL: written before there were any
        h_enrol BLOB NOT NULL,
        row_mac BLOB,
        enc_point BLOB NOT NULL,
        classical BLOB NOT NULL,
        ml_dsa BLOB NOT NULL,
        enc_ml_kem BLOB NOT NULL,
        encryption_classical BLOB,
        encryption_ml_kem BLOB,
        answer BLOB,
        sealed_encryption BLOB
      ) STRICT;
      INSERT INTO terminal_narrow_first (uid, number, confirmed, enc_kid, h_enrol, row_mac, enc_point, classical, ml_dsa, enc_ml_kem, encryption_classical,
          encryption_ml_kem, answer, sealed_encryption)
        SELECT uid, number, confirmed, enc_kid, h_enrol, row_mac, enc_point, classical, ml_dsa, enc_ml_kem, encryption_classical, encryption_ml_kem, answer,
          sealed_encryption FROM terminal;
      DROP TABLE terminal;
      ALTER TABLE terminal_narrow_first RENAME TO terminal)sql";

inline constexpr std::string_view owed_outcome = R"sql(
      -- KP: with which outcome it goes into the audit record. NULL: from before it was kept, a success.
      ALTER TABLE owed_record ADD COLUMN outcome TEXT)sql";

inline constexpr std::string_view kp_encryption_state = R"sql(
      -- KP: the state of a terminal's encryption key (kp/encryption_state.hpp). NULL: from before there were any; active, if the terminal has confirmed.
      -- Rebuilt, so that it stands before the certificates too: it is looked at for each message.
      CREATE TABLE terminal_with_state (
        uid TEXT PRIMARY KEY,
        number TEXT NOT NULL UNIQUE,
        confirmed INTEGER NOT NULL,
        enc_state TEXT,
        enc_kid BLOB NOT NULL,
        digest BLOB,
        h_enrol BLOB NOT NULL,
        row_mac BLOB,
        enc_point BLOB NOT NULL,
        classical BLOB NOT NULL,
        ml_dsa BLOB NOT NULL,
        enc_ml_kem BLOB NOT NULL,
        encryption_classical BLOB,
        encryption_ml_kem BLOB,
        answer BLOB,
        sealed_encryption BLOB
      ) STRICT;
      INSERT INTO terminal_with_state (uid, number, confirmed, enc_kid, digest, h_enrol, row_mac, enc_point, classical, ml_dsa, enc_ml_kem, encryption_classical,
          encryption_ml_kem, answer, sealed_encryption)
        SELECT uid, number, confirmed, enc_kid, digest, h_enrol, row_mac, enc_point, classical, ml_dsa, enc_ml_kem, encryption_classical, encryption_ml_kem,
          answer, sealed_encryption FROM terminal;
      DROP TABLE terminal;
      ALTER TABLE terminal_with_state RENAME TO terminal;
      CREATE INDEX terminal_suspended ON terminal (uid) WHERE enc_state = 'suspended')sql";

inline constexpr std::string_view kp_ends_of_keys = R"sql(
      -- KP, history library: how a private key ended (kp/history_keys.hpp), and the commitment to it; NULL: the pair came into history before there were any.
      ALTER TABLE history_key ADD COLUMN commitment BLOB;
      ALTER TABLE history_key ADD COLUMN destroyed_ms INTEGER;
      ALTER TABLE history_key ADD COLUMN destroyed_by TEXT;
      ALTER TABLE history_key ADD COLUMN destroyed_why TEXT;
      ALTER TABLE history_key ADD COLUMN certified_until_ms INTEGER;  -- as far as its terminal has said; NULL: not known
      CREATE INDEX history_key_kept ON history_key ((coalesce(ended_ms, certified_until_ms))) WHERE sealed_pair IS NOT NULL;
      -- KP: what the order is for; NULL: to recover the key. An order to destroy it has an empty recipient.
      ALTER TABLE recovery_order ADD COLUMN kind TEXT;
      -- KP: pool keys that are gone, with the commitment to each; NULL: it was made before there were any.
      ALTER TABLE pool_key ADD COLUMN commitment BLOB;
      CREATE TABLE pool_key_end (
        library TEXT NOT NULL,
        generation INTEGER NOT NULL,
        made_ms INTEGER NOT NULL,
        ended_ms INTEGER NOT NULL,
        commitment BLOB,
        row_mac BLOB,
        PRIMARY KEY (library, generation)
      ) STRICT)sql";

}  // namespace qanat::kms
