// The keys themselves: made, taken over, exported, described, rotated, granted, ended.
#include <algorithm>

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "services/kms/csa/desk.hpp"
#include "services/kms/csa/destruction.hpp"
#include "services/kms/csa/export_statement.hpp"
#include "services/kms/csa/openapi.hpp"
#include "wire/base64.hpp"

namespace qanat::kms::csa {
namespace {

/// An application's own key does all that its usage allows, at its wish.
Policy own_grant(const std::string& owner, Usage usage) { return {.grants = {{.caller = owner, .operations = all_grantable(usage)}}, .export_under = {}}; }

Result<Change> parse_change(std::string_view text) {
  const auto found = std::ranges::find(change_names, text, &ChangeName::name);
  if (found == change_names.end()) return fail(ErrorCode::invalid_argument, "change: must be enable, disable, schedule_deletion, cancel_deletion, destroy or trim");
  return found->change;
}

Result<void> apply(store::Transaction& transaction, const Key& key, const Transition& line, std::optional<UnixMs> delete_ms, const Destruction& ending) {
  if (line.change == Change::trim) return destroy_below(transaction, key.id, key.minimum, ending);
  TRY(set_state(transaction, key.id, key.state, line.to, delete_ms));
  if (line.change == Change::destroy) return destroy_below(transaction, key.id, key.version + 1, ending);
  return {};
}

Answer answer_of(const CsaKeyId& id, const KeyVersion& made) {
  Answer out = Answer::of({{"key_id", id.hex()}, {"version", made.version}});
  if (!made.public_key.empty()) out.open.set("public_key", wire::to_base64(made.public_key));
  return out;
}

/// The caller's own name for a request.
Result<void> check_request_name(std::string_view member, std::string_view text) {
  if (std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; })) return {};
  return fail(ErrorCode::invalid_argument, std::string(member) + ": must be visible ASCII without spaces");
}

/// All that the request says, each part with its length.
Bytes digest_of_creation(const Arguments& arguments) {
  const std::string policy = arguments.has("policy") ? arguments.json("policy").dump() : std::string();
  Bytes said = to_bytes("qanat csa creation 1\n");
  for (const std::string& part : {arguments.text("algorithm"), arguments.text("usage"), arguments.text_or_empty("label"), policy}) {
    append(said, as_bytes(std::to_string(part.size()) + ":" + part));
  }
  // A fifth part where it is there: who says nothing of it has said what he said before there was this member.
  if (arguments.has("not_after_ms")) {
    const std::string end = std::to_string(arguments.integer("not_after_ms", 0));
    append(said, as_bytes(std::to_string(end.size()) + ":" + end));
  }
  return crypto::digest(crypto::Hash::sha256, said);
}

}  // namespace

Result<Policy> Desk::policy_for_new(const Call& call, const Arguments& arguments, Usage usage) const {
  if (!arguments.has("policy")) return call.caller.role == Role::application ? own_grant(call.caller.name, usage) : Policy{};
  ASSIGN_OR_RETURN(Policy out, read_policy(arguments.json("policy"), usage));
  if (call.caller.role == Role::application && !out.export_under.empty()) return fail(ErrorCode::denied, "policy.export_under: only operators say where keys may go");
  return Result<Policy>(std::move(out));
}

Result<bool> Desk::joins(store::Transaction& transaction, const Key& key) {
  if (key.origin == Origin::made) return false;
  const auto there = load_key(transaction, key.id);
  if (!there && there.error().code == ErrorCode::not_found) return false;
  if (!there) return fail(there.error());
  const bool same = there->origin == Origin::imported && there->owner == key.owner && there->algorithm == key.algorithm && there->usage == key.usage;
  if (!same || there->state == State::destroyed) return fail(ErrorCode::conflict, "key " + key.id.hex() + " is here already, and is no earlier version of this one");
  return true;
}

