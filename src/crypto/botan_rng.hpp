// Our generators as Botan wants them. Private to crypto.
#pragma once

#include <botan/rng.h>

#include <string>

#include "crypto/random.hpp"

namespace qanat::crypto {

/// Passes every draw on to an Rng. Nothing is kept, so that one may be made per call.
class BotanRng final : public Botan::RandomNumberGenerator {
 public:
  explicit BotanRng(Rng& rng) : rng_(rng) {}

  [[nodiscard]] bool accepts_input() const override { return false; }
  [[nodiscard]] std::string name() const override { return "qanat::Rng"; }
  void clear() override {}
  [[nodiscard]] bool is_seeded() const override { return true; }

 private:
  void fill_bytes_with_input(std::span<std::uint8_t> output, std::span<const std::uint8_t> /*input*/) override {
    if (!output.empty()) rng_.fill(output);
  }

  Rng& rng_;
};

/// Known answers only: hands out the given octets in order, over and over. Values that blind a computation (and do not show in its
/// result) come from the repetitions.
class FixedRng final : public Rng {
 public:
  explicit FixedRng(ByteView octets) : octets_(Secret::copy_of(octets)) {}

  void fill(std::span<std::uint8_t> out) override {
    const ByteView octets = octets_.reveal();
    for (std::uint8_t& octet : out) octet = octets[at_++ % octets.size()];
  }

 private:
  Secret octets_;
  std::size_t at_ = 0;
};

}  // namespace qanat::crypto
