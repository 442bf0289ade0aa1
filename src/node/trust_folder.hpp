// The folder with the roots and issuing CAs that an element trusts: root-*.pem and issuing-*.pem. Read again when it has changed, so that a new issuing CA is
// known without a restart; a folder that cannot be read leaves in force what was.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "crypto/x509.hpp"

namespace qanat::node {

class TrustFolder {
 public:
  explicit TrustFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// What is in it. not_found if it holds no root; the error names the file that does not fit.
  Result<crypto::TrustSet> read();
  /// What is in it, if that is something else than at the last read(). Looks at most once in `pause`.
  std::optional<crypto::TrustSet> renewed();

  static constexpr std::chrono::milliseconds pause{200};

 private:
  struct File {
    std::filesystem::path path;
    std::filesystem::file_time_type written;
    std::uintmax_t size = 0;
    bool operator==(const File&) const = default;
  };
  [[nodiscard]] Result<std::vector<File>> files() const;

  const std::filesystem::path folder_;
  std::vector<File> seen_;  // as they were before they were read: what is written meanwhile shows at the next look
  std::chrono::steady_clock::time_point looked_{};
  bool complained_ = false;
};

}  // namespace qanat::node
