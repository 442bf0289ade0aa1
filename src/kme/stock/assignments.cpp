#include "kme/stock/assignments.hpp"

#include <algorithm>

#include "kme/glob.hpp"
#include "kme/stock/names.hpp"
#include "wire/writer.hpp"

namespace qanat::kme {
namespace {

bool is_set(ByteView bits, std::size_t at) { return ((bits[at / 8] >> (at % 8)) & 1U) != 0; }
void set(Bytes& bits, std::size_t at) { bits[at / 8] = static_cast<std::uint8_t>(bits[at / 8] | (1U << (at % 8))); }

/// Of the columns batch_id, first, stride, count.
IdRun ids_of(const store::Row& row) {
  return {.batch = BatchId(row.blob(0)),
          .first = static_cast<std::uint32_t>(row.integer(1)),
          .stride = static_cast<std::uint32_t>(row.integer(2)),
          .count = static_cast<std::uint32_t>(row.integer(3))};
}

}  // namespace

Bytes assignment_context(const IdRun& ids) { return store::column_context("sae_key.sealed", ids.id(0).view()); }

std::vector<IdRun> id_runs(std::span<const KeyRun> runs, std::uint32_t stride) {
  std::vector<IdRun> out;
  std::size_t position = 0;  // of the stock key, counted over all runs
  for (const KeyRun& run : runs) {
    for (std::uint32_t i = 0; i < run.count; ++i, ++position) {
      if (position % stride != 0) continue;
      const std::uint32_t index = run.first + i;
      const bool follows = !out.empty() && out.back().batch == run.batch && out.back().first + out.back().count * stride == index &&
                           out.back().count < assignment_keys_max;
      if (follows) {
        ++out.back().count;
      } else {
        out.push_back({.batch = run.batch, .first = index, .stride = stride, .count = 1});
      }
    }
  }
  return out;
}

Result<void> Assignments::add(store::Transaction& transaction, const Assignment& assignment) {
  const IdRun& ids = assignment.ids;
  if (ids.count == 0 || ids.count > assignment_keys_max || assignment.slaves.empty() || assignment.slaves.size() > assignment_slaves_max ||
      assignment.keys.size() != std::size_t{ids.count} * assignment.octets) {
    return fail(ErrorCode::invalid_argument, "assignment: keys, ids and slaves do not fit together");
  }
  ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(assignment_context(ids), assignment.keys));
  const Bytes gone((assignment.slaves.size() * ids.count + 7) / 8);
  TRY(transaction.run(
      "INSERT INTO sae_key (batch_id, first, stride, count, octets, master, slaves, gone, sealed, until_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {ids.batch.view(), std::int64_t{ids.first}, std::int64_t{ids.stride}, std::int64_t{ids.count}, std::int64_t{assignment.octets},
       std::string_view(assignment.master.text()), std::string_view(joined_names(assignment.slaves)), ByteView(gone), ByteView(sealed),
       static_cast<std::int64_t>(assignment.until_ms)}));
  return {};
}

Result<std::vector<IdRun>> Assignments::sweep(store::Transaction& transaction, std::size_t most, UnixMs now) {
  std::vector<IdRun> out;
  TRY(transaction.query("SELECT batch_id, first, stride, count FROM sae_key WHERE until_ms <= ? ORDER BY until_ms LIMIT ?",
                        {static_cast<std::int64_t>(now), static_cast<std::int64_t>(most)}, [&](const store::Row& row) {
                          out.push_back(ids_of(row));
                        }));
  for (const IdRun& ids : out) {
    TRY(transaction.run("DELETE FROM sae_key WHERE batch_id = ? AND first = ?", {ids.batch.view(), std::int64_t{ids.first}}));
  }
  return out;
}

/// A row as it is read, and as it shall be.
struct Assignments::Fetching::Open {
  IdRun ids;
  std::uint32_t octets = 0;
  SaeId master;
  std::vector<SaeId> slaves;
  Bytes gone;
  Bytes sealed;
  Secret keys;  // opened when the first key of it is handed out
  bool changed = false;

