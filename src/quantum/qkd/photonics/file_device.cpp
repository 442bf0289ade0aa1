#include "quantum/qkd/photonics/file_device.hpp"

#include <optional>

#include "quantum/qkd/photonics/used_mark.hpp"

namespace qanat::qkd {
namespace {

Result<EventReader> open_events(const Recording& recording) {
  TRY(recording.clock.validate());
  ASSIGN_OR_RETURN(auto source, open_octet_file(recording.events));
  return Result<EventReader>(EventReader(std::move(source), recording.events.string()));
}

Result<SideReader> open_side(const Recording& recording, RecordingSide side) {
  ASSIGN_OR_RETURN(auto source, open_octet_file(recording.side));
  return Result<SideReader>(SideReader(std::move(source), recording.side.string(), side));
}

/// Reads a side file through, so that a damaged one is refused before any of it is used.
Result<SideTrailer> check_side(const Recording& recording, RecordingSide side) {
  ASSIGN_OR_RETURN(SideReader reader, open_side(recording, side));
  for (;;) {
    ASSIGN_OR_RETURN(const auto entry, reader.next());
    if (!entry) return reader.trailer();
  }
}

/// An event with its pulse and, where there is a side file, its entry.
struct RecordedEvent {
  std::uint64_t pulse = 0;
  std::uint8_t pattern = 0;
  std::optional<SideEntry> entry;
};

/// Both files of a side, event by event; events outside every gate are left out.
class RecordedEvents {
 public:
  RecordedEvents(const Recording& recording, EventReader events, std::optional<SideReader> side)
      : events_(std::move(events)), side_(std::move(side)), clock_(recording.clock), name_(recording.events.string()) {}

  Result<std::optional<RecordedEvent>> next() {
    for (;;) {
      ASSIGN_OR_RETURN(const auto event, events_.next());
      std::optional<SideEntry> entry;
      if (side_) {
        ASSIGN_OR_RETURN(entry, side_->next());
        if (event.has_value() != entry.has_value()) return fail(ErrorCode::invalid_argument, name_ + ": as many events as the side file has entries");
      }
      if (!event) return std::optional<RecordedEvent>();
      if (const auto pulse = clock_.pulse_of(event->time)) return std::optional(RecordedEvent{.pulse = *pulse, .pattern = event->pattern, .entry = entry});
    }
  }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  EventReader events_;
  std::optional<SideReader> side_;
  EventClock clock_;
  std::string name_;
};

class FileAlice final : public AliceDevice {
 public:
  FileAlice(RecordedEvents events, UsedMark mark) : events_(std::move(events)), mark_(std::move(mark)) {}

  Result<void> start(const RunId&) override {
    is_started_ = true;
    return {};
  }

  Result<EmissionRecord> emissions(std::span<const std::uint64_t> indices) override {
    if (!is_started_) return fail(ErrorCode::conflict, "recorded Alice: no run was started");
    EmissionRecord record{.bases = {}, .intensities = {}, .bits = Secret(indices.size())};
    record.bases.reserve(indices.size());
    record.intensities.reserve(indices.size());
    std::uint64_t askable = mark_.next();
    for (const std::uint64_t index : indices) {
      if (index < askable)
        return fail(ErrorCode::invalid_argument, "recorded Alice: pulse " + std::to_string(index) + " is used, or the indices do not ascend");
      askable = index + 1;
    }
    TRY(mark_.advance(askable));
    for (std::size_t i = 0; i < indices.size(); ++i) {
      TRY(advance_to(indices[i]));
      record.bases.push_back(ahead_->entry->basis);
      record.intensities.push_back(*ahead_->entry->intensity);
      record.bits.writable()[i] = ahead_->entry->bit ? 1 : 0;
    }
    return Result<EmissionRecord>(std::move(record));
  }

 private:
  Result<void> advance_to(std::uint64_t index) {
    while (!ahead_ || ahead_->pulse < index) {
      const std::optional<RecordedEvent> before = ahead_;
      ASSIGN_OR_RETURN(ahead_, events_.next());
      if (!ahead_) return fail(ErrorCode::exhausted, events_.name() + ": ends before pulse " + std::to_string(index));
      if (before && before->pulse >= ahead_->pulse)
        return fail(ErrorCode::invalid_argument, events_.name() + ": pulse " + std::to_string(ahead_->pulse) + " twice");
    }
    if (ahead_->pulse != index) return fail(ErrorCode::not_found, events_.name() + ": does not hold pulse " + std::to_string(index));
    return {};
  }

  RecordedEvents events_;
  UsedMark mark_;
  std::optional<RecordedEvent> ahead_;
  bool is_started_ = false;
};

/// What the events of one pulse add up to.
struct Outcome {
  Basis basis{};
  bool bit = false;
  unsigned fired = 0;  // mask of outcomes 0 and 1 in that basis
};

Outcome resolve(std::uint8_t pattern, crypto::Rng& random) {
  const auto coin = [&random] {
    std::array<std::uint8_t, 1> octet{};
    random.fill(octet);
    return (octet[0] & 1U) != 0;
  };
  const unsigned x = pattern & 3U;
  const unsigned z = pattern >> 2U & 3U;
  const bool is_check = x == 0 || (z != 0 && coin());
  const unsigned fired = is_check ? z : x;
  // Dropping double clicks would let an attacker steer which events count; they become random.
  const bool is_ambiguous = fired == 3U || (x != 0 && z != 0);
  return {.basis = is_check ? Basis::check_z : Basis::key_x, .bit = is_ambiguous ? coin() : fired == 2U, .fired = fired};
}

class FileBob final : public BobDevice {
 public:
  FileBob(RecordedEvents events, UsedMark mark, std::optional<std::array<double, 2>> photocurrent, crypto::Rng& random)
      : events_(std::move(events)), mark_(std::move(mark)), photocurrent_(photocurrent), random_(random) {}

