// `qanat points`.
#include <fmt/format.h>

#include <set>

#include "commands.hpp"
#include "points/points.hpp"

namespace qanat::app {
namespace {

/// What a point's traffic is: its endpoints, or for an Ia row the endpoints whose connections it authenticates.
std::vector<std::string> endpoints_of(const points::Point& point) {
  std::vector<std::string> out;
  for (const points::EndpointRow& row : points::all_endpoints()) {
    if (row.point == point.id || row.identity == point.id) out.push_back(std::string(row.method) + " " + std::string(row.path));
  }
  if (point.id == "Ax-1") out.emplace_back("SIP, Ax and SRTP over UDP");
  if (point.id == "Ax-3") out.emplace_back("envelope files, however they are carried");
  return out;
}

wire::Json list_of(const std::vector<std::string>& texts) {
  wire::Json out = wire::Json::array();
  for (const std::string& text : texts) out.push(text);
  return out;
}

std::vector<std::string> tests_of(std::string_view point) {
  std::vector<std::string> out;
  for (const points::Evidence& evidence : points::all_evidence()) {
    if (evidence.point != point) continue;
    out.push_back(std::string(evidence.test) + (evidence.kms_store == points::KmsStore::postgresql ? ", KMSs on PostgreSQL" : "") +
                  (evidence.skippable ? ", where the machine allows it: skipped elsewhere" : ""));
  }
  return out;
}

/// The databases of the KMSs with which the point is proved.
std::vector<std::string> databases_of(std::string_view point) {
  std::vector<std::string> out;
  for (const points::KmsStore store : points::all_kms_stores) {
    if (points::working(point, store)) out.emplace_back(points::name(store));
  }
  return out;
}

}  // namespace

int points_list(PointRows rows, Output output) {
  wire::Json all = wire::Json::array();
  std::size_t working = 0;
  std::size_t shown = 0;
  for (const points::Point& point : points::all_points()) {
    if (point.extension && rows == PointRows::paper) continue;
    ++shown;
    const bool works = points::working(point.id);
    if (works) ++working;
    const std::vector<std::string> endpoints = endpoints_of(point);
    const std::vector<std::string> tests = tests_of(point.id);
    if (output == Output::json) {
      all.push(wire::Json::object({{"id", point.id},
                                   {"between", point.between},
                                   {"endpoints", list_of(endpoints)},
                                   {"working", works},
                                   {"kms_databases", list_of(databases_of(point.id))},
                                   {"tests", list_of(tests)}}));
      continue;
    }
    fmt::print("  {:<6} {:<38} {:<8} {}\n", point.id, point.between, works ? "working" : "-", point.carries);
    for (const std::string& endpoint : endpoints) fmt::print("         {}\n", endpoint);
    for (const std::string& test : tests) fmt::print("         proved by {}\n", test);
  }
  if (output == Output::json) {
    fmt::print("{}\n", all.pretty());
  } else {
    fmt::print("\n  {} of {} points working: a test drives them over the wire, accepted and refused\n", working, shown);
  }
  return 0;
}

}  // namespace qanat::app
