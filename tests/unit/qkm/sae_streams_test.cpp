// Key streams over two key managers in one process: an index has one content at both ends, once each, whatever was lost or killed in between.
#include "quantum/qkm/sae_streams.hpp"

#include <future>

#include "sae_site.hpp"

namespace qanat::qkm {
namespace {

using kme::SaeId;
using kme::StreamChunk;
using kme::StreamOpened;
using kme::StreamQos;
using kme::StreamStatus;
using test::answer_max;
using test::caller;
using test::Held;
using test::share_keys;

struct Site : test::SaeSite {
  Site(std::string domain_, const std::string& other) : SaeSite(std::move(domain_), {{other, ElementName("qkm-" + other)}}) { open(); }
  void open() {
    DeliveryPorts own = ports();
    own.activate = [this](const ElementName&, const wire::Json& message, Deadline) { return carry(message); };
    streams = std::make_unique<SaeStreams>(place(std::chrono::seconds(3600)), parts(), std::move(own), limits);
    ASSERT_TRUE(streams->recover());
  }
  Result<wire::Json> carry(const wire::Json& message) {
    if (cut) return fail(ErrorCode::unavailable, "the line is cut");
    const std::string text = message.dump();
    const std::lock_guard lock(peer->heard_mutex);
    if (!peer->streams) return fail(ErrorCode::unavailable, "the other end is down");
    auto answer = peer->streams->heard(identity(), *read_activation(as_bytes(text)));
    if (answer_lost) return fail(ErrorCode::unavailable, "the answer was lost");
    return answer && answer_instead ? answer_instead(*answer) : std::move(answer);
  }
  void die() {
    std::unique_ptr<SaeStreams> gone;
    {
      const std::lock_guard lock(heard_mutex);
      gone = std::move(streams);
    }
    gone.reset();
    close_stock();
  }
  void start() {
    const std::lock_guard lock(heard_mutex);
    open_stock();
    open();
  }
  void restart() {
    die();
    start();
  }
  [[nodiscard]] std::int64_t own_keys() { return level(domains.begin()->first).own; }

  StreamLimits limits;
  Site* peer = nullptr;
  std::mutex heard_mutex;  // `streams` while the other site speaks to it
  std::unique_ptr<SaeStreams> streams;  // last: its threads use what stands above
};

class SaeStreamsTest : public testing::Test {
 protected:
  SaeStreamsTest() {
    a.peer = &b;
    b.peer = &a;
    share_keys(a, b, 300);
  }
  ~SaeStreamsTest() override {
    for (Site* site : {&a, &b}) site->cut = true;
    for (Site* site : {&a, &b}) site->die();
  }
  template <class T, class Ask>
  static std::future<T> later(Ask ask) {
    auto promise = std::make_shared<std::promise<T>>();
    auto out = promise->get_future();
    ask([promise](T value) { promise->set_value(std::move(value)); });
    return out;
  }
  template <class T>
  static T now(std::future<T> future) {
    if (future.wait_for(answer_max) == std::future_status::ready) return future.get();
    ADD_FAILURE() << "no answer in this test";
    return T{};
  }
  static StreamOpened open(Site& site, const char* from, const char* to, StreamQos qos = {}, const StreamId& id = {}) {
    return now(later<StreamOpened>(
        [&](auto done) { site.streams->open({.caller = caller(from), .destination = SaeId(to), .qos = std::move(qos), .id = id}, std::move(done)); }));
  }
  static std::future<StreamChunk> ask(Site& site, const char* sae, const StreamId& id, std::uint32_t index, std::uint32_t metadata_max = 0) {
    return later<StreamChunk>(
        [&](auto done) { site.streams->get({.caller = caller(sae), .id = id, .index = index, .metadata_max = metadata_max}, std::move(done)); });
  }
  static StreamChunk get(Site& site, const char* sae, const StreamId& id, std::uint32_t index, std::uint32_t metadata_max = 0) {
    return now(ask(site, sae, id, index, metadata_max));
  }
  static StreamStatus close(Site& site, const char* sae, const StreamId& id) {
    return now(later<StreamStatus>([&](auto done) { site.streams->close(caller(sae), id, std::move(done)); }));
  }
  /// Open at both ends.
  StreamId opened(StreamQos qos = {}) {
    const StreamOpened near = open(a, "sae-a", "sae-b", qos);
    EXPECT_EQ(near.status, StreamStatus::peer_not_connected);
    EXPECT_EQ(open(b, "sae-b", "sae-a", qos, near.id).status, StreamStatus::ok);
    return near.id;
  }
  void expect_alike(const StreamId& id, std::uint32_t index) {
    const StreamChunk near = get(a, "sae-a", id, index);
    const StreamChunk far = get(b, "sae-b", id, index);
    ASSERT_EQ(near.status, StreamStatus::ok) << index;
    ASSERT_EQ(far.status, StreamStatus::ok) << index;
    EXPECT_TRUE(equal_secret(near.key, far.key)) << index;
    EXPECT_TRUE(seen.insert(to_hex(near.key.reveal())).second) << index;
  }
  /// True as soon as there are no more such rows; `meanwhile` is done again and again until then.
  static bool empties(Site& site, std::string_view table, const std::function<void()>& meanwhile = [] {}) {
    const Deadline until = Deadline::after(answer_max);
    while (site.rows(table) > 0) {
      if (until.passed()) return false;
      meanwhile();
    }
    return true;
  }
  static StreamId some_id(std::uint8_t n) { return StreamId(Bytes(16, n)); }

