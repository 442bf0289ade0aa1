#include "services/kms/kp/recovery.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "crypto/lone_signer.hpp"
#include "node/subscriber.hpp"
#include "services/kms/kp/sealed_columns.hpp"
#include "wire/base64.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::kms {
namespace {

constexpr std::size_t order_octets = 16;
constexpr std::size_t reason_max = 256;
constexpr std::string_view to_destroy = "destroy";  // recovery_order.kind

wire::Json texts(const std::vector<std::string>& list) {
  wire::Json out = wire::Json::array();
  for (const std::string& one : list) out.push(one);
  return out;
}

Result<Bytes> hex_in(const wire::Json& json, std::string_view member, std::size_t octets_max) {
  ASSIGN_OR_RETURN(const std::string text, json.text(member));
  const auto octets = from_hex(text);
  if (!octets || octets->empty() || octets->size() > octets_max) return fail(ErrorCode::invalid_argument, std::string(member) + ": must be hexadecimal");
  return *octets;
}

Result<Uid> uid_in(const wire::Json& json) {
  ASSIGN_OR_RETURN(const std::string text, json.text("uid"));
  return node::parse_uid(text);
}

Result<crypto::EncapsulationKey> recipient_in(const wire::Json& json) {
  ASSIGN_OR_RETURN(const wire::Json ephemeral, json.object("ephemeral"));
  TRY(ephemeral.only({"point", "ml_kem"}));
  crypto::EncapsulationKey out;
  ASSIGN_OR_RETURN(out.point, ephemeral.base64("point"));
  ASSIGN_OR_RETURN(out.ml_kem, ephemeral.base64("ml_kem"));
  return out;
}

}  // namespace

struct Recovery::Order {
  Bytes id;
  std::string statement;
  Uid uid;
  Bytes enc_kid;
  std::string asked_by;
  crypto::EncapsulationKey recipient;
  std::vector<std::string> signed_by;
  Purpose purpose = Purpose::recover;
};

std::string recovery_statement(const Identity& kms, ByteView order, const Uid& uid, ByteView enc_kid, std::string_view reason, std::string_view asked_by,
                               const crypto::EncapsulationKey& recipient, UnixMs made_ms) {
  const Bytes fingerprint = crypto::digest(crypto::Hash::sha256, {recipient.point, recipient.ml_kem});
  return "qanat recover-key 1\nkms " + kms.uri() + "\norder " + to_hex(order) + "\nuid " + uid.text() + "\nenc_kid " + to_hex(enc_kid) + "\nreason " +
         std::string(reason) + "\nasked_by " + std::string(asked_by) + "\nrecipient " + to_hex(fingerprint) + "\nmade_ms " + std::to_string(made_ms) + "\n";
}

std::string destruction_statement(const Identity& kms, ByteView order, const Uid& uid, ByteView enc_kid, std::string_view reason, std::string_view asked_by,
                                  UnixMs made_ms) {
  return "qanat destroy-key 1\nkms " + kms.uri() + "\norder " + to_hex(order) + "\nuid " + uid.text() + "\nenc_kid " + to_hex(enc_kid) + "\nreason " +
         std::string(reason) + "\nasked_by " + std::string(asked_by) + "\nmade_ms " + std::to_string(made_ms) + "\n";
}

namespace {

/// The rest of the statement's line that begins so; empty if there is none.
std::string_view line_of(std::string_view statement, std::string_view name) {
  const std::string begin = "\n" + std::string(name) + " ";
  const std::size_t at = statement.find(begin);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = statement.substr(at + begin.size());
  return rest.substr(0, rest.find('\n'));
}

}  // namespace

// The statement is what operators sign; what is done goes by the columns beside it. So these must say the same, whoever wrote them.
Result<void> Recovery::check_statement(const Order& order) const {
  const std::string_view made = line_of(order.statement, "made_ms");
  UnixMs made_ms = 0;
  const bool is_time = std::from_chars(made.data(), made.data() + made.size(), made_ms).ec == std::errc();
  const std::string_view reason = line_of(order.statement, "reason");
  const std::string of_columns = order.purpose == Purpose::destroy
                                     ? destruction_statement(node_.identity(), order.id, order.uid, order.enc_kid, reason, order.asked_by, made_ms)
                                     : recovery_statement(node_.identity(), order.id, order.uid, order.enc_kid, reason, order.asked_by, order.recipient, made_ms);
  if (is_time && of_columns == order.statement) return {};
  return fail(ErrorCode::denied, "order " + to_hex(order.id) + ": its row says something else than what is signed: somebody changed it");
}

