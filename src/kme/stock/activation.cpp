#include "kme/stock/activation.hpp"

#include <algorithm>
#include <map>

#include "wire/base64.hpp"

namespace qanat::kme {
namespace {

constexpr std::size_t groups_max = 1024;
constexpr std::size_t runs_max = 4096;
constexpr std::int64_t octets_max = 4096 / 8;
constexpr std::int64_t index_max = UINT32_MAX;
constexpr std::int64_t version_with_streams = 2;

Result<SaeId> read_sae(std::string text) {
  const bool plain = std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (text.empty() || text.size() > sae_id_size_max || !plain) return fail(ErrorCode::invalid_argument, "activation: not the name of an SAE");
  return SaeId(std::move(text));
}

Result<std::uint32_t> read_number(const wire::Json& from, std::string_view name, std::int64_t min, std::int64_t max) {
  ASSIGN_OR_RETURN(const std::int64_t number, from.integer(name, min, max));
  return static_cast<std::uint32_t>(number);
}

Result<BatchId> read_batch(const wire::Json& from) {
  ASSIGN_OR_RETURN(const std::string text, from.text("batch"));
  return BatchId::parse_hex(text);
}

Result<Carried> read_carried(const wire::Json& from) {
  TRY(from.only({"ids", "padded"}));
  Carried out;
  ASSIGN_OR_RETURN(out.padded, from.base64("padded"));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> ids, from.array("ids"));
  if (ids.empty() || ids.size() > runs_max) return fail(ErrorCode::invalid_argument, "activation: carried ids: must be 1 to 4096");
  for (const wire::Json& entry : ids) {
    TRY(entry.only({"batch", "first", "stride", "count"}));
    IdRun run;
    ASSIGN_OR_RETURN(run.batch, read_batch(entry));
    ASSIGN_OR_RETURN(run.first, read_number(entry, "first", 0, index_max));
    ASSIGN_OR_RETURN(run.stride, read_number(entry, "stride", 1, octets_max));
    ASSIGN_OR_RETURN(run.count, read_number(entry, "count", 1, assignment_keys_max));
    out.ids.push_back(run);
  }
  return out;
}

/// Each share has whole runs, and no two are of one stock.
Result<void> check_shares(const ActivatedKeys& group, std::size_t each) {
  std::map<std::string, std::size_t> share_of;  // by stock
  std::size_t before = 0;
  for (const StockRun& run : group.runs) {
    const std::size_t share = before / each;
    const auto [entry, is_new] = share_of.emplace(run.stock, share);
    before += run.run.count;
    if ((before - 1) / each != share) return fail(ErrorCode::invalid_argument, "activation: a run belongs to two shares");
    if (!is_new && entry->second != share) return fail(ErrorCode::invalid_argument, "activation: two shares are of one stock");
  }
  return {};
}

Result<void> check(const ActivatedKeys& group) {
  std::size_t stock_keys = 0;
  for (const StockRun& run : group.runs) stock_keys += run.run.count;
  if (stock_keys == 0 || stock_keys % (std::size_t{group.stride()} * group.shares) != 0) {
    return fail(ErrorCode::invalid_argument, "activation: the stock keys do not make whole keys");
  }
  TRY(check_shares(group, stock_keys / group.shares));
  if (!group.carried) return {};
  std::size_t carried = 0;
  for (const IdRun& ids : group.carried->ids) carried += ids.count;
  if (carried != stock_keys / group.stride() / group.shares || group.carried->padded.size() != carried * group.octets) {
    return fail(ErrorCode::invalid_argument, "activation: pads and what they carry are not of one length");
  }
  return {};
}

Result<ActivatedKeys> read_group(const wire::Json& from) {
  TRY(from.only({"master", "slaves", "octets", "runs", "shares", "carried"}));
  ActivatedKeys out;
  ASSIGN_OR_RETURN(std::string master, from.text("master"));
  ASSIGN_OR_RETURN(out.master, read_sae(std::move(master)));
  ASSIGN_OR_RETURN(const std::vector<std::string> slaves, from.texts("slaves"));
  if (slaves.empty() || slaves.size() > assignment_slaves_max) return fail(ErrorCode::invalid_argument, "activation: slaves: must be 1 to 64");
  for (const std::string& slave : slaves) {
    ASSIGN_OR_RETURN(SaeId id, read_sae(slave));
    out.slaves.push_back(std::move(id));
  }
  ASSIGN_OR_RETURN(out.octets, read_number(from, "octets", 1, octets_max));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> runs, from.array("runs"));
  for (const wire::Json& entry : runs) {
    ASSIGN_OR_RETURN(StockRun run, read_stock_run(entry));
    out.runs.push_back(std::move(run));
  }
  if (from.has("shares")) {
    ASSIGN_OR_RETURN(out.shares, read_number(from, "shares", 1, shares_max));
  }
  if (from.has("carried")) {
    ASSIGN_OR_RETURN(const wire::Json carried, from.object("carried"));
    ASSIGN_OR_RETURN(out.carried, read_carried(carried));
  }
  TRY(check(out));
  return out;
}

}  // namespace

