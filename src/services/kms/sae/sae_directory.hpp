// Which SAEs there are, as IAM says (Id-1): asked at the start and every now and then, at once when IAM tells that something has changed (Pm-1 revoked). What it
// said counts for a time and then no longer: without IAM no SAE is served for ever.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "kme/sae_registry.hpp"
#include "kme/stock/arrivals.hpp"
#include "wire/json.hpp"

namespace qanat::kms {

class SaeDirectory {
 public:
  struct Place {
    std::string domain;
    std::string kms;
    std::chrono::milliseconds refresh{60000};
    std::chrono::milliseconds lifetime{600000};
  };
  struct Ports {
    /// Id-1: a body, and IAM's answer. May block until the deadline.
    std::function<Result<wire::Json>(const wire::Json& body, Deadline deadline)> ask;
    /// The list is another now, or nobody's any more: for the record. The list is in force once this has succeeded.
    std::function<Result<void>(std::size_t saes, std::string_view why)> changed;
  };
  SaeDirectory(Place place, const Clock& clock, Ports ports);
  ~SaeDirectory() { stop(); }
  SaeDirectory(const SaeDirectory&) = delete;
  SaeDirectory& operator=(const SaeDirectory&) = delete;

  [[nodiscard]] const kme::SaeRegistry& registry() const noexcept { return registry_; }

  /// Asks IAM now; what it said before stays in force if it does not answer.
  Result<void> refresh(Deadline deadline);
  /// IAM says that something about the subject has changed ("class:application": about all): it is served no longer, until IAM says again what it is.
  void changed(const std::string& subject);
  /// Whether what is known is as old as it may be: then nobody is served. To be called now and then.
  void look_at_clock();

  void start();
  void stop();

 private:
  struct Heard {
    std::string digest;
    bool same = false;
    std::vector<kme::Sae> saes;
  };
  Result<Heard> ask_all(const std::string& known, Deadline deadline);
  Result<Heard> ask_page(const std::string& known, const std::string& after, std::string& next, Deadline deadline);
  void run();

  const Place place_;
  const Clock& clock_;
  const Ports ports_;
  kme::SaeRegistry registry_;
  std::mutex refreshing_;  // one refresh at a time
  std::mutex mutex_;
  std::string digest_;         // under mutex_: of the list in force; empty: IAM is asked for all of it
  std::uint64_t changes_ = 0;  // under mutex_: told by IAM
  UnixMs heard_ms_ = 0;        // under mutex_
  kme::Arrivals rung_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::kms
