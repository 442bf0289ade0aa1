#include "services/cas/ceis/registrations.hpp"

#include <algorithm>

#include "wire/json.hpp"

namespace qanat::cas {
namespace {

constexpr std::string_view registration_columns =
    "reference, subject, profile, common_name, dns, approval, reusable, ra_vouches, lifetime_s, not_after_ms, made_by, made_ms, closed_ms, short_lived";

Bytes secret_context(std::string_view reference) { return store::column_context("registration.sealed_secret", as_bytes(reference)); }

std::string name_list(const std::vector<std::string>& names) {
  wire::Json out = wire::Json::array();
  for (const std::string& one : names) out.push(one);
  return out.dump();
}

Result<std::vector<std::string>> read_name_list(const std::string& text) {
  ASSIGN_OR_RETURN(const wire::Json list, wire::Json::parse(std::string_view(text)));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> elements, list.as_array());
  std::vector<std::string> out;
  for (const wire::Json& element : elements) {
    ASSIGN_OR_RETURN(std::string one, element.as_text());
    out.push_back(std::move(one));
  }
  return out;
}

struct RegistrationRow {
  Registration registration;
  std::string profile;
  std::string dns;
};

RegistrationRow registration_row(const store::Row& row) {
  return {.registration = {.reference = row.text(0),
                           .subject = Uid(row.text(1)),
                           .profile = nullptr,
                           .common_name = row.text(3),
                           .dns = {},
                           .approval = row.text(5) == "four_eyes" ? Approval::four_eyes : Approval::automatic,
                           .lifetime = std::chrono::seconds(row.integer(8)),
                           .not_after_ms = static_cast<UnixMs>(row.integer(9)),
                           .made_by = row.text(10),
                           .made_ms = static_cast<UnixMs>(row.integer(11)),
                           .closed = !row.is_null(12),
                           .reusable = row.integer(6) == 1,
                           .ra_vouches = row.integer(7) == 1,
                           .short_lived = row.integer(13) == 1},
          .profile = row.text(2),
          .dns = row.text(4)};
}

Result<Registration> whole(RegistrationRow row) {
  Registration out = std::move(row.registration);
  out.profile = find_profile(row.profile);
  if (out.profile == nullptr)
    return fail(ErrorCode::internal, "cas.db: registration " + out.reference + " is of profile '" + row.profile + "', which this program has not");
  ASSIGN_OR_RETURN(out.dns, read_name_list(row.dns));
  return out;
}

std::unexpected<Error> no_registration(std::string_view reference) {
  return fail(ErrorCode::not_found, "there is no registration '" + std::string(reference.substr(0, 64)) + "'");
}

}  // namespace

Result<void> Registrations::create(const Registration& registration, const Secret& secret) {
  const std::string dns = name_list(registration.dns);
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(secret_context(registration.reference), secret));
    TRY(transaction.run(
        "INSERT INTO registration (reference, subject, profile, common_name, dns, approval, reusable, ra_vouches, lifetime_s, not_after_ms, "
        "sealed_secret, made_by, made_ms, short_lived) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        {std::string_view(registration.reference), std::string_view(registration.subject.text()), registration.profile->name,
         std::string_view(registration.common_name), std::string_view(dns),
         std::string_view(registration.approval == Approval::four_eyes ? "four_eyes" : "automatic"), std::int64_t{registration.reusable ? 1 : 0},
         std::int64_t{registration.ra_vouches ? 1 : 0}, static_cast<std::int64_t>(registration.lifetime.count()), store::column(registration.not_after_ms),
         ByteView(sealed), std::string_view(registration.made_by), store::column(registration.made_ms), std::int64_t{registration.short_lived ? 1 : 0}}));
    return {};
  });
}

Result<Registration> Registrations::find(std::string_view reference) {
  static const std::string sql = "SELECT " + std::string(registration_columns) + " FROM registration WHERE reference = ?";
  std::optional<RegistrationRow> found;
  TRY(store_.transact(
      [&](store::Transaction& transaction) { return transaction.query(sql, {reference}, [&](const store::Row& row) { found = registration_row(row); }); }));
  if (!found) return no_registration(reference);
  return whole(*std::move(found));
}

Result<Secret> Registrations::secret(std::string_view reference) {
  Bytes sealed;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT sealed_secret FROM registration WHERE reference = ?", {reference}, [&](const store::Row& row) { sealed = row.blob(0); });
  }));
  if (sealed.empty()) return no_registration(reference);
  return device_.unseal(secret_context(reference), sealed);
}

