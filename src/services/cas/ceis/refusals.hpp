// What the enrolment protocols refuse before it comes to an order: on the audit record, and as behaviour of the subject at IAM. Strangers can make any
// number of these, so what is written is bounded: so many a second one by one, the rest counted together.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "node/node.hpp"

namespace qanat::cas {

class Refusals {
 public:
  explicit Refusals(node::Node& node) : node_(node) {}
  ~Refusals() { stop(); }
  Refusals(const Refusals&) = delete;
  Refusals& operator=(const Refusals&) = delete;

  void start();
  void stop();

  /// `subject`: of the registration that was named, if there is such.
  void note(std::string_view protocol, std::string_view reference, const std::optional<Uid>& subject, std::string_view why, const std::string& request_id);
  /// What an order of a subject came to; what is refused again and again is told as a number.
  void behaved(const Uid& subject, std::string action, std::string_view outcome, std::string object);

  /// Writes down what has been counted since the last time. The thread does so every second.
  void write_counted();

 private:
  void run();
  void record(std::string_view protocol, std::string_view object, std::string_view why, std::string_view request_id);

  node::Node& node_;
  std::mutex mutex_;
  std::condition_variable changed_;
  UnixMs second_ = 0;                           // that the count below is of
  std::size_t written_ = 0;                     // one by one in this second
  std::map<std::string, std::size_t> counted_;  // by protocol
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::cas
