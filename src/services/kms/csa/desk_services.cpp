// What the CSA computes with keys.
#include "node/crash_point.hpp"
#include "services/kms/csa/authentication.hpp"
#include "services/kms/csa/desk.hpp"
#include "crypto/kdf.hpp"
#include "wire/base64.hpp"

namespace qanat::kms::csa {
namespace {

constexpr std::int64_t data_key_octets = 32;

wire::Json base64(ByteView octets) { return wire::to_base64(octets); }

Bytes hmac_of(const Algorithm& algorithm, const Secret& material, ByteView message) { return crypto::hmac(algorithm.hash, material, {message}); }

/// A proof by the key's own means.
Result<Bytes> make_proof(const Algorithm& algorithm, const Secret& material, ByteView text, crypto::Rng& rng) {
  if (algorithm.family == Family::mac) return hmac_of(algorithm, material, text);
  return sign(algorithm, material, text, rng);
}

}  // namespace

Result<Answer> Desk::seal_for(Call& call, const Arguments& arguments, SealedKind kind, std::string_view member, const Secret& plaintext) {
  ASSIGN_OR_RETURN(const Used used, use_to_seal(call, arguments.key("key_id")));
  const SealedHeader header{.kind = kind, .key = used.key.id, .version = used.version.version};
  // Drawn, and counted before it is used (use_to_seal): SP 800-38D, 8.2.2 and 8.3.
  const Bytes nonce = node_.rng().bytes(crypto::aead_iv);
  const Bytes sealed = seal_text(*used.key.algorithm, used.material, header, nonce, arguments.text_or_empty("context"), plaintext.reveal());
  return Answer::of({{member, base64(sealed)}, {"version", used.version.version}});
}

Result<Secret> Desk::open_sealed(Call& call, const CsaKeyId& id, SealedKind kind, ByteView sealed, std::string_view context, std::uint32_t& version) {
  call.object = id.hex();
  ASSIGN_OR_RETURN(const SealedHeader header, parse_sealed_header(sealed));
  if (header.key != id) return fail(ErrorCode::invalid_argument, "sealed text: is of another key");
  if (header.kind != kind) return fail(ErrorCode::invalid_argument, "sealed text: is of another kind than this operation opens");
  if (header.version == 0) return fail(ErrorCode::invalid_argument, "sealed text: of version 0, which no key has");
  ASSIGN_OR_RETURN(const Used used, use(call, id, header.version));
  version = header.version;
  return open_text(*used.key.algorithm, used.material, header, context, sealed);
}

Result<Answer> Desk::encrypt(Call& call, const Arguments& arguments) {
  return seal_for(call, arguments, SealedKind::text, "ciphertext", arguments.secret("plaintext"));
}

Result<Answer> Desk::decrypt(Call& call, const Arguments& arguments) {
  std::uint32_t version = 0;
  ASSIGN_OR_RETURN(Secret plaintext,
                   open_sealed(call, arguments.key("key_id"), SealedKind::text, arguments.octets("ciphertext"), arguments.text_or_empty("context"), version));
  return Answer::of({{"version", version}}).with("plaintext", std::move(plaintext));
}

Result<Answer> Desk::generate_data_key(Call& call, const Arguments& arguments) {
  ASSIGN_OR_RETURN(Secret data_key, node_.device().random(static_cast<std::size_t>(arguments.integer("size", data_key_octets))));
  ASSIGN_OR_RETURN(Answer out, seal_for(call, arguments, SealedKind::data_key, "wrapped", data_key));
  if (arguments.flag("wrapped_only")) return Result<Answer>(std::move(out));
  return std::move(out).with("plaintext", std::move(data_key));
}

Result<Answer> Desk::decrypt_data_key(Call& call, const Arguments& arguments) {
  std::uint32_t version = 0;
  ASSIGN_OR_RETURN(Secret data_key,
                   open_sealed(call, arguments.key("key_id"), SealedKind::data_key, arguments.octets("wrapped"), arguments.text_or_empty("context"), version));
  return Answer::of({{"version", version}}).with("plaintext", std::move(data_key));
}

Result<Answer> Desk::sign(Call& call, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Used used, use(call, arguments.key("key_id"), 0));
  ASSIGN_OR_RETURN(const Bytes signature, csa::sign(*used.key.algorithm, used.material, arguments.octets("message"), node_.rng()));
  return Answer::of({{"signature", base64(signature)}, {"version", used.version.version}});
}

Result<Answer> Desk::verify(Call& call, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Used used, use(call, arguments.key("key_id"), arguments.integer("version", 0), Wanted::public_half));
  const auto held = csa::verify(*used.key.algorithm, used.version.public_key, arguments.octets("message"), arguments.octets("signature"));
  if (!held && held.error().code != ErrorCode::denied) return fail(held.error());
  return Answer::of({{"valid", held.has_value()}, {"version", used.version.version}});
}

Result<Answer> Desk::mac(Call& call, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Used used, use(call, arguments.key("key_id"), 0));
  return Answer::of({{"mac", base64(hmac_of(*used.key.algorithm, used.material, arguments.octets("message")))}, {"version", used.version.version}});
}

Result<Answer> Desk::verify_mac(Call& call, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Used used, use(call, arguments.key("key_id"), arguments.integer("version", 0)));
  const bool held = equal_constant_time(hmac_of(*used.key.algorithm, used.material, arguments.octets("message")), arguments.octets("mac"));
  return Answer::of({{"valid", held}, {"version", used.version.version}});
}