Result<void> Registrations::close(std::string_view reference, std::string_view by, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    bool known = false;
    TRY(transaction.query("SELECT 1 FROM registration WHERE reference = ?", {reference}, [&](const store::Row&) { known = true; }));
    if (!known) return no_registration(reference);
    TRY(transaction.run("UPDATE registration SET closed_by = ?, closed_ms = ? WHERE reference = ? AND closed_ms IS NULL", {by, store::column(now), reference}));
    // What was meant to be issued and never was must not be completed any more.
    TRY(transaction.run("UPDATE certificate SET state = 'abandoned' WHERE registration = ? AND state = 'intended'", {reference}));
    return {};
  });
}

Result<std::vector<Registration>> Registrations::list(std::string_view after, std::int64_t limit) {
  static const std::string sql = "SELECT " + std::string(registration_columns) + " FROM registration WHERE reference > ? ORDER BY reference LIMIT ?";
  std::vector<RegistrationRow> rows;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query(sql, {after, limit}, [&](const store::Row& row) { rows.push_back(registration_row(row)); });
  }));
  std::vector<Registration> out;
  for (RegistrationRow& row : rows) {
    ASSIGN_OR_RETURN(Registration one, whole(std::move(row)));
    out.push_back(std::move(one));
  }
  return out;
}

// ---- orders ----

namespace {

constexpr std::string_view order_columns = "ticket, reference, request_hash, protocol, public_key, common_name, dns, possession, renews, state, why, made_ms";

struct OrderRow {
  HeldOrder order;
  std::string dns;
};

Protocol protocol_named(std::string_view text) {
  for (const Protocol one : {Protocol::est, Protocol::acme, Protocol::cmp, Protocol::scep, Protocol::by_hand}) {
    if (name(one) == text) return one;
  }
  return {};
}

OrderState state_named(std::string_view text) {
  for (const OrderState one : {OrderState::approved, OrderState::rejected}) {
    if (name(one) == text) return one;
  }
  return OrderState::waiting;
}

OrderRow order_row(const store::Row& row) {
  return {.order = {.ticket = row.text(0),
                    .reference = row.text(1),
                    .request_hash = row.blob(2),
                    .protocol = protocol_named(row.text(3)),
                    .public_key = row.blob(4),
                    .names = {.common_name = row.text(5)},
                    .possession = row.text(7) == "vouched" ? Possession::vouched : Possession::proved,
                    .renews = row.blob(8),
                    .state = state_named(row.text(9)),
                    .why = row.text(10),
                    .made_ms = static_cast<UnixMs>(row.integer(11)),
                    .approved_by = {}},
          .dns = row.text(6)};
}

Result<std::optional<HeldOrder>> read_order(store::Transaction& transaction, std::string_view where, store::Value value) {
  const std::string sql = "SELECT " + std::string(order_columns) + " FROM enrolment_order WHERE " + std::string(where) + " = ?";
  std::optional<OrderRow> found;
  TRY(transaction.query(sql, {value}, [&](const store::Row& row) { found = order_row(row); }));
  if (!found) return std::optional<HeldOrder>();
  HeldOrder out = std::move(found->order);
  ASSIGN_OR_RETURN(out.names.dns, read_name_list(found->dns));
  TRY(transaction.query("SELECT operator FROM approval WHERE ticket = ? ORDER BY at_ms, operator", {std::string_view(out.ticket)},
                        [&](const store::Row& row) { out.approved_by.push_back(row.text(0)); }));
  return std::optional(std::move(out));
}

Result<HeldOrder> read_ticket(store::Transaction& transaction, std::string_view ticket) {
  ASSIGN_OR_RETURN(std::optional<HeldOrder> found, read_order(transaction, "ticket", ticket));
  if (!found) return fail(ErrorCode::not_found, "there is no order '" + std::string(ticket.substr(0, 64)) + "'");
  return *std::move(found);
}

Result<HeldOrder> turn_down(store::Transaction& transaction, std::string_view ticket, std::string_view why, UnixMs now) {
  TRY(transaction.run("UPDATE enrolment_order SET state = 'rejected', why = ?, decided_ms = ? WHERE ticket = ?", {why, store::column(now), ticket}));
  return read_ticket(transaction, ticket);
}

}  // namespace

std::string_view name(OrderState state) noexcept {
  switch (state) {
    case OrderState::waiting:
      return "waiting";
    case OrderState::approved:
      return "approved";
    case OrderState::rejected:
      return "rejected";
  }
  return {};
}

