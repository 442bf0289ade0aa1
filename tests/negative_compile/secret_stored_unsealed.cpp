// expect: no matching member function for call to 'run'
#include "store/store.hpp"

qanat::Result<std::int64_t> keep(qanat::store::Transaction& transaction, const qanat::Secret& secret) {
  // offending begin
  TRY(transaction.run("INSERT INTO wk (key) VALUES (?)", {secret}));
  // offending end
  return transaction.run("INSERT INTO wk (size) VALUES (?)", {static_cast<std::int64_t>(secret.size())});
}
