#include "services/kms/csa/desk.hpp"

#include <array>

#include "node/crash_point.hpp"
#include "services/kms/csa/destruction.hpp"
#include "services/kms/csa/openapi.hpp"

namespace qanat::kms::csa {
namespace {

constexpr int seal_attempts = 8;  // each lost one is a rotation by somebody else in between

std::string object_of(const CsaKeyId& id, std::uint32_t version) { return id.hex() + "/" + std::to_string(version); }

/// Keys that are looked at, described or administered may be in any state; those that work must be enabled.
bool works(Operation operation) noexcept {
  return operation != Operation::describe_key && operation != Operation::set_policy && operation != Operation::change_state;
}

Result<void> check_fit(const Key& key, Operation operation, UnixMs now) {
  if (!fits(operation, key.usage)) {
    return fail(ErrorCode::invalid_argument, "key " + key.id.hex() + " is for " + std::string(name(key.usage)) + ", which does not " + std::string(row(operation).name));
  }
  const bool makes = operation == Operation::encrypt || operation == Operation::generate_data_key || operation == Operation::rotate_key;
  if (makes && key.origin == Origin::imported) {
    return fail(ErrorCode::conflict, "key " + key.id.hex() + " was taken over from another CSA, which alone seals with it and makes its versions");
  }
  if (!works(operation)) return {};
  if (key.state != State::enabled && key.state != State::expired) return fail(ErrorCode::conflict, "key " + key.id.hex() + " is " + std::string(name(key.state)));
  if (key.is_past(now) && protects(operation)) return fail(ErrorCode::conflict, "key " + key.id.hex() + " is past its time: it opens and verifies, and protects nothing new");
  return {};
}

}  // namespace

Desk::Desk(node::Node& node, store::Store& store, crypto::CryptoDevice& seals, DeskLimits limits) : node_(node), store_(store), limits_(limits), senders_(node), sealer_(seals) {}

Desk::Work Desk::work_of(Operation operation) {
  static constexpr std::array works{&Desk::encrypt,      &Desk::decrypt,     &Desk::generate_data_key, &Desk::decrypt_data_key, &Desk::sign,
                                    &Desk::verify,       &Desk::mac,         &Desk::verify_mac,        &Desk::challenge,        &Desk::prove,
                                    &Desk::authenticate, &Desk::encapsulate, &Desk::decapsulate,       &Desk::public_key,       &Desk::random,
                                    Work(nullptr),       &Desk::create_key,  &Desk::import_key,        &Desk::export_key,       &Desk::list_keys,
                                    &Desk::describe_key, &Desk::rotate_key,  &Desk::set_policy,        &Desk::change_state,     &Desk::openapi};
  static_assert(works.size() == static_cast<std::size_t>(Operation::count_));
  return works.at(static_cast<std::size_t>(operation));
}

Result<void> Desk::record(const Call& call, const Result<Answer>& answer) {
  if (answer && call.asked.record == Record::refusals) return {};
  const std::string action = "csa." + std::string(call.asked.name);
  return node_.record({.action = action,
                       .outcome = answer ? audit::Outcome::success : audit::outcome_of(answer.error().code),
                       .subject = call.caller.name,
                       .object = call.object,
                       .reason = answer ? std::string_view(call.caller.remark) : std::string_view(answer.error().message),
                       .request_id = call.caller.request_id});
}

Result<Answer> Desk::perform(const OperationRow& asked, const Caller& caller, const Result<Arguments>& arguments, UnixMs now) {
  Call call{.caller = caller, .asked = asked, .now = now};
  Result<Answer> out = [&]() -> Result<Answer> {
    if (auto allowed = rates_.spend("caller " + caller.name, limits_.requests_per_minute, now); !allowed) return fail_in(caller.name, std::move(allowed).error());
    if (!arguments) return fail(arguments.error());
    return (this->*work_of(asked.operation))(call, *arguments);
  }();
  TRY(record(call, out));
  return out;
}

Result<Secret> Desk::answer(Operation operation, const Caller& caller, std::span<std::uint8_t> body, UnixMs now) {
  const OperationRow& asked = row(operation);
  auto text = asked.asks.empty() ? Result<RequestText>(RequestText{.json = wire::Json::object(), .lifted = {}}) : read_request_text(body);
  if (operation == Operation::batch) return answer_batch(caller, std::move(text), now);
  const auto arguments = text ? Arguments::read(asked, text->json, text->lifted) : Result<Arguments>(fail(text.error()));
  ASSIGN_OR_RETURN(const Answer made, perform(asked, caller, arguments, now));
  return render(made);
}

Result<Answer> Desk::refuse_batch(const Caller& caller, const Error& why, UnixMs now) {
  return perform(row(Operation::batch), caller, Result<Arguments>(fail(why)), now);  // no work is begun
}

Result<Secret> Desk::answer_batch(const Caller& caller, Result<RequestText> text, UnixMs now) {
  auto items = [&]() -> Result<std::vector<Result<BatchItem>>> {
    if (!text) return fail(text.error());
    TRY(text->json.only({"requests"}));
    ASSIGN_OR_RETURN(const wire::Json requests, text->json.at("requests"));
    return read_batch(requests, text->lifted);
  }();
  if (!items) return fail(refuse_batch(caller, items.error(), now).error());
  std::vector<Result<Answer>> results;
  results.reserve(items->size());
  for (Result<BatchItem>& item : *items) {
    results.push_back(item ? perform(*item->asked, caller, std::move(item->arguments), now) : refuse_batch(caller, item.error(), now));
  }
  return render(results);
}

Result<void> Desk::authorise(store::Transaction& transaction, Call& call, const Key& key) {
  const bool administers = call.caller.role == Role::administrator || call.caller.name == key.owner;
  if (call.asked.needs == Needs::administration || (call.asked.needs == Needs::either && administers)) {
    if (administers) return {};
    return fail(ErrorCode::denied, call.caller.name + " neither owns key " + key.id.hex() + " nor is an operator");
  }
  ASSIGN_OR_RETURN(const Grant* grant, permit(key.policy, call.caller.name, call.asked.operation, call.now));
  if (!call.rated) {
    auto spent = rates_.spend("grant " + key.id.hex() + " " + grant->caller, grant->per_minute, call.now);
    if (!spent) return fail_in("the grant of " + grant->caller, std::move(spent).error());
    call.rated = true;
  }
  return spend_total(transaction, key.id, *grant);
}

Result<Desk::Used> Desk::use(Call& call, const CsaKeyId& id, std::int64_t version, Wanted wanted) {
  call.object = id.hex();
  ASSIGN_OR_RETURN(Used out, store_.transact([&](store::Transaction& transaction) -> Result<Used> {
    ASSIGN_OR_RETURN(Key key, load_key(transaction, id));
    TRY(authorise(transaction, call, key));
    TRY(check_fit(key, call.asked.operation, call.now));
    const std::uint32_t number = version == 0 ? key.version : static_cast<std::uint32_t>(version);
    if (number < key.minimum) {
      return fail(ErrorCode::denied, "version " + std::to_string(number) + " of key " + id.hex() + " is below its minimum, " + std::to_string(key.minimum));
    }
    ASSIGN_OR_RETURN(KeyVersion one, load_version(transaction, id, number));
    return Used{.key = std::move(key), .version = std::move(one)};
  }));
  call.object = object_of(id, out.version.version);
  if (wanted == Wanted::octets) {
    ASSIGN_OR_RETURN(out.material, sealer_.unseal(id, out.version.version, *out.version.sealed));
  }
  return Result<Used>(std::move(out));
}

Result<Desk::Used> Desk::current(const CsaKeyId& id) {
  ASSIGN_OR_RETURN(Used out, store_.transact([&](store::Transaction& transaction) -> Result<Used> {
    ASSIGN_OR_RETURN(Key key, load_key(transaction, id));
    ASSIGN_OR_RETURN(KeyVersion one, load_version(transaction, id, key.version));
    return Used{.key = std::move(key), .version = std::move(one)};
  }));
  ASSIGN_OR_RETURN(out.material, sealer_.unseal(id, out.version.version, *out.version.sealed));
  return Result<Used>(std::move(out));
}

Result<Desk::Used> Desk::use_to_seal(Call& call, const CsaKeyId& id) {
  ASSIGN_OR_RETURN(Used out, use(call, id, 0));
  for (int attempt = 0; attempt < seal_attempts; ++attempt) {
    if (seals_.take(id, out.version.version)) {
      call.object = object_of(id, out.version.version);
      return Result<Used>(std::move(out));
    }
    TRY(refill(call, out.key));
    ASSIGN_OR_RETURN(out, current(id));
  }
  return fail(ErrorCode::exhausted, "key " + id.hex() + " changes faster than it can be used");
}

Result<void> Desk::refill(const Call& call, const Key& key) {
  const auto given = store_.transact([&](store::Transaction& transaction) {
    return reserve_seals(transaction, key.id, key.version, limits_.seals.block, limits_.seals.max);
  });
  if (!given && given.error().code == ErrorCode::unavailable) return {};  // another front end has just counted: the caller tries again
  if (!given) return fail(given.error());
  if (*given > 0) {
    node::crash_point("kms.csa.seals_reserved");
    seals_.add(key.id, key.version, *given);
    return {};
  }
  const auto rotated = add_version(key, call.now, {});
  if (!rotated && rotated.error().code == ErrorCode::conflict) return {};  // somebody else has just done it
  if (!rotated) return fail(rotated.error());
  const std::string object = object_of(key.id, rotated->version);
  return node_.record({.action = "csa.rotate_key",
                       .outcome = audit::Outcome::success,
                       .subject = call.caller.name,
                       .object = object,
                       .reason = "the former version has sealed as many texts as it may",
                       .request_id = call.caller.request_id});
}

Result<KeyVersion> Desk::add_version(const Key& key, UnixMs now, const Rotation& as) {
  if (key.version >= versions_max) return fail(ErrorCode::exhausted, "key " + key.id.hex() + " has had " + std::to_string(versions_max) + " versions, which is all");
  ASSIGN_OR_RETURN(const Secret material, generate(*key.algorithm, node_.device()));
  KeyVersion out{.version = key.version + 1, .sealed = {}, .public_key = {}, .created_ms = now, .rotated_by = as.by, .rotation_id = as.id};
  ASSIGN_OR_RETURN(out.public_key, public_half(*key.algorithm, material));
  ASSIGN_OR_RETURN(out.sealed, sealer_.seal(key.id, out.version, material));
  out.commitment = commitment_of(key.id, out.version, material);
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(set_current(transaction, key.id, key.version, out.version));
    return insert_version(transaction, key.id, out);
  }));
  node::crash_point("kms.csa.version_stored");
  return out;
}

