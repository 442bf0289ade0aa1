#include "terminal/octet_file.hpp"

#include <fstream>

namespace qanat::terminal {

Result<Bytes> read_file(const std::filesystem::path& path, std::size_t octets_max) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return fail(ErrorCode::not_found, path.string() + ": cannot be opened for reading");
  const std::streamoff end = in.tellg();
  if (end < 0) return fail(ErrorCode::internal, path.string() + ": its length cannot be read");
  if (static_cast<std::uintmax_t>(end) > octets_max) {
    return fail(ErrorCode::invalid_argument, path.string() + ": " + std::to_string(end) + " octets, at most " + std::to_string(octets_max) + " are read");
  }
  Bytes out(static_cast<std::size_t>(end));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(out.data()), end);
  if (!in) return fail(ErrorCode::internal, path.string() + ": reading failed");
  return out;
}

Result<void> write_file(const std::filesystem::path& path, ByteView octets) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!out) return fail(ErrorCode::internal, path.string() + ": cannot be opened for writing");
  out.write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
  out.close();
  if (!out) return fail(ErrorCode::internal, path.string() + ": writing failed");
  return {};
}

}  // namespace qanat::terminal
