// RIFF WAVE files of the one kind that a call needs: PCM, 16 bits, mono, 8000 Hz.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::terminal {

/// Ten minutes of sound, and room for some chunks beside it.
inline constexpr std::size_t wav_samples_max = 10 * 60 * 8000;
inline constexpr std::size_t wav_octets_max = 10'000'000;
inline constexpr std::size_t wav_chunks_max = 64;

/// The samples. Chunks other than "fmt " and "data" are passed over. invalid_argument with the offset otherwise: not RIFF/WAVE, a chunk that
/// runs past the end, another format, a second "data", more than wav_octets_max octets or wav_chunks_max chunks.
Result<std::vector<std::int16_t>> parse_wav(ByteView file);
/// At most wav_samples_max samples.
Bytes encode_wav(std::span<const std::int16_t> samples);

Result<std::vector<std::int16_t>> read_wav(const std::filesystem::path& path);
Result<void> write_wav(const std::filesystem::path& path, std::span<const std::int16_t> samples);

}  // namespace qanat::terminal