Result<Answer> Desk::store_new_key(Call& call, const NewKey& as, const Algorithm& algorithm, const Arguments& arguments, const Secret& material) {
  Key key{.id = as.id,
          .label = arguments.text_or_empty("label"),
          .algorithm = &algorithm,
          .owner = call.caller.name,
          .origin = as.origin,
          .state = State::enabled,
          .version = as.version,
          .created_ms = call.now,
          .delete_ms = {},
          .not_after_ms = static_cast<UnixMs>(arguments.integer("not_after_ms", 0)),
          .policy = {},
          .creation_id = as.creation_id,
          .creation_digest = as.creation_digest};
  if (key.is_past(call.now)) return fail(ErrorCode::invalid_argument, "not_after_ms: is over");
  ASSIGN_OR_RETURN(key.usage, parse_usage(arguments.text("usage"), algorithm));
  ASSIGN_OR_RETURN(key.policy, policy_for_new(call, arguments, key.usage));
  KeyVersion first{.version = key.version, .sealed = {}, .public_key = {}, .created_ms = call.now};
  ASSIGN_OR_RETURN(first.public_key, public_half(algorithm, material));
  ASSIGN_OR_RETURN(first.sealed, sealer_.seal(key.id, first.version, material));
  first.commitment = commitment_of(key.id, first.version, material);
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const bool further, joins(transaction, key));
    if (further) {
      TRY(insert_version(transaction, key.id, first));
      return raise_current(transaction, key.id, first.version);
    }
    if (call.caller.role == Role::application) {
      ASSIGN_OR_RETURN(const std::int64_t owned, count_owned(transaction, call.caller.name));
      if (owned >= limits_.keys_per_application) {
        return fail(ErrorCode::exhausted, call.caller.name + " may own " + std::to_string(limits_.keys_per_application) + " keys, and does");
      }
    }
    TRY(insert_key(transaction, key));
    return insert_version(transaction, key.id, first);
  }));
  node::crash_point("kms.csa.key_stored");
  call.object = key.id.hex() + "/" + std::to_string(first.version);
  return answer_of(key.id, first);
}

Result<Answer> Desk::create_key(Call& call, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Algorithm* algorithm, find_algorithm(arguments.text("algorithm")));
  NewKey as{.id = node_.rng().id<CsaKeyId>(), .creation_id = arguments.text_or_empty("creation_id")};
  if (!as.creation_id.empty()) {
    TRY(check_request_name("creation_id", as.creation_id));
    as.creation_digest = digest_of_creation(arguments);
    ASSIGN_OR_RETURN(std::optional<Answer> before, created_before(call, as.creation_id, as.creation_digest));
    if (before) return *std::move(before);
  }
  ASSIGN_OR_RETURN(const Secret material, generate(*algorithm, node_.device()));
  auto made = store_new_key(call, as, *algorithm, arguments, material);
  if (made || as.creation_id.empty() || made.error().code != ErrorCode::conflict) return made;
  // The same request came twice at once, and the other one has made the key.
  ASSIGN_OR_RETURN(std::optional<Answer> before, created_before(call, as.creation_id, as.creation_digest));
  if (before) return *std::move(before);
  return made;
}

Result<std::optional<Answer>> Desk::created_before(Call& call, const std::string& creation_id, ByteView digest) {
  struct Found {
    Created created;
    KeyVersion first;
  };
  ASSIGN_OR_RETURN(const std::optional<Found> found, store_.transact([&](store::Transaction& transaction) -> Result<std::optional<Found>> {
    ASSIGN_OR_RETURN(const std::optional<Created> created, find_created(transaction, call.caller.name, creation_id));
    if (!created) return std::optional<Found>();
    ASSIGN_OR_RETURN(const std::vector<KeyVersion> versions, load_versions(transaction, created->id));
    const auto first = std::ranges::find(versions, 1U, &KeyVersion::version);
    if (first == versions.end()) return fail(ErrorCode::internal, "csa key " + created->id.hex() + ": has no version 1");
    return std::optional(Found{.created = *created, .first = *first});
  }));
  if (!found) return std::optional<Answer>();
  call.object = found->created.id.hex() + "/1";
  if (!std::ranges::equal(found->created.digest, digest))
    return fail(ErrorCode::conflict, "creation_id: " + call.caller.name + " made key " + found->created.id.hex() + " by a request of this name that said something else");
  return std::optional(answer_of(found->created.id, found->first));
}

Result<Answer> Desk::import_key(Call& call, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Algorithm* algorithm, find_algorithm(arguments.text("algorithm")));
  ASSIGN_OR_RETURN(const Usage usage, parse_usage(arguments.text("usage"), *algorithm));
  ASSIGN_OR_RETURN(const Used under, use(call, arguments.key("under"), 0));
  const Bytes& wrapped = arguments.octets("wrapped");
  // Whoever has the public key can wrap what he likes under any name: that it is a key of another CSA is its KMS's word.
  ASSIGN_OR_RETURN(const Identity from, check_export_statement(node_, senders_, wrapped, arguments.octets("statement"), call.caller.deadline));
  const ExportedAs as{.algorithm = *algorithm, .usage = usage};
  ASSIGN_OR_RETURN(const Secret material, unwrap_key(*under.key.algorithm, under.material, as, arguments.text_or_empty("context"), wrapped));
  // What it is called where it comes from, it is called here, so that what was sealed there opens here.
  ASSIGN_OR_RETURN(const SealedHeader header, parse_sealed_header(wrapped));
  if (header.version == 0 || header.version > versions_max)
    return fail(ErrorCode::invalid_argument, "wrapped: of version " + std::to_string(header.version) + ", where keys have 1 to " + std::to_string(versions_max));
  auto stored = store_new_key(call, {.id = header.key, .version = header.version, .origin = Origin::imported}, *algorithm, arguments, material);
  call.object += " from " + from.uri();
  return stored;
}

