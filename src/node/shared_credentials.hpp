// Follows what the processes of one element share: when one of them has renewed the certificates, the others show and use the new ones as well, at once.
#pragma once

#include <thread>

namespace qanat::node {

class Node;

class SharedCredentials {
 public:
  /// The node must outlive this.
  explicit SharedCredentials(Node& node) : node_(node) {}
  ~SharedCredentials() { stop(); }
  SharedCredentials(const SharedCredentials&) = delete;
  SharedCredentials& operator=(const SharedCredentials&) = delete;

  void start();
  void stop();

 private:
  void run(const std::stop_token& stopped);

  Node& node_;
  std::jthread thread_;
};

}  // namespace qanat::node
