#include "node/trust_folder.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "node/log.hpp"

namespace qanat::node {
namespace {

constexpr std::size_t pem_max = 256 * 1024;
constexpr std::string_view root_prefix = "root-";
constexpr std::string_view issuing_prefix = "issuing-";

Result<std::vector<crypto::Certificate>> read_pem(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(ErrorCode::not_found, file.string() + ": cannot be read");
  const std::string text(std::istreambuf_iterator<char>(in), {});
  if (text.size() > pem_max) return fail(ErrorCode::invalid_argument, file.string() + ": too large");
  auto chain = crypto::Certificate::parse_pem_chain(text);
  if (!chain) return fail_in(file.string(), chain.error());
  return chain;
}

}  // namespace

Result<std::vector<TrustFolder::File>> TrustFolder::files() const {
  std::vector<File> out;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!name.ends_with(".pem") || (!name.starts_with(root_prefix) && !name.starts_with(issuing_prefix))) continue;
    File file{.path = at->path(), .written = at->last_write_time(error), .size = 0};
    if (!error) file.size = at->file_size(error);
    if (error) break;
    out.push_back(std::move(file));
  }
  if (error) return fail(ErrorCode::not_found, folder_.string() + ": " + error.message());
  std::ranges::sort(out, {}, &File::path);
  return out;
}

Result<crypto::TrustSet> TrustFolder::read() {
  ASSIGN_OR_RETURN(std::vector<File> now, files());
  seen_ = std::move(now);
  crypto::TrustSet out;
  for (const File& file : seen_) {
    ASSIGN_OR_RETURN(const std::vector<crypto::Certificate> certificates, read_pem(file.path));
    auto& kind = file.path.filename().string().starts_with(root_prefix) ? out.roots : out.intermediates;
    kind.insert(kind.end(), certificates.begin(), certificates.end());
  }
  if (out.roots.empty()) return fail(ErrorCode::not_found, folder_.string() + ": holds no root-*.pem");
  return out;
}

std::optional<crypto::TrustSet> TrustFolder::renewed() {
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_ < pause) return std::nullopt;
  looked_ = now;
  const auto changed = files();
  if (changed && *changed == seen_) return std::nullopt;
  Result<crypto::TrustSet> set = changed ? read() : Result<crypto::TrustSet>(fail(changed.error()));
  if (set) {
    complained_ = false;
    log(LogLevel::note, "trust: {} was read again: {} roots, {} issuing CAs", folder_.string(), set->roots.size(), set->intermediates.size());
    return *std::move(set);
  }
  // It may be in the middle of being written: looked at again, for as long as it takes.
  seen_.clear();
  if (!std::exchange(complained_, true)) log(LogLevel::error, "trust: what was read before stays in force: {}", set.error().message);
  return std::nullopt;
}

}  // namespace qanat::node