wire::Json write_activation(const Activation& activation) {
  if (activation.stream) {
    return wire::Json::object({{"version", version_with_streams}, {"id", activation.id.hex()}, {"stream", write_note(*activation.stream)}});
  }
  std::vector<wire::Json> groups;
  for (const ActivatedKeys& group : activation.groups) {
    std::vector<wire::Json> slaves;
    slaves.reserve(group.slaves.size());
    for (const SaeId& slave : group.slaves) slaves.emplace_back(slave.text());
    std::vector<wire::Json> runs;
    runs.reserve(group.runs.size());
    for (const StockRun& run : group.runs) runs.push_back(write_stock_run(run));
    wire::Json entry = wire::Json::object({{"master", group.master.text()},
                                           {"slaves", wire::Json::array(std::move(slaves))},
                                           {"octets", group.octets},
                                           {"runs", wire::Json::array(std::move(runs))}});
    if (group.shares > 1) entry.set("shares", group.shares);
    if (group.carried) {
      std::vector<wire::Json> ids;
      for (const IdRun& run : group.carried->ids) {
        ids.push_back(wire::Json::object({{"batch", run.batch.hex()}, {"first", run.first}, {"stride", run.stride}, {"count", run.count}}));
      }
      entry.set("carried", wire::Json::object({{"ids", wire::Json::array(std::move(ids))}, {"padded", wire::to_base64(group.carried->padded)}}));
    }
    groups.push_back(std::move(entry));
  }
  return wire::Json::object({{"id", activation.id.hex()}, {"groups", wire::Json::array(std::move(groups))}});
}

Result<Activation> read_activation(ByteView octets) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(octets));
  Activation out;
  ASSIGN_OR_RETURN(const std::string id, json.text("id"));
  ASSIGN_OR_RETURN(out.id, ActivationId::parse_hex(id));
  if (json.has("version")) {
    TRY(json.only({"version", "id", "stream"}));
    TRY(json.integer("version", version_with_streams, version_with_streams));
    ASSIGN_OR_RETURN(const wire::Json stream, json.object("stream"));
    ASSIGN_OR_RETURN(out.stream, read_note(stream));
    return out;
  }
  TRY(json.only({"id", "groups"}));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> groups, json.array("groups"));
  if (groups.empty() || groups.size() > groups_max) return fail(ErrorCode::invalid_argument, "activation: groups: must be 1 to 1024");
  std::size_t stock_keys = 0;
  for (const wire::Json& entry : groups) {
    ASSIGN_OR_RETURN(ActivatedKeys group, read_group(entry));
    for (const StockRun& run : group.runs) stock_keys += run.run.count;
    if (stock_keys > activation_keys_max) return fail(ErrorCode::invalid_argument, "activation: more than " + std::to_string(activation_keys_max) + " keys");
    out.groups.push_back(std::move(group));
  }
  return out;
}

Secret cut_keys(const Secret& stock_keys, std::uint32_t octets) {
  const std::size_t step = (octets + stock_key_size - 1) / stock_key_size * stock_key_size;
  const std::size_t count = stock_keys.size() / step;
  Secret out(count * octets);
  for (std::size_t i = 0; i < count; ++i) {
    std::ranges::copy(stock_keys.reveal().subspan(i * step, octets), out.writable().begin() + static_cast<std::ptrdiff_t>(i * octets));
  }
  return out;
}

Secret xor_shares(const Secret& parts, std::uint32_t shares) {
  const std::size_t size = parts.size() / shares;
  Secret out = some_keys(parts, 0, 1, size);
  for (std::uint32_t share = 1; share < shares; ++share) out.xor_with(some_keys(parts, share, 1, size));
  return out;
}

std::vector<KeyRun> first_share(std::span<const KeyRun> runs, std::uint32_t shares) {
  const std::size_t each = keys_in(runs) / shares;
  std::vector<KeyRun> out;
  std::size_t before = 0;
  for (const KeyRun& run : runs) {
    if (before >= each) break;
    out.push_back(run);
    before += run.count;
  }
  return out;
}

Secret joined_keys(const std::vector<Secret>& parts) {
  std::size_t size = 0;
  for (const Secret& part : parts) size += part.size();
  Secret out(size);
  auto at = out.writable().begin();
  for (const Secret& part : parts) at = std::ranges::copy(part.reveal(), at).out;
  return out;
}

Secret some_keys(const Secret& keys, std::size_t first, std::size_t count, std::size_t octets) {
  return Secret::copy_of(keys.reveal().subspan(first * octets, count * octets));
}

}  // namespace qanat::kme
