#include "services/kms/csa/arguments.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "kme/secret_json.hpp"
#include "wire/secret_text.hpp"

namespace qanat::kms::csa {
namespace {

constexpr std::string_view secret_name = "plaintext";
constexpr std::string_view operation_name = "operation";

std::unexpected<Error> wrong(const wire::Json& object, std::string_view name, const std::string& why) {
  return fail(ErrorCode::invalid_argument, (object.path().empty() ? std::string() : object.path() + ".") + std::string(name) + ": " + why);
}

Result<void> check_size(const wire::Json& object, const Field& field, std::size_t size) {
  if (size >= field.min && size <= field.max) return {};
  const std::string range = field.min == field.max ? std::to_string(field.min) : std::to_string(field.min) + " to " + std::to_string(field.max);
  return wrong(object, field.name, "must have " + range + " octets, has " + std::to_string(size));
}

Result<void> check_names(const wire::Json& object, std::span<const Field> fields, std::string_view besides) {
  if (!object.is_object()) return fail(ErrorCode::invalid_argument, (object.path().empty() ? "the body" : object.path()) + ": must be an object");
  for (const std::string& name : object.names()) {
    const bool known = (!besides.empty() && name == besides) || std::ranges::find(fields, std::string_view(name), &Field::name) != fields.end();
    if (!known) return wrong(object, name, "is not known here");
  }
  return {};
}

}  // namespace

Result<Secret> Lifted::take(const wire::Json& object) {
  if (used_up()) return wrong(object, secret_name, "must be base64, its name written without escapes");
  Secret out = std::move(secrets_[next_++]);
  const auto text = object.text(secret_name);
  if (!text || text->size() != wire::base64_size(out.size()) || text->find_first_not_of('#') != std::string::npos) {
    return wrong(object, secret_name, "must be base64, its name written without escapes");
  }
  return Result<Secret>(std::move(out));
}

template <class T>
const T& Arguments::at(std::string_view name) const {
  const auto found = values_.find(name);
  CHECK(found != values_.end());
  const T* const value = std::get_if<T>(&found->second);
  CHECK(value != nullptr);
  return *value;
}
template const std::string& Arguments::at(std::string_view) const;
template const Bytes& Arguments::at(std::string_view) const;
template const Secret& Arguments::at(std::string_view) const;
template const std::int64_t& Arguments::at(std::string_view) const;
template const bool& Arguments::at(std::string_view) const;
template const CsaKeyId& Arguments::at(std::string_view) const;
template const wire::Json& Arguments::at(std::string_view) const;

Result<void> Arguments::read_field(const Field& field, const wire::Json& object) {
  switch (field.type) {
    case Type::text: {
      ASSIGN_OR_RETURN(std::string text, object.text(field.name));
      TRY(check_size(object, field, text.size()));
      values_.emplace(field.name, std::move(text));
      return {};
    }
    case Type::key_id: {
      ASSIGN_OR_RETURN(const std::string text, object.text(field.name));
      const auto id = CsaKeyId::parse_hex(text);
      if (!id) return wrong(object, field.name, "must be 32 hexadecimal digits");
      values_.emplace(field.name, *id);
      return {};
    }
    case Type::octets: {
      ASSIGN_OR_RETURN(Bytes octets, object.base64(field.name));
      TRY(check_size(object, field, octets.size()));
      values_.emplace(field.name, std::move(octets));
      return {};
    }
    case Type::integer: {
      ASSIGN_OR_RETURN(const std::int64_t value, object.integer(field.name, static_cast<std::int64_t>(field.min), static_cast<std::int64_t>(field.max)));
      values_.emplace(field.name, value);
      return {};
    }
    case Type::flag: {
      ASSIGN_OR_RETURN(const bool value, object.boolean(field.name));
      values_.emplace(field.name, value);
      return {};
    }
    case Type::policy: {
      ASSIGN_OR_RETURN(wire::Json value, object.object(field.name));
      values_.emplace(field.name, std::move(value));
      return {};
    }
    case Type::requests: {
      ASSIGN_OR_RETURN(wire::Json value, object.at(field.name));
      values_.emplace(field.name, std::move(value));
      return {};
    }
    case Type::plaintext:  // taken before
    case Type::keys:
    case Type::key_ids:
    case Type::versions:
    case Type::results:
      break;
  }
  return {};
}

Result<Arguments> Arguments::read(const OperationRow& asked, const wire::Json& object, Lifted& lifted, std::string_view besides) {
  Arguments out;
  Result<void> good;
  const auto note = [&good](const Result<void>& one) {
    if (good && !one) good = one;
  };
  if (object.has(secret_name)) {
    auto secret = lifted.take(object);
    if (secret) {
      const auto field = std::ranges::find(asked.asks, secret_name, &Field::name);
      if (field != asked.asks.end()) note(check_size(object, *field, secret->size()));
      out.values_.emplace(secret_name, std::move(*secret));
    } else {
      note(fail(secret.error()));
    }
  }
  note(check_names(object, asked.asks, besides));
  if (!good) return fail(good.error());
  for (const Field& field : asked.asks) {
    if (object.has(field.name)) {
      TRY(out.read_field(field, object));
    } else if (field.presence == Presence::required) {
      return wrong(object, field.name, "is missing");
    }
  }
  return Result<Arguments>(std::move(out));
}

Result<RequestText> read_request_text(std::span<std::uint8_t> octets) {
  ASSIGN_OR_RETURN(std::vector<Secret> secrets, kme::lift_base64(octets, secret_name, wire::base64_size(plaintext_octets_max)));
  ASSIGN_OR_RETURN(wire::Json json, wire::Json::parse(ByteView(octets)));
  return RequestText{.json = std::move(json), .lifted = Lifted(std::move(secrets))};
}

Result<std::vector<Result<BatchItem>>> read_batch(const wire::Json& requests, Lifted& lifted) {
  ASSIGN_OR_RETURN(const std::vector<wire::Json> items, requests.as_array());
  if (items.empty() || items.size() > batch_items_max) {
    return fail(ErrorCode::invalid_argument, "requests: must have 1 to " + std::to_string(batch_items_max) + " items, has " + std::to_string(items.size()));
  }
  const auto read_item = [&lifted](const wire::Json& item) -> Result<BatchItem> {
    const auto name = item.text(operation_name);
    auto asked = name ? find_operation(*name) : Result<const OperationRow*>(fail(name.error()));
    if (asked && !(*asked)->in_batches) asked = fail(ErrorCode::invalid_argument, item.path() + ".operation: " + *name + " cannot be asked in a batch");
    if (!asked) {
      if (item.has(secret_name)) TRY(lifted.take(item));  // so that the next one's is its own
      return fail(asked.error());
    }
    ASSIGN_OR_RETURN(Arguments arguments, Arguments::read(**asked, item, lifted, operation_name));
    return BatchItem{.asked = *asked, .arguments = std::move(arguments)};
  };
  std::vector<Result<BatchItem>> out;
  out.reserve(items.size());
  for (const wire::Json& item : items) out.push_back(read_item(item));
  if (!lifted.used_up()) return fail(ErrorCode::invalid_argument, "requests: a plaintext stands where none belongs");
  return Result<std::vector<Result<BatchItem>>>(std::move(out));
}

}  // namespace qanat::kms::csa
