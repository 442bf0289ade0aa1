#include "services/cas/ceis/terminal_desk.hpp"

#include "crypto/kdf.hpp"
#include "crypto/x509_pkcs7.hpp"
#include "node/crash_point.hpp"
#include "node/subscriber.hpp"
#include "services/cas/ceis/names.hpp"
#include "services/cas/ceis/register_words.hpp"
#include "wire/base64.hpp"
#include "wire/est.hpp"

namespace qanat::cas {
namespace {

using points::Endpoint;

constexpr std::size_t issued_max = 64;  // sixteen bundles: renewed in time, a terminal has two or three that have not expired

Result<Attested> read_attested(const wire::Json& json) {
  TRY(json.only({"uid", "number", "home_kms", "domain", "device"}));
  Attested out;
  ASSIGN_OR_RETURN(const std::string uid, json.text("uid"));
  ASSIGN_OR_RETURN(out.uid, node::parse_uid(uid));
  ASSIGN_OR_RETURN(const std::string number, json.text("number"));
  ASSIGN_OR_RETURN(out.number, node::parse_number(number));
  ASSIGN_OR_RETURN(const std::string home_kms, json.text("home_kms"));
  ASSIGN_OR_RETURN(out.home_kms, node::parse_element_name(home_kms));
  ASSIGN_OR_RETURN(out.domain, json.text("domain"));
  ASSIGN_OR_RETURN(const std::string device, json.text("device"));
  ASSIGN_OR_RETURN(out.device, node::parse_device(device));
  return out;
}

Result<void> check_attested(const Attested& attested, const wire::Enrol& enrol, const Identity& agent) {
  const bool fits = attested.uid == enrol.uid && attested.number == enrol.number && attested.home_kms == enrol.kms_id && attested.domain == agent.domain &&
                    attested.device == enrol.device_kind;
  if (!fits)
    return fail(ErrorCode::denied, "subscriber '" + enrol.uid.text() + "' is not entered at IAM with the number, KMS, domain and device of its request");
  return {};
}

/// Which of a terminal's certificates a request is for.
Result<BundleRole> role_of(const crypto::CertificateRequest& request, const crypto::Suite& suite) {
  for (const BundleRole role : {BundleRole::classical_signing, BundleRole::ml_dsa_signing}) {
    if (request.key_algorithm() == crypto::key_of(suite, role)) return role;
  }
  return fail(ErrorCode::denied, "a request over a key of algorithm " + std::string(crypto::name(request.key_algorithm())) + ", which no terminal of suite " +
                                     std::string(suite.name) + " signs with");
}

Result<Bytes> key_in(const Bundle& bundle, BundleRole role) {
  ASSIGN_OR_RETURN(const crypto::Certificate certificate, crypto::Certificate::parse(bundle.members.at(role).der));
  return certificate.public_key();
}

/// RFC 7030 §4.2.2 would allow the same key; here each bundle has its own, so that one that has leaked ends with it.
Result<void> check_new(const crypto::CertificateRequest& request, const Bundle& former) {
  for (const BundleRole role : crypto::all_bundle_roles) {
    ASSIGN_OR_RETURN(const Bytes used, key_in(former, role));
    if (used == request.public_key()) return fail(ErrorCode::denied, "a renewal takes a new key, this one has a certificate");
  }
  return {};
}

}  // namespace

TerminalWitnesses witnesses_of(node::Node& node) {
  return {.attest = [&node](const Uid& uid, ByteView message, const net::Request& request) -> Result<Attested> {
            ASSIGN_OR_RETURN(const std::string iam, node.peer_of(Kind::iam));
            const wire::Json body = wire::Json::object({{"uid", uid.text()}, {"enrol", wire::to_base64(message)}});
            ASSIGN_OR_RETURN(const wire::Json answer, node.call_json(Endpoint::x3_enrolment, iam, body, request.deadline, request.request_id));
            return read_attested(answer);
          },
          .account = [&node](const Uid& uid, const Number& number, const ElementName& home_kms, const net::Request& request) -> Result<void> {
            ASSIGN_OR_RETURN(const std::string cmsp, node.peer_of(Kind::cmsp));
            const wire::Json body = wire::Json::object({{"uid", uid.text()}, {"number", number.text()}, {"home_kms", home_kms.text()}});
            TRY(node.call_json(Endpoint::x13_account, cmsp, body, request.deadline, request.request_id));
            return {};
          },
          .standing = standing_of(node)};
}

TerminalDesk::TerminalDesk(node::Node& node, const CasSettings& settings, Records& records, const Authorities& authorities, Csp& csp,
                           TerminalWitnesses witnesses)
    : node_(node),
      settings_(settings),
      authorities_(authorities),
      csp_(csp),
      witnesses_(std::move(witnesses)),
      bundles_(records.store()),
      issuer_(bundles_, authorities, node.suite(), node.rng(), settings.front.url) {}

std::vector<points::Handler> TerminalDesk::handlers() {
  return {
      {Endpoint::ce1_terminal,
       [this](const net::Request& request) { return node::recorded(node_, "ce-1.terminal", request, [&](node::Deed& deed) { return enrol(request, deed); }); }},
      {Endpoint::ce2_reenrol,
       [this](const net::Request& request) { return node::recorded(node_, "ce-2.reenrol", request, [&](node::Deed& deed) { return renew(request, deed); }); }},
      {Endpoint::ce2_confirm,
       [this](const net::Request& request) {
         return node::recorded(node_, "ce-2.confirm", request, [&](node::Deed& deed) { return confirm(request, deed); });
       }},
      {Endpoint::ce2_issued, [this](const net::Request& request) { return node::refusal_recorded(node_, "ce-2.issued", request, "", issued(request)); }}};
}

/// Encryption keys that the terminal made stand in its message, under its MAC; those that the KMS made come beside it, and the KMS vouches for them: it alone
/// has them yet.
Result<TerminalDesk::Asked> TerminalDesk::read(ByteView body) const {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(body));
  TRY(json.only({"uid", "enrol", "encryption"}));
  ASSIGN_OR_RETURN(const std::string uid_text, json.text("uid"));
  ASSIGN_OR_RETURN(Uid uid, node::parse_uid(uid_text));
  ASSIGN_OR_RETURN(const Bytes octets, json.base64("enrol"));
  ASSIGN_OR_RETURN(auto enrol, wire::parse<wire::Enrol>(octets));
  if (enrol.message.uid != uid) return fail(ErrorCode::invalid_argument, "the Enrol message is another subscriber's than '" + uid.text() + "'");
  if (enrol.header.suite != node_.suite().id) return fail(ErrorCode::denied, "the Enrol message is of another suite than this network's");
  crypto::EncapsulationKey encryption = enrol.message.encryption;
  const bool kms_made = enrol.message.encryption_keys == wire::EncryptionKeys::kms_made;
  if (kms_made != json.has("encryption")) {
    return fail(ErrorCode::invalid_argument,
                kms_made ? "the encryption keys that the KMS made are missing" : "the terminal made its encryption keys, not the KMS");
  }
  if (kms_made) {
    ASSIGN_OR_RETURN(const wire::Json keys, json.at("encryption"));
    TRY(keys.only({"classical", "ml_kem"}));
    ASSIGN_OR_RETURN(encryption.point, keys.base64("classical"));
    ASSIGN_OR_RETURN(encryption.ml_kem, keys.base64("ml_kem"));
  }
  return Result<Asked>(Asked{.uid = std::move(uid), .enrol = std::move(enrol), .encryption = std::move(encryption)});
}

