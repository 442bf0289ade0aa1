#include "node/steps.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "audit/chain.hpp"

namespace qanat::node {

StepTrace::StepTrace(const std::filesystem::path& state) : descriptor_(::open((state / "steps.jsonl").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {}

void StepTrace::done(int step, std::string_view session, std::string_view what, std::chrono::steady_clock::duration took) {
  const auto now_us = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  const double ms = std::chrono::duration<double, std::milli>(took).count();
  // Written as it is: there are several for each delivery, and a tree of values would take longer than the call that writes it.
  const std::string line = fmt::format("{{\"step\":{},\"session\":\"{}\",\"what\":\"{}\",\"end_us\":{},\"ms\":{}}}\n", step, audit::json_text(session),
                                       audit::json_text(what), now_us, ms);
  // One write call: lines of several threads do not mix. A trace that cannot be written is no reason to refuse the call.
  const std::lock_guard lock(mutex_);
  if (descriptor_ >= 0 && ::write(descriptor_, line.data(), line.size()) < 0) descriptor_ = -1;
}

}  // namespace qanat::node
