#include "quantum/qkd/photonics/event_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>

#include "base/check.hpp"

namespace qanat::qkd {
namespace {

constexpr std::size_t buffer_octets = 16384;
constexpr std::uint32_t tag_plain = 0x1;
constexpr std::uint32_t tag_extended = 0x101;
constexpr std::uint32_t time_bits = 49;
constexpr std::uint32_t pattern_bits = 4;
constexpr std::uint32_t plain_epoch_bits = 17;  // the upper bits of the 49
constexpr std::uint32_t plain_epoch_mask = (1U << plain_epoch_bits) - 1;
constexpr std::uint64_t unused_mask = 0x7ff0;  // bits 4 … 14 of an event

constexpr std::array<std::uint8_t, 8> side_magic{'Q', 'A', 'N', 'A', 'T', 'S', 'D', '1'};
constexpr std::uint8_t side_end = 0xff;
constexpr std::uint8_t side_no_class = 3;
constexpr std::size_t side_header_octets = 16;
constexpr std::size_t side_trailer_octets = 32;

template <class Word>
Word little_endian(std::span<const std::uint8_t> octets) {
  Word value = 0;
  for (std::size_t i = 0; i < sizeof(Word); ++i) value |= static_cast<Word>(static_cast<Word>(octets[i]) << (8 * i));
  return value;
}

template <class Word>
void put_little_endian(std::ostream& out, Word value) {
  std::array<char, sizeof(Word)> octets{};
  for (std::size_t i = 0; i < octets.size(); ++i) octets[i] = static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i)));
  out.write(octets.data(), octets.size());
}

class FileSource final : public OctetSource {
 public:
  explicit FileSource(const std::filesystem::path& file) : in_(file, std::ios::binary), name_(file.string()) {}
  [[nodiscard]] bool is_open() const { return in_.is_open(); }
  Result<std::size_t> read(std::span<std::uint8_t> out) override {
    in_.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
    if (in_.bad()) return fail(ErrorCode::internal, name_ + ": cannot be read");
    return static_cast<std::size_t>(in_.gcount());
  }

 private:
  std::ifstream in_;
  std::string name_;
};

class MemorySource final : public OctetSource {
 public:
  explicit MemorySource(ByteView octets) : left_(octets) {}
  Result<std::size_t> read(std::span<std::uint8_t> out) override {
    const std::size_t count = std::min(out.size(), left_.size());
    std::copy_n(left_.begin(), count, out.begin());
    left_ = left_.subspan(count);
    return count;
  }

 private:
  ByteView left_;
};

/// The file holds key material: nobody else may read it.
Result<std::unique_ptr<std::ostream>> create_private(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (descriptor < 0) return fail(ErrorCode::invalid_argument, file.string() + ": cannot be made, or is there already");
  ::close(descriptor);
  auto out = std::make_unique<std::ofstream>(file, std::ios::binary | std::ios::in | std::ios::out);
  if (!*out) return fail(ErrorCode::invalid_argument, file.string() + ": cannot be made");
  return Result<std::unique_ptr<std::ostream>>(std::move(out));
}

}  // namespace

Result<std::unique_ptr<OctetSource>> open_octet_file(const std::filesystem::path& file) {
  auto source = std::make_unique<FileSource>(file);
  if (!source->is_open()) return fail(ErrorCode::not_found, file.string() + ": cannot be opened");
  return Result<std::unique_ptr<OctetSource>>(std::move(source));
}

std::unique_ptr<OctetSource> octets_in_memory(ByteView octets) { return std::make_unique<MemorySource>(octets); }

OctetStream::OctetStream(std::unique_ptr<OctetSource> source, std::string name) : source_(std::move(source)), name_(std::move(name)), buffer_(buffer_octets) {}

std::unexpected<Error> OctetStream::refuse(std::uint64_t offset, std::string_view what) const {
  return fail(ErrorCode::invalid_argument, name_ + ": offset " + std::to_string(offset) + ": " + std::string(what));
}

Result<bool> OctetStream::take(std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    if (at_ == filled_) {
      at_ = filled_ = 0;
      ASSIGN_OR_RETURN(filled_, source_->read(buffer_.writable()));
      if (filled_ == 0) {
        if (done == 0) return false;
        return refuse(offset_ + done, "the file ends in the middle of something");
      }
    }
    const std::size_t count = std::min(out.size() - done, filled_ - at_);
    std::memcpy(out.data() + done, buffer_.reveal().data() + at_, count);
    at_ += count;
    done += count;
  }
  offset_ += done;
  return true;
}

