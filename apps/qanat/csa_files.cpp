// Files encrypted by envelope: the CSA gives a data key for each, the chunks are sealed and opened here.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "csa_commands.hpp"
#include "terminal/envelope_file.hpp"
#include "wire/base64.hpp"

namespace qanat::app {
namespace {

using points::Endpoint;
using terminal::Chunk;
using wire::Json;

/// Written beside the file, and in its place only when all of it is there and genuine. Gone otherwise.
class WholeFile {
 public:
  static Result<WholeFile> begin(const std::filesystem::path& file) {
    WholeFile out(file);
    out.descriptor_ = ::open(out.part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (out.descriptor_ < 0) return fail(ErrorCode::invalid_argument, out.part_.string() + ": cannot be written");
    return Result<WholeFile>(std::move(out));
  }
  WholeFile(WholeFile&& other) noexcept : file_(std::move(other.file_)), part_(std::move(other.part_)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  WholeFile& operator=(WholeFile&&) = delete;
  ~WholeFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(part_.c_str());
  }
  Result<void> add(ByteView octets) {
    while (!octets.empty()) {
      const ssize_t written = ::write(descriptor_, octets.data(), octets.size());
      if (written <= 0) return fail(ErrorCode::internal, part_.string() + ": takes no more");
      octets = octets.subspan(static_cast<std::size_t>(written));
    }
    return {};
  }
  Result<void> finish() {
    const bool whole = ::fsync(descriptor_) == 0;
    ::close(std::exchange(descriptor_, -1));
    if (!whole || ::rename(part_.c_str(), file_.c_str()) != 0) {
      ::unlink(part_.c_str());
      return fail(ErrorCode::internal, file_.string() + ": cannot be written");
    }
    return {};
  }

 private:
  explicit WholeFile(const std::filesystem::path& file) : file_(file), part_(file.string() + ".part") {}
  std::filesystem::path file_;
  std::filesystem::path part_;
  int descriptor_ = -1;
};

/// Up to `size` octets; fewer at the end alone.
std::size_t read_some(std::ifstream& in, std::span<std::uint8_t> to) {
  in.read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size()));
  return static_cast<std::size_t>(in.gcount());
}
bool at_end(std::ifstream& in) { return !in || in.peek() == std::ifstream::traits_type::eof(); }

std::string_view cipher_name(crypto::Aead aead) { return aead == crypto::Aead::sm4_gcm ? "SM4-GCM" : "AES-256-GCM"; }

Result<void> encrypt_file(CsaSession& csa, const CsaAsk& ask, const std::string& key, const std::string& context, const std::filesystem::path& from,
                          const std::filesystem::path& to) {
  std::ifstream in(from, std::ios::binary);
  if (!in) return fail(ErrorCode::not_found, from.string() + ": cannot be read");
  const crypto::Aead aead = csa.aead();
  ASSIGN_OR_RETURN(CsaSession::WithSecret data_key, csa.ask_secret(Endpoint::csa_generate_data_key,
                                                                   Json::object({{"key_id", key}, {"size", crypto::key_size(aead)}, {"context", context}})));
  if (data_key.secret.size() != crypto::key_size(aead)) return fail(ErrorCode::internal, "the CSA gave a data key of another length");
  terminal::EnvelopeHeader header{.aead = aead, .key_id = key, .wrapped = {}, .context = context};
  ASSIGN_OR_RETURN(header.wrapped, data_key.open.base64("wrapped"));
  ASSIGN_OR_RETURN(const Bytes beginning, terminal::encode_envelope_header(header));
  ASSIGN_OR_RETURN(WholeFile out, WholeFile::begin(to));
  TRY(out.add(beginning));
  terminal::EnvelopeChunks chunks(aead, std::move(data_key.secret), beginning);
  Secret plaintext(terminal::envelope_chunk);
  std::uint64_t total = 0;
  for (bool last = false; !last;) {
    const std::size_t size = read_some(in, plaintext.writable());
    if (in.bad()) return fail(ErrorCode::internal, from.string() + ": cannot be read to its end");
    last = at_end(in);
    total += size;
    TRY(out.add(chunks.seal(ByteView(plaintext.writable()).first(size), last ? Chunk::last : Chunk::more)));
  }
  TRY(out.finish());
  const Json done = Json::object({{"key_id", key}, {"version", data_key.open.integer("version").value_or(0)}, {"cipher", cipher_name(aead)}, {"octets", total}, {"written", to.string()}});
  fmt::print("{}\n", ask.output == Output::json ? done.dump() : done.pretty());
  return {};
}

Result<void> decrypt_file(CsaSession& csa, const CsaAsk& ask, const std::filesystem::path& from, const std::filesystem::path& to) {
  std::ifstream in(from, std::ios::binary);
  if (!in) return fail(ErrorCode::not_found, from.string() + ": cannot be read");
  Bytes beginning(terminal::envelope_header_max);
  beginning.resize(read_some(in, beginning));
  auto read = terminal::parse_envelope_header(beginning);
  if (!read) return fail_in(from.string(), std::move(read).error());
  const terminal::EnvelopeHeader& header = read->header;
  ASSIGN_OR_RETURN(CsaSession::WithSecret data_key,
                   csa.ask_secret(Endpoint::csa_decrypt_data_key,
                                  Json::object({{"key_id", header.key_id}, {"wrapped", wire::to_base64(header.wrapped)}, {"context", header.context}})));
  if (data_key.secret.size() != crypto::key_size(header.aead)) return fail(ErrorCode::denied, from.string() + ": its data key is none for its cipher");
  terminal::EnvelopeChunks chunks(header.aead, std::move(data_key.secret), ByteView(beginning).first(read->size));
  ASSIGN_OR_RETURN(WholeFile out, WholeFile::begin(to));
  in.clear();
  in.seekg(static_cast<std::streamoff>(read->size));
  Bytes sealed(terminal::envelope_sealed_chunk);
  std::uint64_t total = 0;
  for (bool last = false; !last;) {
    const std::size_t size = read_some(in, sealed);
    if (in.bad()) return fail(ErrorCode::internal, from.string() + ": cannot be read to its end");
    last = at_end(in);
    ASSIGN_OR_RETURN(const Secret plaintext, chunks.open(ByteView(sealed).first(size), last ? Chunk::last : Chunk::more));
    total += plaintext.size();
    TRY(out.add(plaintext.reveal()));
  }
  TRY(out.finish());
  const Json done = Json::object({{"key_id", header.key_id}, {"octets", total}, {"written", to.string()}});
  fmt::print("{}\n", ask.output == Output::json ? done.dump() : done.pretty());
  return {};
}

}  // namespace

int csa_encrypt(const CsaAsk& ask, const std::string& key, const std::string& context, const std::filesystem::path& in, const std::filesystem::path& out) {
  return with_csa(ask, [&](CsaSession& csa) { return encrypt_file(csa, ask, key, context, in, out); });
}

int csa_decrypt(const CsaAsk& ask, const std::filesystem::path& in, const std::filesystem::path& out) {
  return with_csa(ask, [&](CsaSession& csa) { return decrypt_file(csa, ask, in, out); });
}

}  // namespace qanat::app
