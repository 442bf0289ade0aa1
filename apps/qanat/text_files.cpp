#include "text_files.hpp"

#include <fstream>
#include <iterator>

namespace qanat::app {

Result<void> write_text(const std::filesystem::path& file, const std::string& text) {
  const std::filesystem::path part = file.string() + ".part";
  {
    std::ofstream out(part, std::ios::binary | std::ios::trunc);
    out << text;
    if (!out.flush()) return fail(ErrorCode::internal, part.string() + ": cannot be written");
  }
  std::error_code error;
  std::filesystem::rename(part, file, error);
  if (error) return fail(ErrorCode::internal, file.string() + ": " + error.message());
  return {};
}

Result<std::string> read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(ErrorCode::not_found, file.string() + ": cannot be read");
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::string quoted(const std::filesystem::path& path) {
  std::string out = "\"";
  for (const char c : path.string()) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace qanat::app
