// Charged keys in an application, and their end. The wire: charging.cpp.
#include "services/kms/kim/injection.hpp"

#include <algorithm>
#include <map>

#include "crypto/kdf.hpp"
#include "crypto/x509_crl.hpp"
#include "node/crash_point.hpp"
#include "node/log.hpp"

namespace qanat::kms {
namespace {

using wire::ExtensionType;
using wire::KeySet;

std::string used_text(const SpentKey& spent) { return "key " + std::to_string(spent.index) + ", charged " + std::string(wire::name(spent.charged)); }

}  // namespace

Result<void> Injection::record(std::string_view action, std::string_view subject, std::string_view object, std::string_view reason,
                               std::string_view request_id) {
  return node_.record({.action = action, .outcome = audit::Outcome::success, .subject = subject, .object = object, .reason = reason, .request_id = request_id});
}

Result<Medium> Injection::medium_of(const Uid& uid) {
  ASSIGN_OR_RETURN(const std::optional<Medium> medium, store_.transact([&](store::Transaction& transaction) { return stock_.of_terminal(transaction, uid); }));
  if (!medium) return fail(ErrorCode::denied, "terminal " + uid.text() + " has no secure medium that may be used");
  if (medium->state != MediumState::active) return fail(ErrorCode::denied, "medium " + medium->id.hex() + " is " + std::string(name(medium->state)));
  return *medium;
}

Result<SpentKey> Injection::take(const Medium& medium, KeySet set, std::uint32_t index, const std::function<Result<void>(const Secret&)>& prove) {
  ASSIGN_OR_RETURN(ChargedKey known, store_.transact([&](store::Transaction& transaction) { return stock_.look(transaction, medium, set, index); }));
  TRY(prove(known.key));
  // Only who has the key burns it; and only one of two who come with it at once.
  TRY(store_.transact([&](store::Transaction& transaction) { return stock_.burn(transaction, medium, set, index); }));
  node::crash_point("kms.injection.burnt");
  return Result<SpentKey>(SpentKey{.index = index, .key = std::move(known.key), .charged = known.charged});
}

Result<std::optional<SpentKey>> Injection::spend(const net::Request& http, const wire::Framed<wire::KeyRequest>& request) {
  const auto named = wire::indexed_mac(request.message.ext, ExtensionType::injected_key);
  if (!named) return Result<std::optional<SpentKey>>(std::nullopt);
  ASSIGN_OR_RETURN(const Medium medium, medium_of(request.message.uid));
  ASSIGN_OR_RETURN(SpentKey spent,
                   take(medium, KeySet::call, named->index, [&](const Secret& key) { return wire::check_proof(request, ExtensionType::injected_key, key); }));
  TRY(record("kim.used", request.message.uid.text(), medium.id.hex(), used_text(spent), http.request_id));
  return Result<std::optional<SpentKey>>(std::move(spent));
}

Result<void> Injection::admit(const net::Request& http, const wire::Framed<wire::KeyRequest>& request, const Terminal& terminal, const Error& why) {
  const bool unknown = why.code == ErrorCode::unavailable || why.code == ErrorCode::deadline_exceeded;
  const auto named = wire::indexed_mac(request.message.ext, ExtensionType::symmetric_authentication);
  if (!settings_.symmetric_mode || !unknown || !named) return fail(why);
  // Without certificates the public keys of the pool are not enough for the delivery either.
  if ((request.message.flags & wire::flag_inj) == 0) return fail(ErrorCode::denied, "symmetric mode: the application names no key of the call set");
  const Bytes fingerprint = crypto::digest(crypto::Hash::sha256, terminal.ml_dsa);
  bool revoked = false;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT 1 FROM revoked_terminal WHERE uid = ? AND ml_dsa = ?", {std::string_view(terminal.uid.text()), ByteView(fingerprint)},
                             [&](const store::Row&) { revoked = true; });
  }));
  if (revoked) return fail(ErrorCode::denied, "symmetric mode: the certificates of " + terminal.uid.text() + " were last known as revoked");
  ASSIGN_OR_RETURN(const Medium medium, medium_of(terminal.uid));
  ASSIGN_OR_RETURN(const SpentKey spent, take(medium, KeySet::authentication, named->index,
                                              [&](const Secret& key) { return wire::check_proof(request, ExtensionType::symmetric_authentication, key); }));
  const std::string reason = used_text(spent) + "; its certificates could not be checked: " + why.message;
  node::log(node::LogLevel::warning, "request {}: {} is admitted in symmetric mode: {}", http.request_id, terminal.uid.text(), reason);
  return record("kim.symmetric_mode", terminal.uid.text(), medium.id.hex(), reason, http.request_id);
}