Result<bool> EventReader::open_packet() {
  const std::uint64_t start = in_.offset();
  std::array<std::uint8_t, 20> header{};
  ASSIGN_OR_RETURN(const bool is_there, in_.take(header));
  if (!is_there) return false;
  std::array<std::uint32_t, 5> words{};
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = little_endian<std::uint32_t>(std::span(header).subspan(4 * i, 4));
  if (words[0] != tag_plain && words[0] != tag_extended) return in_.refuse(start, "tag " + std::to_string(words[0]) + ": must be 1 or 257");
  if (any_packet_ && words[0] != tag_) return in_.refuse(start, "the tag changes within the file");
  if (words[0] == tag_plain && words[1] > plain_epoch_mask) return in_.refuse(start + 4, "epoch: more than 17 bits under tag 1");
  if (any_packet_ && words[1] <= epoch_) return in_.refuse(start + 4, "epochs do not ascend");
  if (words[3] != time_bits) return in_.refuse(start + 12, "bits per entry " + std::to_string(words[3]) + ": must be 49");
  if (words[4] != pattern_bits) return in_.refuse(start + 16, "base bits " + std::to_string(words[4]) + ": must be 4");
  tag_ = words[0];
  epoch_ = words[1];
  announced_ = words[2];
  read_ = 0;
  high_bits_.reset();
  in_packet_ = any_packet_ = true;
  return true;
}

Result<void> EventReader::close_packet(std::uint64_t offset) {
  if (announced_ != 0 && announced_ != read_) {
    return in_.refuse(offset, "the packet ends after " + std::to_string(read_) + " events, its header announced " + std::to_string(announced_));
  }
  in_packet_ = false;
  return {};
}