Result<std::string> Recovery::signer_of(const Order& order, std::string_view by, ByteView certificate, ByteView signature) const {
  const auto check = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const crypto::Certificate signer, crypto::Certificate::parse(certificate));
    TRY(node_.trust().verify(signer, node_.clock().now_ms()));
    if (!signer.names().element || signer.names().element->uri() != by) return fail(ErrorCode::denied, "the certificate is another's");
    return crypto::verify_with(signer, as_bytes(order.statement), signature);
  };
  if (const auto held = check(); !held) return fail_in("order " + to_hex(order.id) + ": the signature of " + std::string(by), held.error());
  return std::string(by);
}

Result<net::Response> Recovery::answer(const net::Request& request) {
  return node::recorded(node_, "kp.recovery", request, [&](node::Deed& deed) -> Result<net::Response> {
    if (!request.peer.identity || !request.peer.certificate) return fail(ErrorCode::denied, "keys are recovered by operators with a certificate");
    ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
    ASSIGN_OR_RETURN(const std::string op, json.text("op"));
    if (op == "history") return history(json, deed);
    if ((op == "ask" || op == "collect") && policy_() != HistoryPolicy::encryption_keys)
      return fail(ErrorCode::denied, "kms.history is none, or CSO's policy forbids it: no private key is recovered");
    if (op == "ask") return ask(json, request, deed, Purpose::recover);
    if (op == "destroy") return ask(json, request, deed, Purpose::destroy);
    if (op == "show") return show(json, deed);
    if (op == "sign") return sign(json, request, deed);
    if (op == "collect") return collect(json, request, deed);
    return fail(ErrorCode::invalid_argument, "op must be history, ask, destroy, show, sign or collect");
  });
}

Result<net::Response> Recovery::history(const wire::Json& json, node::Deed& deed) {
  TRY(json.only({"op", "uid"}));
  ASSIGN_OR_RETURN(const Uid uid, uid_in(json));
  deed.object = "history of " + uid.text();
  ASSIGN_OR_RETURN(const std::vector<HistoryKey> keys, EncryptionPairs(node_, store_, keys_, policy_).history(uid));
  const HistoryPolicy policy = policy_();
  wire::Json list = wire::Json::array();
  for (const HistoryKey& key : keys) {
    list.push(wire::Json::object({{"enc_kid", to_hex(key.enc_kid)},
                                  {"number", key.number.text()},
                                  {"since_ms", key.since_ms},
                                  {"ended_ms", key.ended_ms},
                                  {"why", key.why},
                                  {"recoverable", key.has_private && policy == HistoryPolicy::encryption_keys},
                                  {"commitment", to_hex(key.commitment)},
                                  {"destroyed_ms", key.destroyed_ms},
                                  {"destroyed_why", key.destroyed_why}}));
  }
  return node::json_response(wire::Json::object({{"keys", list}}));
}

