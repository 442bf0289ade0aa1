// Charged keys in an application, and their end. The wire: charging.cpp.
#include "services/kms/kim/injection.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "crypto/x509_crl.hpp"
#include "node/crash_point.hpp"
#include "node/log.hpp"
#include "services/kms/kp/owed_records.hpp"
#include "services/kms/kp/revocations.hpp"

namespace qanat::kms {
namespace {

using wire::ExtensionType;
using wire::KeySet;

constexpr std::size_t serials_at_once = 1000;  // looked up in one transaction
constexpr std::string_view charge_it =
    "its charge is to be loaded, or it is to be charged by file again; kms.charged_released lets it go on without (docs/operations/injection.md)";

std::string used_text(KeySet set, std::uint32_t index, wire::Charged charged) {
  return "key " + std::to_string(index) + " of the " + std::string(wire::name(set)) + " set, charged " + std::string(wire::name(charged));
}

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

Result<SpentKey> Injection::take(const Medium& medium, const Use& use, std::uint32_t index, const std::function<Result<void>(const ChargedKey&)>& prove) {
  ASSIGN_OR_RETURN(ChargedKey known, store_.transact([&](store::Transaction& transaction) { return stock_.look(transaction, medium, use.set, index); }));
  TRY(prove(known));
  // Owed: where the process is killed right after, nobody could say any more what became of the key.
  const auto owed = node_.rng().id<OwedId>();
  const std::vector<OwedRecord> records{{.action = std::string(use.action),
                                         .subject = medium.uid.text(),
                                         .object = medium.id.hex(),
                                         .reason = used_text(use.set, index, known.charged) + use.remark + "; request " + use.request_id}};
  const UnixMs now = node_.clock().now_ms();
  // Only who has the key burns it; and only one of two who come with it at once.
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(stock_.burn(transaction, medium, use.set, index));
    return owe_records(transaction, owed, records, now);
  }));
  node::crash_point("kms.injection.burnt");
  TRY(pay_records(node_, store_, owed));
  return Result<SpentKey>(SpentKey{.index = index, .key = std::move(known.key), .charged = known.charged});
}

Result<ChargedNeed> Injection::need_of(store::Transaction& transaction, const Uid& uid) const {
  if (settings_.charged_keys == ChargedPolicy::optional) return ChargedNeed::none;
  ASSIGN_OR_RETURN(const bool by_file, was_charged_by_file(transaction, uid));
  if (!by_file) return ChargedNeed::none;
  return settings_.charged_released.contains(uid) ? ChargedNeed::released : ChargedNeed::counting;
}

Result<void> Injection::go_without(ChargedNeed need, const Uid& uid, const SidWk& sid_wk, const std::string& request_id) {
  switch (need) {
    case ChargedNeed::none: return {};
    case ChargedNeed::released:
      return record("kim.released", uid.text(), sid_wk.hex(), "without a charged key, though it was charged by file: kms.charged_released allows it", request_id);
    case ChargedNeed::counting: break;
  }
  return fail(ErrorCode::denied, "terminal " + uid.text() + " was charged by file, and its application proves no charged key: " + std::string(charge_it));
}

Result<std::optional<SpentKey>> Injection::spend(const net::Request& http, const wire::Framed<wire::KeyRequest>& request, ChargedNeed need) {
  const auto named = wire::indexed_mac(request.message.ext, ExtensionType::injected_key);
  if (!named) {
    TRY(go_without(need, request.message.uid, request.message.sid_wk, http.request_id));
    return Result<std::optional<SpentKey>>(std::nullopt);
  }
  ASSIGN_OR_RETURN(const Medium medium, medium_of(request.message.uid));
  const Use use{.set = KeySet::call, .action = "kim.used", .remark = "", .request_id = http.request_id};
  const auto prove = [&](const ChargedKey& known) -> Result<void> {
    TRY(wire::check_proof(request, ExtensionType::injected_key, known.key));
    // Whoever forges signatures can have keys charged over a wire.
    if (need != ChargedNeed::counting || wire::counts(known.charged)) return {};
    return fail(ErrorCode::denied, "terminal " + request.message.uid.text() + " was charged by file, and its application proves " +
                                       used_text(use.set, named->index, known.charged) + ": " + std::string(charge_it));
  };
  ASSIGN_OR_RETURN(SpentKey spent, take(medium, use, named->index, prove));
  return Result<std::optional<SpentKey>>(std::move(spent));
}

