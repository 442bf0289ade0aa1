// A KMS's way to its QKM (Km-3), for measurements: takes keys for domain b.
#pragma once

#include "ground.hpp"
#include "points/points.hpp"
#include "wire/json.hpp"

namespace qanat::bench {

class KeyTaker {
 public:
  struct Key {
    std::string id;
    std::string path_id;
  };

  /// With the credentials of kms-a, which has enrolled.
  static Result<KeyTaker> at(Ground& ground, const std::string& qkm);
  Result<std::vector<Key>> take(std::size_t count, Deadline deadline);

 private:
  KeyTaker(Ground& ground, std::unique_ptr<net::Client> client) : ground_(ground), client_(std::move(client)) {}
  Ground& ground_;
  std::unique_ptr<net::Client> client_;
};

}  // namespace qanat::bench
