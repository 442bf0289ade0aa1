// Wiring: QKD.
#include "element.hpp"
#include "quantum/qkd/process/service.hpp"

namespace qanat::app {
namespace {

class QkdElement final : public Service {
 public:
  explicit QkdElement(std::unique_ptr<qkd::QkdService> service) : service_(std::move(service)) {}
  std::vector<points::Handler> handlers() override { return service_->handlers(); }
  Result<void> started() override {
    service_->start();
    return {};
  }
  void stopped() override { service_->stop(); }

 private:
  std::unique_ptr<qkd::QkdService> service_;
};

}  // namespace

int run_qkd(const std::filesystem::path& config) {
  return run_element(config, Kind::qkd, [](node::Config& file) -> BuildService {
    return [settings = qkd::QkdSettings::read(file)](node::Node& node) -> Result<std::unique_ptr<Service>> {
      ASSIGN_OR_RETURN(auto service, qkd::QkdService::open(node, settings));
      return std::unique_ptr<Service>(new QkdElement(std::move(service)));
    };
  });
}

}  // namespace qanat::app