Result<HeldOrder> HeldOrders::enter(const HeldOrder& order, UnixMs now) {
  const std::string dns = name_list(order.names.dns);
  return store_.transact([&](store::Transaction& transaction) -> Result<HeldOrder> {
    ASSIGN_OR_RETURN(std::optional<HeldOrder> known, read_order(transaction, "request_hash", ByteView(order.request_hash)));
    if (known) return *std::move(known);
    std::int64_t waiting = 0;
    TRY(transaction.query("SELECT count(*) FROM enrolment_order WHERE reference = ? AND state = 'waiting'", {std::string_view(order.reference)},
                          [&](const store::Row& row) { waiting = row.integer(0); }));
    if (waiting >= waiting_orders_max) return fail(ErrorCode::exhausted, std::to_string(waiting) + " orders of this registration wait for approval already");
    TRY(
        transaction.run("INSERT INTO enrolment_order (ticket, reference, request_hash, protocol, public_key, common_name, dns, possession, renews, state, why, "
                        "made_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', '', ?)",
                        {std::string_view(order.ticket), std::string_view(order.reference), ByteView(order.request_hash), name(order.protocol),
                         ByteView(order.public_key), std::string_view(order.names.common_name), std::string_view(dns),
                         std::string_view(order.possession == Possession::vouched ? "vouched" : "proved"), ByteView(order.renews), store::column(now)}));
    return read_ticket(transaction, order.ticket);
  });
}

Result<HeldOrder> HeldOrders::find(std::string_view ticket) {
  return store_.transact([&](store::Transaction& transaction) { return read_ticket(transaction, ticket); });
}

Result<std::optional<HeldOrder>> HeldOrders::of_request(ByteView request_hash) {
  return store_.transact([&](store::Transaction& transaction) { return read_order(transaction, "request_hash", request_hash); });
}

Result<std::vector<HeldOrder>> HeldOrders::list(std::optional<OrderState> state, std::int64_t limit) {
  const std::string_view wanted = state ? name(*state) : std::string_view();
  return store_.transact([&](store::Transaction& transaction) -> Result<std::vector<HeldOrder>> {
    std::vector<std::string> tickets;
    TRY(transaction.query("SELECT ticket FROM enrolment_order WHERE ?1 = '' OR state = ?1 ORDER BY made_ms DESC, ticket LIMIT ?2", {wanted, limit},
                          [&](const store::Row& row) { tickets.push_back(row.text(0)); }));
    std::vector<HeldOrder> out;
    for (const std::string& ticket : tickets) {
      ASSIGN_OR_RETURN(HeldOrder one, read_ticket(transaction, ticket));
      out.push_back(std::move(one));
    }
    return out;
  });
}

Result<HeldOrder> HeldOrders::approve(std::string_view ticket, std::string_view by, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<HeldOrder> {
    ASSIGN_OR_RETURN(const HeldOrder order, read_ticket(transaction, ticket));
    std::string maker;
    TRY(transaction.query("SELECT made_by FROM registration WHERE reference = ?", {std::string_view(order.reference)},
                          [&](const store::Row& row) { maker = row.text(0); }));
    if (maker == by) return fail(ErrorCode::denied, std::string(by) + " made registration " + order.reference + ": two others approve its orders");
    if (order.state == OrderState::rejected) return fail(ErrorCode::conflict, "order " + order.ticket + " was rejected: " + order.why);
    if (order.state == OrderState::approved) return order;
    if (std::ranges::find(order.approved_by, by) != order.approved_by.end()) {
      return fail(ErrorCode::conflict, std::string(by) + " has approved order " + order.ticket + " already: another operator is wanted");
    }
    TRY(transaction.run("INSERT INTO approval (ticket, operator, at_ms) VALUES (?, ?, ?)", {ticket, by, store::column(now)}));
    if (order.approved_by.size() + 1 >= approvals_wanted) {
      TRY(transaction.run("UPDATE enrolment_order SET state = 'approved', decided_ms = ? WHERE ticket = ?", {store::column(now), ticket}));
    }
    return read_ticket(transaction, ticket);
  });
}

Result<HeldOrder> HeldOrders::reject(std::string_view ticket, std::string_view why, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<HeldOrder> {
    ASSIGN_OR_RETURN(const HeldOrder order, read_ticket(transaction, ticket));
    if (order.state == OrderState::rejected) return order;
    if (order.state == OrderState::approved) {
      return fail(ErrorCode::conflict, "order " + order.ticket + " was approved: what is issued can be revoked (qanat ca revoke-certificate)");
    }
    return turn_down(transaction, ticket, why, now);
  });
}

Result<std::vector<HeldOrder>> HeldOrders::reject_older(UnixMs made_until, std::string_view why, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<std::vector<HeldOrder>> {
    std::vector<std::string> tickets;
    TRY(transaction.query("SELECT ticket FROM enrolment_order WHERE state = 'waiting' AND made_ms <= ? ORDER BY made_ms, ticket", {store::column(made_until)},
                          [&](const store::Row& row) { tickets.push_back(row.text(0)); }));
    std::vector<HeldOrder> out;
    for (const std::string& ticket : tickets) {
      ASSIGN_OR_RETURN(HeldOrder one, turn_down(transaction, ticket, why, now));
      out.push_back(std::move(one));
    }
    return out;
  });
}

}  // namespace qanat::cas
