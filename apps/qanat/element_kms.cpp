// Wiring: KMS.
#include "element.hpp"
#include "services/kms/service.hpp"

namespace qanat::app {
namespace {

class KmsElement final : public Service {
 public:
  explicit KmsElement(std::unique_ptr<kms::KmsService> service) : service_(std::move(service)) {}
  std::vector<points::Handler> handlers() override { return service_->handlers(); }
  Result<void> started() override {
    service_->start();
    return {};
  }
  void stopped() override { service_->stop(); }

 private:
  std::unique_ptr<kms::KmsService> service_;
};

}  // namespace

int run_kms(const std::filesystem::path& config) {
  return run_element(config, Kind::kms, [](node::Config& file) -> BuildService {
    return [settings = kms::KmsSettings::read(file)](node::Node& node) -> Result<std::unique_ptr<Service>> {
      ASSIGN_OR_RETURN(auto service, kms::KmsService::open(node, settings));
      return std::unique_ptr<Service>(new KmsElement(std::move(service)));
    };
  });
}

}  // namespace qanat::app
