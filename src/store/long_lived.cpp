#include "store/long_lived.hpp"

namespace qanat::store {

Result<Secret> unseal_long_lived(Store& store, crypto::CryptoDevice& device, std::string_view table, std::string_view column, ByteView context, ByteView sealed) {
  ASSIGN_OR_RETURN(Secret secret, device.unseal(context, sealed));
  const std::optional<Bytes> anew = device.completed(context, sealed, secret);
  if (!anew) return Result<Secret>(std::move(secret));
  // Found by what stands there: no two boxes are the same, and one that was put in its place meanwhile stays.
  const std::string sql = "UPDATE " + std::string(table) + " SET " + std::string(column) + " = ? WHERE " + std::string(column) + " = ?";
  TRY(store.transact([&](Transaction& transaction) { return transaction.run(sql, {ByteView(*anew), sealed}); }));
  return Result<Secret>(std::move(secret));
}

}  // namespace qanat::store