  Site a{"a", "b"};
  Site b{"b", "a"};
  std::set<std::string> seen;
};

TEST_F(SaeStreamsTest, BothEndsGetTheSameChunkForAnIndexAndOnceEach) {
  const StreamId id = opened();
  for (std::uint32_t index = 0; index < 100; ++index) expect_alike(id, index);
  EXPECT_EQ(get(a, "sae-a", id, 7).status, StreamStatus::insufficient_key);
  EXPECT_EQ(get(b, "sae-b", id, 7).status, StreamStatus::insufficient_key);
  EXPECT_EQ(close(a, "sae-a", id), StreamStatus::ok);
  EXPECT_EQ(close(b, "sae-b", id), StreamStatus::ok);
  EXPECT_EQ(a.rows("sae_stream_chunk") + b.rows("sae_stream_chunk"), 0);
  EXPECT_TRUE(a.recorded("sae.stream.open success sae-a"));
  EXPECT_TRUE(a.recorded("sae.stream.supplied success sae-a"));
  EXPECT_TRUE(b.recorded("sae.stream.activated success qanat://a/qkm/qkm-a"));
  EXPECT_TRUE(b.recorded("sae.stream.get success sae-b"));
  EXPECT_TRUE(b.recorded("sae.stream.close success sae-b"));
}

TEST_F(SaeStreamsTest, TheEndThatDoesNotSupplyMayBeAheadAndOutOfOrder) {
  const StreamId id = opened({.chunk_octets = 100});
  std::map<std::uint32_t, StreamChunk> far;
  for (const std::uint32_t index : {5U, 0U, 3U, 12U}) {
    far[index] = get(b, "sae-b", id, index);
    ASSERT_EQ(far[index].status, StreamStatus::ok) << index;
    EXPECT_EQ(far[index].key.size(), 100U);
  }
  for (const auto& [index, chunk] : far) {
    const StreamChunk near = get(a, "sae-a", id, index);
    ASSERT_EQ(near.status, StreamStatus::ok);
    EXPECT_TRUE(equal_secret(near.key, chunk.key));
  }
}

TEST_F(SaeStreamsTest, AStreamWithinTheSiteNeedsNoStockAndNoOtherSite) {
  a.cut = true;
  const StreamOpened first = open(a, "sae-a", "sae-a2", {.chunk_octets = 48}, some_id(9));
  EXPECT_EQ(first.status, StreamStatus::peer_not_connected);
  EXPECT_EQ(open(a, "sae-a2", "sae-a", {}, some_id(9)).status, StreamStatus::ok);
  for (const std::uint32_t index : {0U, 4U, 2U}) {
    const StreamChunk one = get(a, "sae-a2", first.id, index);
    const StreamChunk other = get(a, "sae-a", first.id, index);
    ASSERT_EQ(one.status, StreamStatus::ok);
    EXPECT_EQ(one.key.size(), 48U);
    EXPECT_TRUE(equal_secret(one.key, other.key));
  }
  EXPECT_EQ(a.own_keys(), 300);
}

TEST_F(SaeStreamsTest, AnIdIsOnePairsAndIsNotOpenedTwice) {
  const StreamId id = opened();
  EXPECT_EQ(open(a, "sae-a", "sae-b", {}, id).status, StreamStatus::in_use);
  EXPECT_EQ(open(a, "sae-a2", "sae-b", {}, id).status, StreamStatus::in_use);
  EXPECT_EQ(open(b, "sae-b2", "sae-a2", {}, id).status, StreamStatus::in_use);
  ASSERT_EQ(open(a, "sae-a", "sae-b", {}, some_id(1)).status, StreamStatus::peer_not_connected);
  EXPECT_EQ(open(b, "sae-b", "sae-a2", {}, some_id(1)).status, StreamStatus::in_use);
  EXPECT_EQ(get(a, "sae-a2", id, 0).status, StreamStatus::no_connection);
  EXPECT_EQ(get(b, "sae-b2", id, 0).status, StreamStatus::no_connection);
  EXPECT_EQ(close(a, "sae-a2", id), StreamStatus::no_connection);
  EXPECT_TRUE(a.recorded("sae.stream.get refused sae-a2"));
}

TEST_F(SaeStreamsTest, WhenBothOpenOneGivenIdAtOnceBothAreConnected) {
  auto near = later<StreamOpened>(
      [&](auto done) { a.streams->open({.caller = caller("sae-a"), .destination = SaeId("sae-b"), .qos = {}, .id = some_id(3)}, std::move(done)); });
  auto far = later<StreamOpened>(
      [&](auto done) { b.streams->open({.caller = caller("sae-b"), .destination = SaeId("sae-a"), .qos = {}, .id = some_id(3)}, std::move(done)); });
  const StreamStatus one = now(std::move(near)).status;
  const StreamStatus other = now(std::move(far)).status;
  EXPECT_TRUE(one == StreamStatus::ok || other == StreamStatus::ok);
  EXPECT_LE(static_cast<int>(one) + static_cast<int>(other), 1);
  expect_alike(some_id(3), 0);
}

TEST_F(SaeStreamsTest, WithoutTheOtherApplicationThereIsNoKey) {
  const StreamOpened near = open(a, "sae-a", "sae-b", {.timeout_ms = 2000});
  EXPECT_EQ(get(a, "sae-a", near.id, 0).status, StreamStatus::peer_absent);
  EXPECT_EQ(a.own_keys(), 300);
  EXPECT_EQ(close(b, "sae-b", near.id), StreamStatus::no_connection);  // it never opened it
}

TEST_F(SaeStreamsTest, AGetThatWaitsIsAnsweredWhenTheOtherApplicationComes) {
  const StreamOpened near = open(a, "sae-a", "sae-b", {.timeout_ms = 15'000});
  auto waiting = ask(a, "sae-a", near.id, 0);
  ASSERT_EQ(open(b, "sae-b", "sae-a", {}, near.id).status, StreamStatus::ok);
  const StreamChunk chunk = now(std::move(waiting));
  ASSERT_EQ(chunk.status, StreamStatus::ok);
  EXPECT_TRUE(equal_secret(chunk.key, get(b, "sae-b", near.id, 0).key));
}

TEST_F(SaeStreamsTest, AfterACloseTheOtherEndHasWhatWasSuppliedAndNoMore) {
  const StreamId id = opened();
  ASSERT_EQ(get(a, "sae-a", id, 0).status, StreamStatus::ok);
  ASSERT_EQ(close(a, "sae-a", id), StreamStatus::ok);
  EXPECT_EQ(get(a, "sae-a", id, 1).status, StreamStatus::no_connection);
  EXPECT_EQ(get(b, "sae-b", id, 0).status, StreamStatus::ok);
  EXPECT_EQ(get(b, "sae-b", id, 63).status, StreamStatus::peer_absent);
  EXPECT_EQ(close(a, "sae-a", id), StreamStatus::no_connection);
}

TEST_F(SaeStreamsTest, TooFewKeysAreStatusTwoAtBothEnds) {
  const StreamId id = opened({.chunk_octets = 4096, .timeout_ms = 2000});  // 128 stock keys each: two chunks
  expect_alike(id, 0);
  expect_alike(id, 1);
  EXPECT_EQ(get(a, "sae-a", id, 2).status, StreamStatus::insufficient_key);
  EXPECT_EQ(get(b, "sae-b", id, 2).status, StreamStatus::insufficient_key);
  EXPECT_EQ(get(a, "sae-a", id, 2 + 64).status, StreamStatus::insufficient_key);  // too far ahead, at once
  share_keys(a, b, 200);
  expect_alike(id, 2);
}

TEST_F(SaeStreamsTest, MaxBpsIsKept) {
  const StreamId id = opened({.chunk_octets = 32, .max_bps = 1024, .timeout_ms = 2000});  // four chunks a second
  for (std::uint32_t index = 0; index < 4; ++index) expect_alike(id, index);
  EXPECT_EQ(get(a, "sae-a", id, 4).status, StreamStatus::timeout);
  EXPECT_EQ(a.own_keys(), 296);
  a.clock.advance(500);
  expect_alike(id, 4);
  expect_alike(id, 5);
  EXPECT_EQ(get(a, "sae-a", id, 6).status, StreamStatus::timeout);
}

TEST_F(SaeStreamsTest, AQosThatCannotBeHadIsCounteredByEitherEnd) {
  const StreamOpened much = open(a, "sae-a", "sae-b", {.chunk_octets = 5000, .ttl_s = 7200});
  EXPECT_EQ(much.status, StreamStatus::qos_not_met);
  EXPECT_EQ(much.qos.chunk_octets, 4096U);
  EXPECT_EQ(much.qos.ttl_s, 3600U);
  b.limits.bounds.chunk_octets_max = 64;
  b.restart();
  const StreamOpened far = open(a, "sae-a", "sae-b", {.chunk_octets = 128}, some_id(4));
  EXPECT_EQ(far.status, StreamStatus::qos_not_met);
  EXPECT_EQ(far.qos.chunk_octets, 64U);
  ASSERT_EQ(open(a, "sae-a", "sae-b", far.qos, some_id(4)).status, StreamStatus::peer_not_connected);
  const StreamOpened joined = open(b, "sae-b", "sae-a", {.chunk_octets = 32}, some_id(4));
  EXPECT_EQ(joined.status, StreamStatus::qos_not_met);
  EXPECT_EQ(joined.qos.chunk_octets, 64U);
  EXPECT_EQ(open(b, "sae-b", "sae-a", joined.qos, some_id(4)).status, StreamStatus::ok);
}

TEST_F(SaeStreamsTest, GuaranteedRatesAddUpAndAreFreedByAClose) {
  const StreamOpened first = open(a, "sae-a", "sae-b", {.min_bps = 9'000'000});
  ASSERT_EQ(first.status, StreamStatus::peer_not_connected);
  const StreamOpened second = open(a, "sae-a2", "sae-b2", {.min_bps = 2'000'000});
  EXPECT_EQ(second.status, StreamStatus::qos_not_met);
  EXPECT_EQ(second.qos.min_bps, 1'000'000U);
  ASSERT_EQ(close(a, "sae-a", first.id), StreamStatus::ok);
  EXPECT_EQ(open(a, "sae-a2", "sae-b2", {.min_bps = 2'000'000}).status, StreamStatus::peer_not_connected);
}

TEST_F(SaeStreamsTest, RatesThatWereGrantedToTheOtherSiteCountAlsoBeforeTheirStreamsAreJoined) {
  b.limits.bounds.bps_max = 20'000'000;  // the other end would bear both
  b.restart();
  const StreamOpened theirs = open(b, "sae-b", "sae-a", {.max_bps = 10'000'000, .min_bps = 6'000'000});
  ASSERT_EQ(theirs.status, StreamStatus::peer_not_connected);
  const StreamOpened ours = open(a, "sae-a2", "sae-b2", {.min_bps = 6'000'000});
  EXPECT_EQ(ours.status, StreamStatus::qos_not_met);
  EXPECT_EQ(ours.qos.min_bps, 4'000'000U);
  EXPECT_EQ(open(a, "sae-a", "sae-b", {}, theirs.id).status, StreamStatus::ok);
}

TEST_F(SaeStreamsTest, EveryKeyOfAStreamIsOnRecordHoweverManyTheyAre) {
  share_keys(a, b, 500, Held::at_both, "small", 1);  // each a run of its own, in the record as in the message
  const StreamId id = opened({.chunk_octets = 512});
  expect_alike(id, 0);
  expect_alike(id, 30);
  for (Site* site : {&a, &b}) {
    const std::lock_guard lock(site->mutex);
    std::set<KeyId> named;
    for (const std::string& record : site->records) {
      if (!record.starts_with(site == &a ? "sae.stream.supplied" : "sae.stream.activated")) continue;
      EXPECT_LE(record.size(), 1024U + 64) << "more than an object would be cut";
      for (std::string_view rest = record; !rest.empty();) {
        const std::string_view word = rest.substr(0, rest.find(' '));
        rest.remove_prefix(std::min(rest.size(), word.size() + 1));
        if (word.contains('[') || word.size() == 2 * KeyId::size) {
          for (const KeyId& key : test::keys_named(word)) named.insert(key);
        }
      }
    }
    named.erase(KeyId(id.view()));
    EXPECT_EQ(named.size() % 16, 0U);
    EXPECT_GE(named.size(), 31U * 16) << site->domain;
  }
}

TEST_F(SaeStreamsTest, TheFirstChunkThatAStreamTakesOutOfTheStockIsSaidAtOnce) {
  const StreamId id = opened();
  EXPECT_EQ(a.times_taken, 0);
  expect_alike(id, 0);
  EXPECT_EQ(a.times_taken, 1);
  EXPECT_EQ(b.times_taken, 0) << "the supplying end chooses, and refills";
}

TEST_F(SaeStreamsTest, StreamsOfAnSaeAreLimitedAtBothEnds) {
  a.limits.streams_max = b.limits.streams_max = 2;
  a.restart();
  b.restart();
  ASSERT_EQ(open(a, "sae-a", "sae-b").status, StreamStatus::peer_not_connected);
  ASSERT_EQ(open(a, "sae-a", "sae-b").status, StreamStatus::peer_not_connected);
  EXPECT_EQ(open(a, "sae-a", "sae-b2").status, StreamStatus::no_connection);
  EXPECT_TRUE(a.recorded("no more are given"));
  EXPECT_EQ(open(a, "sae-a2", "sae-b").status, StreamStatus::no_connection);  // two wait for sae-b
  EXPECT_EQ(open(a, "sae-a2", "sae-b2").status, StreamStatus::peer_not_connected);
}

TEST_F(SaeStreamsTest, MetadataSayAgeAndHopsAndATooSmallBufferCostsNoChunk) {
  const StreamId id = opened({.mimetype = "application/json"});
  ASSERT_EQ(get(b, "sae-b", id, 0).status, StreamStatus::ok);
  a.clock.advance(25);
  const StreamChunk small = get(a, "sae-a", id, 0, 5);
  EXPECT_EQ(small.status, StreamStatus::metadata_size);
  EXPECT_EQ(small.metadata_needed, 19U);
  const StreamChunk whole = get(a, "sae-a", id, 0, small.metadata_needed);
  EXPECT_EQ(whole.status, StreamStatus::ok);
  EXPECT_EQ(whole.metadata, R"({"age":25,"hops":0})");
}

TEST_F(SaeStreamsTest, AChunkThatNobodyFetchesIsDestroyedAtItsTime) {
  const StreamId id = opened({.ttl_s = 60});
  ASSERT_EQ(get(a, "sae-a", id, 0).status, StreamStatus::ok);
  b.clock.advance(60'001);
  ASSERT_TRUE(b.streams->sweep());
  EXPECT_EQ(b.rows("sae_stream_chunk"), 0);
  EXPECT_EQ(get(b, "sae-b", id, 0).status, StreamStatus::insufficient_key);
  EXPECT_TRUE(b.recorded("sae.stream.expired success"));
}

TEST_F(SaeStreamsTest, AnEndThatNobodyUsesIsClosedAndTheOtherHearsOfIt) {
  const StreamId id = opened();
  a.clock.advance(86'400'001);
  ASSERT_TRUE(a.streams->sweep());
  EXPECT_EQ(get(b, "sae-b", id, 0).status, StreamStatus::peer_absent);
  EXPECT_EQ(get(a, "sae-a", id, 0).status, StreamStatus::no_connection);
}

TEST_F(SaeStreamsTest, WithASilentOtherSiteNothingIsOpenedAndNothingGiven) {
  a.cut = true;
  EXPECT_EQ(open(a, "sae-a", "sae-b").status, StreamStatus::no_connection);
  a.cut = false;
  const StreamId id = opened({.timeout_ms = 2000});
  a.cut = true;
  EXPECT_EQ(get(a, "sae-a", id, 0).status, StreamStatus::no_connection);
  a.cut = false;
  expect_alike(id, 0);  // what was pending is told again, as it was
}

TEST_F(SaeStreamsTest, AnAnswerThatIsLostChangesNothing) {
  const StreamId id = opened({.timeout_ms = 2000});
  a.answer_lost = true;
  EXPECT_EQ(get(a, "sae-a", id, 0).status, StreamStatus::no_connection);
  const StreamChunk far = get(b, "sae-b", id, 0);  // it has it
  ASSERT_EQ(far.status, StreamStatus::ok);
  a.answer_lost = false;
  const StreamChunk near = get(a, "sae-a", id, 0);
  ASSERT_EQ(near.status, StreamStatus::ok);
  EXPECT_TRUE(equal_secret(near.key, far.key));
}

TEST_F(SaeStreamsTest, AnOpenWhoseAnswerIsLostIsClosedAtBothEnds) {
  a.answer_lost = true;
  EXPECT_EQ(open(a, "sae-a", "sae-b", {}, some_id(6)).status, StreamStatus::no_connection);
  a.answer_lost = false;
  EXPECT_NE(open(b, "sae-b", "sae-a", {.timeout_ms = 200}, some_id(6)).status, StreamStatus::ok);
}

TEST_F(SaeStreamsTest, KeysThatTheOtherEndNeverHadAreReplacedBeforeAnyoneHasTheIndex) {
  const StreamId id = opened();
  for (std::uint32_t index = 0; a.own_keys() > 9; ++index) expect_alike(id, index);
  share_keys(a, b, 100, Held::at_near_alone);
  share_keys(a, b, 100);
  const auto next = static_cast<std::uint32_t>(seen.size());
  const int before = a.times_taken;
  for (std::uint32_t index = next; index < next + 30; ++index) expect_alike(id, index);
  EXPECT_LE(a.times_taken - before, 8) << "what is left of the chunk is not tried key by key";
}

TEST_F(SaeStreamsTest, AnAnswerThatMissesWhatWasNotNamedIsNotBelieved) {
  const auto batch = test::rng().id<BatchId>();
  a.add(b, "u", batch, Owner::self, test::rng().secret(5 * stock_key_size));
  const StreamId id = opened({.timeout_ms = 500});
  const auto answer = [&](std::function<Result<wire::Json>(const wire::Json&)> instead) {
    const std::lock_guard lock(b.heard_mutex);
    a.answer_instead = std::move(instead);
  };
  answer([&](const wire::Json&) { return wire::Json::parse(R"({"outcome":"ok","state":"open","next":0,"missing":[")" + batch.hex() + R"("]})"); });
  EXPECT_EQ(get(a, "sae-a", id, 0).status, StreamStatus::no_connection);
  answer(nullptr);
  expect_alike(id, 0);
  EXPECT_EQ(a.level("b", "u").own, 5);
}

TEST_F(SaeStreamsTest, AChunkOutOfTurnIsNotStoredAndUsesNoKeyUp) {
  const auto batch = test::rng().id<BatchId>();
  b.add(a, "u", batch, Owner::peer, test::rng().secret(2 * stock_key_size));
  const StreamId id = opened();
  const auto next_after = [&](std::uint32_t index, std::uint32_t key) {
    Activation told{.id = {}, .groups = {}, .stream = StreamNote{.kind = StreamNote::Kind::chunks, .id = id, .from = SaeId("sae-a"), .to = SaeId("sae-b")}};
    told.stream->index = index;
    told.stream->count = 1;
    told.stream->runs = {{.stock = "u", .run = {.batch = batch, .first = key, .count = 1}}};
    return b.streams->heard(a.identity(), told)->integer("next").value_or(-1);
  };
  EXPECT_EQ(next_after(5, 0), 0);
  EXPECT_EQ(b.rows("sae_stream_chunk"), 0);
  EXPECT_EQ(b.level("a", "u").peer, 2);
  EXPECT_EQ(next_after(0, 0), 1);
  EXPECT_EQ(next_after(0, 1), 1) << "the same index again";
  EXPECT_EQ(b.rows("sae_stream_chunk"), 1);
  EXPECT_EQ(b.level("a", "u").peer, 1);
}

TEST_F(SaeStreamsTest, ThatAnEndIsClosedIsToldAfterADeathWithoutBeingAskedFor) {
  const StreamId id = opened();
  a.cut = true;
  ASSERT_EQ(close(a, "sae-a", id), StreamStatus::ok);
  a.die();
  a.cut = false;
  a.start();
  EXPECT_TRUE(b.await_record("sae.stream.left success qanat://a/qkm/qkm-a " + id.hex()));
}

TEST_F(SaeStreamsTest, PendingChunksAreToldAfterADeathWithoutBeingAskedFor) {
  const StreamId id = opened({.timeout_ms = 500});
  a.cut = true;
  ASSERT_EQ(get(a, "sae-a", id, 0).status, StreamStatus::no_connection);
  a.die();
  a.cut = false;
  a.start();
  EXPECT_TRUE(b.await_record("sae.stream.activated success qanat://a/qkm/qkm-a " + id.hex()));
  expect_alike(id, 0);
}

TEST_F(SaeStreamsTest, AnOpenThatWasUnderWayAtADeathIsGivenUp) {
  const StreamOpened near = open(a, "sae-a", "sae-b", {.timeout_ms = 500});
  ASSERT_EQ(near.status, StreamStatus::peer_not_connected);
  a.change("UPDATE sae_stream SET told = 0");  // as it stands while the other end is being told
  a.restart();
  EXPECT_EQ(get(a, "sae-a", near.id, 0).status, StreamStatus::no_connection);
  EXPECT_TRUE(b.await_record("sae.stream.left success qanat://a/qkm/qkm-a " + near.id.hex()));
}

TEST_F(SaeStreamsTest, AJoinThatWasUnderWayAtADeathCanBeMadeAgain) {
  const StreamId id = opened();
  b.change("UPDATE sae_stream SET told = 0");
  b.restart();
  EXPECT_EQ(get(b, "sae-b", id, 0).status, StreamStatus::no_connection);
  EXPECT_EQ(open(b, "sae-b", "sae-a", {}, id).status, StreamStatus::ok);
  expect_alike(id, 0);
}

TEST_F(SaeStreamsTest, ChunksThatWerePendingWhenTheirEndWasClosedAreToldAndThenDestroyed) {
  const StreamId id = opened({.timeout_ms = 500});
  a.cut = true;
  ASSERT_EQ(get(a, "sae-a", id, 0).status, StreamStatus::no_connection);
  ASSERT_EQ(close(a, "sae-a", id), StreamStatus::ok);
  EXPECT_GT(a.rows("sae_stream_chunk"), 0) << "the other end may have them already";
  a.cut = false;
  EXPECT_TRUE(b.await_record("sae.stream.left success"));
  EXPECT_TRUE(empties(a, "sae_stream_chunk"));
  EXPECT_EQ(get(b, "sae-b", id, 0).status, StreamStatus::ok);
}

TEST_F(SaeStreamsTest, AnEndThatIsClosedAtBothSidesIsForgottenAfterADay) {
  const StreamId id = opened();
  ASSERT_EQ(close(a, "sae-a", id), StreamStatus::ok);
  ASSERT_EQ(close(b, "sae-b", id), StreamStatus::ok);
  ASSERT_TRUE(a.await_record("sae.stream.left") && b.await_record("sae.stream.left"));
  for (Site* site : {&a, &b}) {
    ASSERT_TRUE(site->streams->sweep());
    EXPECT_EQ(site->rows("sae_stream"), 1) << "its id is not used again today";
    site->clock.advance(86'400'001);
    EXPECT_TRUE(empties(*site, "sae_stream", [&] { EXPECT_TRUE(site->streams->sweep()); })) << site->domain;
  }
}

TEST_F(SaeStreamsTest, AnEndThatIsUsedIsNotIdle) {
  const StreamId id = opened();
  a.clock.advance(80'000'000);
  ASSERT_EQ(get(a, "sae-a", id, 0).status, StreamStatus::ok);
  a.clock.advance(80'000'000);
  ASSERT_TRUE(a.streams->sweep());
  EXPECT_EQ(get(a, "sae-a", id, 20).status, StreamStatus::ok);
}

TEST_F(SaeStreamsTest, AnEndThatIsNotReadIsNotFilledWithoutLimit) {
  b.limits.chunks_max = 16;
  b.restart();
  const StreamId id = opened({.timeout_ms = 500});
  for (std::uint32_t index = 0; index < 9; ++index) ASSERT_EQ(get(a, "sae-a", id, index).status, StreamStatus::ok);
  EXPECT_EQ(get(a, "sae-a", id, 9).status, StreamStatus::insufficient_key);
  EXPECT_EQ(b.rows("sae_stream_chunk"), 9);
  for (std::uint32_t index = 0; index < 9; ++index) ASSERT_EQ(get(b, "sae-b", id, index).status, StreamStatus::ok);
  expect_alike(id, 9);
}

TEST_F(SaeStreamsTest, WhatIsPendingIsNotSweptByItsAge) {
  const StreamId id = opened({.timeout_ms = 500});
  a.cut = true;
  ASSERT_EQ(get(a, "sae-a", id, 0).status, StreamStatus::no_connection);
  a.clock.advance(7'200'000);
  ASSERT_TRUE(a.streams->sweep());
  a.cut = false;
  expect_alike(id, 0);
}

TEST_F(SaeStreamsTest, AChunkThatCannotBeRecordedIsNotGivenNorComesAgain) {
  const StreamId id = opened();
  expect_alike(id, 0);
  a.audit_broken = true;
  EXPECT_EQ(get(a, "sae-a", id, 1).status, StreamStatus::no_connection);
  a.audit_broken = false;
  EXPECT_EQ(get(a, "sae-a", id, 1).status, StreamStatus::insufficient_key);
}

TEST_F(SaeStreamsTest, AnOtherEndThatHasLessThanItSaidEndsTheStream) {
  const StreamId id = opened();
  for (std::uint32_t index = 0; index < 9; ++index) expect_alike(id, index);
  b.change("UPDATE sae_stream SET next = 0");  // an older database
  EXPECT_EQ(get(a, "sae-a", id, 9).status, StreamStatus::no_connection) << "an index that was given here is not supplied anew";
}

TEST_F(SaeStreamsTest, ThatTheOtherEndIsClosedIsLearntFromItsAnswerToo) {
  const StreamId id = opened();
  b.cut = true;
  ASSERT_EQ(close(b, "sae-b", id), StreamStatus::ok);
  EXPECT_EQ(get(a, "sae-a", id, 0).status, StreamStatus::peer_absent);
}

TEST_F(SaeStreamsTest, AStreamSurvivesTheDeathOfEitherEndAtAnyPlace) {
  const StreamId id = opened({.timeout_ms = 2000});
  const std::uint32_t together = 1 + a.limits.in_advance;
  for (std::uint32_t index = 0; index < together; ++index) expect_alike(id, index);
  a.answer_lost = true;  // b stores the chunks, a dies before it hears of it
  EXPECT_EQ(get(a, "sae-a", id, together).status, StreamStatus::no_connection);
  a.restart();
  a.answer_lost = false;
  for (std::uint32_t index = together; index < 2 * together; ++index) expect_alike(id, index);
  a.cut = true;  // a stores the chunks as pending and dies before it tells
  EXPECT_EQ(get(a, "sae-a", id, 2 * together).status, StreamStatus::no_connection);
  a.restart();
  a.cut = false;
  b.restart();
  for (std::uint32_t index = 2 * together; index < 4 * together; ++index) expect_alike(id, index);
}

TEST_F(SaeStreamsTest, AnotherSitesQkmMayNotSpeakOfOurStreams) {
  const StreamId id = opened();
  const Activation note{.id = {}, .groups = {}, .stream = StreamNote{.kind = StreamNote::Kind::close, .id = id, .from = SaeId("sae-a"), .to = SaeId("sae-b")}};
  EXPECT_EQ(b.streams->heard({.domain = "c", .kind = Kind::qkm, .name = "qkm-c"}, note).error().code, ErrorCode::denied);
  EXPECT_EQ(b.streams->heard({.domain = "a", .kind = Kind::qkm, .name = "qkm-x"}, note).error().code, ErrorCode::denied);
  Activation foreign = note;
  foreign.stream->from = SaeId("sae-b2");
  EXPECT_EQ(b.streams->heard({.domain = "a", .kind = Kind::qkm, .name = "qkm-a"}, foreign).error().code, ErrorCode::denied);
  foreign.stream->from = SaeId("sae-a2");  // of that site, but not of this stream
  const auto answer = b.streams->heard({.domain = "a", .kind = Kind::qkm, .name = "qkm-a"}, foreign);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text("outcome").value_or(""), "refused");
  expect_alike(id, 0);
}

TEST(StreamMessageTest, WhatDoesNotFitTogetherIsRefused) {
  const auto code = [](const std::string& stream) {
    const std::string text = R"({"version":2,"id":"00112233445566778899aabbccddeeff","stream":)" + stream + "}";
    const auto read = read_activation(as_bytes(text));
    return read ? "read" : std::string(name(read.error().code));
  };
  const std::string head = R"({"ksid":"00112233445566778899aabbccddeeff","from":"sae-a","to":"sae-b",)";
  const std::string runs = R"("runs":[{"stock":"t","batch":"000102030405060708090a0b","first":0,"count":4}])";
  EXPECT_EQ(code(head + R"("do":"close"})"), "read");
  EXPECT_EQ(code(head + R"("do":"chunks","index":0,"count":2,)" + runs + "}"), "read");
  const std::string bad = std::string(name(ErrorCode::invalid_argument));
  EXPECT_EQ(code(head + R"("do":"chunks","index":0,"count":3,)" + runs + "}"), bad);
  EXPECT_EQ(code(head + R"("do":"chunks","index":4294967295,"count":2,)" + runs + "}"), bad);
  EXPECT_EQ(code(head + R"("do":"chunks","index":0,"count":0,)" + runs + "}"), bad);
  EXPECT_EQ(code(head + R"("do":"close","index":1})"), bad);
  EXPECT_EQ(code(head + R"("do":"open"})"), bad);
  EXPECT_EQ(code(head + R"("do":"sing"})"), bad);
  EXPECT_EQ(code(R"({"ksid":"00000000000000000000000000000000","from":"sae-a","to":"sae-b","do":"close"})"), bad);
  EXPECT_EQ(code(R"({"ksid":"00112233445566778899aabbccddeeff","from":"sae-a","to":"sae-a","do":"close"})"), bad);
  const std::string future = R"({"version":3,"id":"00112233445566778899aabbccddeeff","groups":[]})";
  EXPECT_FALSE(read_activation(as_bytes(future)));
}

}  // namespace
}  // namespace qanat::qkm