Result<Answer> Desk::challenge(Call& call, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Used used, use(call, arguments.key("key_id"), 0, Wanted::public_half));
  const Challenge drawn{.challenge = node_.rng().bytes(challenge_octets),
                        .key = used.key.id,
                        .verifier = call.caller.name,
                        .context = arguments.text_or_empty("context"),
                        .expires_ms = call.now + static_cast<UnixMs>(limits_.challenge_life_ms)};
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(forget_challenges(transaction, call.now));
    return insert_challenge(transaction, drawn, limits_.challenges_per_verifier);
  }));
  return Answer::of({{"challenge", base64(drawn.challenge)}, {"expires_ms", drawn.expires_ms}});
}

Result<Answer> Desk::prove(Call& call, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Used used, use(call, arguments.key("key_id"), 0));
  const std::int64_t step = arguments.integer("step", 1);
  const Bytes countering = arguments.octets_or_none("counter_challenge");
  if (step == 2 && countering.empty()) return fail(ErrorCode::invalid_argument, "counter_challenge: is missing, and step 2 is of both ways");
  const std::string context = arguments.text_or_empty("context");
  const Bytes text = proof_text({.step = static_cast<std::uint8_t>(step),
                                 .key = used.key.id,
                                 .version = used.version.version,
                                 .challenge = arguments.octets("challenge"),
                                 .countering = countering,
                                 .claimant = call.caller.name,
                                 .verifier = arguments.text("verifier"),
                                 .context = context});
  ASSIGN_OR_RETURN(const Bytes proof, make_proof(*used.key.algorithm, used.material, text, node_.rng()));
  return Answer::of({{"proof", base64(proof)}, {"version", used.version.version}, {"claimant", call.caller.name}});
}

Result<Answer> Desk::authenticate(Call& call, const Arguments& arguments) {
  const CsaKeyId id = arguments.key("key_id");
  ASSIGN_OR_RETURN(const Used used, use(call, id, arguments.integer("version", 0)));
  // Gone before the proof is looked at: a challenge serves one attempt, whatever comes of it.
  ASSIGN_OR_RETURN(const auto taken,
                   store_.transact([&](store::Transaction& transaction) { return take_challenge(transaction, arguments.octets("challenge")); }));
  node::crash_point("kms.csa.challenge_taken");
  if (!taken || taken->expires_ms <= call.now) return fail(ErrorCode::denied, "the challenge is none that is open: drawn elsewhere, used before, or past its time");
  const std::string context = arguments.text_or_empty("context");
  if (taken->key != id || taken->verifier != call.caller.name || taken->context != context) {
    return fail(ErrorCode::denied, "the challenge was drawn for another key, verifier or context");
  }
  const Bytes countering = arguments.octets_or_none("counter_challenge");
  const Bytes text = proof_text({.step = static_cast<std::uint8_t>(arguments.integer("step", 1)),
                                 .key = id,
                                 .version = used.version.version,
                                 .challenge = taken->challenge,
                                 .countering = countering,
                                 .claimant = arguments.text("claimant"),
                                 .verifier = call.caller.name,
                                 .context = context});
  const Algorithm& algorithm = *used.key.algorithm;
  const Bytes& proof = arguments.octets("proof");
  const bool held = algorithm.family == Family::mac ? equal_constant_time(hmac_of(algorithm, used.material, text), proof)
                                                    : csa::verify(algorithm, used.version.public_key, text, proof).has_value();
  if (!held) return fail(ErrorCode::denied, "the proof does not hold: " + arguments.text("claimant") + " is not authenticated");
  return Answer::of({{"claimant", arguments.text("claimant")}, {"version", used.version.version}});
}

Result<Answer> Desk::encapsulate(Call& call, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Used used, use(call, arguments.key("key_id"), arguments.integer("version", 0), Wanted::public_half));
  ASSIGN_OR_RETURN(SharedKey made,
                   csa::encapsulate(*used.key.algorithm, used.version.public_key, as_bytes(arguments.text_or_empty("context")), node_.rng()));
  return Answer::of({{"encapsulation", base64(made.ciphertext)}, {"version", used.version.version}}).with("plaintext", std::move(made.secret));
}

Result<Answer> Desk::decapsulate(Call& call, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Used used, use(call, arguments.key("key_id"), arguments.integer("version", 0)));
  ASSIGN_OR_RETURN(Secret shared,
                   csa::decapsulate(*used.key.algorithm, used.material, arguments.octets("encapsulation"), as_bytes(arguments.text_or_empty("context"))));
  return Answer::of({{"version", used.version.version}}).with("plaintext", std::move(shared));
}

Result<Answer> Desk::public_key(Call& call, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Used used, use(call, arguments.key("key_id"), arguments.integer("version", 0), Wanted::public_half));
  if (used.version.public_key.empty()) return fail(ErrorCode::invalid_argument, "key " + used.key.id.hex() + " has no public half");
  return Answer::of({{"algorithm", used.key.algorithm->name}, {"public_key", base64(used.version.public_key)}, {"version", used.version.version}});
}

Result<Answer> Desk::random(Call&, const Arguments& arguments) {
  ASSIGN_OR_RETURN(Secret octets, node_.device().random(static_cast<std::size_t>(arguments.integer("size", 0))));
  return Answer{}.with("plaintext", std::move(octets));
}

}  // namespace qanat::kms::csa