Result<Answer> Desk::export_key(Call& call, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Used used, use(call, arguments.key("key_id"), arguments.integer("version", 0)));
  const Bytes& wanted = arguments.octets("public_key");
  const auto target = std::ranges::find(used.key.policy.export_under, wanted, &ExportTarget::public_key);
  if (target == used.key.policy.export_under.end()) return fail(ErrorCode::denied, "the policy of key " + used.key.id.hex() + " does not let it go under that public key");
  const ExportedAs as{.algorithm = *used.key.algorithm, .usage = used.key.usage};
  const SealedHeader header{.kind = SealedKind::exported_key, .key = used.key.id, .version = used.version.version};
  ASSIGN_OR_RETURN(const Bytes wrapped,
                   wrap_key(*target->kem, target->public_key, header, as, arguments.text_or_empty("context"), used.material, node_.rng()));
  ASSIGN_OR_RETURN(const Bytes statement, make_export_statement(node_, wrapped));
  return Answer::of({{"wrapped", wire::to_base64(wrapped)},
                     {"statement", wire::to_base64(statement)},
                     {"algorithm", used.key.algorithm->name},
                     {"usage", name(used.key.usage)},
                     {"version", used.version.version}});
}

Result<wire::Json> Desk::description(store::Transaction& transaction, const Call& call, const Key& key) {
  ASSIGN_OR_RETURN(const std::vector<KeyVersion> versions, load_versions(transaction, key.id));
  wire::Json list = wire::Json::array();
  for (const KeyVersion& one : versions) {
    wire::Json item = wire::Json::object({{"version", one.version}, {"created_ms", one.created_ms}, {"destroyed", !one.sealed.has_value()}});
    if (!one.sealed && !one.commitment.empty()) item.set("commitment", to_hex(one.commitment));
    list.push(item);
  }
  Policy shown = key.policy;
  if (call.caller.role != Role::administrator && call.caller.name != key.owner) {
    std::erase_if(shown.grants, [&](const Grant& grant) { return grant.caller != call.caller.name; });
    shown.export_under.clear();
  }
  wire::Json out = wire::Json::object({{"key_id", key.id.hex()},
                                       {"label", key.label},
                                       {"algorithm", key.algorithm->name},
                                       {"usage", name(key.usage)},
                                       {"owner", key.owner},
                                       {"origin", name(key.origin)},
                                       {"state", name(key.state)},
                                       {"version", key.version},
                                       {"minimum_version", key.minimum},
                                       {"created_ms", key.created_ms}});
  if (key.delete_ms) out.set("delete_ms", *key.delete_ms);
  if (key.not_after_ms != 0) out.set("not_after_ms", key.not_after_ms);
  if (key.suspended_from) out.set("suspended_from", name(*key.suspended_from));
  out.set("versions", list);
  out.set("policy", to_json(shown));
  return out;
}

Result<Answer> Desk::list_keys(Call& call, const Arguments& arguments) {
  const std::optional<CsaKeyId> after = arguments.has("after") ? std::optional(arguments.key("after")) : std::nullopt;
  const std::optional<std::string_view> of = call.caller.role == Role::administrator ? std::nullopt : std::optional<std::string_view>(call.caller.name);
  wire::Json keys = wire::Json::array();
  bool more = false;
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(std::vector<CsaKeyId> ids, list_ids(transaction, of, after, listed_keys_max + 1));
    keys = wire::Json::array();  // a work may run more than once
    more = ids.size() > listed_keys_max;
    if (more) ids.pop_back();
    for (const CsaKeyId& id : ids) {
      ASSIGN_OR_RETURN(const Key key, load_key(transaction, id));
      ASSIGN_OR_RETURN(const wire::Json one, description(transaction, call, key));
      keys.push(one);
    }
    return {};
  }));
  return Answer::of({{"keys", keys}, {"more", more}});
}

