// A request's members, read by the table of operations: what is not in it is refused, each with its place. Secrets are taken out of the text before it is parsed.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "services/kms/csa/operations.hpp"
#include "wire/json.hpp"

namespace qanat::kms::csa {

/// The secrets of a request's text, in its order.
class Lifted {
 public:
  Lifted() = default;
  explicit Lifted(std::vector<Secret> secrets) : secrets_(std::move(secrets)) {}
  /// The next one; invalid_argument if its text does not stand where one was taken out (a name written with escapes).
  Result<Secret> take(const wire::Json& object);
  [[nodiscard]] bool used_up() const noexcept { return next_ == secrets_.size(); }

 private:
  std::vector<Secret> secrets_;
  std::size_t next_ = 0;
};

class Arguments {
 public:
  /// All that the row asks of `object`, in which nothing else may be but a member named `besides`. A secret is taken in every case, so that the others keep
  /// their places.
  static Result<Arguments> read(const OperationRow& asked, const wire::Json& object, Lifted& lifted, std::string_view besides = {});

  // What read() found; CHECKs that the row has a member of this name and type.
  [[nodiscard]] bool has(std::string_view name) const { return values_.contains(name); }
  [[nodiscard]] const std::string& text(std::string_view name) const { return at<std::string>(name); }
  [[nodiscard]] std::string text_or_empty(std::string_view name) const { return has(name) ? text(name) : std::string(); }
  [[nodiscard]] const Bytes& octets(std::string_view name) const { return at<Bytes>(name); }
  [[nodiscard]] Bytes octets_or_none(std::string_view name) const { return has(name) ? octets(name) : Bytes(); }
  [[nodiscard]] const Secret& secret(std::string_view name) const { return at<Secret>(name); }
  [[nodiscard]] std::int64_t integer(std::string_view name, std::int64_t absent) const { return has(name) ? at<std::int64_t>(name) : absent; }
  [[nodiscard]] bool flag(std::string_view name) const { return has(name) && at<bool>(name); }
  [[nodiscard]] CsaKeyId key(std::string_view name) const { return at<CsaKeyId>(name); }
  [[nodiscard]] const wire::Json& json(std::string_view name) const { return at<wire::Json>(name); }

 private:
  using Value = std::variant<std::string, Bytes, Secret, std::int64_t, bool, CsaKeyId, wire::Json>;
  template <class T>
  const T& at(std::string_view name) const;
  Result<void> read_field(const Field& field, const wire::Json& object);
  std::map<std::string_view, Value> values_;  // by the table's names
};

/// A request's text with its secrets apart. `octets` then holds none of them. invalid_argument for what is no JSON object.
struct RequestText {
  wire::Json json;
  Lifted lifted;
};
Result<RequestText> read_request_text(std::span<std::uint8_t> octets);

/// One item of a batch: which operation, and its arguments; or why it is none.
struct BatchItem {
  const OperationRow* asked = nullptr;
  Arguments arguments;
};
/// Each item for itself; invalid_argument for the whole if it is no list of 1 to batch_items_max objects, or secrets stand where none belong.
Result<std::vector<Result<BatchItem>>> read_batch(const wire::Json& requests, Lifted& lifted);

}  // namespace qanat::kms::csa
