// Every table that the KMS guards: a row that is edited, exchanged, taken out or put back to what it was is refused at the next start, with the table's name.
#include "kp_fixture.hpp"

namespace qanat::kms {
namespace {

/// How a table's test makes two rows of it, changes the first, and tells them apart.
struct TableCase {
  std::string_view table;
  std::string_view columns;  // of the INSERT, the one that tells apart first
  std::string_view one;      // values of the two rows
  std::string_view two;
  std::string_view change;  // what follows "UPDATE <table> SET "; the first row is named by the test
};
void PrintTo(const TableCase& one, std::ostream* out) { *out << one.table; }

constexpr std::array table_cases{
    TableCase{"csa_key", "key_id, label, algorithm, purpose, owner, origin, state, current_version, minimum_version, created_ms",
              "x'01', 'a', 'SM2', 'signature', 'o', 'made', 'enabled', 1, 1, 1", "x'02', 'b', 'SM2', 'signature', 'o', 'made', 'disabled', 1, 1, 1",
              "state = 'destroyed'"},
    TableCase{"csa_version", "key_id, version, public_key, created_ms, seals_reserved", "x'01', 1, x'0a', 1, 0", "x'02', 1, x'0b', 1, 0",
              "seals_reserved = 4096"},
    TableCase{"csa_grant", "caller, key_id, operations, not_before_ms, not_after_ms, per_minute, total, used", "'a', x'01', 'sign', 0, 0, 0, 5, 4",
              "'b', x'01', 'sign', 0, 0, 0, 5, 1", "used = 5"},
    TableCase{"csa_export_target", "public_key, key_id, algorithm", "x'01', x'01', 'a'", "x'02', x'01', 'b'", "algorithm = 'c'"},
    TableCase{"csa_challenge", "challenge, key_id, verifier, context, expires_ms", "x'01', x'01', 'v', '', 1", "x'02', x'01', 'w', '', 2", "expires_ms = 9"},
    TableCase{"key_chunk", "batch_id, stock, own, seq, size, expires_ms, about, gone, sealed", "x'01', 's', 1, 0, 1, 9, '', x'00', x'aa'",
              "x'02', 's', 0, 0, 1, 9, '', x'00', x'bb'", "gone = x'01'"},
    TableCase{"key_run", "first, batch_id, count, stock, state, holder, until_ms, changed_ms", "1, x'01', 1, 's', 'reserved', 'h', 0, 1",
              "2, x'01', 1, 's', 'destroyed', 'h', 0, 1", "state = 'destroyed'"},
    TableCase{"key_burnt", "batch_id, stock, gone, changed_ms", "x'01', 's', x'01', 1", "x'02', 's', x'02', 1", "gone = x'00'"},
    TableCase{"sae_key", "first, batch_id, stride, count, octets, master, slaves, gone, sealed, until_ms", "1, x'01', 1, 1, 32, 'm', 's', x'00', x'aa', 9",
              "2, x'01', 1, 1, 32, 'm', 't', x'00', x'bb', 9", "gone = x'01'"},
    TableCase{"sae_activation", "id, at_ms", "x'01', 1", "x'02', 2", "at_ms = 3"},
    TableCase{"sae_received", "key_id, initiator, targets, voided, at_ms", "x'01', 'i', 't', 0, 1", "x'02', 'j', 't', 1, 1", "voided = 1"},
    TableCase{"sae_spent", "sae, day, keys", "'a', 1, 3", "'b', 1, 1", "keys = 4"},
    TableCase{"charge", "charge, medium, state, authentication_keys, call_keys, distribution_keys, made_by, made_ms, decided_by",
              "x'01', x'01', 'waiting', 1, 1, 1, 'op', 1, ''", "x'02', x'01', 'rejected', 2, 2, 2, 'op', 1, 'other'", "state = 'given'"},
    TableCase{"charging_record", "sid_wk, leg, sid_call, uid, number, peer_uid, peer_number, peer_kms, traffic, assurance, n_paths, delivered_ms, expires_ms",
              "x'01', 1, x'00', 'alice', '+1', 'bob', '+2', 'kms-b', 'voice', 3, 1, 5, 6",
              "x'02', 1, x'00', 'carol', '+3', 'bob', '+2', 'kms-b', 'voice', 3, 1, 5, 6", "confirmed_ms = 7"},
    TableCase{"charging_day", "day, records, digest", "1, 5, x'01'", "2, 6, x'02'", "records = 4"},
    TableCase{"owed_record", "place, id, action, subject, object, reason, made_ms", "1, x'01', 'kim.revoked', 'a', 'b', 'c', 1",
              "2, x'01', 'kp.purged', 'a', 'b', 'd', 1", "reason = 'none'"},
    TableCase{"history_segment", "number, life, front_end, began_ms, grown_ms, previous, records, octets, digest, keys, until_ms",
              "1, 0, '', 1, 1, x'00', 5, 60, x'01', 5, 9", "2, 0, '', 2, 2, x'01', 6, 70, x'02', 11, 10", "until_ms = 0"},
    TableCase{"charging_altered",
              "sid_wk, leg, sid_call, uid, number, peer_uid, peer_number, peer_kms, traffic, assurance, n_paths, delivered_ms, expires_ms, why",
              "x'01', 1, x'00', 'alice', '+1', 'bob', '+2', 'kms-b', 'voice', 3, 1, 5, 6, 'w'",
              "x'02', 1, x'00', 'carol', '+3', 'bob', '+2', 'kms-b', 'voice', 3, 1, 5, 6, 'w'", "n_paths = 7"},
    TableCase{"charging_check", "id, day, place, digest", "1, 5, 7, x'01'", "", "place = 9"},
    TableCase{"pool_key_end", "generation, library, made_ms, ended_ms, commitment", "1, 'in_use', 1, 2, x'01'", "2, 'in_use', 2, 3, x'02'", "commitment = x'03'"},
    TableCase{"directory", "id, head, taken_ms", "1, x'01', 5", "", "head = x'02'"},
    TableCase{"call_group", "group_id, owner_uid, owner, owner_kms, begun, epoch, nonce, roster, changed_ms",
              "x'01', 'alice', '+1', 'kms-a', 2, 2, x'00', '+1 kms-a', 5", "x'02', 'carol', '+3', 'kms-a', 1, 1, x'00', '+3 kms-a', 5", "epoch = 1"},
};

class GuardedTablesTest : public KpFixture, public testing::WithParamInterface<TableCase> {
 protected:
  using Cell = std::variant<std::monostate, std::int64_t, std::string, Bytes>;
  /// A table as it stands, row_mac and all.
  struct Image {
    std::vector<std::string> columns;
    std::vector<std::vector<Cell>> rows;
  };

