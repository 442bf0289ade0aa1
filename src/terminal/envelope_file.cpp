#include "terminal/envelope_file.hpp"

#include "base/check.hpp"
#include "wire/writer.hpp"

namespace qanat::terminal {
namespace {

constexpr std::string_view envelope_magic = "QANATEN1";
constexpr std::size_t envelope_key_id = 16;
constexpr std::uint8_t cipher_sm4_gcm = 1;
constexpr std::uint8_t cipher_aes_256_gcm = 2;

std::uint8_t number_of(crypto::Aead aead) { return aead == crypto::Aead::sm4_gcm ? cipher_sm4_gcm : cipher_aes_256_gcm; }

std::uint16_t u16_at(ByteView octets, std::size_t at) { return static_cast<std::uint16_t>(octets[at] << 8U | octets[at + 1]); }

}  // namespace

Result<Bytes> encode_envelope_header(const EnvelopeHeader& header) {
  const auto key_id = from_hex(header.key_id);
  if (!key_id) return fail(ErrorCode::invalid_argument, "envelope: the key id is not hexadecimal");
  wire::Writer out;
  out.raw(as_bytes(envelope_magic));
  out.u8(number_of(header.aead));
  out.fixed("key id", *key_id, envelope_key_id);
  out.opaque("wrapped data key", header.wrapped, {.min = 1, .max = envelope_wrapped_max});
  out.opaque("context", header.context, {.min = 0, .max = envelope_context_max});
  return std::move(out).finish();
}

Result<ReadEnvelopeHeader> parse_envelope_header(ByteView beginning) {
  const auto bad = [](std::string_view why) { return fail(ErrorCode::invalid_argument, "envelope: " + std::string(why)); };
  constexpr std::size_t fixed = envelope_magic.size() + 1 + envelope_key_id;
  if (beginning.size() < fixed + 2 || as_text(beginning.first(envelope_magic.size())) != envelope_magic) return bad("this is no file that qanat csa encrypt wrote");
  const std::uint8_t cipher = beginning[envelope_magic.size()];
  if (cipher != cipher_sm4_gcm && cipher != cipher_aes_256_gcm) return bad("its cipher is not known");
  ReadEnvelopeHeader out;
  out.header.aead = cipher == cipher_sm4_gcm ? crypto::Aead::sm4_gcm : crypto::Aead::aes_256_gcm;
  out.header.key_id = to_hex(beginning.subspan(envelope_magic.size() + 1, envelope_key_id));
  const std::size_t wrapped = u16_at(beginning, fixed);
  if (wrapped == 0 || wrapped > envelope_wrapped_max) return bad("its wrapped data key has no possible length");
  if (beginning.size() < fixed + 2 + wrapped + 2) return bad("its header is cut short");
  out.header.wrapped = to_bytes(beginning.subspan(fixed + 2, wrapped));
  const std::size_t context = u16_at(beginning, fixed + 2 + wrapped);
  if (context > envelope_context_max) return bad("its context is too long");
  out.size = fixed + 2 + wrapped + 2 + context;
  if (beginning.size() < out.size) return bad("its header is cut short");
  out.header.context = std::string(as_text(beginning.subspan(fixed + 2 + wrapped + 2, context)));
  return out;
}

EnvelopeChunks::EnvelopeChunks(crypto::Aead aead, Secret data_key, ByteView header) : aead_(aead), key_(std::move(data_key)), header_(to_bytes(header)) {
  CHECK(key_.size() == crypto::key_size(aead_));
}

// 3 zero octets ‖ counter ‖ 1 for the last chunk, else 0. The key is this file's alone, so that a counter is enough.
Bytes EnvelopeChunks::next_nonce(Chunk chunk) {
  CHECK(!ended_);
  ended_ = chunk == Chunk::last;
  Bytes out(3);
  for (unsigned shift = 64; shift > 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(next_ >> (shift - 8)));
  out.push_back(chunk == Chunk::last ? 1 : 0);
  ++next_;
  return out;
}

Bytes EnvelopeChunks::seal(ByteView plaintext, Chunk chunk) {
  CHECK(plaintext.size() == envelope_chunk || (chunk == Chunk::last && plaintext.size() < envelope_chunk));
  return crypto::seal(aead_, key_, next_nonce(chunk), header_, plaintext);
}

Result<Secret> EnvelopeChunks::open(ByteView sealed, Chunk chunk) {
  if (ended_) return fail(ErrorCode::denied, "envelope: there is more after its last chunk");
  const std::uint64_t number = next_;
  auto opened = crypto::open(aead_, key_, next_nonce(chunk), header_, sealed);
  if (!opened) return fail(ErrorCode::denied, "envelope: chunk " + std::to_string(number) + " was changed, moved, or the file was cut short");
  return opened;
}

}  // namespace qanat::terminal
