// The twelve steps of one call, gathered from the elements' step traces and the terminals' events while they happen.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "network.hpp"

namespace qanat::app {

struct StepLine {
  int step = 0;
  std::string element;
  std::string what;
  double ms = 0;
  std::int64_t end_us = 0;  // since the Unix epoch
};

struct StepName {
  int n;
  const char* name;
};
/// The names of Figure 2.
inline constexpr std::array step_names{
    StepName{1, "key injection and certificate issuance"}, StepName{2, "certificate registration through the KMS"},
    StepName{3, "call initiation"},                        StepName{4, "key application"},
    StepName{5, "certificate verification"},               StepName{6, "access token"},
    StepName{7, "session application"},                    StepName{8, "session notification"},
    StepName{9, "quantum key distribution and relay"},     StepName{10, "terminal encryption keys"},
    StepName{11, "key delivery"},                          StepName{12, "encrypted call"},
};

/// Reads what the elements append to their steps.jsonl, from where it stopped before.
class StepTail {
 public:
  explicit StepTail(const Network& network) : network_(network) {}
  /// New lines of the sessions in question, in the order of their end.
  std::vector<StepLine> poll(const std::vector<std::string>& sessions);

 private:
  const Network& network_;
  std::map<std::string, std::streamoff> read_up_to_;
};

/// Lines of a terminal's enrolment (steps 1 and 2), as recorded when it enrolled.
std::vector<StepLine> enrolment_steps(const Network& network, const std::vector<std::string>& uids);

/// For summary.json: twelve objects with n, name and ms, the longest that any element reports for the step.
wire::Json summarise(const std::vector<StepLine>& lines);

}  // namespace qanat::app