  /// What another program does with the file while the KMS is down.
  template <class Work>
  auto outside(Work&& work) {
    const auto raw = must(store::Store::open(state() / "kms.db", migrations));
    return must(raw->transact(std::forward<Work>(work)));
  }
  static Result<Image> image_of(store::Transaction& transaction, const std::string& table) {
    Image out;
    TRY(transaction.query("SELECT * FROM " + table, {}, [&](const store::Row& row) {
      out.columns.clear();
      std::vector<Cell> cells;
      for (int i = 0; i < row.columns(); ++i) {
        out.columns.push_back(row.name(i));
        switch (row.type(i)) {
          case store::ColumnType::null:
            cells.emplace_back();
            break;
          case store::ColumnType::integer:
            cells.emplace_back(row.integer(i));
            break;
          case store::ColumnType::text:
            cells.emplace_back(row.text(i));
            break;
          case store::ColumnType::blob:
            cells.emplace_back(row.blob(i));
            break;
        }
      }
      out.rows.push_back(std::move(cells));
    }));
    return out;
  }
  static store::Value value_of(const Cell& cell) {
    if (const auto* number = std::get_if<std::int64_t>(&cell)) return *number;
    if (const auto* text = std::get_if<std::string>(&cell)) return std::string_view(*text);
    if (const auto* octets = std::get_if<Bytes>(&cell)) return ByteView(*octets);
    return std::monostate();
  }
  static Result<std::int64_t> put_back(store::Transaction& transaction, const std::string& table, const Image& image) {
    TRY(transaction.run("DELETE FROM " + table, {}));
    std::string names;
    std::string places;
    for (const std::string& column : image.columns) {
      names += (names.empty() ? "" : ", ") + column;
      places += places.empty() ? "?" : ", ?";
    }
    for (const std::vector<Cell>& cells : image.rows) {
      std::vector<store::Value> values;
      values.reserve(cells.size());
      for (const Cell& cell : cells) values.push_back(value_of(cell));
      TRY(transaction.run("INSERT INTO " + table + " (" + names + ") VALUES (" + places + ")", std::span<const store::Value>(values)));
    }
    return std::ssize(image.rows);
  }
  /// The image with the content of its two rows exchanged, each under the other's key.
  static Image exchanged(Image image, std::span<const std::string> key) {
    for (std::size_t i = 0; i < image.columns.size(); ++i) {
      if (std::ranges::find(key, image.columns[i]) == key.end()) std::swap(image.rows[0][i], image.rows[1][i]);
    }
    return image;
  }
  std::string refused() {
    const auto opened = open_database(*node_);
    EXPECT_EQ(test::refusal(opened), ErrorCode::denied);
    return opened ? "" : opened.error().message;
  }
};
INSTANTIATE_TEST_SUITE_P(Tables, GuardedTablesTest, testing::ValuesIn(table_cases),
                         [](const testing::TestParamInfo<TableCase>& info) { return std::string(info.param.table); });

TEST_P(GuardedTablesTest, IsRefusedWhenItIsNotAsItWasLeft) {
  const std::string table(GetParam().table);
  const std::string insert = "INSERT INTO " + table + " (" + std::string(GetParam().columns) + ") VALUES (";
  const std::string first =
      std::string(GetParam().columns.substr(0, GetParam().columns.find(','))) + " = " + std::string(GetParam().one.substr(0, GetParam().one.find(',')));
  const std::string change = "UPDATE " + table + " SET " + std::string(GetParam().change) + " WHERE " + first;
  must(run(insert + std::string(GetParam().one) + ")"));
  const std::int64_t rows = GetParam().two.empty() ? 1 : 2;
  if (rows == 2) must(run(insert + std::string(GetParam().two) + ")"));
  close();
  forget_database();
  const auto sound = outside([&](store::Transaction& transaction) { return image_of(transaction, table); });
  ASSERT_EQ(std::ssize(sound.rows), rows);

  outside([&](store::Transaction& transaction) { return transaction.run(change, {}); });
  EXPECT_TRUE(refused().contains("kms: " + table + " ")) << "edited";

  if (rows == 2) {
    const auto* const guarded = std::ranges::find(guarded_tables, GetParam().table, &store::GuardedTable::name);
    ASSERT_NE(guarded, guarded_tables.end());
    std::vector<std::string> key(guarded->key.begin(), guarded->key.end());
    outside([&](store::Transaction& transaction) { return put_back(transaction, table, exchanged(sound, key)); });
    EXPECT_TRUE(refused().contains("kms: " + table + " ")) << "exchanged";
  }

  outside([&](store::Transaction& transaction) -> Result<std::int64_t> {
    TRY(put_back(transaction, table, sound));
    return transaction.run("DELETE FROM " + table + " WHERE " + first, {});
  });
  EXPECT_TRUE(refused().contains("table " + table + ": has " + std::to_string(rows - 1) + " rows, this program left " + std::to_string(rows))) << "taken out";

  outside([&](store::Transaction& transaction) { return put_back(transaction, table, sound); });
  take(must(open_database(*node_)));  // as it was left: nothing else was wrong
  EXPECT_EQ(must(run(change)), 1);
  close();
  forget_database();
  outside([&](store::Transaction& transaction) { return put_back(transaction, table, sound); });
  EXPECT_TRUE(refused().contains("table " + table + ": rows were put back")) << "rolled back";
}

}  // namespace
}  // namespace qanat::kms
