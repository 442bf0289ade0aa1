#include "terminal/wav.hpp"

#include <optional>
#include <string>

#include "terminal/g711.hpp"
#include "terminal/octet_file.hpp"
#include "terminal/octet_order.hpp"

namespace qanat::terminal {
namespace {

constexpr std::size_t riff_header = 12;    // "RIFF" size "WAVE"
constexpr std::size_t chunk_header = 8;    // name, size
constexpr std::size_t format_octets = 16;  // the part of "fmt " that PCM has
constexpr std::uint16_t format_pcm = 1;
constexpr std::uint16_t channels_mono = 1;
constexpr std::uint16_t bits_per_sample = 16;
constexpr std::uint16_t octets_per_sample = 2;

static_assert(riff_header + chunk_header + format_octets + chunk_header + wav_samples_max * octets_per_sample <= wav_octets_max);

std::unexpected<Error> refuse_wav(std::size_t at, const std::string& what) {
  return fail(ErrorCode::invalid_argument, "wav: at octet " + std::to_string(at) + ": " + what);
}

Result<void> check_format(ByteView format, std::size_t at) {
  if (format.size() < format_octets) return refuse_wav(at, "\"fmt \" of " + std::to_string(format.size()) + " octets where at least 16 belong");
  const auto kind = read_little_endian<std::uint16_t>(format, 0);
  if (kind != format_pcm) return refuse_wav(at, "format " + std::to_string(kind) + ", only PCM (1) is read");
  const auto channels = read_little_endian<std::uint16_t>(format, 2);
  if (channels != channels_mono) return refuse_wav(at + 2, std::to_string(channels) + " channels, only mono is read");
  const auto rate = read_little_endian<std::uint32_t>(format, 4);
  if (rate != sample_rate_hz) return refuse_wav(at + 4, std::to_string(rate) + " Hz, only 8000 Hz is read");
  const auto bits = read_little_endian<std::uint16_t>(format, 14);
  if (bits != bits_per_sample) return refuse_wav(at + 14, std::to_string(bits) + " bits per sample, only 16 are read");
  if (read_little_endian<std::uint16_t>(format, 12) != octets_per_sample ||
      read_little_endian<std::uint32_t>(format, 8) != sample_rate_hz * octets_per_sample) {
    return refuse_wav(at + 8, "block size or octet rate does not fit 16-bit mono at 8000 Hz");
  }
  return {};
}

std::vector<std::int16_t> samples_of(ByteView octets) {
  std::vector<std::int16_t> samples(octets.size() / octets_per_sample);
  for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<std::int16_t>(read_little_endian<std::uint16_t>(octets, octets_per_sample * i));
  return samples;
}

}  // namespace

Result<std::vector<std::int16_t>> parse_wav(ByteView file) {
  if (file.size() > wav_octets_max) return refuse_wav(0, std::to_string(file.size()) + " octets, at most " + std::to_string(wav_octets_max) + " are read");
  if (file.size() < riff_header || as_text(file.first(4)) != "RIFF" || as_text(file.subspan(8, 4)) != "WAVE") return refuse_wav(0, "not a RIFF WAVE file");
  if (read_little_endian<std::uint32_t>(file, 4) > file.size() - chunk_header) return refuse_wav(4, "the RIFF size runs past the end of the file");

  bool have_format = false;
  std::optional<ByteView> sound;
  std::size_t at = riff_header;
  for (std::size_t chunks = 0; at < file.size(); ++chunks) {
    if (chunks == wav_chunks_max) return refuse_wav(at, "more than " + std::to_string(wav_chunks_max) + " chunks");
    if (file.size() - at < chunk_header) return refuse_wav(at, "the file ends inside a chunk header");
    const std::string_view chunk = as_text(file.subspan(at, 4));
    const std::size_t size = read_little_endian<std::uint32_t>(file, at + 4);
    const std::size_t body = at + chunk_header;
    if (size > file.size() - body) return refuse_wav(at, "a chunk of " + std::to_string(size) + " octets runs past the end of the file");
    if (chunk == "fmt ") {
      if (have_format) return refuse_wav(at, "a second \"fmt \" chunk");
      TRY(check_format(file.subspan(body, size), body));
      have_format = true;
    } else if (chunk == "data") {
      if (!have_format) return refuse_wav(at, "\"data\" before \"fmt \"");
      if (sound) return refuse_wav(at, "a second \"data\" chunk");
      if (size % octets_per_sample != 0) return refuse_wav(at, "\"data\" of an odd number of octets");
      sound = file.subspan(body, size);
    }
    // Chunks begin at even offsets; some writers leave the pad octet off at the very end.
    at = body + size + size % 2;
  }
  if (!sound) return refuse_wav(file.size(), "no \"data\" chunk");
  return samples_of(*sound);
}

Bytes encode_wav(std::span<const std::int16_t> samples) {
  const std::size_t sound = samples.size() * octets_per_sample;
  const std::size_t riff = riff_header - chunk_header + chunk_header + format_octets + chunk_header + sound;
  CHECK(samples.size() <= wav_samples_max);
  Bytes out;
  out.reserve(riff + chunk_header);
  append(out, as_bytes("RIFF"));
  append_little_endian(out, static_cast<std::uint32_t>(riff));
  append(out, as_bytes("WAVEfmt "));
  append_little_endian(out, static_cast<std::uint32_t>(format_octets));
  append_little_endian(out, format_pcm);
  append_little_endian(out, channels_mono);
  append_little_endian(out, sample_rate_hz);
  append_little_endian(out, sample_rate_hz * octets_per_sample);
  append_little_endian(out, octets_per_sample);
  append_little_endian(out, bits_per_sample);
  append(out, as_bytes("data"));
  append_little_endian(out, static_cast<std::uint32_t>(sound));
  for (const std::int16_t sample : samples) append_little_endian(out, static_cast<std::uint16_t>(sample));
  return out;
}

Result<std::vector<std::int16_t>> read_wav(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const Bytes file, read_file(path, wav_octets_max));
  auto samples = parse_wav(file);
  if (!samples) return fail_in(path.string(), std::move(samples).error());
  return samples;
}

Result<void> write_wav(const std::filesystem::path& path, std::span<const std::int16_t> samples) {
  if (samples.size() > wav_samples_max) {
    return fail(ErrorCode::invalid_argument, path.string() + ": " + std::to_string(samples.size()) + " samples, at most " + std::to_string(wav_samples_max));
  }
  return write_file(path, encode_wav(samples));
}

}  // namespace qanat::terminal