Result<Answer> Desk::describe_key(Call& call, const Arguments& arguments) {
  const CsaKeyId id = arguments.key("key_id");
  call.object = id.hex();
  ASSIGN_OR_RETURN(wire::Json described, store_.transact([&](store::Transaction& transaction) -> Result<wire::Json> {
    ASSIGN_OR_RETURN(const Key key, load_key(transaction, id));
    TRY(authorise(transaction, call, key));
    return description(transaction, call, key);
  }));
  return Answer{.open = std::move(described)};
}

Result<std::optional<Answer>> Desk::rotated_before(Call& call, const CsaKeyId& id, const std::string& rotation_id) {
  ASSIGN_OR_RETURN(const std::optional<Rotated> found,
                   store_.transact([&](store::Transaction& transaction) { return find_rotated(transaction, call.caller.name, rotation_id); }));
  if (!found) return std::optional<Answer>();
  call.object = found->key.hex() + "/" + std::to_string(found->version.version);
  if (found->key != id) return fail(ErrorCode::conflict, "rotation_id: " + call.caller.name + " rotated key " + found->key.hex() + " by a request of this name");
  return std::optional(answer_of(id, found->version));
}

Result<Answer> Desk::rotate_key(Call& call, const Arguments& arguments) {
  const CsaKeyId id = arguments.key("key_id");
  const Rotation as{.by = call.caller.name, .id = arguments.text_or_empty("rotation_id")};
  if (!as.id.empty()) {
    TRY(check_request_name("rotation_id", as.id));
    // Whoever made the version may be told once more, whatever he may now: it is his own answer.
    ASSIGN_OR_RETURN(std::optional<Answer> before, rotated_before(call, id, as.id));
    if (before) return *std::move(before);
  }
  ASSIGN_OR_RETURN(const Used used, use(call, id, 0, Wanted::public_half));
  const auto made = add_version(used.key, call.now, as);
  if (!made) {
    if (as.id.empty() || made.error().code != ErrorCode::conflict) return fail(made.error());
    // The same request came twice at once, perhaps, and the other one has made the version.
    ASSIGN_OR_RETURN(std::optional<Answer> before, rotated_before(call, id, as.id));
    if (before) return *std::move(before);
    return fail(made.error());
  }
  call.object = id.hex() + "/" + std::to_string(made->version);
  return answer_of(id, *made);
}

Result<Key> Desk::load_to_administer(store::Transaction& transaction, Call& call, const CsaKeyId& id) {
  ASSIGN_OR_RETURN(Key key, load_key(transaction, id));
  TRY(authorise(transaction, call, key));
  if (key.state == State::destroyed) return fail(ErrorCode::conflict, "key " + id.hex() + " is destroyed");
  return Result<Key>(std::move(key));
}

Result<Answer> Desk::set_policy(Call& call, const Arguments& arguments) {
  const CsaKeyId id = arguments.key("key_id");
  call.object = id.hex();
  if (!arguments.has("policy") && !arguments.has("minimum_version")) return fail(ErrorCode::invalid_argument, "neither policy nor minimum_version is there");
  ASSIGN_OR_RETURN(const std::uint32_t minimum, store_.transact([&](store::Transaction& transaction) -> Result<std::uint32_t> {
    ASSIGN_OR_RETURN(const Key key, load_to_administer(transaction, call, id));
    const auto wanted = static_cast<std::uint32_t>(arguments.integer("minimum_version", key.minimum));
    if (wanted > key.version) return fail(ErrorCode::invalid_argument, "minimum_version: key " + id.hex() + " is at version " + std::to_string(key.version));
    if (wanted < key.minimum) TRY(load_version(transaction, id, wanted));  // not what has been trimmed
    TRY(set_minimum(transaction, id, wanted));
    if (!arguments.has("policy")) return wanted;
    ASSIGN_OR_RETURN(const Policy policy, read_policy(arguments.json("policy"), key.usage));
    const bool elsewhere = !std::ranges::is_permutation(policy.export_under, key.policy.export_under);
    if (elsewhere && call.caller.role != Role::administrator) return fail(ErrorCode::denied, "policy.export_under: only operators say where keys may go");
    TRY(replace_policy(transaction, id, policy));
    return wanted;
  }));
  return Answer::of({{"key_id", id.hex()}, {"minimum_version", minimum}});
}

