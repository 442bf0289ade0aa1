// A file encrypted by envelope (Ax-3): a data key of the CSA for this file alone, wrapped in its header, and the text in chunks under it. An own format
// (docs/operations/csa.md); the chunks follow the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015): a counter and a mark of the last one in each
// nonce, so that no chunk is moved, left out or added, and a file that was cut short does not pass for a whole one. No I/O here.
#pragma once

#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/aead.hpp"

namespace qanat::terminal {

struct EnvelopeHeader {
  crypto::Aead aead{};
  std::string key_id;   // 32 hexadecimal digits: the CSA's key that wraps the data key
  Bytes wrapped;        // as the CSA gave it
  std::string context;  // as the CSA was told it; not secret
  bool operator==(const EnvelopeHeader&) const = default;
};
inline constexpr std::size_t envelope_wrapped_max = 1024;
inline constexpr std::size_t envelope_context_max = 1024;
inline constexpr std::size_t envelope_chunk = 64 * 1024;  // octets of plaintext in each chunk but the last, which has 0 to so many
inline constexpr std::size_t envelope_sealed_chunk = envelope_chunk + crypto::aead_tag;
/// No header is longer.
inline constexpr std::size_t envelope_header_max = 8 + 1 + 16 + 2 + envelope_wrapped_max + 2 + envelope_context_max;

/// "QANATEN1" ‖ cipher ‖ key id ‖ wrapped<2 octets of length> ‖ context<2>. invalid_argument for members out of their bounds.
Result<Bytes> encode_envelope_header(const EnvelopeHeader& header);
struct ReadEnvelopeHeader {
  EnvelopeHeader header;
  std::size_t size = 0;  // octets that it took
};
/// Of a file's beginning; invalid_argument if that is no such header, or not all of it.
Result<ReadEnvelopeHeader> parse_envelope_header(ByteView beginning);

enum class Chunk : std::uint8_t { more, last };

/// The chunks of one file, in their order. Not for concurrent use.
class EnvelopeChunks {
 public:
  /// `data_key`: key_size(aead) octets, of this file alone. `header`: its octets, which every chunk is bound to.
  EnvelopeChunks(crypto::Aead aead, Secret data_key, ByteView header);
  /// `more` only for chunks of full size: CHECKs.
  Bytes seal(ByteView plaintext, Chunk chunk);
  /// `denied` if this is not the next chunk of this file as it was sealed, or is the last and was not (or the other way round).
  Result<Secret> open(ByteView sealed, Chunk chunk);

 private:
  Bytes next_nonce(Chunk chunk);
  crypto::Aead aead_;
  Secret key_;
  Bytes header_;
  std::uint64_t next_ = 0;
  bool ended_ = false;
};

}  // namespace qanat::terminal
