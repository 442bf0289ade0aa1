// Which columns of the KMS's database are sealed, and for which library: what a change of the pool key goes through.
#pragma once

#include <array>
#include <vector>

#include "services/kms/kp/library.hpp"
#include "store/store.hpp"

namespace qanat::kms {

/// What a new pool key means for a column.
enum class Renewal : std::uint8_t {
  sealed_anew,
  waited_for,  // its keys do not live long: the former pool key stays until they are gone. Its context is its module's own
};

struct SealedColumn {
  std::string_view table;
  std::string_view column;
  std::array<std::string_view, 2> key;  // the row's key, in the order in which the column's context has it; the second may be ""
  Library library;
  Renewal renewal = Renewal::sealed_anew;
};
inline constexpr std::array sealed_columns{
    SealedColumn{"working_key", "sealed_wk", {"sid_wk", "leg"}, Library::in_use, Renewal::waited_for},
    SealedColumn{"terminal", "sealed_encryption", {"uid", ""}, Library::in_use},
    SealedColumn{"prepared_encryption", "sealed_scalar", {"uid", "h_enrol"}, Library::in_use},
    SealedColumn{"prepared_encryption", "sealed_seed", {"uid", "h_enrol"}, Library::in_use},
    SealedColumn{"standby_pair", "sealed_scalar", {"id", ""}, Library::standby},
    SealedColumn{"standby_pair", "sealed_seed", {"id", ""}, Library::standby},
    SealedColumn{"quantum_key", "sealed", {"key_id", ""}, Library::standby},
    SealedColumn{"history_key", "sealed_pair", {"enc_kid", ""}, Library::history},
};

/// The place of a sealed column: "<table>.<column>/<key in hexadecimal>".
Bytes context_of(std::string_view table, std::string_view column, ByteView key);

struct SealedCell {
  std::vector<std::variant<std::int64_t, std::string, Bytes>> key;
  Bytes context;
  Bytes sealed;
};
/// At most so many cells that do not begin with this header.
Result<std::vector<SealedCell>> cells_not_under(store::Transaction& transaction, const SealedColumn& column, ByteView header, std::size_t most);
/// True if a cell begins with it.
Result<bool> any_under(store::Transaction& transaction, const SealedColumn& column, ByteView header);
Result<void> put_cell(store::Transaction& transaction, const SealedColumn& column, const SealedCell& cell, ByteView sealed);

}  // namespace qanat::kms