Result<net::Response> TerminalDesk::enrol(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const Asked asked, read(request.body));
  deed.object = asked.uid.text();
  const wire::Enrol& enrol = asked.enrol.message;
  const Identity& agent = *request.peer.identity;
  if (enrol.kms_id.text() != agent.name) return fail(ErrorCode::denied, "the Enrol message is meant for " + enrol.kms_id.text() + ", not for " + agent.name);

  // The requests are looked at before IAM is asked: a secret is not spent on what would be refused.
  const crypto::SubjectNames names = terminal_names({.domain = agent.domain, .kind = enrol.device_kind, .name = enrol.uid.text()}, enrol.number, enrol.kms_id);
  ASSIGN_OR_RETURN(const crypto::CertificateRequest ml_dsa, check_request(enrol.csr_pq, names, crypto::ml_dsa_key(node_.suite())));
  ASSIGN_OR_RETURN(const crypto::CertificateRequest classical, check_request(enrol.csr_classical, names, crypto::classical_key(node_.suite())));
  ASSIGN_OR_RETURN(BundleKeys keys, bundle_keys(node_.suite(), classical, ml_dsa, asked.encryption));
  // CMSP before IAM, for the same reason.
  TRY(witnesses_.account(asked.uid, enrol.number, enrol.kms_id, request));
  ASSIGN_OR_RETURN(const Attested attested, witnesses_.attest(asked.uid, asked.enrol.octets, request));
  TRY(check_attested(attested, enrol, agent));
  node::crash_point("cas.terminal.attested");

  // Other encryption keys make another request, which finds a live certificate in its way: the agent cannot exchange them behind the terminal's back.
  const Bytes request_hash =
      crypto::digest(crypto::Hash::sha256, {as_bytes("qanat terminal bundle"), asked.enrol.octets, asked.encryption.point, asked.encryption.ml_kem});
  ASSIGN_OR_RETURN(
      const Bundle bundle,
      issuer_.issue({.names = names, .home_kms = enrol.kms_id, .request_hash = request_hash, .lifetime = settings_.terminal_lifetime, .keys = std::move(keys)},
                    node_.clock().now_ms()));
  csp_.issued();
  deed.object += " " + to_hex(bundle.members.at(BundleRole::ml_dsa_signing).serial) + " bundle " + to_hex(bundle.id);
  return answer(bundle);
}

