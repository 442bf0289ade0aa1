// Detection events in files: the packed raw events of s-fifteen's qcrypto ("type 1", filespec.txt) and our side file that says what those do
// not: basis, decoy class and bit. docs/quantum-formats.md defines both octet by octet. Readers stream: they hold one buffer, whatever
// the file's size, and refuse what is malformed with the offset at which it is.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/secret.hpp"
#include "quantum/qkd/photonics/link.hpp"
#include "quantum/qkd/photonics/monitor.hpp"

namespace qanat::qkd {

inline constexpr double event_unit_s = 125e-12;                       // of all time tags
inline constexpr std::uint64_t epoch_units = std::uint64_t{1} << 32;  // an epoch: 2^29 ns
inline constexpr std::uint8_t event_pattern_mask = 0x0f;              // four detectors: X0, X1, Z0, Z1
/// The detector bit of an outcome.
constexpr std::uint8_t event_pattern(Basis basis, bool bit) { return static_cast<std::uint8_t>(1U << (2 * static_cast<unsigned>(basis) + (bit ? 1U : 0U))); }

/// One event. `time` counts units of 125 ps from the origin of the file's epochs.
struct TimedEvent {
  std::uint64_t time = 0;
  std::uint8_t pattern = 0;  // of detectors, not 0
  bool operator==(const TimedEvent&) const = default;
};

/// Where octets come from.
class OctetSource {
 public:
  virtual ~OctetSource() = default;
  /// Fills the front of `out`; how many octets there were, 0 only at the end.
  [[nodiscard]] virtual Result<std::size_t> read(std::span<std::uint8_t> out) = 0;
};
Result<std::unique_ptr<OctetSource>> open_octet_file(const std::filesystem::path& file);
/// Octets that outlive the source.
std::unique_ptr<OctetSource> octets_in_memory(ByteView octets);

/// A buffered source that knows its name and its place, for messages.
class OctetStream {
 public:
  OctetStream(std::unique_ptr<OctetSource> source, std::string name);
  /// All of `out`; false at a clean end before its first octet; invalid_argument when the file ends within it.
  Result<bool> take(std::span<std::uint8_t> out);
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
  /// invalid_argument: "name: offset 24: what".
  [[nodiscard]] std::unexpected<Error> refuse(std::uint64_t offset, std::string_view what) const;

 private:
  std::unique_ptr<OctetSource> source_;
  std::string name_;
  Secret buffer_;  // Bob's events hold key material
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
  std::uint64_t offset_ = 0;
};

/// Reads type-1 packets, one after the other with ascending epochs, as from files that were joined.
class EventReader {
 public:
  EventReader(std::unique_ptr<OctetSource> source, std::string name) : in_(std::move(source), std::move(name)) {}
  /// The next event, nothing at the end. Times never descend. invalid_argument: malformed; says where.
  Result<std::optional<TimedEvent>> next();

 private:
  Result<bool> open_packet();
  Result<void> close_packet(std::uint64_t offset);

  OctetStream in_;
  bool in_packet_ = false;
  bool any_packet_ = false;
  std::uint32_t epoch_ = 0;
  std::uint32_t announced_ = 0;  // events of this packet; 0: not said
  std::uint32_t read_ = 0;
  std::uint64_t last_time_ = 0;
  std::optional<std::uint32_t> high_bits_;  // of the packet's events: the upper 17 of their 49
  std::uint32_t tag_ = 0;
};

/// Writes type-1 packets with extended epochs (tag 0x101), one per epoch, lengths not announced.
class EventWriter {
 public:
  /// A new file with permissions 0600; invalid_argument when it cannot be made or is there already.
  static Result<EventWriter> create(const std::filesystem::path& file);
  explicit EventWriter(std::ostream& out) : out_(&out) {}
  /// Times must not descend, and the pattern must be 1 … 15.
  Result<void> write(const TimedEvent& event);
  /// Ends the last packet. Nothing may be written afterwards. Fails when not all of it could be stored.
  Result<void> finish();

 private:
  void word(std::uint32_t value);
  void end_packet();
  std::unique_ptr<std::ostream> file_;
  std::ostream* out_ = nullptr;
  std::optional<std::uint32_t> epoch_;
  std::uint64_t last_time_ = 0;
};

enum class RecordingSide : std::uint8_t { alice = 1, bob = 2 };
/// Whether photons were there: the simulator marks what it exports.
enum class RecordingOrigin : std::uint8_t { measured = 0, simulated = 1 };

/// What the side file says about one event.
struct SideEntry {
  Basis basis{};
  bool bit = false;
  std::optional<Intensity> intensity;  // Alice's; Bob knows none
  bool operator==(const SideEntry&) const = default;
};

/// The end of a side file.
struct SideTrailer {
  std::uint64_t entries = 0;
  std::uint64_t gates = 0;                              // pulses, or gates, that the recording covers
  std::optional<std::array<double, 2>> photocurrent_a;  // Bob's; mean over the recording
};

class SideReader {
 public:
  SideReader(std::unique_ptr<OctetSource> source, std::string name, RecordingSide side) : in_(std::move(source), std::move(name)), side_(side) {}
  /// The next entry, nothing at the end, which includes that the trailer fits. invalid_argument: malformed; says where.
  Result<std::optional<SideEntry>> next();
  /// After the end.
  [[nodiscard]] const SideTrailer& trailer() const { return trailer_; }
  /// After the first next().
  [[nodiscard]] RecordingOrigin origin() const { return origin_; }

 private:
  Result<void> read_header();
  Result<void> read_trailer();

  OctetStream in_;
  RecordingSide side_;
  RecordingOrigin origin_{};
  bool is_open_ = false;
  bool is_ended_ = false;
  std::uint64_t entries_ = 0;
  SideTrailer trailer_;
};

class SideWriter {
 public:
  static Result<SideWriter> create(const std::filesystem::path& file, RecordingSide side, RecordingOrigin origin);
  SideWriter(std::ostream& out, RecordingSide side, RecordingOrigin origin = RecordingOrigin::measured);
  /// Alice's entries have an intensity, Bob's have none.
  void write(const SideEntry& entry);
  /// `trailer.entries` is counted here.
  Result<void> finish(SideTrailer trailer);

 private:
  std::unique_ptr<std::ostream> file_;
  std::ostream* out_ = nullptr;
  std::uint64_t entries_ = 0;
};

}  // namespace qanat::qkd
