// Wiring: QKM.
#include "element.hpp"
#include "quantum/qkm/service.hpp"

namespace qanat::app {
namespace {

class QkmElement final : public Service {
 public:
  explicit QkmElement(std::unique_ptr<qkm::QkmService> service) : service_(std::move(service)) {}
  std::vector<points::Handler> handlers() override { return service_->handlers(); }
  Result<void> started() override {
    service_->start();
    return {};
  }
  void stopped() override { service_->stop(); }

 private:
  std::unique_ptr<qkm::QkmService> service_;
};

}  // namespace

int run_qkm(const std::filesystem::path& config) {
  return run_element(config, Kind::qkm, [](node::Config& file) -> BuildService {
    return [settings = qkm::QkmSettings::read(file)](node::Node& node) -> Result<std::unique_ptr<Service>> {
      ASSIGN_OR_RETURN(auto service, qkm::QkmService::open(node, settings));
      return std::unique_ptr<Service>(new QkmElement(std::move(service)));
    };
  });
}

}  // namespace qanat::app
