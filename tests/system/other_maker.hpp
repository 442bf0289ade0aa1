// A key manager of another maker next to qkm-a, in the test's process: the receiving side of ETSI GS QKD 020, written against the drafts' messages alone and
// with nothing of kme/etsi020, under a root of its own. It keeps what it was brought, acknowledges until somebody answers, and voids what it is asked to.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "net/foreign_client.hpp"
#include "net/workers.hpp"
#include "sae_demo.hpp"
#include "wire/json.hpp"

namespace qanat::test {

class OtherMaker {
 public:
  static constexpr const char* kme = "kme-x";
  static constexpr const char* sae = "sae-x";  // the one that it serves

  /// After app::prepare_saes(), while qkm-a does not run: starts to listen, and appends itself to qkm-a's configuration.
  static Result<std::unique_ptr<OtherMaker>> start(const app::Network& network, const app::SaeDemo& demo);
  ~OtherMaker();
  OtherMaker(const OtherMaker&) = delete;
  OtherMaker& operator=(const OtherMaker&) = delete;

  /// What its SAE can have: the key's value (base64) if it was brought and is not voided.
  std::optional<std::string> value_of(const std::string& id);
  /// The ids of all such keys.
  std::vector<std::string> held();
  /// How many keys were brought and then voided.
  std::size_t voided_after_they_came();
  /// What must never happen, in words: an id with two values, keys that come after they were voided.
  std::vector<std::string> complaints();

 private:
  struct Kept {
    std::string value;
    bool came = false;
    bool voided = false;
  };
  OtherMaker() : posting_(1, 1024) {}
  Result<void> listen(const app::Network& network);
  Result<void> become_known(const app::Network& network, const app::SaeDemo& demo);
  void take_keys(const net::ForeignRequest& request, net::ForeignReply reply);
  void void_keys(const net::ForeignRequest& request, net::ForeignReply reply);
  Result<void> keep(const wire::Json& message);
  void acknowledge(const wire::Json& message);
  void post_until_answered(const net::ForeignUrl& url, const std::string& body);

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::map<std::string, Kept> keys_;  // by id
  std::vector<std::string> complaints_;
  std::unique_ptr<net::ForeignClient> client_;
  net::Workers posting_;
  std::unique_ptr<net::ForeignListener> listener_;  // last: its threads use what stands above
};

}  // namespace qanat::test