  [[nodiscard]] std::size_t bit(std::size_t slave, std::uint32_t at) const { return slave * ids.count + at; }
  [[nodiscard]] bool has_all(std::uint32_t at) const {
    for (std::size_t slave = 0; slave < slaves.size(); ++slave) {
      if (!is_set(gone, bit(slave, at))) return false;
    }
    return true;
  }
  [[nodiscard]] bool is_empty() const {
    for (std::uint32_t at = 0; at < ids.count; ++at) {
      if (!has_all(at)) return false;
    }
    return true;
  }
  [[nodiscard]] std::span<std::uint8_t> place(std::uint32_t at) { return keys.writable().subspan(std::size_t{at} * octets, octets); }
};

Assignments::Fetching::Fetching(Assignments& assignments, store::Transaction& transaction, UnixMs now)
    : assignments_(assignments), transaction_(transaction), now_(now) {}
Assignments::Fetching::~Fetching() = default;

Result<Assignments::Fetching::Open*> Assignments::Fetching::find(const KeyId& id, std::uint32_t& at) {
  const BatchId batch = batch_of(id);
  const std::uint32_t index = index_of(id);
  // Of the rows opened before: the last one that begins at or before the id.
  const auto within = [&](const IdRun& ids) {
    return ids.batch == batch && index >= ids.first && (index - ids.first) % ids.stride == 0 && (index - ids.first) / ids.stride < ids.count;
  };
  Open* found = nullptr;
  for (auto entry = open_.lower_bound({.batch = batch, .first = 0, .stride = 0, .count = 0}); entry != open_.end() && entry->first.batch == batch; ++entry) {
    if (within(entry->first)) found = entry->second.get();
  }
  if (found == nullptr) {
    auto read = std::make_unique<Open>();
    bool there = false;
    TRY(transaction_.query("SELECT first, stride, count, octets, master, slaves, gone, sealed FROM sae_key WHERE batch_id = ? AND first <= ? AND until_ms > ? "
                           "ORDER BY first DESC LIMIT 1",
                           {batch.view(), std::int64_t{index}, static_cast<std::int64_t>(now_)}, [&](const store::Row& row) {
                             there = true;
                             read->ids = {.batch = batch,
                                          .first = static_cast<std::uint32_t>(row.integer(0)),
                                          .stride = static_cast<std::uint32_t>(row.integer(1)),
                                          .count = static_cast<std::uint32_t>(row.integer(2))};
                             read->octets = static_cast<std::uint32_t>(row.integer(3));
                             read->master = SaeId(row.text(4));
                             read->slaves = split_names(row.text(5));
                             read->gone = row.blob(6);
                             read->sealed = row.blob(7);
                           }));
    if (!there || !within(read->ids)) return fail(ErrorCode::not_found, "key " + id.hex() + ": not here");
    found = read.get();
    open_.emplace(found->ids, std::move(read));
  }
  at = (index - found->ids.first) / found->ids.stride;
  if (found->keys.empty()) {
    ASSIGN_OR_RETURN(found->keys, assignments_.device_.unseal(assignment_context(found->ids), found->sealed));
  }
  return found;
}

