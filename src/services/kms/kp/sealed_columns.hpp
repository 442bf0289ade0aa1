// Which columns of the KMS's database are sealed, and for which pool: what a change of the pool key goes through.
#pragma once

#include <array>
#include <vector>

#include "services/kms/kp/pool.hpp"
#include "store/store.hpp"

namespace qanat::kms {

/// What a new pool key means for a column.
enum class Renewal : std::uint8_t {
  sealed_anew,
  waited_for,  // its keys do not live long: the former pool key stays until they are gone. Its context is its module's own
};

/// A column's value as it stands in the database.
using CellPart = std::variant<std::int64_t, std::string, Bytes>;

struct SealedColumn {
  std::string_view table;
  std::string_view column;
  std::array<std::string_view, 3> key;  // the row's key; all but the first may be ""
  Pool pool;
  Renewal renewal = Renewal::sealed_anew;
  /// Absent: context_of() the key. Else a context of the column's module, of these columns.
  Bytes (*context)(std::span<const CellPart> parts) = nullptr;
  std::array<std::string_view, 2> context_columns = {};
};
Bytes csa_version_context(std::span<const CellPart> parts);
Bytes charged_key_context_of(std::span<const CellPart> parts);
Bytes key_chunk_context(std::span<const CellPart> parts);
Bytes sae_key_context(std::span<const CellPart> parts);

inline constexpr std::array sealed_columns{
    SealedColumn{"working_key", "sealed_wk", {"sid_wk", "leg"}, Pool::in_use, Renewal::waited_for},
    SealedColumn{"terminal", "sealed_encryption", {"uid"}, Pool::in_use},
    SealedColumn{"prepared_encryption", "sealed_scalar", {"uid", "h_enrol"}, Pool::in_use},
    SealedColumn{"prepared_encryption", "sealed_seed", {"uid", "h_enrol"}, Pool::in_use},
    SealedColumn{"standby_pair", "sealed_scalar", {"id"}, Pool::standby},
    SealedColumn{"standby_pair", "sealed_seed", {"id"}, Pool::standby},
    SealedColumn{"quantum_key", "sealed", {"key_id"}, Pool::standby},
    SealedColumn{"history_key", "sealed_pair", {"enc_kid"}, Pool::history},
    SealedColumn{"csa_version", "sealed", {"key_id", "version"}, Pool::csa, Renewal::sealed_anew, csa_version_context, {"key_id", "version"}},
    SealedColumn{"key_chunk", "sealed", {"batch_id"}, Pool::sae, Renewal::sealed_anew, key_chunk_context, {"batch_id", "gone"}},
    SealedColumn{"sae_key", "sealed", {"batch_id", "first"}, Pool::sae, Renewal::sealed_anew, sae_key_context, {"batch_id", "first"}},
    SealedColumn{"injected_key", "sealed_key", {"medium", "key_set", "key_index"}, Pool::charged, Renewal::sealed_anew, charged_key_context_of},
    SealedColumn{"medium", "sealed_transport", {"medium"}, Pool::charged},
};

/// The place of a sealed column: "<table>.<column>/<key in hexadecimal>".
Bytes context_of(std::string_view table, std::string_view column, ByteView key);

struct SealedCell {
  std::vector<CellPart> key;
  Bytes context;
  Bytes sealed;
};
/// At most so many cells that do not begin with this header.
Result<std::vector<SealedCell>> cells_not_under(store::Transaction& transaction, const SealedColumn& column, ByteView header, std::size_t most);
/// True if a cell begins with it.
Result<bool> any_under(store::Transaction& transaction, const SealedColumn& column, ByteView header);
Result<void> put_cell(store::Transaction& transaction, const SealedColumn& column, const SealedCell& cell, ByteView sealed);

}  // namespace qanat::kms
