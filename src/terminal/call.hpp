// One call from beginning to end, as caller or callee: SIP, the working key fetched beside it, Ax as soon as both ends have the key, then sound
// both ways at once until both have said everything. It fails closed: there is no sound before Ax is confirmed at both ends, and whatever goes
// wrong ends the call with a reason. While they talk the key is replaced in its time (rekey_plan.hpp, key_epochs.hpp); an attempt that comes to nothing
// leaves the call on the key that it has.
//
// One thread runs the call; the SIP port, the media port, the key source and the steps of a later Ax exchange put what they have into its inbox.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <variant>

#include "terminal/ax.hpp"
#include "terminal/ax_carrier.hpp"
#include "terminal/key_source.hpp"
#include "terminal/media_control.hpp"
#include "terminal/media_session.hpp"
#include "terminal/next_key.hpp"
#include "terminal/pcapng.hpp"
#include "terminal/rekey_plan.hpp"
#include "terminal/sip.hpp"
#include "terminal/udp_port.hpp"

namespace qanat::terminal {

/// The terminal that calls or is called. Outlives its calls.
struct CallParty {
  Number number;
  ElementName kms;
  AxParty ax;
  KeySource& keys;
  CallObserver observe;
  std::function<void(const SidWk& session)> begun{};  // both ends have confirmed the key, the call's first or a later one: they talk under it. Must not block
};

struct CallSettings {
  net::Endpoint sip;                           // port 0: any free one; media gets another port of the same address
  double pace = 1.0;                           // how much faster than in real time media is played
  std::chrono::milliseconds wait_max{60'000};  // callee: until somebody calls
  std::chrono::milliseconds setup_max{10'000};  // from the INVITE to confirmed Ax
  std::chrono::milliseconds key_max{6'000};     // from the INVITE to the working key
  std::chrono::milliseconds hold_max{1'000};    // callee: how long the 200 waits for the working key
  RekeyRules rekey{};
};

/// What a call that was held has to tell. What it says of the working key and SAS is of the first one, but what its assurance is: there the weakest counts.
/// `epochs` has all.
struct CallReport {
  SidWk sid_wk;
  SidCall sid_call;
  std::string wk_fingerprint;
  wire::Assurance assurance{};  // these three of the weakest key
  std::uint8_t n_paths = 0;
  std::uint8_t path_min = 0;
  bool injected = false;  // these four as of WorkingKey
  std::optional<wire::Charged> charged;
  bool symmetric = false;
  bool directory = false;
  bool unchecked = false;  // the status of somebody's certificates could not be had, and symmetric mode went on without
  Uid peer_uid;
  Number peer_number;
  ElementName peer_kms;
  std::array<std::uint8_t, 4> sas{};
  std::vector<KeyEpoch> epochs;
  std::vector<std::int16_t> heard;
  std::uint64_t packets_sent = 0;
  std::uint64_t packets_received = 0;
  std::uint64_t packets_lost = 0;  // of those that the other end has sent
  SrtpCounts srtp;
  std::uint64_t foreign_payloads = 0;  // authentic, but not 20 ms of PCMA
  double invite_to_answer_ms = 0;      // INVITE sent or received → 200 received or sent
  double invite_to_wk_ms = 0;          // … → working key
  double invite_to_ax_ms = 0;          // … → Ax confirmed
  double setup_ms = 0;                 // … → first RTP packet that could be deciphered
  CallEnd ended{};
};

class Call {
 public:
  /// Opens both ports. `said` is what this end says. `party` outlives the call.
  static Result<std::unique_ptr<Call>> open(const CallParty& party, const CallSettings& settings, std::vector<std::int16_t> said);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  [[nodiscard]] const net::Endpoint& sip_endpoint() const { return sip_port_->local(); }
  /// Calls, and returns when the call is over. Once per object, this or answer().
  Result<CallReport> place(const Number& callee, const net::Endpoint& at);
  /// Waits for a call, takes it, and returns when it is over.
  Result<CallReport> answer();
  /// All datagrams sent and received so far, in their order; after a failed call too. Not while the call runs.
  [[nodiscard]] const CaptureWriter& capture() const noexcept { return capture_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  enum class Port : std::uint8_t { sip, media };
  struct Arrived {
    Port port{};
    net::Datagram datagram;
    std::uint64_t time_ns = 0;
  };
  struct Fetched {
    SidWk sid_wk;
    Result<WorkingKey> key;
  };
  struct Stepped {  // of the next key's Ax exchange
    SidWk sid_wk;
    Result<AxStep> step;
  };
  using Item = std::variant<Arrived, Fetched, Stepped>;
  enum class Phase : std::uint8_t {
    waiting,   // callee: nobody has called yet
    setup,     // SIP and the working key
    securing,  // Ax
    talking,
    draining,  // the other end has hung up; its last packets may still be on their way
    closing,   // the reason is known, the last SIP messages are exchanged
    over,
  };

  Call(const CallParty& party, const CallSettings& settings, std::vector<std::int16_t> said);
  // call.cpp: the loop and SIP
  Result<CallReport> run();
  void deliver(Item item);
  std::optional<Item> next_item(Time until);
  Time next_wake() const;
  void on_time(Time now);
  void take(const Arrived& arrived);
  void linger(ByteView sip_datagram);
  void take_sip(Result<SipOutput> output);
  void on_sip(const SipEvent& event);
  void on_incoming(const IncomingCall& call);
  void on_answered(const SessionDescription& answer);
  void on_ended(const CallEnded& ended);
  void answer_sip();
  void send(Port port, const net::Endpoint& to, ByteView octets);
  void close(std::optional<Error> why);
  SessionDescription description(const CallNonce& nonce) const;
  double ms_since_invite() const;
  void report(std::string event, std::string what, std::optional<int> step = {}, std::optional<double> ms = {});
  CallReport make_report();
  // call_secure.cpp: the working key, Ax, and media
  void fetch_key(const SidWk& sid_wk);
  void on_key(Result<WorkingKey> key);
  void begin_ax();
  AxSession ax_session(const SidWk& sid_wk, const WorkingKey& key) const;
  KeyEpoch epoch_of(const SidWk& sid_wk, const WorkingKey& key) const;
  void on_media(const net::Datagram& datagram);
  void on_ax(ByteView datagram);
  void on_ax_message();
  Result<void> ax_as_caller(ByteView message);
  Result<void> ax_as_callee(ByteView message);
  [[nodiscard]] bool heard_all() const;
  void send_all(const std::vector<Bytes>& datagrams);
  void send_control(Result<Bytes> packet);
  struct Directions {
    MediaKeys send;
    MediaKeys receive;
  };
  Directions directions(wire::MediaKeys media) const;
  Result<void> arm(AxKeys keys);
  void begin_talking();
  void talk(Time now);
  // call_rekey.cpp: the keys after the first
  void heard(const net::Datagram& datagram, KeyEpochs::Stream stream);
  void mind_key(Time now);
  void tick_next(Time now);
  [[nodiscard]] std::string_view next_waits_for() const;
  void begin_next(Time now);
  void start_next(const SidWk& sid_wk);
  void say_rekey(RekeyWord word, const SidWk& sid_wk);
  void on_rekey_word(const MediaControl::Rekeying& said);
  void on_next_announced(const SidWk& sid_wk);
  void on_fetched(Fetched fetched);
  Result<void> start_exchange(WorkingKey key);
  void on_next_ax(ByteView datagram);
  void on_refused_ax(ByteView datagram);
  void run_step(std::optional<Bytes> message);
  void on_stepped(Stepped stepped);
  Result<void> take_step(AxStep step);
  void settle_next();
  void switched(Time now);
  void next_failed(const std::string& why);
  void drop_next(const std::string& why);

  const CallParty& party_;
  const CallSettings settings_;
  std::vector<std::int16_t> said_;
  wire::Role role_{};
  Phase phase_ = Phase::waiting;
  std::optional<Error> failure_;
  CallReport report_;

  std::optional<SipAgent> sip_agent_;
  Time invited_{};
  Time wait_until_{};
  Time closing_until_{};
  bool rings_ = false;     // caller: somebody at the other end has the INVITE
  bool lingers_ = false;   // caller: gave up before an answer, and stays for one that may still come
  bool answered_ = false;  // caller: the 200 came; callee: it was sent
  Number caller_;
  Number called_;
  CallNonce nonce_;
  std::optional<SessionDescription> remote_;

  std::optional<WorkingKey> key_;
  std::optional<AxCarrier> carrier_;
  std::optional<AxInitiator> initiator_;
  std::optional<AxResponder> responder_;
  bool ax_answered_ = false;       // callee: AX2 is sent
  bool ax_message_waits_ = false;  // AX1 is complete, the key is not here yet
  bool first_heard_ = false;
  std::optional<MediaSession> media_;
  std::optional<MediaControl> control_;
  Time talk_started_{};
  Time last_heard_{};
  Time next_farewell_{};
  wire::Fingerprints peer_fps_;     // that the first Ax exchange found
  KeyEpoch first_epoch_;            // until Ax is through
  std::optional<KeyEpochs> epochs_;
  RekeyPlan plan_;
  std::optional<NextKey> next_;
  std::optional<SidWk> refused_;    // the last session that came to nothing
  Time refuse_again_{};             // from when on that is said to who goes on with it
  std::atomic<bool> fetching_ = false;  // the key thread has work
  std::atomic<bool> stepping_ = false;  // the Ax thread has work
  std::optional<Time> peer_done_;  // when the other end said that it has said everything
  Time drain_until_{};

  CaptureWriter capture_;
  std::mutex inbox_mutex_;
  std::condition_variable inbox_filled_;
  std::deque<Item> inbox_;
  // Last: their threads use what is above.
  std::jthread key_thread_;
  std::jthread ax_thread_;
  std::unique_ptr<UdpPort> sip_port_;
  std::unique_ptr<UdpPort> media_port_;
};

}  // namespace qanat::terminal
