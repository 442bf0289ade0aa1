// What two key managers tell each other of the key streams (ETSI GS QKD 004) between their SAEs: the "stream" of an X-1 activation of version 2, and its answer.
// Reading and writing alone; no I/O.
#pragma once

#include <vector>

#include "kme/stream_provider.hpp"
#include "kme/stock/key_stock.hpp"
#include "wire/json.hpp"

namespace qanat::kme {


/// Keys of one of the stocks that the two share; `stock` is what stands behind "domain/<peer's domain>/" in its name, the same at both ends.
struct StockRun {
  std::string stock;
  KeyRun run;
};

Result<StockRun> read_stock_run(const wire::Json& from);
wire::Json write_stock_run(const StockRun& run);
/// Keys in their order, in as few runs as that allows.
std::vector<StockRun> merged(std::span<const StockRun> runs);
std::size_t stock_keys_in(std::span<const StockRun> runs);
/// Without their stocks.
std::vector<KeyRun> plain(std::span<const StockRun> runs);

/// The application at one end.
enum class EndState : std::uint8_t { expected, open, closed };
std::string_view name(EndState state);

inline constexpr std::uint32_t stream_chunk_octets_max = 4096;
inline constexpr std::uint32_t stream_chunks_max = 256;  // of one message

/// Stock keys that a chunk takes.
constexpr std::uint32_t stride_of(std::uint32_t chunk_octets) {
  return (chunk_octets + static_cast<std::uint32_t>(stock_key_size) - 1) / static_cast<std::uint32_t>(stock_key_size);
}

struct StreamNote {
  enum class Kind : std::uint8_t {
    open,    // the application `from` opened its end
    close,   // … closed it
    chunks,  // `count` chunks from `index` on are made of `runs`, in order
    want,    // `from` waits for the chunk `index`, for so long
  };
  Kind kind{};
  StreamId id;
  SaeId from;               // at the sender's site
  SaeId to;                 // at the receiver's
  StreamQos qos{};          // open
  std::uint32_t index = 0;       // chunks, want
  std::uint32_t count = 0;       // chunks
  std::uint32_t wait_ms = 0;     // want
  std::vector<StockRun> runs{};  // chunks
};

struct StreamAnswer {
  enum class Outcome : std::uint8_t {
    ok,
    in_use,   // open: another stream has the id, or it had been closed
    qos,      // open: `qos` is what could be had
    refused,  // unknown, or over a limit
    full,     // chunks: too many wait here; they may come again later
    too_few,  // want: there is not enough key at present
  };
  Outcome outcome{};
  EndState state{};                // of the answering end
  std::uint32_t next = 0;          // chunks below are, or were, at the answering end
  StreamQos qos{};            // with `qos`
  std::vector<BatchId> missing{};  // chunks: batches that never came to the answering end
};

wire::Json write_note(const StreamNote& note);
/// invalid_argument for what does not fit together.
Result<StreamNote> read_note(const wire::Json& from);
wire::Json write_answer(const StreamAnswer& answer);
Result<StreamAnswer> read_answer(const wire::Json& from);

}  // namespace qanat::kme