Result<std::optional<TimedEvent>> EventReader::next() {
  for (;;) {
    if (!in_packet_) {
      ASSIGN_OR_RETURN(const bool is_there, open_packet());
      if (!is_there) return std::optional<TimedEvent>();
    }
    const std::uint64_t offset = in_.offset();
    std::array<std::uint8_t, 8> octets{};
    ASSIGN_OR_RETURN(const bool is_there, in_.take(octets));
    if (!is_there) return in_.refuse(offset, "the packet has no end mark");
    // Two little-endian words, the upper one first.
    const std::uint64_t upper = little_endian<std::uint32_t>(std::span(octets).first(4));
    const std::uint64_t event = upper << 32 | little_endian<std::uint32_t>(std::span(octets).last(4));
    if (event == 0) {
      TRY(close_packet(offset));
      continue;
    }
    const auto pattern = static_cast<std::uint8_t>(event & event_pattern_mask);
    if ((event & unused_mask) != 0) return in_.refuse(offset, "unused bits are set");
    if (pattern == 0) return in_.refuse(offset, "an event without detector");
    const std::uint64_t raw_time = event >> 15;
    const auto high = static_cast<std::uint32_t>(raw_time >> 32);
    if (high_bits_ && *high_bits_ != high) return in_.refuse(offset, "events of two epochs in one packet");
    if (tag_ == tag_plain && high != epoch_) return in_.refuse(offset, "the event is not of the packet's epoch");
    high_bits_ = high;
    // An extended epoch counts from 1970 and takes the place of the upper bits, which may count from elsewhere.
    const std::uint64_t time = std::uint64_t{epoch_} << 32 | (raw_time & 0xffff'ffffU);
    if (time < last_time_) return in_.refuse(offset, "times descend");
    if (announced_ != 0 && read_ == announced_) return in_.refuse(offset, "more events than the header announced");
    last_time_ = time;
    ++read_;
    return std::optional(TimedEvent{.time = time, .pattern = pattern});
  }
}

Result<EventWriter> EventWriter::create(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(auto out, create_private(file));
  EventWriter writer(*out);
  writer.file_ = std::move(out);
  return Result<EventWriter>(std::move(writer));
}

void EventWriter::word(std::uint32_t value) { put_little_endian(*out_, value); }

void EventWriter::end_packet() {
  if (!epoch_) return;
  word(0);
  word(0);
}

Result<void> EventWriter::write(const TimedEvent& event) {
  if (event.pattern == 0 || event.pattern > event_pattern_mask) return fail(ErrorCode::invalid_argument, "event writer: a detector pattern of 1 to 15");
  if (event.time < last_time_) return fail(ErrorCode::invalid_argument, "event writer: times descend");
  last_time_ = event.time;
  const auto epoch = static_cast<std::uint32_t>(event.time / epoch_units);
  if (epoch_ != epoch) {
    end_packet();
    epoch_ = epoch;
    for (const std::uint32_t value : {tag_extended, epoch, 0U, time_bits, pattern_bits}) word(value);
  }
  const std::uint64_t raw_time = std::uint64_t{epoch & plain_epoch_mask} << 32 | event.time % epoch_units;
  const std::uint64_t packed = raw_time << 15 | event.pattern;
  word(static_cast<std::uint32_t>(packed >> 32));
  word(static_cast<std::uint32_t>(packed));
  return {};
}

Result<void> EventWriter::finish() {
  end_packet();
  out_->flush();
  if (!*out_) return fail(ErrorCode::internal, "event file: could not be written completely");
  return {};
}

Result<void> SideReader::read_header() {
  std::array<std::uint8_t, side_header_octets> header{};
  ASSIGN_OR_RETURN(const bool is_there, in_.take(header));
  if (!is_there || !std::equal(side_magic.begin(), side_magic.end(), header.begin())) return in_.refuse(0, "not a side file");
  if (header[8] != static_cast<std::uint8_t>(side_)) return in_.refuse(8, "the side file of the other side");
  if (header[9] > static_cast<std::uint8_t>(RecordingOrigin::simulated)) return in_.refuse(9, "unknown origin");
  origin_ = static_cast<RecordingOrigin>(header[9]);
  if (std::any_of(header.begin() + 10, header.end(), [](std::uint8_t octet) { return octet != 0; })) return in_.refuse(10, "reserved octets are not zero");
  is_open_ = true;
  return {};
}

Result<void> SideReader::read_trailer() {
  const std::uint64_t start = in_.offset();
  std::array<std::uint8_t, side_trailer_octets> octets{};
  ASSIGN_OR_RETURN(const bool is_there, in_.take(octets));
  if (!is_there) return in_.refuse(start, "the trailer is missing");
  const auto word = [&octets](std::size_t i) { return little_endian<std::uint64_t>(std::span(octets).subspan(8 * i, 8)); };
  trailer_ = {.entries = word(0), .gates = word(1), .photocurrent_a = std::array{std::bit_cast<double>(word(2)), std::bit_cast<double>(word(3))}};
  if (trailer_.entries != entries_) {
    return in_.refuse(start, std::to_string(entries_) + " entries where the trailer counts " + std::to_string(trailer_.entries));
  }
  if (trailer_.gates < entries_) return in_.refuse(start + 8, "more entries than gates");
  const bool is_measured = !std::isnan((*trailer_.photocurrent_a)[0]) || !std::isnan((*trailer_.photocurrent_a)[1]);
  if (!is_measured) trailer_.photocurrent_a.reset();
  std::array<std::uint8_t, 1> more{};
  ASSIGN_OR_RETURN(const bool is_more, in_.take(more));
  if (is_more) return in_.refuse(in_.offset() - 1, "octets after the trailer");
  is_ended_ = true;
  return {};
}

Result<std::optional<SideEntry>> SideReader::next() {
  if (is_ended_) return std::optional<SideEntry>();
  if (!is_open_) TRY(read_header());
  const std::uint64_t offset = in_.offset();
  std::array<std::uint8_t, 1> octet{};
  ASSIGN_OR_RETURN(const bool is_there, in_.take(octet));
  if (!is_there) return in_.refuse(offset, "the side file has no end mark");
  if (octet[0] == side_end) {
    TRY(read_trailer());
    return std::optional<SideEntry>();
  }
  if (octet[0] > 0x0f) return in_.refuse(offset, "unused bits are set");
  const std::uint8_t decoy_class = octet[0] >> 2U;
  if ((decoy_class == side_no_class) != (side_ == RecordingSide::bob)) return in_.refuse(offset, "a decoy class belongs to Alice's entries and to no others");
  ++entries_;
  SideEntry entry{.basis = (octet[0] & 2U) != 0 ? Basis::check_z : Basis::key_x, .bit = (octet[0] & 1U) != 0, .intensity = {}};
  if (decoy_class != side_no_class) entry.intensity = all_intensities[decoy_class];
  return std::optional(entry);
}

Result<SideWriter> SideWriter::create(const std::filesystem::path& file, RecordingSide side, RecordingOrigin origin) {
  ASSIGN_OR_RETURN(auto out, create_private(file));
  SideWriter writer(*out, side, origin);
  writer.file_ = std::move(out);
  return Result<SideWriter>(std::move(writer));
}

SideWriter::SideWriter(std::ostream& out, RecordingSide side, RecordingOrigin origin) : out_(&out) {
  std::array<char, side_header_octets> header{};
  std::copy(side_magic.begin(), side_magic.end(), header.begin());
  header[side_magic.size()] = static_cast<char>(side);
  header[side_magic.size() + 1] = static_cast<char>(origin);
  out_->write(header.data(), header.size());
}

void SideWriter::write(const SideEntry& entry) {
  const std::size_t decoy_class = entry.intensity ? index_of(*entry.intensity) : side_no_class;
  out_->put(static_cast<char>(decoy_class << 2U | (entry.basis == Basis::check_z ? 2U : 0U) | (entry.bit ? 1U : 0U)));
  ++entries_;
}

Result<void> SideWriter::finish(SideTrailer trailer) {
  out_->put(static_cast<char>(side_end));
  const double unmeasured = std::nan("");
  const std::array<double, 2> current = trailer.photocurrent_a.value_or(std::array{unmeasured, unmeasured});
  for (const std::uint64_t value : {entries_, trailer.gates, std::bit_cast<std::uint64_t>(current[0]), std::bit_cast<std::uint64_t>(current[1])}) {
    put_little_endian(*out_, value);
  }
  out_->flush();
  if (!*out_) return fail(ErrorCode::internal, "side file: could not be written completely");
  return {};
}

}  // namespace qanat::qkd
