#include "services/iam/idm/subscribers.hpp"

#include <optional>

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::iam {
namespace {

Bytes secret_context(const Uid& uid) { return store::column_context("subscriber.sealed_secret", uid.view()); }

std::unexpected<Error> unknown(const Uid& uid) { return fail(ErrorCode::not_found, "there is no subscriber '" + uid.text() + "'"); }

Result<void> check_asked(const Subscriber& subscriber, const wire::Enrol& asked) {
  const auto refused = [&](std::string_view what) {
    return fail(ErrorCode::denied, "subscriber '" + subscriber.uid.text() + "': the Enrol message names another " + std::string(what));
  };
  if (subscriber.standing != Standing::active) return fail(ErrorCode::denied, "subscriber '" + subscriber.uid.text() + "' is suspended");
  if (asked.number != subscriber.number) return refused("number than the subscriber's");
  if (asked.kms_id != subscriber.home_kms) return refused("KMS than the subscriber's home");
  if (asked.device_kind != subscriber.device) return refused("kind of device than the subscriber's");
  return {};
}

}  // namespace

std::string_view name(Standing standing) noexcept { return standing == Standing::active ? "active" : "suspended"; }

Result<Subscribers::Stored> Subscribers::read(store::Transaction& transaction, const Uid& uid) {
  std::optional<Stored> out;
  std::string device;
  TRY(transaction.query("SELECT number, home_kms, domain, device, status, sealed_secret, used_for FROM subscriber WHERE uid = ?",
                        {std::string_view(uid.text())}, [&](const store::Row& row) {
                          device = row.text(3);
                          out = Stored{.subscriber = {.uid = uid,
                                                      .number = Number(row.text(0)),
                                                      .home_kms = ElementName(row.text(1)),
                                                      .domain = row.text(2),
                                                      .device = {},
                                                      .standing = row.text(4) == name(Standing::active) ? Standing::active : Standing::suspended,
                                                      .enrolled = !row.is_null(6)},
                                       .sealed_secret = row.blob(5),
                                       .used_for = row.is_null(6) ? Bytes() : row.blob(6)};
                        }));
  if (!out) return unknown(uid);
  ASSIGN_OR_RETURN(out->subscriber.device, parse_kind(device));
  return *std::move(out);
}

Result<Secret> Subscribers::create(const Subscriber& subscriber, UnixMs now) {
  ASSIGN_OR_RETURN(Secret secret, device_.random(enrolment_secret_size));
  ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(secret_context(subscriber.uid), secret));
  const auto done = store_.transact([&](store::Transaction& transaction) {
    return transaction.run(
        "INSERT INTO subscriber (uid, number, home_kms, domain, device, status, sealed_secret, created_ms) VALUES (?, ?, ?, ?, ?, 'active', ?, ?)",
        {std::string_view(subscriber.uid.text()), std::string_view(subscriber.number.text()), std::string_view(subscriber.home_kms.text()),
         std::string_view(subscriber.domain), qanat::name(subscriber.device), ByteView(sealed), static_cast<std::int64_t>(now)});
  });
  if (!done && done.error().code == ErrorCode::conflict) {
    return fail(ErrorCode::conflict, "uid '" + subscriber.uid.text() + "' or number " + subscriber.number.text() + " is taken");
  }
  TRY(done);
  node::crash_point("iam.subscriber.created");
  return Result<Secret>(std::move(secret));
}

Result<Secret> Subscribers::renew_secret(const Uid& uid) {
  ASSIGN_OR_RETURN(Secret secret, device_.random(enrolment_secret_size));
  ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(secret_context(uid), secret));
  ASSIGN_OR_RETURN(const std::int64_t changed, store_.transact([&](store::Transaction& transaction) {
    return transaction.run("UPDATE subscriber SET sealed_secret = ?, used_for = NULL, enrolled_ms = NULL WHERE uid = ?",
                           {ByteView(sealed), std::string_view(uid.text())});
  }));
  if (changed != 1) return unknown(uid);
  return Result<Secret>(std::move(secret));
}

Result<Subscriber> Subscribers::find(const Uid& uid) {
  ASSIGN_OR_RETURN(const Stored stored, store_.transact([&](store::Transaction& transaction) { return read(transaction, uid); }));
  return stored.subscriber;
}

Result<Subscriber> Subscribers::set_standing(const Uid& uid, Standing standing) {
  ASSIGN_OR_RETURN(const Stored stored, store_.transact([&](store::Transaction& transaction) -> Result<Stored> {
    TRY(transaction.run("UPDATE subscriber SET status = ? WHERE uid = ?", {name(standing), std::string_view(uid.text())}));
    return read(transaction, uid);
  }));
  node::crash_point("iam.subscriber.changed");
  return stored.subscriber;
}

Result<Subscriber> Subscribers::enrol(const wire::Framed<wire::Enrol>& message, UnixMs now) {
  const Uid& uid = message.message.uid;
  const Bytes hash = crypto::digest(crypto::Hash::sha256, message.octets);
  ASSIGN_OR_RETURN(Subscriber out, store_.transact([&](store::Transaction& transaction) -> Result<Subscriber> {
    ASSIGN_OR_RETURN(Stored stored, read(transaction, uid));
    // Who cannot prove to be the subscriber learns nothing about it.
    ASSIGN_OR_RETURN(const Secret secret, device_.unseal(secret_context(uid), stored.sealed_secret));
    TRY(wire::verify_enrol(message, secret));
    TRY(check_asked(stored.subscriber, message.message));
    stored.subscriber.enrolled = true;
    if (stored.used_for == hash) return stored.subscriber;
    if (!stored.used_for.empty()) return fail(ErrorCode::conflict, "the enrolment secret of '" + uid.text() + "' was used for another request");
    TRY(transaction.run("UPDATE subscriber SET used_for = ?, enrolled_ms = ? WHERE uid = ?",
                        {ByteView(hash), static_cast<std::int64_t>(now), std::string_view(uid.text())}));
    return stored.subscriber;
  }));
  node::crash_point("iam.enrol.used");
  return out;
}

Result<std::int64_t> Subscribers::count() {
  std::int64_t out = 0;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT count(*) FROM subscriber", {}, [&](const store::Row& row) { out = row.integer(0); });
  }));
  return out;
}

}  // namespace qanat::iam