Result<void> Injection::burn_stock(const Uid& uid, ByteView ml_dsa_der, std::string_view why) {
  const Bytes fingerprint = crypto::digest(crypto::Hash::sha256, ml_dsa_der);
  ASSIGN_OR_RETURN(const std::optional<Medium> medium, store_.transact([&](store::Transaction& transaction) -> Result<std::optional<Medium>> {
    TRY(transaction.run("INSERT INTO revoked_terminal (uid, ml_dsa, at_ms) VALUES (?, ?, ?) ON CONFLICT (uid, ml_dsa) DO NOTHING",
                        {std::string_view(uid.text()), ByteView(fingerprint), store::column(node_.clock().now_ms())}));
    ASSIGN_OR_RETURN(std::optional<Medium> known, stock_.of_terminal(transaction, uid));
    if (known) TRY(stock_.set_state(transaction, *known, MediumState::wiped));
    return known;
  }));
  TRY(store_.settle());  // CAS says it once
  node::crash_point("kms.injection.revoked");
  return record("kim.revoked", uid.text(), medium ? medium->id.hex() : "", why, "");
}

Result<std::vector<Injection::Holder>> Injection::holders() {
  std::vector<Holder> out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    out.clear();  // a work may run more than once
    return transaction.query(
        "SELECT terminal.uid, classical, ml_dsa, encryption_classical, encryption_ml_kem FROM terminal JOIN medium ON medium.uid = terminal.uid"
        " WHERE medium.state <> 'wiped'",
        {}, [&](const store::Row& row) {
          const auto octets = [&row](int column) { return row.is_null(column) ? Bytes() : row.blob(column); };
          out.push_back(
              {.uid = Uid(row.text(0)), .classical = octets(1), .ml_dsa = octets(2), .encryption_classical = octets(3), .encryption_ml_kem = octets(4)});
        });
  }));
  return out;
}

Result<void> Injection::revoked(const std::set<Bytes>& fingerprints) {
  ASSIGN_OR_RETURN(const std::vector<Holder> all, holders());
  for (const Holder& one : all) {
    const bool named =
        std::ranges::any_of(one.certificates(), [&](const Bytes* der) { return fingerprints.contains(crypto::digest(crypto::Hash::sha256, *der)); });
    if (named) TRY(burn_stock(one.uid, one.ml_dsa, "its certificates are revoked: the stock is burnt"));
  }
  return {};
}

Result<void> Injection::compare_with_lists(const std::function<Result<Bytes>(std::string_view branch)>& fetch) {
  ASSIGN_OR_RETURN(const std::vector<Holder> all, holders());
  if (all.empty()) return {};
  std::set<Uid> burnt;
  std::optional<Error> first;
  for (const std::string_view branch : {"ml_dsa", "classical"}) {
    const auto der = fetch(branch);
    const auto compared = der ? compare_with_list(all, *der, burnt) : Result<void>(fail(der.error()));
    if (!compared && !first) first = Error{compared.error().code, "revocation list " + std::string(branch) + ": " + compared.error().message};
  }
  if (first) return fail(*first);
  return {};
}

Result<void> Injection::compare_with_list(const std::vector<Holder>& all, ByteView der, std::set<Uid>& burnt) {
  std::map<Bytes, std::optional<std::set<Bytes>>> of_issuer;  // by the issuer's certificate: the serials, if the list is that issuer's
  std::optional<Error> not_its;
  bool of_somebody = false;
  for (const Holder& one : all) {
    for (const Bytes* octets : one.certificates()) {
      const auto certificate = crypto::Certificate::parse(*octets);
      const crypto::Certificate* issuer = certificate ? node_.trust().issuer_of(*certificate) : nullptr;
      if (issuer == nullptr || burnt.contains(one.uid)) continue;
      auto known = of_issuer.find(issuer->der());
      if (known == of_issuer.end()) {
        known = of_issuer.emplace(issuer->der(), std::nullopt).first;
        const auto list = crypto::read_revocation_list(der, *issuer);
        if (!list) not_its = list.error();
        if (list) known->second.emplace();
        for (const crypto::RevokedSerial& entry : list ? list->revoked : std::vector<crypto::RevokedSerial>()) known->second->insert(entry.serial);
      }
      of_somebody = of_somebody || known->second;
      if (!known->second || !known->second->contains(certificate->serial())) continue;
      TRY(burn_stock(one.uid, one.ml_dsa, "a revocation list has its certificate: the stock is burnt"));
      burnt.insert(one.uid);
    }
  }
  if (!of_somebody && not_its) return fail(*not_its);
  return {};
}

Result<void> Injection::judged(const Terminal& terminal, const Error& found, Deadline deadline) {
  if (found.code != ErrorCode::denied) return {};
  // Expired, or of another CA, is not revoked: the status alone says.
  for (const Bytes* der : {&terminal.ml_dsa, &terminal.classical}) {
    ASSIGN_OR_RETURN(const crypto::Certificate certificate, crypto::Certificate::parse(*der));
    const auto status = node_.check_status(certificate, deadline);
    if (!status && status.error().code == ErrorCode::denied)
      return burn_stock(terminal.uid, terminal.ml_dsa, "found revoked at its application: the stock is burnt");
  }
  return {};
}

}  // namespace qanat::kms
