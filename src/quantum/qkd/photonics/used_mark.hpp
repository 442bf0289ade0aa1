// How far a recording is used, stored beside it.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.hpp"

namespace qanat::qkd {

class UsedMark {
 public:
  /// Of the recording with this event file: `<events>.used`. No such file: nothing is used yet. invalid_argument when it is not a number,
  /// internal when it is there and cannot be read.
  static Result<UsedMark> open(const std::filesystem::path& events);
  /// The first pulse that is not used.
  [[nodiscard]] std::uint64_t next() const noexcept { return next_; }
  /// Everything before `next` is used. Durable when this returns.
  Result<void> advance(std::uint64_t next);

 private:
  explicit UsedMark(std::filesystem::path file) : file_(std::move(file)) {}
  std::filesystem::path file_;
  std::uint64_t next_ = 0;
};

}  // namespace qanat::qkd
