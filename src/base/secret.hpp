// A secret is a type: not copyable, not printable, compared in constant time, wiped when it goes, kept in locked memory that
// core dumps leave out. It is read through reveal() alone, so that `grep -rn 'reveal('` lists every place that touches one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>

#include "base/bytes.hpp"

namespace qanat {

/// Overwrites in a way that the compiler may not remove.
void wipe(std::span<std::uint8_t> octets) noexcept;

/// True when both are equal; takes the same time wherever they differ. Lengths are public.
[[nodiscard]] bool equal_constant_time(ByteView a, ByteView b) noexcept;

/// Octets of a secret. Move-only. An empty Secret (default, or moved from) has size 0.
class Secret {
 public:
  Secret() = default;
  /// `size` zero octets in locked memory, to be filled through writable().
  explicit Secret(std::size_t size);
  /// A copy of octets that the caller still holds (and wipes, if they were secret).
  static Secret copy_of(ByteView octets);
  /// One secret after the other (for a KDF's input).
  static Secret concat(std::initializer_list<const Secret*> parts);

  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  /// The one way to read a secret. The view ends with the secret.
  [[nodiscard]] ByteView reveal() const noexcept { return {data_, size_}; }
  [[nodiscard]] std::span<std::uint8_t> writable() noexcept { return {data_, size_}; }
  /// A second secret with the same octets: explicit, because it doubles what must be protected.
  [[nodiscard]] Secret duplicate() const { return copy_of(reveal()); }

  /// this ^= other; sizes must be equal.
  void xor_with(const Secret& other);

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

[[nodiscard]] inline bool equal_secret(const Secret& a, const Secret& b) noexcept { return equal_constant_time(a.reveal(), b.reveal()); }

}  // namespace qanat
