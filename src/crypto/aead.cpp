#include "crypto/aead.hpp"

#include <botan/aead.h>
#include <botan/mac.h>
#include <botan/stream_cipher.h>

#include <array>

#include "base/check.hpp"
#include "crypto/algorithm_names.hpp"

namespace qanat::crypto {
namespace {

using Mode = std::unique_ptr<Botan::AEAD_Mode>;

constexpr std::size_t counter_block_octets = 16;
constexpr std::size_t poly1305_key_octets = 32;
constexpr std::size_t poly1305_tag_octets = 16;

void give_key(Botan::AEAD_Mode& mode, Aead aead, const Secret& key) {
  CHECK(key.size() == key_size(aead));
  mode.set_key(key.reveal());
}

Mode keyed_mode(Aead aead, Botan::Cipher_Dir direction, const Secret& key) {
  Mode mode = Botan::AEAD_Mode::create_or_throw(botan_name(aead), direction);
  give_key(*mode, aead, key);
  return mode;
}

// Made once for each thread: Botan finds a mode by its name and puts it together anew each time, which takes longer than to seal a key.
Botan::AEAD_Mode& mode_of_thread(Aead aead, Botan::Cipher_Dir direction) {
  thread_local std::array<std::array<Mode, 2>, 2> made;
  Mode& one = made.at(static_cast<std::size_t>(aead)).at(direction == Botan::Cipher_Dir::Encryption ? 0 : 1);
  if (!one) one = Botan::AEAD_Mode::create_or_throw(botan_name(aead), direction);
  return *one;
}

/// This thread's mode under a key, of which it is wiped at the end. One at a time.
class KeyedMode {
 public:
  KeyedMode(Aead aead, Botan::Cipher_Dir direction, const Secret& key) : mode_(mode_of_thread(aead, direction)) { give_key(mode_, aead, key); }
  ~KeyedMode() { mode_.clear(); }
  KeyedMode(const KeyedMode&) = delete;
  KeyedMode& operator=(const KeyedMode&) = delete;
  [[nodiscard]] Botan::AEAD_Mode& mode() const { return mode_; }

 private:
  Botan::AEAD_Mode& mode_;
};

void start(Botan::AEAD_Mode& mode, ByteView iv, ByteView aad) {
  CHECK(iv.size() == aead_iv);
  mode.set_associated_data(aad);
  mode.start(iv);
}

void seal_onto(Botan::AEAD_Mode& mode, Botan::secure_vector<std::uint8_t>& tag, ByteView iv, ByteView aad, ByteView plaintext, Bytes& out) {
  start(mode, iv, aad);
  const std::size_t before = out.size();
  out.reserve(before + plaintext.size() + aead_tag);
  append(out, plaintext);
  mode.process(std::span(out).subspan(before));
  tag.clear();
  mode.finish(tag);
  append(out, tag);
}

// Decrypts `text` in place; the octets are garbage (to be wiped by the caller) if the tag does not hold.
bool open_in_place(Botan::AEAD_Mode& mode, Botan::secure_vector<std::uint8_t>& tag_buffer, ByteView iv, ByteView aad, std::span<std::uint8_t> text,
                   ByteView tag) {
  start(mode, iv, aad);
  mode.process(text);
  tag_buffer.assign(tag.begin(), tag.end());
  try {
    mode.finish(tag_buffer);
  } catch (const Botan::Invalid_Authentication_Tag&) {
    return false;
  }
  return true;
}

std::string_view ctr_name(BlockCipher cipher) noexcept {
  switch (cipher) {
    case BlockCipher::sm4:
      return "CTR-BE(SM4)";
    case BlockCipher::aes_128:
      return "CTR-BE(AES-128)";
    case BlockCipher::aes_256:
      break;
  }
  return "CTR-BE(AES-256)";
}

}  // namespace

std::size_t key_size(Aead aead) noexcept { return aead == Aead::sm4_gcm ? 16 : 32; }

Bytes seal(Aead aead, const Secret& key, ByteView iv, ByteView aad, ByteView plaintext) {
  const KeyedMode keyed(aead, Botan::Cipher_Dir::Encryption, key);
  Botan::secure_vector<std::uint8_t> tag;
  Bytes out;
  seal_onto(keyed.mode(), tag, iv, aad, plaintext, out);
  return out;
}

Result<Secret> open(Aead aead, const Secret& key, ByteView iv, ByteView aad, ByteView sealed) {
  if (sealed.size() < aead_tag) return fail(ErrorCode::denied, "aead: sealed text is shorter than its tag");
  const KeyedMode keyed(aead, Botan::Cipher_Dir::Decryption, key);
  Botan::secure_vector<std::uint8_t> tag;
  Secret plaintext = Secret::copy_of(sealed.first(sealed.size() - aead_tag));
  if (!open_in_place(keyed.mode(), tag, iv, aad, plaintext.writable(), sealed.last(aead_tag))) return fail(ErrorCode::denied, "aead: the tag does not hold");
  return Result<Secret>(std::move(plaintext));
}

struct AeadCipher::State {
  Mode encryption;
  Mode decryption;
  Botan::secure_vector<std::uint8_t> tag;  // keeps its room from one packet to the next
};

AeadCipher::AeadCipher(Aead aead, const Secret& key)
    : state_(std::make_unique<State>(State{
          .encryption = keyed_mode(aead, Botan::Cipher_Dir::Encryption, key), .decryption = keyed_mode(aead, Botan::Cipher_Dir::Decryption, key), .tag = {}})) {
}
AeadCipher::AeadCipher(AeadCipher&&) noexcept = default;
AeadCipher& AeadCipher::operator=(AeadCipher&&) noexcept = default;
AeadCipher::~AeadCipher() = default;

void AeadCipher::seal(ByteView iv, ByteView aad, ByteView plaintext, Bytes& out) { seal_onto(*state_->encryption, state_->tag, iv, aad, plaintext, out); }

bool AeadCipher::open(ByteView iv, ByteView aad, ByteView sealed, Bytes& out) {
  if (sealed.size() < aead_tag) return false;
  const std::size_t before = out.size();
  append(out, sealed.first(sealed.size() - aead_tag));
  const std::span<std::uint8_t> text = std::span(out).subspan(before);
  if (open_in_place(*state_->decryption, state_->tag, iv, aad, text, sealed.last(aead_tag))) return true;
  wipe(text);  // plaintext under a key that we hold, whoever sent it
  out.resize(before);
  return false;
}

Secret ctr_keystream(BlockCipher cipher, const Secret& key, ByteView counter_block, std::size_t size) {
  CHECK(counter_block.size() == counter_block_octets);
  const auto stream = Botan::StreamCipher::create_or_throw(ctr_name(cipher));
  CHECK(stream->valid_keylength(key.size()));
  stream->set_key(key.reveal());
  stream->set_iv(counter_block);
  Secret out(size);
  stream->write_keystream(out.writable());
  return out;
}

Bytes poly1305(const Secret& one_time_key, ByteView message) {
  CHECK(one_time_key.size() == poly1305_key_octets);
  const auto mac = Botan::MessageAuthenticationCode::create_or_throw("Poly1305");
  mac->set_key(one_time_key.reveal());
  mac->update(message);
  Bytes tag(poly1305_tag_octets);
  mac->final(tag);
  return tag;
}

}  // namespace qanat::crypto