Result<Answer> Desk::change_state(Call& call, const Arguments& arguments) {
  if (arguments.flag("all_after_restoration")) return enable_restored(call, arguments);
  if (!arguments.has("key_id")) return fail(ErrorCode::invalid_argument, "key_id: is missing");
  const CsaKeyId id = arguments.key("key_id");
  ASSIGN_OR_RETURN(const Change change, parse_change(arguments.text("change")));
  call.object = id.hex() + " " + arguments.text("change");
  if (change == Change::destroy && call.caller.role != Role::administrator) {
    return fail(ErrorCode::denied, "only operators destroy a key at once: schedule its deletion");
  }
  const std::int64_t wait_s = arguments.integer("after_s", limits_.deletion_wait_min_s);
  if (wait_s < limits_.deletion_wait_min_s) return fail(ErrorCode::invalid_argument, "after_s: at least " + std::to_string(limits_.deletion_wait_min_s));
  std::optional<UnixMs> delete_ms;
  if (change == Change::schedule_deletion) delete_ms = call.now + static_cast<UnixMs>(wait_s) * 1000;
  const Destruction ending{.owed = node_.rng().id<OwedId>(), .by = call.caller.name, .at_ms = call.now};
  ASSIGN_OR_RETURN(const State state, store_.transact([&](store::Transaction& transaction) -> Result<State> {
    ASSIGN_OR_RETURN(const Key key, load_to_administer(transaction, call, id));
    std::optional<State> to = after(key.state, change);
    if (change == Change::enable && to == State::enabled && key.is_past(call.now)) to = after(State::enabled, Change::expire);
    if (!to) return fail(ErrorCode::conflict, "key " + id.hex() + " is " + std::string(name(key.state)) + ": no " + arguments.text("change") + " from there");
    if (operators_alone(key.state, change) && call.caller.role != Role::administrator)
      return fail(ErrorCode::denied, "key " + id.hex() + " is " + std::string(name(key.state)) + ": only operators " + arguments.text("change") + " it");
    TRY(apply(transaction, key, {.change = change, .from = key.state, .to = *to}, delete_ms, ending));
    return *to;
  }));
  if (change == Change::destroy || change == Change::trim) {
    TRY(store_.settle());
    TRY(pay_records(node_, store_, ending.owed, call.caller.request_id));
  }
  Answer out = Answer::of({{"key_id", id.hex()}, {"state", name(state)}});
  if (delete_ms) out.open.set("delete_ms", *delete_ms);
  return Result<Answer>(std::move(out));
}

Result<Answer> Desk::enable_restored(Call& call, const Arguments& arguments) {
  call.object = "all_after_restoration " + arguments.text("change");
  if (arguments.text("change") != "enable") return fail(ErrorCode::invalid_argument, "all_after_restoration: goes with the change enable alone");
  for (const std::string_view other : {"key_id", "after_s"}) {
    if (arguments.has(other)) return fail(ErrorCode::invalid_argument, "all_after_restoration: does not go with " + std::string(other));
  }
  if (call.caller.role != Role::administrator) return fail(ErrorCode::denied, "only operators enable the keys of a database that was restored");
  static_assert(after(State::suspended, Change::enable) == State::enabled);
  struct Done {
    std::vector<CsaKeyId> keys;
    bool more = false;
    std::int64_t still_suspended = 0;
  };
  const auto owed = node_.rng().id<OwedId>();
  ASSIGN_OR_RETURN(const Done done, store_.transact([&](store::Transaction& transaction) -> Result<Done> {
    Done out;
    ASSIGN_OR_RETURN(out.keys, list_enabled_before(transaction, call.now, limits_.enabled_at_once + 1));
    out.more = out.keys.size() > limits_.enabled_at_once;
    if (out.more) out.keys.pop_back();
    std::vector<OwedRecord> records;
    records.reserve(out.keys.size());
    for (const CsaKeyId& id : out.keys) {
      TRY(set_state(transaction, id, State::suspended, State::enabled, std::nullopt));
      // As where it is enabled alone, so that whoever looks for a key's changes finds it.
      records.push_back({.action = "csa.change_state", .subject = call.caller.name, .object = id.hex() + " enable", .reason = "all_after_restoration"});
    }
    TRY(owe_records(transaction, owed, records, call.now));
    ASSIGN_OR_RETURN(out.still_suspended, count_suspended(transaction));
    return Result<Done>(std::move(out));
  }));
  if (!done.keys.empty()) TRY(pay_records(node_, store_, owed, call.caller.request_id));
  call.object += ": " + std::to_string(done.keys.size()) + " keys";
  wire::Json enabled = wire::Json::array();
  for (const CsaKeyId& id : done.keys) enabled.push(id.hex());
  return Answer::of({{"enabled", enabled}, {"more", done.more}, {"still_suspended", done.still_suspended}});
}

Result<Answer> Desk::openapi(Call& call, const Arguments&) {
  return Answer{.open = openapi_document(call.caller.name.starts_with(foreign_caller) ? Server::foreign : Server::elements)};
}

}  // namespace qanat::kms::csa
