#include "quantum/qkdnc/records.hpp"

#include "wire/json.hpp"

namespace qanat::qkdnc {
namespace {

constexpr std::array migrations{
    store::Migration{1, R"sql(
      CREATE TABLE leadership (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        term INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE known_qkm (
        qkm TEXT PRIMARY KEY,
        links TEXT NOT NULL
      ) STRICT)sql"},
};

std::string shape_of(std::span<const ReportedLink> links) {
  wire::Json out = wire::Json::array();
  for (const ReportedLink& link : links) out.push(wire::Json::object({{"link", link.link}, {"peer", link.peer.text()}}));
  return out.dump();
}

Result<std::vector<ReportedLink>> links_of(const std::string& shape) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(shape));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, json.as_array());
  std::vector<ReportedLink> out;
  for (const wire::Json& entry : list) {
    ReportedLink link;
    ASSIGN_OR_RETURN(link.link, entry.text("link"));
    ASSIGN_OR_RETURN(std::string peer, entry.text("peer"));
    link.peer = ElementName(std::move(peer));
    out.push_back(std::move(link));
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<Records>> Records::open(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(auto store, store::Store::open(file, migrations));
  return std::unique_ptr<Records>(new Records(std::move(store)));
}

Result<std::uint64_t> Records::term() {
  std::int64_t out = 0;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT term FROM leadership WHERE id = 1", {}, [&](const store::Row& row) { out = row.integer(0); });
  }));
  return static_cast<std::uint64_t>(out);
}

Result<void> Records::store_term(std::uint64_t term) {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO leadership (id, term) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET term = excluded.term", {static_cast<std::int64_t>(term)}));
    return {};
  });
}

Result<std::vector<Records::Known>> Records::known() {
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT qkm, links FROM known_qkm", {}, [&](const store::Row& row) { shapes_[ElementName(row.text(0))] = row.text(1); });
  }));
  std::vector<Known> out;
  for (const auto& [qkm, shape] : shapes_) {
    ASSIGN_OR_RETURN(std::vector<ReportedLink> links, links_of(shape));
    out.push_back({.qkm = qkm, .links = std::move(links)});
  }
  return out;
}

Result<void> Records::store_shape(const ElementName& qkm, std::span<const ReportedLink> links) {
  std::string shape = shape_of(links);
  const auto stored = shapes_.find(qkm);
  if (stored != shapes_.end() && stored->second == shape) return {};
  TRY(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO known_qkm (qkm, links) VALUES (?, ?) ON CONFLICT (qkm) DO UPDATE SET links = excluded.links",
                        {std::string_view(qkm.text()), std::string_view(shape)}));
    return {};
  }));
  shapes_.insert_or_assign(qkm, std::move(shape));
  return {};
}

}  // namespace qanat::qkdnc
