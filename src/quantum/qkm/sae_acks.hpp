// Acknowledgements of keys that other makers' key managers brought (ETSI GS QKD 020), posted to the callback address that came with them: only where the
// configuration lets them go, a few times if nobody answers. One that is lost for good is asked for by the other side, which brings its keys again.
#pragma once

#include <condition_variable>
#include <map>

#include "net/foreign_client.hpp"
#include "net/workers.hpp"

namespace qanat::qkm {

class AckSender {
 public:
  /// `prefixes`: by key manager, what an address must begin with. `client_of`: never nullptr for a key manager that has a prefix.
  AckSender(std::map<std::string, std::string> prefixes, std::function<net::ForeignClient*(const std::string& kme)> client_of);
  ~AckSender();  // stops

  /// Returns at once.
  void send(const std::string& kme, const std::string& url, std::string body);
  void stop();

 private:
  void post(const std::string& kme, const net::ForeignUrl& target, const std::string& body);

  const std::map<std::string, std::string> prefixes_;
  const std::function<net::ForeignClient*(const std::string& kme)> client_of_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::map<std::string, std::unique_ptr<net::Workers>> workers_;  // last: their threads use what stands above; one each, so that a silent one holds up no other
};

}  // namespace qanat::qkm
