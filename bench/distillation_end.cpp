#include "distillation_end.hpp"

#include <sys/resource.h>

#include <cmath>
#include <cstring>
#include <random>
#include <thread>

#include "cpu_clock.hpp"
#include "crypto/kdf.hpp"
#include "quantum/qkd/keyrate/link_model.hpp"
#include "quantum/qkd/process/large_blocks.hpp"
#include "quantum/qkd/session/channel.hpp"
#include "quantum/qkd/session/distillation.hpp"

namespace qanat::bench {
namespace {

using namespace qkd;

constexpr std::size_t pool_keys = 64;  // per direction
constexpr std::uint64_t key_seed = 20'260;
constexpr std::uint64_t error_seed = 7'001;

/// Adds what a piece of work took of this thread's processor time.
class Share {
 public:
  explicit Share(double& sum) : sum_(sum), began_(thread_cpu_s()) {}
  ~Share() { sum_ += thread_cpu_s() - began_; }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

 private:
  double& sum_;
  double began_;
};

void set_bit(std::span<std::uint8_t> octets, std::size_t at) { octets[at / 8] |= static_cast<std::uint8_t>(1U << (at % 8)); }

/// One end's half of a lane.
class Lane {
 public:
  Lane(const DistillationPlan& plan, End end, FrameStream channel, crypto::Rng& random)
      : settings_(plan.settings),
        stream_(std::move(channel)),
        channel_(end == End::alice ? Direction::alice_to_bob : Direction::bob_to_alice, settings_.authentication_reserve),
        random_(random) {
    std::mt19937_64 numbers(key_seed);
    Secret preshared(2 * pool_keys * one_time_key_size);
    for (std::uint8_t& octet : preshared.writable()) octet = static_cast<std::uint8_t>(numbers());
    state_ = std::move(*DurableState::fresh(preshared));
  }

  Result<void> alice_block(SiftedBlock block);
  Result<void> bob_block(SiftedBlock block);
  [[nodiscard]] const DistillationTally& tally() const { return tally_; }
  [[nodiscard]] const Bytes& digests() const { return digests_; }
  void finish() { tally_.octets = stream_.octets_sent() + stream_.octets_received(); }

 private:
  Result<void> send(MessageType type, ByteView body) {
    const Share share(tally_.channel_s);
    if (!is_tagged(type)) return stream_.send(channel_.untagged(type, block_id_, body, state_.pool));
    ASSIGN_OR_RETURN(const Bytes frame, channel_.tagged(type, block_id_, body, state_.pool));
    return stream_.send(frame);
  }
  /// The next frame; its body lives until the next call.
  Result<Frame> receive() {
    const Share share(tally_.channel_s);
    ASSIGN_OR_RETURN(received_, stream_.receive());
    return channel_.receive(received_, state_.pool);
  }
  Result<void> release(PreparedBlock block) {
    tally_.sifted_bits += block.report.n_sift;
    tally_.secret_bits += block.report.length;
    tally_.disclosed_bits += block.report.disclosed.by_alice;
    tally_.disclosed_both += block.report.disclosed.by_alice + block.report.disclosed.by_bob;
    ASSIGN_OR_RETURN(const KeyBlock key, state_.commit(std::move(block)));
    append(digests_, crypto::digest(crypto::Hash::sha256, key.bits.reveal()));
    return {};
  }