Result<net::Response> TerminalDesk::issued(const net::Request& request) {
  ASSIGN_OR_RETURN(const auto found, bundles_.issued_to(*request.peer.identity, node_.clock().now_ms(), issued_max));
  wire::Json list = wire::Json::array();
  for (const BundleRecords::IssuedInName& one : found) {
    wire::Json entry =
        wire::Json::object({{"certificate", wire::to_base64(one.der)}, {"role", one.role}, {"bundle", to_hex(one.bundle)}, {"revoked", one.revoked_at != 0}});
    if (one.revoked_at != 0) entry.set("revoked_ms", one.revoked_at);
    list.push(std::move(entry));
  }
  return node::json_response(wire::Json::object({{"certificates", std::move(list)}}));
}

Result<net::Response> TerminalDesk::renew(const net::Request& request, node::Deed& deed) {
  // The listener has let nobody in without a certificate that is good now and names this terminal.
  const Identity& identity = *request.peer.identity;
  deed.object = identity.name;
  ASSIGN_OR_RETURN(const Bytes der, wire::parse_est_body(request.body));
  ASSIGN_OR_RETURN(const crypto::CertificateRequest asked, crypto::CertificateRequest::parse(der));
  ASSIGN_OR_RETURN(const BundleRole role, role_of(asked, node_.suite()));
  ASSIGN_OR_RETURN(const Bundle former, bundles_.in_force(request.peer.certificate->serial(), node_.clock().now_ms()));
  // RFC 7030 §4.2.2: the names of a renewal are those of the certificate in force.
  const crypto::SubjectNames names = terminal_names(identity, former.number, former.home_kms);
  TRY(check_names(asked, names));
  TRY(check_new(asked, former));
  TRY(witnesses_.account(Uid(identity.name), former.number, former.home_kms, request));
  TRY(witnesses_.standing(identity, request.deadline, request.request_id));

  BundleOrder order{.names = names,
                    .home_kms = former.home_kms,
                    .request_hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat terminal renewal"), former.id, asked.der()}),
                    .lifetime = settings_.terminal_lifetime,
                    .keys = {{role, asked.public_key()}}};
  ASSIGN_OR_RETURN(const Bundle bundle,
                   role == BundleRole::classical_signing ? renew_classical(former, order) : renew_rest(former, std::move(order)));
  csp_.issued();
  const BundleMember& made = bundle.members.at(role);
  deed.object += " " + to_hex(made.serial) + " bundle " + to_hex(bundle.id) + " follows " + to_hex(former.id);
  // RFC 7030 §4.2.3: the certificate alone.
  const std::array alone{made.der};
  ASSIGN_OR_RETURN(const Bytes envelope, crypto::make_certs_only(alone));
  return net::Response{.status = 200, .content_type = std::string(points::type_certs_only), .body = to_bytes(wire::est_body(envelope))};
}

