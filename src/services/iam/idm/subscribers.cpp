#include "services/iam/idm/subscribers.hpp"

#include <optional>

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::iam {
namespace {

/// The context under which the secrets of the first schema were sealed: those stay readable.
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

Result<Subscribers::Stored> Subscribers::read(store::Transaction& transaction, const Uid& uid) {
  ASSIGN_OR_RETURN(const auto record, IdentityRegister::read(transaction, uid));
  if (!record || record->of != IdentityClass::terminal) return unknown(uid);
  Stored out{.subscriber = {.uid = uid,
                            .number = *record->number,
                            .home_kms = record->home_kms,
                            .domain = record->domain,
                            .device = record->uri->kind,
                            .standing = record->standing,
                            .enrolled = false},
             .sealed_secret = {},
             .used_for = {}};
  TRY(transaction.query("SELECT sealed_secret, used_for FROM enrolment WHERE uid = ?", {std::string_view(uid.text())}, [&](const store::Row& row) {
    out.sealed_secret = row.blob(0);
    out.used_for = row.is_null(1) ? Bytes() : row.blob(1);
  }));
  out.subscriber.enrolled = !out.used_for.empty();
  return out;
}

Result<Secret> Subscribers::create(const Subscriber& subscriber, UnixMs now) {
  ASSIGN_OR_RETURN(Secret secret, device_.random(enrolment_secret_size));
  ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(secret_context(subscriber.uid), secret));
  IdentityRecord record;
  record.uid = subscriber.uid;
  record.of = IdentityClass::terminal;
  record.domain = subscriber.domain;
  record.uri = Identity{.domain = subscriber.domain, .kind = subscriber.device, .name = subscriber.uid.text()};
  record.number = subscriber.number;
  record.home_kms = subscriber.home_kms;
  TRY(check(record));
  const auto done = store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(identities_.insert(transaction, record, now));
    TRY(transaction.run("INSERT INTO enrolment (uid, device, sealed_secret) VALUES (?, ?, ?)",
                        {std::string_view(subscriber.uid.text()), qanat::name(subscriber.device), ByteView(sealed)}));
    return {};
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
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const Stored known, read(transaction, uid));
    TRY(transaction.run("INSERT INTO enrolment (uid, device, sealed_secret) VALUES (?, ?, ?) "
                        "ON CONFLICT (uid) DO UPDATE SET sealed_secret = excluded.sealed_secret, used_for = NULL, enrolled_ms = NULL",
                        {std::string_view(uid.text()), qanat::name(known.subscriber.device), ByteView(sealed)}));
    return {};
  }));
  return Result<Secret>(std::move(secret));
}

Result<Subscriber> Subscribers::find(const Uid& uid) {
  ASSIGN_OR_RETURN(const Stored stored, store_.transact([&](store::Transaction& transaction) { return read(transaction, uid); }));
  return stored.subscriber;
}

Result<Subscriber> Subscribers::enrol(const wire::Framed<wire::Enrol>& message, UnixMs now) {
  const Uid& uid = message.message.uid;
  const Bytes hash = crypto::digest(crypto::Hash::sha256, message.octets);
  ASSIGN_OR_RETURN(Subscriber out, store_.transact([&](store::Transaction& transaction) -> Result<Subscriber> {
    ASSIGN_OR_RETURN(Stored stored, read(transaction, uid));
    if (stored.sealed_secret.empty()) return fail(ErrorCode::denied, "subscriber '" + uid.text() + "' has no enrolment secret yet");
    // Who cannot prove to be the subscriber learns nothing about it.
    ASSIGN_OR_RETURN(const Secret secret, device_.unseal(secret_context(uid), stored.sealed_secret));
    TRY(wire::verify_enrol(message, secret));
    TRY(check_asked(stored.subscriber, message.message));
    stored.subscriber.enrolled = true;
    if (stored.used_for == hash) return stored.subscriber;
    if (!stored.used_for.empty()) return fail(ErrorCode::conflict, "the enrolment secret of '" + uid.text() + "' was used for another request");
    TRY(transaction.run("UPDATE enrolment SET used_for = ?, enrolled_ms = ? WHERE uid = ?",
                        {ByteView(hash), static_cast<std::int64_t>(now), std::string_view(uid.text())}));
    return stored.subscriber;
  }));
  node::crash_point("iam.enrol.used");
  return out;
}

Result<std::int64_t> Subscribers::count() {
  std::int64_t out = 0;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT count(*) FROM identity WHERE class = 'terminal'", {}, [&](const store::Row& row) { out = row.integer(0); });
  }));
  return out;
}

}  // namespace qanat::iam
