#include "kme/stock/stream_message.hpp"

#include <algorithm>
#include <array>

namespace qanat::kme {
namespace {

constexpr std::size_t mimetype_octets_max = 256;
constexpr std::size_t stream_runs_max = 4096;
constexpr std::int64_t u32_max = UINT32_MAX;

constexpr std::array<std::string_view, 3> states{"expected", "open", "closed"};
constexpr std::array<std::string_view, 4> kinds{"open", "close", "chunks", "want"};
constexpr std::array<std::string_view, 6> outcomes{"ok", "in_use", "qos", "refused", "full", "too_few"};

template <class E, std::size_t N>
Result<E> read_word(const wire::Json& from, std::string_view field, const std::array<std::string_view, N>& words) {
  ASSIGN_OR_RETURN(const std::string text, from.text(field));
  const auto found = std::ranges::find(words, text);
  if (found == words.end()) return fail(ErrorCode::invalid_argument, "stream: " + std::string(field) + " is none of its words");
  return static_cast<E>(found - words.begin());
}

Result<std::uint32_t> read_u32(const wire::Json& from, std::string_view field, std::int64_t min = 0, std::int64_t max = u32_max) {
  ASSIGN_OR_RETURN(const std::int64_t number, from.integer(field, min, max));
  return static_cast<std::uint32_t>(number);
}

bool is_plain(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Result<SaeId> read_sae(const wire::Json& from, std::string_view field) {
  ASSIGN_OR_RETURN(std::string text, from.text(field));
  if (text.empty() || text.size() > sae_id_size_max || !is_plain(text)) return fail(ErrorCode::invalid_argument, "stream: " + std::string(field) + ": not the name of an SAE");
  return SaeId(std::move(text));
}

Result<StreamId> read_id(const wire::Json& from) {
  ASSIGN_OR_RETURN(const std::string text, from.text("ksid"));
  ASSIGN_OR_RETURN(const StreamId id, StreamId::parse_hex(text));
  if (id == StreamId()) return fail(ErrorCode::invalid_argument, "stream: the null id is none");
  return id;
}

wire::Json write_qos(const StreamQos& qos) {
  return wire::Json::object({{"chunk_octets", qos.chunk_octets},
                             {"max_bps", qos.max_bps},
                             {"min_bps", qos.min_bps},
                             {"jitter_bps", qos.jitter_bps},
                             {"priority", qos.priority},
                             {"timeout_ms", qos.timeout_ms},
                             {"ttl_s", qos.ttl_s},
                             {"mimetype", qos.mimetype}});
}

Result<StreamQos> read_qos(const wire::Json& from) {
  TRY(from.only({"chunk_octets", "max_bps", "min_bps", "jitter_bps", "priority", "timeout_ms", "ttl_s", "mimetype"}));
  StreamQos out;
  ASSIGN_OR_RETURN(out.chunk_octets, read_u32(from, "chunk_octets", 1, stream_chunk_octets_max));
  ASSIGN_OR_RETURN(out.max_bps, read_u32(from, "max_bps"));
  ASSIGN_OR_RETURN(out.min_bps, read_u32(from, "min_bps"));
  ASSIGN_OR_RETURN(out.jitter_bps, read_u32(from, "jitter_bps"));
  ASSIGN_OR_RETURN(out.priority, read_u32(from, "priority"));
  ASSIGN_OR_RETURN(out.timeout_ms, read_u32(from, "timeout_ms"));
  ASSIGN_OR_RETURN(out.ttl_s, read_u32(from, "ttl_s", 1));
  ASSIGN_OR_RETURN(out.mimetype, from.text("mimetype"));
  if (out.mimetype.size() > mimetype_octets_max || !is_plain(out.mimetype)) return fail(ErrorCode::invalid_argument, "stream: not a media type");
  return out;
}

Result<std::vector<StockRun>> read_runs(const wire::Json& from) {
  ASSIGN_OR_RETURN(const std::vector<wire::Json> entries, from.array("runs"));
  if (entries.empty() || entries.size() > stream_runs_max) return fail(ErrorCode::invalid_argument, "stream: runs: must be 1 to 4096");
  std::vector<StockRun> out;
  for (const wire::Json& entry : entries) {
    ASSIGN_OR_RETURN(StockRun run, read_stock_run(entry));
    out.push_back(std::move(run));
  }
  return Result<std::vector<StockRun>>(std::move(out));
}

}  // namespace

Result<StockRun> read_stock_run(const wire::Json& from) {
  TRY(from.only({"stock", "batch", "first", "count"}));
  StockRun out;
  ASSIGN_OR_RETURN(out.stock, from.text("stock"));
  if (out.stock.size() > sae_id_size_max) return fail(ErrorCode::invalid_argument, "activation: not the name of a stock");
  ASSIGN_OR_RETURN(const std::string batch, from.text("batch"));
  ASSIGN_OR_RETURN(out.run.batch, BatchId::parse_hex(batch));
  ASSIGN_OR_RETURN(out.run.first, read_u32(from, "first", 0, chunk_keys_max - 1));
  ASSIGN_OR_RETURN(out.run.count, read_u32(from, "count", 1, chunk_keys_max));
  return out;
}

wire::Json write_stock_run(const StockRun& run) {
  return wire::Json::object({{"stock", run.stock}, {"batch", run.run.batch.hex()}, {"first", run.run.first}, {"count", run.run.count}});
}

std::vector<StockRun> merged(std::span<const StockRun> runs) {
  std::vector<StockRun> out;
  for (const StockRun& run : runs) {
    const bool follows =
        !out.empty() && out.back().stock == run.stock && out.back().run.batch == run.run.batch && out.back().run.first + out.back().run.count == run.run.first;
    if (follows) {
      out.back().run.count += run.run.count;
    } else {
      out.push_back(run);
    }
  }
  return out;
}

std::size_t stock_keys_in(std::span<const StockRun> runs) {
  std::size_t out = 0;
  for (const StockRun& run : runs) out += run.run.count;
  return out;
}

std::vector<KeyRun> plain(std::span<const StockRun> runs) {
  std::vector<KeyRun> out;
  out.reserve(runs.size());
  for (const StockRun& run : runs) out.push_back(run.run);
  return out;
}

std::string_view name(EndState state) { return states[static_cast<std::size_t>(state)]; }

wire::Json write_note(const StreamNote& note) {
  wire::Json out =
      wire::Json::object({{"do", kinds[static_cast<std::size_t>(note.kind)]}, {"ksid", note.id.hex()}, {"from", note.from.text()}, {"to", note.to.text()}});
  switch (note.kind) {
    case StreamNote::Kind::open:
      out.set("qos", write_qos(note.qos));
      break;
    case StreamNote::Kind::close:
      break;
    case StreamNote::Kind::chunks: {
      std::vector<wire::Json> runs;
      runs.reserve(note.runs.size());
      for (const StockRun& run : note.runs) runs.push_back(write_stock_run(run));
      out.set("index", note.index).set("count", note.count).set("runs", wire::Json::array(std::move(runs)));
      break;
    }
    case StreamNote::Kind::want:
      out.set("index", note.index).set("wait_ms", note.wait_ms);
      break;
  }
  return out;
}

Result<StreamNote> read_note(const wire::Json& from) {
  StreamNote out;
  ASSIGN_OR_RETURN(out.kind, read_word<StreamNote::Kind>(from, "do", kinds));
  ASSIGN_OR_RETURN(out.id, read_id(from));
  ASSIGN_OR_RETURN(out.from, read_sae(from, "from"));
  ASSIGN_OR_RETURN(out.to, read_sae(from, "to"));
  if (out.from == out.to) return fail(ErrorCode::invalid_argument, "stream: both ends are one SAE");
  switch (out.kind) {
    case StreamNote::Kind::open: {
      TRY(from.only({"do", "ksid", "from", "to", "qos"}));
      ASSIGN_OR_RETURN(const wire::Json qos, from.object("qos"));
      ASSIGN_OR_RETURN(out.qos, read_qos(qos));
      break;
    }
    case StreamNote::Kind::close:
      TRY(from.only({"do", "ksid", "from", "to"}));
      break;
    case StreamNote::Kind::chunks: {
      TRY(from.only({"do", "ksid", "from", "to", "index", "count", "runs"}));
      ASSIGN_OR_RETURN(out.index, read_u32(from, "index"));
      ASSIGN_OR_RETURN(out.count, read_u32(from, "count", 1, stream_chunks_max));
      if (u32_max - out.index < out.count) return fail(ErrorCode::invalid_argument, "stream: the index ends before these chunks");
      ASSIGN_OR_RETURN(out.runs, read_runs(from));
      if (stock_keys_in(out.runs) % out.count != 0) return fail(ErrorCode::invalid_argument, "stream: the stock keys do not make whole chunks");
      break;
    }
    case StreamNote::Kind::want:
      TRY(from.only({"do", "ksid", "from", "to", "index", "wait_ms"}));
      ASSIGN_OR_RETURN(out.index, read_u32(from, "index"));
      ASSIGN_OR_RETURN(out.wait_ms, read_u32(from, "wait_ms"));
      break;
  }
  return out;
}

wire::Json write_answer(const StreamAnswer& answer) {
  wire::Json out = wire::Json::object({{"outcome", outcomes[static_cast<std::size_t>(answer.outcome)]}, {"state", name(answer.state)}, {"next", answer.next}});
  if (answer.outcome == StreamAnswer::Outcome::qos) out.set("qos", write_qos(answer.qos));
  std::vector<wire::Json> missing;
  missing.reserve(answer.missing.size());
  for (const BatchId& batch : answer.missing) missing.emplace_back(batch.hex());
  return out.set("missing", wire::Json::array(std::move(missing)));
}

Result<StreamAnswer> read_answer(const wire::Json& from) {
  TRY(from.only({"outcome", "state", "next", "qos", "missing"}));
  StreamAnswer out;
  ASSIGN_OR_RETURN(out.outcome, read_word<StreamAnswer::Outcome>(from, "outcome", outcomes));
  ASSIGN_OR_RETURN(out.state, read_word<EndState>(from, "state", states));
  ASSIGN_OR_RETURN(out.next, read_u32(from, "next"));
  if (out.outcome == StreamAnswer::Outcome::qos) {
    ASSIGN_OR_RETURN(const wire::Json qos, from.object("qos"));
    ASSIGN_OR_RETURN(out.qos, read_qos(qos));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> missing, from.texts("missing"));
  if (missing.size() > stream_runs_max) return fail(ErrorCode::invalid_argument, "stream: missing: must be at most 4096");
  for (const std::string& name : missing) {
    ASSIGN_OR_RETURN(const BatchId batch, BatchId::parse_hex(name));
    out.missing.push_back(batch);
  }
  return out;
}

}  // namespace qanat::kme
