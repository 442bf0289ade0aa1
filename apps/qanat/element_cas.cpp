#include "element.hpp"
#include "services/cas/service.hpp"

namespace qanat::app {
namespace {

class CasElement final : public Service {
 public:
  explicit CasElement(std::unique_ptr<cas::CasService> service) : service_(std::move(service)) {}
  std::vector<points::Handler> handlers() override { return service_->handlers(); }

 private:
  std::unique_ptr<cas::CasService> service_;
};

BuildService read(node::Config& config) {
  return [settings = cas::CasSettings::read(config)](node::Node& node) -> Result<std::unique_ptr<Service>> {
    ASSIGN_OR_RETURN(auto service, cas::CasService::open(node, settings));
    return Result<std::unique_ptr<Service>>(std::make_unique<CasElement>(std::move(service)));
  };
}

}  // namespace

// CAS enrols nowhere: its service issues its own certificate when it is opened.
int run_cas(const std::filesystem::path& config) { return run_element(config, Kind::cas, read, false); }

}  // namespace qanat::app
