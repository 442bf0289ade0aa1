#include "element.hpp"

namespace qanat::app {
namespace {

/// CCS has its identity, its certificate and its place in the network, and answers health. Two-party signing, decapsulation and joint key
/// generation (Cs-1, Cc-1, Ck-1) are not offered: those points have no endpoint.
class CcsElement final : public Service {
 public:
  std::vector<points::Handler> handlers() override { return {}; }
};

BuildService read(node::Config& /*config*/) {
  return [](node::Node&) -> Result<std::unique_ptr<Service>> { return Result<std::unique_ptr<Service>>(std::make_unique<CcsElement>()); };
}

}  // namespace

int run_ccs(const std::filesystem::path& config) { return run_element(config, Kind::ccs, read); }

}  // namespace qanat::app
