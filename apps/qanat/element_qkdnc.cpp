// Wiring: QKDNC.
#include "element.hpp"
#include "quantum/qkdnc/service.hpp"

namespace qanat::app {
namespace {

class QkdncElement final : public Service {
 public:
  explicit QkdncElement(std::unique_ptr<qkdnc::QkdncService> service) : service_(std::move(service)) {}
  std::vector<points::Handler> handlers() override { return service_->handlers(); }

 private:
  std::unique_ptr<qkdnc::QkdncService> service_;
};

}  // namespace

int run_qkdnc(const std::filesystem::path& config) {
  return run_element(config, Kind::qkdnc, [](node::Config& file) -> BuildService {
    return [settings = qkdnc::QkdncSettings::read(file)](node::Node& node) -> Result<std::unique_ptr<Service>> {
      ASSIGN_OR_RETURN(auto service, qkdnc::QkdncService::open(node, settings));
      return std::unique_ptr<Service>(new QkdncElement(std::move(service)));
    };
  });
}

}  // namespace qanat::app