Result<Bundle> TerminalDesk::renew_classical(const Bundle& former, const BundleOrder& order) {
  return issuer_.begin_renewal(former, order, node_.clock().now_ms(), [this](const std::vector<Bytes>& serials) { return csp_.revoked(serials); });
}

Result<Bundle> TerminalDesk::renew_rest(const Bundle& former, BundleOrder order) {
  for (const BundleRole role : {BundleRole::classical_encryption, BundleRole::ml_kem_encryption}) {
    ASSIGN_OR_RETURN(order.keys[role], key_in(former, role));
  }
  return issuer_.continue_renewal(former, order, node_.clock().now_ms());
}

Result<net::Response> TerminalDesk::confirm(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"bundle"}));
  ASSIGN_OR_RETURN(const Bytes id, json.hex("bundle"));
  deed.object = to_hex(id);
  ASSIGN_OR_RETURN(const Bundle bundle, bundles_.in_force(request.peer.certificate->serial(), node_.clock().now_ms()));
  if (bundle.id != id) return fail(ErrorCode::denied, "the certificate of this connection is of another bundle");
  ASSIGN_OR_RETURN(const std::vector<Bytes> ended, bundles_.supersede(bundle, node_.clock().now_ms()));
  node::crash_point("cas.bundle.superseded");
  if (!ended.empty()) TRY(csp_.revoked(ended));
  for (const Bytes& serial : ended) deed.object += " " + to_hex(serial);
  return net::Response{.status = 200, .content_type = "", .body = {}};
}

/// Leaf and issuer: a request that comes again gets what it got, perhaps of an earlier generation.
Result<wire::Json> TerminalDesk::chain(BundleRole role, const BundleMember& member) const {
  const Branch branch = branch_of(role);
  ASSIGN_OR_RETURN(const crypto::Certificate leaf, crypto::Certificate::parse(member.der));
  const Authority* const issuer = authorities_.earlier(branch).empty() ? nullptr : authorities_.issuer_of(branch, leaf);
  return wire::Json::array({wire::to_base64(member.der), wire::to_base64((issuer != nullptr ? *issuer : authorities_.of(branch)).certificate.der())});
}

Result<net::Response> TerminalDesk::answer(const Bundle& bundle) const {
  ASSIGN_OR_RETURN(const wire::Json ml_dsa, chain(BundleRole::ml_dsa_signing, bundle.members.at(BundleRole::ml_dsa_signing)));
  ASSIGN_OR_RETURN(const wire::Json classical, chain(BundleRole::classical_signing, bundle.members.at(BundleRole::classical_signing)));
  const wire::Json encryption = wire::Json::object({{"classical", wire::to_base64(bundle.members.at(BundleRole::classical_encryption).der)},
                                                    {"ml_kem", wire::to_base64(bundle.members.at(BundleRole::ml_kem_encryption).der)}});
  return node::json_response(wire::Json::object({{"ml_dsa", ml_dsa}, {"classical", classical}, {"encryption", encryption}, {"bundle", to_hex(bundle.id)}}));
}

}  // namespace qanat::cas
