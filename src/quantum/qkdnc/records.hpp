// What a controller keeps across a restart: the shape of the network and its highest term. Stocks and rates are reported anew every second.
#pragma once

#include <memory>

#include "quantum/qkdnc/topology.hpp"
#include "store/store.hpp"

namespace qanat::qkdnc {

class Records {
 public:
  static Result<std::unique_ptr<Records>> open(const std::filesystem::path& file);

  Result<std::uint64_t> term();
  Result<void> store_term(std::uint64_t term);

  struct Known {
    ElementName qkm;
    std::vector<ReportedLink> links;  // names and peers alone
  };
  Result<std::vector<Known>> known();
  /// Writes only if the shape differs from what is stored.
  Result<void> store_shape(const ElementName& qkm, std::span<const ReportedLink> links);

 private:
  explicit Records(std::unique_ptr<store::Store> store) : store_(std::move(store)) {}
  std::unique_ptr<store::Store> store_;
  std::map<ElementName, std::string> shapes_;  // as stored
};

}  // namespace qanat::qkdnc
