// ETSI GS QKD 004 between two real QKMs, spoken to by an independent client as two applications, one on TLS 1.3 and one on TLS 1.2.
#include "sae_client.hpp"
#include "stream_client.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

class Etsi004System : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    network_ = std::make_unique<TestNetwork>();
    if (!network_->ok()) return;
    let_saes_in(*network_, [](const app::SaeDemo& demo) {
      saes_.emplace(demo);
      streams_.emplace(network_->network(), demo);
    });
    network_->await_quantum_keys();
    TestNetwork::await(
        "keys for a stream",
        [] {
          const auto stored = saes_->curl("sae-a", "qkm-a", "/api/v1/keys/sae-b/status").json().integer("stored_key_count");
          return stored && *stored >= 2;
        },
        std::chrono::seconds(60));
  }
  static void TearDownTestSuite() {
    network_.reset();
    saes_.reset();
    streams_.reset();
  }
  void SetUp() override { ASSERT_TRUE(network_ && network_->ok()); }

  static std::unique_ptr<TestNetwork> network_;
  static std::optional<SaeClient> saes_;
  static std::optional<StreamClient> streams_;
};
std::unique_ptr<TestNetwork> Etsi004System::network_;
std::optional<SaeClient> Etsi004System::saes_;
std::optional<StreamClient> Etsi004System::streams_;

TEST_F(Etsi004System, AnIndependentClientHasAHundredChunksAtBothEndsAndIsRefusedWhatItMayNot) {
  const StreamClient::Ended ended = streams_->talk();
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_TRUE(ended.output.ends_with("all is well\n")) << ended.output;
  network_->expect_audit("qkm-a", "sae.stream.open", "");
  network_->expect_audit("qkm-a", "sae.stream.get", "no open stream of this application");
  network_->expect_audit("qkm-a", "etsi004.open_connect", "the source is not the SAE of the certificate");
  network_->expect_audit("qkm-a", "etsi004.connection", "version: must be 1.0.1");
  network_->expect_audit("qkm-a", "sae.connection", "peer did not return a certificate");
  network_->expect_audit("qkm-b", "sae.stream.activated", "");
}

TEST_F(Etsi004System, AStreamGoesOnAfterTheDeathOfEitherQkm) {
  std::string stream = "new";
  std::set<std::string> seen;
  std::uint32_t next = 0;
  const auto both_get_one = [&] {
    const StreamPair got = streams_->chunk(stream, next++);
    stream = got.ksid;
    if (got.chunk[0].empty() || got.chunk[1].empty()) return false;
    EXPECT_EQ(got.chunk[0], got.chunk[1]);
    EXPECT_TRUE(seen.insert(got.chunk[0]).second);
    return true;
  };
  TestNetwork::await("a chunk at both ends", both_get_one, std::chrono::seconds(30));
  const std::string first = stream;
  for (const char* qkm : {"qkm-b", "qkm-a"}) {
    network_->running().stop_element(qkm, app::RunningNetwork::Ending::kill);
    const auto started = network_->running().start_element(qkm);
    ASSERT_TRUE(started) << started.error().message;
    TestNetwork::await("a chunk at both ends", both_get_one, std::chrono::seconds(30));
  }
  EXPECT_EQ(stream, first);
}

}  // namespace
}  // namespace qanat::test
