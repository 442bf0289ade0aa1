// The orders of AcmeRecords; acme_records.cpp has accounts and authorisations.
#include <algorithm>
#include <array>

#include "services/cas/acme/acme_records.hpp"

namespace qanat::cas {
namespace {

constexpr UnixMs orders_counted_over = 3'600'000;

constexpr std::string_view order_columns =
    "SELECT id, account, reference, status, profile, replaces, made_ms, expires_ms, csr, request_hash, ticket, problem, serial, chain FROM acme_order ";
constexpr std::array order_states{OrderStatus::ready, OrderStatus::processing, OrderStatus::valid, OrderStatus::invalid};

OrderStatus order_status_from(const std::string& text) {
  const auto* const found = std::ranges::find(order_states, text, [](OrderStatus status) { return name(status); });
  CHECK(found != order_states.end());  // the column's own constraint
  return *found;
}

AcmeOrder order_from(const store::Row& row) {
  const auto blob = [&](int column) { return row.is_null(column) ? Bytes() : row.blob(column); };
  const auto text = [&](int column) { return row.is_null(column) ? std::string() : row.text(column); };
  return {.id = row.text(0),
          .account = row.text(1),
          .reference = row.text(2),
          .status = order_status_from(row.text(3)),
          .names = {},
          .profile = row.text(4),
          .replaces = row.text(5),
          .made = static_cast<UnixMs>(row.integer(6)),
          .expires = static_cast<UnixMs>(row.integer(7)),
          .csr = blob(8),
          .request_hash = blob(9),
          .ticket = text(10),
          .problem = text(11),
          .serial = blob(12),
          .chain = text(13)};
}

Result<std::optional<AcmeOrder>> read_order(store::Transaction& transaction, std::string_view where, store::Value value) {
  std::optional<AcmeOrder> out;
  TRY(transaction.query(std::string(order_columns) + std::string(where), {value}, [&](const store::Row& row) { out = order_from(row); }));
  if (!out) return out;
  TRY(transaction.query("SELECT name, authorization FROM acme_order_name WHERE order_id = ? ORDER BY name", {std::string_view(out->id)},
                        [&](const store::Row& row) { out->names.push_back({.dns = row.text(0), .authorization = row.text(1)}); }));
  return out;
}

Result<std::int64_t> count_of(store::Transaction& transaction, std::string_view sql, std::initializer_list<store::Value> values) {
  std::int64_t out = 0;
  TRY(transaction.query(sql, values, [&](const store::Row& row) { out = row.integer(0); }));
  return out;
}

Result<void> check_bounds(store::Transaction& transaction, const AcmeOrder& order, const AcmeBounds& bounds) {
  const UnixMs an_hour_ago = order.made > orders_counted_over ? order.made - orders_counted_over : 0;
  ASSIGN_OR_RETURN(const std::int64_t lately, count_of(transaction, "SELECT count(*) FROM acme_order WHERE account = ? AND made_ms > ?",
                                                       {std::string_view(order.account), store::column(an_hour_ago)}));
  if (std::cmp_greater_equal(lately, bounds.orders_per_hour)) {
    return fail(ErrorCode::exhausted, "the account has made " + std::to_string(lately) + " orders within an hour");
  }
  ASSIGN_OR_RETURN(const std::int64_t kept, count_of(transaction, "SELECT count(*) FROM acme_order WHERE reference = ?", {std::string_view(order.reference)}));
  if (std::cmp_greater_equal(kept, bounds.orders_per_registration)) {
    return fail(ErrorCode::exhausted,
                "registration " + order.reference + " has " + std::to_string(kept) + " orders that are kept until their certificates end");
  }
  return {};
}

}  // namespace

std::string_view name(OrderStatus status) noexcept {
  switch (status) {
    case OrderStatus::ready:
      return "ready";
    case OrderStatus::processing:
      return "processing";
    case OrderStatus::valid:
      return "valid";
    case OrderStatus::invalid:
      break;
  }
  return "invalid";
}

Result<AcmeOrder> AcmeRecords::open_order(AcmeOrder order, UnixMs authorizations_expire, const AcmeBounds& bounds) {
  order.id = draw_id();
  order.status = OrderStatus::ready;
  return store_.transact([&](store::Transaction& transaction) -> Result<AcmeOrder> {
    TRY(check_bounds(transaction, order, bounds));
    if (!order.replaces.empty()) {
      ASSIGN_OR_RETURN(const std::int64_t successors,
                       count_of(transaction, "SELECT count(*) FROM acme_order WHERE account = ? AND replaces = ? AND status IN ('processing', 'valid')",
                                {std::string_view(order.account), std::string_view(order.replaces)}));
      if (successors > 0) return fail(ErrorCode::conflict, "another order has replaced this certificate");
    }
    TRY(transaction.run("INSERT INTO acme_order (id, account, reference, status, profile, replaces, made_ms, expires_ms) VALUES (?, ?, ?, 'ready', ?, ?, ?, ?)",
                        {std::string_view(order.id), std::string_view(order.account), std::string_view(order.reference), std::string_view(order.profile),
                         std::string_view(order.replaces), store::column(order.made), store::column(order.expires)}));
    for (AcmeOrder::Name& each : order.names) {
      each.authorization.clear();
      TRY(transaction.query("SELECT id FROM acme_authorization WHERE account = ? AND name = ? AND status = 'valid' AND expires_ms > ?",
                            {std::string_view(order.account), std::string_view(each.dns), store::column(order.expires)},
                            [&](const store::Row& row) { each.authorization = row.text(0); }));
      if (each.authorization.empty()) {
        each.authorization = draw_id();
        TRY(transaction.run(
            "INSERT INTO acme_authorization (id, account, name, status, expires_ms) VALUES (?, ?, ?, 'valid', ?)",
            {std::string_view(each.authorization), std::string_view(order.account), std::string_view(each.dns), store::column(authorizations_expire)}));
      }
      TRY(transaction.run("INSERT INTO acme_order_name (order_id, name, authorization) VALUES (?, ?, ?)",
                          {std::string_view(order.id), std::string_view(each.dns), std::string_view(each.authorization)}));
    }
    return order;
  });
}

Result<std::optional<AcmeOrder>> AcmeRecords::order(std::string_view id) {
  return store_.transact([&](store::Transaction& transaction) { return read_order(transaction, "WHERE id = ?", id); });
}

Result<std::optional<AcmeOrder>> AcmeRecords::order_of_certificate(ByteView serial) {
  return store_.transact([&](store::Transaction& transaction) { return read_order(transaction, "WHERE serial = ? ORDER BY made_ms LIMIT 1", serial); });
}

Result<std::vector<Bytes>> AcmeRecords::certificates_of(std::string_view account, std::size_t most, UnixMs now) {
  std::vector<Bytes> out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT serial FROM acme_order WHERE account = ? AND status = 'valid' AND expires_ms > ? ORDER BY made_ms DESC LIMIT ?",
                             {account, store::column(now), store::column(most)}, [&](const store::Row& row) { out.push_back(row.blob(0)); });
  }));
  return out;
}

