#include "wire/cwt.hpp"

#include "wire/cbor.hpp"

namespace qanat::wire {
namespace {

// COSE header parameters (RFC 9052 §3.1, RFC 9596).
constexpr std::int64_t header_alg = 1;
constexpr std::int64_t header_crit = 2;
constexpr std::int64_t header_kid = 4;
constexpr std::int64_t header_typ = 16;
// CWT claims (RFC 8392 §3.1, RFC 8747 §3.1, RFC 9200 §5.10.3); below -65536 they are for private use (RFC 8392 §9.1.1).
constexpr std::int64_t claim_iss = 1;
constexpr std::int64_t claim_sub = 2;
constexpr std::int64_t claim_aud = 3;
constexpr std::int64_t claim_exp = 4;
constexpr std::int64_t claim_iat = 6;
constexpr std::int64_t claim_cti = 7;
constexpr std::int64_t claim_cnf = 8;
constexpr std::int64_t claim_scope = 9;
constexpr std::int64_t claim_epoch = -65537;
constexpr std::int64_t claim_client = -65538;
constexpr std::int64_t cnf_kid = 3;

constexpr std::string_view signature_context = "Signature1";
constexpr std::size_t cose_sign1_members = 4;

using CborItems = std::map<std::int64_t, ByteView>;

Result<CborItems> whole_map(ByteView octets, std::string_view field) {
  CborReader reader(octets);
  ASSIGN_OR_RETURN(CborItems out, reader.map(field));
  TRY(reader.finish(field));
  return out;
}

Result<ByteView> member(const CborItems& items, std::int64_t key, std::string_view field) {
  const auto found = items.find(key);
  if (found == items.end()) return fail(ErrorCode::invalid_argument, std::string(field) + ": is missing");
  return found->second;
}
Result<std::string> text_member(const CborItems& items, std::int64_t key, std::string_view field) {
  ASSIGN_OR_RETURN(const ByteView item, member(items, key, field));
  ASSIGN_OR_RETURN(const std::string_view out, CborReader(item).text(field));
  return std::string(out);
}
Result<Bytes> octets_member(const CborItems& items, std::int64_t key, std::string_view field) {
  ASSIGN_OR_RETURN(const ByteView item, member(items, key, field));
  ASSIGN_OR_RETURN(const ByteView out, CborReader(item).octets(field));
  return to_bytes(out);
}
Result<std::int64_t> integer_member(const CborItems& items, std::int64_t key, std::string_view field) {
  ASSIGN_OR_RETURN(const ByteView item, member(items, key, field));
  return CborReader(item).integer(field);
}

Result<void> read_headers(const CborItems& guarded, const CborItems& open, CoseSign1& out) {
  for (const std::int64_t key : {header_alg, header_crit, header_typ}) {
    if (open.contains(key)) return fail(ErrorCode::invalid_argument, "COSE: alg, crit and typ must be in the protected header");
  }
  if (guarded.contains(header_crit)) return fail(ErrorCode::invalid_argument, "COSE: crit names what is not understood here");
  ASSIGN_OR_RETURN(out.algorithm, integer_member(guarded, header_alg, "COSE alg"));
  if (const auto type = guarded.find(header_typ); type != guarded.end()) {
    ASSIGN_OR_RETURN(const CborType kind, CborReader(type->second).peek("COSE typ"));
    if (kind == CborType::unsigned_integer) {
      ASSIGN_OR_RETURN(out.type, CborReader(type->second).integer("COSE typ"));
    }
  }
  // RFC 9052 §3: one label in both headers is malformed.
  if (guarded.contains(header_kid) && open.contains(header_kid)) return fail(ErrorCode::invalid_argument, "COSE: kid stands in both headers");
  ASSIGN_OR_RETURN(out.key_id, octets_member(guarded.contains(header_kid) ? guarded : open, header_kid, "COSE kid"));
  return {};
}

}  // namespace

Result<CoseSign1> parse_cose_sign1(ByteView octets) {
  if (octets.size() > access_token_max) return fail(ErrorCode::invalid_argument, "COSE: over " + std::to_string(access_token_max) + " octets");
  CborReader reader(octets);
  ASSIGN_OR_RETURN(std::uint64_t tag, reader.tag("COSE"));
  if (tag == tag_cwt) {
    ASSIGN_OR_RETURN(tag, reader.tag("COSE"));
  }
  if (tag != tag_cose_sign1) return fail(ErrorCode::invalid_argument, "COSE: not tagged as COSE_Sign1");
  ASSIGN_OR_RETURN(const std::size_t members, reader.array("COSE"));
  if (members != cose_sign1_members) return fail(ErrorCode::invalid_argument, "COSE: not four members");
  CoseSign1 out;
  ASSIGN_OR_RETURN(const ByteView guarded, reader.octets("COSE protected header"));
  out.protected_header = to_bytes(guarded);
  ASSIGN_OR_RETURN(const CborItems guarded_items, whole_map(guarded, "COSE protected header"));
  ASSIGN_OR_RETURN(const CborItems open_items, reader.map("COSE unprotected header"));
  ASSIGN_OR_RETURN(const ByteView payload, reader.octets("COSE payload"));
  out.payload = to_bytes(payload);
  ASSIGN_OR_RETURN(const ByteView signature, reader.octets("COSE signature"));
  out.signature = to_bytes(signature);
  TRY(reader.finish("COSE"));
  TRY(read_headers(guarded_items, open_items, out));
  return out;
}

Bytes cose_sign1_tbs(ByteView protected_header, ByteView payload) {
  CborWriter writer;
  writer.array(4);
  writer.text(signature_context);
  writer.octets(protected_header);
  writer.octets({});
  writer.octets(payload);
  return std::move(writer).take();
}

Bytes encode_cose_sign1(const CoseSign1& message) {
  CborWriter writer;
  writer.tag(tag_cose_sign1);
  writer.array(cose_sign1_members);
  writer.octets(message.protected_header);
  writer.map(0);
  writer.octets(message.payload);
  writer.octets(message.signature);
  return std::move(writer).take();
}

Bytes cwt_protected_header(const TokenKey& key) {
  CborMap header;
  header.integer(header_alg, cose_number(key.algorithm()));
  header.octets(header_kid, key.id());
  header.integer(header_typ, content_format_cwt);
  return header.encode();
}

Bytes encode_cwt_claims(const AccessClaims& claims) {
  CborMap confirmation;
  confirmation.octets(cnf_kid, claims.holder);
  CborMap out;
  out.text(claim_iss, claims.issuer);
  out.text(claim_sub, claims.subject);
  out.text(claim_aud, claims.audience);
  out.integer(claim_exp, claims.expires_s);
  out.integer(claim_iat, claims.issued_s);
  out.octets(claim_cti, claims.token_id);
  out.raw(claim_cnf, confirmation.encode());
  if (!claims.scope.empty()) out.text(claim_scope, claims.scope);
  out.integer(claim_epoch, static_cast<std::int64_t>(claims.epoch));
  if (claims.client != claims.subject) out.text(claim_client, claims.client);
  return out.encode();
}

Result<AccessClaims> parse_cwt_claims(ByteView payload) {
  ASSIGN_OR_RETURN(const CborItems items, whole_map(payload, "CWT"));
  AccessClaims out;
  ASSIGN_OR_RETURN(out.issuer, text_member(items, claim_iss, "CWT iss"));
  ASSIGN_OR_RETURN(out.subject, text_member(items, claim_sub, "CWT sub"));
  ASSIGN_OR_RETURN(out.audience, text_member(items, claim_aud, "CWT aud"));
  ASSIGN_OR_RETURN(out.expires_s, integer_member(items, claim_exp, "CWT exp"));
  ASSIGN_OR_RETURN(out.issued_s, integer_member(items, claim_iat, "CWT iat"));
  ASSIGN_OR_RETURN(out.token_id, octets_member(items, claim_cti, "CWT cti"));
  ASSIGN_OR_RETURN(const ByteView confirmation, member(items, claim_cnf, "CWT cnf"));
  ASSIGN_OR_RETURN(const CborItems methods, whole_map(confirmation, "CWT cnf"));
  ASSIGN_OR_RETURN(out.holder, octets_member(methods, cnf_kid, "CWT cnf kid"));
  if (items.contains(claim_scope)) {
    ASSIGN_OR_RETURN(out.scope, text_member(items, claim_scope, "CWT scope"));
  }
  out.client = out.subject;
  if (items.contains(claim_client)) {
    ASSIGN_OR_RETURN(out.client, text_member(items, claim_client, "CWT client"));
  }
  ASSIGN_OR_RETURN(const std::int64_t epoch, integer_member(items, claim_epoch, "CWT epoch"));
  if (epoch < 0) return fail(ErrorCode::invalid_argument, "CWT epoch: is negative");
  out.epoch = static_cast<std::uint64_t>(epoch);
  TRY(check_form(out));
  return out;
}

Result<AccessClaims> open_cwt(ByteView octets, const TokenKeys& issuer) {
  ASSIGN_OR_RETURN(const CoseSign1 message, parse_cose_sign1(octets));
  ASSIGN_OR_RETURN(const TokenKey* key, issuer.find(message.key_id));
  if (message.algorithm != cose_number(key->algorithm())) return fail(ErrorCode::denied, "token: names another algorithm than its key's");
  if (message.type != content_format_cwt) return fail(ErrorCode::denied, "token: its typ is not that of a CWT");
  TRY(key->verify(cose_sign1_tbs(message.protected_header, message.payload), message.signature));
  return parse_cwt_claims(message.payload);
}

}  // namespace qanat::wire
