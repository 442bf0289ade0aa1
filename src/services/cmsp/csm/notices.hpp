// Notices of anomalies from IAM: what the security monitoring shows of them. The records behind a notice stay with IAM.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "store/store.hpp"
#include "wire/json.hpp"

namespace qanat::cmsp {

struct Notice {
  std::int64_t id = 0;  // IAM's
  std::string rule;
  std::string uid;
  UnixMs found_ms = 0;
  std::string why;
};
/// As IAM sends it; the numbers of the records are read over. invalid_argument names what does not fit.
Result<Notice> read_notice(const wire::Json& json);

class Notices {
 public:
  explicit Notices(store::Store& store) : store_(store) {}
  /// Durable when it returns. One that is there already changes nothing: IAM sends until it is answered.
  Result<void> take(const std::string& iam, const Notice& notice, UnixMs now);
  struct Census {
    std::int64_t count = 0;
    std::string last;  // "rate of A: …"; empty without one
  };
  Result<Census> census();

 private:
  store::Store& store_;
};

}  // namespace qanat::cmsp