Result<net::Response> Recovery::ask(const wire::Json& json, const net::Request& request, node::Deed& deed, Purpose purpose) {
  const bool destroys = purpose == Purpose::destroy;
  TRY(destroys ? json.only({"op", "uid", "enc_kid", "reason"}) : json.only({"op", "uid", "enc_kid", "reason", "ephemeral"}));
  ASSIGN_OR_RETURN(const Uid uid, uid_in(json));
  ASSIGN_OR_RETURN(const Bytes enc_kid, hex_in(json, "enc_kid", node_.suite().digest));
  deed.object = (destroys ? "ask to destroy " : "ask for ") + to_hex(enc_kid) + " of " + uid.text();
  ASSIGN_OR_RETURN(const std::string reason, json.text("reason"));
  if (reason.empty() || reason.size() > reason_max || reason.contains('\n')) return fail(ErrorCode::invalid_argument, "reason: must be one line of 1 to 256 octets");
  crypto::EncapsulationKey recipient;
  if (!destroys) {
    ASSIGN_OR_RETURN(recipient, recipient_in(json));
    // That it can be encapsulated to is seen now, and not when both have signed.
    TRY(crypto::encapsulate(node_.suite(), crypto::KemForm::to_ephemeral, recipient, node_.rng()));
  }
  const Bytes id = node_.rng().bytes(order_octets);
  const UnixMs now = node_.clock().now_ms();
  const std::string asked_by = request.peer.identity->uri();
  const std::string statement = destroys ? destruction_statement(node_.identity(), id, uid, enc_kid, reason, asked_by, now)
                                         : recovery_statement(node_.identity(), id, uid, enc_kid, reason, asked_by, recipient, now);
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    bool there = false;
    TRY(transaction.query("SELECT count(*) FROM history_key WHERE enc_kid = ? AND uid = ? AND sealed_pair IS NOT NULL", {ByteView(enc_kid), std::string_view(uid.text())},
                          [&](const store::Row& row) { there = row.integer(0) != 0; }));
    if (!there) return fail(ErrorCode::not_found, "history has no private key " + to_hex(enc_kid) + " of " + uid.text());
    TRY(transaction.run("DELETE FROM recovery_signature WHERE id IN (SELECT id FROM recovery_order WHERE expires_ms <= ?)", {store::column(now)}));
    TRY(transaction.run("DELETE FROM recovery_order WHERE expires_ms <= ?", {store::column(now)}));
    std::int64_t open = 0;
    TRY(transaction.query("SELECT count(*) FROM recovery_order WHERE done_ms IS NULL", {}, [&](const store::Row& row) { open = row.integer(0); }));
    if (open >= static_cast<std::int64_t>(recovery_open_max)) return fail(ErrorCode::exhausted, std::to_string(open) + " orders wait for signatures already");
    TRY(transaction.run("INSERT INTO recovery_order (id, statement, uid, enc_kid, asked_by, point, ml_kem, expires_ms, kind) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        {ByteView(id), std::string_view(statement), std::string_view(uid.text()), ByteView(enc_kid), std::string_view(asked_by),
                         ByteView(recipient.point), ByteView(recipient.ml_kem), store::column(now + recovery_life_ms),
                         destroys ? store::Value(to_destroy) : store::Value()}));
    return {};
  }));
  deed.object += ", order " + to_hex(id) + ": " + reason;
  return node::json_response(wire::Json::object({{"order", to_hex(id)}, {"statement", statement}}));
}

Result<Recovery::Order> Recovery::open_order(store::Transaction& transaction, const wire::Json& json) {
  Order out;
  ASSIGN_OR_RETURN(out.id, hex_in(json, "order", order_octets));
  bool found = false;
  bool done = false;
  TRY(transaction.query("SELECT statement, uid, enc_kid, asked_by, point, ml_kem, done_ms, kind FROM recovery_order WHERE id = ? AND expires_ms > ?",
                        {ByteView(out.id), store::column(node_.clock().now_ms())}, [&](const store::Row& row) {
                          found = true;
                          out.statement = row.text(0);
                          out.uid = Uid(row.text(1));
                          out.enc_kid = row.blob(2);
                          out.asked_by = row.text(3);
                          out.recipient = {.point = row.blob(4), .ml_kem = row.blob(5)};
                          done = !row.is_null(6);
                          out.purpose = row.is_null(7) ? Purpose::recover : Purpose::destroy;
                        }));
  if (!found) return fail(ErrorCode::not_found, "no order " + to_hex(out.id) + ", or its hour is over");
  if (done) return fail(ErrorCode::conflict, "order " + to_hex(out.id) + (out.purpose == Purpose::destroy ? ": its key is destroyed" : ": its key was collected"));
  TRY(check_statement(out));
  std::vector<Result<std::string>> signers;
  TRY(transaction.query("SELECT operator, certificate, signature FROM recovery_signature WHERE id = ? ORDER BY operator", {ByteView(out.id)},
                        [&](const store::Row& row) { signers.push_back(signer_of(out, row.text(0), row.blob(1), row.blob(2))); }));
  for (Result<std::string>& signer : signers) {
    if (!signer) return fail(signer.error());
    out.signed_by.push_back(*std::move(signer));
  }
  return out;
}

