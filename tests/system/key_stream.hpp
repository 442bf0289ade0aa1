// A stream of quantum keys as two KMSs take them while something dies: at one end, by id at the other, each once, every request answered in its time.
#pragma once

#include <set>

#include "test_network.hpp"

namespace qanat::test {

class KeyStream {
 public:
  static constexpr std::int64_t together = 8;                // keys of one request
  static constexpr std::chrono::seconds answer_max{11};      // a request's own time is ten seconds
  static constexpr std::chrono::seconds patience_default{90};

  explicit KeyStream(TestNetwork& network) : network_(network) {}

  struct Key {
    std::string id;
    std::string path_id;
  };
  /// Keys for domain b; none if the QKM refuses, which it must do in time and saying why.
  std::vector<Key> take() {
    const auto began = std::chrono::steady_clock::now();
    const wire::Json wanted = wire::Json::object({{"peer_domain", "b"}, {"sid_wk", to_hex(network_.rng().bytes(16))}, {"count", together}, {"kms", "kms-a"}});
    const auto answer = network_.call_json("kms-a", points::Endpoint::km3_take, "qkm-a", wanted);
    EXPECT_TRUE(answer) << "an answer within the request's time: " << answer.error().message;
    EXPECT_LT(std::chrono::steady_clock::now() - began, answer_max);
    if (!answer) return {};
    if (answer->status != 200) {
      refused(*answer);
      return {};
    }
    const auto json = wire::Json::parse(answer->body);
    const auto keys = json ? json->array("keys") : Result<std::vector<wire::Json>>(fail(json.error()));
    EXPECT_TRUE(keys) << as_text(answer->body);
    std::vector<Key> out;
    for (const wire::Json& key : keys.value_or(std::vector<wire::Json>())) out.push_back({key.text("key_id").value(), key.text("path_id").value()});
    return out;
  }
  bool fetch(const std::vector<Key>& keys) {
    wire::Json ids = wire::Json::array();
    for (const Key& key : keys) ids.push(key.id);
    const auto answer = network_.call_json("kms-b", points::Endpoint::km3_fetch, "qkm-b",
                                           wire::Json::object({{"peer_domain", "a"}, {"key_ids", ids}, {"sid_wk", to_hex(network_.rng().bytes(16))}}));
    return answer && answer->status == 200;
  }
  /// Takes keys at one end and fetches them at the other, until `enough`, which is told what came (nothing: a refusal).
  void until(const std::string& what, const std::function<bool(const std::vector<Key>& keys)>& enough, std::chrono::milliseconds patience = patience_default) {
    TestNetwork::await(
        what,
        [&] {
          const std::vector<Key> keys = take();
          for (const Key& key : keys) EXPECT_TRUE(ids_.insert(key.id).second) << "a key came twice";
          if (!keys.empty()) EXPECT_TRUE(fetch(keys)) << "keys that the near end was given are not at the far end";
          return enough(keys);
        },
        patience);
  }
  /// Until so many more have come.
  void until_more(const std::string& what, std::size_t keys) {
    const std::size_t wanted = ids_.size() + keys;
    until(what, [&](const auto&) { return ids_.size() >= wanted; });
  }

  /// Keys that came, each once.
  [[nodiscard]] std::size_t keys() const noexcept { return ids_.size(); }
  [[nodiscard]] std::size_t refusals() const noexcept { return refusals_; }
  [[nodiscard]] const std::string& last_refusal() const noexcept { return last_refusal_; }

 private:
  void refused(const net::Response& answer) {
    ++refusals_;
    // Unavailable, exhausted, or out of time: what may be otherwise later, and is nobody's mistake.
    EXPECT_TRUE(answer.status == 503 || answer.status == 504) << answer.status << ": " << as_text(answer.body);
    const auto json = wire::Json::parse(answer.body);
    last_refusal_ = json ? json->text("message").value_or("") : "";
    EXPECT_FALSE(last_refusal_.empty()) << "a refusal that does not say why: " << as_text(answer.body);
  }

  TestNetwork& network_;
  std::set<std::string> ids_;
  std::size_t refusals_ = 0;
  std::string last_refusal_;
};

}  // namespace qanat::test
