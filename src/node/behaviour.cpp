#include "node/behaviour.hpp"

#include <algorithm>
#include <array>

#include "base/utf8.hpp"
#include "node/subscriber.hpp"

namespace qanat::node {
namespace {

using Row = BehaviourRow;
using Outcomes = Row::Outcomes;
using Part = Row::Part;
using points::Endpoint;

constexpr KindSet told_by_kms{Kind::kms};
constexpr KindSet told_by_cmsp{Kind::cmsp};
constexpr KindSet told_by_cas{Kind::cas};
constexpr KindSet told_by_qkm{Kind::qkm};
constexpr KindSet told_by_qkdnc{Kind::qkdnc};
constexpr KindSet told_by_qkd{Kind::qkd};

constexpr KindSet told_by_all = apps | qkdn | KindSet{Kind::kms, Kind::cmsp, Kind::cas, Kind::ccs};

constexpr std::array rows{
    // reporters, recorded, told, action, well, about, object, telling
    Row{told_by_kms, "km-1.delivered", Outcomes::successes, "application", "delivered", Part::subject, Part::object, Telling::each},
    Row{told_by_kms, "km-1.application", Outcomes::refusals, "application", "", Part::subject, Part::object, Telling::each},
    Row{told_by_kms, "km-1.application_v1", Outcomes::refusals, "application", "", Part::subject, Part::object, Telling::each},
    Row{told_by_kms, "km-1.destroyed", Outcomes::refusals, "acknowledgement", "", Part::subject, Part::object, Telling::each},
    // Who fails to enrol has not shown who it is.
    Row{told_by_kms, "km-1.enrol", Outcomes::successes, "enrolment", "success", Part::subject, Part::object, Telling::each},
    Row{told_by_kms, "km-1.enrol", Outcomes::refusals, "enrolment", "", Part::self, Part::subject, Telling::together},

    Row{told_by_cmsp, "ma-2.locate", Outcomes::all, "session", "opened", Part::word_2, Part::word_1, Telling::each},
    Row{told_by_cmsp, "ma-2.register", Outcomes::all, "registration", "success", Part::word_2, Part::word_1, Telling::each},
    Row{told_by_cmsp, "x-5.account", Outcomes::all, "account", "success", Part::subject, Part::object, Telling::each},

    Row{told_by_cas, "ce-1.enrol", Outcomes::successes, "certificate", "issued", Part::subject, Part::object, Telling::each},
    Row{told_by_cas, "ce-1.enrol", Outcomes::refusals, "certificate", "", Part::self, Part::object, Telling::together},
    Row{told_by_cas, "ce-4.enrol", Outcomes::successes, "certificate", "issued", Part::subject, Part::object, Telling::each},
    Row{told_by_cas, "ce-4.enrol", Outcomes::refusals, "certificate", "", Part::self, Part::object, Telling::together},
    Row{told_by_cas, "x-4.enrol", Outcomes::successes, "certificate", "issued", Part::subject, Part::object, Telling::each},
    Row{told_by_cas, "x-4.enrol", Outcomes::refusals, "certificate", "", Part::self, Part::object, Telling::together},
    Row{told_by_cas, "ce-1.reenrol", Outcomes::all, "certificate", "renewed", Part::subject, Part::object, Telling::each},
    Row{told_by_cas, "ce-4.reenrol", Outcomes::all, "certificate", "renewed", Part::subject, Part::object, Telling::each},
    Row{told_by_cas, "x-4.reenrol", Outcomes::all, "certificate", "renewed", Part::subject, Part::object, Telling::each},
    Row{told_by_cas, "ce-2.reenrol", Outcomes::all, "certificate", "renewed", Part::word_1, Part::word_2, Telling::each},
    Row{told_by_cas, "ce-3.enrol", Outcomes::all, "certificate", "issued", Part::word_1, Part::word_2, Telling::each},
    Row{told_by_cas, "ce-3.reenrol", Outcomes::all, "certificate", "renewed", Part::word_1, Part::word_2, Telling::each},
    Row{told_by_cas, "ceis.revoke", Outcomes::all, "revocation", "success", Part::subject, Part::object, Telling::each},
    Row{told_by_cas, "ce-1.terminal", Outcomes::all, "certificate", "issued", Part::word_1, Part::word_2, Telling::each},
    Row{told_by_cas, "x-5.revoke", Outcomes::all, "certificate", "revoked", Part::word_1, Part::word_2, Telling::each},

    Row{told_by_qkm, "relayed_key.delivered", Outcomes::successes, "supply", "delivered", Part::self, Part::subject, Telling::together},
    Row{told_by_qkm, "km-3.take", Outcomes::refusals, "supply", "", Part::self, Part::subject, Telling::together},
    Row{told_by_qkm, "km-3.fetch", Outcomes::refusals, "supply", "", Part::self, Part::subject, Telling::together},
    Row{told_by_qkm, "x-1.relay", Outcomes::refusals, "relay", "", Part::self, Part::subject, Telling::together},
    Row{told_by_qkm, "kq-1.block", Outcomes::refusals, "link_block", "", Part::self, Part::subject, Telling::together},
    Row{told_by_qkm, "kq-2.report", Outcomes::refusals, "relay", "", Part::self, Part::subject, Telling::together},
    Row{told_by_qkm, "kq-2.deliver", Outcomes::refusals, "relay", "", Part::self, Part::subject, Telling::together},
    Row{told_by_qkm, "kq-2.missing", Outcomes::refusals, "relay", "", Part::self, Part::subject, Telling::together},
    Row{told_by_qkm, "sae.enc_keys", Outcomes::all, "sae_keys", "delivered", Part::self, Part::subject, Telling::together},
    Row{told_by_qkm, "sae.dec_keys", Outcomes::all, "sae_keys", "delivered", Part::self, Part::subject, Telling::together},
    Row{told_by_qkm, "sae.ext_keys", Outcomes::all, "sae_keys", "delivered", Part::self, Part::subject, Telling::together},
    Row{told_by_qkm, "sae.stream.supplied", Outcomes::all, "sae_keys", "delivered", Part::self, Part::subject, Telling::together},
    Row{told_by_qkm, "sae.stream.get", Outcomes::refusals, "sae_keys", "", Part::self, Part::subject, Telling::together},
    Row{told_by_qkm, "sae.connection", Outcomes::refusals, "connection", "", Part::self, Part::subject, Telling::together},

    Row{told_by_qkdnc, "kq-2.relay", Outcomes::refusals, "relay", "", Part::self, Part::subject, Telling::together},
    Row{told_by_qkdnc, "kq-2.state", Outcomes::refusals, "state", "", Part::self, Part::subject, Telling::together},
    Row{told_by_qkdnc, "x-7.lead", Outcomes::refusals, "lead", "", Part::self, Part::subject, Telling::together},

    Row{told_by_qkd, "x-2.channel", Outcomes::refusals, "channel", "", Part::self, Part::subject, Telling::together},

    Row{apps, "ax-1.peer-changed", Outcomes::refusals, "peer_certificate", "", Part::self, Part::subject, Telling::each},
    Row{apps, "ce-2.stranger", Outcomes::refusals, "own_certificates", "", Part::self, Part::object, Telling::each},
    Row{apps, "ce-2.bundle", Outcomes::refusals, "own_certificates", "", Part::self, Part::object, Telling::each},
    Row{told_by_all, "certificate.renewed", Outcomes::all, "renewal", "success", Part::self, Part::object, Telling::each},
    Row{apps, "km-1.enrol", Outcomes::all, "enrolment", "success", Part::self, Part::subject, Telling::each},
};

constexpr bool each_of_its_own() {
  for (const Row& row : rows) {
    for (const Kind kind : all_kinds) {
      if (row.reporters.has(kind) && !tells_of_others(kind) && row.about != Part::self) return false;
    }
  }
  return true;
}
static_assert(each_of_its_own(), "terminals and elements of the QKDN report about themselves alone");

std::string_view word_of(std::string_view text, std::size_t index) {
  for (; index > 0; --index) {
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos) return {};
    text.remove_prefix(space + 1);
  }
  return text.substr(0, text.find(' '));
}

std::string_view part_of(const audit::Event& event, Part part) {
  switch (part) {
    case Part::self:
      return {};
    case Part::subject:
      return event.subject;
    case Part::object:
      return event.object;
    case Part::word_1:
      return word_of(event.object, 0);
    case Part::word_2:
      return word_of(event.object, 1);
  }
  return {};
}

}  // namespace

