#include "kms_database.hpp"

#include "services/kms/schema.hpp"

namespace qanat::bench {

Result<std::unique_ptr<KmsDatabase>> KmsDatabase::open(Ground& ground, const std::string& kms) {
  ASSIGN_OR_RETURN(auto device, crypto::open_software_device(ground.network().secret_of(kms + ".master"), ground.rng()));
  const std::filesystem::path state = ground.network().state_of(kms);
  ASSIGN_OR_RETURN(auto plain, store::Store::open(state / "kms.db", kms::migrations));
  const store::GuardSettings guard{
      .anchor = state / "kms.anchor", .tables = kms::guarded_tables, .suite = &ground.suite(), .device = device.get(), .may_adopt = []() -> Result<void> {
        return fail(ErrorCode::denied, "a KMS's database without a guard");
      }};
  ASSIGN_OR_RETURN(auto store, store::GuardedStore::open(std::move(plain), guard));
  return std::unique_ptr<KmsDatabase>(new KmsDatabase(std::move(device), std::move(store)));
}

}  // namespace qanat::bench