Result<std::vector<std::string>> AcmeRecords::orders_of(std::string_view account, std::string_view after, std::size_t most, UnixMs now) {
  std::vector<std::string> out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT id FROM acme_order WHERE account = ? AND id > ? AND status <> 'invalid' AND expires_ms > ? ORDER BY id LIMIT ?",
                             {account, after, store::column(now), store::column(most)}, [&](const store::Row& row) { out.push_back(row.text(0)); });
  }));
  return out;
}

Result<void> AcmeRecords::begin(std::string_view order, const Finalization& finalization, UnixMs keep_until, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    std::string account;
    TRY(transaction.query("SELECT account FROM acme_order WHERE id = ? AND status = 'ready' AND expires_ms > ?", {order, store::column(now)},
                          [&](const store::Row& row) { account = row.text(0); }));
    if (account.empty()) return fail(ErrorCode::conflict, "the order is not ready");
    ASSIGN_OR_RETURN(const std::int64_t lost,
                     count_of(transaction,
                              "SELECT count(*) FROM acme_order_name LEFT JOIN acme_authorization ON id = authorization WHERE order_id = ? AND "
                              "(id IS NULL OR status <> 'valid' OR expires_ms <= ?)",
                              {order, store::column(now)}));
    if (lost > 0) return fail(ErrorCode::conflict, "an authorization of the order does not hold any more");
    Bytes request_hash = finalization.request_hash;
    std::string ticket;
    TRY(
        transaction.query("SELECT request_hash, ticket FROM acme_order WHERE account = ? AND status = 'processing' AND asked_hash = ? AND ticket IS NOT NULL "
                          "ORDER BY made_ms DESC LIMIT 1",
                          {std::string_view(account), ByteView(finalization.asked_hash)}, [&](const store::Row& row) {
                            request_hash = row.blob(0);
                            ticket = row.text(1);
                          }));
    TRY(transaction.run("UPDATE acme_order SET status = 'processing', csr = ?, asked_hash = ?, request_hash = ?, ticket = ?, expires_ms = ? WHERE id = ?",
                        {ByteView(finalization.csr), ByteView(finalization.asked_hash), ByteView(request_hash),
                         ticket.empty() ? store::Value() : store::Value(std::string_view(ticket)), store::column(keep_until), order}));
    return {};
  });
}

Result<void> AcmeRecords::keep_ticket(std::string_view order, std::string_view ticket) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("UPDATE acme_order SET ticket = ? WHERE id = ? AND status = 'processing'", {ticket, order}));
    return {};
  });
}

Result<void> AcmeRecords::complete(std::string_view order, ByteView serial, std::string_view chain, UnixMs certificate_ends) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("UPDATE acme_order SET status = 'valid', serial = ?, chain = ?, expires_ms = ? WHERE id = ? AND status = 'processing'",
                        {serial, chain, store::column(certificate_ends), order}));
    return {};
  });
}

Result<void> AcmeRecords::give_up(std::string_view order, std::string_view problem, UnixMs keep_until) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("UPDATE acme_order SET status = 'invalid', problem = ?, expires_ms = ? WHERE id = ? AND status = 'processing'",
                        {problem, store::column(keep_until), order}));
    return {};
  });
}

Result<void> AcmeRecords::reopen(std::string_view order, UnixMs expires) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(
        transaction.run("UPDATE acme_order SET status = 'ready', csr = NULL, asked_hash = NULL, request_hash = NULL, ticket = NULL, expires_ms = ? WHERE id = "
                        "? AND status = 'processing'",
                        {store::column(expires), order}));
    return {};
  });
}

}  // namespace qanat::cas
