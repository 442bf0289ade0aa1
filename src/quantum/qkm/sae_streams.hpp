// Key streams between SAEs (ETSI GS QKD 004), out of the stocks that this QKM shares with other sites.
//
// A stream has an end at each application's QKM. Of the two QKMs the one whose domain's name comes first supplies: it takes a chunk's keys out of the common
// stock and stores the chunk as pending (one transaction), tells the other QKM which keys they are (X-1 activate, version 2; that one takes them out of its
// stock and stores the chunk, one transaction), and only then gives it to its own application. Chunks are supplied in the order of their index, and the
// other QKM answers up to which one it has stored them. So an index has one content at both ends whatever is lost or killed: a message that was not answered
// is sent again as it was; keys that the other end could not use are burnt at both, and the index gets others before any application has had it.
// The other QKM asks (`want`) when its application is ahead. What must be told stands in the database and is told until it is answered.
#pragma once

#include <atomic>

#include "quantum/qkm/stock.hpp"
#include "quantum/qkm/sae_stream_courier.hpp"
#include "quantum/qkm/sae_stream_table.hpp"
#include "quantum/qkm/sae_stream_waiting.hpp"

namespace qanat::qkm {

struct StreamLimits {
  kme::StreamBounds bounds;
  std::uint32_t streams_max = 16;                  // open ends of one SAE; and the same of those that others opened to it
  std::uint32_t chunks_max = 256;                  // that wait at one end
  std::uint32_t ahead_max = 64;                    // how far an application may be ahead of what was supplied
  std::uint32_t in_advance = 8;                    // supplied beyond what is asked for
  std::chrono::milliseconds idle_max{86'400'000};  // an end that is not used for so long is closed
};
static_assert(StreamLimits{}.ahead_max + StreamLimits{}.in_advance <= StreamLimits{}.chunks_max && StreamLimits{}.chunks_max <= stream_chunks_max);

class SaeStreams final : public kme::StreamProvider {
 public:
  /// `ports.meets` is not asked: a stream's QoS has no such demands.
  SaeStreams(DeliveryPlace place, DeliveryParts parts, DeliveryPorts ports, StreamLimits limits);
  ~SaeStreams() override { stop(); }

  void open(kme::StreamOpen open, kme::StreamDone<kme::StreamOpened> done) override;
  void get(kme::StreamGet get, kme::StreamDone<kme::StreamChunk> done) override;
  void close(kme::Caller caller, StreamId id, kme::StreamDone<kme::StreamStatus> done) override;
  void record_refusal(const kme::Caller& caller, std::string_view action, std::string why, std::move_only_function<void()> then) override;

  /// After a start, once: what was under way when the process died is told, or given up.
  Result<void> recover();
  /// What another QKM says of a stream. denied if it is not the QKM of the site that it speaks for.
  Result<wire::Json> heard(const Identity& sender, const Activation& activation);
  /// Destroys chunks that are past their time, closes ends that nobody uses.
  Result<void> sweep();
  /// Answers what is under way, then takes no more. Idempotent.
  void stop();

 private:
  using Key = StreamCourier::Key;
  using Task = StreamCourier::Task;
  using Round = StreamCourier::Round;
  using Next = StreamCourier::Next;
  struct Entry {  // of the audit
    std::string action;
    audit::Outcome outcome{};
    std::string subject;
    std::string object;
    std::string why;
  };
  /// One piece of work at the desk: shares a transaction and its audit records with its neighbours.
  struct Job {
    std::move_only_function<Result<void>(store::Transaction&)> work;
    std::move_only_function<std::optional<Entry>()> evidence;
    std::move_only_function<void(bool durable)> finish;
  };
  struct Opening;  // an OPEN_CONNECT under way
  struct Getting;  // a GET_KEY under way
  struct Bucket {
    double bits = 0;
    UnixMs at_ms = 0;
  };

