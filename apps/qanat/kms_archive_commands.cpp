#include "kms_archive_commands.hpp"

#include <fmt/format.h>

#include <fstream>
#include <memory>

#include "operator.hpp"
#include "services/kms/kma/history_segment.hpp"

namespace qanat::app {
namespace {

using points::Endpoint;
using wire::Json;

struct ArchiveAsk {
  OperatorPlace at;
  Output output = Output::people;
  std::string kms;
  std::string session;
  std::filesystem::path files;  // the segments
};
struct ArchiveSearch : ArchiveAsk {
  std::string subscriber;
  std::string call;
  std::int64_t from_ms = 0;
  std::int64_t until_ms = INT64_MAX;
};

/// What the KMS says of a segment.
struct Segment {
  std::string file;
  std::string previous;
  kms::SegmentExtent extent;
  Json said;
};

Result<Segment> segment_in(const Json& json) {
  Segment out{.file = {}, .previous = {}, .extent = {}, .said = json};
  ASSIGN_OR_RETURN(out.file, json.text("file"));
  if (std::filesystem::path(out.file).filename() != out.file) return fail(ErrorCode::invalid_argument, "file: '" + out.file + "' is no name of a file");
  ASSIGN_OR_RETURN(out.previous, json.text("previous"));
  ASSIGN_OR_RETURN(out.extent.records, json.integer("keys", 0, INT64_MAX));
  ASSIGN_OR_RETURN(out.extent.octets, json.integer("octets", 1, INT64_MAX));
  ASSIGN_OR_RETURN(out.extent.digest, json.hex("sha256"));
  return out;
}

Result<void> each_segment(Operator& as, const std::string& kms, const std::function<Result<void>(const Segment&)>& each) {
  std::int64_t after = 0;
  do {
    ASSIGN_OR_RETURN(const Json answer, as.ask(Endpoint::x5_archive, kms, Json::object({{"after", after}})));
    ASSIGN_OR_RETURN(const std::vector<Json> segments, answer.array("segments"));
    for (const Json& json : segments) {
      ASSIGN_OR_RETURN(const Segment segment, segment_in(json));
      TRY(each(segment));
    }
    after = 0;
    if (answer.has("next")) {
      ASSIGN_OR_RETURN(after, answer.integer("next", 1, INT64_MAX));
    }
  } while (after != 0);
  return {};
}

/// `conflict` unless the file is what the KMS says of it. What stands behind that was never of the archive.
Result<void> check_file(const std::filesystem::path& file, const Segment& said) {
  std::ifstream in(file, std::ios::binary);
  const auto read = kms::read_segment(in, said.extent.octets, [](std::string_view) -> Result<void> { return {}; });
  if (!read) return fail(ErrorCode::conflict, file.string() + ": " + read.error().message);
  if (*read != said.extent) {
    return fail(ErrorCode::conflict, file.string() + ": has " + std::to_string(read->records) + " keys, SHA-256 " + to_hex(read->digest) + "; archived were " +
                                         std::to_string(said.extent.records) + ", " + to_hex(said.extent.digest));
  }
  return {};
}

struct Checked {
  std::int64_t segments = 0;
  std::int64_t keys = 0;
  std::int64_t elsewhere = 0;  // whose files are not in the folder
};

/// Every segment whose file is in the folder is checked, and then given to `each`; one that is not what it was ends it.
Result<Checked> check_archive(Operator& as, const ArchiveAsk& ask, const std::function<Result<void>(const std::filesystem::path&, const Segment&)>& each) {
  Checked out;
  std::string last;
  TRY(each_segment(as, ask.kms, [&](const Segment& segment) -> Result<void> {
    if (segment.previous != last) return fail(ErrorCode::conflict, segment.file + ": does not go on where the segment before it ended");
    last = to_hex(segment.extent.digest);
    const std::filesystem::path file = ask.files / segment.file;
    if (std::error_code error; !std::filesystem::exists(file, error)) {
      ++out.elsewhere;
      return {};
    }
    TRY(check_file(file, segment));
    ++out.segments;
    out.keys += segment.extent.records;
    return each(file, segment);
  }));
  return out;
}

int show_archive(const ArchiveAsk& ask) {
  return with_operator(ask.at, "operator", [&](Operator& as) -> Result<void> {
    if (!ask.session.empty()) {
      ASSIGN_OR_RETURN(const Json answer, as.ask(Endpoint::x5_archive, ask.kms, Json::object({{"sid_wk", ask.session}})));
      ASSIGN_OR_RETURN(const std::vector<Json> keys, answer.array("keys"));
      for (const Json& key : keys) fmt::print("{}\n", ask.output == Output::json ? key.dump() : key.pretty());
      return {};
    }
    return each_segment(as, ask.kms, [&](const Segment& segment) -> Result<void> {
      if (ask.output == Output::json) {
        fmt::print("{}\n", segment.said.dump());
      } else {
        fmt::print("  {:<24} {:>9} keys {:>12} octets  SHA-256 {}\n", segment.file, segment.extent.records, segment.extent.octets,
                   to_hex(segment.extent.digest));
      }
      return {};
    });
  });
}

int verify_archive(const ArchiveAsk& ask) {
  return with_operator(ask.at, "operator", [&](Operator& as) -> Result<void> {
    ASSIGN_OR_RETURN(const Checked checked, check_archive(as, ask, [](const std::filesystem::path&, const Segment&) -> Result<void> { return {}; }));
    fmt::print("  {} segments with {} keys are what {} has archived; {} segments are not in this folder\n", checked.segments, checked.keys, ask.kms,
               checked.elsewhere);
    return {};
  });
}

bool is_wanted(const ArchiveSearch& search, const Json& key) {
  const auto is = [&](std::string_view member, const std::string& wanted) { return wanted.empty() || key.text(member).value_or("") == wanted; };
  const std::int64_t expires = key.integer("expires_ms").value_or(-1);
  return is("sid_wk", search.session) && is("uid", search.subscriber) && is("sid_call", search.call) && expires >= search.from_ms && expires < search.until_ms;
}

int search_archive(const ArchiveSearch& search) {
  return with_operator(search.at, "operator", [&](Operator& as) -> Result<void> {
    const auto print_wanted = [&](const std::filesystem::path& file, const Segment& segment) -> Result<void> {
      std::ifstream in(file, std::ios::binary);
      TRY(kms::read_segment(in, segment.extent.octets, [&](std::string_view line) -> Result<void> {
        ASSIGN_OR_RETURN(const Json key, Json::parse(line));
        if (is_wanted(search, key)) fmt::print("{}\n", line);
        return {};
      }));
      return {};
    };
    ASSIGN_OR_RETURN(const Checked checked, check_archive(as, search, print_wanted));
    if (checked.elsewhere > 0) fmt::print(stderr, "  {} segments are not in this folder\n", checked.elsewhere);
    return {};
  });
}

template <class Ask>
CLI::App* add_archive_command(CLI::App& kms, const std::string& name, const std::string& what, const std::string& example, const std::shared_ptr<Ask>& ask) {
  CLI::App* command = add_command(kms, name, what, example);
  add_operator_options(*command, ask->at);
  command->add_option("--kms", ask->kms, "which KMS")->required();
  return command;
}

}  // namespace

void add_kms_archive_commands(CLI::App& kms, const OnCommand& on) {
  const auto shown = std::make_shared<ArchiveAsk>();
  CLI::App* show = add_archive_command(kms, "archive", "which segments the archive of finished keys has, or what is in it of one session",
                                       "qanat kms archive --kms kms-a --session 0a1b…", shown);
  add_json_flag(*show, shown->output);
  show->add_option("--session", shown->session, "SID_WK, 32 hexadecimal digits");
  on(show, [shown] { return show_archive(*shown); });

  const auto verified = std::make_shared<ArchiveAsk>();
  CLI::App* verify = add_archive_command(kms, "verify-archive", "whether the files of the archive are what the KMS has archived",
                                         "qanat kms verify-archive --kms kms-a /srv/archive/kms-a", verified);
  verify->add_option("folder", verified->files, "where the segments are: <state>/archive of the KMS, or a copy of it")->required();
  on(verify, [verified] { return verify_archive(*verified); });

  const auto wanted = std::make_shared<ArchiveSearch>();
  CLI::App* search = add_archive_command(kms, "search-archive", "finished keys in the files of the archive, which are verified first; a line of JSON each",
                                         "qanat kms search-archive --kms kms-a --subscriber A --from-ms 1735689600000 /srv/archive/kms-a", wanted);
  search->add_option("folder", wanted->files, "where the segments are")->required();
  search->add_option("--session", wanted->session, "SID_WK, 32 hexadecimal digits");
  search->add_option("--call", wanted->call, "SID_CALL, in hexadecimal digits");
  search->add_option("--subscriber", wanted->subscriber, "uid: keys that were owed to it");
  search->add_option("--from-ms", wanted->from_ms, "whose time ended then or later, ms since 1970")->check(CLI::NonNegativeNumber);
  search->add_option("--until-ms", wanted->until_ms, "whose time ended before")->check(CLI::NonNegativeNumber);
  on(search, [wanted] { return search_archive(*wanted); });
}

}  // namespace qanat::app
