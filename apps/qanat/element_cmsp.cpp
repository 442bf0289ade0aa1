#include "element.hpp"
#include "services/cmsp/service.hpp"

namespace qanat::app {
namespace {

class CmspElement final : public Service {
 public:
  explicit CmspElement(std::unique_ptr<cmsp::CmspService> service) : service_(std::move(service)) {}
  std::vector<points::Handler> handlers() override { return service_->handlers(); }

 private:
  std::unique_ptr<cmsp::CmspService> service_;
};

// CMSP needs no settings beyond the common ones.
BuildService read(node::Config& /*config*/) {
  return [](node::Node& node) -> Result<std::unique_ptr<Service>> {
    ASSIGN_OR_RETURN(auto service, cmsp::CmspService::open(node));
    return Result<std::unique_ptr<Service>>(std::make_unique<CmspElement>(std::move(service)));
  };
}

}  // namespace

int run_cmsp(const std::filesystem::path& config) { return run_element(config, Kind::cmsp, read); }

}  // namespace qanat::app