Result<net::Response> Recovery::show(const wire::Json& json, node::Deed& deed) {
  TRY(json.only({"op", "order"}));
  ASSIGN_OR_RETURN(const Order order, store_.transact([&](store::Transaction& transaction) { return open_order(transaction, json); }));
  deed.object = "show " + to_hex(order.id);
  return node::json_response(wire::Json::object({{"statement", order.statement}, {"signed_by", texts(order.signed_by)}}));
}

Result<net::Response> Recovery::sign(const wire::Json& json, const net::Request& request, node::Deed& deed) {
  TRY(json.only({"op", "order", "signature"}));
  ASSIGN_OR_RETURN(const Bytes signature, json.base64("signature"));
  const std::string by = request.peer.identity->uri();
  const crypto::Certificate& certificate = *request.peer.certificate;
  struct Signed {
    Order order;
    std::optional<ErasedKey> gone;
  };
  const auto owed_id = node_.rng().id<OwedId>();
  ASSIGN_OR_RETURN(const Signed done, store_.transact([&](store::Transaction& transaction) -> Result<Signed> {
    ASSIGN_OR_RETURN(Order open, open_order(transaction, json));
    if (std::ranges::find(open.signed_by, by) != open.signed_by.end())
      return fail(ErrorCode::conflict, by + " has signed order " + to_hex(open.id) + " already: another operator is wanted");
    const auto held = crypto::verify_with(certificate, as_bytes(open.statement), signature);
    if (!held) return fail_in("the signature of " + by, held.error());
    // With the certificate, so that anybody can check later who wanted it.
    TRY(transaction.run("INSERT INTO recovery_signature (id, operator, certificate, signature, at_ms) VALUES (?, ?, ?, ?, ?)",
                        {ByteView(open.id), std::string_view(by), ByteView(certificate.der()), ByteView(signature), store::column(node_.clock().now_ms())}));
    open.signed_by.push_back(by);
    Signed out{.order = std::move(open), .gone = {}};
    if (out.order.purpose == Purpose::destroy && out.order.signed_by.size() >= recovery_signatures) {
      ASSIGN_OR_RETURN(out.gone, destroy(transaction, out.order, owed_id));
    }
    return out;
  }));
  deed.object = "sign " + to_hex(done.order.id);
  wire::Json answer = wire::Json::object({{"signed_by", texts(done.order.signed_by)}});
  if (done.gone) {
    TRY(store_.settle());
    TRY(pay_records(node_, store_, owed_id, request.request_id));
    deed.object += ", destroyed " + to_hex(done.gone->enc_kid) + " of " + done.order.uid.text();
    answer.set("destroyed", to_hex(done.gone->commitment));
  }
  return node::json_response(answer);
}

Result<ErasedKey> Recovery::destroy(store::Transaction& transaction, const Order& order, const OwedId& owed_id) {
  const UnixMs now = node_.clock().now_ms();
  std::string why = "order " + to_hex(order.id);
  for (const std::string& by : order.signed_by) why += ", signed by " + by;
  ASSIGN_OR_RETURN(ErasedKey gone, erase_history_key(transaction, order.uid, order.enc_kid, {.by = order.asked_by, .why = why, .at_ms = now}));
  TRY(transaction.run("UPDATE recovery_order SET done_ms = ? WHERE id = ?", {store::column(now), ByteView(order.id)}));
  const std::array owed{end_of(gone, why)};
  TRY(owe_records(transaction, owed_id, owed, now));
  return gone;
}

