// Accounts and their authorisations: RFC 8555 §7.3, §7.5. What changes one is on the audit record before it is done.
#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "services/cas/acme/acme.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t orders_at_once = 100;
constexpr std::size_t reference_octets_max = 32;

Problem deactivated_problem() { return {ProblemType::unauthorized, "the account was deactivated"}; }
Problem deactivated_authorization() { return {ProblemType::unauthorized, "an authorization of the order was deactivated"}; }

}  // namespace

AcmeAnswer Acme::account_answer(unsigned status, const AcmeAccount& account) const {
  wire::Json contacts = wire::Json::array();
  for (const std::string& contact : account.contacts) contacts.push(contact);
  wire::Json body = wire::Json::object({{"status", account.valid ? "valid" : "deactivated"}, {"contact", contacts}});
  if (!settings_.terms.empty()) body.set("termsOfServiceAgreed", true);
  body.set("orders", account_url(account.id) + "/orders");
  AcmeAnswer out = json_answer(status, body);
  out.fields.emplace_back("Location", account_url(account.id));
  return out;
}

OrProblem<std::string> Acme::bound_reference(const Call& call, const wire::Json& json) {
  ASSIGN_OR_RETURN(Binding binding, parse_binding(json, call.url, *call.key));
  // Whether there is such a registration is not for everybody to find out: one answer to both.
  const Problem wrong(ProblemType::unauthorized, "externalAccountBinding: not made with the secret of a registration that stands");
  if (shown(binding.key_id, reference_octets_max) != binding.key_id) return refuse(wrong);
  const auto registration = desk_.registration(binding.key_id);
  if (!registration) return refuse(registration.error().code == ErrorCode::not_found ? wrong : Problem(registration.error()));
  call.reference = registration->reference;
  ASSIGN_OR_RETURN(const Secret secret, desk_.secret_of(binding.key_id));
  const Bytes tag = crypto::hmac(crypto::Hash::sha256, secret, {as_bytes(binding.jws.signed_part)});
  if (!equal_constant_time(tag, binding.jws.signature)) return refuse(wrong);
  return registration->reference;
}

OrProblem<AcmeAnswer> Acme::new_account(const Call& call) {
  ASSIGN_OR_RETURN(const AccountRequest wanted, parse_account_request(call.payload));
  ASSIGN_OR_RETURN(const auto existing, records_.account_of_key(call.key->thumbprint));
  if (existing) {
    call.reference = existing->reference;
    if (!existing->valid) return refuse(deactivated_problem());
    return account_answer(200, *existing);  // §7.3.1
  }
  if (wanted.only_existing) return refuse(ProblemType::account_does_not_exist, "there is no account with this key");
  if (!settings_.terms.empty() && !wanted.terms_agreed) {
    return refuse(Problem(ProblemType::user_action_required, "the terms of service must be agreed to")
                      .with_field("Link", '<' + settings_.terms + ">;rel=\"terms-of-service\""));
  }
  if (!wanted.binding) return refuse(ProblemType::external_account_required, "an account must be bound to a registration (externalAccountBinding)");
  ASSIGN_OR_RETURN(const std::string reference, bound_reference(call, *wanted.binding));
  TRY(records_.room_for_account(reference, settings_.bounds));
  const AcmeAccount account{.id = records_.draw_id(),
                            .reference = reference,
                            .thumbprint = call.key->thumbprint,
                            .jwk = call.key->canonical,
                            .contacts = wanted.contacts.value_or(std::vector<std::string>()),
                            .valid = true,
                            .made = clock_.now_ms()};
  TRY(record("acme.account", call, reference, account.id));
  ASSIGN_OR_RETURN(const AcmeRecords::Opened opened, records_.open_account(account, settings_.bounds));
  node::crash_point("cas.acme.account");
  return account_answer(opened.made ? 201 : 200, opened.account);
}

