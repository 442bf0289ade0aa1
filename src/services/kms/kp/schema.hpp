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
      ALTER TABLE terminal ADD COLUMN enc_state TEXT;
      CREATE INDEX terminal_suspended ON terminal (uid) WHERE enc_state = 'suspended')sql";

}  // namespace qanat::kms
