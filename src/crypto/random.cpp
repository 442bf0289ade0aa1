#include "crypto/random.hpp"

#include <botan/hmac_drbg.h>
#include <pthread.h>
#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>

#include "base/check.hpp"

namespace qanat::crypto {
namespace {

// The kernel's output is conditioned, and its entropy per octet is near 8 bits. It is put down as 4: then a sound source fails the
// repetition test once in 2^40 octets (with 7 it would be once in 2^24, often enough to stop elements), and a seed takes twice as many
// octets.
constexpr double entropy_bits_per_octet = 4.0;
constexpr std::size_t start_up_samples = 1024;         // SP 800-90B, 4.3
constexpr std::size_t instantiate_octets = 96;         // SP 800-90A, 8.6.7: 256 bits and a nonce of 128, at 4 bits per octet
constexpr std::size_t reseed_octets = 64;              // 256 bits
constexpr std::size_t requests_per_seed = 1U << 16U;   // SP 800-90A allows 2^48
constexpr std::size_t octets_per_request = 1U << 16U;  // SP 800-90A, table 2: 2^19 bits
constexpr std::size_t buffer_octets = 4096;

[[noreturn]] void stop(const char* reason) {
  std::fprintf(stderr, "qanat: random numbers: %s; stopping\n", reason);
  std::abort();
}

// Counts forks: the child must not hand out what the parent's buffer holds. Read at every fill, changed in the child only.
std::atomic<unsigned> fork_count{0};

/// Kernel entropy under the health tests. Shared by the generators of all threads.
class Source {
 public:
  /// False if the tests fail; used at start, where a failure can still be reported.
  bool try_draw(std::span<std::uint8_t> out) {
    const std::lock_guard lock(mutex_);
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = ::getrandom(out.data() + done, out.size() - done, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      done += static_cast<std::size_t>(got);
    }
    return tests_.feed(out);
  }
  void draw(std::span<std::uint8_t> out) {
    if (!try_draw(out)) stop("the entropy source failed its health tests (SP 800-90B 4.4)");
  }

 private:
  std::mutex mutex_;
  HealthTests tests_{entropy_bits_per_octet};
};

/// One thread's HMAC_DRBG with its buffer.
class Generator {
 public:
  explicit Generator(std::shared_ptr<Source> source) : source_(std::move(source)), drbg_("SHA-256"), buffer_(buffer_octets) {
    Secret seed(instantiate_octets);
    source_->draw(seed.writable());
    drbg_.initialize_with(seed.reveal());
  }

  void fill(std::span<std::uint8_t> out) {
    if (out.size() > buffer_octets) return generate(out);
    if (out.size() > left_) {
      generate(buffer_.writable());
      left_ = buffer_octets;
    }
    const std::span<std::uint8_t> part = buffer_.writable().last(left_).first(out.size());
    std::ranges::copy(part, out.begin());
    wipe(part);  // what was handed out is not here any more
    left_ -= out.size();
  }

  [[nodiscard]] unsigned born_after_forks() const noexcept { return born_after_forks_; }

 private:
  void generate(std::span<std::uint8_t> out) {
    while (!out.empty()) {
      if (++requests_ > requests_per_seed) {
        Secret seed(reseed_octets);
        source_->draw(seed.writable());
        drbg_.add_entropy(seed.reveal());
        requests_ = 1;
      }
      const std::size_t size = std::min(out.size(), octets_per_request);
      drbg_.randomize(out.first(size));
      out = out.subspan(size);
    }
  }

  std::shared_ptr<Source> source_;  // owners: the ProcessRng and the generators of threads that outlive it
  Botan::HMAC_DRBG drbg_;
  Secret buffer_;
  std::size_t left_ = 0;
  std::size_t requests_ = 0;
  unsigned born_after_forks_ = fork_count.load(std::memory_order_relaxed);
};

class ProcessRng final : public Rng {
 public:
  explicit ProcessRng(std::shared_ptr<Source> source) : source_(std::move(source)) {}

  void fill(std::span<std::uint8_t> out) override {
    try {
      generator().fill(out);
    } catch (const std::exception& e) {
      stop(e.what());
    }
  }

 private:
  struct OfThread {
    std::uint64_t rng = 0;
    std::unique_ptr<Generator> generator;
  };

  Generator& generator() {
    thread_local OfThread mine;
    if (mine.rng != number_ || mine.generator->born_after_forks() != fork_count.load(std::memory_order_relaxed)) {
      mine.generator = std::make_unique<Generator>(source_);
      mine.rng = number_;
    }
    return *mine.generator;
  }

  static std::uint64_t next_number() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
  }

  std::shared_ptr<Source> source_;  // owners: this and the generators of threads that outlive it
  const std::uint64_t number_ = next_number();
};

bool count_forks() {
  return ::pthread_atfork(nullptr, nullptr, [] { fork_count.fetch_add(1, std::memory_order_relaxed); }) == 0;
}

}  // namespace

Result<std::unique_ptr<Rng>> open_rng() {
  static const bool forks_are_counted = count_forks();
  if (!forks_are_counted) return fail(ErrorCode::internal, "random numbers: pthread_atfork failed");
  auto source = std::make_shared<Source>();  // owners: the ProcessRng and the threads' generators
  Secret samples(start_up_samples);
  if (!source->try_draw(samples.writable())) return fail(ErrorCode::internal, "random numbers: the entropy source failed its start-up test (SP 800-90B 4.3)");
  return Result<std::unique_ptr<Rng>>(std::make_unique<ProcessRng>(std::move(source)));
}

}  // namespace qanat::crypto