  Result<void> start(const RunId&) override {
    is_started_ = true;
    return {};
  }

  Result<DetectionRecord> collect(std::size_t count) override {
    if (!is_started_) return fail(ErrorCode::conflict, "recorded Bob: no run was started");
    if (count == 0 || count > clicks_per_run_max) return fail(ErrorCode::invalid_argument, "recorded Bob: cannot collect " + std::to_string(count) + " clicks");
    is_started_ = false;
    const std::uint64_t first_gate = mark_.next();
    DetectionRecord record{.clicks = PackedClicks(count), .gates = 0, .monitor = {}};
    while (record.clicks.size() < count) {
      ASSIGN_OR_RETURN(const std::uint64_t pulse, next_click());
      record.clicks.add(pulse, click_.basis, click_.bit);
      record.monitor.double_clicks += click_.fired == 3U ? 1 : 0;
      for (unsigned detector = 0; detector < 2; ++detector) record.monitor.firings[detector] += click_.fired >> detector & 1U;
    }
    TRY(mark_.advance(record.clicks.last() + 1));
    record.gates = record.clicks.last() + 1 - first_gate;
    record.monitor.gates = record.gates;
    record.monitor.photocurrent_a = photocurrent_;
    return Result<DetectionRecord>(std::move(record));
  }

 private:
  /// The next pulse that has events and is not used; its outcome in click_.
  Result<std::uint64_t> next_click() {
    for (;;) {
      if (!ahead_) {
        ASSIGN_OR_RETURN(ahead_, events_.next());
        if (!ahead_) return fail(ErrorCode::exhausted, events_.name() + ": the recording is used up");
      }
      const std::uint64_t pulse = ahead_->pulse;
      std::uint8_t pattern = ahead_->pattern;
      const std::optional<SideEntry> entry = ahead_->entry;
      bool is_alone = true;
      for (;;) {
        ASSIGN_OR_RETURN(ahead_, events_.next());
        if (!ahead_ || ahead_->pulse != pulse) break;
        pattern |= ahead_->pattern;
        is_alone = false;
      }
      if (pulse < mark_.next()) continue;
      click_ = resolve(pattern, random_);
      // The receiver's own resolution of a double click, where it wrote it down.
      if (entry && is_alone) {
        const unsigned fired = entry->basis == Basis::key_x ? pattern & 3U : pattern >> 2U & 3U;
        if (fired == 0 || (fired != 3U && (fired == 2U) != entry->bit && (pattern & ~(entry->basis == Basis::key_x ? 3U : 12U)) == 0)) {
          return fail(ErrorCode::invalid_argument, events_.name() + ": pulse " + std::to_string(pulse) + ": the side file contradicts the detectors");
        }
        click_ = {.basis = entry->basis, .bit = entry->bit, .fired = fired};
      }
      return pulse;
    }
  }

  RecordedEvents events_;
  UsedMark mark_;
  std::optional<std::array<double, 2>> photocurrent_;
  crypto::Rng& random_;
  std::optional<RecordedEvent> ahead_;
  Outcome click_;
  bool is_started_ = false;
};

}  // namespace

Result<std::unique_ptr<AliceDevice>> open_file_alice(const Recording& recording) {
  ASSIGN_OR_RETURN(EventReader events, open_events(recording));
  TRY(check_side(recording, RecordingSide::alice));
  ASSIGN_OR_RETURN(SideReader side, open_side(recording, RecordingSide::alice));
  ASSIGN_OR_RETURN(UsedMark mark, UsedMark::open(recording.events));
  return Result<std::unique_ptr<AliceDevice>>(std::make_unique<FileAlice>(RecordedEvents(recording, std::move(events), std::move(side)), std::move(mark)));
}

Result<std::unique_ptr<BobDevice>> open_file_bob(const Recording& recording, crypto::Rng& random) {
  ASSIGN_OR_RETURN(EventReader events, open_events(recording));
  std::optional<SideReader> side;
  std::optional<std::array<double, 2>> photocurrent;
  if (!recording.side.empty()) {
    ASSIGN_OR_RETURN(const SideTrailer trailer, check_side(recording, RecordingSide::bob));
    photocurrent = trailer.photocurrent_a;
    ASSIGN_OR_RETURN(side, open_side(recording, RecordingSide::bob));
  }
  ASSIGN_OR_RETURN(UsedMark mark, UsedMark::open(recording.events));
  return Result<std::unique_ptr<BobDevice>>(
      std::make_unique<FileBob>(RecordedEvents(recording, std::move(events), std::move(side)), std::move(mark), photocurrent, random));
}

Result<RecordingOrigin> recording_origin(const Recording& recording, RecordingSide side) {
  if (recording.side.empty()) return RecordingOrigin::measured;
  ASSIGN_OR_RETURN(SideReader reader, open_side(recording, side));
  TRY(reader.next());
  return reader.origin();
}

}  // namespace qanat::qkd