  const SessionSettings& settings_;
  FrameStream stream_;
  Channel channel_;
  crypto::Rng& random_;
  DurableState state_;
  ToeplitzHasher hasher_;
  std::uint64_t block_id_ = 0;
  Bytes received_;
  Bytes digests_;
  DistillationTally tally_;
};

Result<void> Lane::alice_block(SiftedBlock block) {
  block_id_ = block.block_id;
  channel_.restart_transcript();
  AliceDistillation distillation(settings_, std::move(block), random_, hasher_);
  VerdictMessage opening;
  {
    const Share share(tally_.reconciliation_s);
    ASSIGN_OR_RETURN(opening.seed, distillation.start());
  }
  TRY(send(MessageType::verdict, opening.write()));
  while (true) {
    ASSIGN_OR_RETURN(const Frame frame, receive());
    if (frame.type == MessageType::reconciled) {
      ASSIGN_OR_RETURN(const Reconciled reconciled, Reconciled::read(frame.body));
      std::optional<AliceDistillation::Closing> closing;
      {
        const Share share(tally_.amplification_s);
        ASSIGN_OR_RETURN(closing, distillation.close(reconciled, {.alice_to_bob = 2, .bob_to_alice = 1}));
      }
      TRY(send(MessageType::close, closing->message.write()));
      ASSIGN_OR_RETURN(const Frame ack, receive());
      if (ack.type != MessageType::ack) return fail(ErrorCode::conflict, "bench: no acknowledgement");
      TRY(send(MessageType::confirm, {}));
      return release(std::move(closing->block));
    }
    if (frame.type != MessageType::question) return fail(ErrorCode::conflict, "bench: no question");
    Bytes answer;
    {
      const Share share(tally_.reconciliation_s);
      ASSIGN_OR_RETURN(answer, distillation.answer(frame.body));
    }
    TRY(send(MessageType::answer, answer));
  }
}

Result<void> Lane::bob_block(SiftedBlock block) {
  block_id_ = block.block_id;
  channel_.restart_transcript();
  BobDistillation distillation(settings_, std::move(block), hasher_);
  ASSIGN_OR_RETURN(const Frame opening, receive());
  ASSIGN_OR_RETURN(const VerdictMessage verdict, VerdictMessage::read(opening.body, 0));
  Outgoing next;
  {
    const Share share(tally_.reconciliation_s);
    TRY(distillation.start(verdict.seed));
    ASSIGN_OR_RETURN(next, distillation.ask());
  }
  while (true) {
    TRY(send(next.type, next.body));
    ASSIGN_OR_RETURN(const Frame frame, receive());
    if (next.type == MessageType::reconciled) {
      ASSIGN_OR_RETURN(const Close close, Close::read(frame.body));
      PreparedBlock prepared;
      {
        const Share share(tally_.amplification_s);
        ASSIGN_OR_RETURN(prepared, distillation.finish(close));
      }
      TRY(send(MessageType::ack, {}));
      TRY(receive());
      return release(std::move(prepared));
    }
    const Share share(tally_.reconciliation_s);
    TRY(distillation.learn(frame.body));
    ASSIGN_OR_RETURN(next, distillation.ask());
  }
}

double process_cpu_s() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void add(DistillationTally& sum, const DistillationTally& part) {
  sum.sifted_bits += part.sifted_bits;
  sum.secret_bits += part.secret_bits;
  sum.disclosed_bits += part.disclosed_bits;
  sum.disclosed_both += part.disclosed_both;
  sum.octets += part.octets;
  sum.reconciliation_s += part.reconciliation_s;
  sum.amplification_s += part.amplification_s;
  sum.channel_s += part.channel_s;
}

}  // namespace

std::vector<SiftedBlock> sifted_blocks(const DistillationPlan& plan, End end, std::size_t lane) {
  const SessionSettings& settings = plan.settings;
  // As many as sifting leaves on average, which is a little more than a block has at least.
  const double match = settings.parameters.key_basis_probability * settings.parameters.key_basis_probability;
  const auto bits = static_cast<std::size_t>(match * static_cast<double>(clicks_needed(settings.block_size, settings.parameters.key_basis_probability)));
  const std::size_t octets = (bits + 7) / 8;
  // What the link's model expects of the intensities and of the check basis; the error rate is the plan's.
  const auto expected = expected_block(settings.parameters, settings.effective_bound(), {.n_key = static_cast<double>(bits)});
  CHECK(expected);
  std::array<double, intensity_count> share{};
  for (std::size_t k = 0; k < intensity_count; ++k) share[k] = expected->input.n_key[k] / static_cast<double>(bits);
  std::vector<SiftedBlock> out(plan.blocks);
  for (std::size_t i = 0; i < out.size(); ++i) {
    SiftedBlock& block = out[i];
    block.block_id = i + 1;
    block.key = Secret(octets);
    block.key_bits = bits;
    block.marks = {.decoy = Bytes(octets), .vacuum = Bytes(octets)};
    block.gates = static_cast<std::uint64_t>(expected->pulses);
    std::mt19937_64 numbers(key_seed + 1000 * lane + i);
    const auto key = block.key.writable();
    for (std::size_t at = 0; at < bits; ++at) {
      const std::uint64_t word = numbers();
      if ((word & 1U) != 0) set_bit(key, at);
      const double u = static_cast<double>(word >> 11) * 0x1p-53;
      const std::size_t k = u < share[0] ? 0 : u < share[0] + share[1] || share[2] == 0.0 ? 1 : 2;
      if (k == 1) set_bit(block.marks.decoy, at);
      if (k == 2) set_bit(block.marks.vacuum, at);
      ++block.key_counts[k];
    }
    if (end == End::bob) {
      std::mt19937_64 noise(error_seed + 1000 * lane + i);
      std::geometric_distribution<std::size_t> gap(plan.qber);
      for (std::size_t at = gap(noise); at < bits; at += 1 + gap(noise)) key[at / 8] ^= static_cast<std::uint8_t>(1U << (at % 8));
    }
    for (std::size_t k = 0; k < intensity_count; ++k) {
      block.check.detections[k] = static_cast<std::uint64_t>(expected->input.n_check[k]);
      block.check.errors[k] = static_cast<std::uint64_t>(expected->input.m_check[k]);
    }
  }
  return out;
}

DistillationTally distil(const DistillationPlan& plan, End end, std::vector<FrameStream> channels, std::vector<std::vector<SiftedBlock>> keys) {
  keep_large_blocks();
  DistillationTally sum;
  const double cpu_before = process_cpu_s();
  auto random = crypto::open_rng();
  CHECK(random);
  std::vector<std::unique_ptr<Lane>> lanes;
  for (FrameStream& channel : channels) lanes.push_back(std::make_unique<Lane>(plan, end, std::move(channel), **random));
  std::vector<Result<void>> outcomes(lanes.size());
  std::vector<std::thread> threads;
  for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
    threads.emplace_back([&, lane] {
      for (SiftedBlock& block : keys[lane]) {
        outcomes[lane] = end == End::alice ? lanes[lane]->alice_block(std::move(block)) : lanes[lane]->bob_block(std::move(block));
        if (!outcomes[lane]) break;
      }
      lanes[lane]->finish();
    });
  }
  for (std::thread& thread : threads) thread.join();
  sum.ok = true;
  Bytes digests;
  for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
    add(sum, lanes[lane]->tally());
    append(digests, lanes[lane]->digests());
    if (outcomes[lane]) continue;
    sum.ok = false;
    std::strncpy(sum.error.data(), outcomes[lane].error().message.c_str(), sum.error.size() - 1);
  }
  const Bytes all = crypto::digest(crypto::Hash::sha256, digests);
  std::ranges::copy(all, sum.keys.begin());
  sum.cpu_s = process_cpu_s() - cpu_before;
  return sum;
}

}  // namespace qanat::bench