Result<void> Desk::expire(UnixMs now) {
  ASSIGN_OR_RETURN(const std::vector<CsaKeyId> past, store_.transact([&](store::Transaction& transaction) { return list_past(transaction, now); }));
  TRY(end_each(node_, store_, past, ErrorCode::conflict, now, [&](store::Transaction& transaction, const CsaKeyId& id) -> Result<OwedRecord> {
    TRY(set_state(transaction, id, State::enabled, State::expired, std::nullopt));
    return OwedRecord{.action = "csa.expired", .subject = "", .object = id.hex(), .reason = "past its time"};
  }));
  return {};
}

Result<void> Desk::sweep(UnixMs now) {
  const auto expired = expire(now);
  ASSIGN_OR_RETURN(const std::vector<CsaKeyId> due, store_.transact([&](store::Transaction& transaction) -> Result<std::vector<CsaKeyId>> {
    TRY(forget_challenges(transaction, now));
    return list_due(transaction, now);
  }));
  for (const CsaKeyId& id : due) {
    // On record before the octets go; a crash in between comes back here.
    TRY(node_.record({.action = "csa.destroying", .outcome = audit::Outcome::success, .subject = "", .object = id.hex(), .reason = "its time has come", .request_id = ""}));
    node::crash_point("kms.csa.destroying");
    const Destruction ending{.owed = node_.rng().id<OwedId>(), .by = "", .at_ms = now};
    TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
      ASSIGN_OR_RETURN(const Key key, load_key(transaction, id));
      if (!key.delete_ms || *key.delete_ms > now) return {};  // cancelled meanwhile
      TRY(set_state(transaction, id, key.state, State::destroyed, std::nullopt));
      return destroy_below(transaction, id, key.version + 1, ending);
    }));
    TRY(store_.settle());
    TRY(pay_records(node_, store_, ending.owed));
  }
  return expired;
}

Result<wire::Json> Desk::census() {
  return store_.transact([](store::Transaction& transaction) -> Result<wire::Json> {
    wire::Json out = wire::Json::object();
    TRY(transaction.query("SELECT state, COUNT(*) FROM csa_key GROUP BY state ORDER BY state", {},
                          [&](const store::Row& row) { out.set(row.text(0), row.integer(1)); }));
    return out;
  });
}

}  // namespace qanat::kms::csa