OrProblem<AcmeAnswer> Acme::account(const Call& call) {
  AcmeAccount account = *call.account;
  if (call.request.parameters.front() != account.id) return refuse(ProblemType::unauthorized, "this is another account");
  if (is_get(call.payload)) return account_answer(200, account);
  ASSIGN_OR_RETURN(AccountRequest wanted, parse_account_request(call.payload));
  if (wanted.status && *wanted.status != "valid") {
    if (*wanted.status != "deactivated") return refuse(ProblemType::malformed, "status: can be changed to 'deactivated' alone");
    TRY(record("acme.account_deactivated", call, account.reference, account.id));
    TRY(records_.deactivate_account(account.id, deactivated_problem().json().dump(), clock_.now_ms()));
    account.valid = false;
    return account_answer(200, account);
  }
  if (wanted.contacts) {
    TRY(record("acme.account_contacts", call, account.reference, account.id));
    TRY(records_.change_contacts(account.id, *wanted.contacts, clock_.now_ms()));
    account.contacts = *std::move(wanted.contacts);
  }
  return account_answer(200, account);
}

OrProblem<AcmeAnswer> Acme::key_change(const Call& call) {
  AcmeAccount account = *call.account;
  ASSIGN_OR_RETURN(const KeyChange change, parse_key_change(call.payload, call.url));
  if (change.account != account_url(account.id)) return refuse(ProblemType::malformed, "account: is not the one that signed the request");
  if (change.old_key.thumbprint != account.thumbprint) return refuse(ProblemType::malformed, "oldKey: is not the account's key");
  ASSIGN_OR_RETURN(const auto other, records_.account_of_key(change.key.thumbprint));
  if (other) {  // §7.3.5: 409, and whose it is
    return refuse(Problem(ProblemType::malformed, "the new key is that of an account already").with_status(409).with_field("Location", account_url(other->id)));
  }
  TRY(record("acme.key_change", call, account.reference, account.id));
  TRY(records_.change_key(account.id, change.key.canonical, change.key.thumbprint, clock_.now_ms()));
  node::crash_point("cas.acme.key_changed");
  return account_answer(200, account);
}

OrProblem<AcmeAnswer> Acme::orders(const Call& call) {
  const AcmeAccount& account = *call.account;
  if (call.request.parameters.front() != account.id) return refuse(ProblemType::unauthorized, "this is another account");
  if (!is_get(call.payload)) return refuse(ProblemType::malformed, "the list of orders is only read: the payload must be empty");
  constexpr std::string_view cursor = "cursor=";
  std::string_view after = call.request.query;
  if (!after.empty()) {
    if (!after.starts_with(cursor)) return refuse(ProblemType::malformed, "the query is not one of this server's");
    after.remove_prefix(cursor.size());
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> ids, records_.orders_of(account.id, after, orders_at_once + 1, clock_.now_ms()));
  wire::Json list = wire::Json::array();
  for (std::size_t i = 0; i < std::min(ids.size(), orders_at_once); ++i) list.push(order_url(ids[i]));
  AcmeAnswer out = json_answer(200, wire::Json::object({{"orders", list}}));
  if (ids.size() > orders_at_once) {
    out.fields.emplace_back("Link", '<' + account_url(account.id) + "/orders?" + std::string(cursor) + ids[orders_at_once - 1] + ">;rel=\"next\"");
  }
  return out;
}

OrProblem<AcmeAnswer> Acme::authorization(const Call& call) {
  ASSIGN_OR_RETURN(auto found, records_.authorization(call.request.parameters.front()));
  if (!found || found->account != call.account->id) return refuse(Problem(ProblemType::malformed, "there is no such authorization").with_status(404));
  if (!is_get(call.payload)) {  // §7.5.2
    TRY(parse_deactivation(call.payload));
    TRY(record("acme.authorization_deactivated", call, call.account->reference, found->id));
    TRY(records_.deactivate_authorization(found->id, deactivated_authorization().json().dump()));
    found->valid = false;
  }
  const bool wildcard = found->dns.starts_with("*.");
  const std::string_view status = !found->valid ? "deactivated" : (found->expires <= clock_.now_ms() ? "expired" : "valid");
  // No challenge was validated: the registration allows the name (§7.4.1, a non-ACME process).
  wire::Json body = wire::Json::object({{"identifier", dns_identifier(wildcard ? std::string_view(found->dns).substr(2) : std::string_view(found->dns))},
                                        {"status", status},
                                        {"expires", date_time(found->expires)},
                                        {"challenges", wire::Json::array()}});
  if (wildcard) body.set("wildcard", true);
  return json_answer(200, body);
}

}  // namespace qanat::cas