Result<std::vector<Key>> Assignments::Fetching::fetch(const SaeId& slave, const SaeId& master, std::span<const KeyId> ids,
                                                            MasterName master_is) {
  const auto ordered = [&](const Open& row) {
    if (master_is == MasterName::pattern) return glob_matches(master.text(), row.master.text());
    return master.empty() || row.master == master;
  };
  struct Wanted {
    Open* row;
    std::uint32_t at;
    std::size_t slave;
  };
  std::vector<Wanted> wanted;
  for (const KeyId& id : ids) {
    std::uint32_t at = 0;
    ASSIGN_OR_RETURN(Open* const row, find(id, at));
    const auto named = std::ranges::find(row->slaves, slave);
    if (named == row->slaves.end()) return fail(ErrorCode::denied, "key " + id.hex() + ": " + slave.text() + " was not named for it");
    const auto which = static_cast<std::size_t>(named - row->slaves.begin());
    if (!ordered(*row)) return fail(ErrorCode::not_found, "key " + id.hex() + ": " + master.text() + " did not order it");
    if (is_set(row->gone, row->bit(which, at))) return fail(ErrorCode::not_found, "key " + id.hex() + ": " + slave.text() + " had it before");
    wanted.push_back({row, at, which});
  }
  std::vector<Key> out;
  out.reserve(ids.size());
  for (const Wanted& one : wanted) {
    out.push_back({.id = one.row->ids.id(one.at), .octets = Secret::copy_of(one.row->place(one.at))});
    set(one.row->gone, one.row->bit(one.slave, one.at));
    one.row->changed = true;
  }
  // An id that stands in `ids` twice has been handed out twice to the one who may have it; the adapters refuse such a list.
  for (const Wanted& one : wanted) {
    if (one.row->has_all(one.at)) wipe(one.row->place(one.at));
  }
  return Result<std::vector<Key>>(std::move(out));
}

Result<std::vector<KeyId>> Assignments::Fetching::discard_all(const SaeId& master) {
  std::vector<KeyId> out;
  std::vector<IdRun> rows;
  TRY(transaction_.query("SELECT batch_id, first, stride, count, slaves, gone FROM sae_key WHERE master = ? AND until_ms > ?",
                         {std::string_view(master.text()), static_cast<std::int64_t>(now_)}, [&](const store::Row& row) {
                           Open read{.ids = ids_of(row), .octets = 0, .master = master, .slaves = split_names(row.text(4)), .gone = row.blob(5), .sealed = {}, .keys = {}};
                           const auto opened = open_.find(read.ids);
                           if (opened != open_.end()) read.gone = opened->second->gone;  // also what was handed out in this transaction
                           for (std::uint32_t at = 0; at < read.ids.count; ++at) {
                             if (!read.has_all(at)) out.push_back(read.ids.id(at));
                           }
                           rows.push_back(read.ids);
                         }));
  TRY(transaction_.run("DELETE FROM sae_key WHERE master = ? AND until_ms > ?", {std::string_view(master.text()), static_cast<std::int64_t>(now_)}));
  for (const IdRun& ids : rows) open_.erase(ids);
  return out;
}

Result<std::vector<KeyId>> Assignments::Fetching::discard(const SaeId& master, std::span<const KeyId> ids) {
  if (ids.empty()) return discard_all(master);
  // All are looked at before any is changed: finish() writes what was changed, also of one that failed.
  std::vector<std::pair<Open*, std::uint32_t>> wanted;
  for (const KeyId& id : ids) {
    std::uint32_t at = 0;
    const auto row = find(id, at);
    if (!row && row.error().code == ErrorCode::not_found) continue;
    if (!row) return fail(row.error());
    if ((*row)->master == master) wanted.emplace_back(*row, at);
  }
  std::vector<KeyId> out;
  out.reserve(wanted.size());
  for (const auto& [row, at] : wanted) {
    if (row->has_all(at)) continue;
    for (std::size_t slave = 0; slave < row->slaves.size(); ++slave) set(row->gone, row->bit(slave, at));
    wipe(row->place(at));
    row->changed = true;
    out.push_back(row->ids.id(at));
  }
  return out;
}

Result<void> Assignments::Fetching::finish() {
  for (const auto& [ids, row] : open_) {
    if (!row->changed) continue;
    if (row->is_empty()) {
      TRY(transaction_.run("DELETE FROM sae_key WHERE batch_id = ? AND first = ?", {ids.batch.view(), std::int64_t{ids.first}}));
      continue;
    }
    ASSIGN_OR_RETURN(const Bytes sealed, assignments_.device_.seal(assignment_context(ids), row->keys));
    TRY(transaction_.run("UPDATE sae_key SET gone = ?, sealed = ? WHERE batch_id = ? AND first = ?",
                         {ByteView(row->gone), ByteView(sealed), ids.batch.view(), std::int64_t{ids.first}}));
  }
  return {};
}

}  // namespace qanat::kme
