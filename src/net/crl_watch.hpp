// Looks whether the file of revocation lists of a listener for software of others is another than it was, so that who is revoked is served no longer.
#pragma once

#include <optional>

#include "net/foreign.hpp"

namespace qanat::net {

class CrlWatch {
 public:
  /// `tls`: what the listener is started with. Before it is started, so that no change is missed.
  explicit CrlWatch(ForeignTls tls);

  /// Where the file is another: connections that come from now on are held against it, and those that are open end, since the handshakes by which they came
  /// asked the former lists. To be called about once a second, by one thread. A file that does not fit is invalid_argument each time, and the listener goes on
  /// as it was; so it does where the file is gone.
  Result<void> look(ForeignListener& listener);

 private:
  [[nodiscard]] std::optional<std::filesystem::file_time_type> written() const;

  const ForeignTls tls_;
  std::optional<std::filesystem::file_time_type> read_;
};

}  // namespace qanat::net