Result<void> Injection::admit(const net::Request& http, const wire::Framed<wire::KeyRequest>& request, const Terminal& terminal, const Error& why) {
  const auto named = wire::indexed_mac(request.message.ext, ExtensionType::symmetric_authentication);
  // A deadline that passed is the sender's own choice (node/status.hpp), and says nothing of who was asked.
  if (!settings_.symmetric_mode || why.code != ErrorCode::unavailable || !named) return fail(why);
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
  const Use use{.set = KeySet::authentication,
                .action = "kim.symmetric_mode",
                .remark = "; its certificates could not be checked: " + why.message,
                .request_id = http.request_id};
  TRY(take(medium, use, named->index,
           [&](const ChargedKey& known) { return wire::check_proof(request, ExtensionType::symmetric_authentication, known.key); }));
  node::log(node::LogLevel::warning, "request {}: {} is admitted in symmetric mode{}", http.request_id, terminal.uid.text(), use.remark);
  return {};
}

Result<void> Injection::revoked(const std::set<Bytes>& fingerprints) { return purge_revoked(node_, store_, ledger_, fingerprints); }

Result<void> Injection::compare_with_lists(const std::function<Result<Bytes>(std::string_view branch)>& fetch) {
  bool any = false;
  TRY(store_.transact([&](store::Transaction& transaction) {
    any = false;  // a work may run more than once
    return transaction.query("SELECT 1 FROM terminal LIMIT 1", {}, [&](const store::Row&) { any = true; });
  }));
  if (!any) return {};
  std::optional<Error> first;
  for (const std::string_view branch : {"ml_dsa", "classical"}) {
    const auto der = fetch(branch);
    const auto found = der ? listed(*der) : Result<std::set<Bytes>>(fail(der.error()));
    if (found) {
      TRY(purge_revoked(node_, store_, ledger_, *found, "a revocation list has its certificate"));
    } else if (!first) {
      first = Error{found.error().code, "revocation list " + std::string(branch) + ": " + found.error().message};
    }
  }
  if (first) return fail(*first);
  return {};
}

Result<std::set<Bytes>> Injection::listed(ByteView der) {
  const crypto::Certificate* issuer = nullptr;
  crypto::RevocationList list;
  Error not_its{ErrorCode::denied, "no issuing CA is trusted here"};
  for (const crypto::Certificate& one : node_.trust().intermediates()) {
    auto read = crypto::read_revocation_list(der, one);
    if (read) {
      issuer = &one;
      list = *std::move(read);
      break;
    }
    not_its = read.error();
  }
  if (issuer == nullptr) return fail(not_its);
  std::set<Bytes> out;
  const std::span<const crypto::RevokedSerial> all(list.revoked);
  for (std::size_t at = 0; at < all.size(); at += serials_at_once) {
    const auto some = all.subspan(at, std::min(serials_at_once, all.size() - at));
    ASSIGN_OR_RETURN(const std::vector<Bytes> found, store_.transact([&](store::Transaction& transaction) -> Result<std::vector<Bytes>> {
      std::vector<Bytes> certificates;
      for (const crypto::RevokedSerial& entry : some) {
        ASSIGN_OR_RETURN(const std::vector<Bytes> ders, certificates_with(transaction, entry.serial));
        certificates.insert(certificates.end(), ders.begin(), ders.end());
      }
      return certificates;
    }));
    for (const Bytes& octets : found) {
      // A serial is its issuer's alone.
      ASSIGN_OR_RETURN(const crypto::Certificate certificate, crypto::Certificate::parse(octets));
      const crypto::Certificate* const its = node_.trust().issuer_of(certificate);
      if (its != nullptr && its->der() == issuer->der()) out.insert(crypto::digest(crypto::Hash::sha256, octets));
    }
  }
  return out;
}

Result<void> Injection::judged(const Terminal& terminal, const Error& found, Deadline deadline) {
  if (found.code != ErrorCode::denied) return {};
  // Expired, or of another CA, is not revoked: the status alone says.
  for (const Bytes* der : {&terminal.ml_dsa, &terminal.classical}) {
    ASSIGN_OR_RETURN(const crypto::Certificate certificate, crypto::Certificate::parse(*der));
    const auto status = node_.check_status(certificate, deadline);
    if (!status && status.error().code == ErrorCode::denied)
      return purge_revoked(node_, store_, ledger_, {crypto::digest(crypto::Hash::sha256, *der)}, "found revoked at its application");
  }
  return {};
}

}  // namespace qanat::kms
