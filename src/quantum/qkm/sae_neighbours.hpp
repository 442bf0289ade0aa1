// Key managers of other makers at the same trusted node (ETSI GS QKD 020): an order for an SAE that one of them serves is met by keys of this element's own
// generator, which are brought there (ext_keys). The master is answered when every key manager has acknowledged that its SAEs can have them; if one does not
// in time, or says no, the master gets nothing and the keys are voided wherever they may be, also after a restart. That they are sold is noted last, right
// before the answer: a key that a master got is never voided. A process that dies between that note and the answer leaves keys that nobody asks for, until
// the other key managers' own time limits.
//
// A request that got no complete answer is sent again with the same ids, and so is one that was taken but not acknowledged: whoever has the keys already
// answers and acknowledges again. Keys that wait are in memory alone; what was offered to whom is durable (sae_handovers.hpp).
#pragma once

#include <memory>
#include <mutex>

#include "audit/audit.hpp"
#include "crypto/device.hpp"
#include "kme/sae_registry.hpp"
#include "net/http.hpp"
#include "net/workers.hpp"
#include "quantum/qkm/stock.hpp"
#include "quantum/qkm/sae_handovers.hpp"

namespace qanat::qkm {

struct NeighbourPlace {
  std::vector<std::string> kmes;  // their names, as the registry has them
  std::string ack_callback_url;   // ours
  std::chrono::milliseconds offer_max{8000};   // for all acknowledgements to come: below the listener's time for an answer
  std::chrono::milliseconds again_after{2000};  // without an acknowledgement: sent again
  std::chrono::milliseconds call_max{3000};     // of one request
  std::chrono::milliseconds void_max{3600000};  // how long a voiding is tried
};

/// May be called from several threads; call and record may block.
struct NeighbourPorts {
  /// Posts to "<the key manager's address><path>", JSON.
  std::function<Result<net::Response>(const std::string& kme, std::string_view path, ByteView body, Deadline deadline)> call;
  /// Keys for slaves of this site: kept until they fetch them.
  std::function<void(kme::ExternalKeys keys, kme::Done<void> done)> keep;
  std::function<Result<void>(const audit::Event& event)> record;
};

class Neighbours {
 public:
  struct Parts {
    store::Store& store;
    crypto::CryptoDevice& device;
    const Clock& clock;
    const kme::SaeRegistry& registry;
  };
  Neighbours(NeighbourPlace place, Parts parts, NeighbourPorts ports);
  ~Neighbours();  // stops

  /// What a process that died had offered is to be voided from now on.
  Result<void> start();
  /// An order some of whose slaves are behind these key managers, the others at this site. Returns at once.
  void hand_over(kme::Order order, kme::Done<kme::Delivery> done);
  /// What a key manager acknowledges: durable when `done` is called.
  void acknowledged(const std::string& kme, std::vector<kme::etsi020::Ack> acks, kme::Done<void> done);
  /// To be called about once a second: gives up, sends again, voids. Returns at once.
  void look_at_clock();
  /// Orders that wait are refused. Idempotent.
  void stop();

 private:
  struct Leg {
    Handover handover;
    bool sending = false;
    bool taken = false;  // an answer 2xx came
    std::uint32_t tries = 0;
    UnixMs last_ms = 0;
  };
  struct Waiting {
    Waiting(kme::Order order_, kme::Done<kme::Delivery> done_) : order(std::move(order_)), done(std::move(done_)) {}
    kme::Order order;
    kme::Done<kme::Delivery> done;
    BatchId batch;
    Secret keys;  // one after the other
    std::vector<kme::SaeId> own_slaves;
    std::map<std::string, Leg> legs;  // by key manager
    UnixMs give_up_ms = 0;
    bool complete = false;  // all have acknowledged

    [[nodiscard]] std::vector<kme::Key> sold_keys() const;
  };
  using Job = std::move_only_function<void()>;

  void begin(kme::Order order, kme::Done<kme::Delivery> done);
  Result<void> make(Waiting& waiting);
  void send(const BatchId& batch, const std::string& kme);
  void sent(const BatchId& batch, const std::string& kme, const Result<net::Response>& answer);
  void take_acks(const std::string& kme, const std::vector<kme::etsi020::Ack>& acks, kme::Done<void> done);
  void sell(const BatchId& batch);
  void finish_sale(const BatchId& batch, const Result<void>& kept);
  static std::string text_of_sale(const Waiting& waiting);
  /// `kme`: where nothing is to be voided; "": everywhere.
  void give_up(const BatchId& batch, const std::string& kme, const Error& why);
  void give_up_overdue();
  void start_voids();
  void void_keys(const Handovers::Duty& duty);
  void fail_order(Waiting& waiting, const Error& why);
  std::shared_ptr<Waiting> remove(const BatchId& batch);
  void submit(Job job);
  void submit_to(const std::string& kme, Job job);
  Result<void> record(std::string_view action, audit::Outcome outcome, std::string_view subject, std::string_view object, std::string_view why);

  const NeighbourPlace place_;
  Parts parts_;
  NeighbourPorts ports_;
  std::mutex mutex_;
  std::map<BatchId, std::shared_ptr<Waiting>> waiting_;  // shared with the step that is at work on it
  std::map<std::string, std::unique_ptr<net::Workers>> senders_;  // one thread each: a silent key manager holds up no other
  Batches<Job> jobs_;  // everything that changes the store, one after the other
};

}  // namespace qanat::qkm
