#include "element.hpp"
#include "services/iam/service.hpp"

namespace qanat::app {
namespace {

class IamElement final : public Service {
 public:
  explicit IamElement(std::unique_ptr<iam::IamService> service) : service_(std::move(service)) {}
  std::vector<points::Handler> handlers() override { return service_->handlers(); }

 private:
  std::unique_ptr<iam::IamService> service_;
};

BuildService read(node::Config& config) {
  return [settings = iam::IamSettings::read(config)](node::Node& node) -> Result<std::unique_ptr<Service>> {
    ASSIGN_OR_RETURN(auto service, iam::IamService::open(node, settings));
    return Result<std::unique_ptr<Service>>(std::make_unique<IamElement>(std::move(service)));
  };
}

}  // namespace

int run_iam(const std::filesystem::path& config) { return run_element(config, Kind::iam, read); }

}  // namespace qanat::app
