#include "quantum/qkd/process/secret_file.hpp"

#include <sys/stat.h>

#include <fstream>

namespace qanat::qkd {
namespace {

constexpr unsigned no_digit = 16;

unsigned digit(std::uint8_t c) {
  if (c >= '0' && c <= '9') return c - unsigned{'0'};
  if (c >= 'a' && c <= 'f') return c - unsigned{'a'} + 10U;
  return no_digit;
}

}  // namespace

Result<Secret> read_secret_file(const std::filesystem::path& file, std::size_t unit, std::size_t units_max) {
  struct stat facts {};
  if (::stat(file.c_str(), &facts) != 0) return fail(ErrorCode::not_found, file.string() + ": is not there");
  if ((facts.st_mode & 077U) != 0) return fail(ErrorCode::denied, file.string() + ": others can read it; chmod 600 it");
  Secret text(2 * unit * units_max + 2);
  std::ifstream in(file, std::ios::binary);
  in.read(reinterpret_cast<char*>(text.writable().data()), static_cast<std::streamsize>(text.size()));
  const ByteView all = text.reveal().first(static_cast<std::size_t>(in.gcount()));
  const ByteView digits = !all.empty() && all.back() == '\n' ? all.first(all.size() - 1) : all;
  if (digits.empty() || digits.size() % (2 * unit) != 0 || digits.size() > 2 * unit * units_max) {
    return fail(ErrorCode::invalid_argument, file.string() + ": must hold a multiple of " + std::to_string(2 * unit) + " hexadecimal digits, at most " +
                                                 std::to_string(2 * unit * units_max));
  }
  Secret out(digits.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const unsigned high = digit(digits[2 * i]);
    const unsigned low = digit(digits[2 * i + 1]);
    if (high == no_digit || low == no_digit) return fail(ErrorCode::invalid_argument, file.string() + ": must hold lower-case hexadecimal digits");
    out.writable()[i] = static_cast<std::uint8_t>(high * 16U + low);
  }
  return Result<Secret>(std::move(out));
}

}  // namespace qanat::qkd
