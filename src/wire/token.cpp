#include "wire/token.hpp"

#include "wire/qfc2_codec.hpp"

namespace qanat::wire {
namespace {

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, Token>
void fields(Codec& c, M& m) {
  c.name("uid", m.uid, uid_bounds);
  c.id("token_id", m.token_id);
  c.name("kms_id", m.kms_id, kms_bounds);
  fingerprint_fields(c, "fp", m.holder);
  c.u64("issued_ms", m.issued_ms);
  c.u64("expires_ms", m.expires_ms);
  c.require(m.expires_ms > m.issued_ms && m.expires_ms - m.issued_ms <= token_lifetime_max_ms, "expires_ms", "must be within a day after issued_ms");
  c.choice("level_max", m.level_max, {Assurance::local_rng, Assurance::pqc, Assurance::one_qkd_path, Assurance::disjoint_qkd_paths});
}

}  // namespace

QANAT_WIRE_MESSAGE(Token);

Result<Framed<Token>> open_token(ByteView octets, const crypto::Verifier& iam, const Fingerprints& iam_fingerprints) {
  ASSIGN_OR_RETURN(auto token, parse<Token>(octets));
  TRY(verify(token, iam, iam_fingerprints));
  return Result<Framed<Token>>(std::move(token));
}

Result<void> check_token(const Token& token, const Fingerprints& holder, const Uid& uid, const ElementName& kms, UnixMs now) {
  const auto refused = [](std::string_view why) { return fail(ErrorCode::denied, "token: " + std::string(why)); };
  if (token.uid != uid) return refused("was issued to another subscriber");
  if (token.holder != holder) return refused("is bound to other certificates than its holder shows");
  if (token.kms_id != kms) return refused("is for another KMS");
  if (now >= token.expires_ms) return refused("has expired");
  if (token.issued_ms > now + token_clock_skew_ms) return refused("is not valid yet");
  return {};
}

}  // namespace qanat::wire