Result<net::Response> Recovery::collect(const wire::Json& json, const net::Request& request, node::Deed& deed) {
  TRY(json.only({"op", "order"}));
  struct Collected {
    Order order;
    Secret pair;
  };
  ASSIGN_OR_RETURN(const Collected collected, store_.transact([&](store::Transaction& transaction) -> Result<Collected> {
    ASSIGN_OR_RETURN(Order order, open_order(transaction, json));
    deed.object = "collect " + to_hex(order.enc_kid) + " of " + order.uid.text() + ", order " + to_hex(order.id);
    if (order.purpose != Purpose::recover) return fail(ErrorCode::denied, "order " + to_hex(order.id) + " is to destroy its key, not to recover it");
    if (order.asked_by != request.peer.identity->uri()) return fail(ErrorCode::denied, "order " + to_hex(order.id) + " is of " + order.asked_by);
    if (order.signed_by.size() < recovery_signatures)
      return fail(ErrorCode::denied, "order " + to_hex(order.id) + " has " + std::to_string(order.signed_by.size()) + " signatures, two operators must sign");
    Bytes sealed;
    TRY(transaction.query("SELECT sealed_pair FROM history_key WHERE enc_kid = ? AND sealed_pair IS NOT NULL", {ByteView(order.enc_kid)},
                          [&](const store::Row& row) { sealed = row.blob(0); }));
    if (sealed.empty()) return fail(ErrorCode::not_found, "history has no private key " + to_hex(order.enc_kid));
    ASSIGN_OR_RETURN(Secret pair, keys_.of(Library::history).unseal(context_of("history_key", "sealed_pair", order.enc_kid), sealed));
    TRY(transaction.run("UPDATE recovery_order SET done_ms = ? WHERE id = ?", {store::column(node_.clock().now_ms()), ByteView(order.id)}));
    return Result<Collected>(Collected{.order = std::move(order), .pair = std::move(pair)});
  }));
  TRY(store_.settle());
  for (const std::string& by : collected.order.signed_by) deed.object += ", signed by " + by;
  const crypto::Suite& suite = node_.suite();
  const ByteView octets = collected.pair.reveal();
  if (octets.size() != suite.scalar + crypto::seed_ml_kem) return fail(ErrorCode::internal, "history key " + to_hex(collected.order.enc_kid) + ": is of another size");
  const crypto::DecapsulationSecret secret{.scalar = Secret::copy_of(octets.first(suite.scalar)), .ml_kem_seed = Secret::copy_of(octets.subspan(suite.scalar))};
  ASSIGN_OR_RETURN(const Bytes message, deliver(collected.order, secret));
  return node::json_response(wire::Json::object({{"message", wire::to_base64(message)}}));
}

Result<Bytes> Recovery::deliver(const Order& order, const crypto::DecapsulationSecret& secret) {
  const crypto::Suite& suite = node_.suite();
  const std::shared_ptr<const node::MessageSigner> own = node_.signer();
  const Bytes h_statement = crypto::digest(suite.hash, as_bytes(order.statement));
  ASSIGN_OR_RETURN(const crypto::Encapsulation made, crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, order.recipient, node_.rng()));
  const Secret ss = wire::hybrid_secret(suite, wire::transcript(made, order.recipient), wire::enrol_context(h_statement));
  // The certificates are those of who answers.
  ASSIGN_OR_RETURN(const Bytes chain_classical, wire::encode_chain({own->classical.der()}));
  ASSIGN_OR_RETURN(const Bytes chain_pq, wire::encode_chain({own->ml_dsa.der()}));
  wire::EnrolDeliver message{.h_enrol = h_statement,
                             .uid = order.uid,
                             .chain_classical = chain_classical,
                             .chain_pq = chain_pq,
                             .encryption_keys = wire::EncryptionKeys::kms_made,
                             .ct_classical = made.ct_classical,
                             .ct_ml_kem = made.ct_ml_kem,
                             .enc_kid = order.enc_kid,
                             .ts_ms = node_.clock().now_ms(),
                             .sealed = {}};
  const wire::EnrolPayload payload{.encryption = {.scalar = secret.scalar.duplicate(), .ml_kem_seed = secret.ml_kem_seed.duplicate()}, .kms = own->fps};
  ASSIGN_OR_RETURN(const wire::EnrolDeliver sealed, wire::seal_enrol(suite, node_.settings().policy_epoch, std::move(message), ss, payload));
  ASSIGN_OR_RETURN(const auto framed, wire::sign_message(suite, node_.settings().policy_epoch, sealed, own->signer, own->fps, node_.rng()));
  return framed.octets;
}

}  // namespace qanat::kms
