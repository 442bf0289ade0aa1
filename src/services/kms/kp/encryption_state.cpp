#include "services/kms/kp/encryption_state.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "services/kms/kp/library.hpp"

namespace qanat::kms {
namespace {

using store::KeyEvent;
using store::KeyState;

constexpr auto of_terminals = store::KeyKind::terminal_encryption;

KeyState state_at(KeyState stored, UnixMs until, UnixMs now) {
  return now <= until ? stored : store::after(of_terminals, stored, KeyEvent::expire).value_or(stored);
}

/// The sooner of its two certificates' ends.
std::optional<UnixMs> end_of_certificates(const Terminal& terminal) {
  std::optional<UnixMs> out;
  for (const Bytes* der : {&terminal.encryption_classical, &terminal.encryption_ml_kem}) {
    const auto certificate = crypto::Certificate::parse(*der);
    if (certificate) out = std::min(out.value_or(certificate->not_after()), certificate->not_after());
  }
  return out;
}

}  // namespace

wire::Json to_json(const EncryptionKey& key) {
  wire::Json out = wire::Json::object({{"uid", key.uid.text()},
                                       {"number", key.number.text()},
                                       {"enc_kid", to_hex(key.enc_kid)},
                                       {"state", store::name(key.state)},
                                       {"library", name(library_of_pair(key.state))}});
  if (key.until_ms) out.set("until_ms", *key.until_ms);
  return out;
}

Result<void> check_encryption_key(const Uid& uid, KeyState state) {
  if (state == KeyState::active) return {};
  const std::string_view how = state == KeyState::suspended ? " by order" : "";
  return fail(ErrorCode::denied, "the encryption key of " + uid.text() + " is " + std::string(store::name(state)) + std::string(how));
}

Result<void> check_encryption_key(const KnownTerminal& known, UnixMs now) {
  const Terminal& terminal = known.terminal;
  if (!known.bundle) return check_encryption_key(terminal.uid, terminal.state);
  const UnixMs until = std::min(known.bundle->classical_encryption.not_after(), known.bundle->ml_kem_encryption.not_after());
  return check_encryption_key(terminal.uid, state_at(terminal.state, until, now));
}

Result<EncryptionKey> find_encryption_key(store::Transaction& transaction, const Uid& uid, UnixMs now) {
  ASSIGN_OR_RETURN(const std::optional<Terminal> terminal, find_terminal(transaction, uid));
  if (!terminal) return fail(ErrorCode::not_found, "no terminal " + uid.text() + " is enrolled");
  const std::optional<UnixMs> until = end_of_certificates(*terminal);
  return EncryptionKey{.uid = terminal->uid,
                       .number = terminal->number,
                       .enc_kid = terminal->enc_kid,
                       .state = until ? state_at(terminal->state, *until, now) : terminal->state,
                       .until_ms = until};
}

Result<EncryptionKey> change_encryption_key(store::Transaction& transaction, const Uid& uid, KeyEvent event, UnixMs now) {
  CHECK(event == KeyEvent::suspend || event == KeyEvent::recover);
  ASSIGN_OR_RETURN(EncryptionKey key, find_encryption_key(transaction, uid, now));
  ASSIGN_OR_RETURN(key.state, store::advance(of_terminals, key.state, event, "encryption key " + to_hex(key.enc_kid) + " of " + uid.text()));
  TRY(transaction.change_one("UPDATE terminal SET enc_state = ? WHERE uid = ?", {store::name(key.state), std::string_view(uid.text())}));
  return key;
}

Result<std::int64_t> suspended_encryption_keys(store::Transaction& transaction) {
  std::int64_t out = 0;
  TRY(transaction.query("SELECT count(*) FROM terminal WHERE enc_state = 'suspended'", {}, [&](const store::Row& row) { out = row.integer(0); }));
  return out;
}

}  // namespace qanat::kms
