// Checkpoints (C2SP tlog-checkpoint) and their signatures: ML-DSA-44 as C2SP tlog-cosignature has it (type 06), and SM2, for which no type is
// assigned, as a type of our own. No I/O.
//
// Both sign { label, opaque cosigner_name<1..255>, u64 timestamp, opaque log_origin<1..255>, u64 start = 0, u64 end = size, root[32] } and stand
// in the note as u64 timestamp ‖ signature. The label is "subtree/v1\n\0" for ML-DSA-44 and, own design, "qanat/sm2-checkpoint/v1\n\0" for SM2, whose
// key type is ff ‖ "qanat/sm2-sm3-checkpoint/v1" and whose signature is r‖s with the standard distinguishing id.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "audit/merkle.hpp"
#include "audit/note.hpp"
#include "base/clock.hpp"
#include "crypto/lone_signer.hpp"

namespace qanat::audit {

struct Checkpoint {
  std::string origin;
  TreeHead head;
  bool operator==(const Checkpoint&) const = default;
};
std::string checkpoint_text(const Checkpoint& checkpoint);
/// From a note's text; invalid_argument for extension lines too: our logs write none, and ML-DSA-44 signatures do not cover them.
Result<Checkpoint> parse_checkpoint(std::string_view text);

/// The origin of an element's log, and the name of its keys: the element's URI without its scheme, "domain/kind/name".
std::string origin_of(std::string_view element_uri);
/// The URI of the element whose log has this name: the name itself, or what stands before the number of one of its front ends, "qanat://a/kms/kms-a/2", each
/// of which has a log of its own. invalid_argument for what is neither.
Result<std::string> element_of_log(std::string_view log_name);
inline constexpr unsigned logs_per_element_max = 64;

enum class LogKeyType : std::uint8_t { ml_dsa_44, sm2 };
inline constexpr std::array all_log_key_types{LogKeyType::ml_dsa_44, LogKeyType::sm2};

/// The public key of a log or a witness.
struct LogKey {
  LogKeyType type{};
  std::string name;
  Bytes key;
  [[nodiscard]] KeyHash id() const;
  bool operator==(const LogKey&) const = default;
};
/// "name+hex(id)+base64(type ‖ key)" (a verifier key of signed-note).
std::string vkey_text(const LogKey& key);
/// invalid_argument for another type, a key of the wrong length or an id that does not fit.
Result<LogKey> parse_vkey(std::string_view text);

/// The two keys that sign the checkpoints of one log, or cosign those of others.
class CheckpointSigner {
 public:
  CheckpointSigner(std::string name, crypto::LoneSigner ml_dsa_44, crypto::LoneSigner sm2)
      : name_(std::move(name)), ml_dsa_44_(std::move(ml_dsa_44)), sm2_(std::move(sm2)) {}
  static Result<CheckpointSigner> generate(std::string name, crypto::Rng& rng);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::vector<LogKey> keys() const;
  /// ML-DSA-44 first. `seconds`: Unix time.
  [[nodiscard]] std::vector<NoteSignature> sign(const Checkpoint& checkpoint, std::uint64_t seconds, crypto::Rng& rng) const;

 private:
  [[nodiscard]] const crypto::LoneSigner& signer(LogKeyType type) const noexcept { return type == LogKeyType::sm2 ? sm2_ : ml_dsa_44_; }
  std::string name_;
  crypto::LoneSigner ml_dsa_44_;
  crypto::LoneSigner sm2_;
};

/// `denied` unless the key made the signature over the checkpoint. The value is its time, Unix seconds.
Result<std::uint64_t> verify_signature(const LogKey& key, const Checkpoint& checkpoint, const NoteSignature& signature);
/// `denied` unless the note has a signature of every one of the keys and all hold; signatures of other keys are passed over.
Result<void> verify_signatures(const std::vector<LogKey>& keys, const Checkpoint& checkpoint, const Note& note);
/// True if the note has a signature that names this key.
bool names_key(const Note& note, const LogKey& key);

}  // namespace qanat::audit