std::span<const BehaviourRow> behaviour_rows() noexcept { return rows; }

std::optional<Endpoint> behaviour_endpoint(Kind kind) noexcept {
  for (const Endpoint one : {Endpoint::ua1_record, Endpoint::ua2_record, Endpoint::ua3_record, Endpoint::x12_record}) {
    if (points::row(one).callers.has(kind)) return one;
  }
  return std::nullopt;
}

std::string uid_in(std::string_view text) {
  if (const auto identity = Identity::parse_uri(text)) return identity->name;
  return parse_uid(text) ? std::string(text) : std::string();
}

std::string behaviour_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t octets = utf8_sequence(text);
    const bool readable = octets > 1 || (octets == 1 && static_cast<unsigned char>(text.front()) >= 0x20 && text.front() != 0x7f);
    const std::string_view one = readable ? text.substr(0, octets) : std::string_view("?");
    if (out.size() + one.size() > behaviour_text_max) break;
    out += one;
    text.remove_prefix(std::max(octets, std::size_t{1}));
  }
  return out;
}

std::optional<Told> behaviour_of(const Identity& self, const audit::Event& event) {
  const bool well = event.outcome == audit::Outcome::success;
  const auto row = std::ranges::find_if(rows, [&](const Row& one) {
    return one.reporters.has(self.kind) && one.recorded == event.action && (one.told == Outcomes::all || (one.told == Outcomes::successes) == well);
  });
  if (row == rows.end()) return std::nullopt;
  Behaviour out{.about = uid_in(part_of(event, row->about)),
                .action = std::string(row->action),
                .outcome = std::string(well ? row->well : audit::name(event.outcome)),
                .object = behaviour_text(part_of(event, row->object))};
  // Who could not be named is an event of the element's own.
  if (out.about.empty() && row->about != Part::self && out.object.empty()) out.object = behaviour_text(event.subject);
  return Told{.behaviour = std::move(out), .telling = row->telling};
}

}  // namespace qanat::node
