// What a double of an element records, one line per event, for tests to wait for.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "audit/audit.hpp"

namespace qanat::qkm::test {

inline constexpr std::chrono::seconds answer_max{20};

struct AuditRecords {
  Result<void> record(const audit::Event& event) {
    const std::lock_guard lock(mutex);
    if (audit_broken) return fail(ErrorCode::internal, "disk full");
    records.push_back(std::string(event.action) + " " + std::string(audit::name(event.outcome)) + " " + std::string(event.subject) + " " +
                      std::string(event.object) + " " + std::string(event.reason));
    changed.notify_all();
    return {};
  }
  /// Waits until there is such a record.
  [[nodiscard]] bool await_record(std::string_view part) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, answer_max, [&] { return has(part); });
  }
  [[nodiscard]] bool recorded(std::string_view part) {
    const std::lock_guard lock(mutex);
    return has(part);
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> records;
  std::atomic<bool> audit_broken = false;

 private:
  [[nodiscard]] bool has(std::string_view part) const {
    return std::ranges::any_of(records, [&](const std::string& record) { return record.contains(part); });
  }
};

}  // namespace qanat::qkm::test