  // The desk: what applications ask (sae_streams.cpp, sae_stream_gets.cpp).
  void submit(Job job);
  void run(std::vector<Job> jobs);
  Result<void> open_end(store::Transaction& transaction, Opening& opening);
  Result<void> open_new(store::Transaction& transaction, Opening& opening, std::span<const StreamEnd> others);
  Result<void> greet_local(store::Transaction& transaction, Opening& opening, StreamEnd& end);
  Result<bool> may_open(store::Transaction& transaction, const kme::SaeId& sae, EndState state);
  Result<std::uint64_t> committed_bps(store::Transaction& transaction, const std::string& domain);
  Result<void> close_end(store::Transaction& transaction, StreamEnd& end);
  void look_again(const std::shared_ptr<Getting>& getting);
  Result<void> look(store::Transaction& transaction, Getting& getting);
  Result<void> look_without_chunk(store::Transaction& transaction, Getting& getting, const StreamEnd& end);
  Result<void> hand_out(store::Transaction& transaction, Getting& getting, const StreamEnd& end, const ChunkView& chunk);
  Result<void> make_local(store::Transaction& transaction, StreamEnd& end, std::uint32_t index);

  // The couriers' work (sae_stream_supply.cpp).
  Next attend(const Task& task, Round& round);
  void announce(const StreamEnd& end, Round& round);
  /// Whoever gets it answers it; nullptr if another did.
  std::shared_ptr<Opening> opening_of(const Key& key);
  void settle(const StreamEnd& end, kme::StreamStatus status, const Result<StreamAnswer>& answer);
  /// False if it must be tried again.
  bool push(const StreamEnd& end, std::span<const PendingChunk> pending, Round& round);
  Result<void> pushed(store::Transaction& transaction, const StreamEnd& end, std::span<const PendingChunk> pending, const StreamAnswer& answer);
  bool tell_closed(StreamEnd end, Round& round);
  Next bring(const Task& task, const StreamEnd& end, Round& round);
  Result<bool> claim(store::Transaction& transaction, StreamEnd end, std::uint32_t wanted, Round& round);
  Result<std::vector<Secret>> take_keys(store::Transaction& transaction, const StreamEnd& end, std::uint32_t stock_keys, std::vector<StockRun>& runs);
  Result<std::int64_t> keys_for(store::Transaction& transaction, const std::string& domain);
  Result<StreamAnswer> tell(const StreamEnd& end, StreamNote note, Deadline deadline, Round& round);
  std::uint32_t affordable(const StreamEnd& end);
  void spend(const StreamEnd& end, std::uint32_t chunks);

  // What other QKMs say (sae_stream_heard.cpp).
  Result<void> check(const Identity& sender, const StreamNote& note) const;
  Result<StreamAnswer> heard_open(store::Transaction& transaction, const StreamNote& note, const std::string& domain);
  Result<StreamAnswer> heard_close(store::Transaction& transaction, const StreamNote& note);
  Result<StreamAnswer> heard_chunks(store::Transaction& transaction, const StreamNote& note, const std::string& domain);
  Result<StreamAnswer> heard_want(store::Transaction& transaction, const StreamNote& note, const std::string& domain);

  /// Empty if the configuration no longer has it.
  [[nodiscard]] std::string domain_of(const kme::SaeId& sae) const {
    const auto known = parts_.registry.find(sae);
    return known == nullptr ? std::string() : known->domain;
  }
  [[nodiscard]] bool is_local(const StreamEnd& end) const { return domain_of(end.peer) == place_.domain; }
  [[nodiscard]] bool supplies(const StreamEnd& end) const { return place_.domain < domain_of(end.peer); }
  [[nodiscard]] UnixMs chunk_until(const StreamEnd& end) const { return parts_.clock.now_ms() + UnixMs{end.qos.ttl_s} * 1000; }
  void look_at(const StreamEnd& end, std::optional<std::uint32_t> wanted = std::nullopt, Deadline until = Deadline(Deadline::clock::time_point::min()));
  void forget_supply(const StreamId& id);
  void set_trouble(const StreamId& id, std::optional<kme::StreamStatus> trouble);
  kme::StreamStatus trouble_of(const StreamId& id);
  Result<void> record(const Entry& entry);

  const DeliveryPlace place_;
  DeliveryParts parts_;
  DeliveryPorts ports_;
  const StreamLimits limits_;
  StreamTable table_;
  kme::Quotas quotas_;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::map<Key, std::shared_ptr<Opening>> openings_;  // that wait for the other QKM; shared with the desk's job
  std::map<StreamId, kme::StreamStatus> troubles_;    // why chunks do not come, as of late
  std::map<StreamId, Bucket> buckets_;                // what Max_bps leaves
  StreamWaiting waiting_;
  std::map<std::string, std::unique_ptr<StreamCourier>> couriers_;  // by domain
  Batches<Job> desk_;
};

}  // namespace qanat::qkm
